"""The row of an instance in the DICOM JSON model (PS3.18 F), as DICOMweb servers give metadata.

The elements go into the same records as those of a file. What a file says in bytes stands here as text that is decoded
already and as numbers; bulk data stands elsewhere, is never fetched, and is named in DroppedTags.
"""

from __future__ import annotations

import binascii
import contextlib
import datetime as dt
import re
import struct
from collections.abc import Mapping
from typing import Any

from dicombq.dicom import tags
from dicombq.dicom.dictionary import effective_vr, is_private, is_private_creator, private_block
from dicombq.dicom.text import DEFAULT, Charset, charset, escape
from dicombq.dicom.values import NAME_GROUPS, NUMBER_CODES, TEXT_VRS, Value, as_text, split_text, utc_offset
from dicombq.rows.base import Row, Unreadable
from dicombq.rows.record import Instance, Record
from dicombq.table.mapping import MAX_ELEMENT_SIZE, column

_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_HEADER_SIZE = 8
"""Bytes of tag, VR and length, and of an item's tag and length (PS3.5 7)."""

_WIDTHS = {"AT": 4} | {vr: struct.calcsize(code) for vr, code in NUMBER_CODES.items()}
_INTEGER = re.compile(r"[+-]?[0-9]{1,20}")
_INTEGERS = range(-(2**63), 2**64)
"""What SV and UV hold, and orjson writes."""

Element = Mapping[str, Any]


def read_row(model: object, record_type: type[Record] = Record, max_element_size: int = MAX_ELEMENT_SIZE) -> Row:
    """Read an instance's row.

    Parameters
    ----------
    model
        The instance, as JSON was parsed.
    record_type, max_element_size
        As for `dicombq.rows.reference.read_row`; an element's size is the one that its values would have in a file
        with Explicit VR.

    Raises
    ------
    Unreadable
        Where it is not of the model.
    """
    record = record_type(Instance())
    elements = _elements(model)
    if zone := _first_text(elements.get(tags.TIMEZONE_OFFSET_FROM_UTC)):
        record.instance.zone = utc_offset(zone.strip()) or dt.timezone.utc
    _add(record, elements, signed=False, limit=max_element_size)
    return record.row()


def _elements(model: object) -> dict[int, Element]:
    """Check a data set or an item; give its elements by tag, in their order."""
    if not isinstance(model, dict):
        raise Unreadable("INVALID_ARGUMENT", "a data set that is no object in the DICOM JSON model")
    found: dict[int, Element] = {}
    for key, element in model.items():
        if not _TAG.fullmatch(key) or not isinstance(element, dict):
            raise Unreadable("INVALID_ARGUMENT", "an element that is not of the DICOM JSON model")
        found[int(key, 16)] = element
    return dict(sorted(found.items()))


def _add(
    record: Record,
    elements: Mapping[int, Element],
    *,
    signed: bool,
    inline: Charset = DEFAULT,
    limit: int | None = None,
) -> None:
    """Add a data set's or an item's elements to its record, but for those of `limit` bytes or more.

    Only text that stands `inline`, as the file's bytes, has a character set.
    """
    if terms := elements.get(tags.SPECIFIC_CHARACTER_SET):
        inline = charset("\\".join(str(term or "") for term in _values_of(terms)).encode("ascii", "replace"))
    representation = elements.get(tags.PIXEL_REPRESENTATION)
    if representation is not None:
        signed = _values_of(representation)[:1] == [1]
    creators: dict[int, str] = {}
    for tag, element in elements.items():
        creator = creators.get(tag >> 8, "") if is_private(tag) else ""
        vr = effective_vr(tag, _vr_of(element), creator, signed)
        if is_private_creator(tag):
            creators[private_block(tag)] = _first_text(element).strip(" ")
        if "BulkDataURI" in element or (limit is not None and _size(element) >= limit):
            record.drop(column(tag, vr).name)
        elif vr == "SQ" and "InlineBinary" in element:
            from dicombq.rows import reference  # noqa: PLC0415 - few models need it

            reference.add_sequence(record, tag, _bytes_of(tag, element), inline, signed=signed)
        elif vr == "SQ":
            _add_sequence(record, tag, element, signed=signed, inline=inline)
        elif "InlineBinary" in element:
            record.add(tag, vr, _bytes_of(tag, element), True, inline)
        elif found := record.place(tag, vr):
            values, undecodable = _read_values(tag, vr, _values_of(element))
            record.add_values(tag, vr, found, values, undecodable=undecodable)


def _add_sequence(record: Record, tag: int, element: Element, *, signed: bool, inline: Charset) -> None:
    found = record.place(tag, "SQ")  # none from a depth on, which bounds the recursion
    if found is None:
        return
    items = []
    for position, model in enumerate(_values_of(element)):
        item = record.item(found, position)
        _add(item, _elements({} if model is None else model), signed=signed, inline=inline)
        items.append(item)
    record.add_sequence(tag, found, [item.close() for item in items], used=any(item.used for item in items))


def _vr_of(element: Element) -> str | None:
    vr = element.get("vr")
    return vr if isinstance(vr, str) else None


def _values_of(element: Element) -> list[Any]:
    values = element.get("Value")
    if values is None:
        return []
    if not isinstance(values, list):
        raise Unreadable("INVALID_ARGUMENT", "a Value that is no array in the DICOM JSON model")
    return values


def _first_text(element: Element | None) -> str:
    values = _values_of(element) if element else []
    return values[0] if values and isinstance(values[0], str) else ""


def _bytes_of(tag: int, element: Element) -> bytes:
    try:
        return binascii.a2b_base64(element["InlineBinary"])
    except (TypeError, ValueError):
        raise _odd(tag, "binary that is not in base 64") from None


def _odd(tag: int, what: str) -> Unreadable:
    return Unreadable("INVALID_ARGUMENT", f"element {tag:08X} has {what}")


def _read_values(tag: int, vr: str, values: list[Any]) -> tuple[list[Value], bool]:
    """Give the values that `dicombq.dicom.values.parse` gives for the same element of a file."""
    if vr in TEXT_VRS:
        text = "\\".join(_text_of(tag, vr, value) for value in values)
        return split_text(vr, text) if text else ([], False)
    read = [_number_of(tag, vr, value) for value in values]
    return ([], False) if read == [""] else (read, False)


def _text_of(tag: int, vr: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if vr == "PN" and isinstance(value, dict):
        groups = [value.get(group) or "" for group in NAME_GROUPS]
        if all(isinstance(group, str) for group in groups):
            return "=".join(groups).rstrip("=")
    if isinstance(value, int | float) and not isinstance(value, bool):
        return as_text(value, vr)
    raise _odd(tag, f"a value that is none of {vr} in the DICOM JSON model")


def _number_of(tag: int, vr: str, value: object) -> Value:
    """Read a number; text that is none stays what it is, and does not fit its column."""
    if value is None:
        return ""
    if isinstance(value, str):
        return _number_in(vr, value.strip())
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _odd(tag, f"a value that is none of {vr} in the DICOM JSON model")
    if vr in ("FL", "FD"):
        return _single(value) if vr == "FL" else float(value)
    return int(value) if isinstance(value, float) and value.is_integer() and int(value) in _INTEGERS else value


def _number_in(vr: str, text: str) -> Value:
    if vr in ("FL", "FD"):
        with contextlib.suppress(ValueError):
            return _single(float(text)) if vr == "FL" else float(text)
    elif vr == "AT" and _TAG.fullmatch(text):
        return int(text, 16)
    elif _INTEGER.fullmatch(text) and int(text) in _INTEGERS:
        return int(text)
    return escape(text)[0]


def _single(value: float) -> float:
    """Round to what a file holds: servers print singles with more digits than they have, or with fewer."""
    try:
        single: float = struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError:
        return float(value)
    return single


def _size(element: Element) -> int:
    """Estimate the bytes of an element's value in a file with Explicit VR."""
    size = 0
    remaining: list[object] = [element]
    while remaining:
        one = remaining.pop()
        if not isinstance(one, dict):
            continue
        values, inline, width = one.get("Value"), one.get("InlineBinary"), _WIDTHS.get(str(one.get("vr")), 0)
        size += len(inline) * 3 // 4 if isinstance(inline, str) else 0
        if width and isinstance(values, list):
            size += width * len(values)
            continue
        for value in values if isinstance(values, list) else ():
            if not isinstance(value, dict):
                size += len(str(value)) + 1
            elif one.get("vr") == "SQ":
                size += _HEADER_SIZE * (1 + len(value))
                remaining += value.values()
            else:
                size += sum(len(str(group)) + 1 for group in value.values())
    return size
