"""The export job: plan, list, stage, decide duplicates, load, make the view."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from dicombq.disposition import Action, Disposition, decide
from dicombq.engines.base import Engine
from dicombq.errors import Cancelled, DicombqError, Failed, SchemaConflict
from dicombq.files import printable, storage_errors
from dicombq.names import TableUri
from dicombq.operations import LogEntry, Operation, RunningOperation, State
from dicombq.rows.metadata import MetadataRecord
from dicombq.rows.record import Record
from dicombq.staging import (
    Receipt,
    ShardSpec,
    column_paths,
    find_duplicates,
    instance_with,
    list_store,
    log_entry,
    read_receipt,
    read_receipts,
    stage_shard,
    without_rows,
)
from dicombq.stores.base import InstanceRef, Listed, Store
from dicombq.table.fields import Conflict, Field, check_limits, merge
from dicombq.table.mapping import MAX_ELEMENT_SIZE, flattened_fields, json_fields
from dicombq.warehouses.base import FieldConflict, Load, Table, Warehouse

Progress = Callable[[Operation], None]


@dataclass(frozen=True)
class BigQueryDestination:
    """Where the rows go and how (``rest_api.md``, GoogleCloudHealthcareV1DicomBigQueryDestination).

    Parameters
    ----------
    schema_json
        One JSON column for all elements, in place of a column for each.
    """

    table: TableUri
    disposition: Disposition = Disposition.NONE
    schema_json: bool = False
    include_source_store: bool = False

    def fields(self, paths: set[str]) -> tuple[Field, ...]:
        """Give the fields of rows with these column paths."""
        if self.schema_json:
            return json_fields(source_store=self.include_source_store)
        return flattened_fields(paths, source_store=self.include_source_store)


@dataclass(frozen=True)
class ExportRequest:
    """What to export (``rest_api.md``, ExportDicomDataRequest)."""

    store: Store
    destination: BigQueryDestination
    max_element_size: int = MAX_ELEMENT_SIZE


@dataclass(frozen=True)
class Plan:
    """A request that nothing known speaks against."""

    request: ExportRequest
    warehouse: Warehouse[Any]
    table: Table
    action: Action

    def to_dict(self) -> dict[str, Any]:
        """Print the plan, for ``--dry-run``."""
        destination = self.request.destination
        return {
            "store": str(self.request.store.name),
            "table": str(destination.table),
            "tableState": self.table.state.value,
            "action": self.action.value,
            "schema": "json" if destination.schema_json else "flattened",
        }


def plan(request: ExportRequest, warehouse: Warehouse[Any]) -> Plan:
    """Refuse what can be refused before a file is read.

    Raises
    ------
    TableExists, TableNotEmpty
        As `dicombq.disposition.decide`.
    SchemaConflict
        Where the table's extra columns are of other types, as with the other schema.
    """
    destination = request.destination
    table = warehouse.state(destination.table)
    action = decide(str(destination.table), table.state, destination.disposition)
    if action in (Action.LOAD, Action.APPEND):
        conflicts = merge(table.fields, destination.fields(set())).conflicts
        if conflicts:
            raise _schema_conflict(destination.table, conflicts[0], "")
    return Plan(request, warehouse, table, action)


def run(planned: Plan, running: RunningOperation, engine: Engine, progress: Progress) -> None:
    """Export; the operation's state says at any moment how far it has come.

    Raises
    ------
    DicombqError
        Which ended the operation; the table is as it was, unless the message says otherwise.
    """
    request, folder = planned.request, running.operation.folder
    with storage_errors(folder):
        for name in ("shards", "receipts"):
            (folder / name).mkdir(mode=0o700, exist_ok=True)
        _enter(running, State.LISTING, progress)
        shards = list_store(request.store, folder, lambda entry: _count_listed(entry, running, progress))
        _enter(running, State.STAGING, progress)
        specs = (_spec(request, folder, number, *shard) for number, shard in enumerate(shards))
        engine.map_shards(stage_shard, specs, lambda receipt: _count_staged(receipt, running, progress))
        _drop_duplicates(running)
        _enter(running, State.LOADING, progress)
        fields = _load(planned, running)
        _replace_view(planned, running, fields)
        running.discard_staged()
        _enter(running, State.DONE, progress)


def _enter(running: RunningOperation, state: State, progress: Progress) -> None:
    running.enter(state)
    progress(running.operation)


def _count_listed(entry: Listed, running: RunningOperation, progress: Progress) -> None:
    counters = running.operation.counters
    if isinstance(entry, InstanceRef):
        counters.pending += 1
    else:
        running.log([log_entry(entry)])
        _count_result(running, failures=int(log_entry(entry).severity == "ERROR"))
    running.count()
    progress(running.operation)


def _count_result(running: RunningOperation, failures: int) -> None:
    counters = running.operation.counters
    counters.found += failures
    counters.failure += failures
    counters.skipped += 1 - failures


def _count_staged(receipt: Receipt, running: RunningOperation, progress: Progress) -> None:
    counters = running.operation.counters
    counters.pending -= receipt.rows + receipt.failures + receipt.skipped
    counters.found += receipt.rows + receipt.failures
    counters.success += receipt.rows
    counters.failure += receipt.failures
    counters.skipped += receipt.skipped
    counters.notices += receipt.notices
    running.log(receipt.log)
    running.count()
    progress(running.operation)


def _spec(request: ExportRequest, folder: Path, number: int, offset: int, count: int) -> ShardSpec:
    destination = request.destination
    return ShardSpec(
        number,
        offset,
        count,
        request.store,
        folder,
        MetadataRecord if destination.schema_json else Record,
        request.max_element_size,
        printable(str(request.store.name)) if destination.include_source_store else None,
    )


def _drop_duplicates(running: RunningOperation) -> None:
    folder, counters = running.operation.folder, running.operation.counters
    # the query behind the duplicates sorts: it has read all keys when the first one comes
    for shard, duplicates in groupby(find_duplicates(folder), lambda duplicate: duplicate.shard):
        losers = list(duplicates)
        counters.duplicates += len(losers)
        counters.success -= len(losers)
        running.log(
            LogEntry("INFO", "ALREADY_EXISTS", loser.uri, "", f"duplicate: [{loser.winner}] is the newer copy")
            for loser in losers
        )
        without_rows(folder, read_receipt(folder, shard), {loser.row for loser in losers})


def _load(planned: Plan, running: RunningOperation) -> tuple[Field, ...]:
    destination, operation = planned.request.destination, running.operation
    files: list[Path] = []
    paths: set[str] = set()
    longest_row = 0
    for receipt in read_receipts(operation.folder):
        if receipt.rows:
            files.append(operation.folder / "shards" / receipt.file)
            paths |= column_paths(receipt)
            longest_row = max(longest_row, receipt.longest_row)
    fields = destination.fields(paths)
    kept = planned.table.fields if planned.action in (Action.LOAD, Action.APPEND) else ()
    check_limits(merge(kept, fields).fields)
    load = Load(
        files,
        fields,
        destination.disposition,
        f"dicombq_export_{operation.id}",
        operation.folder / "shards",
        longest_row,
    )
    try:
        loaded = planned.warehouse.load(destination.table, load)
    except FieldConflict as conflict:
        first = conflict.conflicts[0]
        raise _schema_conflict(destination.table, first, instance_with(operation.folder, first.path)) from None
    staged = operation.counters.success
    if loaded.rows != staged:
        raise Failed(
            f"{loaded.rows:,} rows were loaded into [{destination.table}], not the {staged:,} staged",
            "Look at the table before you use it; the staged files are kept.",
        )
    return loaded.fields


def _schema_conflict(table: TableUri, conflict: Conflict, uri: str) -> SchemaConflict:
    where = f" ([{uri}] has it)" if uri else ""
    return SchemaConflict(
        f"the column [{conflict.path}] is {conflict.existing.describe()} in the table [{table}], "
        f"but {conflict.wanted.describe()} in what is exported{where}",
        "Export to another table, or replace this one with --overwrite-table.",
    )


def _replace_view(planned: Plan, running: RunningOperation, fields: tuple[Field, ...]) -> None:
    table = planned.request.destination.table
    try:
        planned.warehouse.replace_view(table, fields)
    except Cancelled:
        raise
    except DicombqError as error:  # the rows are loaded: the export did what it was asked for
        running.operation.counters.notices += 1
        running.log([LogEntry("NOTICE", error.status, str(table), "", error.message)])
