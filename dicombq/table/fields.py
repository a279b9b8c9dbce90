"""A table's fields: print them for BigQuery and DuckDB, order, count and merge them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dicombq.errors import TooManyColumns

MAX_COLUMNS = 10_000
"""Columns of a BigQuery table, nested ones counted."""

_DUCKDB_TYPES = {
    "STRING": "VARCHAR",
    "INTEGER": "BIGINT",
    "FLOAT": "DOUBLE",
    "DATE": "DATE",
    "TIME": "TIME",
    "TIMESTAMP": "TIMESTAMPTZ",
    "JSON": "JSON",
}
_STANDARD_SQL_NAMES = {"INT64": "INTEGER", "FLOAT64": "FLOAT", "STRUCT": "RECORD", "BOOL": "BOOLEAN"}
_LEGACY_NAMES = {legacy: standard for standard, legacy in _STANDARD_SQL_NAMES.items()}


@dataclass(frozen=True)
class Field:
    """A column, or a field of a RECORD.

    Parameters
    ----------
    type
        ``STRING INTEGER FLOAT DATE TIME TIMESTAMP JSON RECORD``, or another name that an existing table has.
    mode
        ``NULLABLE REPEATED``, or ``REQUIRED`` in an existing table.
    fields
        The fields of a RECORD.
    description
        For people; two fields that differ in it alone are equal.
    """

    name: str
    type: str
    mode: str = "NULLABLE"
    fields: tuple[Field, ...] = ()
    description: str = field(default="", compare=False)

    @property
    def repeated(self) -> bool:
        """Whether the mode is REPEATED."""
        return self.mode == "REPEATED"

    def describe(self) -> str:
        """Name type and mode for an error: ``REPEATED STRING``."""
        return f"{'REPEATED ' if self.repeated else ''}{self.type}"


def to_bigquery(fields: Iterable[Field]) -> list[dict[str, Any]]:
    """Print fields as BigQuery's ``TableFieldSchema``."""
    return [
        {"name": f.name, "type": f.type, "mode": f.mode}
        | ({"description": f.description} if f.description else {})
        | ({"fields": to_bigquery(f.fields)} if f.fields else {})
        for f in fields
    ]


def from_bigquery(schema: Iterable[Mapping[str, Any]]) -> tuple[Field, ...]:
    """Read BigQuery's ``TableFieldSchema``, its standard SQL type names too."""
    return tuple(
        Field(
            f["name"],
            _STANDARD_SQL_NAMES.get(f["type"].upper(), f["type"].upper()),
            f.get("mode", "NULLABLE").upper(),
            from_bigquery(f.get("fields", ())),
            f.get("description") or "",
        )
        for f in schema
    )


def duckdb_type(f: Field) -> str:
    """Print a field's type for DuckDB."""
    if f.type == "RECORD":
        inner = ", ".join(f"{quote(child.name)} {duckdb_type(child)}" for child in f.fields)
        base = f"STRUCT({inner})"
    else:
        base = _DUCKDB_TYPES[f.type]
    return base + ("[]" if f.repeated else "")


def standard_type(f: Field) -> str:
    """Print a field's type for GoogleSQL: ``ARRAY<STRUCT<Tag STRING, Data ARRAY<STRING>>>``."""
    base = _LEGACY_NAMES.get(f.type, f.type)
    if f.type == "RECORD":
        base = f"STRUCT<{', '.join(f'`{child.name}` {standard_type(child)}' for child in f.fields)}>"
    return f"ARRAY<{base}>" if f.repeated else base


def quote(name: str) -> str:
    """Quote an identifier for DuckDB."""
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def count(fields: Iterable[Field]) -> int:
    """Count columns as BigQuery does: records and the fields in them."""
    return sum(1 + count(f.fields) for f in fields)


def check_limits(fields: Sequence[Field]) -> None:
    """Refuse more columns than BigQuery has.

    Raises
    ------
    TooManyColumns
        Naming ``--schema=json``.
    """
    number = count(fields)
    if number > MAX_COLUMNS:
        raise TooManyColumns(
            f"the table would have {number:,} columns, nested ones counted; BigQuery allows {MAX_COLUMNS:,}",
            "Use --schema=json: it puts all elements of an instance into one JSON column.",
        )


@dataclass(frozen=True)
class Conflict:
    """A column that a table has with another type or mode."""

    path: str
    existing: Field
    wanted: Field


@dataclass
class Merge:
    """What becomes of a table's fields when others are added to them.

    Parameters
    ----------
    fields
        The existing ones in their order, each missing one after them.
    added
        The missing ones, each with the path of the records that hold it.
    """

    fields: tuple[Field, ...]
    added: list[tuple[tuple[Field, ...], Field]] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)


def merge(existing: Iterable[Field], wanted: Iterable[Field]) -> Merge:
    """Add the wanted fields that a table does not have, nested ones too; names are equal regardless of case."""
    result = Merge(())
    result.fields = _merge(tuple(existing), tuple(wanted), (), result)
    return result


def _merge(
    existing: tuple[Field, ...], wanted: tuple[Field, ...], above: tuple[Field, ...], result: Merge
) -> tuple[Field, ...]:
    merged = {f.name.lower(): f for f in existing}
    for new in wanted:
        old = merged.get(new.name.lower())
        if old is None:
            merged[new.name.lower()] = new
            result.added.append((above, new))
        elif old.type != new.type or old.repeated != new.repeated:
            path = ".".join(f.name for f in (*above, new))
            result.conflicts.append(Conflict(path, old, new))
        elif old.type == "RECORD":
            inner = _merge(old.fields, new.fields, (*above, old), result)
            merged[new.name.lower()] = replace(old, fields=inner)
    return tuple(merged.values())
