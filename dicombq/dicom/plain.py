"""Value bytes to what a column holds, the short way: for most values, and with the result of `dicombq.dicom.values`."""

from __future__ import annotations

import datetime as dt
import math
import re
import struct
from collections.abc import Callable
from functools import lru_cache
from typing import TypeAlias

from dicombq.dicom.values import (
    INT64,
    LEADING_SPACE_COUNTS,
    NUMBER_CODES,
    SINGLE_VALUED,
    TEXT_VRS,
    Json,
    Unfit,
    read_date,
    read_datetime,
    read_name,
    read_time,
)

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
    if vr in NUMBER_CODES and _type_of(column_vr) in ("", _type_of(vr)):
        return _plain_numbers(vr, column_vr, little_endian, repeated)
    if vr not in TEXT_VRS:
        return None
    convert = _FITS.get(vr) if vr == column_vr else None
    if convert is None and _type_of(column_vr) not in ("", "text"):
        return None
    return _plain_texts(vr, convert) if repeated or not column_vr else _plain_text(vr, convert)


_TO_THE_SECOND = re.compile(r"([0-9]{8})([01][0-9]|2[0-3])([0-5][0-9])([0-5][0-9])(?:\.([0-9]{1,6}))?")


def _utc_timestamp(text: str) -> str:
    """Convert a DT in UTC as `read_datetime` does, one that says the second and no offset by moving its digits."""
    match = _TO_THE_SECOND.fullmatch(text)
    if match is None:
        return read_datetime(text, dt.timezone.utc)
    day, hour, minute, second, fraction = match.groups("")
    return f"{_day(day)}T{hour}:{minute}:{second}.{fraction.ljust(6, '0')}Z"


_day = lru_cache(maxsize=1024)(read_date)  # elements and acquisitions share theirs

_FITS: dict[str, Callable[[str], Json]] = {"DA": _day, "DT": _utc_timestamp, "PN": read_name, "TM": read_time}


def _type_of(vr: str) -> str:
    if vr in ("FL", "FD"):
        return "float"
    if vr in NUMBER_CODES or vr.startswith("US or"):
        return "integer"
    return "text" if vr in TEXT_VRS - {"DA", "DT", "PN", "TM"} else vr


def _plain_text(vr: str, convert: Callable[[str], Json] | None) -> Plain:
    strip, may_hold_backslash = _plain_strip(vr), vr in SINGLE_VALUED

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
    strip, is_single = _plain_strip(vr), vr in SINGLE_VALUED

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
    return str.rstrip if vr in LEADING_SPACE_COUNTS else str.strip


def _printable(text: str) -> str:
    """Take away a padding of NUL; what is no printable ASCII becomes empty."""
    text = text.rstrip(" \0")
    return text if text.isprintable() and text.isascii() else ""


def _plain_numbers(vr: str, column_vr: str, little_endian: bool, repeated: bool) -> Plain | None:
    if not column_vr and _type_of(vr) == "float":
        return None
    code = ("<" if little_endian else ">") + NUMBER_CODES[vr]
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
    return math.isfinite(value) if isinstance(value, float) else value in INT64
