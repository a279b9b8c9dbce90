"""Value bytes to values, a converter for each VR (PS3.5 6.2), and values to what a column holds."""

from __future__ import annotations

import datetime as dt
import math
import re
import struct
from functools import lru_cache
from typing import TypeAlias

from dicombq.dicom.text import DEFAULT, Charset, escape

Value: TypeAlias = str | int | float
Json: TypeAlias = "str | int | float | dict[str, Json] | list[Json] | None"
"""What JSON holds."""

BULK_VRS = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
"""VRs without a column (``schema.md``, Excluded VRs)."""

LOCALIZED_VRS = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
"""VRs whose text follows Specific Character Set (PS3.5 6.1.2.2)."""

LEADING_SPACE_COUNTS = frozenset({"LT", "PN", "ST", "UC", "UR", "UT"})
SINGLE_VALUED = frozenset({"LT", "ST", "UR", "UT"})
TEXT_VRS = frozenset({"AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI", "UR"}) | LOCALIZED_VRS

NUMBER_CODES = {"FL": "f", "FD": "d", "SL": "i", "SS": "h", "SV": "q", "UL": "I", "US": "H", "UV": "Q"}
KNOWN_VRS = TEXT_VRS | BULK_VRS | set(NUMBER_CODES) | {"AT", "SQ"}

INT64 = range(-(2**63), 2**63)


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
    code = NUMBER_CODES[vr]
    return list(_unpack(order, code, data, struct.calcsize(order + code))), False


def _parse_text(vr: str, data: bytes, charset: Charset) -> tuple[list[Value], bool]:
    return split_text(vr, (charset if vr in LOCALIZED_VRS else DEFAULT).decode(data, vr))


def split_text(vr: str, text: str) -> tuple[list[Value], bool]:
    """Split the decoded text of an element into its values; the result is that of `parse`."""
    pieces = [text] if vr in SINGLE_VALUED else text.split("\\")
    values: list[Value] = []
    undecodable = False
    for piece in pieces:
        value, escaped = escape(_unpad(piece, vr))
        undecodable = undecodable or escaped
        values.append(value)
    return values, undecodable


def _unpad(text: str, vr: str) -> str:
    text = text.rstrip(" \0")
    return text if vr in LEADING_SPACE_COUNTS else text.lstrip(" ")


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
_TIME = re.compile(r"([0-9]{2})(?:(:?)([0-9]{2})(?:\2([0-9]{2})(\.[0-9]{1,6})?)?)?")
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


def fit(value: Value, vr: str, zone: dt.timezone, read_by: str = "") -> Json:
    """Convert a value to what a column of the dictionary's `vr` holds, as JSON.

    Parameters
    ----------
    value
        As `parse` gives it; not empty text, but for PN.
    vr
        The dictionary's VR: it decides the column's type.
    zone
        For DT without an offset of its own.
    read_by
        The VR in the file, where it is another one.

    Raises
    ------
    Unfit
        Where the column cannot hold it.
    """
    if vr == "PN":
        return read_name(_text(value, vr))
    if vr == "DA":
        return read_date(_text(value, vr))
    if vr == "TM":
        return read_time(_text(value, vr))
    if vr == "DT":
        return read_datetime(_text(value, vr), zone)
    if vr in ("FL", "FD"):
        return _float(value)
    if vr == "AT" and isinstance(value, str):
        raise Unfit("a text where a tag is expected")
    if vr in NUMBER_CODES or vr == "AT" or vr.startswith("US or"):
        return _integer(value)
    return as_text(value, read_by or vr)


def _text(value: Value, vr: str) -> str:
    if not isinstance(value, str):
        raise Unfit(f"a number where {vr} is expected")
    return value


def read_name(text: str) -> Json:
    """Read a PN into its representations and their parts (PS3.5 6.2.1)."""
    groups = text.split("=")
    name: dict[str, Json] = {}
    for position, group in enumerate(groups):
        components = group.split("^")
        if position > 2 or len(components) > 5:
            raise Unfit("more component groups or components than a PN has")
        parts: dict[str, Json] = {NAME_COMPONENTS[at]: part for at, part in enumerate(components) if part}
        if parts:
            name[NAME_GROUPS[position]] = parts
    if not name:
        raise Unfit("a PN without any component")
    return name


NAME_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
"""The component groups of a PN, in their order (PS3.5 6.2.1)."""

NAME_COMPONENTS = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")
"""The components of each group of a PN, in their order (PS3.5 6.2.1)."""


def read_date(text: str) -> str:
    """Read a DA: ``YYYYMMDD``, or ``YYYY.MM.DD`` as it was written before DICOM 3."""
    match = _DATE.fullmatch(text)
    if match is None:
        raise Unfit(_odd(text, "a date of the form YYYYMMDD"))
    year, month, day = match.group(1, 2, 3) if match[1] else match.group(4, 5, 6)
    try:
        dt.date(int(year), int(month), int(day))
    except ValueError:
        raise Unfit(_not_in_calendar(year)) from None
    return f"{year}-{month}-{day}"


def read_time(text: str) -> str:
    """Read a TM: ``HHMMSS.FFFFFF``, or with colons as it was written before DICOM 3; missing parts are zero."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise Unfit(_odd(text, "a time of the form HHMMSS.FFFFFF"))
    hour, minute, second, fraction = match.group(1, 3, 4, 5)
    if int(second or 0) == 60:
        raise Unfit(_LEAP_SECOND)
    if int(hour) > 23 or int(minute or 0) > 59 or int(second or 0) > 60:
        raise Unfit("a time that the clock does not have")
    return f"{hour}:{minute or '00'}:{second or '00'}{fraction or ''}"


def read_datetime(text: str, zone: dt.timezone) -> str:
    """Read a DT, in a time zone where it has no offset of its own; missing parts are the first ones."""
    match = _DATETIME.fullmatch(text)
    if match is None:
        raise Unfit(_odd(text, "a date and time of the form YYYYMMDDHHMMSS.FFFFFF&ZZXX"))
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    own = utc_offset(offset) if offset else zone
    if own is None:
        raise Unfit("an offset from UTC beyond -1200 and +1400")
    try:
        dt.date(int(year), int(month or 1), int(day or 1))
    except ValueError:
        raise Unfit(_not_in_calendar(year)) from None
    if int(second or 0) == 60:
        raise Unfit(_LEAP_SECOND)
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
        return timestamp(moment)
    except ValueError:
        raise Unfit("a time that the clock does not have") from None
    except OverflowError:
        raise Unfit("a date and time that is in no year from 1 to 9999 in UTC") from None


_LEAP_SECOND = "a leap second, which no column holds"
_RANGE = re.compile(r"[0-9.:]+ *- *[0-9.:]*|- *[0-9.:]+")


def _odd(text: str, expected: str) -> str:
    """Say why a text is not of the form that its VR has."""
    if not text:
        return "an empty value among others"
    return f"a range, not {expected}" if _RANGE.fullmatch(text) else f"not {expected}"


def _not_in_calendar(year: str) -> str:
    return "a date of the year 0" if year == "0000" else "a date that the calendar does not have"


def timestamp(moment: dt.datetime) -> str:
    """Write an aware moment as the tables have it: UTC, with microseconds and a final ``Z``."""
    if moment.tzinfo is not dt.timezone.utc:
        moment = moment.astimezone(dt.timezone.utc)
    return moment.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def _float(value: Value) -> float | str:
    if isinstance(value, str):
        if not _DECIMAL.fullmatch(value):
            raise Unfit("not a number")
        if not math.isfinite(float(value)):
            raise Unfit("a number beyond the range of FLOAT")
        return float(value)
    return float(value) if math.isfinite(value) else _special(value)


_FRACTION = "a decimal number where an integer is expected"


def _integer(value: Value) -> int:
    if isinstance(value, str):
        if not _INTEGER.fullmatch(value):
            raise Unfit(_FRACTION if _DECIMAL.fullmatch(value) else "not an integer")
        value = int(value)
    if isinstance(value, float):
        if not value.is_integer():
            raise Unfit(_FRACTION if math.isfinite(value) else "not an integer")
        value = int(value)
    if value not in INT64:
        raise Unfit("an integer beyond 64 bits")
    return value
