"""Who may ask for what, before any route sees the request, and what browsers may do with the answers."""

from __future__ import annotations

import hashlib
import hmac
import logging
import socket
import time
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dicombq.serve.problems import log_defect
from dicombq.serve.settings import Settings

SESSION = "dicombq_session"
"""The cookie of a browser whose user gave the token."""

LOGIN = "/login"
"""Where a browser's user gives the token; all that lies below it and below ``/static`` needs none."""

ACCESS = logging.getLogger("dicombq.serve.access")

ASKING = ("/query", "/logs")
"""Below these a POST changes nothing: what is asked for is in its body, for it may be a patient's name."""

_HARMLESS = ("GET", "HEAD", "OPTIONS")
_OPEN = ("/healthz", LOGIN)
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


def session_value(token: str) -> str:
    """Give the cookie's value: it does not tell the token."""
    return hmac.new(token.encode(), SESSION.encode(), hashlib.sha256).hexdigest()


class _Exchange:
    """A request, which is only so large, and its answer, which browsers handle with care."""

    def __init__(self, receive: Receive, send: Send, limit: int) -> None:
        self._receive, self._send = receive, send
        self._limit = self._left = limit
        self.status = 0

    async def receive(self) -> Message:
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise _too_large(self._limit)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers.setdefault("Cache-Control", "no-store")  # patients' data
            for name, value in _HEADERS.items():
                headers[name] = value
        await self._send(message)


class Guard:
    """Refuses what must not reach a route, and logs what did: method, path and status, never a query or a header.

    Parameters
    ----------
    tell
        Answers a request with the error that it ended with.
    """

    def __init__(self, app: ASGIApp, settings: Settings, tell: Callable[[Request, Exception], Response]) -> None:
        self._app = app
        self._tell = tell
        self._settings = settings
        self._host = socket.gethostname().lower().partition(".")[0]
        self._names = {"localhost", settings.host.lower(), self._host, socket.gethostname().lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a connection; there are no websockets."""
        if scope["type"] == "http":
            await self._answer(scope, _Exchange(receive, send, self._settings.max_upload))
        elif scope["type"] == "lifespan":
            await self._app(scope, receive, send)

    async def _answer(self, scope: Scope, exchange: _Exchange) -> None:
        began = time.monotonic()
        try:
            self._check(scope["method"], scope["path"], Headers(scope=scope))
            await self._app(scope, exchange.receive, exchange.send)
        except ClientDisconnect:
            pass
        except Exception as error:  # noqa: BLE001 - its message may hold a value, so nobody else may log it
            if exchange.status:  # half an answer is out
                log_defect(scope["method"], error)
                raise ConnectionAbortedError from None  # so that the connection is cut
            await self._tell(Request(scope), error)(scope, exchange.receive, exchange.send)
        finally:
            milliseconds = (time.monotonic() - began) * 1000
            ACCESS.info("%s %s %s %.0f ms", scope["method"], scope["path"], exchange.status or "-", milliseconds)

    def _check(self, method: str, path: str, headers: Headers) -> None:
        if not self._is_ours(headers.get("host", "")):
            raise HTTPException(421, "This server does not answer to that Host.")
        if method not in _HARMLESS:
            if _is_cross_site(headers):
                raise HTTPException(403, "Another site's page may not change anything here.")
            if self._settings.read_only and path != LOGIN and not _is_below(path, ASKING):
                raise HTTPException(403, "This server is read-only.")
        token = self._settings.token
        is_open = path in _OPEN or path.startswith("/static/")
        if token is not None and not is_open and not _knows(token, headers):
            if _wants_page(method, headers):
                raise HTTPException(303, "Log in first.", {"Location": f"{LOGIN}?next={quote(path)}"})
            raise HTTPException(
                401,
                "Request had invalid authentication credentials. Expected the server's token: Authorization: Bearer "
                "TOKEN.",
                {"WWW-Authenticate": "Bearer"},
            )
        if int(headers.get("content-length") or 0) > self._settings.max_upload:
            raise _too_large(self._settings.max_upload)

    def _is_ours(self, host: str) -> bool:
        """Tell whether a Host is a name of this machine; a page elsewhere cannot give its own name an IP literal."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        try:
            ip_address(name)
        except ValueError:
            # the token is what keeps a page out whose domain has this machine's name in it
            is_longer = self._settings.token is not None and name.startswith(f"{self._host}.")
            return name in self._names or is_longer
        return True


def _is_below(path: str, roots: tuple[str, ...]) -> bool:
    return any(path == root or path.startswith(f"{root}/") for root in roots)


def _wants_page(method: str, headers: Headers) -> bool:
    """Tell a browser that goes to a page from a program, and from a script of a page."""
    return (
        method == "GET"
        and headers.get("sec-fetch-mode", "navigate") == "navigate"
        and "text/html" in headers.get("accept", "")
    )


def _too_large(limit: int) -> HTTPException:
    return HTTPException(413, f"The request is larger than {limit:,} bytes.")


def _is_cross_site(headers: Headers) -> bool:
    site = headers.get("sec-fetch-site")
    if site is not None:  # no page can make it up, and no proxy changes it
        return site not in ("same-origin", "none")
    origin = headers.get("origin")
    return origin is not None and origin.partition("://")[2] != headers.get("host")


def _knows(token: str, headers: Headers) -> bool:
    scheme, _, given = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode()):
        return True
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(SESSION)
    except CookieError:
        return False
    return morsel is not None and hmac.compare_digest(morsel.value.encode(), session_value(token).encode())
