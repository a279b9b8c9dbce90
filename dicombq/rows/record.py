"""Elements to the fields of a record: what fits goes to its column, the rest to OtherElements or DroppedTags."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import NamedTuple

import orjson

from dicombq.dicom.text import Charset
from dicombq.dicom.values import Json, Unfit, Value, as_text, fit, parse
from dicombq.rows.base import Notice, Row, join
from dicombq.table.mapping import MAX_RECORD_DEPTH, UID_COLUMNS, Column, Kind, column, tag_name

UNDECODABLE = "bytes that its character set does not have are spelled out"


@dataclass
class Instance:
    """What the records of one instance share.

    Parameters
    ----------
    zone
        Timezone Offset From UTC (0008,0201), for DT without an offset.
    """

    zone: dt.timezone = dt.timezone.utc
    columns: dict[str, None] = field(default_factory=dict)  # a set that keeps its order, for `Record.undo`
    dropped: list[tuple[str, str]] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)


class Mark(NamedTuple):
    """How much there was of a record and its instance."""

    used: bool
    values: int
    columns: int
    dropped: int
    notices: int


class Record:
    """The fields of a dataset or of a sequence's item, element by element.

    Parameters
    ----------
    path
        The column path of the enclosing sequences, with a final dot; empty at the top level.
    parent, position
        The record whose item it is, and which one of the sequence.
    depth
        Levels of RECORD around it.
    """

    UIDS = UID_COLUMNS
    """Where the UIDs of the instance are, in a record of the whole data set."""

    __slots__ = ("_parent", "_position", "depth", "instance", "other", "path", "used", "values")

    def __init__(
        self, instance: Instance, path: str = "", parent: Record | None = None, position: int = 0, depth: int = 0
    ) -> None:
        self.instance = instance
        self.used = False
        self.path = path
        self.depth = depth
        self.values: dict[str, Json] = {}
        self.other: list[Json] = []  # each with Tag and Data
        self._parent = parent
        self._position = position

    @property
    def reference(self) -> str:
        """The path with each item's position, without the final dot."""
        if self._parent is None:
            return ""
        above = self._parent.reference
        name = self.path[len(self._parent.path) : -1]
        return f"{above}.{name}[{self._position}]" if above else f"{name}[{self._position}]"

    def row(self) -> Row:
        """Finish the instance's row; for the record of the whole data set."""
        values = self.close()
        uids = tuple(self.uid(values.get(name)) for name in self.UIDS)
        return self.finish(orjson.dumps(values), frozenset(self.instance.columns), uids, self.instance)

    @staticmethod
    def uid(value: Json) -> str:
        """Read the value of a UID's column; empty where there is none."""
        return "" if value is None else str(value)

    @staticmethod
    def finish(elements: bytes, columns: frozenset[str], uids: tuple[str, ...], instance: Instance) -> Row:
        """Make an instance's row of its elements, as a JSON object."""
        dropped = [{"TagName": name, "TagReference": reference} for name, reference in instance.dropped]
        if dropped:
            elements = join(elements, {"DroppedTags": dropped})
        return Row(elements, columns, uids, instance.notices)

    def close(self) -> dict[str, Json]:
        """Give the record's values."""
        if self.other:
            self.values["OtherElements"] = self.other
        return self.values

    def place(self, tag: int, vr: str) -> Column | None:
        """Find an element's column; None where it has none, which is then noted in DroppedTags."""
        found = column(tag, vr)
        if found.kind is Kind.SKIPPED:
            return None
        if found.kind is Kind.DROPPED or self.depth + found.records > MAX_RECORD_DEPTH:
            self.drop(found.name)
            return None
        return found

    def drop(self, name: str) -> None:
        """Name an element in DroppedTags."""
        self.instance.dropped.append((name, self.reference))

    def mark(self) -> Mark:
        """Note what there is, for `undo`; between the two there is one element, which is a sequence."""
        instance = self.instance
        return Mark(self.used, len(self.values), len(instance.columns), len(instance.dropped), len(instance.notices))

    def undo(self, mark: Mark) -> None:
        """Take away what was added since."""
        instance = self.instance
        self.used = mark.used
        while len(self.values) > mark.values:
            self.values.popitem()
        while len(instance.columns) > mark.columns:
            instance.columns.popitem()
        del instance.dropped[mark.dropped :]
        del instance.notices[mark.notices :]

    def notice(self, tag: int, reason: str) -> None:
        """Tell the user about an element."""
        reference = self.reference
        prefix = f"{reference}." if reference else ""
        self.instance.notices.append(Notice(f"{prefix}{tag:08X}", reason))

    def add(self, tag: int, vr: str, data: bytes, little_endian: bool, charset: Charset) -> None:
        """Add an element that is not a sequence."""
        found = self.place(tag, vr)
        if found is None:
            return
        try:
            values, undecodable = parse(vr, data, little_endian, charset)
        except Unfit as unfit:
            self.add_unfit(tag, vr, found, data.hex(), unfit.reason)
        else:
            self.add_values(tag, vr, found, values, undecodable=undecodable)

    def add_unfit(self, tag: int, vr: str, found: Column, text: str, reason: str) -> None:  # noqa: ARG002 - for MetadataRecord
        """Add an element whose bytes are not of its VR, as text."""
        if found.kind is not Kind.OTHER:
            self._use(found.name)
        self._unfit(tag, found, [text], reason)

    def add_values(self, tag: int, vr: str, found: Column, values: list[Value], *, undecodable: bool) -> None:
        """Add the values of an element that has its place, as `dicombq.dicom.values.parse` gives them."""
        if found.kind is not Kind.OTHER:
            self._use(found.name)
            if found.vr == "PN" and not values:  # as exported tables have it: schema.md, Values that do not fit
                self._append_other(tag, [""])
                return
        if undecodable:
            self.notice(tag, UNDECODABLE)
        if found.kind is Kind.OTHER:
            self._add_other(tag, vr, found, values)
        elif found.kind is Kind.REPEATING:
            self._add_repeating(tag, vr, found, values)
        else:
            fitted = self._fit(tag, vr, found, values)
            if fitted is not None:
                self.values[found.name] = fitted

    def add_sequence(self, _tag: int, found: Column, items: list[Json], *, used: bool) -> None:
        """Add a sequence's items, unless none of them uses a column."""
        if used:
            self.used = True
            self.values[found.name] = items

    def item(self, found: Column, position: int) -> Record:
        """Begin an item of a sequence."""
        return type(self)(self.instance, f"{self.path}{found.name}.", self, position, self.depth + 1)

    def _use(self, name: str) -> None:
        self.used = True
        self.instance.columns[self.path + name] = None

    def _add_other(self, tag: int, vr: str, found: Column, values: list[Value]) -> None:
        if found.vr == "SQ" and not values:
            return
        if found.vr == "SQ":
            self.notice(tag, "not a sequence")
        self._append_other(tag, [as_text(value, vr) for value in values])

    def _append_other(self, tag: int, texts: list[str]) -> None:
        self._use("OtherElements")
        self.other.append({"Tag": tag_name(tag), "Data": [*texts]})

    def _add_repeating(self, tag: int, vr: str, found: Column, values: list[Value]) -> None:
        entry: dict[str, Json] = {"Id": f"{tag >> 16:04X}"}
        fitted = self._fit(tag, vr, found, values)
        if fitted is not None:
            entry["Value"] = fitted
        entries = self.values.setdefault(found.name, [])
        if isinstance(entries, list):
            entries.append(entry)

    def _fit(self, tag: int, vr: str, found: Column, values: list[Value]) -> Json | None:
        if len(values) == 1 and values[0] == "" and found.vr != "PN":
            return None
        if not found.repeated:
            if len(values) > 1:
                self._unfit(tag, found, [as_text(value, vr) for value in values], "more than one value")
                return None
            fitted = self._fit_each(tag, vr, found, values)
            return fitted[0] if fitted else None
        return self._fit_each(tag, vr, found, values) or None

    def _fit_each(self, tag: int, vr: str, found: Column, values: list[Value]) -> list[Json]:
        fitted: list[Json] = []
        unfit: list[str] = []
        reason = ""
        for value in values:
            try:
                fitted.append(fit(value, found.vr, self.instance.zone, vr))
            except Unfit as error:
                unfit.append(as_text(value, vr))
                reason = reason or error.reason
        if unfit:
            self._unfit(tag, found, unfit, reason)
        return fitted

    def _unfit(self, tag: int, found: Column, texts: list[str], reason: str) -> None:
        self.notice(tag, reason)
        if self.depth + 1 > MAX_RECORD_DEPTH:
            self.drop(found.name)
        else:
            self._append_other(tag, texts)
