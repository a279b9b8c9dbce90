"""What no row may break, whatever the file: a load would refuse it, or lose a value."""

import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from dicombq.rows.base import Row
from dicombq.rows.metadata import MetadataRecord
from dicombq.rows.record import Record
from dicombq.table.fields import Field
from dicombq.table.mapping import MAX_RECORD_DEPTH, flattened_fields, json_fields

_PATTERNS = {
    "DATE": re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}"),
    "TIME": re.compile(r"[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?"),
    "TIMESTAMP": re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z"),
}
_SPECIAL_FLOATS = {"NaN", "Infinity", "-Infinity"}
_FORBIDDEN = re.compile("[\x00\ud800-\udfff]")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,299}")


def problems(row: Row, record_type: type[Record] = Record) -> list[str]:
    """Say what is wrong with a row: none of it may ever be."""
    fields = json_fields() if record_type is MetadataRecord else flattened_fields(row.columns)
    try:
        values = row.values
    except orjson.JSONDecodeError as error:
        return [f"no JSON: {error}"]
    found = [*_check_record(values, fields, ""), *_check_names(fields, "", 0)]
    found += [f"text that no warehouse holds: {where}" for where in _forbidden(values, "")]
    found += [f"text that no warehouse holds: notice {tag}" for tag, _ in row.notices if _FORBIDDEN.search(tag)]
    if len(row.uids) != 3 or any(_FORBIDDEN.search(uid) for uid in row.uids):
        found.append("the UIDs are not three texts")
    if record_type is MetadataRecord:
        found += _check_metadata(values)
    return found


def _check_record(values: Any, fields: Sequence[Field], path: str) -> Iterator[str]:
    if not isinstance(values, dict):
        yield f"{path}: {type(values).__name__} where a record is due"
        return
    known = {field.name: field for field in fields}
    for name, value in values.items():
        where = f"{path}.{name}".lstrip(".")
        field = known.get(name)
        if field is None:
            yield f"{where}: no such column"
        elif not field.repeated:
            yield from _check_value(value, field, where)
        elif not isinstance(value, list):
            yield f"{where}: {type(value).__name__} in a REPEATED column"
        else:
            for position, each in enumerate(value):
                yield from _check_value(each, field, f"{where}[{position}]")


def _check_value(value: Any, field: Field, where: str) -> Iterator[str]:
    if field.type == "RECORD":
        yield from _check_record(value, field.fields, where)
    elif value is None:
        yield f"{where}: NULL, which is absent in a row and cannot be in an array"
    elif not _fits(value, field.type):
        yield f"{where}: {type(value).__name__} that is no {field.type}"


def _fits(value: Any, kind: str) -> bool:
    if kind == "JSON":
        return isinstance(value, dict)
    if kind == "INTEGER":
        return type(value) is int and -(2**63) <= value < 2**63
    if kind == "FLOAT":
        return value in _SPECIAL_FLOATS if isinstance(value, str) else type(value) is float and math.isfinite(value)
    if not isinstance(value, str):
        return False
    pattern = _PATTERNS.get(kind)
    return pattern.fullmatch(value) is not None if pattern else kind == "STRING"


def _check_names(fields: Sequence[Field], path: str, depth: int) -> Iterator[str]:
    names = [field.name.lower() for field in fields]
    if len(names) != len(set(names)):
        yield f"{path}: column names that differ in case only"
    for field in fields:
        if not _NAME.fullmatch(field.name):
            yield f"{path}.{field.name}: no name of a column"
        if field.type == "RECORD" and not field.fields:
            yield f"{path}.{field.name}: a RECORD without fields"
        if field.type == "RECORD" and depth >= MAX_RECORD_DEPTH:
            yield f"{path}.{field.name}: nested deeper than {MAX_RECORD_DEPTH} levels"
        yield from _check_names(field.fields, f"{path}.{field.name}", depth + 1)


def _forbidden(value: Any, where: str) -> Iterator[str]:
    if isinstance(value, str) and _FORBIDDEN.search(value):
        yield where
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _forbidden(key, f"{where} (a key)")
            yield from _forbidden(each, f"{where}.{key}")
    elif isinstance(value, list):
        for position, each in enumerate(value):
            yield from _forbidden(each, f"{where}[{position}]")


def _check_metadata(values: dict[str, Any]) -> Iterator[str]:
    metadata = values["Metadata"]
    if values["StructuredStorageSize"] != len(orjson.dumps(metadata)):
        yield "StructuredStorageSize is not the size of Metadata"
    yield from _check_model(metadata, "Metadata")


def _check_model(model: Any, path: str) -> Iterator[str]:
    """PS3.18 F.2.2: an object of tag to VR and, but for empty elements, a Value that is an array."""
    for tag, element in model.items():
        where = f"{path}.{tag}"
        if not re.fullmatch("[0-9A-F]{8}", tag):
            yield f"{where}: no tag"
        if not element.keys() <= {"vr", "Value"} or not re.fullmatch("[A-Z]{2}", element.get("vr", "")):
            yield f"{where}: no element of the DICOM JSON model"
        values = element.get("Value", [None])
        if not isinstance(values, list) or not values:
            yield f"{where}: a Value that is no array, or an empty one"
        elif element.get("vr") == "SQ":
            for value in values:
                if value is not None:
                    yield from _check_model(value, where)
