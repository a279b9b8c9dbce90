"""Search (QIDO-RS, PS3.18 10.6)."""

from __future__ import annotations

import orjson
from starlette.exceptions import HTTPException
from starlette.responses import Response

from dicombq.serve.dicomweb.request import JSON, DicomwebRequest, url_of
from dicombq.streaming.search import MOST, Query, keyword_of, put
from dicombq.streaming.search import search as search_catalogue

_NOT_FUZZY = "The fuzzymatching parameter is not supported. Only literal matching has been performed."
_MORE = "The number of results exceeded the maximum supported by the server. Additional results can be requested."


def studies(request: DicomwebRequest) -> Response:
    """Search for studies."""
    return _answer(request, "studies")


def series(request: DicomwebRequest) -> Response:
    """Search for series."""
    return _answer(request, "series")


def instances(request: DicomwebRequest) -> Response:
    """Search for instances."""
    return _answer(request, "instances")


def _answer(request: DicomwebRequest, level: str) -> Response:
    request.check_accepts_json()
    keeper, asked = request.keeper, request.http.query_params.multi_items()
    fields = [name for key, value in asked if key == "includefield" for name in value.split(",")]
    limit = _number(request, "limit", MOST)
    query = Query(
        level,
        request.uids,
        [(key, value) for key, value in asked if key not in _OWN],
        frozenset(map(keyword_of, fields)),
        min(limit, MOST),
        _number(request, "offset", 0),
    )
    with keeper.inventory() as inventory:
        found = search_catalogue(inventory, query)
    for each in found:
        put(each.model, "RetrieveURL", url_of(request.base, each.uids))
    warnings = []
    if request.http.query_params.get("fuzzymatching", "false") != "false":
        warnings.append(_NOT_FUZZY)
    if len(found) == MOST and limit >= MOST:
        warnings.append(_MORE)
    headers = {"Warning": ", ".join(f'299 {request.base}: "{text}"' for text in warnings)} if warnings else None
    if not found:
        return Response(status_code=204, headers=headers)
    return Response(orjson.dumps([each.model for each in found]), media_type=JSON, headers=headers)


_OWN = ("limit", "offset", "includefield", "fuzzymatching", "accept", "$alt", "alt", "prettyPrint")
"""Parameters that are no attributes; the last ones are those of Google's clients."""


def _number(request: DicomwebRequest, name: str, default: int) -> int:
    text = request.http.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        raise HTTPException(400, f"The parameter {name} is not a number.")
    return int(text)
