"""Value bytes to values, a converter for each VR (PS3.5 6.2), and values to what a column holds."""

from __future__ import annotations

import datetime as dt
import math
import re
import struct
from collections.abc import Callable
from functools import lru_cache
from typing import TypeAlias

import orjson

from dicombq.dicom.text import DEFAULT, Charset, escape

Value: TypeAlias = str | int | float
Json: TypeAlias = "str | int | float | dict[str, Json] | list[Json] | orjson.Fragment | None"
"""What orjson writes; a fragment was written before."""

BULK_VRS = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
"""VRs without a column (``schema.md``, Excluded VRs)."""

# VRs whose text follows Specific Character Set (PS3.5 6.1.2.2)
_LOCALIZED = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_LEADING_SPACE_COUNTS = frozenset({"LT", "ST", "UC", "UR", "UT"})
_SINGLE_VALUED = frozenset({"LT", "ST", "UR", "UT"})
TEXT_VRS = frozenset({"AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI", "UR"}) | _LOCALIZED

_BINARY = {"FL": "f", "FD": "d", "SL": "i", "SS": "h", "SV": "q", "UL": "I", "US": "H", "UV": "Q"}
KNOWN_VRS = TEXT_VRS | BULK_VRS | set(_BINARY) | {"AT", "SQ"}

_INT64 = range(-(2**63), 2**63)


class Unfit(Exception):
    """A value that its VR or its column cannot hold; the reason names no value."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def parse(vr: str, data: bytes, little_endian: bool, charset: Charset) -> tuple[list[Value], bool]:
    r"""Split and convert an element's bytes into its values.

    Parameters
    ----------
    vr
        Any VR but SQ and the bulk ones.
    data
        The value field, padding included.

    Returns
    -------
    values
        One entry per value, padding removed; none for an empty value field.
    undecodable
        Whether bytes that the character set does not have were spelled out as ``\xNN``.

    Raises
    ------
    Unfit
        Where the length is no multiple of a binary VR's.
    """
    if not data:
        return [], False
    if vr in TEXT_VRS:
        return _parse_text(vr, data, charset)
    order = "<" if little_endian else ">"
    if vr == "AT":
        halves = [int(half) for half in _unpack(order, "H", data, 4)]
        return [group << 16 | element for group, element in zip(halves[::2], halves[1::2], strict=True)], False
    code = _BINARY[vr]
    return list(_unpack(order, code, data, struct.calcsize(order + code))), False


def _parse_text(vr: str, data: bytes, charset: Charset) -> tuple[list[Value], bool]:
    text = (charset if vr in _LOCALIZED else DEFAULT).decode(data, vr)
    pieces = [text] if vr in _SINGLE_VALUED else text.split("\\")
    values: list[Value] = []
    undecodable = False
    for piece in pieces:
        value, escaped = escape(_unpad(piece, vr))
        undecodable = undecodable or escaped
        values.append(value)
    return values, undecodable


def _unpad(text: str, vr: str) -> str:
    text = text.rstrip(" \0")
    return text if vr in _LEADING_SPACE_COUNTS else text.lstrip(" ")


def _unpack(order: str, code: str, data: bytes, size: int) -> tuple[int | float, ...]:
    if len(data) % size:
        raise Unfit(f"its length is not a multiple of {size} bytes")
    return struct.unpack(f"{order}{len(data) // struct.calcsize(order + code)}{code}", data)


def as_text(value: Value, vr: str) -> str:
    """Write a value as ``OtherElements`` has it: text as stored, numbers in their shortest exact form."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return _shortest(value, single=vr == "FL")
    return str(value)


def _shortest(value: float, *, single: bool) -> str:
    if not math.isfinite(value):
        return _special(value)
    if single:
        rounded = (float(f"{value:.{digits}g}") for digits in range(1, 10))
        value = next((number for number in rounded if _to_single(number) == value), value)
    return repr(value).removesuffix(".0")


def _to_single(value: float) -> float:
    try:
        single: float = struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError:  # rounded up beyond the greatest single
        return math.inf
    return single


def _special(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


_INTEGER = re.compile(r"[+-]?[0-9]{1,20}")
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_DATE = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})|([0-9]{4})\.([0-9]{2})\.([0-9]{2})")
_TIME = re.compile(r"([01][0-9]|2[0-3])(?:(:?)([0-5][0-9])(?:\2([0-5][0-9])(\.[0-9]{1,6})?)?)?")
_DATETIME = re.compile(
    r"([0-9]{4})(?:([0-9]{2})(?:([0-9]{2})(?:([0-9]{2})(?:([0-9]{2})(?:([0-9]{2})(?:\.([0-9]{1,6}))?)?)?)?)?)?"
    r"([+-][0-9]{4})?"
)


@lru_cache(maxsize=256)
def utc_offset(text: str) -> dt.timezone | None:
    """Read ``&ZZXX`` of DT and Timezone Offset From UTC (0008,0201), -1200 to +1400; None where it is not one."""
    if not re.fullmatch(r"[+-][0-9]{4}", text):
        return None
    hours, minutes = int(text[1:3]), int(text[3:5])
    offset = dt.timedelta(hours=hours, minutes=minutes)
    if text[0] == "-":
        offset = -offset
    if minutes > 59 or not dt.timedelta(hours=-12) <= offset <= dt.timedelta(hours=14):
        return None
    return dt.timezone(offset)


def fit(value: Value, vr: str, zone: dt.timezone) -> Json:
    """Convert a value to what a column of the dictionary's `vr` holds, as JSON.

    Parameters
    ----------
    value
        As `parse` gives it; not empty text, but for PN.
    vr
        The dictionary's VR: it decides the column's type.
    zone
        For DT without an offset of its own.

    Raises
    ------
    Unfit
        Where the column cannot hold it.
    """
    if vr == "PN":
        return _person_name(_text(value, vr))
    if vr == "DA":
        return _date(_text(value, vr))
    if vr == "TM":
        return _time(_text(value, vr))
    if vr == "DT":
        return _timestamp(_text(value, vr), zone)
    if vr in ("FL", "FD"):
        return _float(value)
    if vr in _BINARY or vr == "AT" or vr.startswith("US or"):
        return _integer(value)
    return as_text(value, vr)


def _text(value: Value, vr: str) -> str:
    if not isinstance(value, str):
        raise Unfit(f"a number where {vr} is expected")
    return value


def _person_name(text: str) -> Json:
    groups = text.split("=")
    name: dict[str, Json] = {}
    for position, group in enumerate(groups):
        components = group.split("^")
        if position > 2 or len(components) > 5:
            raise Unfit("more component groups or components than a PN has")
        parts: dict[str, Json] = {NAME_COMPONENTS[at]: part for at, part in enumerate(components) if part}
        if parts:
            name[_REPRESENTATIONS[position]] = parts
    if not name:
        raise Unfit("a PN without any component")
    return name


_REPRESENTATIONS = ("Alphabetic", "Ideographic", "Phonetic")
NAME_COMPONENTS = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")
"""The parts of each representation of a PN, in their order (PS3.5 6.2.1)."""


def _date(text: str) -> str:
    match = _DATE.fullmatch(text)
    if match:
        year, month, day = match.group(1, 2, 3) if match[1] else match.group(4, 5, 6)
        try:
            dt.date(int(year), int(month), int(day))
        except ValueError:
            pass
        else:
            return f"{year}-{month}-{day}"
    raise Unfit("not a date of the form YYYYMMDD")


def _time(text: str) -> str:
    match = _TIME.fullmatch(text)
    if match:
        hour, minute, second, fraction = match.group(1, 3, 4, 5)
        return f"{hour}:{minute or '00'}:{second or '00'}{fraction or ''}"
    raise Unfit("not a time of the form HHMMSS.FFFFFF")


def _timestamp(text: str, zone: dt.timezone) -> str:
    match = _DATETIME.fullmatch(text)
    if match:
        year, month, day, hour, minute, second, fraction, offset = match.groups()
        own = utc_offset(offset) if offset else zone
        try:
            moment = dt.datetime(
                int(year),
                int(month or 1),
                int(day or 1),
                int(hour or 0),
                int(minute or 0),
                int(second or 0),
                int((fraction or "").ljust(6, "0")),
                tzinfo=own,
            )
            if own:
                return timestamp(moment)
        except (ValueError, OverflowError):
            pass
    raise Unfit("not a date and time of the form YYYYMMDDHHMMSS.FFFFFF&ZZXX")


def timestamp(moment: dt.datetime) -> str:
    """Write an aware moment as the tables have it: UTC, with microseconds and a final ``Z``."""
    if moment.tzinfo is not dt.timezone.utc:
        moment = moment.astimezone(dt.timezone.utc)
    return moment.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def _float(value: Value) -> float | str:
    if isinstance(value, str):
        if not (_DECIMAL.fullmatch(value) and math.isfinite(float(value))):
            raise Unfit("not a number that FLOAT holds")
        return float(value)
    return float(value) if math.isfinite(value) else _special(value)


def _integer(value: Value) -> int:
    if isinstance(value, str):
        if not _INTEGER.fullmatch(value):
            raise Unfit("not an integer")
        value = int(value)
    if isinstance(value, float):
        if not value.is_integer():
            raise Unfit("not an integer")
        value = int(value)
    if value not in _INT64:
        raise Unfit("an integer beyond 64 bits")
    return value


Plain: TypeAlias = Callable[[bytes], Json]
"""Converts what is plain; gives None for all else."""


def plain(vr: str, column_vr: str, little_endian: bool, repeated: bool) -> Plain | None:
    """Give a shorter way to what `parse` and `fit` make of most values: printable ASCII, or numbers of their VR.

    Parameters
    ----------
    vr, column_vr
        By which the bytes are read, and the dictionary's; the latter is empty for OtherElements.
    repeated
        Whether a list is wanted; it always is for OtherElements.

    Returns
    -------
    Plain or None
        None where there is no shorter way; that of DT is for the time zone UTC. What it gives is new each time, or
        cannot be changed.
    """
    if vr in _BINARY and _type_of(column_vr) in ("", _type_of(vr)):
        return _plain_numbers(vr, column_vr, little_endian, repeated)
    if vr not in TEXT_VRS:
        return None
    convert = _FITS.get(vr) if vr == column_vr else None
    if convert is None and _type_of(column_vr) not in ("", "text"):
        return None
    return _plain_texts(vr, convert) if repeated or not column_vr else _plain_text(vr, convert)


_TO_THE_SECOND = re.compile(r"([0-9]{8})([01][0-9]|2[0-3])([0-5][0-9])([0-5][0-9])(?:\.([0-9]{1,6}))?")


def _utc_timestamp(text: str) -> str:
    """Convert a DT in UTC as `_timestamp` does, one that says the second and no offset by moving its digits."""
    match = _TO_THE_SECOND.fullmatch(text)
    if match is None:
        return _timestamp(text, dt.timezone.utc)
    day, hour, minute, second, fraction = match.groups("")
    return f"{_day(day)}T{hour}:{minute}:{second}.{fraction.ljust(6, '0')}Z"


_day = lru_cache(maxsize=1024)(_date)  # elements and acquisitions share theirs

_FITS: dict[str, Callable[[str], Json]] = {"DA": _day, "DT": _utc_timestamp, "PN": _person_name, "TM": _time}


def _type_of(vr: str) -> str:
    if vr in ("FL", "FD"):
        return "float"
    if vr in _BINARY or vr.startswith("US or"):
        return "integer"
    return "text" if vr in TEXT_VRS - {"DA", "DT", "PN", "TM"} else vr


def _plain_text(vr: str, convert: Callable[[str], Json] | None) -> Plain:
    strip, may_hold_backslash = _plain_strip(vr), vr in _SINGLE_VALUED

    def one(data: bytes) -> Json:
        text = data.decode("latin-1")
        if not (text.isprintable() and text.isascii()):
            text = _printable(text)
        text = strip(text)
        if not text or ("\\" in text and not may_hold_backslash):
            return None
        if convert is None:
            return text
        try:
            return convert(text)
        except Unfit:
            return None

    return one


def _plain_texts(vr: str, convert: Callable[[str], Json] | None) -> Plain:
    strip, is_single = _plain_strip(vr), vr in _SINGLE_VALUED

    def several(data: bytes) -> Json:
        text = data.decode("latin-1")
        if not (text.isprintable() and text.isascii()):
            text = _printable(text)
        text = strip(text)
        if not text:
            return None
        pieces = [text] if is_single or "\\" not in text else map(strip, text.split("\\"))
        try:
            return [*map(convert, pieces)] if convert else [*pieces]
        except Unfit:
            return None

    return several


def _plain_strip(vr: str) -> Callable[[str], str]:
    """Give what takes away the padding, as `_unpad` does; of printable ASCII only the space is white."""
    return str.rstrip if vr in _LEADING_SPACE_COUNTS else str.strip


def _printable(text: str) -> str:
    """Take away a padding of NUL; what is no printable ASCII becomes empty."""
    text = text.rstrip(" \0")
    return text if text.isprintable() and text.isascii() else ""


def _plain_numbers(vr: str, column_vr: str, little_endian: bool, repeated: bool) -> Plain | None:
    if not column_vr and _type_of(vr) == "float":
        return None
    code = ("<" if little_endian else ">") + _BINARY[vr]
    unpack_one, unpack_each, size = struct.Struct(code).unpack, struct.Struct(code).iter_unpack, struct.calcsize(code)
    may_be_odd = vr in ("FL", "FD", "UV")  # not a number, or beyond 64 bits

    def one(data: bytes) -> Json:
        if len(data) != size:
            return None
        (value,) = unpack_one(data)
        return None if may_be_odd and not _is_plain(value) else value

    def several(data: bytes) -> Json:
        if not data or len(data) % size:
            return None
        values = [value for (value,) in unpack_each(data)]
        if may_be_odd and not all(map(_is_plain, values)):
            return None
        return values if column_vr else [str(value) for value in values]

    return several if repeated or not column_vr else one


def _is_plain(value: int | float) -> bool:  # noqa: PYI041 - the two are told apart
    return math.isfinite(value) if isinstance(value, float) else value in _INT64
