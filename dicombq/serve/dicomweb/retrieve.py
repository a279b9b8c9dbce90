"""Retrieve (WADO-RS, PS3.18 10.4): instances as they were stored, and their metadata."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Any

import orjson
from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse

from dicombq.errors import NotFound, Temporary
from dicombq.rows.base import Unreadable
from dicombq.rows.bulk import add_references
from dicombq.rows.metadata import MetadataRecord
from dicombq.rows.record import Record
from dicombq.serve.dicomweb.media import MediaType
from dicombq.serve.dicomweb.request import JSON, DicomwebRequest, url_of
from dicombq.stores.base import Found, Store
from dicombq.stores.registry import reopen_store
from dicombq.streaming.search import Place, places_of
from dicombq.table.mapping import MAX_ELEMENT_SIZE

_DICOM = "application/dicom"
_MULTIPART = "multipart/related"
_AT_ONCE = 100


def instances(request: DicomwebRequest) -> Response:
    """Give the instances of a study or a series, or one, byte for byte."""
    store, places = _find(request)
    if _is_wanted_alone(request, store, places):
        return StreamingResponse(_begun(_pieces(store, places[0])), media_type=_DICOM)
    boundary = os.urandom(16).hex()
    kind = f'{_MULTIPART}; type="{_DICOM}"; boundary={boundary}'
    return StreamingResponse(_begun(_parts(store, places, boundary)), media_type=kind)


def metadata(request: DicomwebRequest) -> Response:
    """Give the instances of a study or a series, or one, in the DICOM JSON model without bulk data."""
    request.check_accepts_json()
    store, places = _find(request)
    return StreamingResponse(_begun(_array(_models(request, store, places))), media_type=JSON)


def _find(request: DicomwebRequest) -> tuple[Store[Any], list[Place]]:
    registered = request.keeper.registered
    with request.keeper.inventory() as inventory:
        places = places_of(inventory, request.uids)
    if not places:
        raise nothing_there(request)
    return reopen_store(registered.name, registered.source, registered.options), places


def nothing_there(request: DicomwebRequest) -> NotFound:
    """Say that there is no such study, series or instance."""
    level = ("study", "series", "instance")[len(request.uids) - 1]
    return NotFound(f"there is no such {level} in the store [{request.keeper.registered.name.store}]")


def _is_wanted_alone(request: DicomwebRequest, store: Store[Any], places: Sequence[Place]) -> bool:
    """Tell whether an instance is given by itself, or in parts; either in any of the transfer syntaxes accepted for it.

    Raises
    ------
    HTTPException
        Where neither is accepted, or what is stored would have to be encoded anew.
    """
    syntaxes: dict[bool, set[str]] = {}
    for each in request.accepts:
        if _is_ours(each, len(places)):
            syntaxes.setdefault(each.name == _DICOM, set()).add(each.parameters.get("transfer-syntax", "*"))
    if not syntaxes:
        raise HTTPException(
            406, f'Instances are given as {_MULTIPART}; type="{_DICOM}"; transfer-syntax=*, one also as {_DICOM}.'
        )
    for alone, accepted in syntaxes.items():
        if _are_stored_as(accepted, store, places):
            return alone
    raise HTTPException(406, "Instances are not encoded anew; accept transfer-syntax=*.")


def _is_ours(wanted: MediaType, count: int) -> bool:
    if wanted.name == _DICOM:
        return count == 1
    return wanted.covers(_MULTIPART) and wanted.parameters.get("type", _DICOM) in (_DICOM, "*/*", "application/*")


def _are_stored_as(accepted: set[str], store: Store[Any], places: Sequence[Place]) -> bool:
    return "*" in accepted or all(
        result.row.values.get("TransferSyntaxUID") in accepted
        for result in store.read((_ref(store, place) for place in places), Record, MAX_ELEMENT_SIZE)
        if isinstance(result, Found)
    )


def _ref(store: Store[Any], place: Place) -> Any:
    return store.ref(json.loads(place.ref))


def _parts(store: Store[Any], places: Sequence[Place], boundary: str) -> Iterator[bytes]:
    for place in places:
        yield f"--{boundary}\r\nContent-Type: {_DICOM}\r\n\r\n".encode()
        yield from _pieces(store, place)
        yield b"\r\n"
    yield f"--{boundary}--\r\n".encode()


def _pieces(store: Store[Any], place: Place) -> Iterator[bytes]:
    try:
        with store.original(_ref(store, place), place.updated) as pieces:
            yield from pieces
    except Unreadable as error:
        raise _changed(error.reason) from None


def _changed(reason: str) -> Temporary:
    return Temporary(f"the instance cannot be read: {reason}", "Ask again in a moment.")


def _models(request: DicomwebRequest, store: Store[Any], places: Sequence[Place]) -> Iterator[bytes]:
    remaining = iter(places)
    while some := list(islice(remaining, _AT_ONCE)):
        refs = [_ref(store, place) for place in some]
        uids = {ref.uri: place.uids for ref, place in zip(refs, some, strict=True)}
        for result in store.read(refs, MetadataRecord, MAX_ELEMENT_SIZE):
            if not isinstance(result, Found):
                raise _changed(result.reason)
            if result.row.uids != uids[result.ref.uri]:
                raise _changed("another one is there since it was looked at")
            values = result.row.values
            bulk = f"{url_of(request.base, result.row.uids)}/bulkdata"
            yield orjson.dumps(add_references(values["Metadata"], values.get("DroppedTags", ()), bulk))


def _array(items: Iterator[bytes]) -> Iterator[bytes]:
    before = b"["
    for item in items:
        yield before + item
        before = b","
    yield b"]"


def _begun(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Begin, so that what is wrong from the start has an answer of its own; later the connection is cut."""
    first = [*islice(pieces, 2)]
    return chain(first, pieces)
