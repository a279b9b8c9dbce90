"""Exports to be disturbed: what they read, where they write, and what an undisturbed one leaves."""

from __future__ import annotations

import filecmp
import json
import os
import shutil
from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import duckdb

from dicombq.names import DuckdbTable
from dicombq.operations.state import Operation, State
from dicombq.operations.store import OperationStore
from tests.instances import write_instance, write_truncated
from tests.proofs.zygote import Zygote
from tests.tables import normalised, read_duckdb

NEW, REPLACE, APPEND = "new", "replace", "append"
"""What is at the destination, and what is to become of it."""

_FLAGS = {NEW: (), REPLACE: ("--overwrite-table",), APPEND: ("--write-disposition=write-append",)}

LONG = bool(os.environ.get("DICOMBQ_LONG_PROOFS"))
"""Whether the tests are to take minutes, not seconds: no combination is left out then."""

Rows = Counter[str]


@dataclass(frozen=True)
class Outcome:
    """What an export leaves: its rows, its counters, and its log without the times."""

    rows: Rows
    counters: dict[str, int]
    log: Counter[str]


@dataclass(frozen=True)
class Arena:
    """A place for one export: a HOME and a DuckDB file of its own."""

    folder: Path
    kind: str

    @property
    def home(self) -> Path:
        """HOME."""
        return self.folder / "home"

    @property
    def table(self) -> DuckdbTable:
        """The destination."""
        return DuckdbTable(self.folder / "table" / "x.duckdb", "d", "t")

    @property
    def has_log(self) -> bool:
        """Whether DuckDB has left what is to be added to its file."""
        return len(list(self.table.file.parent.iterdir())) > 1

    @property
    def store(self) -> OperationStore:
        """The operations of HOME."""
        return OperationStore(self.home)

    def export(self, scans: Path, *flags: str) -> list[str]:
        """Name the command line of the export."""
        return ["export", "bq", str(scans), f"--bq-table={self.table}", *_FLAGS[self.kind], *flags]

    def rows(self) -> Rows | None:
        """Read the table; None where there is none."""
        try:
            return as_texts(read_duckdb(self.table))
        except (duckdb.IOException, duckdb.CatalogException):
            if self.table.file.exists() and self.table.file.stat().st_size > 3 * 4096:  # DuckDB's headers
                with duckdb.connect(str(self.table.file), read_only=True) as connection:
                    assert not connection.execute("FROM duckdb_tables() WHERE table_name = 't'").fetchall()
            return None

    def operation(self) -> Operation | None:
        """Read the only operation, if it got so far as to be noted."""
        operations, damaged = self.store.list()
        assert damaged == []
        assert len(operations) <= 1
        return operations[0] if operations else None

    def outcome(self) -> Outcome:
        """Tell what the export left."""
        operation = self.operation()
        assert operation is not None
        assert operation.state is State.DONE
        rows = self.rows()
        assert rows is not None
        log = Counter(json.dumps({**entry, "time": ""}, sort_keys=True) for entry in self.store.logs(operation.id))
        return Outcome(rows, asdict(operation.counters), log)


def as_texts(rows: list[dict[str, Any]]) -> Rows:
    """Write each row as a text: equal rows are equal, whatever their table's columns."""
    return Counter(json.dumps(normalised(row), sort_keys=True) for row in rows)


class Scene:
    """A folder to be exported, and what undisturbed exports of it leave.

    Parameters
    ----------
    instances
        How many; a fifth of them twice. Besides there are files that are broken, and files of other kinds.
    pipes
        How many, for a listing that takes its time.
    """

    def __init__(self, folder: Path, process: Zygote, instances: int, pipes: int = 1, shard_size: int = 200) -> None:
        self.folder = folder
        self.scans = folder / "scans"
        self.process = process
        self.shard_size = shard_size
        self._numbers = 0
        self._undisturbed: dict[str, Outcome] = {}
        self._old = folder / "old.duckdb"
        _fill(self.scans, instances, pipes)
        write_instance(folder / "old" / "1.dcm", 100_000, PatientID="old", AccessionNumber="A")
        old = self.arena(NEW)
        assert process.run(old.home, *old.export(folder / "old")).code == 0
        shutil.move(old.table.file, self._old)
        self.old_rows = as_texts(read_duckdb(replace(old.table, file=self._old)))

    def arena(self, kind: str) -> Arena:
        """Make a place where nothing has happened yet but what the kind says."""
        self._numbers += 1
        arena = Arena(self.folder / f"arena-{self._numbers}", kind)
        for folder in (arena.home, arena.table.file.parent):
            folder.mkdir(parents=True, mode=0o700)
        if kind != NEW:
            shutil.copyfile(self._old, arena.table.file)
        return arena

    def before(self, kind: str) -> Rows | None:
        """Give the rows before the export."""
        return None if kind == NEW else self.old_rows

    def undisturbed(self, kind: str) -> Outcome:
        """Give what an export leaves that nobody disturbs."""
        if kind not in self._undisturbed:
            arena = self.arena(kind)
            ended = self.process.run(arena.home, *arena.export(self.scans, "--workers=1"), shard_size=self.shard_size)
            assert ended.code == 3, ended.err
            outcome = arena.outcome()
            counters = outcome.counters
            assert counters["found"] == counters["success"] + counters["failure"] + counters["duplicates"]
            assert min(counters[name] for name in ("success", "failure", "duplicates", "skipped")) > 0
            assert outcome.rows.total() == counters["success"] + (kind == APPEND)
            self._undisturbed[kind] = outcome
            self.forget(arena)
        return self._undisturbed[kind]

    def check_old_or_new(self, arena: Arena) -> bool:
        """Assert that the table is what it was or what it is to be; tell whether it is the latter."""
        if arena.kind != NEW and not arena.has_log and filecmp.cmp(arena.table.file, self._old, shallow=False):
            return False
        rows = arena.rows()
        old, new = self.before(arena.kind), self.undisturbed(arena.kind).rows
        assert rows in (old, new), f"{rows.total() if rows else 0} rows, neither the old nor the new ones"
        return rows == new

    def forget(self, arena: Arena) -> None:
        """Delete a place."""
        shutil.rmtree(arena.folder)


def _fill(scans: Path, instances: int, pipes: int) -> None:
    for number in range(instances):
        path = write_instance(scans / f"{number % 7}" / f"{number}.dcm", number, PatientID=f"P{number}")
        os.utime(path, (1_700_000_000, 1_700_000_000))
        if number % 5 == 0:
            copy = write_instance(scans / f"copies{number % 3}" / f"{number}.dcm", number, PatientID=f"copy{number}")
            os.utime(copy, (1_700_000_000 + number % 2 * 5, 1_700_000_000 + number % 2 * 5))
        if number % 20 == 0:
            write_truncated(scans / "broken" / f"{number}.dcm")
            (scans / f"notes{number}.txt").write_text("notes")
    (scans / "gone.dcm").symlink_to("nowhere")
    for number in range(pipes):
        os.mkfifo(scans / f"pipe{number}")
