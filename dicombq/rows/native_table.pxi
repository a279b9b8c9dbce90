# What is known of elements, by tag and VR as they stand in the file and by the place of their data set or item: asked
# once of the dictionary and the mapping, then shared by all files.

cdef enum:
    MAX_SLOTS = 20_000       # elements of all places; beyond that all is forgotten before the next file
    MAX_NEW_SLOTS = 100_000  # and in the middle of a file it is given up
    MAX_COLUMN_SETS = 262_144  # columns in all sets that are remembered
    MAX_CONTEXTS = 256
    MAX_AFTER = 64  # of each context, and bytes of a value

cdef enum Step:
    ADD = 0
    SKIP = 1
    DROP = 2
    SEQUENCE = 3
    MARK = 4

cdef set _LONG_VRS = {vr[0] << 8 | vr[1] for vr in part10.LONG_VRS}
cdef object _START = handlers.Context()
cdef dict _STEPS = {
    handlers.Step.ADD: ADD,
    handlers.Step.SKIP: SKIP,
    handlers.Step.DROP: DROP,
    handlers.Step.SEQUENCE: SEQUENCE,
    handlers.Step.MARK: MARK,
}
cdef dict _WAYS = {"DA": DATE, "DT": DATETIME, "PN": NAME, "TM": TIME}
cdef dict _MODEL_WAYS = {"DS": MODEL_DECIMAL, "IS": MODEL_INTEGER, "PN": MODEL_NAME, "AT": MODEL_TAG}


@cython.final
cdef class Around:
    """What a data set or item inherits, and what it says of its own elements: a `handlers.Context`."""

    cdef object context
    cdef Letters letters
    cdef int signed
    cdef Around inner
    """That of items in front of Pixel Representation."""
    cdef dict after
    """Those behind elements that say how others are to be read, by tag and value."""


@cython.final
cdef class Slot:
    """An element at a place."""

    cdef unsigned long long key
    cdef unsigned int tag
    cdef Step step
    cdef bint ambiguous
    """Whether its sign has to be known first, and then another slot is the right one."""
    cdef bint follows_creator
    """Whether its private creator has to be known first, and then another slot is the right one."""
    cdef bint wide
    cdef bint noted
    cdef bint is_creator
    cdef bint is_datetime
    cdef bint is_repeating
    cdef bint to_other
    cdef bint is_bulk_pixels
    cdef bint is_before_sign
    """Whether its items stand in front of Pixel Representation."""
    cdef How how
    cdef bytes head, tail
    """What stands around a value."""
    cdef bytes of_nothing, other_of_nothing
    """What an empty element adds, to OtherElements too; None where the long way finds out each time."""
    cdef int uid
    cdef int column
    cdef long long seen
    """The row that last had the column."""
    cdef object handler
    cdef str vr
    cdef Slot next
    """The element that last stood behind it."""
    cdef bint inner_known
    cdef Node inner


@cython.final
cdef class Node:
    """A place: the data set, or the items of a sequence."""

    cdef object record_type
    cdef bint implicit, little
    cdef str path
    cdef int depth
    cdef object found
    """The sequence's column."""
    cdef bytes head
    """What stands before its items."""
    cdef dict slots
    cdef Slot start
    """Its `next` is the first element."""
    cdef int other_column
    cdef long long other_seen


@cython.final
cdef class Table:
    """All places of all kinds of files."""

    cdef dict roots
    cdef int count
    cdef long long rows
    cdef list names
    """Of columns, by their number."""
    cdef dict numbers
    cdef dict sets
    """By the numbers of the columns that a row has, each as four bytes."""
    cdef Py_ssize_t set_sizes
    cdef dict creators
    cdef list creator_names
    cdef dict contexts
    cdef Around start

    def __cinit__(self):
        self.roots, self.names, self.numbers, self.sets, self.contexts = {}, [], {}, {}, {}
        self.creators, self.creator_names = {"": 0}, [""]
        self.start = self.around(_START)

    cdef Node root(self, object record_type, bint implicit, bint little):
        key = record_type, implicit, little
        found = self.roots.get(key)
        if found is None:
            found = self.roots[key] = self.node(record_type, implicit, little, "", 0)
        return found

    cdef Node node(self, object record_type, bint implicit, bint little, str path, int depth):
        cdef Node node = Node()
        node.record_type, node.implicit, node.little, node.path, node.depth = record_type, implicit, little, path, depth
        node.slots, node.start = {}, Slot()
        node.other_column = self.number(path + OTHER_ELEMENTS.name) if record_type is Record else -1
        return node

    cdef int number(self, str name) except -2:
        found = self.numbers.get(name)
        if found is None:
            found = self.numbers[name] = len(self.names)
            self.names.append(name)
        return found

    cdef int creator(self, str name) except -1:
        """Number the private creators that a private dictionary knows, from 1 on; 0 stands for all others."""
        if not is_known_creator(name):
            return 0
        found = self.creators.get(name)
        if found is None:
            found = self.creators[name] = len(self.creator_names)
            self.creator_names.append(name)
        return found

    cdef Around around(self, object context):
        cdef Around found = self.contexts.get(context)
        if found is None:
            if len(self.contexts) > MAX_CONTEXTS:
                self.contexts.clear()
            found = self.contexts[context] = Around()
            found.context, found.signed, found.after = context, context.signed, {}
            charset = context.charset
            if not charset.extended:
                found.letters = LATIN if charset.g1 == "iso8859_1" else UTF_8 if charset.g1 == "utf_8" else ASCII
        return found

    cdef Around after(self, Around around, unsigned int tag, bytes value):
        """Give what is around elements behind one that says how others are to be read."""
        key = tag, value
        found = around.after.get(key)
        if found is None:
            found = self.around(around.context.after(tag, value))
            if len(around.after) < MAX_AFTER and len(value) < MAX_AFTER:
                around.after[key] = found
        return found

    cdef object columns(self, bytes numbers):
        """Give the set of columns with these numbers; the same one for the same numbers."""
        found = self.sets.get(numbers)
        if found is None:
            each = memoryview(numbers).cast("i")
            self.set_sizes += len(each)
            if self.set_sizes > MAX_COLUMN_SETS:
                self.sets.clear()
                self.set_sizes = len(each)
            found = self.sets[numbers] = frozenset([self.names[number] for number in each])
        return found

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
        if self.count > MAX_NEW_SLOTS:
            raise HandOver("more different elements than an instance has")
        written = bytes((vr >> 8, vr & 0xFF)) if vr or not (node.implicit or tag >> 16 == 0xFFFE) else None
        ambiguous = handlers.is_ambiguous(tag, written)
        follows_creator = handlers.depends_on_creator(tag, written)
        creator = self.creator_names[variant] if follows_creator else ""
        handler = handlers.handler(tag, written, creator, ambiguous and variant == 2, node.little)
        slot = self.slot(node, key, handler, vr in _LONG_VRS)
        slot.ambiguous, slot.follows_creator = ambiguous and not known, follows_creator and not known
        node.slots[key] = slot
        return slot

    cdef Node inner(self, Node node, Slot slot):
        """Give the place of a sequence's items; None where the record does not hold it."""
        if not slot.inner_known:
            slot.inner_known = True
            found = node.record_type(Instance(), node.path, None, 0, node.depth).place(slot.tag, "SQ")
            if found is not None:
                is_model = node.record_type is MetadataRecord
                head = f'"{slot.tag:08X}":{{"vr":"SQ","Value":' if is_model else f'"{found.name}":'
                path, depth = f"{node.path}{found.name}.", node.depth + 1
                slot.inner = self.node(node.record_type, node.implicit, node.little, path, depth)
                slot.inner.found, slot.inner.head = found, f",{head}".encode()
        return slot.inner

    cdef Slot slot(self, Node node, unsigned long long key, object handler, bint written_wide):
        """Decide all that follows from an element's handler and place."""
        cdef Slot slot = Slot()
        self.count += 1
        slot.key, slot.tag, slot.vr, slot.handler = key, handler.tag, handler.vr, handler
        slot.step, slot.wide = _STEPS[handler.step], written_wide
        slot.noted = handler.tag in handlers.NOTED
        slot.is_creator = is_private_creator(handler.tag)
        slot.is_bulk_pixels = handler.tag in tags.PIXEL_DATA
        slot.is_datetime = handler.found.vr == "DT"
        slot.is_repeating = handler.found.kind is Kind.REPEATING and node.record_type is Record
        slot.is_before_sign = _START.inside(handler.tag) is not _START
        slot.uid, slot.column = -1, -1
        slot.how = How()
        slot.how.little = handler.little_endian
        if slot.step == ADD:
            _decide(self, slot, node.record_type, node)
        return slot


cdef bytes _member(str name, object value):
    """Write a member of a JSON object, with a comma in front."""
    cdef bytes written = orjson.dumps({name: value})
    return b"," + written[1 : len(written) - 1]


cdef int _decide(Table table, Slot slot, object record_type, Node node) except -1:
    """Decide how an element's value is written."""
    cdef bint model = record_type is MetadataRecord
    found = slot.handler.found
    twin = record_type(Instance(), node.path, None, 0, node.depth)
    if twin.place(slot.tag, slot.vr) is None:
        slot.how.way = SLOW if twin.instance.dropped else NOTHING
        return 0
    name = f"{slot.tag:08X}" if model else found.name
    slot.to_other = found.kind is Kind.OTHER and not model
    if model:
        slot.head, slot.tail = f',"{name}":{{"vr":"{slot.vr}","Value":'.encode(), b"}"
    elif slot.to_other:
        slot.head, slot.tail = f',{{"Tag":"{name}","Data":'.encode(), b"}"
    else:
        slot.head, slot.tail = f',"{name}":'.encode(), b""
        slot.column = table.number(node.path + name)
    if node.depth == 0 and not slot.to_other and name in record_type.UIDS:
        slot.uid = record_type.UIDS.index(name)
    _decide_way(slot, found, model)
    if slot.is_repeating:
        return 0
    twin.add(slot.tag, slot.vr, b"", True, DEFAULT)
    if not twin.instance.notices:
        slot.of_nothing = b"".join([_member(key, value) for key, value in twin.values.items()])
        slot.other_of_nothing = b"".join([b"," + orjson.dumps(entry) for entry in twin.other])
    return 0


cdef int _decide_way(Slot slot, object found, bint model) except -1:
    cdef How how = slot.how
    cdef str vr = slot.vr
    how.many = model or slot.to_other or found.repeated
    how.nulls = model
    how.quoted = how.keeps_empty = slot.to_other
    how.localized = vr in LOCALIZED_VRS
    how.keeps_leading = vr in LEADING_SPACE_COUNTS
    how.single_valued = vr in SINGLE_VALUED
    is_like_column = model or (not found.vr if slot.to_other else column_type(found.vr) == column_type(vr))
    if slot.is_repeating or not is_like_column or (slot.to_other and vr in ("FL", "FD")):
        how.way = SLOW
    elif vr in NUMBER_CODES or vr == "AT":
        how.way = TAG if vr == "AT" else FLOAT if vr in ("FL", "FD") else INTEGER
        how.signed = vr in ("SL", "SS", "SV")
        how.size = 4 if vr == "AT" else calcsize("<" + NUMBER_CODES[vr])
        if model and vr == "AT":
            how.way = MODEL_TAG
    elif vr in TEXT_VRS:
        how.way = TEXT
        if model:
            how.way = _MODEL_WAYS.get(vr, TEXT)
        elif not slot.to_other:
            how.way = _WAYS.get(vr, TEXT)
            how.keeps_empty = vr == "PN"
    return 0


cdef Table _table = Table()


cdef Table table():
    """Give the table that all files share."""
    global _table
    if _table.count > MAX_SLOTS:
        _table = Table()
    return _table
