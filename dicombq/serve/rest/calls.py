"""Calls of the API's methods: from a request to a message, from a result to an answer."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from dicombq.names import OperationName, Parent, StoreName
from dicombq.serve.problems import BadField, json_answer
from dicombq.serve.rest.messages import BOOL, INT32, STRING, Message, camel, read_json, snake, take
from dicombq.serve.settings import Settings

_MAX_BODY = 1 << 20
_MAX_PAGE = 1000
_SYSTEM = {
    "$.xgafv": STRING,
    "$alt": STRING,
    "$prettyPrint": BOOL,
    "access_token": STRING,
    "alt": STRING,
    "fields": STRING,
    "key": STRING,
    "oauth_token": STRING,
    "prettyPrint": BOOL,
    "quotaUser": STRING,
    "uploadType": STRING,
    "upload_protocol": STRING,
    "userProject": STRING,
}
"""Parameters that every method takes."""

PAGE = {"pageSize": INT32, "pageToken": STRING}
"""Parameters of a list."""


@dataclass(frozen=True)
class Call:
    """A call of a method: the server, the parts of the resource's name, the query, and the message."""

    settings: Settings
    names: Mapping[str, str]
    query: Mapping[str, Any]
    message: Mapping[str, Any]

    @property
    def parent(self) -> Parent:
        """The dataset."""
        return Parent(self.names["project"], self.names["location"], self.names["dataset"])

    @property
    def store(self) -> StoreName:
        """The store."""
        return StoreName(self.parent, self.names["store"])

    @property
    def operation(self) -> OperationName:
        """The operation."""
        return OperationName(self.parent, self.names["operation"])


@dataclass(frozen=True)
class Method:
    """A method of the API.

    Parameters
    ----------
    run
        Does it; whatever it gives is the answer.
    message
        What a request's body is; None where it has none.
    root
        The name of the request's field that the body is; empty where it is all of it.
    query
        The parameters that the method has.
    """

    run: Callable[[Call], Mapping[str, Any]]
    message: Message | None = None
    root: str = ""
    query: Mapping[str, str] = field(default_factory=dict)


class Resource:
    """What lies at a path, as an ASGI application: a method for each HTTP method."""

    def __init__(self, settings: Settings, methods: Mapping[str, Method]) -> None:
        self._settings = settings
        self._methods = methods

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        request = Request(scope, receive)
        method = self._methods.get("GET" if request.method == "HEAD" else request.method)
        if method is None:
            allowed = ", ".join(self._methods)
            raise HTTPException(405, f"The method is not allowed here; allowed: {allowed}.", {"Allow": allowed})
        query = _read_query(request.query_params, method)
        message = {} if method.message is None else await _read_message(request, method.message, method.root)
        call = Call(self._settings, request.path_params, query, message)
        result = await run_in_threadpool(method.run, call)
        await json_answer(request, result)(scope, receive, send)


async def _read_message(request: Request, message: Message, root: str) -> dict[str, Any]:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > _MAX_BODY:
            raise HTTPException(413, f"The request is larger than {_MAX_BODY:,} bytes.")
    if body:
        _check_type(request)
    taken: dict[str, Any] = take(read_json(bytes(body)), message, root)
    return taken


def _check_type(request: Request) -> None:
    """Refuse what is not JSON in UTF-8."""
    kind, _, parameters = request.headers.get("content-type", "").lower().partition(";")
    charset = parameters.partition("charset=")[2].strip().strip('"')
    if kind.strip() != "application/json" or charset not in ("", "utf-8") or "content-encoding" in request.headers:
        raise HTTPException(415, "The body is not JSON. Say so: Content-Type: application/json; charset=utf-8")


def _read_query(given: QueryParams, method: Method) -> dict[str, Any]:
    known = _SYSTEM | dict(method.query)
    query: dict[str, Any] = {}
    for name, text in given.multi_items():
        kind = known.get(name)
        if kind is None:
            raise BadField(
                "",
                f'Invalid JSON payload received. Unknown name "{name[:100]}": Cannot bind query parameter. '
                f"Field '{name[:100]}' could not be found in request message.",
            )
        query[name] = take(_truth(text) if kind == BOOL else text, kind, snake(name))
    alt = query.get("alt", query.get("$alt", "json"))
    if alt != "json":
        raise BadField("alt", f"Invalid value at 'alt', \"{alt[:100]}\": answers are JSON.")
    return query


def _truth(text: str) -> str:
    return {"1": "true", "0": "false"}.get(text, text.lower())


def page(call: Call, keyed: Iterable[tuple[str, Any]]) -> tuple[list[Any], dict[str, str]]:
    """Cut a list into pages; give the page that is asked for, and where the next one begins, as answers have it.

    Parameters
    ----------
    keyed
        Each with a text that says where it stands: they are listed by it.
    """
    size = call.query.get("pageSize", 0)
    if size < 0:
        raise BadField("page_size", "Invalid value at 'page_size' (TYPE_INT32): it is negative.")
    size = min(size or 100, _MAX_PAGE)
    after = _from_token(call.query.get("pageToken", ""))
    rest = sorted((each for each in keyed if each[0] > after), key=lambda each: each[0])
    token = {"nextPageToken": _to_token(rest[size - 1][0])} if len(rest) > size else {}
    return [each for _, each in rest[:size]], token


def _to_token(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode()


def _from_token(token: str) -> str:
    try:
        return base64.b64decode(token, b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise BadField("page_token", "Invalid value at 'page_token': it is none of a page.") from None


def masked(call: Call, fields: Sequence[str]) -> list[str]:
    """Read ``updateMask``: the names of the fields that are to be changed."""
    mask = [camel(part) for part in call.query.get("updateMask", "").split(",") if part]
    if mask == ["*"]:
        return list(fields)
    if not mask:
        raise BadField("update_mask", f"update_mask must be specified: {', '.join(map(snake, fields))}.")
    for name in mask:
        if name not in fields:
            raise BadField("update_mask", f"Invalid value at 'update_mask': [{snake(name)[:100]}] cannot be updated.")
    return mask
