# Plain values to JSON. What is decided here: printable ASCII, Latin-1 and UTF-8 text; dates of days that stand in every
# such month, as the 29th of February does not; times of HHMM or HHMMSS; DT to the second, in UTC; names; and numbers
# (`native_numbers.pxi`). All else is answered by NOT_PLAIN, and is for `dicombq.dicom.values`, which knows every rule.


cdef enum Answer:
    WRITTEN = 0
    EMPTY = 1      # nothing but padding
    NOT_PLAIN = 2

cdef enum Way:
    SLOW = 0       # never plain
    NOTHING = 1    # not in the row at all
    TEXT = 2
    DATE = 3
    TIME = 4
    DATETIME = 5
    NAME = 6
    INTEGER = 7
    FLOAT = 8
    TAG = 9
    MODEL_NAME = 10     # these four as the DICOM JSON model has them (PS3.18 F.2)
    MODEL_DECIMAL = 11
    MODEL_INTEGER = 12
    MODEL_TAG = 13

cdef enum Letters:
    ASCII = 0
    LATIN = 1
    UTF_8 = 2

cdef list _GROUPS = [b'"%s":' % name.encode() for name in NAME_GROUPS]
cdef list _COMPONENTS = [b'"%s":' % name.encode() for name in NAME_COMPONENTS]

@cython.final
cdef class How:
    """How an element's bytes become JSON where they are plain."""

    cdef Way way
    cdef bint many
    """Whether a list is written."""
    cdef bint quoted
    """Whether numbers are text, as in OtherElements."""
    cdef bint nulls
    """Whether an empty value is null, as in the DICOM JSON model."""
    cdef bint keeps_empty
    """Whether a list of one empty value is written."""
    cdef bint localized
    cdef bint keeps_leading
    cdef bint single_valued
    cdef bint signed
    cdef bint little
    cdef int size
    """Bytes of a number."""


cdef int write_value(Output out, Input data, How how, long long start, long long stop, Letters letters) except -1:
    """Write an element's value, which is not empty."""
    if how.way == INTEGER or how.way == FLOAT or how.way == TAG or how.way == MODEL_TAG:
        return _write_numbers(out, data, how, start, stop)
    return _write_texts(out, data, how, start, stop, letters)


cdef int _write_texts(Output out, Input data, How how, long long start, long long stop, Letters letters) except -1:
    cdef long long end, piece
    cdef int kinds
    cdef bint any_value = False
    cdef int answer
    stop = data.stripped(start, stop)
    kinds = data.kinds(start, stop)
    if kinds & ODD:
        return NOT_PLAIN
    if kinds & HIGH:
        if not how.localized or letters == ASCII:
            return NOT_PLAIN
        if letters == UTF_8 and not _is_utf_8(data.slice(start, stop)):
            return NOT_PLAIN
    if not how.keeps_leading:
        end = data.left_stripped(start, stop)
    else:
        end = start
    if end == stop and not how.keeps_empty:
        return EMPTY
    if how.single_valued or not kinds & SPLIT:
        if not how.many:
            return _write_text(out, data, how, start, stop, kinds, letters)
        out.put_byte(0x5B)
        answer = _write_text(out, data, how, start, stop, kinds, letters)
        out.put_byte(0x5D)
        return answer
    if not how.many:
        return NOT_PLAIN
    out.put_byte(0x5B)
    while True:
        end = data.find(0x5C, start, stop)
        piece = data.stripped(start, end)
        if not how.keeps_leading:
            start = data.left_stripped(start, piece)
        any_value = any_value or start < piece
        answer = _write_text(out, data, how, start, piece, kinds & ~SPLIT, letters)
        if answer != WRITTEN:
            return answer
        if end == stop:
            break
        out.put_byte(0x2C)
        start = end + 1
    out.put_byte(0x5D)
    return WRITTEN if any_value or not how.nulls else EMPTY


cdef bint _is_utf_8(bytes text):
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


cdef int _write_text(
    Output out, Input data, How how, long long start, long long stop, int kinds, Letters letters
) except -1:
    """Write one value; its trailing padding is not among it."""
    if not how.keeps_leading:
        start = data.left_stripped(start, stop)
    if start == stop and how.nulls:
        out.put(b"null")
        return WRITTEN
    if how.way == TEXT:
        return _write_string(out, data, start, stop, kinds, letters)
    if start == stop:
        return NOT_PLAIN
    if how.way == DATE:
        return _write_date(out, data, start, stop)
    if how.way == TIME:
        return _write_time(out, data, start, stop)
    if how.way == DATETIME:
        return _write_datetime(out, data, start, stop)
    if how.way == NAME:
        return _write_name(out, data, start, stop, kinds, letters)
    if how.way == MODEL_NAME:
        return _write_model_name(out, data, start, stop, kinds, letters)
    if how.way == MODEL_DECIMAL or how.way == MODEL_INTEGER:
        return _write_decimal(out, data, start, stop, how.way == MODEL_INTEGER)
    return NOT_PLAIN


cdef int _write_string(Output out, Input data, long long start, long long stop, int kinds, Letters letters) except -1:
    out.put_byte(0x22)
    if kinds & ~HIGH or (kinds and letters == LATIN):
        out.put_escaped(data, start, stop, letters == LATIN)
    else:
        out.copy(data, start, stop)
    out.put_byte(0x22)
    return WRITTEN


cdef int _write_date(Output out, Input data, long long start, long long stop) except -1:
    out.put_byte(0x22)
    if stop - start != 8 or _put_day(out, data, start) != WRITTEN:
        return NOT_PLAIN
    out.put_byte(0x22)
    return WRITTEN


cdef int _put_day(Output out, Input data, long long start) except -1:
    """Write YYYYMMDD."""
    cdef long long year = data.digits(start, 4), month = data.digits(start + 4, 2), day = data.digits(start + 6, 2)
    if year < 1 or not 1 <= month <= 12 or not 1 <= day <= 31:
        return NOT_PLAIN
    if day > 28 and month == 2 or day > 30 and month in (4, 6, 9, 11):
        return NOT_PLAIN
    out.copy(data, start, start + 4)
    out.put_byte(0x2D)
    out.copy(data, start + 4, start + 6)
    out.put_byte(0x2D)
    out.copy(data, start + 6, start + 8)
    return WRITTEN


cdef long long _put_clock(Output out, Input data, long long start, long long stop) except -2:
    """Write HHMMSS, or HHMM; give where it ends, or -1 where it is not plain."""
    cdef long long second = 0
    cdef long long hour, minute
    if stop - start < 4 or stop - start == 5:
        return -1
    hour, minute = data.digits(start, 2), data.digits(start + 2, 2)
    if stop - start > 4:
        second = data.digits(start + 4, 2)
    if not 0 <= hour <= 23 or not 0 <= minute <= 59 or not 0 <= second <= 59:
        return -1
    out.put_padded(hour, 2)
    out.put_byte(0x3A)
    out.put_padded(minute, 2)
    out.put_byte(0x3A)
    out.put_padded(second, 2)
    return min(start + 6, stop)


cdef int _fraction(Input data, long long start, long long stop) except -2:
    """Count the digits of a fraction of one to six, its point before them; -1 where it is none."""
    cdef long long count = stop - start - 1
    if not 1 <= count <= 6 or data.byte(start) != 0x2E or data.digits(start + 1, <int> count) < 0:
        return -1
    return <int> count


cdef int _write_time(Output out, Input data, long long start, long long stop) except -1:
    cdef long long end
    out.put_byte(0x22)
    end = _put_clock(out, data, start, stop)
    if end < 0 or (end < stop and _fraction(data, end, stop) < 0):
        return NOT_PLAIN
    out.copy(data, end, stop)
    out.put_byte(0x22)
    return WRITTEN


cdef int _write_datetime(Output out, Input data, long long start, long long stop) except -1:
    """Write a DT that says the second and no offset, for the time zone UTC."""
    cdef int digits = 0
    out.put_byte(0x22)
    if stop - start < 14 or _put_day(out, data, start) != WRITTEN:
        return NOT_PLAIN
    out.put_byte(0x54)
    if _put_clock(out, data, start + 8, start + 14) < 0:
        return NOT_PLAIN
    out.put_byte(0x2E)
    if stop > start + 14:
        digits = _fraction(data, start + 14, stop)
        if digits < 0:
            return NOT_PLAIN
        out.copy(data, start + 15, stop)
    if digits < 6:
        out.put_padded(0, 6 - digits)
    out.put_byte(0x5A)
    out.put_byte(0x22)
    return WRITTEN


cdef int _write_name(Output out, Input data, long long start, long long stop, int kinds, Letters letters) except -1:
    """Write a PN by its component groups and components (PS3.5 6.2.1), those that are not empty."""
    cdef Py_ssize_t begin = out.size, inner
    cdef int group = 0, component
    cdef long long end, part
    while True:
        end = data.find(0x3D, start, stop)
        if group == 3:
            return NOT_PLAIN
        out.put_byte(0x2C)
        out.put(<bytes> _GROUPS[group])
        inner = out.size
        component = 0
        while True:
            part = data.find(0x5E, start, end)
            if component == 5:
                return NOT_PLAIN
            if part > start:
                out.put_byte(0x2C)
                out.put(<bytes> _COMPONENTS[component])
                _write_string(out, data, start, part, kinds, letters)
            if part == end:
                break
            component += 1
            start = part + 1
        if out.size == inner:
            out.cut(inner - len(<bytes> _GROUPS[group]) - 1)
        else:
            out.replace(inner, 0x7B)
            out.put_byte(0x7D)
        if end == stop:
            break
        group += 1
        start = end + 1
    if out.size == begin:
        return NOT_PLAIN
    out.replace(begin, 0x7B)
    out.put_byte(0x7D)
    return WRITTEN


cdef int _write_model_name(
    Output out, Input data, long long start, long long stop, int kinds, Letters letters
) except -1:
    """Write a PN by its component groups (PS3.18 F.2.2)."""
    cdef Py_ssize_t begin = out.size
    cdef int group
    cdef long long end
    for group in range(3):
        end = data.find(0x3D, start, stop)
        if end > start:
            out.put_byte(0x2C)
            out.put(<bytes> _GROUPS[group])
            _write_string(out, data, start, end, kinds, letters)
        if end == stop:
            break
        start = end + 1
    else:
        return NOT_PLAIN
    if out.size == begin:
        out.put(b"{}")
        return WRITTEN
    out.replace(begin, 0x7B)
    out.put_byte(0x7D)
    return WRITTEN
