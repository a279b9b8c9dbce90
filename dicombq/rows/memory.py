"""Values that were converted once, for the walker: most values of a series stand in all of its instances."""

from __future__ import annotations

import datetime as dt
from typing import Any, TypeAlias

from dicombq.dicom.text import DEFAULT
from dicombq.dicom.values import TEXT_VRS, Json, Unfit, Value, as_text, fit, parse
from dicombq.table.mapping import Column, Kind

MOST_RECORDS = 2
"""Levels of RECORD that the column of a remembered value needs at most: a PN."""

MAX_SIZE = 64
"""Bytes of a value that is remembered."""

_MAX_REMEMBERED = 1 << 14

# How a remembered value, which nobody can change, becomes one that anybody may
SCALAR = 0
LIST = 1
OTHER = 2
NAME = 3
NAMES = 4

Remembered: TypeAlias = tuple[int, Any]

remembered: dict[bytes, Remembered] = {}
"""By tag, VR, byte order and the value's bytes."""


def remember(memory: bytes, vr: str, little_endian: bool, found: Column, data: bytes) -> Remembered | None:
    """Convert a value that is the same wherever it stands; None where it is not, or does not fit."""
    if not data or len(data) > MAX_SIZE:
        return None
    if vr in TEXT_VRS and (b"\x1b" in data or not data.isascii()):  # its character set decides
        return None
    try:
        values, undecodable = parse(vr, data, little_endian, DEFAULT)
        known = None if undecodable else _freeze(values, vr, found)
    except Unfit:
        return None
    if known:
        if len(remembered) > _MAX_REMEMBERED:
            remembered.clear()
        remembered[memory + data] = known
    return known


def _freeze(values: list[Value], vr: str, found: Column) -> Remembered | None:
    if found.kind is Kind.OTHER:
        return OTHER, tuple(as_text(value, vr) for value in values)
    if (len(values) == 1 and values[0] == "") or (not found.repeated and len(values) > 1):
        return None
    fitted = [fit(value, found.vr, dt.timezone.utc) for value in values]
    if found.vr == "PN":
        names = tuple(_freeze_name(name) for name in fitted)
        return (NAMES, names) if found.repeated else (NAME, names[0])
    return (LIST, tuple(fitted)) if found.repeated else (SCALAR, fitted[0])


def _freeze_name(name: Any) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
    return tuple((group, tuple(components.items())) for group, components in name.items())


def restore(form: int, value: Any) -> Json:
    """Make a value that anybody may change of a remembered one."""
    if form == LIST:
        return list(value)
    if form == NAME:
        return {group: dict(components) for group, components in value}
    return [{group: dict(components) for group, components in name} for name in value]
