"""Exports that tests run in their own process, on a folder of theirs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dicombq.engines.local import LocalEngine
from dicombq.export.plan import plan
from dicombq.export.request import ExportRequest
from dicombq.export.run import Export
from dicombq.export.task import EXPORT_BQ, export_task
from dicombq.names import DuckdbTable, Parent
from dicombq.operations.kinds import Settings
from dicombq.operations.state import Operation
from dicombq.operations.store import OperationStore
from dicombq.stores.filters import Filter
from dicombq.stores.folder import FolderStore
from dicombq.table.disposition import Disposition
from dicombq.warehouses.destination import BigQueryDestination
from dicombq.warehouses.duckdb import DuckdbWarehouse


@dataclass
class Lab:
    """A folder, a HOME and a DuckDB file."""

    path: Path
    workers: int = 1

    @property
    def scans(self) -> Path:
        return self.path / "scans"

    @property
    def table(self) -> DuckdbTable:
        return DuckdbTable(self.path / "x.duckdb", "d", "t")

    def request(self, disposition: Disposition = Disposition.NONE, **destination: Any) -> ExportRequest:
        store = FolderStore.open(str(self.scans), Parent())
        return ExportRequest(store, BigQueryDestination(self.table, disposition, **destination))

    def export(
        self,
        disposition: Disposition = Disposition.NONE,
        *,
        warehouse: DuckdbWarehouse | None = None,
        wanted: Filter | None = None,
        progress: Callable[[Operation], None] = lambda operation: None,
        **destination: Any,
    ) -> Operation:
        request = replace(self.request(disposition, **destination), wanted=wanted)
        warehouse = warehouse or DuckdbWarehouse(self.table.file, 0)
        plan(request, warehouse)
        running = self.operations.create(EXPORT_BQ, request.store.name, str(self.table), request.to_api())
        with running:
            export_task(request, Settings(self.path)).save(running.operation.folder)
            Export(request, warehouse, LocalEngine(self.workers), running, progress).run()
        return running.operation

    @property
    def operations(self) -> OperationStore:
        return OperationStore(self.path)

    def last(self) -> Operation:
        return self.operations.list()[0][0]

    def log(self, operation: Operation) -> list[tuple[str, str, str, str]]:
        return [
            (entry["severity"], entry["code"], Path(entry["uri"]).name, entry["message"])
            for entry in self.operations.logs(operation.id)
        ]

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.table.file), read_only=True) as connection:
            return connection.execute(sql).fetchall()

    def columns(self) -> list[str]:
        return [row[0] for row in self.query("DESCRIBE d.t")]


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    (tmp_path / "scans").mkdir()
    return Lab(tmp_path)
