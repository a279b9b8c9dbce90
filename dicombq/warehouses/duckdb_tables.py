"""A DuckDB file's tables: what is there, with which columns, and what is said about them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import duckdb

from dicombq.errors import NotAWarehouse, NotFound
from dicombq.names import DuckdbTable
from dicombq.table.descriptions import description
from dicombq.table.disposition import TableState
from dicombq.table.fields import Field, quote
from dicombq.warehouses.base import Table

CATALOG = "dicombq-warehouse"
"""The attached file; DuckDB would name it after the file, and find `dicom.t` ambiguous in `dicom.duckdb`."""

OWN_DATASET = "_dicombq"
LOADS = f'"{CATALOG}".{OWN_DATASET}.loads'
"""The loads that were committed, in their order, each with the rows of its transaction."""

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
_MOST_COMMENTS = 1000
"""Columns that are described: DuckDB copies the table's whole definition for each, 0.9 s in all for 1,000."""


def literal(text: str) -> str:
    """Quote a text for DuckDB."""
    escaped = text.replace("'", "''")
    return f"'{escaped}'"


def quoted(table: DuckdbTable) -> str:
    """Name a table in the attached file."""
    return f"{quote(CATALOG)}.{quote(table.dataset)}.{quote(table.table)}"


def kind_of(connection: duckdb.DuckDBPyConnection, table: DuckdbTable) -> str | None:
    """Tell what has a name: ``BASE TABLE``, ``VIEW``, or nothing."""
    row = connection.execute(
        "SELECT table_type FROM information_schema.tables "
        "WHERE table_catalog = ? AND lower(table_schema) = lower(?) AND lower(table_name) = lower(?)",
        [CATALOG, table.dataset, table.table],
    ).fetchone()
    return row[0] if row else None


def datasets_of(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Name the datasets, without the one that notes the loads, and `main` only where a table is in it."""
    rows = connection.execute(
        "SELECT schema_name FROM duckdb_schemas() WHERE NOT internal AND database_name = $file AND schema_name <> $own "
        "UNION SELECT schema_name FROM duckdb_tables() WHERE database_name = $file AND schema_name <> $own ORDER BY 1",
        {"file": CATALOG, "own": OWN_DATASET},
    ).fetchall()
    return [name for (name,) in rows]


def tables_of(connection: duckdb.DuckDBPyConnection, dataset: str) -> list[str]:
    """Name the tables of a dataset, without its views."""
    rows = connection.execute(
        "SELECT table_name FROM information_schema.tables WHERE table_catalog = ? AND lower(table_schema) = lower(?) "
        "AND table_type = 'BASE TABLE' ORDER BY 1",
        [CATALOG, dataset],
    ).fetchall()
    return [name for (name,) in rows]


def state_of(connection: duckdb.DuckDBPyConnection, table: DuckdbTable) -> Table:
    """Look at a destination."""
    kind = kind_of(connection, table)
    if kind is None:
        return Table(TableState.MISSING)
    if kind != "BASE TABLE":
        raise NotAWarehouse(f"[{table}] is a view", "Name a table in --bq-table.")
    counted = connection.execute(f"SELECT count(*) FROM {quoted(table)}").fetchone()
    rows = int(counted[0]) if counted else 0
    state = TableState.ROWS if rows else TableState.EMPTY
    return Table(state, _fields(connection, table), rows, _key(connection, table), last_writer(connection, table))


def last_writer(connection: duckdb.DuckDBPyConnection, table: DuckdbTable, before: str | None = None) -> str | None:
    """Tell which load was the last one that gave a table rows; or the last one before another load."""
    noted = DuckdbTable(table.file, OWN_DATASET, "loads")
    if kind_of(connection, noted) is None:
        return None
    earlier = f" AND rowid < (SELECT rowid FROM {LOADS} WHERE job_id = $before)" if before else ""
    row = connection.execute(
        f"SELECT job_id FROM {LOADS} WHERE ends_with(lower(target), lower($name)) AND row_count > 0{earlier} "
        "ORDER BY rowid DESC LIMIT 1",
        {"name": f"/{table.dataset}.{table.table}"} | ({"before": before} if before else {}),
    ).fetchone()
    return row[0] if row else None


def _key(connection: duckdb.DuckDBPyConnection, table: DuckdbTable) -> tuple[str, ...]:
    row = connection.execute(
        "SELECT constraint_column_names FROM duckdb_constraints() WHERE constraint_type = 'PRIMARY KEY' "
        "AND database_name = ? AND lower(schema_name) = lower(?) AND lower(table_name) = lower(?)",
        [CATALOG, table.dataset, table.table],
    ).fetchone()
    return tuple(row[0]) if row else ()


def fields_of(connection: duckdb.DuckDBPyConnection, table: DuckdbTable) -> tuple[Field, ...]:
    """Give the columns of a table or a view, with the comments on them.

    Raises
    ------
    NotFound
        Where there is none.
    """
    if kind_of(connection, table) is None:
        raise NotFound(
            f"there is no table [{table}]", "List the tables: SELECT * FROM DATASET.INFORMATION_SCHEMA.TABLES"
        )
    comments = connection.execute(
        "SELECT column_name, comment FROM duckdb_columns() WHERE database_name = ? AND lower(schema_name) = lower(?) "
        "AND lower(table_name) = lower(?) AND comment IS NOT NULL",
        [CATALOG, table.dataset, table.table],
    ).fetchall()
    known = dict(comments)
    return tuple(replace(f, description=known.get(f.name, "")) for f in _fields(connection, table))


def describe_columns(connection: duckdb.DuckDBPyConnection, table: DuckdbTable, columns: Iterable[str]) -> None:
    """Comment on columns; those in a RECORD can have no comment."""
    texts = ((name, description(name)) for name in itertools.islice(columns, _MOST_COMMENTS))
    table_name = quoted(table)
    connection.execute(
        ";".join(f"COMMENT ON COLUMN {table_name}.{quote(name)} IS {literal(text)}" for name, text in texts if text)
    )


def _fields(connection: duckdb.DuckDBPyConnection, table: DuckdbTable) -> tuple[Field, ...]:
    relation = connection.sql(f"FROM {quoted(table)}")  # `table` of DuckDB 1 takes no view
    return tuple(_field(name, kind) for name, kind in zip(relation.columns, relation.types, strict=True))


def _field(name: str, kind: Any, mode: str = "NULLABLE") -> Field:
    if kind.id == "list" and mode == "NULLABLE":
        return _field(name, kind.children[0][1], "REPEATED")
    children = tuple(_field(child, inner) for child, inner in kind.children) if kind.id == "struct" else ()
    written = str(kind) if kind.id == "varchar" else kind.id  # JSON is a VARCHAR with a name
    # DuckDB's own INTEGER and FLOAT have 32 bits, and its TIMESTAMP no zone
    return Field(name, _FIELD_TYPES.get(written.lower(), f"DUCKDB {written.upper()}"), mode, children)
