"""The row that a file must give, worked out from DCMTK's dump by the rules of schema.md.

None of dicombq's code is used. From pydicom only the tables of the dictionaries are taken, as data.
"""

import base64
import json
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from pydicom._dicom_dict import DicomDictionary, RepeatersDictionary
from pydicom._private_dict import private_dictionaries

from tests.corpus.dumps import (
    BINARY,
    CHARACTER_SET,
    PIXEL_DATA,
    RESTORE,
    Candidates,
    Dump,
    Element,
    Model,
    element,
)

NORMALISATIONS = {
    "digits": "dcm2json prints DS and IS as numbers: the text is the file's, under this tag and of the same value.",
    "floats": "dcm2json prints FL in nine digits, FD off by its last digit, and no negative zero: the number is"
    " the file's, under this tag and next to the printed one.",
    "carets": "dcm2json forgets a person name's empty components, and the whole name where it has no other:"
    " the text is the file's, under this tag and the same but for them.",
    "character set": "dcm2json prints the character set of its own output: the value is the file's.",
    "erased": "dcm2json prints no compressed Pixel Data, so dcmodify erased it first and rewrote group 0002:"
    " the element is put back and group 0002 is read from the file.",
    "padding": "dcmodify left out Data Set Trailing Padding: it is put back where the file has it.",
    "dcmdump": "dcm2json does not know this file's character set: what dcmdump printed is read instead.",
    "japanese": "This DCMTK was built without ISO IR 13 and 87: the bytes that it printed are decoded here.",
}

INTEGERS = {"SL", "SS", "UL", "US", "SV", "UV", "AT"}
TRIMMED = {"AE", "AS", "CS", "LO", "SH", "DS", "IS", "DA", "TM", "DT"}
MEBIBYTE = 1 << 20


class MisfitError(ValueError):
    """A value does not fit its column."""


@dataclass(frozen=True)
class Column:
    """What the dictionary says of an element; `group` is set for the repeating groups 50xx and 60xx."""

    name: str
    vr: str
    many: bool
    group: str = ""


def column_of(tag: str) -> Column | None:
    """Look a standard element up in the dictionary's table."""
    found = DicomDictionary.get(int(tag, 16))
    if found:
        return Column(found[4], found[0], found[1] != "1")
    repeated = RepeatersDictionary.get(f"{tag[:2]}xx{tag[4:]}")
    if repeated and tag[:2] in {"50", "60"}:
        return Column(repeated[4], repeated[0], repeated[1] != "1", tag[:4])
    return None


def private_vr(tag: str, model: Model) -> str:
    """Look a private element up under its creator; UN where the dictionary does not know it."""
    creator = "".join(model.get(f"{tag[:4]}00{tag[4:6]}", {}).get("Value", [])).strip(" ")
    known = private_dictionaries.get(creator, {}).get(f"{tag[:4]}xx{tag[6:]}")
    return known[0] if known else "UN"


def is_creator(tag: str) -> bool:
    return int(tag[3], 16) % 2 == 1 and 0x10 <= int(tag[4:], 16) <= 0xFF


@dataclass
class Expected:
    """A row as it must be: its values, its columns, the tags of the values that did not fit."""

    dump: Dump
    values: dict[str, Any] = field(default_factory=dict)
    columns: set[str] = field(default_factory=set)
    dropped: list[dict[str, str]] = field(default_factory=list)
    misfits: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.zone = next(iter(self.dump.dataset.get("00080201", {}).get("Value", [])), "+0000")
        self.values, self.columns = self.record({**self.dump.meta, **self.dump.dataset}, "")
        if self.dropped:
            self.values["DroppedTags"] = self.dropped
        if self.dump.used["borrowed"]:
            self.misfits.append(PIXEL_DATA)  # what a file does not hold whole is noticed

    def record(self, model: Model, where: str) -> tuple[dict[str, Any], set[str]]:
        """Make one record, of the instance or of the item that `where` names."""
        values: dict[str, Any] = {}
        columns: set[str] = set()
        others: list[dict[str, Any]] = []
        for tag in sorted(model):
            if tag[4:] == "0000" or tag == "00020001":
                continue
            column = None if int(tag[3], 16) % 2 else column_of(tag)
            name = column.name if column else f"Tag_{tag}"
            found = self.read(tag, model[tag], column, model)
            if found["vr"] in BINARY or too_big(found):
                self.dropped.append({"TagName": name, "TagReference": where})
            elif found["vr"] == "SQ":
                self.sequence(name, found, where, values, columns)
            elif column is None:
                others.append(other(tag, found))
            elif column.vr == "PN" and not found.get("Value"):  # named, and no misfit: an ordinary Type 2 element
                columns.add(name)
                others.append({"Tag": f"Tag_{tag}", "Data": [""]})
            else:
                columns.add(name)
                if not self.cell(column, found, values):
                    others.append(other(tag, found))
                    self.misfits.append(f"{where}.{tag}".lstrip("."))
        if others:
            values["OtherElements"] = others
            columns.add("OtherElements")
        return values, columns

    def read(self, tag: str, found: Element, column: Column | None, model: Model) -> Element:
        """Read an element by its VR: the file's, or the dictionary's where the file says UN."""
        vr = found["vr"]
        if vr == "UN" and column:
            vr = self.chosen(column.vr)
        elif vr == "UN" and is_creator(tag):
            vr = "LO"
        elif vr == "UN" and self.dump.implicit:
            vr = private_vr(tag, model)
        if vr != found["vr"]:
            return element(vr, base64.b64decode(found.get("InlineBinary", "")))
        restore = RESTORE.get("character set" if tag == CHARACTER_SET else vr)
        return {"vr": vr, "Value": self.restored(tag, found, *restore)} if restore else found

    def chosen(self, vr: str) -> str:
        """Settle an ambiguous VR (PS3.5 A.1)."""
        if vr == "US or SS":
            signed = self.dump.dataset.get("00280103", {}).get("Value") == ["1"]
            return "SS" if signed else "US"
        return "OW" if " or " in vr else vr

    def restored(self, tag: str, found: Element, normalisation: str, candidates: Candidates) -> list[Any]:
        """Return the value that stands in the file where dcm2json printed it otherwise."""
        printed = found.get("Value", [])
        values = {json.dumps(value): value for value in candidates(self.dump.data, tag, found["vr"], printed)}
        assert len(values) == 1, (self.dump.path, tag, printed, values)
        value: list[Any] = next(iter(values.values()))
        self.dump.used[normalisation] += value != printed
        return value

    def sequence(self, name: str, found: Element, where: str, values: dict[str, Any], columns: set[str]) -> None:
        """Make a repeated record; none where no item has a column."""
        records = [
            self.record(item, f"{where}.{name}[{index}]".lstrip("."))
            for index, item in enumerate(found.get("Value", []))
        ]
        inner = {column for _, item_columns in records for column in item_columns}
        if inner:
            values[name] = [item_values for item_values, _ in records]
            columns.update(f"{name}.{column}" for column in inner)

    def cell(self, column: Column, found: Element, values: dict[str, Any]) -> bool:
        """Make the value of a column; say whether it fits."""
        fits = True
        try:
            value = self.fit(column, found)
        except MisfitError:
            value, fits = None, False
        if column.group:
            entry = {"Id": column.group} if value is None else {"Id": column.group, "Value": value}
            values.setdefault(column.name, []).append(entry)
        elif value is not None:
            values[column.name] = value
        return fits

    def fit(self, column: Column, found: Element) -> Any:
        """Convert the values of an element to the type and mode of its column."""
        texts = texts_of(found)
        if column.vr == "PN":
            values = [name_of(value) for value in found.get("Value", [])]
        else:
            convert = self.converter(column.vr)
            values = [convert(text) for text in texts]
        if column.many:
            return values or None
        if len(values) > 1:
            raise MisfitError
        return values[0] if values else None

    def converter(self, vr: str) -> Callable[[str], Any]:
        if vr in INTEGERS or " or " in vr:
            return lambda text: whole(text, vr)
        if vr in {"FL", "FD"}:
            return float
        return {"DA": date, "TM": time, "DT": self.timestamp}.get(vr, str)

    def timestamp(self, text: str) -> str:
        """Convert DT to UTC."""
        match = re.fullmatch(r"(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?(?:\.(\d{1,6}))?([+-]\d{4})?", text)
        if not match:
            raise MisfitError
        year, month, day, hour, minute, second, fraction, zone = match.groups()
        zone = zone or self.zone
        shift = timedelta(hours=int(zone[:3]), minutes=int(zone[0] + zone[3:]))
        try:
            local = datetime(
                int(year),
                int(month or 1),
                int(day or 1),
                int(hour or 0),
                int(minute or 0),
                int(second or 0),
                int((fraction or "0").ljust(6, "0")),
                tzinfo=timezone(shift),
            )
        except ValueError as error:
            raise MisfitError from error
        return local.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def too_big(found: Element) -> bool:
    """Whether a value is left out for its size; no text or sequence of the corpus comes near the limit."""
    return int(found.get("_BulkBase64Length", 0)) * 3 // 4 >= MEBIBYTE


def texts_of(found: Element) -> list[str]:
    """Return an element's values as text less its padding; none where all of it is padding."""
    vr = found["vr"]
    if vr == "PN":
        return ["=".join(value.values()) for value in found.get("Value", [])]
    texts = [trimmed(value or "", vr) for value in found.get("Value", [])]
    return texts if texts != [""] else []


def trimmed(text: str, vr: str) -> str:
    text = text.rstrip("\0")  # its padding in UI, a mistake elsewhere: NUL never reaches the warehouse
    return text.strip(" ") if vr in TRIMMED else text.rstrip(" ")


def other(tag: str, found: Element) -> dict[str, Any]:
    """Make an entry of OtherElements: always text, one for each value."""
    texts = texts_of(found)
    if found["vr"] in {"FL", "FD"}:
        texts = [shortest(text, found["vr"]) for text in texts]
    if found["vr"] == "AT":
        texts = [str(int(text, 16)) for text in texts]
    return {"Tag": f"Tag_{tag}", "Data": texts}


def shortest(text: str, vr: str) -> str:
    """Return a float in the fewest digits that name it and no other."""
    code = "<f" if vr == "FL" else "<d"
    wanted = struct.pack(code, float(text))
    rounded = (float(f"{float(text):.{digits}g}") for digits in range(1, 18))
    return repr(next(number for number in rounded if struct.pack(code, number) == wanted)).removesuffix(".0")


def whole(text: str, vr: str) -> int:
    number = int(text, 16) if vr == "AT" else int(text)
    if number >= 1 << 63:
        raise MisfitError
    return number


def date(text: str) -> str:
    match = re.fullmatch(r"(\d{4})(\.?)(\d\d)\2(\d\d)", text)
    if not match:
        raise MisfitError
    try:
        datetime(int(match[1]), int(match[3]), int(match[4]), tzinfo=timezone.utc)
    except ValueError as error:
        raise MisfitError from error
    return f"{match[1]}-{match[3]}-{match[4]}"


def time(text: str) -> str:
    match = re.fullmatch(r"(\d\d)(?::?(\d\d)(?::?(\d\d)(\.\d{1,6})?)?)?", text)
    if not match or int(match[1]) > 23 or int(match[2] or 0) > 59 or int(match[3] or 0) > 59:
        raise MisfitError
    return f"{match[1]}:{match[2] or '00'}:{match[3] or '00'}{match[4] or ''}"


PARTS = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")


def name_of(value: dict[str, str]) -> dict[str, dict[str, str]]:
    """Split the groups of a person name in their components (PS3.5 6.2.1)."""
    name = {}
    for group, text in value.items():
        components = text.rstrip(" ").split("^")
        if len(components) > len(PARTS):
            raise MisfitError
        parts = {part: component for part, component in zip(PARTS, components, strict=False) if component}
        if parts:
            name[group] = parts
    if not name:
        raise MisfitError
    return name


def joined(name: dict[str, dict[str, str]]) -> str:
    """Join a person name's record back to the text of PS3.5 6.2.1."""
    groups = [
        "^".join(name.get(group, {}).get(part, "") for part in PARTS).rstrip("^")
        for group in ("Alphabetic", "Ideographic", "Phonetic")
    ]
    return "=".join(groups).rstrip("=")


def differences(expected: Any, actual: Any, path: str) -> Iterator[str]:
    """Name every place where two values differ, by type or by value."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        for key in sorted(expected.keys() | actual.keys()):
            yield from differences(expected.get(key), actual.get(key), f"{path}.{key}".lstrip("."))
    elif isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        for index, pair in enumerate(zip(expected, actual, strict=True)):
            yield from differences(*pair, f"{path}[{index}]")
    elif expected != actual or type(expected) is not type(actual):
        yield f"{path}: expected {expected!r}, got {actual!r}"
