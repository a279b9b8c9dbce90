# Bytes that come and bytes that go. Memory is read and written by address here and nowhere else, each time within
# bounds that were just looked at.

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy

cdef enum:
    FIRST_ROOM = 8192
    MAX_SPARES = 8
    MAX_SPARE_ROOM = 1048576
    MAX_BYTES = 268435456  # a warehouse takes less than half of it in a row

# What a byte of text is to JSON and to the values of an element
cdef enum:
    PLAIN = 0
    SPLIT = 1  # the backslash, between values (PS3.5 6.2)
    QUOTE = 2
    WHITE = 4  # the control characters that text may hold (PS3.5 6.1.3)
    HIGH = 8   # beyond ASCII: the character set decides
    ODD = 16   # all other: the escape character, NUL, controls

cdef unsigned char[256] KINDS

cdef int _fill_kinds() except -1:
    cdef int byte
    for byte in range(256):
        if byte >= 0x80:
            KINDS[byte] = HIGH
        elif byte in b"\t\n\f\r":
            KINDS[byte] = WHITE
        elif byte < 0x20 or byte == 0x7F:
            KINDS[byte] = ODD
        else:
            KINDS[byte] = SPLIT if byte == 0x5C else QUOTE if byte == 0x22 else PLAIN
    return 0

_fill_kinds()


@cython.final
cdef class Input:
    """What was read of a file. Positions are the file's; what is not there raises IndexError."""

    cdef object window
    cdef bytes buffer
    cdef const unsigned char *data
    cdef long long base
    cdef long long reach
    """Where the bytes end that were read."""

    def __cinit__(self, window):
        self.window = window
        self.take_over()

    cdef int take_over(self) except -1:
        """Look at the window's buffer, which has changed."""
        self.buffer = self.window.buffer
        self.base = self.window.base
        self.data = <const unsigned char *> PyBytes_AS_STRING(self.buffer)
        self.reach = self.base + PyBytes_GET_SIZE(self.buffer)
        return 0

    cdef int fill(self, long long start, long long stop) except -1:
        """Read on to a position, or to the file's end; what is before `start` may be forgotten."""
        if stop > self.reach:
            self.window.read_on(start, stop)
            self.take_over()
        return 0

    cdef inline const unsigned char *at(self, long long position, long long length) except NULL:
        """Give the address of bytes, all of which are there."""
        if length < 0 or position < self.base or position > self.reach or length > self.reach - position:
            raise IndexError("bytes that were not read")
        return self.data + (position - self.base)

    cdef inline unsigned long long number(self, long long position, int size, bint little) except? 0xFFFFFFFFFFFFFFFF:
        """Read an unsigned integer of up to eight bytes."""
        cdef const unsigned char *data = self.at(position, size)
        cdef unsigned long long value = 0
        cdef int byte
        if little:
            for byte in range(size - 1, -1, -1):
                value = value << 8 | data[byte]
        else:
            for byte in range(size):
                value = value << 8 | data[byte]
        return value

    cdef inline unsigned int tag(self, long long position, bint little) except? 0:
        return <unsigned int> (self.number(position, 2, little) << 16 | self.number(position + 2, 2, little))

    cdef inline int byte(self, long long position) except -1:
        return self.at(position, 1)[0]

    cdef bytes slice(self, long long start, long long stop):
        return PyBytes_FromStringAndSize(<const char *> self.at(start, stop - start), stop - start)

    cdef inline int kinds(self, long long start, long long stop) except -1:
        """Say what kinds of bytes there are."""
        cdef const unsigned char *data = self.at(start, stop - start)
        cdef long long each
        cdef int found = 0
        for each in range(stop - start):
            found |= KINDS[data[each]]
        return found

    cdef inline long long stripped(self, long long start, long long stop) except -1:
        """Give where text ends without its padding of spaces and NUL."""
        cdef const unsigned char *data = self.at(start, stop - start)
        cdef long long length = stop - start
        while length and (data[length - 1] == 0x20 or data[length - 1] == 0):
            length -= 1
        return start + length

    cdef inline long long left_stripped(self, long long start, long long stop) except -1:
        """Give where text begins without its padding of spaces."""
        cdef const unsigned char *data = self.at(start, stop - start)
        cdef long long skipped = 0
        while skipped < stop - start and data[skipped] == 0x20:
            skipped += 1
        return start + skipped

    cdef inline long long find(self, int byte, long long start, long long stop) except -1:
        """Give where a byte stands first, or `stop`."""
        cdef const unsigned char *data = self.at(start, stop - start)
        cdef long long each
        for each in range(stop - start):
            if data[each] == byte:
                return start + each
        return stop

    cdef long long digits(self, long long start, int count) except -2:
        """Read up to 18 decimal digits; -1 where others than digits stand there."""
        cdef const unsigned char *data = self.at(start, count)
        cdef long long value = 0
        cdef int each
        if count > 18:
            raise IndexError("more digits than a number has")
        for each in range(count):
            if not 0x30 <= data[each] <= 0x39:
                return -1
            value = value * 10 + (data[each] - 0x30)
        return value


@cython.final
cdef class Output:
    """Bytes that are added at the end."""

    cdef unsigned char *data
    cdef Py_ssize_t size
    cdef Py_ssize_t room

    def __dealloc__(self):
        free(self.data)

    cdef inline unsigned char *more(self, Py_ssize_t length) except NULL:
        """Make room; give the address of new bytes, which the caller writes at once."""
        if length < 0 or length > MAX_BYTES - self.size:
            raise HandOver("a row beyond the limit")
        if length > self.room - self.size or self.data == NULL:
            self.grow(length)
        self.size += length
        return self.data + (self.size - length)

    cdef int grow(self, Py_ssize_t length) except -1:
        cdef Py_ssize_t room = max(self.room * 2, self.size + length, FIRST_ROOM)
        cdef void *data = realloc(self.data, room)
        if data == NULL:
            raise MemoryError
        self.data, self.room = <unsigned char *> data, room
        return 0

    cdef inline int put_byte(self, unsigned char byte) except -1:
        self.more(1)[0] = byte
        return 0

    cdef inline int put(self, bytes text) except -1:
        cdef Py_ssize_t length = PyBytes_GET_SIZE(text)
        memcpy(self.more(length), PyBytes_AS_STRING(text), length)
        return 0

    cdef inline int copy(self, Input source, long long start, long long stop) except -1:
        cdef const unsigned char *data = source.at(start, stop - start)
        memcpy(self.more(stop - start), data, stop - start)
        return 0

    cdef int move(self, Output other, Py_ssize_t start) except -1:
        """Take over what another has from a place on."""
        cdef Py_ssize_t length = other.size - start
        if start < 0 or length < 0:
            raise IndexError("bytes that were not written")
        if length:
            memcpy(self.more(length), other.data + start, length)
        other.size = start
        return 0

    cdef inline int cut(self, Py_ssize_t size) except -1:
        """Forget what was written from a place on."""
        if not 0 <= size <= self.size:
            raise IndexError("bytes that were not written")
        self.size = size
        return 0

    cdef inline int replace(self, Py_ssize_t at, unsigned char byte) except -1:
        if not 0 <= at < self.size:
            raise IndexError("bytes that were not written")
        self.data[at] = byte
        return 0

    cdef bytes slice(self, Py_ssize_t start):
        """Give what was written from a place on."""
        if not 0 <= start <= self.size:
            raise IndexError("bytes that were not written")
        return PyBytes_FromStringAndSize(<const char *> self.data + start, self.size - start)

    cdef int put_escaped(self, Input source, long long start, long long stop, bint latin) except -1:
        """Write text as orjson does: ASCII, and above it Latin-1 or what is UTF-8 already."""
        cdef const unsigned char *data = source.at(start, stop - start)
        cdef long long each
        cdef unsigned char byte
        for each in range(stop - start):
            byte = data[each]
            if KINDS[byte] & (SPLIT | QUOTE):
                self.put_byte(0x5C)
                self.put_byte(byte)
            elif KINDS[byte] & WHITE:
                self.put_byte(0x5C)
                self.put_byte(b"tn_fr"[byte - 9])
            elif byte >= 0x80 and latin:
                self.put_byte(0xC0 | byte >> 6)
                self.put_byte(0x80 | byte & 0x3F)
            else:
                self.put_byte(byte)
        return 0

    cdef int put_padded(self, unsigned long long value, int width) except -1:
        """Write the last digits of an integer, with zeros before it."""
        cdef unsigned char[20] digits
        cdef int each
        if not 0 < width <= 20:
            raise IndexError("more digits than a number has")
        for each in range(width - 1, -1, -1):
            digits[each] = 0x30 + value % 10
            value //= 10
        memcpy(self.more(width), digits, width)
        return 0

    cdef int put_integer(self, bint negative, unsigned long long size) except -1:
        """Write an integer by its sign and size."""
        cdef int width = 1
        cdef unsigned long long rest = size // 10
        while rest:
            width += 1
            rest //= 10
        if negative and size:
            self.put_byte(0x2D)
        return self.put_padded(size, width)


cdef list _spares = []


cdef Output output():
    """Give an empty output, one that was used before if there is any."""
    return <Output?> _spares.pop() if _spares else Output()


cdef int release(Output spare) except -1:
    """Keep an output that nobody writes to any more, unless it is big."""
    if spare is not None and spare.room <= MAX_SPARE_ROOM and len(_spares) < MAX_SPARES:
        spare.size = 0
        _spares.append(spare)
    return 0
