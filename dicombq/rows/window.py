"""A moving part of a file: what was read of it, and no more than is there."""

from __future__ import annotations

import zlib
from typing import BinaryIO

from dicombq.rows import part10
from dicombq.rows.base import HandOver

PREFIX = 16 << 10
"""Bytes of the first read; most headers are shorter."""

MAX_HEADER = 64 << 20
"""Bytes that are read of one instance at most, read-ahead counted; the reference reads more."""

_READ_AHEAD = 1 << 20
_BEHIND_A_GAP = 1 << 10  # what was passed over, such as fragments of pixel data, is as a rule followed by more of it


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
