"""Errors as answers: ``google.rpc.Status`` in JSON, with the HTTP status that Google's front end gives its code."""

from __future__ import annotations

import logging
import traceback
from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from dicombq.errors import DicombqError

LOG = logging.getLogger("dicombq.serve")

_HTTP = {1: 499, 2: 500, 3: 400, 4: 504, 5: 404, 6: 409, 7: 403, 8: 429, 9: 400, 10: 409, 12: 501, 13: 500, 14: 503}
_HTTP |= {15: 500, 16: 401}
_NAMES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    406: "INVALID_ARGUMENT",
    413: "INVALID_ARGUMENT",
    415: "INVALID_ARGUMENT",
    421: "PERMISSION_DENIED",
    501: "UNIMPLEMENTED",
}


def http_status(error: DicombqError) -> int:
    """Give the HTTP status of an error."""
    return _HTTP[error.code]


def message_of(error: DicombqError) -> str:
    """Write an error and the way out."""
    return f"{error.message}. {error.hint}" if error.hint else error.message


def status_json(code: int, message: str, status: str, details: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """Write an error as Google's front end does; `code` is HTTP's."""
    return {"error": {"code": code, "message": message, "status": status, **({"details": details} if details else {})}}


def answer(request: Request, error: Exception) -> Response:
    """Answer a request with the error that it ended with."""
    if isinstance(error, DicombqError):
        code = http_status(error)
        return JSONResponse(status_json(code, message_of(error), error.status), code)
    if isinstance(error, HTTPException):
        body = status_json(error.status_code, error.detail, _NAMES.get(error.status_code, "UNKNOWN"))
        return JSONResponse(body, error.status_code, error.headers)
    return JSONResponse(status_json(500, log_defect(request.method, error), "INTERNAL"), 500)


def log_defect(method: str, error: Exception) -> str:
    """Log what nobody expected by its type and place: its message may hold a value."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    text = f"internal error: {type(error).__name__} at {Path(where.filename).name}:{where.lineno}"
    LOG.error("%s: %s", method, text)
    return text
