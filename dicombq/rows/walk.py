"""The state of a walk over a file, apart from the walking: limits, encoding, and elements that concern others."""

from __future__ import annotations

import datetime as dt
from typing import BinaryIO, Final

from dicombq.dicom import tags
from dicombq.dicom.text import charset
from dicombq.dicom.values import utc_offset
from dicombq.rows import part10, window
from dicombq.rows.base import HandOver
from dicombq.rows.handlers import DROP, SKIP, SPECIAL, Context, handlers_of, make_context
from dicombq.rows.part10 import Encoding
from dicombq.rows.record import Record
from dicombq.rows.runs import Place, memory
from dicombq.table.mapping import Column

MAX_ELEMENTS = 100_000
"""Elements of a data set or item."""

MAX_ALL_ELEMENTS = 500_000
"""Elements and items of one instance, all those in sequences too; the reference reads more."""

# Whose elements the walker walks over
META: Final = 0
DATA_SET: Final = 1
ITEM: Final = 2
OPEN_ITEM: Final = 3  # a delimiter ends it

NOWHERE = Place()
"""A place where nothing is remembered."""


class Walk(window.Window):
    """A walk over one file.

    Attributes
    ----------
    elements
        Elements and items so far.
    late_zone
        Timezone Offset From UTC (0008,0201), where it stands behind a DT that needs it.
    """

    def __init__(
        self, file: BinaryIO, head: bytes, size: int, record_type: type[Record], max_element_size: int
    ) -> None:
        super().__init__(file, head, size)
        self.record_type = record_type
        self.max_element_size = max_element_size
        self.places: dict[str, Place] | None = None
        self.use(Encoding(implicit=False, little_endian=True))
        self.late_zone: dt.timezone | None = None
        self.meta: dict[int, bytes] = {}
        self.elements = 0
        self.has_datetime = False
        self.has_pixel_data = False

    def use(self, encoding: Encoding) -> None:
        """Read what follows in an encoding."""
        self.encoding = encoding
        self.handlers = handlers_of(encoding)
        self.unpack, self.unpack_long = self.handlers.unpack, self.handlers.unpack_long

    def place(self, path: str) -> Place:
        """Give what is remembered of the items at a path, of files of this kind."""
        if self.places is None:
            return NOWHERE
        place = self.places.get(path)
        if place is None:
            if memory.is_full:
                return NOWHERE
            place = self.places[path] = memory.new_place()
        place.visit()
        return place

    def count(self, elements: int) -> None:
        """Count the elements of a data set or item."""
        self.elements += elements
        if elements > MAX_ELEMENTS or self.elements > MAX_ALL_ELEMENTS:
            raise HandOver("more elements than an instance has")

    def leave_out(
        self, record: Record, step: int, tag: int, vr: str, found: Column, stop: int, end: int, *, top: bool, big: bool
    ) -> tuple[int, int]:
        """Pass over an element that has no column, or is too big, without reading it."""
        if big and not top:
            raise HandOver("an item beyond the limit")
        if big and step in (SKIP, SPECIAL):
            raise HandOver("an element that should be small")
        if big:
            record.drop(found.name)
        elif step == DROP:
            record.place(tag, vr)  # which says so, where the record would hold it at all
        self.has_pixel_data = self.has_pixel_data or (top and tag in tags.PIXEL_DATA)
        if top and stop > len(self.buffer):
            return self.skip(stop), end - stop
        return stop, end

    def finish(self, position: int, end: int, level: int, previous: int) -> int:
        """Look at what is left where no more element fits."""
        if level == OPEN_ITEM:
            raise HandOver("an item that ends early")
        rest = self.extend(end)[position:end]
        if rest and (level != DATA_SET or (rest.strip(b"\0\r\n") and not self.has_pixel_data)):
            raise HandOver("bytes behind the last element")
        if level == DATA_SET and previous >> 16 < tags.FIRST_GROUP:
            raise HandOver("a data set without elements")
        return end

    def note(self, record: Record, tag: int, data: bytes, context: Context, level: int) -> Context:
        """Take in an element that says how others are to be read."""
        if level == META:
            self.meta[tag] = data
        elif tag == tags.SPECIFIC_CHARACTER_SET:
            own = charset(data)
            if not own.known or b"\0" in data.rstrip(b" \0"):
                raise HandOver("a character set that is not known")
            return make_context(own, context.signed, context.settled)
        elif tag == tags.PIXEL_REPRESENTATION and len(data) == 2:
            return make_context(context.charset, 1 in data, context.settled)
        elif level == DATA_SET and tag == tags.SOP_CLASS_UID and part10.uid(data) == part10.DICOMDIR:
            raise HandOver("a DICOMDIR")
        elif level == DATA_SET and tag == tags.TIMEZONE_OFFSET_FROM_UTC and data:
            zone = utc_offset(part10.uid(data)) or dt.timezone.utc
            if zone != record.instance.zone and self.has_datetime:
                self.late_zone = zone
            record.instance.zone = zone
        return context
