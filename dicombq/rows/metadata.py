"""Elements to the DICOM JSON model (PS3.18 F), for ``--schema=json``."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import orjson

from dicombq.dicom.text import Charset
from dicombq.dicom.values import Json, Unfit, Value, as_text, fit, parse
from dicombq.rows.base import Row
from dicombq.rows.record import UNDECODABLE, Record
from dicombq.table.mapping import UID_COLUMNS, Column, Kind, column

MAX_DEPTH = 80
"""Levels of sequences; orjson writes 254 levels of JSON, BigQuery reads 500, and each sequence takes three."""

_UID_TAGS = ("0020000D", "0020000E", "00080018")


class MetadataRecord(Record):
    """A data set or item as a JSON object: tag to VR and values, without bulk data and File Meta Information."""

    __slots__ = ()

    def row(self) -> Row:
        """Finish the instance's row (``schema.md``, JSON schema)."""
        metadata = self.close()
        uids = tuple(_uid(metadata.get(tag)) for tag in _UID_TAGS)
        written = orjson.dumps(metadata)
        values: dict[str, Any] = {name: uid for name, uid in zip(UID_COLUMNS, uids, strict=True) if uid}
        values["Metadata"] = orjson.Fragment(written)
        values["StructuredStorageSize"] = len(written)
        if self.instance.dropped:
            values["DroppedTags"] = [f"{reference}.{name}".lstrip(".") for name, reference in self.instance.dropped]
        return Row(orjson.dumps(values), frozenset(), uids, self.instance.notices)

    def place(self, tag: int, vr: str) -> Column | None:
        """Find an element's name; None where the model does not hold it."""
        found = column(tag, vr)
        if found.kind is Kind.SKIPPED or tag >> 16 == 0x0002:
            return None
        if found.kind is Kind.DROPPED or self.depth + (vr == "SQ") > MAX_DEPTH:
            self.drop(found.name)
            return None
        return found

    def add(self, tag: int, vr: str, data: bytes, little_endian: bool, charset: Charset) -> None:
        """Add an element that is not a sequence."""
        if self.place(tag, vr) is None:
            return
        values: list[Value]
        try:
            values, undecodable = parse(vr, data, little_endian, charset)
        except Unfit as unfit:
            self.notice(tag, unfit.reason)
            values, undecodable = [data.hex()], False
        if undecodable:
            self.notice(tag, UNDECODABLE)
        element: dict[str, Json] = {"vr": vr}
        if any(value != "" for value in values):
            element["Value"] = [_model_value(value, vr) for value in values]
        self.values[f"{tag:08X}"] = element

    def add_sequence(self, tag: int, _found: Column, items: list[Json], *, used: bool) -> None:  # noqa: ARG002 - as the base's
        """Add a sequence's items, empty ones too (PS3.18 F.2.5)."""
        element: dict[str, Json] = {"vr": "SQ"}
        if items:
            element["Value"] = items
        self.values[f"{tag:08X}"] = element


def _uid(element: Json) -> str:
    values = element.get("Value") if isinstance(element, dict) else None
    if isinstance(values, list) and len(values) == 1 and isinstance(values[0], str):
        return values[0]
    return ""


def _model_value(value: Value, vr: str) -> Json:
    if value == "":
        return None
    if vr == "PN":
        groups = zip(("Alphabetic", "Ideographic", "Phonetic"), str(value).split("="), strict=False)
        return {name: group for name, group in groups if group}
    if vr == "AT" and isinstance(value, int):
        return f"{value:08X}"
    if vr in ("DS", "IS"):
        return _number_or_text(str(value), vr)
    if isinstance(value, float) and not math.isfinite(value):
        return as_text(value, vr)
    return value


def _number_or_text(text: str, vr: str) -> Json:
    """PS3.18 F.2.3.1 wants numbers; text that is none stays text."""
    try:
        return fit(text, "SV" if vr == "IS" else "FD", dt.timezone.utc)
    except Unfit:
        return text
