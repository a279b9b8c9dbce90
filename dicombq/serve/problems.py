"""Errors as answers: ``google.rpc.Status`` in JSON, with the HTTP status that Google's front end gives its code."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from dicombq.errors import STATUS, DicombqError, Internal

LOG = logging.getLogger("dicombq.serve")

_HTTP = {1: 499, 2: 500, 3: 400, 4: 504, 5: 404, 6: 409, 7: 403, 8: 429, 9: 400, 10: 409, 12: 501, 13: 500, 14: 503}
_HTTP |= {15: 500, 16: 401}
_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 405: 12, 406: 3, 413: 3, 415: 3, 421: 7, 501: 12}


class BadField(HTTPException):
    """A field of a request that is unknown, or has a value that it cannot have.

    Parameters
    ----------
    field
        Its path: ``bigquery_destination.write_disposition``; empty for the request itself.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(400, message)
        self.field = field


def http_status(error: DicombqError) -> int:
    """Give the HTTP status of an error."""
    return _HTTP[error.code]


def message_of(error: DicombqError) -> str:
    """Write an error and the way out."""
    return f"{error.message}. {error.hint}" if error.hint else error.message


def json_answer(
    request: Request, content: Mapping[str, Any], code: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Write an answer as Google's front end does: on many lines, unless ``prettyPrint`` says otherwise."""
    compact = {"false", "0"} & {request.query_params.get(name, "").lower() for name in ("prettyPrint", "$prettyPrint")}
    text = json.dumps(content, ensure_ascii=False, indent=None if compact else 2)
    return Response(f"{text}\n", code, dict(headers or {}), "application/json; charset=UTF-8")


def answer(request: Request, error: Exception) -> Response:
    """Answer a request with the error that it ended with."""
    details: list[dict[str, Any]] = []
    headers: Mapping[str, str] | None = None
    if isinstance(error, DicombqError):
        code, message, status = http_status(error), message_of(error), error.status
    elif isinstance(error, HTTPException):
        code, message, headers = error.status_code, error.detail, error.headers
        status = STATUS[_CODES.get(code, 2)]
        if isinstance(error, BadField):
            violation = {"field": error.field, "description": message} if error.field else {"description": message}
            kind = "type.googleapis.com/google.rpc.BadRequest"
            details = [{"@type": kind, "fieldViolations": [violation]}]
    else:
        code, message, status = 500, log_defect(request.method, error), Internal("").status
    body = {"code": code, "message": message, "status": status, **({"details": details} if details else {})}
    return json_answer(request, {"error": body}, code, headers)


def log_defect(method: str, error: Exception) -> str:
    """Log what nobody expected by its type and place: its message may hold a value."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    text = f"internal error: {type(error).__name__} at {Path(where.filename).name}:{where.lineno}"
    LOG.error("%s: %s", method, text)
    return text
