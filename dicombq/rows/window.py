"""A moving part of a file: what was read of it, and no more than is there."""

from __future__ import annotations

import zlib
from typing import BinaryIO

from dicombq.dicom import tags
from dicombq.rows import part10
from dicombq.rows.base import FarFile, HandOver
from dicombq.rows.handlers import Handlers

PREFIX = 16 << 10
"""Bytes of the first read; most headers are shorter."""

MAX_HEADER = 64 << 20
"""Bytes that are read of one instance at most, read-ahead counted; the reference reads more."""

TAIL = 4 << 10
"""Bytes at the end of a far file that tell whether it ends with its pixel data."""

_BEHIND = (b"\xfa\xff\xfa\xff", b"\xff\xfa\xff\xfa", b"\xfc\xff\xfc\xff", b"\xff\xfc\xff\xfc")
"""The tags of what may stand behind pixel data, signatures and padding, in either order of bytes."""


class Window:
    """The bytes of a file from `base` on, as far as they were read; positions are in the `buffer`."""

    def __init__(self, file: BinaryIO, head: bytes, size: int) -> None:
        self.file = file
        self.buffer = head
        self.base = 0
        self.size = size
        self._taken = 0

    def inflate(self, position: int) -> int:
        """Go on in the inflated data set."""
        self.file.seek(self.base + position)
        try:
            self.file = part10.inflate(self.file)
        except zlib.error:
            raise HandOver("a damaged deflated data set") from None
        self.size = self.file.seek(0, 2)
        if self.size == part10.MAX_INFLATED:
            raise HandOver("a deflated data set beyond the limit")
        self.base, self.buffer = 0, b""
        return 0

    def extend(self, end: int) -> bytes:
        """Read on until the buffer reaches `end`, or the file's end; what was read stays where it is."""
        missing = end - len(self.buffer)
        if missing > 0:
            position = self.base + len(self.buffer)
            self.file.seek(position)
            length = min(max(missing, len(self.buffer), PREFIX), self.size - position)
            data = self.file.read(max(length, 0))
            if len(data) < length:
                raise HandOver("a file shorter than its size")
            self.buffer += data
            self._taken += length
            if self._taken > MAX_HEADER:
                raise HandOver("a header beyond the limit")
        return self.buffer

    def skip(self, position: int) -> int:
        """Forget the buffer up to a position beyond it; give where that is now."""
        self.base += position
        self.buffer = b""
        return 0

    def skip_fragments(self, position: int, end: int, handlers: Handlers, *, top: bool) -> tuple[int, int]:
        """Pass over the fragments of encapsulated pixel data (PS3.5 A.4) without reading them."""
        if top and self._ends_with_fragments(handlers):
            return self.skip(end), 0
        while True:
            if position + 8 > end:
                raise HandOver("pixel data that ends early")
            if top and position > len(self.buffer):
                position, end = self.skip(position), end - position
            buffer = self.extend(position + 8)
            mark = buffer[position : position + 4]
            (length,) = handlers.unpack_long(buffer, position + 4)
            position += 8
            if mark == handlers.sequence_end and not length:
                return position, end
            if mark != handlers.item or length == tags.UNDEFINED_LENGTH:
                raise HandOver("pixel data that is not encapsulated in items")
            position += length

    def _ends_with_fragments(self, handlers: Handlers) -> bool:
        """Tell whether a far file plainly ends with its pixel data; of a near one each fragment is looked at."""
        if not isinstance(self.file, FarFile):
            return False
        self.file.seek(max(self.size - TAIL, 0))
        tail = self.file.read(TAIL)
        behind = any(tag in tail for tag in _BEHIND)
        return tail.endswith(handlers.sequence_end + bytes(4)) and not behind
