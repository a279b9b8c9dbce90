"""Loads into an attached DuckDB file: each in one transaction, within the memory that it is given."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import duckdb

from dicombq.names import DuckdbTable
from dicombq.table.disposition import Action, TableState, decide
from dicombq.table.fields import Merge, count, duckdb_type, quote
from dicombq.warehouses.base import Load, LoadResult, fields_after, is_gone
from dicombq.warehouses.duckdb_tables import CATALOG, describe_columns, literal, quoted, state_of

OWN_DATASET = "_dicombq"
_SCHEMA = f'"{CATALOG}".{OWN_DATASET}'
_LOADS = f"{_SCHEMA}.loads"
"""The loads that were committed, each with the rows of its transaction."""

_MIN_OBJECT_SIZE = 16 << 20

_PARALLEL_MEMORY = 350 << 20
"""Two threads use half of it: the rest is reserved for reading files, which are smaller than DuckDB thinks."""

_PARALLEL_COLUMNS = 400
_PARALLEL_ROW = 64 << 10
"""Columns, and bytes of the longest row, up to which two threads take less than 300 MB."""

_FILES_AT_ONCE = 100
"""Files that one statement reads: until its end it keeps about 50 KB of each."""

_LOAD_MEMORY = 100 << 20
_LOAD_MEMORY_PER_COLUMN = 160 << 10


def load_rows(connection: duckdb.DuckDBPyConnection, table: DuckdbTable, load: Load) -> LoadResult:
    """Load rows in one transaction, which also notes the load's ID; where memory is short, again with more.

    The connection keeps what is set for the load.
    """
    connection.execute(f"SET temp_directory = {literal(str(load.scratch))}")
    connection.execute("SET preserve_insertion_order = false")
    connection.execute("SET write_buffer_row_group_count = 1")
    default = connection.execute("SELECT current_setting('memory_limit')").fetchone()
    attempts = [(1, _memory(load)), (1, 2 * _memory(load))]
    for threads, memory in [(2, _PARALLEL_MEMORY), *attempts] if _is_parallel(load) else attempts:
        with contextlib.suppress(duckdb.OutOfMemoryException):
            connection.execute("SET threads = ?", [threads])
            connection.execute("SET memory_limit = ?", [f"{memory}B"])
            with _transaction(connection):
                return _load(connection, table, load)
    connection.execute("SET memory_limit = ?", default)
    with _transaction(connection):
        return _load(connection, table, load)


@contextlib.contextmanager
def _transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    connection.execute("BEGIN")
    try:
        yield
    except BaseException:
        with contextlib.suppress(duckdb.Error):
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _load(connection: duckdb.DuckDBPyConnection, table: DuckdbTable, load: Load) -> LoadResult:
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {_SCHEMA}")
    connection.execute(
        f"CREATE TABLE IF NOT EXISTS {_LOADS} (job_id VARCHAR PRIMARY KEY, target VARCHAR, row_count BIGINT, "
        "loaded_at TIMESTAMPTZ)"
    )
    done = connection.execute(f"SELECT row_count FROM {_LOADS} WHERE job_id = ?", [load.job_id]).fetchone()
    current = state_of(connection, table)
    if done and current.state is TableState.MISSING:
        raise is_gone(table)
    if done:
        return LoadResult(int(done[0]), current.fields, current.rows)
    action = decide(str(table), current.state, load.disposition)
    result = fields_after(current.fields, load, action)
    _prepare(connection, table, action, result)
    rows = _insert(connection, table, load)
    connection.execute(f"INSERT INTO {_LOADS} VALUES (?, ?, ?, now())", [load.job_id, str(table), rows])
    before = current.rows if action in (Action.LOAD, Action.APPEND) else 0
    return LoadResult(rows, result.fields, before + rows)


def _prepare(connection: duckdb.DuckDBPyConnection, table: DuckdbTable, action: Action, result: Merge) -> None:
    if action in (Action.CREATE, Action.REPLACE):
        columns = ", ".join(f"{quote(f.name)} {duckdb_type(f)}" for f in result.fields)
        replace = "OR REPLACE " if action is Action.REPLACE else ""
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quote(CATALOG)}.{quote(table.dataset)}")
        connection.execute(f"CREATE {replace}TABLE {quoted(table)} ({columns})")
        describe_columns(connection, table, (f.name for f in result.fields))
        return
    for above, added in result.added:
        path = [part for f in above for part in ([quote(f.name), "element"] if f.repeated else [quote(f.name)])]
        name = ".".join([*path, quote(added.name)])
        connection.execute(f"ALTER TABLE {quoted(table)} ADD COLUMN {name} {duckdb_type(added)}")
    describe_columns(connection, table, (added.name for above, added in result.added if not above))


def _insert(connection: duckdb.DuckDBPyConnection, table: DuckdbTable, load: Load) -> int:
    """Read rows by their own fields; DuckDB fits them to the table's by name, regardless of case, nested ones too."""
    columns = ", ".join(f"{literal(f.name)}: {literal(duckdb_type(f))}" for f in load.fields)
    size = max(_MIN_OBJECT_SIZE, load.longest_row + 1)
    rows = 0
    for start in range(0, len(load.files), _FILES_AT_ONCE):
        files = ", ".join(literal(os.fspath(file)) for file in load.files[start : start + _FILES_AT_ONCE])
        row = connection.execute(
            f"INSERT INTO {quoted(table)} BY NAME SELECT * FROM read_json([{files}], format = 'newline_delimited', "
            f"compression = 'gzip', maximum_object_size = {size}, columns = {{{columns}}})"
        ).fetchone()
        rows += int(row[0]) if row else 0
    return rows


def _is_parallel(load: Load) -> bool:
    """Tell whether two threads may load: they take more memory, and a fifth more CPU time, than one."""
    return (
        load.workers > 1
        and len(load.files) > 1
        and count(load.fields) <= _PARALLEL_COLUMNS
        and load.longest_row <= _PARALLEL_ROW
    )


def _memory(load: Load) -> int:
    """Bytes that a load does with: flat in its rows, not in their columns and length."""
    return _LOAD_MEMORY + _LOAD_MEMORY_PER_COLUMN * count(load.fields) + 4 * load.longest_row
