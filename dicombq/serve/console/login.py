"""How a browser's user gives the token: once, for a cookie that scripts cannot read."""

from __future__ import annotations

import hmac

from starlette.responses import Response

from dicombq.serve.console.pages import Visit
from dicombq.serve.security import SESSION, session_value


def show(visit: Visit, status: int = 200, error: str = "") -> Response:
    """Ask for the token."""
    return visit.page("login.html", status, next=_next(visit), error=error)


def enter(visit: Visit) -> Response:
    """Take the token, or forget that it was given."""
    token = visit.settings.token
    if token is None:
        return visit.go("/")
    if "leave" in visit.form:
        response = visit.go("/login")
        response.delete_cookie(SESSION)
        return response
    if not hmac.compare_digest(visit.form.get("token", "").strip().encode(), token.encode()):
        return show(visit, 403, "That is not the token of this server.")
    response = visit.go(_next(visit))
    secure = visit.request.url.scheme == "https"
    response.set_cookie(SESSION, session_value(token), httponly=True, samesite="strict", secure=secure)
    return response


def _next(visit: Visit) -> str:
    """Give the page to go to: one of this server."""
    path = visit.form.get("next", "/")
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) else "/"
