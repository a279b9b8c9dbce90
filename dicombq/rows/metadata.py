"""Elements to the DICOM JSON model (PS3.18 F), for ``--schema=json``."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import orjson

from dicombq.dicom.values import NAME_GROUPS, Json, Unfit, Value, as_text, fit
from dicombq.rows.base import Row
from dicombq.rows.record import UNDECODABLE, Instance, Record
from dicombq.table.mapping import UID_COLUMNS, Column, Kind, column

MAX_DEPTH = 80
"""Levels of sequences; orjson writes 254 levels of JSON, BigQuery reads 500, and each sequence takes three."""


class MetadataRecord(Record):
    """A data set or item as a JSON object: tag to VR and values, without bulk data and File Meta Information."""

    __slots__ = ()

    UIDS = ("0020000D", "0020000E", "00080018")

    @staticmethod
    def uid(value: Json) -> str:
        """Read an element that is a UID; empty where there is none."""
        values = value.get("Value") if isinstance(value, dict) else None
        if isinstance(values, list) and len(values) == 1 and isinstance(values[0], str):
            return values[0]
        return ""

    @staticmethod
    def finish(elements: bytes, columns: frozenset[str], uids: tuple[str, ...], instance: Instance) -> Row:  # noqa: ARG004 - as the base's
        """Make an instance's row of its elements (``schema.md``, JSON schema)."""
        values: dict[str, Any] = {name: uid for name, uid in zip(UID_COLUMNS, uids, strict=True) if uid}
        values["Metadata"] = orjson.Fragment(elements)
        values["StructuredStorageSize"] = len(elements)
        if instance.dropped:
            values["DroppedTags"] = [f"{reference}.{name}".lstrip(".") for name, reference in instance.dropped]
        return Row(orjson.dumps(values), frozenset(), uids, instance.notices)

    def place(self, tag: int, vr: str) -> Column | None:
        """Find an element's name; None where the model does not hold it."""
        found = column(tag, vr)
        if found.kind is Kind.SKIPPED or tag >> 16 == 0x0002:
            return None
        if found.kind is Kind.DROPPED or self.depth + (vr == "SQ") > MAX_DEPTH:
            self.drop(found.name)
            return None
        return found

    def add_unfit(self, tag: int, vr: str, found: Column, text: str, reason: str) -> None:
        """Add an element whose bytes are not of its VR, as text."""
        self.notice(tag, reason)
        self.add_values(tag, vr, found, [text], undecodable=False)

    def add_values(self, tag: int, vr: str, _found: Column, values: list[Value], *, undecodable: bool) -> None:
        """Add the values of an element that has its place."""
        if undecodable:
            self.notice(tag, UNDECODABLE)
        if vr == "PN" and any(str(value).count("=") >= len(NAME_GROUPS) for value in values):
            self.notice(tag, "more component groups than a PN has: those are left out")
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


def _model_value(value: Value, vr: str) -> Json:
    if value == "":
        return None
    if vr == "PN":
        groups = zip(NAME_GROUPS, str(value).split("="), strict=False)
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
