"""Table schemas of the BigQuery fake: their rules, and which changes of them are allowed."""

from __future__ import annotations

import re
from typing import Any

Json = dict[str, Any]

_COLUMN = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,299}")
_IDENTIFIER = re.compile(r"[A-Za-z0-9_]{1,1024}")
_RESERVED_PREFIXES = ("_table_", "_file_", "_partition", "_row_timestamp", "__root__", "_colidentifier")
_MAX_COLUMNS = 10_000
_MAX_NESTING = 15
_ALIASES = {"INT64": "INTEGER", "FLOAT64": "FLOAT", "BOOL": "BOOLEAN", "STRUCT": "RECORD"}
_TYPES = frozenset(
    [
        "STRING",
        "BYTES",
        "INTEGER",
        "FLOAT",
        "BOOLEAN",
        "DATE",
        "TIME",
        "DATETIME",
        "TIMESTAMP",
        "JSON",
        "NUMERIC",
        "BIGNUMERIC",
        "RECORD",
    ]
)
_MODES = frozenset(["NULLABLE", "REQUIRED", "REPEATED"])


class ApiError(Exception):
    """What BigQuery answers instead of a result, or writes as a job's error result."""

    def __init__(self, code: int, reason: str, message: str, details: list[Json] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details or []


def invalid(message: str) -> ApiError:
    """Return BigQuery's answer to a request that cannot be right."""
    return ApiError(400, "invalid", message)


def check_identifier(kind: str, name: object) -> str:
    """Return a data set's or table's identifier, or refuse it."""
    if not isinstance(name, str) or not _IDENTIFIER.fullmatch(name):
        raise invalid(
            f'Invalid {kind} ID "{name}". {kind.capitalize()} IDs must be alphanumeric (plus underscores) '
            "and must be at most 1024 characters long."
        )
    return name


def normalize_schema(fields: object) -> list[Json]:
    """Return a schema as BigQuery gives it back: legacy type names, every mode written out."""
    result = _normalize_fields(fields, "", 0)
    columns = count_columns(result)
    if columns > _MAX_COLUMNS:
        raise invalid(f"Too many total leaf fields: {columns}, max allowed field count: {_MAX_COLUMNS}.")
    return result


def count_columns(fields: list[Json]) -> int:
    """Count a schema's columns, records and their fields alike."""
    return sum(1 + count_columns(field.get("fields", [])) for field in fields)


def _normalize_fields(fields: object, parent: str, nesting: int) -> list[Json]:
    if not isinstance(fields, list):
        raise invalid("Schema fields must be a list.")
    if nesting > _MAX_NESTING:
        raise invalid(f"Schema field {parent} is nested too deeply: at most {_MAX_NESTING} levels of RECORD.")
    result = [_normalize_field(field, parent, nesting) for field in fields]
    seen: set[str] = set()
    for field in result:
        if field["name"].lower() in seen:
            raise invalid(f"Field {_path(parent, field)} already exists in schema")
        seen.add(field["name"].lower())
    return result


def _normalize_field(field: object, parent: str, nesting: int) -> Json:
    if not isinstance(field, dict) or not isinstance(field.get("name"), str):
        raise invalid("Every field of a schema needs a name.")
    path = _path(parent, field)
    name = field["name"]
    if not _COLUMN.fullmatch(name) or name.lower().startswith(_RESERVED_PREFIXES):
        raise invalid(
            f'Invalid field name "{path}". Fields must contain only letters, numbers, and underscores, start '
            "with a letter or underscore, and be at most 300 characters long."
        )
    kind = str(field.get("type", "")).upper()
    kind = _ALIASES.get(kind, kind)
    if kind not in _TYPES:
        raise invalid(f"Invalid value for type: {field.get('type')} is not a valid value (field: {path})")
    mode = str(field.get("mode") or "NULLABLE").upper()
    if mode not in _MODES:
        raise invalid(f"Invalid value for mode: {mode} is not a valid value (field: {path})")
    result = {**field, "type": kind, "mode": mode}
    result.pop("fields", None)
    if kind == "RECORD":
        if not field.get("fields"):
            raise invalid(f"Field {path} is type RECORD but has no schema")
        result["fields"] = _normalize_fields(field["fields"], path, nesting + 1)
    elif field.get("fields"):
        raise invalid(f"Field {path} of type {kind} cannot have fields")
    return result


def merge_schemas(
    old: list[Json], new: list[Json], table: str, *, add: bool, relax: bool, describe: bool
) -> list[Json]:
    """Return the schema of a table after a change, old columns first, or refuse the change.

    Parameters
    ----------
    old, new
        Normalized fields: the table's, and those a request gives.
    table
        The table's name in messages.
    add, relax
        Whether new fields, and REQUIRED fields that become NULLABLE, are allowed.
    describe
        Whether the descriptions and the like are those of the request.
    """
    if not old:
        return new
    prefix = f"Provided Schema does not match Table {table}."
    return _merge(old, new, prefix, "", add=add, relax=relax, describe=describe)


def _merge(
    old: list[Json], new: list[Json], prefix: str, parent: str, *, add: bool, relax: bool, describe: bool
) -> list[Json]:
    given = {field["name"].lower(): field for field in new}
    result = []
    for field in old:
        path = _path(parent, field)
        other = given.pop(field["name"].lower(), None)
        if other is None:
            raise invalid(f"{prefix} Field {path} is missing in new schema")
        if other["type"] != field["type"]:
            raise invalid(f"{prefix} Field {path} has changed type from {field['type']} to {other['type']}")
        relaxed = relax and (field["mode"], other["mode"]) == ("REQUIRED", "NULLABLE")
        if other["mode"] != field["mode"] and not relaxed:
            raise invalid(f"{prefix} Field {path} has changed mode from {field['mode']} to {other['mode']}")
        merged = {**(other if describe else field), "name": field["name"], "mode": other["mode"]}
        if field["type"] == "RECORD":
            merged["fields"] = _merge(
                field["fields"], other["fields"], prefix, path, add=add, relax=relax, describe=describe
            )
        result.append(merged)
    for field in given.values():
        path = _path(parent, field)
        if not add:
            raise invalid(f"{prefix} Cannot add fields (field: {path})")
        if field["mode"] == "REQUIRED":
            raise invalid(f"{prefix} Cannot add required fields to an existing schema. (field: {path})")
        result.append(field)
    return result


def _path(parent: str, field: Json) -> str:
    return f"{parent}.{field['name']}" if parent else str(field["name"])
