"""Exports to tables as a kind of operation."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dicombq.engines.local import LocalEngine
from dicombq.errors import InvalidArgument
from dicombq.export.area import is_left, staging_area
from dicombq.export.plan import Plan, plan
from dicombq.export.request import ExportRequest
from dicombq.export.run import Export
from dicombq.names import DuckdbTable, StoreName, parse_object_uri
from dicombq.operations.kinds import Kind, Progress, Settings, register
from dicombq.operations.running import RunningOperation
from dicombq.operations.state import Operation
from dicombq.shards.work import save_filter, saved_filter
from dicombq.stores.base import StoreOptions
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
        if self.export_request.staging:
            self._check_staging()
        return plan(self.export_request, self.warehouse)

    def _check_staging(self) -> None:
        """Refuse a bucket for rows that no load reads, that is not there, or that may not be used."""
        if isinstance(self.export_request.destination.table, DuckdbTable):
            raise InvalidArgument(
                "--staging is for tables in BigQuery, which loads from a bucket; a DuckDB file is loaded from here",
                "Leave --staging out.",
            )
        from dicombq.stores.objects import check_bucket  # noqa: PLC0415 - half a second of imports

        check_bucket(parse_object_uri(self.export_request.staging))

    def check(self) -> None:
        """Refuse what `plan` refuses."""
        self.plan()

    def save(self, folder: Path) -> None:
        """Copy the filter file: what is gone on with has the same."""
        save_filter(self.export_request.wanted, folder)

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
    return export_task(ExportRequest.from_api(store, saved_filter(operation, request), request), settings)


def _discard(operation: Operation, request: dict[str, Any]) -> None:
    if is_left(operation.folder):
        staging_area(operation.folder, request["dicombq"].get("staging", ""), operation.id).clear()


EXPORT_BQ = register(Kind("export bq", "ExportDicomData", _reopen, _discard))
