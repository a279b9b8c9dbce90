"""What the parts of an export into DuckDB cost, and what no export into DuckDB goes below."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb

from benchmarks import instances
from benchmarks.measure import run
from benchmarks.table import markdown
from dicombq.export.area import StagingArea
from dicombq.export.staging import Receipt, ShardSpec, column_paths, stage_shard
from dicombq.names import DuckdbTable, Parent
from dicombq.rows.reader import fast_reader
from dicombq.rows.record import Record
from dicombq.stores.folder import FileRef, FolderStore
from dicombq.table.disposition import Disposition
from dicombq.table.fields import count
from dicombq.table.mapping import MAX_ELEMENT_SIZE
from dicombq.warehouses.base import Load
from dicombq.warehouses.destination import BigQueryDestination
from dicombq.warehouses.duckdb import ROW_GROUP_SIZE, DuckdbWarehouse

_KIND = "CT, each of another study"
_SHARD = 600  # as an export has them after its first ones
_OPEN, _READ, _STAGE, _LOAD, _COPY = (
    "open, and read 16 KiB",
    "open, and read into a row",
    "the same, and stage rows and keys",
    "load what is staged",
    "copy the table to another file of DuckDB: no JSON, nothing staged",
)


def section(files: int) -> str:
    """Take an export apart, on files that no reader has seen; CPU time of one thread, commit included."""
    with tempfile.TemporaryDirectory() as scratch:
        folder, stage = Path(scratch, "files"), StagingArea(Path(scratch, "staged"))
        refs = [FileRef(str(path)) for path in instances.write(folder, _KIND, range(files))]
        stage.prepare()
        store = FolderStore.open(str(folder), Parent())
        table = DuckdbTable(Path(scratch, "x.duckdb"), "d", "t")
        receipts: list[Receipt] = []
        _open(refs)
        cost = {
            _OPEN: _cpu(lambda: _open(refs)),
            _READ: _cpu(lambda: _read(refs)),
            _STAGE: _cpu(lambda: receipts.extend(_stage(store, refs, stage))),
        }
        paths = {path for receipt in receipts for path in column_paths(receipt)}
        fields = BigQueryDestination(table).fields(paths)
        staged = stage.row_files(receipt.file for receipt in receipts)
        longest = max(receipt.longest_row for receipt in receipts)
        load = Load(staged, fields, Disposition.NONE, "load", Path(scratch), longest)
        cost[_LOAD] = _cpu(lambda: DuckdbWarehouse(table.file).load(table, load))
        cost[_COPY] = _cpu(lambda: _copy(table, Path(scratch, "y.duckdb")))
        script = run(["benchmarks.obvious", str(folder), str(Path(scratch, "z.duckdb"))], Path(scratch, "home")).cpu
    rows: list[list[str | float]] = [[what, seconds / files * 1e6] for what, seconds in cost.items()]
    table_text = markdown([f"CPU, {files:,} rows of {count(fields):,} columns", "µs an instance"], rows)
    of_script = {
        "read and copy": script / (cost[_READ] + cost[_COPY]),
        "read, stage and load": script / (cost[_STAGE] + cost[_LOAD]),
    }
    ratios = ", ".join(f"{what} {ratio:.1f} times as fast" for what, ratio in of_script.items())
    return f"{table_text}\n\nThe script takes {script / files * 1e6:,.0f} µs; without the start, {ratios}."


def _cpu(work: Callable[[], object]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


def _open(refs: list[FileRef]) -> None:
    for ref in refs:
        with open(ref.uri, "rb") as file:
            file.read(16 << 10)


def _read(refs: list[FileRef]) -> None:
    read_row = fast_reader(Record)
    for ref in refs:
        with open(ref.uri, "rb") as file:
            read_row(file, os.fstat(file.fileno()).st_size)


def _stage(store: FolderStore, refs: list[FileRef], area: StagingArea) -> list[Receipt]:
    return [
        stage_shard(ShardSpec(number, refs[at : at + _SHARD], store, area, Record, MAX_ELEMENT_SIZE, None))
        for number, at in enumerate(range(0, len(refs), _SHARD))
    ]


def _copy(table: DuckdbTable, file: Path) -> None:
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute(f"ATTACH '{table.file}' AS old (READ_ONLY)")
        connection.execute(f"ATTACH '{file}' AS new (ROW_GROUP_SIZE {ROW_GROUP_SIZE})")
        connection.execute("SET preserve_insertion_order = false")
        connection.execute("SET write_buffer_row_group_count = 1")
        connection.execute(f"CREATE TABLE new.t AS FROM old.{table.dataset}.{table.table}")
        connection.execute("DETACH new")
