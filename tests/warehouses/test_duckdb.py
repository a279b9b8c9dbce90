"""What goes wrong with a DuckDB file, and what becomes of the table then."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import stat
import string
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dicombq.errors import (
    DicombqError,
    Failed,
    FailedPrecondition,
    Locked,
    NotAWarehouse,
    NotFound,
    NotPermitted,
    SqlError,
    StorageFull,
    TableExists,
)
from dicombq.names import DuckdbTable
from dicombq.table.disposition import Disposition, TableState
from dicombq.table.fields import Field
from dicombq.warehouses.base import FieldConflict
from dicombq.warehouses.duckdb import DuckdbWarehouse
from tests.tables import ID, NAME, make_load, read_duckdb
from tests.warehouses.duckdb_store import OLD, Store

HOLDER = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1])
print("held", flush=True)
sys.stdin.readline()
connection.close()
"""
CANARY = "DOE^JANE"
NOBODY = 65534


@pytest.fixture
def holder(store: Store) -> Iterator[subprocess.Popen[str]]:
    """Hold the file from another process, until a line is sent to it."""
    store.load()
    command = [sys.executable, "-c", HOLDER, str(store.file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process


def test_a_file_that_another_process_holds_is_locked(store: Store, holder: subprocess.Popen[str]) -> None:
    for call in store.calls():
        with pytest.raises(Locked, match=rf"python\S* \(PID {holder.pid} on this host\)") as failure:
            call()
        assert failure.value.exit_code == 11
        assert str(store.file) in failure.value.message


def test_a_file_is_free_between_two_uses(store: Store) -> None:
    calls: list[Callable[[], Any]] = [store.load, store.state, store.query, store.state, store.load]
    for call in calls:
        call()
        code = "import sys, duckdb; duckdb.connect(sys.argv[1]).execute('CREATE OR REPLACE TABLE mine (a INTEGER)')"
        assert subprocess.run([sys.executable, "-c", code, str(store.file)], check=False).returncode == 0


def test_a_lock_is_waited_for(store: Store, holder: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def release(seconds: float) -> None:
        if holder.poll() is None:
            holder.communicate("\n")

    monkeypatch.setattr("dicombq.warehouses.duckdb.time.sleep", release)
    patient = Store(store.file, store.scratch, patience=60)
    assert patient.load([{"Id": 2}]) == 1
    assert read_duckdb(store.table) == [{"Id": 1}, {"Id": 2}]


@pytest.mark.parametrize("name", ["dicom", "temp", "memory", "system", "main", "information_schemas"])
def test_a_dataset_may_have_any_name_and_the_files_own(tmp_path: Path, name: str) -> None:
    file = tmp_path / f"{name}.duckdb"
    table, warehouse = DuckdbTable(file, name, "t"), DuckdbWarehouse(file)
    fields = [ID, Field("Type", "STRING")]
    for disposition in (Disposition.NONE, Disposition.WRITE_APPEND, Disposition.WRITE_TRUNCATE):
        warehouse.load(table, make_load(tmp_path, OLD, fields, disposition))
        warehouse.replace_view(table, fields)
    assert warehouse.state(table).state is TableState.ROWS
    for spelt in (f"`p.{name}.t`", f"`{name}.tView`"):
        assert list(warehouse.query(f"SELECT Id FROM {spelt}").rows) == [(1,)]


def test_the_view_outlives_a_new_name_of_its_file(store: Store) -> None:
    store.warehouse.load(store.table, make_load(store.scratch, OLD, [ID, Field("Type", "STRING")]))
    store.view()
    moved = store.file.rename(store.file.with_name("d.duckdb"))
    with duckdb.connect(str(moved), read_only=True) as connection:
        assert connection.execute('SELECT Id FROM d.d."tView"').fetchall() == [(1,)]


@pytest.mark.parametrize("kind", ["text", "nothing", "a folder", "SQLite"])
def test_another_kind_of_file_is_no_warehouse(store: Store, kind: str) -> None:
    if kind == "a folder":
        store.file.mkdir()
    elif kind == "SQLite":
        connection = sqlite3.connect(store.file)
        connection.execute("CREATE TABLE t (x)")
        connection.close()
    else:
        store.file.write_text("notes\n" * 1000 if kind == "text" else "")
    before = store.file.read_bytes() if store.file.is_file() else b""
    for call in store.calls():
        with pytest.raises(NotAWarehouse, match="not a DuckDB file") as failure:
            call()
        assert failure.value.exit_code == 4
    assert (store.file.read_bytes() if store.file.is_file() else b"") == before


def test_a_missing_folder_is_not_found(tmp_path: Path) -> None:
    store = Store(tmp_path / "none" / "w.duckdb", tmp_path)
    for call in store.calls():
        with pytest.raises(NotFound, match="none"):
            call()


def test_a_missing_file_is_made_by_a_load_only(store: Store) -> None:
    assert store.state() is TableState.MISSING
    with pytest.raises(NotFound, match="no warehouse"):
        store.query()
    with pytest.raises(NotFound, match="no warehouse"):
        store.warehouse.datasets()
    assert not store.file.exists()


def test_the_dataset_that_every_file_has_is_named_where_a_table_is_in_it(store: Store) -> None:
    store.load()
    assert store.warehouse.datasets() == ["d"]
    with duckdb.connect(str(store.file)) as connection:
        connection.execute("CREATE TABLE main.t (i INTEGER)")
    assert store.warehouse.datasets() == ["d", "main"]


@pytest.mark.parametrize("name", [":memory:", "md:x", "it's.duckdb"])
def test_a_files_name_is_only_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    store = Store(Path(name), tmp_path)
    store.load()
    assert (tmp_path / name).is_file()
    assert store.query("SELECT Id FROM d.t") == [(1,)]


def test_nobody_else_can_read_the_file(store: Store) -> None:
    umask = os.umask(0)
    try:
        store.load()
    finally:
        os.umask(umask)
    assert stat.S_IMODE(store.file.stat().st_mode) == 0o600


def test_nobody_else_can_read_the_log_of_what_is_written(store: Store) -> None:
    log = store.file.with_name(f"{store.file.name}.wal")
    umask = os.umask(0)
    try:
        with DuckdbWarehouse(store.file)._connect() as connection:
            connection.execute("CREATE TABLE x AS SELECT 1 AS a")
            assert (stat.S_IMODE(log.stat().st_mode), log.stat().st_size > 0) == (0o600, True)
    finally:
        os.umask(umask)
    with DuckdbWarehouse(store.file)._connect():
        assert log.exists()
    assert not log.exists()


@pytest.fixture
def foreign(tmp_path: Path) -> Iterator[Store]:
    """Give a file and a folder that this process can read and not write; root becomes nobody meanwhile."""
    folder = Path(tempfile.mkdtemp())
    store = Store(folder / "w.duckdb", tmp_path)
    store.load()
    store.query()  # nobody may not import what a query needs
    store.file.chmod(0o444)
    folder.chmod(0o555)
    is_root = os.geteuid() == 0
    try:
        if is_root:
            os.setresuid(NOBODY, NOBODY, 0)
        yield store
    finally:
        if is_root:
            os.setresuid(0, 0, 0)
        folder.chmod(0o700)
        shutil.rmtree(folder)


def test_a_file_without_write_permission_is_not_permitted(foreign: Store) -> None:
    for call in (foreign.state, foreign.view):
        with pytest.raises(NotPermitted, match="cannot be written") as failure:
            call()
        assert failure.value.exit_code == 6
    assert foreign.query("SELECT Id FROM d.t") == [(1,)]


def test_a_file_without_read_permission_cannot_be_read(foreign: Store) -> None:
    reader = os.geteuid()
    os.seteuid(foreign.file.stat().st_uid)
    foreign.file.chmod(0)
    os.seteuid(reader)
    with pytest.raises(NotPermitted, match="cannot be read"):
        foreign.query("SELECT Id FROM d.t")


def test_a_new_file_without_write_permission_is_not_permitted(foreign: Store) -> None:
    missing = Store(foreign.file.with_name("new.duckdb"), foreign.scratch)
    for call in (missing.state, missing.view):
        with pytest.raises(NotPermitted, match="cannot be written"):
            call()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of 8 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("a small file system cannot be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("disposition", [Disposition.WRITE_APPEND, Disposition.WRITE_TRUNCATE])
def test_a_full_disk_leaves_the_table(tmp_path: Path, small_disk: Path, disposition: Disposition) -> None:
    store = Store(small_disk / "w.duckdb", tmp_path)
    store.load()
    letters = random.Random(1)
    rows = [{"Id": 2, "Name": "".join(letters.choices(string.ascii_letters, k=4000))} for _ in range(2500)]
    with pytest.raises(StorageFull, match=r"disk that holds \[.*w\.duckdb\] is full") as failure:
        store.warehouse.load(store.table, make_load(tmp_path, rows, [ID, NAME], disposition))
    assert failure.value.exit_code == 1
    assert read_duckdb(store.table) == OLD
    size = store.file.stat().st_size  # DuckDB keeps what it wrote, and writes over it the next time
    subprocess.run(["mount", "-o", "remount,size=9m", str(small_disk)], check=True)
    assert store.load([{"Id": 3}]) == 1
    assert store.file.stat().st_size <= size
    assert read_duckdb(store.table) == [{"Id": 1}, {"Id": 3}]


@pytest.mark.parametrize(
    ("kind", "value"),
    [("INTEGER", 2**63), *((kind, CANARY) for kind in ("INTEGER", "FLOAT", "DATE", "TIME", "TIMESTAMP"))],
)
def test_a_value_that_does_not_fit_is_not_told(store: Store, kind: str, value: Any) -> None:
    store.load()
    load = make_load(store.scratch, [{"V": value}], [Field("V", kind)], Disposition.WRITE_APPEND)
    with pytest.raises(Failed) as failure:
        store.warehouse.load(store.table, load)
    assert str(value) not in printed(failure.value)
    assert read_duckdb(store.table) == OLD
    assert store.warehouse.state(store.table).fields == (ID,)


def test_a_row_that_breaks_a_constraint_is_told_without_its_value(store: Store) -> None:
    with duckdb.connect(str(store.file)) as connection:
        connection.execute("CREATE SCHEMA d; CREATE TABLE d.t (Id BIGINT, Name VARCHAR UNIQUE)")
    load = make_load(store.scratch, [{"Name": CANARY}, {"Name": CANARY}], [ID, NAME], Disposition.WRITE_APPEND)
    with pytest.raises(Failed, match="breaks a constraint") as failure:
        store.warehouse.load(store.table, load)
    assert "Drop the constraint" in failure.value.hint
    assert CANARY not in printed(failure.value)


def test_a_damaged_shard_is_not_loaded(store: Store) -> None:
    store.load()
    load = make_load(store.scratch, [{"Id": number} for number in range(10_000)], [ID], Disposition.WRITE_APPEND)
    load.files[0].write_bytes(load.files[0].read_bytes()[:-3000])
    with pytest.raises(Failed):
        store.warehouse.load(store.table, load)
    with pytest.raises(Failed):
        store.warehouse.load(store.table, replace(load, files=[store.scratch / "none.ndjson.gz"]))
    assert read_duckdb(store.table) == OLD


def test_an_interrupt_takes_a_load_back(store: Store) -> None:
    store.load()
    load = make_load(store.scratch, [{"Id": number} for number in range(100_000)], [ID], Disposition.WRITE_TRUNCATE)
    long_load = replace(load, files=[*load.files] * 60)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        store.warehouse.load(store.table, long_load)
    timer.join()
    assert read_duckdb(store.table) == OLD
    assert store.warehouse.load(store.table, load).rows == 100_000


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("INTEGER", Field("V", "INTEGER")),
        ("FLOAT", Field("V", "FLOAT")),
        ("TIMESTAMP", Field("V", "TIMESTAMP")),
        ("BIGINT[][]", Field("V", "INTEGER", "REPEATED")),
        ("BOOLEAN", Field("V", "STRING")),
    ],
)
def test_duckdbs_own_types_are_not_taken_for_ours(store: Store, kind: str, wanted: Field) -> None:
    with duckdb.connect(str(store.file)) as connection:
        connection.execute(f"CREATE SCHEMA d; CREATE TABLE d.t (V {kind}, Other DECIMAL(5, 2))")
    with pytest.raises(FieldConflict) as failure:
        store.warehouse.load(store.table, make_load(store.scratch, [{}], [wanted], Disposition.WRITE_APPEND))
    assert [conflict.path for conflict in failure.value.conflicts] == ["V"]
    assert store.load() == 1
    assert read_duckdb(store.table) == [{"V": None, "Other": None, "Id": 1}]


def test_a_name_is_the_same_in_another_case(store: Store) -> None:
    store.load()
    shouted = DuckdbTable(store.file, "D", "T")
    assert store.warehouse.state(shouted).state is TableState.ROWS
    with pytest.raises(TableExists):
        store.warehouse.load(shouted, make_load(store.scratch, OLD, [ID]))


def test_a_query_names_an_unknown_column(store: Store) -> None:
    store.load()
    with pytest.raises(SqlError, match="nope") as failure:
        store.query("SELECT nope FROM d.t")
    assert failure.value.exit_code == 1
    with pytest.raises(SqlError, match="none"):
        store.query("SELECT 1 FROM d.none")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('{secret}')",
        "SELECT * FROM '{secret}'",
        "SELECT * FROM `{secret}`",
        "SELECT * FROM read_text('{secret}')",
        "COPY d.t TO '{secret}'",
        "ATTACH '{secret}' AS x",
        "INSERT INTO d.t VALUES (2)",
        "DROP TABLE d.t",
        "CREATE TABLE d.x AS SELECT 1 AS a",
        "SET enable_external_access = true",
        "SELECT 1; DROP TABLE d.t",
    ],
)
def test_a_query_reads_the_warehouse_and_nothing_else(store: Store, sql: str) -> None:
    store.load()
    secret = store.scratch / "secret.csv"
    secret.write_text("a,b\n1,2\n")
    with pytest.raises(SqlError):
        store.query(sql.format(secret=secret))
    assert read_duckdb(store.table) == OLD
    assert secret.read_text() == "a,b\n1,2\n"


@pytest.mark.parametrize(
    "sql", ["SELECT * FROM read_text('{secret}')", "CREATE TABLE d.x (a INT)", "SET enable_external_access = true"]
)
def test_what_a_translation_lets_through_is_refused_by_duckdb(
    store: Store, monkeypatch: pytest.MonkeyPatch, sql: str
) -> None:
    store.load()
    secret = store.scratch / "secret.txt"
    secret.write_text(CANARY)
    monkeypatch.setattr("dicombq.warehouses.googlesql.queries.to_duckdb", lambda sql, **_more: sql)
    with pytest.raises(SqlError):
        store.query(sql.format(secret=secret))


@pytest.mark.parametrize("rows_before", [0, 100_000])
def test_a_failed_conversion_in_a_query_tells_no_value(store: Store, rows_before: int) -> None:
    rows = [*({"Name": "1"} for _ in range(rows_before)), {"Name": CANARY}]
    store.warehouse.load(store.table, make_load(store.scratch, rows, [NAME]))
    with pytest.raises(SqlError) as failure:
        store.query("SELECT CAST(Name AS INT64) FROM d.t")
    assert CANARY not in printed(failure.value)
    assert store.load() == 1


def test_a_query_gives_its_columns_and_all_rows(store: Store) -> None:
    store.load([{"Id": number} for number in range(2500)])
    result = store.warehouse.query("SELECT Id, Id * 2 AS Twice FROM `p.d.t` ORDER BY Id")
    assert result.columns == ("Id", "Twice")
    assert list(result.rows) == [(number, 2 * number) for number in range(2500)]
    assert store.load() == 1


def printed(error: DicombqError) -> str:
    return "".join(traceback.format_exception(error)) + error.hint


@pytest.mark.parametrize("dataset", ["information_schema", "PG_CATALOG"])
def test_a_schema_of_duckdbs_own_is_no_destination(tmp_path: Path, dataset: str) -> None:
    table = DuckdbTable(tmp_path / "x.duckdb", dataset, "t")
    with pytest.raises(FailedPrecondition, match="of DuckDB's own"):
        DuckdbWarehouse(table.file).state(table)


def test_the_schema_that_notes_the_loads_is_no_destination(tmp_path: Path) -> None:
    table = DuckdbTable(tmp_path / "x.duckdb", "_DICOMBQ", "loads")
    with pytest.raises(FailedPrecondition, match="notes its loads"):
        DuckdbWarehouse(table.file).state(table)
