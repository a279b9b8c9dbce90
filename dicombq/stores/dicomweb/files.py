"""Whole instances from and to a DICOMweb server: WADO-RS and STOW-RS (PS3.18 10.4, 10.5)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Any, BinaryIO

from python_multipart.exceptions import ParseError
from python_multipart.multipart import MultipartParser

from dicombq.errors import Failed, Temporary
from dicombq.stores.dicomweb.server import Server

_DICOM = "application/dicom"
_ANY_SYNTAX = f'multipart/related; type="{_DICOM}"; transfer-syntax=*, {_DICOM}; transfer-syntax=*'
"""As stored: without ``transfer-syntax=*`` a server gives Explicit VR Little Endian (PS3.18 8.7.3.5.2)."""

_CHUNK = 1 << 16
_FAILED_SEQUENCE, _FAILURE_REASON = "00081198", "00081197"
_DUPLICATE = 0x0111  # duplicate SOP Instance (PS3.7 C)


class Stored(Enum):
    """What a server did with an instance."""

    NEW = "stored"
    THERE_ALREADY = "there already, and left alone"


@contextmanager
def retrieve(server: Server, path: str) -> Iterator[Iterator[bytes]]:
    """Open an instance's file as the server stores it; its bytes come in pieces, as they arrive.

    Parameters
    ----------
    path
        The instance below the server's base URL, ``/studies/…/series/…/instances/…``.

    Raises
    ------
    NotFound, NotPermitted, Failed
        Before the first piece.
    Temporary
        Also between two pieces, where the answer breaks off: what came before is not the whole instance.
    """
    with server.stream(path, _ANY_SYNTAX) as (headers, pieces):
        kind, boundary = headers.get_content_type(), headers.get_boundary()
        if headers.get_content_maintype() == "multipart" and boundary:
            yield _only_part(pieces, boundary)
        elif kind in (_DICOM, "application/octet-stream"):
            yield pieces
        else:
            raise Failed(f"[{server.host}] answers with {kind}, not with an instance")


def _only_part(pieces: Iterator[bytes], boundary: str) -> Iterator[bytes]:
    parsed: list[bytes] = []
    state = {"parts": 0, "ended": False}

    def begin() -> None:
        state["parts"] += 1

    def end() -> None:
        state["ended"] = True

    def take(data: bytes, start: int, stop: int) -> None:
        if state["parts"] == 1:
            parsed.append(bytes(data[start:stop]))

    parser = MultipartParser(boundary, {"on_part_begin": begin, "on_part_data": take, "on_end": end})
    for piece in pieces:
        try:
            parser.write(piece)
        except ParseError:  # its message holds bytes of the file
            raise Failed("the DICOMweb server's answer is no multipart message") from None
        yield from parsed
        parsed.clear()
        if state["ended"]:
            return
    raise Temporary("the DICOMweb server's answer breaks off", "Run the command again.")


def store(server: Server, file: BinaryIO) -> Stored:
    """Send an instance; a server may refuse one that it has, or replace it.

    Parameters
    ----------
    file
        The instance's file, seekable; it is read once for each attempt.

    Raises
    ------
    Failed
        Where the server refuses the instance; the message has the reason's number (PS3.18 table I.2-2).
    DicombqError
        As for `Server.post`.
    """
    body = _Part(file)
    status, answer = server.post("/studies", body, f'multipart/related; type="{_DICOM}"; boundary={body.boundary}')
    reasons = _failure_reasons(answer)
    if _DUPLICATE in reasons:
        return Stored.THERE_ALREADY
    if reasons or status == 409:
        number = f" (reason {reasons[0]:04X})" if reasons else ""
        raise Failed(f"the DICOMweb server refuses the instance{number}", "The server's own log may say more.")
    return Stored.NEW


def _failure_reasons(answer: Any) -> list[int]:
    """Read the reasons of a STOW-RS answer (PS3.18 I.2), which servers write as a list too."""
    model = answer[0] if isinstance(answer, list) and answer else answer
    try:
        items = model.get(_FAILED_SEQUENCE, {}).get("Value", [])
        return [int(item.get(_FAILURE_REASON, {}).get("Value", [0])[0]) for item in items]
    except (AttributeError, IndexError, TypeError, ValueError):
        return []


class _Part:
    """The body of a request that stores one instance: a message of one part."""

    def __init__(self, file: BinaryIO) -> None:
        self.boundary = os.urandom(16).hex()
        self._head = f"--{self.boundary}\r\nContent-Type: {_DICOM}\r\n\r\n".encode()
        self._tail = f"\r\n--{self.boundary}--\r\n".encode()
        self._file = file

    def __len__(self) -> int:
        return len(self._head) + self._file.seek(0, os.SEEK_END) + len(self._tail)

    def __iter__(self) -> Iterator[bytes]:
        self._file.seek(0)
        yield self._head
        while piece := self._file.read(_CHUNK):
            yield piece
        yield self._tail
