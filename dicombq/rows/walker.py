"""The row of an instance, straight from its header's bytes: the fast path.

Elements are found by one look-up on their tag and VR as they stand in the file. Their bytes are converted by
`dicombq.dicom.values` and their columns decided by `dicombq.table.mapping`, as in the reference. What a file shares
with those before it is walked over in one step (`dicombq.rows.runs`). Whatever is not plainly well-formed is handed
over to the reference, whole.
"""

from __future__ import annotations

import datetime as dt
import io
from typing import BinaryIO, Final

from dicombq.dicom import tags
from dicombq.dicom.dictionary import is_private_creator, lookup, private_block
from dicombq.dicom.text import DEFAULT
from dicombq.dicom.values import Json, parse
from dicombq.rows import part10, window
from dicombq.rows.base import HandOver, NotAnInstance, Row
from dicombq.rows.handlers import (
    DROP,
    MARK,
    OTHER,
    SEQUENCE,
    SKIP,
    SPECIAL,
    VALUE,
    Context,
    inside,
    make_context,
)
from dicombq.rows.items import MAX_PLAIN_DEPTH, PlainItems
from dicombq.rows.record import Instance, Record
from dicombq.rows.runs import Place, Run, make_run, memory
from dicombq.rows.walk import DATA_SET, ITEM, MAX_ELEMENTS, META, NOWHERE, OPEN_ITEM, Walk
from dicombq.table.mapping import MAX_ELEMENT_SIZE, Column, Kind

__all__ = ["HandOver", "read_row"]

_META_GROUP: Final = b"\x02\x00"


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
    walk = _Walker(file, head[: window.PREFIX], size, record_type, max_element_size)
    record = record_type(Instance())
    walk.walk_file(record, start)
    if walk.late_zone is not None:
        record = record_type(Instance(walk.late_zone))
        _Walker(file, head[: window.PREFIX], size, record_type, max_element_size).walk_file(record, start)
    return record.row()


_START = make_context(DEFAULT, signed=False, settled=True)


class _Walker(Walk):
    """Walks over one file."""

    plain: PlainItems | None = None

    def walk_file(self, record: Record, start: int) -> None:
        """Walk over File Meta Information and data set."""
        position = start
        if self.extend(start + 8)[start : start + 2] == _META_GROUP:
            position = self.walk(record, start, self.size, _START, level=META)
        if part10.uid(self.meta.get(tags.MEDIA_STORAGE_SOP_CLASS_UID, b"")) == part10.DICOMDIR:
            raise NotAnInstance("a DICOMDIR")
        syntax = part10.uid(self.meta.get(tags.TRANSFER_SYNTAX_UID, b"")) or None
        if syntax == part10.DEFLATED_LITTLE_ENDIAN:
            position = self.inflate(position)
        first = self.extend(position + 8)[position : position + 6]
        if self.base + position + 8 > self.size:
            raise HandOver("a data set without elements")
        self.use(part10.detect_encoding(syntax, first))
        self.places = memory.places((self.record_type, self.encoding, self.max_element_size))
        if self.record_type is Record:
            self.plain = PlainItems(self, self.handlers, record.instance, self.places)
        self.walk(record, position, self.size - self.base, _START, level=DATA_SET)

    def walk(  # noqa: C901, PLR0912, PLR0915 - it runs for each element, where a call costs as much as its work
        self,
        record: Record,
        position: int,
        end: int,
        context: Context,
        level: int,
        creators: dict[int, str] | None = None,
    ) -> int:
        """Walk over the elements of a data set or item; give where it ends."""
        implicit = self.encoding.implicit
        top, in_meta = level <= DATA_SET, level == META
        too_big = self.max_element_size
        handlers, unpack, unpack_long = self.handlers, self.unpack, self.unpack_long
        values, columns, path = record.values, record.instance.columns, record.path
        is_plain = self.record_type is Record and record.depth <= MAX_PLAIN_DEPTH
        place = self.place(path)
        runs = place.runs
        creators = creators or {}
        has_text = False  # that a character set which stands behind it would decide
        previous = -1
        buffer, base = self.buffer, self.base
        limit = min(len(buffer), end)
        starts: list[int] = []  # of the elements that stand next to each other, up to here, and that no run has
        in_runs = 0
        for number in range(MAX_ELEMENTS + 1):
            if position + 12 > limit:
                buffer = self.extend(min(position + 12, end))
                limit = min(len(buffer), end)
                if position + 8 > limit:
                    if starts:
                        self.learn(place, record, starts, position, buffer, context, creators)
                    self.count(number + in_runs)
                    return self.finish(position, end, level, previous)
            key, length = unpack(buffer, position)
            if in_meta and key[:2] != _META_GROUP:
                return position
            if key in runs:
                run = place.find(key, buffer, position, limit, context, creators, previous)
                if run:
                    if starts:
                        self.learn(place, record, starts, position, buffer, context, creators)
                    run.add_to(values, record.other, record.instance)
                    record.used = record.used or run.used
                    position += len(run.data)
                    previous = run.last
                    in_runs += run.elements - 1
                    self.elements += run.inner
                    continue
            step, tag, vr, wide, value_little_endian, found, name, plain = handlers.get(key) or handlers.find(
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
                begin = position
                if length == tags.UNDEFINED_LENGTH:
                    position, end = self.walk_undefined(record, step, tag, found, start, end, context, top=top)
                    has_text = True  # its items may have some
                elif stop > end:
                    raise HandOver("an element that ends early")
                elif step == MARK:
                    if tag == tags.ITEM_DELIMITATION_ITEM and level == OPEN_ITEM and not length:
                        if starts:
                            self.learn(place, record, starts, position, buffer, context, creators)
                        self.count(number + in_runs)
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
                if self.base != base or tag in tags.PIXEL_DATA:
                    if starts:
                        self.learn(place, record, starts, begin, buffer, context, creators)
                    base = self.base
                elif position != begin:
                    starts.append(begin)
                buffer = self.buffer
                limit = min(len(buffer), end)
                continue

            data = buffer[start:stop]
            if step > OTHER:
                if tag == tags.SPECIFIC_CHARACTER_SET and has_text:
                    raise HandOver("text before its character set")
                if starts:
                    self.learn(place, record, starts, position, buffer, context, creators)
                if step == SPECIAL:
                    context = self.note(record, tag, data, context, level)
                else:
                    self.has_datetime = True
                    plain = plain if record.instance.zone is dt.timezone.utc else None
                step = VALUE if found.kind is Kind.VALUE else OTHER
                if implicit and is_private_creator(tag) and data:
                    creators[private_block(tag)] = str(parse("LO", data, True, DEFAULT)[0][0])
            else:
                starts.append(position)
            position = stop
            if plain and is_plain:
                if not length and step == VALUE and vr != "PN":
                    record.used = True
                    columns.add(path + name)
                    continue
                value = plain(data)
                if value is not None:
                    record.used = True
                    if step == VALUE:
                        columns.add(path + name)
                        values[name] = value
                    else:
                        columns.add(path + "OtherElements")
                        record.other.append({"Tag": name, "Data": value})
                    continue
            if found.vr == "DT":
                self.has_datetime = True
            has_text = has_text or b"\x1b" in data or not data.isascii()
            record.add(tag, vr, data, value_little_endian, context.charset)
        raise HandOver("more elements than an instance has")

    def learn(
        self,
        place: Place,
        record: Record,
        starts: list[int],
        end: int,
        buffer: bytes,
        context: Context,
        creators: dict[int, str],
    ) -> None:
        """Remember what elements share with those before them; then there are none of them."""
        if place.compares and place is not NOWHERE:
            for shared, stop in place.shared(buffer, starts, end):
                ends = self.handlers.tag_at(buffer, shared[0]), self.handlers.tag_at(buffer, shared[-1])
                if ends[0] > tags.SPECIFIC_CHARACTER_SET:  # which no text may stand before
                    run = self.walk_alone(record, buffer[shared[0] : stop], context, creators, ends, len(shared))
                    if run:
                        place.remember(self.unpack(buffer, shared[0])[0], run)
        starts.clear()

    def walk_alone(
        self,
        record: Record,
        data: bytes,
        context: Context,
        creators: dict[int, str],
        ends: tuple[int, int],
        elements: int,
    ) -> Run | None:
        """Walk over some elements once more, as if nothing was around them; None where they depend on that."""
        alone = _Walker(io.BytesIO(), data, len(data), self.record_type, self.max_element_size)
        alone.use(self.encoding)
        twin = record.twin()
        try:
            alone.walk(twin, 0, len(data), context, ITEM if record.depth else DATA_SET, dict(creators))
        except HandOver:
            return None
        instance = twin.instance
        if alone.has_datetime or (record.depth and (instance.dropped or instance.notices)):  # they name the item
            return None
        return make_run(data, context, dict(creators), ends, (elements, alone.elements - elements), twin)

    def walk_undefined(
        self, record: Record, step: int, tag: int, found: Column, start: int, end: int, context: Context, *, top: bool
    ) -> tuple[int, int]:
        """Walk over a value of undefined length: a sequence, or encapsulated pixel data; give where it ends."""
        if tag in tags.PIXEL_DATA and step == DROP:
            record.drop(found.name)
            self.has_pixel_data = self.has_pixel_data or top
            return self.skip_fragments(start, end, self.handlers, top=top)
        is_sequence = step == SEQUENCE
        if self.encoding.implicit and lookup(tag) is None:
            is_sequence = self.extend(start + 4)[start : start + 4] == self.handlers.item
        if not is_sequence:
            raise HandOver("a value of undefined length that is no sequence")
        before = record.mark() if top else None
        position = self.walk_sequence(record, tag, start, end, context, is_open=True)
        if before and position - start >= self.max_element_size:
            record.undo(before)
            record.drop(found.name)
        return position, end

    def walk_sequence(
        self, record: Record, tag: int, position: int, end: int, context: Context, *, is_open: bool
    ) -> int:
        """Walk over a sequence's items, up to `end`, or to a delimiter where it is open; give where it ends."""
        found = record.place(tag, "SQ")
        if found is None:
            if is_open:
                raise HandOver("a sequence of undefined length that is left out")
            return end
        context, plain = inside(context, tag), self.plain
        items: list[Json] = []
        is_used = False
        limit = position + self.max_element_size
        while is_open or position < end:
            if position + 8 > end:
                raise HandOver("a sequence that ends early")
            if position > limit:  # of undefined length, or in one: that is left out
                items.clear()
            buffer = self.extend(position + 8)
            mark = buffer[position : position + 4]
            (length,) = self.unpack_long(buffer, position + 4)
            position += 8
            if is_open and mark == self.handlers.sequence_end and not length:
                break
            if mark != self.handlers.item:
                raise HandOver("a sequence that holds something else than items")
            is_open_item = length == tags.UNDEFINED_LENGTH
            stop = end if is_open_item else position + length
            if stop > end:
                raise HandOver("an item that ends early")
            answer = plain.attempt(record, found, position, stop, context, is_open=is_open_item) if plain else None
            if plain and answer:
                values, position, used = answer
                self.elements += plain.elements
                self.has_datetime = self.has_datetime or plain.has_datetime
            else:
                self.elements += 1
                item = record.item(found, len(items))
                position = self.walk(item, position, stop, context, OPEN_ITEM if is_open_item else ITEM)
                values, used = item.close(), item.used
            items.append(values)
            is_used = is_used or used
        record.add_sequence(tag, found, items, used=is_used)
        return position
