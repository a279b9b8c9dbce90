"""Transfers of a few files, run by the operations of a HOME."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from dicombq.names import Parent
from dicombq.operations import jobs
from dicombq.operations.kinds import Settings, Task
from dicombq.operations.state import Operation
from dicombq.operations.store import OperationStore
from dicombq.stores.base import StoreOptions
from dicombq.stores.filters import read_filter
from dicombq.stores.registry import open_store
from dicombq.transfer.pattern import MatchingStore
from dicombq.transfer.tasks import FilesIn, FilesOut
from tests.instances import ROOT, write_instance, write_truncated

Progress = Callable[[Operation], None]


def name_of(number: int) -> str:
    """Name the place of an instance that `write_instance` wrote."""
    return f"{ROOT}.1/{ROOT}.1.1/{ROOT}.1.1.{number}.dcm"


def files_in(folder: Path) -> dict[str, bytes]:
    """Read all files below a folder, the hidden ones too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@dataclass(frozen=True)
class Lab:
    """Some scans, a place for copies, and a HOME."""

    path: Path
    home: Path

    @property
    def scans(self) -> Path:
        return self.path / "scans"

    @property
    def copies(self) -> Path:
        return self.path / "copies"

    @property
    def operations(self) -> OperationStore:
        return OperationStore(self.home)

    def settings(self, workers: int = 1) -> Settings:
        return Settings(self.home, workers)

    def fill(self) -> None:
        """Write three instances, one of them twice, a broken one, and a file of another kind."""
        for number in (1, 2, 3):
            write_instance(self.scans / f"{number}.dcm", number)
        newer = write_instance(self.scans / "copy" / "1.dcm", 1, PatientID="new")
        os.utime(newer, (4_000_000_000, 4_000_000_000))
        write_truncated(self.scans / "broken.dcm")
        (self.scans / "notes.txt").write_text("notes")

    def out(self, prefix: str = "", wanted: Path | None = None, workers: int = 1) -> FilesOut:
        store = open_store(str(self.scans), Parent(), self.home, lambda _text: None)
        return FilesOut.to(
            prefix or str(self.copies), store, read_filter(str(wanted)) if wanted else None, self.settings(workers)
        )

    def into(self, uri: str, store: str = "", workers: int = 1, *, archives: bool = False) -> FilesIn:
        target = open_store(store or str(self.copies), Parent(), self.home, lambda _text: None)
        return FilesIn(MatchingStore.open(uri, StoreOptions(archives)), target, workers)

    def run(self, task: Task, progress: Progress = lambda _operation: None) -> Operation:
        with jobs.begin(task, self.settings()) as job:
            job.run(progress)
        return job.operation

    def resume(self) -> Operation:
        with jobs.resume(self.operations.list()[0][0].id, self.settings()) as job:
            job.run(lambda _operation: None)
        return job.operation

    def log(self, operation: Operation, severity: str = "ERROR") -> list[tuple[str, str, str]]:
        entries = self.operations.logs(operation.id, [severity])
        return [(entry["code"], Path(entry["uri"]).name, entry["message"]) for entry in entries]


@pytest.fixture
def lab(home: Path, tmp_path: Path) -> Lab:
    home.mkdir()
    (tmp_path / "scans").mkdir()
    return Lab(tmp_path, home)
