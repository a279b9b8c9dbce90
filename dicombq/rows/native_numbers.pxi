# Plain numbers to JSON.

from libc.math cimport fabs, floor, isfinite

cdef double[23] _TENS

cdef int _fill_tens() except -1:
    cdef int each
    for each in range(23):
        _TENS[each] = 10.0 ** each
    return 0

_fill_tens()


cdef int _write_decimal(Output out, Input data, long long start, long long stop, bint integer) except -1:
    """Write a DS or IS as a number, one of at most fifteen digits without an exponent."""
    cdef bint negative = data.byte(start) == 0x2D
    cdef long long point, whole, part = 0
    cdef int digits = 0
    if negative or data.byte(start) == 0x2B:
        start += 1
    point = data.find(0x2E, start, stop)
    if point == start or stop - start > 15 or (integer and point < stop):
        return NOT_PLAIN
    whole = data.digits(start, <int> (point - start))
    if point < stop:
        digits = <int> (stop - point - 1)
        part = data.digits(point + 1, digits)
    if whole < 0 or part < 0:
        return NOT_PLAIN
    if integer:
        out.put_integer(negative, whole)
        return WRITTEN
    # both are exact, so that the quotient is the double next to the text
    _put_float(out, negative, (whole * <long long> _TENS[digits] + part) / _TENS[digits])
    return WRITTEN


cdef int _put_float(Output out, bint negative, double size) except -1:
    """Write a finite float by its sign and size, in its shortest form.

    A decimal of at most fifteen digits that is read as this float is its shortest form: no two of them are read as the
    same float. Others are orjson's.
    """
    cdef int digits
    cdef double scaled
    cdef unsigned long long number
    if size == 0 or 1e-4 <= size < 1e15:
        for digits in range(10):
            scaled = floor(size * _TENS[digits] + 0.5)
            if scaled >= 1e15:
                break
            if scaled / _TENS[digits] == size:
                number = <unsigned long long> scaled
                if negative:
                    out.put_byte(0x2D)
                out.put_integer(False, number // <unsigned long long> _TENS[digits])
                out.put_byte(0x2E)
                return out.put_padded(number if digits else 0, max(digits, 1))
    return out.put(orjson.dumps(-size if negative else size))


cdef int _write_numbers(Output out, Input data, How how, long long start, long long stop) except -1:
    if (stop - start) % how.size or (not how.many and stop - start != how.size):
        return NOT_PLAIN
    if how.many:
        out.put_byte(0x5B)
    while True:
        if how.quoted:
            out.put_byte(0x22)
        if _write_number(out, data, how, start) != WRITTEN:
            return NOT_PLAIN
        if how.quoted:
            out.put_byte(0x22)
        start += how.size
        if start >= stop:
            break
        out.put_byte(0x2C)
    if how.many:
        out.put_byte(0x5D)
    return WRITTEN


cdef int _write_number(Output out, Input data, How how, long long start) except -1:
    cdef unsigned long long value
    cdef unsigned int bits
    cdef double number
    cdef float single
    if how.way == TAG or how.way == MODEL_TAG:
        value = data.tag(start, how.little)
        if how.way == MODEL_TAG:
            out.put(b'"%08X"' % value)
        else:
            out.put_integer(False, value)
        return WRITTEN
    value = data.number(start, how.size, how.little)
    if how.way == FLOAT:
        if how.size == 4:
            bits = <unsigned int> value
            memcpy(&single, &bits, 4)
            number = single
        else:
            memcpy(&number, &value, 8)
        if not isfinite(number):
            return NOT_PLAIN
        _put_float(out, value >> (how.size * 8 - 1) != 0, fabs(number))
        return WRITTEN
    if not value >> (how.size * 8 - 1):
        out.put_integer(False, value)
    elif how.signed:
        out.put_integer(True, (~value & (<unsigned long long> 0xFFFFFFFFFFFFFFFF >> (64 - how.size * 8))) + 1)
    elif how.size < 8:
        out.put_integer(False, value)
    else:
        return NOT_PLAIN
    return WRITTEN
