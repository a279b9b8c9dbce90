"""What is in a DuckDB file: tables, their fields and rows."""

from __future__ import annotations

from typing import Any

import duckdb

from dicombq.errors import NotAWarehouse
from dicombq.names import DuckdbTable
from dicombq.table.disposition import TableState
from dicombq.table.fields import Field, quote
from dicombq.warehouses.base import Table

CATALOG = "dicombq-warehouse"
"""The attached file; DuckDB would name it after the file, and find `dicom.t` ambiguous in `dicom.duckdb`."""

_FIELD_TYPES = {
    "varchar": "STRING",
    "bigint": "INTEGER",
    "double": "FLOAT",
    "date": "DATE",
    "time": "TIME",
    "json": "JSON",
    "timestamp with time zone": "TIMESTAMP",
    "struct": "RECORD",
}


def quoted(table: DuckdbTable) -> str:
    """Name a table in SQL."""
    return f"{quote(CATALOG)}.{quote(table.dataset)}.{quote(table.table)}"


def kind_of(connection: duckdb.DuckDBPyConnection, table: DuckdbTable) -> str | None:
    """Tell whether a name is that of a table or of a view; None where it is free."""
    row = connection.execute(
        "SELECT table_type FROM information_schema.tables "
        "WHERE table_catalog = ? AND lower(table_schema) = lower(?) AND lower(table_name) = lower(?)",
        [CATALOG, table.dataset, table.table],
    ).fetchone()
    return row[0] if row else None


def table_state(connection: duckdb.DuckDBPyConnection, table: DuckdbTable) -> Table:
    """Look at a table."""
    kind = kind_of(connection, table)
    if kind is None:
        return Table(TableState.MISSING)
    if kind != "BASE TABLE":
        raise NotAWarehouse(f"[{table}] is a view", "Name a table in --bq-table.")
    relation = connection.table(quoted(table))
    fields = tuple(_field(name, kind) for name, kind in zip(relation.columns, relation.types, strict=True))
    counted = connection.execute(f"SELECT count(*) FROM {quoted(table)}").fetchone()
    rows = int(counted[0]) if counted else 0
    return Table(TableState.ROWS if rows else TableState.EMPTY, fields, rows)


def _field(name: str, kind: Any, mode: str = "NULLABLE") -> Field:
    if kind.id == "list" and mode == "NULLABLE":
        return _field(name, kind.children[0][1], "REPEATED")
    children = tuple(_field(child, inner) for child, inner in kind.children) if kind.id == "struct" else ()
    written = str(kind) if kind.id == "varchar" else kind.id  # JSON is a VARCHAR with a name
    # DuckDB's own INTEGER and FLOAT have 32 bits, and its TIMESTAMP no zone
    return Field(name, _FIELD_TYPES.get(written.lower(), f"DUCKDB {written.upper()}"), mode, children)
