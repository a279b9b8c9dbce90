"""The row of an instance, straight from its header's bytes: the fast path.

Elements are found by one look-up on their tag and VR as they stand in the file. Their bytes are converted by
`dicombq.dicom.values` and their columns decided by `dicombq.table.mapping`, as in the reference; what was converted
once is remembered. Whatever is not plainly well-formed is handed over to the reference, whole.
"""

from __future__ import annotations

import datetime as dt
import struct
import zlib
from typing import Any, BinaryIO, NamedTuple

from dicombq.dicom import tags
from dicombq.dicom.dictionary import AMBIGUOUS_SIGN, is_private, is_private_creator, lookup, private_block
from dicombq.dicom.text import DEFAULT, Charset, charset
from dicombq.dicom.values import parse, utc_offset
from dicombq.rows import part10
from dicombq.rows.base import HandOver, NotAnInstance, Row
from dicombq.rows.handlers import DROP, MARK, SEQUENCE, SKIP, SPECIAL, Handler, make_handler
from dicombq.rows.part10 import Encoding
from dicombq.rows.record import Instance, Record
from dicombq.table.mapping import MAX_ELEMENT_SIZE, MAX_RECORD_DEPTH, Column, Kind

__all__ = ["MAX_HEADER", "PREFIX", "HandOver", "read_row"]

PREFIX = 16 << 10
"""Bytes of the first read; most headers are shorter."""

MAX_HEADER = 64 << 20
"""Bytes that are read of one instance at most, read-ahead counted; the reference reads more."""

MAX_ELEMENTS = 100_000
"""Elements of a data set or item."""

MAX_ALL_ELEMENTS = 500_000
"""Elements and items of one instance, all those in sequences too; the reference reads more."""

_MAX_HANDLERS = 1 << 16
_MAX_REMEMBERED = 1 << 14
_MAX_REMEMBERED_SIZE = 64
_MOST_RECORDS = 2  # levels that the column of a plain value needs: a PN

_META_GROUP = b"\x02\x00"
_handlers: dict[Encoding, dict[bytes, Handler]] = {}
_remembered: dict[bytes, Any] = {}
"""Plain values that cannot be changed, by tag, VR, byte order and bytes: most of a series are the same."""

# an element's first eight bytes: tag, VR and short length, or tag and length under Implicit VR
_HEADERS = {
    Encoding(implicit, little_endian): struct.Struct(("<" if little_endian else ">") + ("4sL" if implicit else "6sH"))
    for implicit in (False, True)
    for little_endian in (False, True)
}
_LENGTHS = {True: struct.Struct("<L"), False: struct.Struct(">L")}


# Whose elements the walker walks over
_META = 0
_DATA_SET = 1
_ITEM = 2
_OPEN_ITEM = 3  # a delimiter ends it


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
    if len(_remembered) > _MAX_REMEMBERED:
        _remembered.clear()
    head = file.read(min(max(PREFIX, part10.HEAD), size))
    start = part10.dataset_start(head[: part10.HEAD], size, claims=claims)
    zone = dt.timezone.utc
    for _ in range(2):
        record = record_type(Instance(zone))
        try:
            _Walker(file, head[:PREFIX], size, max_element_size).walk_file(record, start)
            return record.row()
        except _OtherZone as other:
            zone = other.zone
    raise HandOver("two time zones")


class _OtherZone(Exception):
    """Timezone Offset From UTC (0008,0201) stands behind a DT that needs it."""

    def __init__(self, zone: dt.timezone) -> None:
        super().__init__()
        self.zone = zone


class _Context(NamedTuple):
    """What an item inherits from the data set around it.

    Parameters
    ----------
    settled
        Whether Pixel Representation, if there is any, was seen in all data sets around it.
    """

    charset: Charset = DEFAULT
    signed: bool = False
    settled: bool = True


class _Walker:
    """Walks over one file: `buffer` holds what was read of it, from `base` on; positions are in the buffer."""

    def __init__(self, file: BinaryIO, head: bytes, size: int, max_element_size: int) -> None:
        self.file = file
        self.buffer = head
        self.base = 0
        self.size = size
        self.max_element_size = max_element_size
        self.use(Encoding(implicit=False, little_endian=True))
        self.meta: dict[int, bytes] = {}
        self.taken = 0
        self.elements = 0
        self.has_datetime = False
        self.has_pixel_data = False

    def use(self, encoding: Encoding) -> None:
        """Read what follows in an encoding."""
        self.encoding = encoding
        self.handlers = _handlers.setdefault(encoding, {})
        self.unpack = _HEADERS[encoding].unpack_from
        self.unpack_long = _LENGTHS[encoding.little_endian].unpack_from

    def walk_file(self, record: Record, start: int) -> None:
        """Walk over File Meta Information and data set."""
        position = start
        if self.extend(start + 8)[start : start + 2] == _META_GROUP:
            position = self.walk(record, start, self.size, _Context(), level=_META)
        if part10.uid(self.meta.get(tags.MEDIA_STORAGE_SOP_CLASS_UID, b"")) == part10.DICOMDIR:
            raise NotAnInstance("a DICOMDIR")
        syntax = part10.uid(self.meta.get(tags.TRANSFER_SYNTAX_UID, b"")) or None
        if syntax == part10.DEFLATED_LITTLE_ENDIAN:
            position = self.inflate(position)
        first = self.extend(position + 8)[position : position + 6]
        if self.base + position + 8 > self.size:
            raise HandOver("a data set without elements")
        self.use(part10.detect_encoding(syntax, first))
        self.walk(record, position, self.size - self.base, _Context(), level=_DATA_SET)

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
            self.taken += length
            if self.taken > MAX_HEADER:
                raise HandOver("a header beyond the limit")
        return self.buffer

    def skip(self, position: int) -> int:
        """Forget the buffer up to a position beyond it; give where that is now."""
        self.base += position
        self.buffer = b""
        return 0

    def walk(self, record: Record, position: int, end: int, context: _Context, level: int) -> int:  # noqa: C901, PLR0912, PLR0915 - it runs for each element, where a call costs as much as its work
        """Walk over the elements of a data set or item; give where it ends."""
        implicit = self.encoding.implicit
        top, in_meta = level <= _DATA_SET, level == _META
        too_big = self.max_element_size
        handlers, unpack, unpack_long, remembered = self.handlers, self.unpack, self.unpack_long, _remembered
        values, columns, path = record.values, record.instance.columns, record.path
        remembers = type(record) is Record and record.depth + _MOST_RECORDS <= MAX_RECORD_DEPTH
        creators: dict[int, str] = {}
        has_text = False  # that a character set which stands behind it would decide
        previous = -1
        buffer = self.buffer
        limit = min(len(buffer), end)
        for number in range(MAX_ELEMENTS + 1):
            if position + 12 > limit:
                buffer = self.extend(min(position + 12, end))
                limit = min(len(buffer), end)
                if position + 8 > limit:
                    self.elements += number
                    return self.finish(position, end, level, previous)
            key, length = unpack(buffer, position)
            if in_meta and key[:2] != _META_GROUP:
                return position
            step, tag, vr, wide, value_little_endian, found, memory, plain = handlers.get(key) or self.find_handler(
                key, creators, context, previous
            )
            start = position + 8
            if wide:
                if position + wide + 4 > limit:
                    raise HandOver("an element that ends early")
                (length,) = unpack_long(buffer, position + wide)
                start = position + wide + 4
            if tag <= previous:
                raise HandOver("elements that do not ascend")
            previous = tag
            stop: int = start + length

            if step >= SKIP or length >= too_big or stop > limit:
                if length == tags.UNDEFINED_LENGTH:
                    position, end = self.walk_undefined(record, step, tag, found, start, end, context, top=top)
                    has_text = True  # its items may have some
                elif stop > end:
                    raise HandOver("an element that ends early")
                elif step == MARK:
                    if tag == tags.ITEM_DELIMITATION_ITEM and level == _OPEN_ITEM and not length:
                        self.elements += number
                        return stop
                    raise HandOver("a delimiter in an odd place")
                elif length >= too_big or step in (SKIP, DROP):
                    position, end = self.leave_out(
                        record, step, tag, vr, found, stop, end, top=top, big=length >= too_big
                    )
                elif step == SEQUENCE:
                    self.extend(stop)
                    position = self.walk_sequence(record, tag, start, stop, context, is_open=False)
                    has_text = True
                else:
                    self.extend(stop)
                    previous -= 1  # once more, now that it is here
                buffer = self.buffer
                limit = min(len(buffer), end)
                continue

            position = stop
            data = buffer[start:stop]
            if step == SPECIAL:
                if tag == tags.SPECIFIC_CHARACTER_SET and has_text:
                    raise HandOver("text before its character set")
                context = self.note(record, tag, data, context, level)
            if plain and remembers:
                if not length and found.kind is Kind.VALUE:
                    record.used = True
                    columns.add(path + found.name)
                    continue
                known = remembered.get(memory_key := memory + data)
                if known is not None:
                    value = list(known) if type(known) is tuple else known
                else:
                    value = plain(data)
                    if value is not None and length <= _MAX_REMEMBERED_SIZE and type(value) is not dict:
                        remembered[memory_key] = tuple(value) if type(value) is list else value
                if value is not None:
                    record.used = True
                    if found.kind is Kind.VALUE:
                        columns.add(path + found.name)
                        values[found.name] = value
                    else:
                        columns.add(path + "OtherElements")
                        record.other.append({"Tag": found.name, "Data": value})
                        if implicit and is_private_creator(tag):
                            creators[private_block(tag)] = value[0]
                    continue
            if implicit and is_private_creator(tag) and data:
                creators[private_block(tag)] = str(parse("LO", data, True, DEFAULT)[0][0])
            if found.vr == "DT":
                self.has_datetime = True
            has_text = has_text or b"\x1b" in data or not data.isascii()
            record.add(tag, vr, data, value_little_endian, context.charset)
        raise HandOver("more elements than an instance has")

    def leave_out(
        self, record: Record, step: int, tag: int, vr: str, found: Column, stop: int, end: int, *, top: bool, big: bool
    ) -> tuple[int, int]:
        """Pass over an element that has no column, or is too big, without reading it."""
        if big and not top:
            raise HandOver("an item beyond the limit")
        if big and (step == SKIP or tag == tags.SPECIFIC_CHARACTER_SET):
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
        if level == _OPEN_ITEM:
            raise HandOver("an item that ends early")
        rest = self.extend(end)[position:end]
        if rest and (level != _DATA_SET or (rest.strip(b"\0\r\n") and not self.has_pixel_data)):
            raise HandOver("bytes behind the last element")
        if level == _DATA_SET and previous >> 16 < tags.FIRST_GROUP:
            raise HandOver("a data set without elements")
        return end

    def note(self, record: Record, tag: int, data: bytes, context: _Context, level: int) -> _Context:
        """Take in an element that says how others are to be read."""
        if level == _META:
            self.meta[tag] = data
        elif tag == tags.SPECIFIC_CHARACTER_SET:
            own = charset(data)
            if not own.known or b"\0" in data.rstrip(b" \0"):
                raise HandOver("a character set that is not known")
            return _Context(own, context.signed, context.settled)
        elif tag == tags.PIXEL_REPRESENTATION and len(data) == 2:
            return _Context(context.charset, 1 in data, context.settled)
        elif level == _DATA_SET and tag == tags.SOP_CLASS_UID and part10.uid(data) == part10.DICOMDIR:
            raise HandOver("a DICOMDIR")
        elif level == _DATA_SET and tag == tags.TIMEZONE_OFFSET_FROM_UTC and data:
            zone = utc_offset(part10.uid(data)) or dt.timezone.utc
            if zone != record.instance.zone and self.has_datetime:
                raise _OtherZone(zone)
            record.instance.zone = zone
        return context

    def walk_undefined(
        self, record: Record, step: int, tag: int, found: Column, start: int, end: int, context: _Context, *, top: bool
    ) -> tuple[int, int]:
        """Walk over a value of undefined length: a sequence, or encapsulated pixel data; give where it ends."""
        if tag in tags.PIXEL_DATA and step == DROP:
            record.drop(found.name)
            self.has_pixel_data = self.has_pixel_data or top
            return self.skip_fragments(start, end, top=top)
        is_sequence = step == SEQUENCE
        if self.encoding.implicit and lookup(tag) is None:
            is_sequence = self.extend(start + 4)[start : start + 4] == self.mark(tags.ITEM)
        if not is_sequence:
            raise HandOver("a value of undefined length that is no sequence")
        position = self.walk_sequence(record, tag, start, end, context, is_open=True)
        if top and position - start >= self.max_element_size:
            raise HandOver("a sequence of undefined length beyond the limit")
        return position, end

    def walk_sequence(
        self, record: Record, tag: int, position: int, end: int, context: _Context, *, is_open: bool
    ) -> int:
        """Walk over a sequence's items; give where it ends.

        Parameters
        ----------
        is_open
            Whether a delimiter ends it, and not `end`.
        """
        found = record.place(tag, "SQ")
        if found is None:
            if is_open:
                raise HandOver("a sequence of undefined length that is left out")
            return end
        settled = context.settled and tag > tags.PIXEL_REPRESENTATION
        context = _Context(context.charset, context.signed, settled)
        items: list[Record] = []
        limit = position + self.max_element_size
        while is_open or position < end:
            if position + 8 > end or position > limit:
                raise HandOver("a sequence that ends early, or is beyond the limit")
            buffer = self.extend(position + 8)
            mark = buffer[position : position + 4]
            (length,) = self.unpack_long(buffer, position + 4)
            position += 8
            if is_open and mark == self.mark(tags.SEQUENCE_DELIMITATION_ITEM) and not length:
                break
            if mark != self.mark(tags.ITEM):
                raise HandOver("a sequence that holds something else than items")
            self.elements += 1
            if self.elements > MAX_ALL_ELEMENTS:
                raise HandOver("more elements than an instance has")
            item = record.item(found, len(items))
            items.append(item)
            if length == tags.UNDEFINED_LENGTH:
                position = self.walk(item, position, end, context, _OPEN_ITEM)
            elif position + length > end:
                raise HandOver("an item that ends early")
            else:
                position = self.walk(item, position, position + length, context, _ITEM)
        record.add_sequence(tag, found, items)
        return position

    def skip_fragments(self, position: int, end: int, *, top: bool) -> tuple[int, int]:
        """Pass over the fragments of encapsulated pixel data (PS3.5 A.4) without reading them."""
        while True:
            if position + 8 > end:
                raise HandOver("pixel data that ends early")
            if top and position > len(self.buffer):
                position, end = self.skip(position), end - position
            buffer = self.extend(position + 8)
            mark = buffer[position : position + 4]
            (length,) = self.unpack_long(buffer, position + 4)
            position += 8
            if mark == self.mark(tags.SEQUENCE_DELIMITATION_ITEM) and not length:
                return position, end
            if mark != self.mark(tags.ITEM) or length == tags.UNDEFINED_LENGTH:
                raise HandOver("pixel data that is not encapsulated in items")
            position += length

    def mark(self, tag: int) -> bytes:
        """Write a delimiter's tag as it stands in the file."""
        return struct.pack("<HH" if self.encoding.little_endian else ">HH", tag >> 16, tag & 0xFFFF)

    def find_handler(self, key: bytes, creators: dict[int, str], context: _Context, previous: int) -> Handler:
        """Decide what to do with an element that stands here for the first time, or is not always the same."""
        implicit, little_endian = self.encoding
        group, element = struct.unpack_from("<HH" if little_endian else ">HH", key)
        tag = group << 16 | element
        creator = creators.get(tag >> 8, "") if is_private(tag) else ""
        entry = lookup(tag)
        ambiguous = entry is not None and entry.vr == AMBIGUOUS_SIGN and (implicit or key[4:] == b"UN")
        if ambiguous and not (context.settled and max(previous, tag) > tags.PIXEL_REPRESENTATION):
            raise HandOver("a sign that Pixel Representation may decide later")
        if implicit and is_private(tag) and tag & 0xFF00:  # its creator decides
            key += b" " + creator.encode()
            if key in self.handlers:
                return self.handlers[key]
        handler = make_handler(tag, None if implicit else key[4:], creator, context.signed, little_endian)
        if not (ambiguous or len(key) > _MAX_REMEMBERED_SIZE):
            if len(self.handlers) > _MAX_HANDLERS:
                self.handlers.clear()
            self.handlers[key] = handler
        return handler
