"""DICOMweb (PS3.18): store, search, retrieve and delete the instances of a store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dicombq.serve.dicomweb import retrieve, search, stow
from dicombq.serve.dicomweb.delete import delete
from dicombq.serve.dicomweb.missing import missing
from dicombq.serve.dicomweb.request import DicomwebRequest
from dicombq.serve.settings import Settings


class _Part(Convertor[str]):
    """A part of a path without colons, behind which the API has its methods."""

    regex = "[^/:]+"

    def convert(self, value: str) -> str:
        """Take it as it is."""
        return value

    def to_string(self, value: str) -> str:
        """Give it as it is."""
        return value


class _Rest(_Part):
    """The rest of a path, without colons."""

    regex = "[^:]*"


register_url_convertor("part", _Part())
register_url_convertor("rest", _Rest())

_BASE = "/{version:part}/projects/{project}/locations/{location}/datasets/{dataset}/dicomStores/{store:part}/dicomWeb"
_STUDY = "/studies/{study:part}"
_SERIES = f"{_STUDY}/series/{{series:part}}"
_INSTANCE = f"{_SERIES}/instances/{{instance:part}}"

Handler = Callable[[DicomwebRequest], Response]

_HANDLERS: list[tuple[str, str, Handler]] = [
    ("GET", "/studies", search.studies),
    ("GET", "/series", search.series),
    ("GET", f"{_STUDY}/series", search.series),
    ("GET", "/instances", search.instances),
    ("GET", f"{_STUDY}/instances", search.instances),
    ("GET", f"{_SERIES}/instances", search.instances),
    *(("GET", path, retrieve.instances) for path in (_STUDY, _SERIES, _INSTANCE)),
    *(("GET", f"{path}/metadata", retrieve.metadata) for path in (_STUDY, _SERIES, _INSTANCE)),
    *(("DELETE", path, delete) for path in (_STUDY, _SERIES, _INSTANCE)),
]


def routes(settings: Settings) -> list[BaseRoute]:
    """Give its routes."""
    return [
        *(Route(_BASE + path, _endpoint(handler, settings), methods=[method]) for method, path, handler in _HANDLERS),
        *(Route(_BASE + path, _storing(settings), methods=["POST"]) for path in ("/studies", _STUDY)),
        Route(f"{_BASE}/{{rest:rest}}", _endpoint(missing, settings), methods=["GET", "POST", "PUT", "DELETE"]),
    ]


def _endpoint(handler: Handler, settings: Settings) -> Callable[[Request], Response]:
    def endpoint(request: Request) -> Response:
        return handler(DicomwebRequest(request, settings))

    return endpoint


def _storing(settings: Settings) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return await stow.store(DicomwebRequest(request, settings))

    return endpoint
