"""Store (STOW-RS, PS3.18 10.5)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import orjson
from python_multipart.exceptions import ParseError
from python_multipart.multipart import MultipartParser
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from dicombq.errors import StorageFull
from dicombq.serve.dicomweb.media import content_type
from dicombq.serve.dicomweb.request import JSON, PATIENCE, DicomwebRequest, url_of
from dicombq.stores.filing import Arrival, Fault, Filing
from dicombq.streaming.catalogue import tag_of
from dicombq.streaming.inventory import Inventory
from dicombq.streaming.search import places_of, put

_DICOM = "application/dicom"
_PIECE = 1 << 20
_MOST_PARTS = 10_000
_MOST_HEADERS = 20
_MAX_HEADER = 4096
_MAX_BOUNDARY = 70  # RFC 2046 5.1.1

logging.getLogger(MultipartParser.__module__).disabled = True  # it logs bytes of what it cannot read

_NOT_MULTIPART = HTTPException(400, "The body is not a whole multipart message of the boundary in its Content-Type.")

_REASONS = {
    Fault.NOT_READABLE: 0xC000,
    Fault.NO_UIDS: 0xA900,
    Fault.OF_ANOTHER_STUDY: 0xA900,
    Fault.NO_ROOM: 0xA700,
    Fault.THERE_ALREADY: 0x0111,
}
"""Failure Reason (0008,1197): PS3.18 table I.2-2; that for duplicates: PS3.7 C.5.8."""


async def store(request: DicomwebRequest) -> Response:
    """Store the instances that a request holds; each is stored whole or not at all."""
    folder = await run_in_threadpool(_place, request)
    with Filing(folder) as filing:
        body = _body(request, filing)
        waiting: list[bytes] = []
        size = 0
        try:
            async for piece in request.http.stream():
                waiting.append(piece)
                size += len(piece)
                if size >= _PIECE:
                    await run_in_threadpool(body.write, b"".join(waiting))
                    waiting, size = [], 0
        except ClientDisconnect:
            raise HTTPException(400, "The request broke off.") from None
        await run_in_threadpool(body.write, b"".join(waiting))
        await run_in_threadpool(body.end)
        return await run_in_threadpool(_file, request, filing, body.others)


def _place(request: DicomwebRequest) -> Path:
    """Give the folder to store in, once it is clear that something may be stored there."""
    request.check_accepts_json()
    request.check_uids()
    return request.folder


class _Body(Protocol):
    """Takes the bytes of a request."""

    others: int
    """Parts that are no instances."""

    def write(self, data: bytes) -> None:
        """Take some of them."""
        ...

    def end(self) -> None:
        """Take notice that these were all."""
        ...


def _body(request: DicomwebRequest, filing: Filing) -> _Body:
    kind = content_type(request.http.headers.get("content-type", ""))
    if kind.name == _DICOM:
        return _Single(filing)
    boundary = kind.parameters.get("boundary", "")
    if kind.name != "multipart/related" or kind.parameters.get("type", _DICOM) != _DICOM:
        raise HTTPException(
            415, f'Instances are stored as multipart/related; type="{_DICOM}", or one as {_DICOM}: as files of PS3.10.'
        )
    if not 0 < len(boundary) <= _MAX_BOUNDARY or not boundary.isascii():
        raise HTTPException(400, "The Content-Type names no boundary of 70 characters at most.")
    return _Multipart(filing, boundary)


class _Single:
    """A body that is an instance."""

    def __init__(self, filing: Filing) -> None:
        self.others = 0
        self._arrival = filing.begin()

    def write(self, data: bytes) -> None:
        self._arrival.file.write(data)

    def end(self) -> None:
        self._arrival.check()


class _Multipart:
    """A body with an instance in each part (RFC 2046 5.1)."""

    def __init__(self, filing: Filing, boundary: str) -> None:
        self.others = 0
        self._filing = filing
        self._arrival: Arrival | None = None
        self._headers: list[tuple[bytearray, bytearray]] = []
        self._is_value = self._is_whole = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_begin": self._begin_header,
                "on_header_field": self._take_field,
                "on_header_value": self._take_value,
                "on_headers_finished": self._open,
                "on_part_data": self._take,
                "on_part_end": self._close,
                "on_end": self._end,
            },
        )

    def write(self, data: bytes) -> None:
        try:
            self._parser.write(data)
        except ParseError:  # its message holds bytes of the body
            raise _NOT_MULTIPART from None

    def end(self) -> None:
        if not self._is_whole:
            raise _NOT_MULTIPART

    def _begin(self) -> None:
        self._headers = []
        if len(self._filing.arrivals) + self.others >= _MOST_PARTS:
            raise HTTPException(413, f"A request may have {_MOST_PARTS:,} parts.")

    def _begin_header(self) -> None:
        self._headers.append((bytearray(), bytearray()))

    def _take_field(self, data: bytes, start: int, end: int) -> None:
        self._add_to_header(self._headers[-1][0], data[start:end])

    def _take_value(self, data: bytes, start: int, end: int) -> None:
        self._add_to_header(self._headers[-1][1], data[start:end])

    def _add_to_header(self, part: bytearray, data: bytes) -> None:
        part += data
        if len(self._headers) > _MOST_HEADERS or len(part) > _MAX_HEADER:
            raise HTTPException(400, "The header of a part is too long.")

    def _open(self) -> None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in self._headers}
        if content_type(headers.get("content-type", _DICOM)).name == _DICOM:
            self._arrival = self._filing.begin()
        else:
            self.others += 1

    def _take(self, data: bytes, start: int, end: int) -> None:
        if self._arrival:
            self._arrival.file.write(memoryview(data)[start:end])

    def _close(self) -> None:
        if self._arrival:
            self._arrival.check()
            self._arrival = None

    def _end(self) -> None:
        self._is_whole = True


def _file(request: DicomwebRequest, filing: Filing, others: int) -> Response:
    """Put what is an instance in its place, and answer what became of each."""
    if not filing.arrivals and not others:
        raise HTTPException(400, "The request holds no instance.")
    keeper = request.keeper
    for arrival in filing.arrivals:
        if arrival.fault is None:
            _file_one(request, filing, arrival)
    stored = [arrival for arrival in filing.arrivals if arrival.fault is None]
    if stored:
        keeper.look([arrival.name for arrival in stored], lambda inventory: _has(inventory, stored), PATIENCE)
    return _answer(request, filing.arrivals, others)


def _file_one(request: DicomwebRequest, filing: Filing, arrival: Arrival) -> None:
    if request.uids and arrival.uids[:1] != request.uids:
        arrival.fault = Fault.OF_ANOTHER_STUDY
        return
    with request.keeper.inventory() as inventory:
        if places_of(inventory, arrival.uids):
            arrival.fault = Fault.THERE_ALREADY
            return
    try:
        filing.put(arrival)
    except StorageFull:
        arrival.fault = Fault.NO_ROOM


def _has(inventory: Inventory, stored: Sequence[Arrival]) -> bool:
    return all(places_of(inventory, arrival.uids) for arrival in stored)


def _answer(request: DicomwebRequest, arrivals: Sequence[Arrival], others: int) -> Response:
    """Tell what became of each instance (PS3.18 I.2)."""
    answer: dict[str, Any] = {}
    stored = [arrival for arrival in arrivals if arrival.fault is None]
    failed = [arrival for arrival in arrivals if arrival.fault and arrival.uids]
    nameless = [arrival.fault for arrival in arrivals if arrival.fault and not arrival.uids]
    studies = {arrival.uids[0] for arrival in stored}
    if len(studies) == 1:
        put(answer, "RetrieveURL", url_of(request.base, (*studies,)))
    sequences = {
        "ReferencedSOPSequence": [_item(request, arrival) for arrival in stored],
        "FailedSOPSequence": [_item(request, arrival) for arrival in failed],
        "OtherFailuresSequence": [_reason({}, fault) for fault in (*nameless, *[Fault.NOT_READABLE] * others)],
    }
    for keyword, items in sequences.items():
        if items:
            answer[f"{tag_of(keyword):08X}"] = {"vr": "SQ", "Value": items}
    status = 200 if len(stored) == len(arrivals) + others else 202 if stored else 409
    return Response(orjson.dumps(answer), status, media_type=JSON)


def _item(request: DicomwebRequest, arrival: Arrival) -> dict[str, Any]:
    item: dict[str, Any] = {}
    put(item, "ReferencedSOPClassUID", arrival.sop_class)
    put(item, "ReferencedSOPInstanceUID", arrival.uids[-1])
    if arrival.fault:
        return _reason(item, arrival.fault)
    put(item, "RetrieveURL", url_of(request.base, arrival.uids))
    return item


def _reason(item: dict[str, Any], fault: Fault) -> dict[str, Any]:
    put(item, "FailureReason", str(_REASONS[fault]))
    return item
