"""A moving part of a file: what was read of it, and no more than is there."""

from __future__ import annotations

import struct
import zlib
from typing import BinaryIO

from dicombq.dicom import tags
from dicombq.rows import part10
from dicombq.rows.base import FarFile, HandOver

PREFIX = 16 << 10
"""Bytes of the first read; most headers are shorter."""

MAX_HEADER = 64 << 20
"""Bytes that are read of one instance at most, read-ahead counted; the reference reads more."""

_READ_AHEAD = 1 << 20
_BEHIND_A_GAP = 1 << 10  # what was passed over, such as fragments of pixel data, is as a rule followed by more of it

_DELIMITER = b"\xfe\xff\xdd\xe0\0\0\0\0"
_JPEG_ENDS = (b"\xff\xd9" + _DELIMITER, b"\xff\xd9\0" + _DELIMITER)  # a fragment has even length (PS3.5 A.4)

_LITTLE, _BIG = struct.Struct("<HHL"), struct.Struct(">HHL")


class Window:
    """The bytes of a file from `base` on, as far as they were read. It only moves forward.

    Parameters
    ----------
    head
        The file's first bytes, read already.
    size
        The file's bytes.
    """

    def __init__(self, file: BinaryIO, head: bytes, size: int) -> None:
        self.file = file
        self.buffer = head
        self.base = 0
        self.size = size
        self._taken = 0

    def take(self, start: int, stop: int) -> bytes:
        """Give the bytes between two positions of the file, fewer where it ends; those before may be forgotten."""
        if stop > self.base + len(self.buffer):
            self.read_on(start, stop)
        return self.buffer[start - self.base : stop - self.base]

    def read_on(self, start: int, stop: int) -> None:
        """Read until the buffer reaches a position, or the file's end; then the buffer begins at `start`."""
        kept = self.buffer[start - self.base :]
        position = start + len(kept)
        missing = min(stop, self.size) - position
        if missing <= 0:
            return
        ahead = max(PREFIX, min(self._taken, _READ_AHEAD)) if kept else _BEHIND_A_GAP
        length = min(max(missing, ahead), self.size - position)
        self._taken += length
        if self._taken > MAX_HEADER:
            raise HandOver("a header beyond the limit")
        self.file.seek(position)
        data = self.file.read(length)
        if len(data) < length:
            raise HandOver("a file shorter than its size")
        self.base, self.buffer = start, kept + data

    def read_mark(self, position: int, end: int, little_endian: bool) -> tuple[int, int]:
        """Read the tag of an item or a delimiter, and its length."""
        head = self.take(position, min(position + 8, end))
        if len(head) < 8:
            raise HandOver("a sequence that ends early")
        group, number, length = _LITTLE.unpack(head) if little_endian else _BIG.unpack(head)
        return group << 16 | number, length

    def skip_fragments(self, position: int, end: int, little_endian: bool) -> int:
        """Pass over the fragments of encapsulated pixel data (PS3.5 A.4) without reading them; give where they end."""
        is_table = True
        while True:
            mark, length = self.read_mark(position, end, little_endian)
            position += 8
            if mark == tags.SEQUENCE_DELIMITATION_ITEM and not length:
                return position
            if mark != tags.ITEM or length == tags.UNDEFINED_LENGTH:
                raise HandOver("pixel data that is not encapsulated in items")
            if is_table and isinstance(self.file, FarFile):
                if not length and end == self.size and self._ends_with_jpeg():
                    return end
                position += self._last_frame(position, length, end)
            position += length
            is_table = False

    def _last_frame(self, table: int, length: int, end: int) -> int:
        """Give the offset of the last frame in a Basic Offset Table: each one before it would be a request."""
        if not length:
            return 0
        position = table + length
        offset = int.from_bytes(self.take(position - 4, position), "little")
        if length % 4 or position > end or self.read_mark(position + offset, end, little_endian=True)[0] != tags.ITEM:
            raise HandOver("a Basic Offset Table that does not fit")
        return offset

    def _ends_with_jpeg(self) -> bool:
        """Tell whether the file ends with a JPEG image (its End of Image marker) and the delimiter behind it.

        Without a Basic Offset Table each fragment is a request; where pixel data plainly comes last, none is needed.
        """
        self.file.seek(max(self.size - len(_JPEG_ENDS[1]), 0))
        return self.file.read(len(_JPEG_ENDS[1])).endswith(_JPEG_ENDS)

    def inflate(self, position: int) -> None:
        """Go on at the start of the data set that is deflated from a position on."""
        self.file.seek(position)
        try:
            self.file = part10.inflate(self.file)
        except zlib.error:
            raise HandOver("a damaged deflated data set") from None
        self.size = self.file.seek(0, 2)
        if self.size == part10.MAX_INFLATED:
            raise HandOver("a deflated data set beyond the limit")
        self.base, self.buffer = 0, b""
