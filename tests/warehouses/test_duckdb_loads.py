"""Loads into a DuckDB file: long rows, many files, threads and memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dicombq.errors import Failed
from dicombq.names import DuckdbTable
from dicombq.table.disposition import Disposition, TableState
from dicombq.table.fields import Field
from dicombq.warehouses import duckdb_loads
from dicombq.warehouses.base import Load, LoadResult
from tests.tables import ID, NAME, make_load, read_duckdb
from tests.warehouses.duckdb_store import Store


def test_a_row_longer_than_duckdbs_default_is_loaded(store: Store) -> None:
    text = "x" * (17 << 20)
    store.warehouse.load(store.table, make_load(store.scratch, [{"Name": text}], [NAME]))
    assert read_duckdb(store.table) == [{"Name": text}]


def test_a_load_that_needs_more_memory_than_planned_gets_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = 0
    load = duckdb_loads._once

    def counted(connection: duckdb.DuckDBPyConnection, table: DuckdbTable, wanted: Load, write: Any) -> LoadResult:
        nonlocal attempts
        attempts += 1
        return load(connection, table, wanted, write)

    monkeypatch.setattr(duckdb_loads, "_once", counted)
    monkeypatch.setattr(duckdb_loads, "_memory", lambda _load: 8 << 20)
    assert store.load([{"Id": number} for number in range(20_000)]) == 20_000
    assert len(read_duckdb(store.table)) == 20_000
    assert attempts == 3


def test_each_load_has_its_own_scratch_folder(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duckdb_loads, "_memory", lambda _load: 8 << 20)
    for number in range(2):
        store.scratch = tmp_path / str(number)
        store.scratch.mkdir()
        assert store.load([{"Id": number} for number in range(20_000)]) == 20_000
    assert store.state() is TableState.ROWS


def shards(store: Store, number: int) -> Load:
    """A load of so many files with 3,000 rows each, by two workers."""
    loads = [
        make_load(store.scratch, [{"Id": shard * 3000 + row} for row in range(3000)], [ID]) for shard in range(number)
    ]
    return replace(loads[0], files=[file for each in loads for file in each.files], workers=2)


def test_two_threads_load_each_row_once(store: Store) -> None:
    load = shards(store, 5)
    assert store.warehouse.load(store.table, load).rows == 15_000
    assert store.warehouse.load(store.table, load).rows == 15_000  # it was done: nothing is loaded again
    assert sorted(row["Id"] for row in read_duckdb(store.table)) == list(range(15_000))


def test_two_threads_leave_the_table_where_a_file_is_damaged(store: Store) -> None:
    store.load()
    load = replace(shards(store, 4), disposition=Disposition.WRITE_TRUNCATE)
    load.files[3].write_bytes(load.files[3].read_bytes()[:-1000])
    with pytest.raises(Failed):
        store.warehouse.load(store.table, load)
    assert [row["Id"] for row in read_duckdb(store.table)] == [1]


@pytest.mark.parametrize(
    ("change", "threads"),
    [
        ({}, 2),
        ({"workers": 1}, 1),
        ({"longest_row": 1 << 20}, 1),
        ({"fields": (ID, *(Field(f"F{number}", "STRING") for number in range(500)))}, 1),
    ],
    ids=["usual", "one worker", "long rows", "many columns"],
)
def test_one_thread_loads_where_two_would_take_much_memory(
    store: Store, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], threads: int
) -> None:
    seen: list[Any] = []
    load = duckdb_loads._once

    def seeing(connection: duckdb.DuckDBPyConnection, table: DuckdbTable, wanted: Load, write: Any) -> LoadResult:
        seen.append(connection.execute("SELECT current_setting('threads')").fetchone())
        return load(connection, table, wanted, write)

    monkeypatch.setattr(duckdb_loads, "_once", seeing)
    assert store.warehouse.load(store.table, replace(shards(store, 2), **change)).rows == 6000
    assert set(seen) == {(threads,)}


def test_two_threads_that_need_more_memory_give_way_to_one(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duckdb_loads, "_PARALLEL_MEMORY", 8 << 20)
    assert store.warehouse.load(store.table, shards(store, 3)).rows == 9000
    assert sorted(row["Id"] for row in read_duckdb(store.table)) == list(range(9000))


def test_a_table_of_many_columns_is_appended_to(store: Store) -> None:
    fields = [Field(f"F{number}", "STRING") for number in range(700)]
    load = make_load(store.scratch, [{field.name: "x" for field in fields}], fields)
    append = replace(load, job_id="another", disposition=Disposition.WRITE_APPEND)
    assert [store.warehouse.load(store.table, each).rows for each in (load, append)] == [1, 1]
    assert len(read_duckdb(store.table)) == 2


class FailingCommit:
    """A connection whose commit fails."""

    def __init__(self, message: str) -> None:
        self.message = message

    def execute(self, statement: str) -> None:
        if statement == "COMMIT":
            raise duckdb.TransactionException(self.message)


@pytest.mark.parametrize(
    ("message", "raised"),
    [
        ("Failed to commit: could not allocate block of size 256.0 KiB", duckdb.OutOfMemoryException),
        ("Failed to commit: failed to pin block of size 256.0 KiB", duckdb.OutOfMemoryException),
        ("Failed to commit: a conflict", duckdb.TransactionException),
    ],
)
def test_a_commit_that_memory_was_too_short_for_is_told_from_others(message: str, raised: type[Exception]) -> None:
    connection: Any = FailingCommit(message)
    with pytest.raises(raised), duckdb_loads._transaction(connection):
        pass


def test_many_files_are_one_load(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duckdb_loads, "_FILES_AT_ONCE", 2)
    loads = [make_load(store.scratch, [{"Id": number}], [ID]) for number in range(5)]
    load = replace(loads[0], files=[file for each in loads for file in each.files])
    assert store.warehouse.load(store.table, load).rows == 5
    assert sorted(row["Id"] for row in read_duckdb(store.table)) == [0, 1, 2, 3, 4]
    broken = replace(load, job_id="b", disposition=Disposition.WRITE_APPEND, files=[*load.files, store.scratch / "no"])
    with pytest.raises(Failed):
        store.warehouse.load(store.table, broken)
    assert len(read_duckdb(store.table)) == 5
