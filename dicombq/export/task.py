"""Exports to tables as a kind of operation."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dicombq.engines.local import LocalEngine
from dicombq.errors import StateDamaged
from dicombq.export.plan import Plan, plan
from dicombq.export.request import ExportRequest
from dicombq.export.run import Export
from dicombq.names import DuckdbTable, StoreName
from dicombq.operations.kinds import Kind, Progress, Settings, register
from dicombq.operations.running import RunningOperation
from dicombq.operations.state import Operation
from dicombq.shards.work import FILTER
from dicombq.stores.base import StoreOptions
from dicombq.stores.filters import load_filter
from dicombq.stores.registry import reopen_store
from dicombq.system.files import printable
from dicombq.warehouses.base import Warehouse
from dicombq.warehouses.registry import open_warehouse


@dataclass(frozen=True)
class ExportTask:
    """An export to a table."""

    export_request: ExportRequest
    warehouse: Warehouse[Any]
    workers: int | None

    @property
    def kind(self) -> Kind:
        """Exports to tables."""
        return EXPORT_BQ

    @property
    def store(self) -> StoreName:
        """The store that is exported."""
        return self.export_request.store.name

    @property
    def target(self) -> str:
        """The table."""
        return printable(str(self.export_request.destination.table))

    @property
    def lock(self) -> tuple[str, str]:
        """The table, by whatever path and case it is named."""
        table = self.export_request.destination.table
        name = str(table)
        if isinstance(table, DuckdbTable):
            name = f"{os.path.realpath(table.file)}/{table.dataset.lower()}.{table.table.lower()}"
        return name, f"the table [{self.target}]"

    def request(self) -> dict[str, Any]:
        """Print the request as the API does."""
        return self.export_request.to_api()

    def plan(self) -> Plan:
        """Hold the request against the table."""
        return plan(self.export_request, self.warehouse)

    def check(self) -> None:
        """Refuse what `plan` refuses."""
        self.plan()

    def save(self, folder: Path) -> None:
        """Copy the filter file: what is gone on with has the same."""
        if self.export_request.wanted:
            self.export_request.wanted.save(folder / FILTER)

    def run(self, running: RunningOperation, progress: Progress) -> None:
        """Export; errors are those of `Export.run`."""
        engine = LocalEngine(self.workers) if self.workers else LocalEngine.fitting()
        Export(self.export_request, self.warehouse, engine, running, progress).run()


def export_task(request: ExportRequest, settings: Settings) -> ExportTask:
    """Make the task of a request."""
    warehouse = open_warehouse(request.destination.table, settings.lock_timeout)
    return ExportTask(request, warehouse, settings.workers)


def _reopen(operation: Operation, request: dict[str, Any], settings: Settings) -> ExportTask:
    own = request["dicombq"]
    store = reopen_store(operation.store_name, own["source"], StoreOptions(**own.get("options", {})))
    wanted = None
    if config := request.get("filterConfig"):
        try:
            wanted = load_filter(config["resourcePathsGcsUri"], operation.folder / FILTER)
        except OSError:  # its process was killed before it was copied
            raise StateDamaged(f"operation [{operation.id}] has lost its filter", "Run the export again.") from None
    return export_task(ExportRequest.from_api(store, wanted, request), settings)


EXPORT_BQ = register(Kind("export bq", "ExportDicomData", _reopen))
