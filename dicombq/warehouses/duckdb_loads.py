"""Rows into a table of a DuckDB file, in one transaction that also notes the load's ID."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import duckdb

from dicombq.names import DuckdbTable
from dicombq.table.disposition import Action, TableState, decide
from dicombq.table.fields import Field, Merge, count, duckdb_type, quote
from dicombq.warehouses.base import TYPE, Load, LoadResult, Table, check_key, fields_after, is_gone, key_columns
from dicombq.warehouses.duckdb_tables import (
    CATALOG,
    LOADS,
    OWN_DATASET,
    describe_columns,
    last_writer,
    literal,
    quoted,
    state_of,
)

_MIN_OBJECT_SIZE = 16 << 20
_FILES_AT_ONCE = 100
"""Files that one statement reads: until its end it keeps about 50 KB of each."""

_FILES_OF_CHANGES = 20
"""The same where their rows are sorted, and so held."""

_PARALLEL_MEMORY = 350 << 20
"""Two threads use half of it: the rest is reserved for reading files, which are smaller than DuckDB thinks."""

_PARALLEL_COLUMNS = 400
_PARALLEL_ROW = 64 << 10
"""Columns, and bytes of the longest row, up to which two threads take less than 300 MB."""

_NO_MEMORY = ("could not allocate", "failed to pin")
"""What DuckDB says of a commit that memory was too short for, and that is rolled back."""

_LOAD_MEMORY = 100 << 20
_LOAD_MEMORY_PER_COLUMN = 160 << 10

_Write = Callable[[duckdb.DuckDBPyConnection, DuckdbTable, Load, Table], LoadResult]


def run(connection: duckdb.DuckDBPyConnection, table: DuckdbTable, load: Load, write: _Write) -> LoadResult:
    """Write rows by `append` or `change` in one transaction; where memory is short, again with more."""
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
                result = _once(connection, table, load, write)
            connection.execute("SET memory_limit = ?", default)  # for what DuckDB writes when the file is closed
            return result
    connection.execute("SET memory_limit = ?", default)
    with _transaction(connection):
        return _once(connection, table, load, write)


@contextlib.contextmanager
def _transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    connection.execute("BEGIN")
    try:
        yield
    except BaseException:
        with contextlib.suppress(duckdb.Error):
            connection.execute("ROLLBACK")
        raise
    try:
        connection.execute("COMMIT")
    except duckdb.TransactionException as error:
        if any(sign in str(error) for sign in _NO_MEMORY):
            raise duckdb.OutOfMemoryException("memory was too short for a commit") from None
        raise


def _once(connection: duckdb.DuckDBPyConnection, table: DuckdbTable, load: Load, write: _Write) -> LoadResult:
    connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{CATALOG}".{OWN_DATASET}')
    connection.execute(
        f"CREATE TABLE IF NOT EXISTS {LOADS} (job_id VARCHAR PRIMARY KEY, target VARCHAR, row_count BIGINT, "
        "loaded_at TIMESTAMPTZ)"
    )
    done = connection.execute(f"SELECT row_count FROM {LOADS} WHERE job_id = ?", [load.job_id]).fetchone()
    current = state_of(connection, table)
    if done and current.state is TableState.MISSING:
        raise is_gone(table)
    if done:
        follows = last_writer(connection, table, before=load.job_id)
        return LoadResult(int(done[0]), current.fields, current.rows, load.job_id, follows)
    result = write(connection, table, load, current)
    connection.execute(f"INSERT INTO {LOADS} VALUES (?, ?, ?, now())", [load.job_id, str(table), result.rows])
    return replace(result, writer=load.job_id, follows=current.writer)


def append(connection: duckdb.DuckDBPyConnection, table: DuckdbTable, load: Load, current: Table) -> LoadResult:
    """Add rows to a table, after what the disposition does with those that it has."""
    action = decide(str(table), current.state, load.disposition)
    result = fields_after(current.fields, load, action)
    _prepare(connection, table, action, result)
    rows = 0
    for source in _sources(load, load.fields, _FILES_AT_ONCE):
        rows += _changed(connection, f"INSERT INTO {quoted(table)} BY NAME SELECT * FROM {source}")
    before = current.rows if action in (Action.LOAD, Action.APPEND) else 0
    return LoadResult(rows, result.fields, before + rows)


def change(connection: duckdb.DuckDBPyConnection, table: DuckdbTable, load: Load, current: Table) -> LoadResult:
    """Replace and delete rows by the table's primary key, whose parts cannot be NULL; newer ones stay."""
    key = key_columns(load.fields)
    action = Action.CREATE if current.state is TableState.MISSING else Action.APPEND
    if action is Action.APPEND:
        check_key(table, current, load.fields)
    result = fields_after(current.fields, load, action)
    _prepare(connection, table, action, result, f", PRIMARY KEY ({', '.join(map(quote, key))})")
    same = " AND ".join(f"old.{quote(name)} = new.{quote(name)}" for name in key)
    parts = ", ".join(f"coalesce({quote(name)}, '') AS {quote(name)}" for name in key)
    rows, total = 0, current.rows
    for source in _sources(load, (*load.fields, TYPE), _FILES_OF_CHANGES):
        rows += _changed(
            connection,
            f"CREATE OR REPLACE TEMP TABLE new AS SELECT * REPLACE ({parts}) FROM {source} "
            f'QUALIFY row_number() OVER (PARTITION BY {", ".join(map(quote, key))} ORDER BY "LastUpdated" DESC) = 1',
        )
        older = 'coalesce(old."LastUpdated" <= new."LastUpdated", true)'
        total -= _changed(connection, f"DELETE FROM {quoted(table)} old USING new WHERE {same} AND {older}")
        total += _changed(
            connection,
            f'INSERT INTO {quoted(table)} BY NAME SELECT * EXCLUDE ("Type") FROM new WHERE "Type" <> \'DELETE\' '
            f"AND NOT EXISTS (SELECT 1 FROM {quoted(table)} old WHERE {same})",
        )
    return LoadResult(rows, result.fields, total)


def _prepare(
    connection: duckdb.DuckDBPyConnection, table: DuckdbTable, action: Action, result: Merge, constraint: str = ""
) -> None:
    if action in (Action.CREATE, Action.REPLACE):
        columns = ", ".join(f"{quote(f.name)} {duckdb_type(f)}" for f in result.fields)
        replace = "OR REPLACE " if action is Action.REPLACE else ""
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quote(CATALOG)}.{quote(table.dataset)}")
        connection.execute(f"CREATE {replace}TABLE {quoted(table)} ({columns}{constraint})")
        describe_columns(connection, table, (f.name for f in result.fields))
        return
    for above, added in result.added:
        path = [part for f in above for part in ([quote(f.name), "element"] if f.repeated else [quote(f.name)])]
        name = ".".join([*path, quote(added.name)])
        connection.execute(f"ALTER TABLE {quoted(table)} ADD COLUMN {name} {duckdb_type(added)}")
    describe_columns(connection, table, (added.name for above, added in result.added if not above))


def _sources(load: Load, fields: Sequence[Field], files_at_once: int) -> Iterator[str]:
    """Read rows by their own fields; DuckDB fits them to the table's by name, regardless of case, nested ones too."""
    columns = ", ".join(f"{literal(f.name)}: {literal(duckdb_type(f))}" for f in fields)
    size = max(_MIN_OBJECT_SIZE, load.longest_row + 1)
    for start in range(0, len(load.files), files_at_once):
        files = ", ".join(literal(os.fspath(file)) for file in load.files[start : start + files_at_once])
        yield (
            f"read_json([{files}], format = 'newline_delimited', compression = 'gzip', "
            f"maximum_object_size = {size}, columns = {{{columns}}})"
        )


def _changed(connection: duckdb.DuckDBPyConnection, statement: str) -> int:
    """Run a statement; give how many rows it changed."""
    row = connection.execute(statement).fetchone()
    return int(row[0]) if row else 0


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
