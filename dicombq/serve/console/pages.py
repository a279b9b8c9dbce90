"""What all pages are made with: what a browser sent, the templates, and the way back."""

from __future__ import annotations

import functools
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from dicombq import __version__
from dicombq.errors import DicombqError
from dicombq.names import OperationName, Parent, StoreName
from dicombq.serve.problems import http_status, log_defect
from dicombq.serve.settings import Settings

MAX_FORM = 1 << 20
"""Bytes of a form: the longest thing in it is a query."""

_MAX_FIELDS = 100

Handler = Callable[["Visit"], Response]


@dataclass(frozen=True)
class Visit:
    """What a browser asks for.

    Parameters
    ----------
    form
        The fields that were sent: those of the query where the method is GET.
    """

    settings: Settings
    request: Request
    form: Mapping[str, str]

    @property
    def is_sent(self) -> bool:
        """Whether something is to be done, not only shown."""
        return self.request.method == "POST"

    @property
    def parent(self) -> Parent:
        """The healthcare dataset in the address."""
        named = self.request.path_params
        return Parent(named["project"], named["location"], named["dataset"])

    @property
    def store(self) -> StoreName:
        """The store in the address."""
        return StoreName(self.parent, self.request.path_params["store"])

    def page(self, template: str, status: int = 200, **context: Any) -> Response:
        """Answer with a page."""
        common = {"settings": self.settings, "version": __version__, "path": self.request.url.path}
        return HTMLResponse(_templates().get_template(template).render(common | context), status)

    def go(self, path: str) -> Response:
        """Send the browser to another page."""
        return RedirectResponse(path, 303)


def endpoint(settings: Settings, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """Make an endpoint of a function that may block; an error becomes a page."""

    async def answer(request: Request) -> Response:
        try:
            form = await _sent(request) if request.method == "POST" else dict(request.query_params)
        except HTTPException as error:
            return problem(settings, request, error)
        return await run_in_threadpool(_handle, handler, Visit(settings, request, form))

    return answer


def wants_page(request: Request) -> bool:
    """Tell a person's request from a program's, wherever it goes."""
    is_of_api = request.url.path.startswith(("/v1/", "/v1beta1/"))
    return not is_of_api and "text/html" in request.headers.get("accept", "")


def problem(settings: Settings, request: Request, error: Exception) -> Response:
    """Answer a request with a page that says which error it ended with."""
    hint, headers = "", None
    if isinstance(error, DicombqError):
        status, message, hint = http_status(error), error.message, error.hint
    elif isinstance(error, HTTPException):
        status, message, headers = error.status_code, error.detail, error.headers
    else:
        status, message = 500, log_defect(request.method, error)
    title = "Not found" if status == 404 else "That cannot be done"
    page = Visit(settings, request, {}).page("problem.html", status, title=title, message=message, hint=hint)
    page.headers.update(headers or {})
    return page


def _handle(handler: Handler, visit: Visit) -> Response:
    try:
        return handler(visit)
    except Exception as error:  # noqa: BLE001 - its message may hold a value
        return problem(visit.settings, visit.request, error)


async def _sent(request: Request) -> dict[str, str]:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM:
            raise HTTPException(413, f"The form has more than {MAX_FORM:,} bytes.")
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS))
    except ValueError:
        raise HTTPException(400, "The form cannot be read.") from None


def number(text: str | None) -> int:
    """Read a number of a form; 0 for what is none."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else 0


def path_of(name: Parent | StoreName | OperationName | str) -> str:
    """Give the address of the page of a resource."""
    return f"/{quote(str(name))}"


@functools.cache
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("dicombq.serve.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"path": path_of, "number": "{:,}".format, "moment": _moment, "prose": _prose}
    return environment


def _moment(text: str | None) -> str:
    """Write a time of the API for people, to the second."""
    return f"{text[:10]} {text[11:19]}" if text else "-"


def _prose(text: str) -> Markup:
    """Write a message as a sentence begins, with commands as such."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text[:1].upper() + text[1:]))))  # noqa: S704 - escaped
