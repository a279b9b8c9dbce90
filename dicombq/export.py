"""The export job: plan, list, stage, decide duplicates, load, make the view."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from dicombq import __version__
from dicombq.engines.base import Engine
from dicombq.errors import Cancelled, DicombqError, Failed, SchemaConflict, SourceChanged
from dicombq.names import TableUri, read_table_uri
from dicombq.operations.running import RunningOperation
from dicombq.operations.state import Counters, LogEntry, Operation, State
from dicombq.rows.metadata import MetadataRecord
from dicombq.rows.record import Record
from dicombq.staging import (
    Listing,
    Receipt,
    ShardSpec,
    accepted_shards,
    column_paths,
    find_duplicates,
    instance_with,
    list_store,
    log_entry,
    read_listing,
    read_receipt,
    read_receipts,
    read_refs,
    stage_shard,
    without_rows,
    write_listing,
)
from dicombq.stores.base import InstanceRef, Listed, Store
from dicombq.system.files import printable, storage_errors
from dicombq.table.disposition import Action, Disposition, decide
from dicombq.table.fields import Conflict, Field, merge
from dicombq.table.mapping import MAX_ELEMENT_SIZE, flattened_fields, json_fields
from dicombq.warehouses.base import FieldConflict, Load, Table, Warehouse

Progress = Callable[[Operation], None]

_SAMPLE = 20
"""Shards that are looked at before an operation goes on: of each, whether its first file is there."""


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

    def to_api(self) -> dict[str, Any]:
        """Print the request as the API does, with what it does not have under ``dicombq``."""
        destination = self.destination
        return {
            "bigqueryDestination": {
                "tableUri": str(destination.table),
                "writeDisposition": destination.disposition.name,
                "schemaJson" if destination.schema_json else "schemaFlattened": {},
                "includeSourceStore": destination.include_source_store,
            },
            "dicombq": {"source": self.store.source, "maxElementSize": self.max_element_size},
        }

    @classmethod
    def from_api(cls, store: Store, state: Mapping[str, Any]) -> ExportRequest:
        """Read what `to_api` printed."""
        destination = state["bigqueryDestination"]
        return cls(
            store,
            BigQueryDestination(
                read_table_uri(destination["tableUri"]),
                Disposition[destination["writeDisposition"]],
                "schemaJson" in destination,
                destination["includeSourceStore"],
            ),
            state["dicombq"]["maxElementSize"],
        )


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
        As `dicombq.table.disposition.decide`.
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


def run(
    request: ExportRequest, warehouse: Warehouse[Any], running: RunningOperation, engine: Engine, progress: Progress
) -> None:
    """Export, or go on where an operation ended: its state and its files say at any moment how far it has come.

    Raises
    ------
    SourceChanged
        Where what is left to be read cannot be read as it was listed.
    DicombqError
        Which ended the operation; the table is as it was, unless the message says otherwise.
    """
    with storage_errors(running.operation.folder):
        listing = _take_up_listing(request, running) or _list(request, running, progress)
        _stage(request, listing, running, engine, progress)
        _drop_duplicates(running)
        _enter(running, State.LOADING, progress)
        fields = _load(request, warehouse, running)
        _replace_view(request, warehouse, running, fields)
        _enter(running, State.DONE, progress)
    with contextlib.suppress(OSError):  # the rows are there; `operations prune` deletes what is left
        running.discard_staged()


def _enter(running: RunningOperation, state: State, progress: Progress) -> None:
    running.enter(state)
    progress(running.operation)


def _take_up_listing(request: ExportRequest, running: RunningOperation) -> Listing | None:
    """Count and log again what was listed and staged before."""
    folder = running.operation.folder
    listing = read_listing(folder)
    if listing is not None:
        running.operation.counters = replace(listing.counters)
        running.cut_log(listing.log_size)
        for receipt in read_receipts(folder):
            _count_receipt(receipt, running)
        _check_source(request.store, listing, folder)
    return listing


def _list(request: ExportRequest, running: RunningOperation, progress: Progress) -> Listing:
    folder = running.operation.folder
    for name in ("shards", "receipts"):
        (folder / name).mkdir(mode=0o700, exist_ok=True)
    running.operation.counters = Counters()
    running.cut_log(0)
    _enter(running, State.LISTING, progress)
    shards = list_store(request.store, folder, lambda entry: _count_listed(entry, running, progress))
    listing = Listing(shards, replace(running.operation.counters), running.log_size())
    write_listing(folder, listing)
    return listing


def _stage(
    request: ExportRequest, listing: Listing, running: RunningOperation, engine: Engine, progress: Progress
) -> None:
    _enter(running, State.STAGING, progress)
    folder = running.operation.folder
    specs = (_spec(request, folder, number, *listing.shards[number]) for number in _missing_shards(listing, folder))
    engine.map_shards(stage_shard, specs, lambda receipt: _count_staged(receipt, running, progress))


def _missing_shards(listing: Listing, folder: Path) -> list[int]:
    accepted = accepted_shards(folder)
    return [number for number in range(len(listing.shards)) if number not in accepted]


def _check_source(store: Store, listing: Listing, folder: Path) -> None:
    """Refuse to read on where that cannot be right."""
    missing = _missing_shards(listing, folder)
    if not missing:
        return
    if listing.version != __version__:
        raise SourceChanged(
            f"the operation was begun by dicombq {listing.version}, whose rows may differ from those of {__version__}",
            "Run the export again.",
        )
    sample = (next(read_refs(folder, *listing.shards[number])) for number in missing[:_SAMPLE])
    if not any(map(store.has, sample)):
        raise SourceChanged(
            f"of the files that are still to be read in [{printable(store.source)}], none is there any more",
            "Check that its disk is mounted and resume again, or run the export again.",
        )


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
    _count_receipt(receipt, running)
    running.count()
    progress(running.operation)


def _count_receipt(receipt: Receipt, running: RunningOperation) -> None:
    counters = running.operation.counters
    found = receipt.rows + receipt.duplicates + receipt.failures
    counters.pending -= found + receipt.skipped
    counters.found += found
    counters.success += receipt.rows
    counters.duplicates += receipt.duplicates
    counters.failure += receipt.failures
    counters.skipped += receipt.skipped
    counters.notices += receipt.notices
    running.log(receipt.log)


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
        without_rows(folder, read_receipt(folder, shard), losers)
        counters.duplicates += len(losers)
        counters.success -= len(losers)
        running.log(map(log_entry, losers))


def _load(request: ExportRequest, warehouse: Warehouse[Any], running: RunningOperation) -> tuple[Field, ...]:
    destination, operation = request.destination, running.operation
    files: list[Path] = []
    paths: set[str] = set()
    longest_row = 0
    for receipt in read_receipts(operation.folder):
        if receipt.rows:
            files.append(operation.folder / "shards" / receipt.file)
            paths |= column_paths(receipt)
            longest_row = max(longest_row, receipt.longest_row)
    load = Load(
        files,
        destination.fields(paths),
        destination.disposition,
        f"dicombq_export_{operation.id}",
        operation.folder / "shards",
        longest_row,
    )
    try:
        loaded = warehouse.load(destination.table, load)
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


def _replace_view(
    request: ExportRequest, warehouse: Warehouse[Any], running: RunningOperation, fields: tuple[Field, ...]
) -> None:
    table = request.destination.table
    try:
        warehouse.replace_view(table, fields)
    except Cancelled:
        raise
    except DicombqError as error:  # the rows are loaded: the export did what it was asked for
        running.operation.counters.notices += 1
        running.log([LogEntry("NOTICE", error.status, str(table), "", error.message)])
