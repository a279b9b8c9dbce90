"""Pages for people."""

from __future__ import annotations

from pathlib import Path

from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from dicombq.serve.console import datasets, exports, login, logs, operations, questions, stores, streaming
from dicombq.serve.console.pages import Handler, endpoint, problem, wants_page
from dicombq.serve.settings import Settings

__all__ = ["problem", "routes", "wants_page"]

_DATASET = "/projects/{project}/locations/{location}/datasets/{dataset}"
_STORE = f"{_DATASET}/dicomStores/{{store}}"
_OPERATION = f"{_DATASET}/operations/{{operation}}"


def routes(settings: Settings) -> list[BaseRoute]:
    """Give its routes; the address of a resource is its name."""
    get: dict[str, Handler] = {
        "/": datasets.list_datasets,
        "/login": login.show,
        "/query": questions.show,
        _DATASET: datasets.show,
        f"{_DATASET}/operations": operations.list_operations,
        _OPERATION: operations.show,
        f"/logs{_OPERATION}": logs.of_operation,
        _STORE: stores.show,
        f"{_STORE}/export": exports.show,
        f"{_STORE}/streaming": streaming.show,
        f"/logs{_STORE}": logs.of_stream,
    }
    post: dict[str, Handler] = {
        "/login": login.enter,
        "/query": questions.ask,
        f"{_OPERATION}/cancel": operations.cancel,
        f"/logs{_OPERATION}": logs.of_operation,
        f"{_STORE}/export": exports.begin,
        f"{_STORE}/read": stores.read,
        f"{_STORE}/streaming": streaming.add,
        f"{_STORE}/streaming/remove": streaming.remove,
        f"/logs{_STORE}": logs.of_stream,
    }
    return [
        Mount("/static", StaticFiles(directory=Path(__file__).with_name("static"))),
        *(Route(path, endpoint(settings, handler), methods=["GET"]) for path, handler in get.items()),
        *(Route(path, endpoint(settings, handler), methods=["POST"]) for path, handler in post.items()),
    ]
