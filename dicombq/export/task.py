"""Exports to tables as a kind of operation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dicombq.export.area import staging_area
from dicombq.export.elsewhere import check_places
from dicombq.export.plan import Plan, plan
from dicombq.export.request import ExportRequest
from dicombq.export.run import Export
from dicombq.names import StoreName
from dicombq.operations.kinds import Kind, Progress, Settings, register
from dicombq.operations.running import RunningOperation
from dicombq.operations.state import Operation
from dicombq.shards.work import save_filter, saved_filter
from dicombq.stores.base import StoreOptions
from dicombq.stores.registry import reopen_store
from dicombq.system.files import printable
from dicombq.warehouses.base import Warehouse
from dicombq.warehouses.registry import open_warehouse, table_key


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
        return table_key(self.export_request.destination.table), f"the table [{self.target}]"

    def request(self) -> dict[str, Any]:
        """Print the request as the API does."""
        return self.export_request.to_api()

    def plan(self) -> Plan:
        """Hold the request against the table."""
        self.export_request.engine.check(self.workers)
        check_places(self.export_request)
        return plan(self.export_request, self.warehouse)

    def check(self) -> None:
        """Refuse what `plan` refuses."""
        self.plan()

    def save(self, folder: Path) -> None:
        """Copy the filter file: what is gone on with has the same."""
        save_filter(self.export_request.wanted, folder)

    def run(self, running: RunningOperation, progress: Progress) -> None:
        """Export; errors are those of `Export.run`."""
        engine = self.export_request.engine.open(self.workers, running.operation.folder / "engine.log")
        Export(self.export_request, self.warehouse, engine, running, progress).run()


def export_task(request: ExportRequest, settings: Settings) -> ExportTask:
    """Make the task of a request."""
    warehouse = open_warehouse(request.destination.table, settings.lock_timeout)
    return ExportTask(request, warehouse, settings.workers)


def _reopen(operation: Operation, request: dict[str, Any], settings: Settings) -> ExportTask:
    own = request["dicombq"]
    store = reopen_store(operation.store_name, own["source"], StoreOptions(**own.get("options", {})))
    noted = ExportRequest.from_api(store, saved_filter(operation, request), request)
    engine = noted.engine.changed(settings.engine, settings.engine_master, shared_folders=settings.shared_folders)
    return export_task(replace(noted, engine=engine), settings)


def _discard(operation: Operation, request: dict[str, Any]) -> None:
    area = staging_area(operation.folder, request["dicombq"].get("staging", ""), operation.id)
    if area.is_left:
        area.clear()


EXPORT_BQ = register(Kind("export bq", "ExportDicomData", _reopen, _discard))
