# The row of one file while it is written.


@cython.final
cdef class RowWriter:
    """Writes what plain elements are, and asks the records of `dicombq.rows.record` for all others."""

    cdef Output out
    cdef Output others
    """Entries of OtherElements, those of the innermost record last."""
    cdef Output columns
    cdef Table table
    cdef object record_type, instance
    cdef list records, nodes, positions
    """By level: the record, where one was needed; the place, and which of its items."""
    cdef list uids
    cdef long long number
    cdef bint model, is_utc

    def __cinit__(self, Table table, record_type, zone):
        table.rows += 1
        self.table, self.number = table, table.rows
        self.out, self.others, self.columns = output(), output(), output()
        self.record_type, self.model = record_type, record_type is MetadataRecord
        self.instance, self.is_utc = Instance(zone), zone is dt.timezone.utc
        self.records, self.nodes, self.positions = [None] * MAX_LEVELS, [None] * MAX_LEVELS, [0] * MAX_LEVELS
        self.records[0] = record_type(self.instance)
        self.uids = ["", "", ""]

    cdef int end(self) except -1:
        """Give back what another row may use."""
        release(self.out)
        release(self.others)
        release(self.columns)
        self.out = self.others = self.columns = None
        return 0

    cdef object row(self):
        columns = self.table.columns(self.columns.slice(0))
        if self.instance.columns:
            columns = columns.union(self.instance.columns)
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

    cdef inline int enter(self, Node node, long long position) except -1:
        """Begin an item of a sequence."""
        cdef int depth = node.depth
        self.records[depth], self.nodes[depth], self.positions[depth] = None, node, position
        return self.out.put_byte(0x2C)

    cdef object record(self, int depth):
        """Give the record of a level, for what is not plain."""
        record = self.records[depth]
        if record is None:
            record = self.record(depth - 1).item((<Node> self.nodes[depth]).found, self.positions[depth])
            self.records[depth] = record
        return record

    cdef inline int use(self, int column, long long seen) except -1:
        if column >= 0 and seen != self.number:
            memcpy(self.columns.more(4), &column, 4)
        return 0

    cdef bint add(self, Node node, Slot slot, Input data, long long start, long long stop, Around around) except -1:
        """Add an element that is not a sequence; tell whether it has a column."""
        cdef Output out = self.others if slot.to_other else self.out
        cdef Py_ssize_t begin = out.size
        cdef int answer
        if slot.how.way == NOTHING:
            return False
        if slot.how.way == SLOW or (slot.is_datetime and not self.is_utc):
            answer = NOT_PLAIN
        elif start == stop:
            answer = EMPTY
        else:
            out.put(slot.head)
            answer = write_value(out, data, slot.how, start, stop, around.letters)
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
                    node.other_seen = self.number
        if answer == NOT_PLAIN:
            return self.add_slowly(node, slot, data, start, stop, around)
        if slot.to_other:
            self.use(node.other_column, node.other_seen)
            node.other_seen = self.number
        else:
            self.use(slot.column, slot.seen)
            slot.seen = self.number
        return True

    cdef bint add_slowly(
        self, Node node, Slot slot, Input data, long long start, long long stop, Around around
    ) except -1:
        """Add an element as the walker does."""
        record = self.record(node.depth)
        record.used = False
        record.add(slot.tag, slot.vr, data.slice(start, stop), slot.how.little, around.context.charset)
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
