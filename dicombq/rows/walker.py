"""The row of an instance, straight from its header's bytes: the fast reader where nothing is compiled.

The elements' bytes are converted by `dicombq.dicom.values` and their columns decided by `dicombq.table.mapping`, as in
the reference. Whatever is not plainly well-formed is handed over to the reference, whole.
"""

from __future__ import annotations

import datetime as dt
import struct
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import BinaryIO, Final

from dicombq.dicom import tags
from dicombq.dicom.dictionary import is_private_creator, lookup, private_block
from dicombq.dicom.text import DEFAULT
from dicombq.dicom.values import Json, parse, utc_offset
from dicombq.rows import part10, window
from dicombq.rows.base import HandOver, NotAnInstance, Row
from dicombq.rows.handlers import NOTED, Context, Handler, Step, find, has_long_length
from dicombq.rows.part10 import Encoding
from dicombq.rows.record import Instance, Record
from dicombq.table.mapping import MAX_ELEMENT_SIZE

MAX_ELEMENTS = 100_000
"""Elements of a data set or item."""

MAX_ALL_ELEMENTS = 500_000
"""Elements and items of one instance, all those in sequences too; the reference reads more."""

META_GROUP: Final = b"\x02\x00"


def read_row(
    file: BinaryIO,
    size: int,
    *,
    claims: bool = True,
    record_type: type[Record] = Record,
    max_element_size: int = MAX_ELEMENT_SIZE,
) -> Row:
    """Read an instance's row; parameters and errors are those of `dicombq.rows.reference.read_row`.

    Raises
    ------
    HandOver
        For what is not plainly well-formed.
    """
    head = file.read(min(max(window.PREFIX, part10.HEAD), size))
    start = part10.dataset_start(head[: part10.HEAD], size, claims=claims)
    walker = _Walker(file, head[: window.PREFIX], size, max_element_size)
    record = record_type(Instance())
    walker.walk_file(record, start)
    if walker.late_zone is not None:
        record = record_type(Instance(walker.late_zone))
        _Walker(file, head[: window.PREFIX], size, max_element_size).walk_file(record, start)
    return record.row()


def check_start(meta: dict[int, bytes]) -> str | None:
    """Give the transfer syntax that File Meta Information names, if any.

    Raises
    ------
    NotAnInstance
        For a DICOMDIR.
    """
    if part10.uid(meta.get(tags.MEDIA_STORAGE_SOP_CLASS_UID, b"")) == part10.DICOMDIR:
        raise NotAnInstance("a DICOMDIR")
    return part10.uid(meta.get(tags.TRANSFER_SYNTAX_UID, b"")) or None


def check_end(rest: bytes, last: int, *, is_data_set: bool, has_pixel_data: bool) -> None:
    """Look at what is left of a data set, or of something in it, where no more element fits.

    Raises
    ------
    HandOver
        For bytes that are no padding, and for a data set without elements; `last` is the tag of its last one.
    """
    if rest and (not is_data_set or (rest.strip(b"\0\r\n") and not has_pixel_data)):
        raise HandOver("bytes behind the last element")
    if is_data_set and last >> 16 < tags.FIRST_GROUP:
        raise HandOver("a data set without elements")


class Level(Enum):
    """Whose elements the walker walks over."""

    META = auto()
    DATA_SET = auto()
    ITEM = auto()
    OPEN_ITEM = auto()
    """A delimiter ends it."""


@dataclass
class _Place:
    """What was seen so far of a data set or item.

    Parameters
    ----------
    previous
        The tag of the last element.
    has_text
        Whether a character set that comes now comes too late.
    """

    record: Record
    level: Level
    context: Context
    creators: dict[int, str] = field(default_factory=dict)
    previous: int = -1
    has_text: bool = False

    @property
    def is_top(self) -> bool:
        return self.level in (Level.META, Level.DATA_SET)


class _Walker(window.Window):
    """A walk over one file; positions are the file's.

    Attributes
    ----------
    late_zone
        Timezone Offset From UTC (0008,0201), where it stands behind a DT that needs it.
    """

    def __init__(self, file: BinaryIO, head: bytes, size: int, max_element_size: int) -> None:
        super().__init__(file, head, size)
        self.max_element_size = max_element_size
        self.late_zone: dt.timezone | None = None
        self._use(Encoding(implicit=False, little_endian=True))
        self._meta: dict[int, bytes] = {}
        self._elements = 0
        self._has_datetime = False
        self._has_pixel_data = False

    def _use(self, encoding: Encoding) -> None:
        """Read what follows in an encoding."""
        self._implicit, self._little_endian = encoding
        order = "<" if encoding.little_endian else ">"
        self._tag = struct.Struct(f"{order}HH")
        self._short, self._long = struct.Struct(f"{order}H"), struct.Struct(f"{order}L")

    def walk_file(self, record: Record, start: int) -> None:
        """Walk over File Meta Information and data set."""
        position = start
        if self.take(start, start + 2) == META_GROUP:
            position = self._walk(_Place(record, Level.META, Context()), start, self.size)
        syntax = check_start(self._meta)
        if syntax in part10.DEFLATED:
            self.inflate(position)
            position = 0
        first = self.take(position, position + 8)
        if len(first) < 8:
            raise HandOver("a data set without elements")
        self._use(part10.detect_encoding(syntax, first[:6]))
        self._walk(_Place(record, Level.DATA_SET, Context()), position, self.size)

    def _walk(self, place: _Place, position: int, end: int) -> int:
        """Walk over the elements of a data set or item; give where it ends."""
        for number in range(MAX_ELEMENTS + 1):
            head = self.take(position, min(position + 12, end))
            if len(head) < 8:
                self._count(number)
                return self._finish(place, position, end)
            if place.level is Level.META and head[:2] != META_GROUP:
                return position
            handler, start, length = self._read_head(place, head, position)
            if handler.tag <= place.previous:
                raise HandOver("elements that do not ascend")
            position = start + length
            if position > end and length != tags.UNDEFINED_LENGTH:
                raise HandOver("an element that ends early")
            if length == tags.UNDEFINED_LENGTH:
                position = self._walk_undefined(place, handler, start, end)
            elif handler.step is Step.MARK:
                self._count(number)
                return self._end_item(place, handler, position, length)
            elif length >= self.max_element_size or handler.step in (Step.SKIP, Step.DROP):
                self._leave_out(place, handler, length)
            elif handler.step is Step.SEQUENCE:
                self._walk_sequence(place, handler, start, position, is_open=False)
            else:
                self._add(place, handler, self.take(start, position))
            place.previous = handler.tag
        raise HandOver("more elements than an instance has")

    def _read_head(self, place: _Place, head: bytes, position: int) -> tuple[Handler, int, int]:
        """Read what stands before a value: give what to do with it, where it begins, and its length."""
        group, number = self._tag.unpack_from(head)
        tag = group << 16 | number
        written = None if self._implicit or group == 0xFFFE else head[4:6]
        handler = find(tag, written, place.creators, place.context, place.previous, self._little_endian)
        if has_long_length(tag, written):
            if len(head) < 12:
                raise HandOver("an element that ends early")
            return handler, position + 12, self._long.unpack_from(head, 8)[0]
        if written is None:
            return handler, position + 8, self._long.unpack_from(head, 4)[0]
        return handler, position + 8, self._short.unpack_from(head, 6)[0]

    def _count(self, elements: int) -> None:
        """Count the elements of a data set or item."""
        self._elements += elements
        if elements > MAX_ELEMENTS or self._elements > MAX_ALL_ELEMENTS:
            raise HandOver("more elements than an instance has")

    def _end_item(self, place: _Place, handler: Handler, position: int, length: int) -> int:
        if handler.tag != tags.ITEM_DELIMITATION_ITEM or place.level is not Level.OPEN_ITEM or length:
            raise HandOver("a delimiter in an odd place")
        return position

    def _finish(self, place: _Place, position: int, end: int) -> int:
        if place.level is Level.OPEN_ITEM:
            raise HandOver("an item that ends early")
        check_end(
            self.take(position, end),
            place.previous,
            is_data_set=place.level is Level.DATA_SET,
            has_pixel_data=self._has_pixel_data,
        )
        return end

    def _leave_out(self, place: _Place, handler: Handler, length: int) -> None:
        """Pass over an element that has no column, or is too big, without reading it."""
        is_big = length >= self.max_element_size
        if is_big and not place.is_top:
            raise HandOver("an item beyond the limit")
        if is_big and (handler.step is Step.SKIP or handler.tag in NOTED):
            raise HandOver("an element that should be small")
        if is_big:
            place.record.drop(handler.found.name)
        elif handler.step is Step.DROP:
            place.record.place(handler.tag, handler.vr)  # which says so, where the record would hold it at all
        self._has_pixel_data = self._has_pixel_data or (place.is_top and handler.tag in tags.PIXEL_DATA)

    def _add(self, place: _Place, handler: Handler, data: bytes) -> None:
        """Add an element that is not a sequence, and take in what it says of others."""
        tag = handler.tag
        if tag in NOTED:
            self._note(place, tag, data)
        if self._implicit and is_private_creator(tag) and data:
            place.creators[private_block(tag)] = str(parse("LO", data, True, DEFAULT)[0][0])
        self._has_datetime = self._has_datetime or handler.found.vr == "DT"
        place.has_text = place.has_text or b"\x1b" in data or not data.isascii()
        place.record.add(tag, handler.vr, data, handler.little_endian, place.context.charset)

    def _note(self, place: _Place, tag: int, data: bytes) -> None:
        if place.level is Level.META:
            self._meta[tag] = data
            return
        if tag == tags.SPECIFIC_CHARACTER_SET and place.has_text:
            raise HandOver("text before its character set")
        place.context = place.context.after(tag, data)
        if place.level is not Level.DATA_SET:
            return
        if tag == tags.SOP_CLASS_UID and part10.uid(data) == part10.DICOMDIR:
            raise HandOver("a DICOMDIR")
        if tag == tags.TIMEZONE_OFFSET_FROM_UTC and data:
            zone = utc_offset(part10.uid(data)) or dt.timezone.utc
            instance = place.record.instance
            if zone != instance.zone and self._has_datetime:
                self.late_zone = zone
            instance.zone = zone

    def _walk_undefined(self, place: _Place, handler: Handler, start: int, end: int) -> int:
        """Walk over a value of undefined length: a sequence, or encapsulated pixel data; give where it ends."""
        if handler.tag in tags.PIXEL_DATA and handler.step is Step.DROP:
            place.record.drop(handler.found.name)
            self._has_pixel_data = self._has_pixel_data or place.is_top
            return self.skip_fragments(start, end, self._little_endian)
        is_sequence = handler.step is Step.SEQUENCE
        if self._implicit and lookup(handler.tag) is None:
            is_sequence = self.read_mark(start, end, self._little_endian)[0] == tags.ITEM
        if not is_sequence:
            raise HandOver("a value of undefined length that is no sequence")
        before = place.record.mark() if place.is_top else None
        position = self._walk_sequence(place, handler, start, end, is_open=True)
        if before and position - start >= self.max_element_size:
            place.record.undo(before)
            place.record.drop(handler.found.name)
        return position

    def _walk_sequence(self, place: _Place, handler: Handler, position: int, end: int, *, is_open: bool) -> int:
        """Walk over a sequence's items, up to `end`, or to a delimiter where it is open; give where it ends."""
        place.has_text = True  # its items may have some
        record = place.record
        found = record.place(handler.tag, "SQ")
        if found is None:
            if is_open:
                raise HandOver("a sequence of undefined length that is left out")
            return end
        context = place.context.inside(handler.tag)
        items: list[Json] = []
        is_used = False
        limit = position + self.max_element_size
        while is_open or position < end:
            if position > limit:  # of undefined length, or in one: that is left out
                items.clear()
            mark, length = self.read_mark(position, end, self._little_endian)
            position += 8
            if is_open and mark == tags.SEQUENCE_DELIMITATION_ITEM and not length:
                break
            if mark != tags.ITEM:
                raise HandOver("a sequence that holds something else than items")
            is_open_item = length == tags.UNDEFINED_LENGTH
            stop = end if is_open_item else position + length
            if stop > end:
                raise HandOver("an item that ends early")
            self._elements += 1
            item = record.item(found, len(items))
            level = Level.OPEN_ITEM if is_open_item else Level.ITEM
            position = self._walk(_Place(item, level, context), position, stop)
            items.append(item.close())
            is_used = is_used or item.used
        record.add_sequence(handler.tag, found, items, used=is_used)
        return position
