# cython: language_level=3, boundscheck=True, wraparound=False, auto_pickle=False
"""The row of an instance, from its header's bytes to JSON bytes in one pass: the fast reader where it was compiled.

It walks as `dicombq.rows.walker` does and asks the same functions, but once for each element of each place
(`native_table.pxi`). Plain values are written at once (`native_values.pxi`, `native_numbers.pxi`); all others are given,
one by one, to `dicombq.rows.record` (`native_row.pxi`). Whatever is not plainly well-formed is handed over to the
reference, whole.
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
from dicombq.rows.base import HandOver
from dicombq.rows.metadata import MetadataRecord
from dicombq.rows.part10 import Encoding
from dicombq.rows.record import Instance, Record
from dicombq.table.mapping import MAX_ELEMENT_SIZE, OTHER_ELEMENTS, Kind, column_type

include "native_buffers.pxi"
include "native_values.pxi"
include "native_numbers.pxi"
include "native_table.pxi"
include "native_row.pxi"

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
    cdef RowWriter row
    cdef Output out
    """The row's."""
    cdef Table table
    cdef object window, late_zone
    cdef dict meta
    cdef long long max_element_size, elements, max_elements, max_all_elements
    cdef bint implicit, little, has_datetime, has_pixel_data
    cdef bint used
    """Whether the record that was walked over last has a column."""

    def __cinit__(self, window, record_type, max_element_size, zone):
        self.table = table()
        self.window, self.input, self.row = window, Input(window), RowWriter(self.table, record_type, zone)
        self.out, self.max_element_size, self.meta, self.little = self.row.out, max_element_size, {}, True
        self.max_elements, self.max_all_elements = walker.MAX_ELEMENTS, walker.MAX_ALL_ELEMENTS

    def run(self, start):
        """Give the row, or the time zone to begin again with."""
        try:
            self.read(start)
            return (self.row.row(), None) if self.late_zone is None else (None, self.late_zone)
        finally:
            self.row.end()
            self.out = None

    cdef int read(self, long long start) except -1:
        """Walk over File Meta Information and data set."""
        cdef Py_ssize_t begin = self.out.size
        cdef Around around = self.table.start
        cdef long long position = start
        if self.window.take(start, start + 2) == walker.META_GROUP:
            self.input.take_over()
            root = self.table.root(self.row.record_type, False, True)
            position = self.walk(root, start, self.window.size, META, around)
        syntax = walker.check_start(self.meta)
        if syntax in part10.DEFLATED:
            self.window.inflate(position)
            position = 0
        first = self.window.take(position, position + 8)
        self.input.take_over()
        if len(first) < 8:
            raise HandOver("a data set without elements")
        self.implicit, self.little = part10.detect_encoding(syntax, first[:6])
        root = self.table.root(self.row.record_type, self.implicit, self.little)
        self.walk(root, position, self.window.size, DATA_SET, around)
        return self.row.close(begin, 0)

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
            tag = data.tag(position, self.little)
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
                slot = self.table.find(node, key, creators, around, previous)
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
                written = self.row.flush(node.depth, written)

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
                    self.row.flush(node.depth, written)
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
                    self.row.record(node.depth).add(
                        tag, slot.vr, data.slice(start, stop), slot.how.little, around.context.charset
                    )
                else:
                    used = self.row.add(node, slot, data, start, stop, around) or used
            previous = tag
        self.count(number)
        if level == OPEN_ITEM:
            raise HandOver("an item that ends early")
        if gathers:
            self.row.flush(node.depth, written)
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
            if zone != self.row.instance.zone and self.has_datetime:
                self.late_zone = zone
            self.row.instance.zone = zone
            self.row.is_utc = zone is dt.timezone.utc
        return self.table.after(around, tag, value)

    cdef int leave_out(self, Node node, Slot slot, long long length, int level) except -1:
        """Pass over an element that has no column, or is too big, without reading it."""
        cdef bint is_big = length >= self.max_element_size
        if is_big and level > DATA_SET:
            raise HandOver("an item beyond the limit")
        if is_big and (slot.step == SKIP or slot.noted):
            raise HandOver("an element that should be small")
        if is_big:
            self.row.record(node.depth).drop(slot.handler.found.name)
        elif slot.step == DROP:
            self.row.record(node.depth).place(slot.tag, slot.vr)
        self.has_pixel_data = self.has_pixel_data or (level <= DATA_SET and slot.is_bulk_pixels)
        return 0

    cdef long long walk_undefined(
        self, Node node, Slot slot, long long start, long long end, int level, Around around
    ) except -1:
        """Walk over a value of undefined length: a sequence, or encapsulated pixel data; give where it ends."""
        cdef Py_ssize_t begin = self.out.size, columns = self.row.columns.size
        cdef long long position
        if slot.is_bulk_pixels and slot.step == DROP:
            self.row.record(node.depth).drop(slot.handler.found.name)
            self.has_pixel_data = self.has_pixel_data or level <= DATA_SET
            position = self.window.skip_fragments(start, end, self.little)
            self.input.take_over()
            return position
        is_sequence = slot.step == SEQUENCE
        if self.implicit and lookup(slot.tag) is None:
            is_sequence = self.mark(start, end) == _ITEM
        if not is_sequence:
            raise HandOver("a value of undefined length that is no sequence")
        before = self.row.record(0).mark() if level <= DATA_SET else None
        position = self.walk_sequence(node, slot, start, end, around, True)
        if before is not None and position - start >= self.max_element_size:
            self.used = False
            self.out.cut(begin)
            self.row.columns.cut(columns)
            self.row.record(0).undo(before)
            self.row.record(0).drop(slot.handler.found.name)
        return position

    cdef long long walk_sequence(
        self, Node node, Slot slot, long long position, long long end, Around around, bint is_open
    ) except -1:
        """Walk over a sequence's items, up to `end`, or to a delimiter where it is open; give where it ends."""
        cdef Node inner = self.table.inner(node, slot)
        cdef Py_ssize_t begin = self.out.size, first, item, others
        cdef long long limit = position + self.max_element_size, stop, length, count = 0
        cdef unsigned int mark
        cdef bint used = False
        self.used = False
        if inner is None:
            self.row.record(node.depth).place(slot.tag, "SQ")
            if is_open:
                raise HandOver("a sequence of undefined length that is left out")
            return end
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
            self.row.enter(inner, count)
            item, others = self.out.size, self.row.others.size
            position = self.walk(inner, position, stop, OPEN_ITEM if length == UNDEFINED else ITEM, around)
            self.row.close(item, others)
            used = used or self.used
            count += 1
        if self.row.model and not count:
            self.out.cut(begin)
            self.out.put(b',"%08X":{"vr":"SQ"}' % slot.tag)
        elif self.row.model or used:
            if self.out.size > first:
                self.out.replace(first, 0x5B)  # where a comma was
            self.out.put(b"]}" if self.row.model else b"]")
        else:
            self.out.cut(begin)
        self.used = used
        return position

    cdef unsigned int mark(self, long long position, long long end) except? 0:
        """Read the tag of an item or a delimiter; its length is there, too."""
        if position + 8 > end:
            raise HandOver("a sequence that ends early")
        self.input.fill(position, position + 8)
        if position + 8 > self.input.reach:
            raise HandOver("a sequence that ends early")
        return self.input.tag(position, self.little)
