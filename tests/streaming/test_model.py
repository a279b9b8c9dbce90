"""Whatever happens to a folder, to the stream and to a table: the view is the folder, and the history what happened.

A table of the latest versions is the folder itself.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, multiple, rule

from dicombq.cli.main import main
from dicombq.names import DuckdbTable
from tests.fakes.bigquery import BigQueryFake, Fault
from tests.fakes.bigquery_write import BigQueryWriteFake
from tests.instances import write_instance
from tests.proofs.zygote import Zygote, zygote
from tests.streaming.tables import bigquery_table, check_history, latest_of, let_follow, rows_of, told, view_of

LONG = bool(os.environ.get("DICOMBQ_LONG_PROOFS"))
_BEGINNING = 1_700_000_000


class Following(RuleBasedStateMachine):
    """A folder, and tables of DuckDB and of the fake of BigQuery that follow it: two with history, two without."""

    process: Zygote
    files = Bundle("files")

    def __init__(self) -> None:
        super().__init__()
        self.base = Path(tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
        self.folder, self.home = self.base / "scans", self.base / "home"
        self.folder.mkdir()
        self.fake = BigQueryFake()
        self.fake.__enter__()
        self.fake.create_dataset("p.d")
        self.write_fake = BigQueryWriteFake(self.fake)
        self.write_fake.__enter__()
        self.environment = {
            "BIGQUERY_EMULATOR_HOST": self.fake.url,
            "BIGQUERY_STORAGE_EMULATOR_HOST": self.write_fake.address,
        }
        self.patch = pytest.MonkeyPatch()
        self.patch.setenv("DICOMBQ_HOME", str(self.home))
        for name, value in self.environment.items():
            self.patch.setenv(name, value)
        self.patch.setattr("dicombq.warehouses.bigquery.PATIENCE", 0.05)
        self.tables: list[Any] = [DuckdbTable(self.base / "w.duckdb", "d", "t"), bigquery_table()]
        self.latest: list[Any] = [DuckdbTable(self.base / "l.duckdb", "d", "t"), bigquery_table("latest")]
        self.present: dict[Path, tuple[int, str, int]] = {}
        self.history: dict[int, list[str]] = defaultdict(list)
        self.clock = 0

    def teardown(self) -> None:
        self.patch.undo()
        self.write_fake.__exit__(None, None, None)
        self.fake.__exit__(None, None, None)
        shutil.rmtree(self.base)

    @initialize()
    def configure(self) -> None:
        tables = [f"--bq-table={table}" for table in self.tables]
        assert main(["stream", "configure", str(self.folder), *tables]) == 0
        let_follow(self.home, *self.latest)
        assert self._sync() == 0

    @rule(target=files, name=st.sampled_from("abcdef"), number=st.integers(1, 3), seconds=st.integers(0, 3))
    def write(self, name: str, number: int, seconds: int) -> Path:
        """Write an instance over whatever was there."""
        self.clock += 1
        path = self.folder / f"{name}.dcm"
        temporary = write_instance(self.base / "new", number, StudyDescription=f"edit {self.clock}")
        self._set(path, temporary, number, f"edit {self.clock}", seconds)
        return path

    def _set(self, path: Path, temporary: Path, number: int, content: str, seconds: int) -> None:
        nanoseconds = (_BEGINNING + seconds) * 10**9 + self.clock * 1000  # each time is another one
        os.utime(temporary, ns=(nanoseconds, nanoseconds))
        os.replace(temporary, path)
        self.present[path] = (number, content, nanoseconds)

    @rule(path=files, seconds=st.integers(0, 3))
    def touch(self, path: Path, seconds: int) -> None:
        if path in self.present:
            self.clock += 1
            number, content, _ = self.present[path]
            temporary = Path(shutil.copy2(path, self.base / "new"))
            self._set(path, temporary, number, content, seconds)

    @rule(target=files, path=files, name=st.sampled_from("ghi"))
    def move(self, path: Path, name: str) -> Any:
        if path not in self.present:
            return multiple()
        to = self.folder / "sub" / f"{name}.dcm"
        to.parent.mkdir(exist_ok=True)
        os.replace(path, to)
        self.present[to] = self.present.pop(path)
        return to

    @rule(target=files, path=files, name=st.sampled_from("jk"))
    def copy(self, path: Path, name: str) -> Any:
        if path not in self.present:
            return multiple()
        to = self.folder / f"{name}.dcm"
        os.replace(shutil.copy2(path, self.base / "new"), to)
        self.present[to] = self.present[path]
        return to

    @rule(path=files)
    def delete(self, path: Path) -> None:
        if self.present.pop(path, None):
            path.unlink()

    @rule(path=files)
    def overwrite_with_something_else(self, path: Path) -> None:
        if self.present.pop(path, None):
            (self.base / "new").write_text("no instance")
            os.replace(self.base / "new", path.with_suffix(""))
            path.unlink()

    @rule()
    def sync(self) -> None:
        assert self._sync() == 0
        self._observe()
        for table in self.tables:
            self._check(table)
        for table in self.latest:
            assert latest_of(table) == self._winners()

    @rule(calls=st.integers(1, 900))
    def kill_and_sync(self, calls: int) -> None:
        arguments = ("stream", "sync", str(self.folder), "--max-delete=100%")
        self.process.run(self.home, *arguments, calls=calls, environment=self.environment)
        self.sync()

    @rule(method=st.sampled_from(["jobs.upload.start", "jobs.get", "tables.get", "datasets.get", "AppendRows"]))
    def sync_while_bigquery_is_down(self, method: str) -> None:
        self.fake.fail(method, Fault.UNAVAILABLE, times=1000)
        self._sync()
        self.fake.mend()
        self._observe()
        self._check(self.tables[0])
        assert latest_of(self.latest[0]) == self._winners()

    def _sync(self) -> int:
        return main(["stream", "sync", str(self.folder), "--max-delete=100%", "--lock-timeout=10s"])

    def _winners(self) -> dict[int, str]:
        """Tell what the folder holds: of copies the newest counts, then the greater path."""
        winners = {}
        for _, (number, content, _) in sorted(
            self.present.items(), key=lambda item: (item[1][2], os.fsencode(item[0]))
        ):
            winners[number] = content
        return winners

    def _observe(self) -> None:
        winners = self._winners()
        for number in {*winners, *self.history}:
            now = winners.get(number, "DELETE")
            before = self.history[number][-1:]
            if before != [now] and (before or now != "DELETE"):
                self.history[number].append(now)

    def _check(self, table: Any) -> None:
        rows = rows_of(table)
        check_history(rows)
        assert {number: told(rows, number) for number in self.history} == dict(self.history)
        view = view_of(table)
        winners = self._winners()
        assert {number: told(view, number) for number in winners} == {n: [text] for n, text in winners.items()}
        assert len(view) == len(winners)


Following.TestCase.settings = settings(
    max_examples=300 if LONG else 12, stateful_step_count=30, deadline=None, print_blob=True
)


class TestFollowing(Following.TestCase):  # type: ignore[misc, valid-type]  # hypothesis makes the class
    resources: contextlib.ExitStack

    @classmethod
    def setUpClass(cls) -> None:
        cls.resources = contextlib.ExitStack()
        Following.process = cls.resources.enter_context(zygote())

    @classmethod
    def tearDownClass(cls) -> None:
        cls.resources.close()
