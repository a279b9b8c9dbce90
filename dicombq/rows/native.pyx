# cython: language_level=3, boundscheck=True, wraparound=False, embedsignature=False
"""The row of an instance, from its header's bytes to JSON bytes in one pass: the fast reader where it was compiled.

It walks as `dicombq.rows.walker` does and asks the same functions, but once for each element of each place. Plain values
are written at once (`native_values.pxi`); all other values are given, one by one, to `dicombq.rows.record`. Whatever is
not plainly well-formed is handed over to the reference, whole.
"""

cimport cython

import datetime as dt
from struct import calcsize

import orjson

from dicombq.dicom import tags
from dicombq.dicom.dictionary import is_known_creator, is_private_creator, lookup, private_block
from dicombq.dicom.text import DEFAULT
from dicombq.dicom.values import (
    LEADING_SPACE_COUNTS,
    LOCALIZED_VRS,
    NAME_COMPONENTS,
    NAME_GROUPS,
    NUMBER_CODES,
    SINGLE_VALUED,
    TEXT_VRS,
    parse,
    utc_offset,
)
from dicombq.rows import handlers, part10, walker, window
from dicombq.rows.base import FarFile, HandOver
from dicombq.rows.metadata import MetadataRecord
from dicombq.rows.part10 import Encoding
from dicombq.rows.record import Instance, Record
from dicombq.table.mapping import MAX_ELEMENT_SIZE, OTHER_ELEMENTS, Kind, column_type

include "native_buffers.pxi"
include "native_values.pxi"
include "native_table.pxi"

cdef enum:
    UNDEFINED = 0xFFFFFFFF
    CHARACTER_SET = 0x00080005
    MAX_LEVELS = 100  # the records allow fewer

cdef enum Level:
    META = 0
    DATA_SET = 1
    ITEM = 2
    OPEN_ITEM = 3

cdef unsigned int _ITEM = tags.ITEM, _ITEM_END = tags.ITEM_DELIMITATION_ITEM
cdef unsigned int _SEQUENCE_END = tags.SEQUENCE_DELIMITATION_ITEM
cdef set _LONG_VRS = {vr[0] << 8 | vr[1] for vr in part10.LONG_VRS}
cdef object _START = handlers.Context()
cdef Table _table = Table()


def read_row(file, size, *, claims=True, record_type=Record, max_element_size=MAX_ELEMENT_SIZE):
    """Read an instance's row, as `dicombq.rows.walker.read_row` does."""
    head = file.read(min(max(window.PREFIX, part10.HEAD), size))
    start = part10.dataset_start(head[: part10.HEAD], size, claims=claims)
    head = head[: window.PREFIX]
    zone = row = None
    while row is None:  # again where the data set names its time zone behind what needs it
        reader = Reader(window.Window(file, head, size), record_type, max_element_size, zone or dt.timezone.utc)
        row, zone = reader.run(start)
    return row


@cython.final
cdef class Reader:
    """Reads one file."""

    cdef Input input
    cdef Output out
    cdef Output others
    """Entries of OtherElements, those of the innermost record last."""
    cdef Output columns
    cdef Table table
    cdef object window, record_type, instance, late_zone
    cdef list records, nodes, positions
    cdef list uids
    cdef dict meta
    cdef long long max_element_size, elements, row_number
    cdef long long max_elements, max_all_elements
    cdef bint model, implicit, little, is_utc, has_datetime, has_pixel_data
    cdef bint used
    """Whether the record that was walked over last has a column."""

    def __cinit__(self, window, record_type, max_element_size, zone):
        global _table
        if _table.count > MAX_SLOTS:
            _table = Table()
        self.table = _table
        self.table.rows += 1
        self.row_number = self.table.rows
        self.window, self.input = window, Input(window)
        self.out, self.others, self.columns = output(), output(), output()
        self.record_type, self.model, self.max_element_size = record_type, record_type is MetadataRecord, max_element_size
        self.instance = Instance(zone)
        self.records, self.nodes, self.positions = [None] * MAX_LEVELS, [None] * MAX_LEVELS, [0] * MAX_LEVELS
        self.records[0] = record_type(self.instance)
        self.uids, self.meta = ["", "", ""], {}
        self.max_elements, self.max_all_elements = walker.MAX_ELEMENTS, walker.MAX_ALL_ELEMENTS
        self.little, self.is_utc = True, zone is dt.timezone.utc

    def run(self, start):
        """Give the row, or the time zone to begin again with."""
        try:
            self.read(start)
            return (self.row(), None) if self.late_zone is None else (None, self.late_zone)
        finally:
            release(self.out)
            release(self.others)
            release(self.columns)
            self.out = self.others = self.columns = None

    cdef int read(self, long long start) except -1:
        """Walk over File Meta Information and data set."""
        cdef Py_ssize_t begin = self.out.size
        cdef Around around = self.table.start
        cdef long long position = start
        if self.window.take(start, start + 2) == walker.META_GROUP:
            self.input.take_over()
            position = self.walk(self.table.root(self.record_type, False, True), start, self.window.size, META, around)
        syntax = walker.check_start(self.meta)
        if syntax == part10.DEFLATED_LITTLE_ENDIAN:
            self.window.inflate(position)
            position = 0
        first = self.window.take(position, position + 8)
        self.input.take_over()
        if len(first) < 8:
            raise HandOver("a data set without elements")
        self.implicit, self.little = part10.detect_encoding(syntax, first[:6])
        root = self.table.root(self.record_type, self.implicit, self.little)
        self.walk(root, position, self.window.size, DATA_SET, around)
        return self.close(begin, 0)

    cdef object row(self):
        columns = self.table.columns(self.columns.slice(0))
        if self.instance.columns:
            columns |= self.instance.columns
        return self.record_type.finish(self.out.slice(0), columns, tuple(self.uids), self.instance)

    cdef int close(self, Py_ssize_t begin, Py_ssize_t others) except -1:
        """End the object of a record."""
        if self.others.size > others:
            self.out.put(b',"OtherElements":')
            self.others.replace(others, 0x5B)
            self.out.move(self.others, others)
            self.out.put_byte(0x5D)
        if self.out.size == begin:
            self.out.put_byte(0x7B)
        else:
            self.out.replace(begin, 0x7B)  # where a comma was
        return self.out.put_byte(0x7D)

    cdef long long walk(self, Node node, long long position, long long end, int level, Around around) except -1:
        """Walk over the elements of a data set or item; give where it ends."""
        cdef Input data = self.input
        cdef Slot slot, last = node.start
        cdef long long start, length, stop, number = 0, previous = -1
        cdef unsigned long long key
        cdef unsigned int tag
        cdef dict creators = None
        cdef set written = None  # columns of repeating groups
        cdef bint used = False, has_text = False, gathers = False, implicit = self.implicit and level != META
        while True:
            if position + 12 > data.reach:
                data.fill(position, min(position + 12, end))
            if position + 8 > min(data.reach, end):
                break
            tag = <unsigned int> (data.number(position, 2, self.little) << 16 | data.number(position + 2, 2, self.little))
            if level == META and tag >> 16 != 2:
                self.used = used
                return position
            if number >= self.max_elements:
                raise HandOver("more elements than an instance has")
            number += 1
            key = <unsigned long long> tag << 32
            if not implicit and tag >> 16 != 0xFFFE:
                key |= data.number(position + 4, 2, False) << 16
            slot = last.next
            if slot is None or slot.key != key or slot.ambiguous or slot.follows_creator:
                slot = self.find(node, key, creators, around, previous)
                last.next = slot
            last = slot
            start = position + 8
            if slot.wide:
                if position + 12 > min(data.reach, end):
                    raise HandOver("an element that ends early")
                length = data.number(position + 8, 4, self.little)
                start = position + 12
            elif implicit or slot.step == MARK:
                length = data.number(position + 4, 4, self.little)
            else:
                length = data.number(position + 6, 2, self.little)
            if tag <= previous:
                raise HandOver("elements that do not ascend")
            stop = start + length
            if gathers and not slot.is_repeating and slot.step != SKIP and slot.step != DROP:
                gathers = False
                written = self.flush(node.depth, written)

            if length == UNDEFINED:
                has_text = True
                self.used = False
                position = self.walk_undefined(node, slot, start, end, level, around)
                used = used or self.used
            elif stop > end:
                raise HandOver("an element that ends early")
            elif slot.step == MARK:
                if tag != _ITEM_END or level != OPEN_ITEM or length:
                    raise HandOver("a delimiter in an odd place")
                self.count(number - 1)
                if gathers:
                    self.flush(node.depth, written)
                self.used = used
                return stop
            elif length >= self.max_element_size or slot.step == SKIP or slot.step == DROP:
                self.leave_out(node, slot, length, level)
                position = stop
            elif slot.step == SEQUENCE:
                has_text = True
                position = self.walk_sequence(node, slot, start, stop, around, False)
                used = used or self.used
            else:
                position = stop
                if stop > data.reach:
                    data.fill(start, stop)
                if slot.noted or tag < CHARACTER_SET or (implicit and slot.is_creator):
                    value = data.slice(start, stop)
                    if slot.noted:
                        around = self.note(tag, value, level, around, has_text)
                    has_text = has_text or b"\x1b" in value or not value.isascii()
                    if implicit and slot.is_creator and length:
                        creators = {} if creators is None else creators
                        name = str(parse("LO", value, True, DEFAULT)[0][0])
                        creators[private_block(tag)] = self.table.creator(name)
                if slot.is_datetime:
                    self.has_datetime = True
                if slot.is_repeating:
                    if written is not None and slot.handler.found.name in written:
                        raise HandOver("repeating groups around other columns")
                    gathers = used = True
                    self.record(node.depth).add(
                        tag, slot.vr, data.slice(start, stop), slot.how.little, around.context.charset
                    )
                else:
                    used = self.add(node, slot, start, stop, around) or used
            previous = tag
        self.count(number)
        if level == OPEN_ITEM:
            raise HandOver("an item that ends early")
        if gathers:
            self.flush(node.depth, written)
        if position < end or level == DATA_SET:
            rest = self.window.take(position, end)
            data.take_over()
            is_data_set = level == DATA_SET
            walker.check_end(rest, previous, is_data_set=is_data_set, has_pixel_data=self.has_pixel_data)
        self.used = used
        return end

    cdef int count(self, long long elements) except -1:
        self.elements += elements
        if self.elements > self.max_all_elements:
            raise HandOver("more elements than an instance has")
        return 0

    cdef Slot find(self, Node node, unsigned long long key, dict creators, Around around, long long previous):
        """Find an element of a place, by its tag and VR and by what it depends on; made where it is new."""
        cdef Slot slot = node.slots.get(key)
        if slot is None:
            slot = self.make(node, key, 0, False)
        if slot.ambiguous:
            handlers.check_sign(slot.tag, around.context, previous)
            key |= 1 + around.signed
        elif slot.follows_creator and creators is not None:
            key |= <int> creators.get(slot.tag >> 8, 0)
        if key != slot.key:
            found = node.slots.get(key)
            slot = self.make(node, key, key & 0xFFFF, True) if found is None else found
        return slot

    cdef Slot make(self, Node node, unsigned long long key, int variant, bint known):
        """Ask what an element is; `known` is whether the variant is its private creator, or its sign."""
        cdef unsigned int tag = <unsigned int> (key >> 32)
        cdef int vr = <int> (key >> 16 & 0xFFFF)
        cdef Slot slot
        if self.table.count > MAX_NEW_SLOTS:
            raise HandOver("more different elements than an instance has")
        written = bytes((vr >> 8, vr & 0xFF)) if vr or not (self.implicit or tag >> 16 == 0xFFFE) else None
        ambiguous = handlers.is_ambiguous(tag, written)
        follows_creator = handlers.depends_on_creator(tag, written)
        creator = self.table.creator_names[variant] if follows_creator else ""
        handler = handlers.handler(tag, written, creator, ambiguous and variant == 2, self.little)
        slot = self.table.slot(self.record_type, node, key, handler, vr in _LONG_VRS)
        slot.ambiguous, slot.follows_creator = ambiguous and not known, follows_creator and not known
        node.slots[key] = slot
        return slot

    cdef object record(self, int depth):
        """Give the record of a level, for what is not plain."""
        record = self.records[depth]
        if record is None:
            record = self.record(depth - 1).item((<Node> self.nodes[depth]).found, self.positions[depth])
            self.records[depth] = record
        return record

    cdef inline int use(self, int column, long long seen) except -1:
        if column >= 0 and seen != self.row_number:
            memcpy(self.columns.more(4), &column, 4)
        return 0

    cdef bint add(self, Node node, Slot slot, long long start, long long stop, Around around) except -1:
        """Add an element that is not a sequence; tell whether it has a column."""
        cdef Output out = self.others if slot.to_other else self.out
        cdef Py_ssize_t begin = out.size, value
        cdef int answer
        if slot.how.way == NOTHING:
            return False
        if slot.how.way == SLOW or (slot.is_datetime and not self.is_utc):
            answer = NOT_PLAIN
        elif start == stop:
            answer = EMPTY
        else:
            out.put(slot.head)
            value = out.size
            answer = write_value(out, self.input, slot.how, start, stop, around.letters)
            if answer == WRITTEN:
                out.put(slot.tail)
                if slot.uid >= 0:
                    read = orjson.loads(b"{" + out.slice(begin + 1) + b"}")
                    self.uids[slot.uid] = self.record_type.uid(*read.values())
            else:
                out.cut(begin)
        if answer == EMPTY:
            if slot.of_nothing is None:
                answer = NOT_PLAIN
            else:
                self.out.put(slot.of_nothing)
                if slot.other_of_nothing:
                    self.others.put(slot.other_of_nothing)
                    self.use(node.other_column, node.other_seen)
                    node.other_seen = self.row_number
        if answer == NOT_PLAIN:
            return self.add_slowly(node, slot, start, stop, around)
        if slot.to_other:
            self.use(node.other_column, node.other_seen)
            node.other_seen = self.row_number
        else:
            self.use(slot.column, slot.seen)
            slot.seen = self.row_number
        return True

    cdef bint add_slowly(self, Node node, Slot slot, long long start, long long stop, Around around) except -1:
        """Add an element as the walker does."""
        record = self.record(node.depth)
        record.used = False
        record.add(slot.tag, slot.vr, self.input.slice(start, stop), slot.how.little, around.context.charset)
        if slot.uid >= 0:
            self.uids[slot.uid] = record.uid(record.values.get(record.UIDS[slot.uid]))
        self.flush(node.depth, None)
        return record.used

    cdef set flush(self, int depth, set names):
        """Write what a record holds; give the names of its columns, with those before."""
        record = self.record(depth)
        names = set() if names is None else names
        for name, value in record.values.items():
            self.out.put(_member(name, value))
            names.add(name)
        for entry in record.other:
            self.others.put(b"," + orjson.dumps(entry))
        record.values.clear()
        record.other.clear()
        return names

    cdef Around note(self, unsigned int tag, bytes value, int level, Around around, bint has_text):
        """Take in an element that says how others are to be read."""
        if level == META:
            self.meta[tag] = value
            return around
        if tag == CHARACTER_SET and has_text:
            raise HandOver("text before its character set")
        if level == DATA_SET and tag == tags.SOP_CLASS_UID and part10.uid(value) == part10.DICOMDIR:
            raise HandOver("a DICOMDIR")
        if level == DATA_SET and tag == tags.TIMEZONE_OFFSET_FROM_UTC and value:
            zone = utc_offset(part10.uid(value)) or dt.timezone.utc
            if zone != self.instance.zone and self.has_datetime:
                self.late_zone = zone
            self.instance.zone = zone
            self.is_utc = zone is dt.timezone.utc
        return self.table.after(around, tag, value)

    cdef int leave_out(self, Node node, Slot slot, long long length, int level) except -1:
        """Pass over an element that has no column, or is too big, without reading it."""
        cdef bint is_big = length >= self.max_element_size
        if is_big and level > DATA_SET:
            raise HandOver("an item beyond the limit")
        if is_big and (slot.step == SKIP or slot.noted):
            raise HandOver("an element that should be small")
        if is_big:
            self.record(node.depth).drop(slot.handler.found.name)
        elif slot.step == DROP:
            self.record(node.depth).place(slot.tag, slot.vr)
        self.has_pixel_data = self.has_pixel_data or (level <= DATA_SET and slot.is_bulk_pixels)
        return 0

    cdef long long walk_undefined(
        self, Node node, Slot slot, long long start, long long end, int level, Around around
    ) except -1:
        """Walk over a value of undefined length: a sequence, or encapsulated pixel data; give where it ends."""
        cdef Py_ssize_t begin = self.out.size, columns = self.columns.size
        cdef long long position
        if slot.is_bulk_pixels and slot.step == DROP:
            self.record(node.depth).drop(slot.handler.found.name)
            self.has_pixel_data = self.has_pixel_data or level <= DATA_SET
            return self.skip_fragments(start, end)
        is_sequence = slot.step == SEQUENCE
        if self.implicit and lookup(slot.tag) is None:
            is_sequence = self.mark(start, end) == _ITEM
        if not is_sequence:
            raise HandOver("a value of undefined length that is no sequence")
        before = self.record(0).mark() if level <= DATA_SET else None
        position = self.walk_sequence(node, slot, start, end, around, True)
        if before is not None and position - start >= self.max_element_size:
            self.used = False
            self.out.cut(begin)
            self.columns.cut(columns)
            self.record(0).undo(before)
            self.record(0).drop(slot.handler.found.name)
        return position

    cdef long long walk_sequence(
        self, Node node, Slot slot, long long position, long long end, Around around, bint is_open
    ) except -1:
        """Walk over a sequence's items, up to `end`, or to a delimiter where it is open; give where it ends."""
        cdef Node inner = self.inner(node, slot)
        cdef Py_ssize_t begin = self.out.size, first, item, others
        cdef long long limit = position + self.max_element_size, stop, length, count = 0
        cdef unsigned int mark
        cdef int depth
        cdef bint used = False
        self.used = False
        if inner is None:
            self.record(node.depth).place(slot.tag, "SQ")
            if is_open:
                raise HandOver("a sequence of undefined length that is left out")
            return end
        depth = inner.depth
        if slot.is_before_sign:
            if around.inner is None:
                around.inner = self.table.around(around.context.inside(slot.tag))
            around = around.inner
        self.out.put(inner.head)
        first = self.out.size
        while is_open or position < end:
            if position > limit:  # of undefined length, or in one: that is left out
                self.out.cut(first)
            mark = self.mark(position, end)
            length = self.input.number(position + 4, 4, self.little)
            position += 8
            if is_open and mark == _SEQUENCE_END and not length:
                break
            if mark != _ITEM:
                raise HandOver("a sequence that holds something else than items")
            stop = end if length == UNDEFINED else position + length
            if stop > end:
                raise HandOver("an item that ends early")
            self.elements += 1
            self.records[depth], self.nodes[depth], self.positions[depth] = None, inner, count
            self.out.put_byte(0x2C)
            item, others = self.out.size, self.others.size
            position = self.walk(inner, position, stop, OPEN_ITEM if length == UNDEFINED else ITEM, around)
            self.close(item, others)
            used = used or self.used
            count += 1
        if self.model and not count:
            self.out.cut(begin)
            self.out.put(b',"%08X":{"vr":"SQ"}' % slot.tag)
        elif self.model or used:
            if self.out.size > first:
                self.out.replace(first, 0x5B)  # where a comma was
            self.out.put(b"]}" if self.model else b"]")
        else:
            self.out.cut(begin)
        self.used = used
        return position

    cdef Node inner(self, Node node, Slot slot):
        """Give the place of a sequence's items; None where the record does not hold it."""
        if not slot.inner_known:
            slot.inner_known = True
            found = self.record_type(Instance(), node.path, None, 0, node.depth).place(slot.tag, "SQ")
            if found is not None:
                head = f'"{slot.tag:08X}":{{"vr":"SQ","Value":' if self.model else f'"{found.name}":'
                path, depth = f"{node.path}{found.name}.", node.depth + 1
                slot.inner = self.table.node(self.record_type, path, depth, found, f",{head}".encode())
        return slot.inner

    cdef unsigned int mark(self, long long position, long long end) except? 0:
        """Read the tag of an item or a delimiter; its length is there, too."""
        if position + 8 > end:
            raise HandOver("a sequence that ends early")
        self.input.fill(position, position + 8)
        if position + 8 > self.input.reach:
            raise HandOver("a sequence that ends early")
        return <unsigned int> (
            self.input.number(position, 2, self.little) << 16 | self.input.number(position + 2, 2, self.little)
        )

    cdef long long skip_fragments(self, long long position, long long end) except -1:
        """Pass over the fragments of encapsulated pixel data (PS3.5 A.4) without reading them."""
        cdef unsigned int mark
        cdef long long length
        cdef bint is_table = isinstance(self.window.file, FarFile)
        while True:
            mark = self.mark(position, end)
            length = self.input.number(position + 4, 4, self.little)
            position += 8
            if mark == _SEQUENCE_END and not length:
                return position
            if mark != _ITEM or length == UNDEFINED:
                raise HandOver("pixel data that is not encapsulated in items")
            if is_table and length:
                length += self.last_frame(position, length, end)
            position += length
            is_table = False

    cdef long long last_frame(self, long long table, long long length, long long end) except -1:
        """Give the offset of the last frame in a Basic Offset Table: each one before it would be a request."""
        cdef long long position = table + length, offset
        if length % 4 or position > end:
            raise HandOver("a Basic Offset Table that does not fit")
        self.input.fill(position - 4, position)
        offset = self.input.number(position - 4, 4, True)
        if self.mark(position + offset, end) != _ITEM:
            raise HandOver("a Basic Offset Table that does not fit")
        return offset
