"""The run of an export: list, stage, decide duplicates, load, make the view."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from dicombq.engines.base import Engine
from dicombq.errors import Cancelled, DicombqError, Failed, FailedPrecondition, SourceChanged
from dicombq.export.area import StagingArea, staging_area
from dicombq.export.duplicates import without_rows
from dicombq.export.limits import check_listing
from dicombq.export.plan import schema_conflict
from dicombq.export.request import ExportRequest
from dicombq.export.staging import (
    Receipt,
    ShardSpec,
    column_paths,
    instance_with,
    receipts_in,
    stage_elsewhere,
    stage_shard,
)
from dicombq.names import BigQueryTable
from dicombq.operations.kinds import Progress
from dicombq.operations.log import LogEntry
from dicombq.operations.running import RunningOperation
from dicombq.operations.state import Counters, State
from dicombq.rows.metadata import MetadataRecord
from dicombq.rows.record import Record
from dicombq.shards.duplicates import find_duplicates
from dicombq.shards.listing import Listing, read_refs
from dicombq.shards.receipts import Receipts
from dicombq.shards.work import FILTER, ShardedWork
from dicombq.system.files import printable, storage_errors
from dicombq.table.disposition import Disposition, TableState
from dicombq.table.fields import Field
from dicombq.warehouses.base import FieldConflict, Load, Warehouse

_GONE = ("NOT_FOUND", "UNAVAILABLE")
"""Codes of the failures of files that may have gone with their source."""


@dataclass(frozen=True)
class Export:
    """An export that this process runs; its state and its files say at any moment how far it has come.

    Parameters
    ----------
    progress
        Is told of the operation whenever it has come further.
    """

    request: ExportRequest
    warehouse: Warehouse[Any]
    engine: Engine
    running: RunningOperation
    progress: Progress

    @property
    def folder(self) -> Path:
        """The operation's."""
        return self.running.operation.folder

    @property
    def area(self) -> StagingArea:
        """Where rows are staged."""
        return staging_area(self.folder, self.request.staging, self.running.operation.id)

    @property
    def work(self) -> ShardedWork:
        """Its way through the store."""
        return ShardedWork(self.request.store, self.request.wanted, self.engine, self.running, self.progress)

    @property
    def receipts(self) -> Receipts[Receipt]:
        """Of the shards that are staged."""
        return receipts_in(self.folder)

    @property
    def counters(self) -> Counters:
        """The operation's."""
        return self.running.operation.counters

    def run(self) -> None:
        """Export, or go on where the operation ended.

        Raises
        ------
        SourceChanged
            Where the remaining files cannot be read as they were listed, or went away while they were read.
        DicombqError
            Which ended the operation; the table is as it was, unless the message says otherwise.
        """
        with storage_errors(self.folder):
            with contextlib.closing(self.engine):
                listing = self._take_up_listing() or self._list()
                check_listing(self.request, listing, self.folder)
                self._stage(listing)
            self._check_there(listing)
            self._tell_of_filter()
            self._drop_duplicates()
            self._check_not_emptied()
            self.work.enter(State.LOADING)
            fields = self._load()
            self._replace_view(fields)
            self.work.enter(State.DONE)
        # the rows are there; `operations prune` deletes what is left
        with contextlib.suppress(OSError, DicombqError, KeyboardInterrupt):
            self.area.clear()
            self.running.discard_staged()

    def _take_up_listing(self) -> Listing | None:
        """Go on from a listing: count and log its accepted shards again."""
        listing = self.work.take_up()
        if listing is not None:
            for receipt in self.receipts:
                self._count_receipt(receipt)
            self.work.check_source(listing, self._missing_shards(listing))
        return listing

    def _missing_shards(self, listing: Listing) -> set[int]:
        return set(range(len(listing.shards))) - self.receipts.accepted()

    def _list(self) -> Listing:
        self.area.prepare()
        self.receipts.prepare()
        return self.work.list()

    def _stage(self, listing: Listing) -> None:
        self.work.enter(State.STAGING)
        missing, total = self._missing_shards(listing), len(listing.shards)
        function, area = stage_shard, self.area
        if missing and self.engine.distributes:
            function, area = stage_elsewhere, area.elsewhere(self.folder / FILTER if self.request.wanted else None)

        def spec(number: int) -> ShardSpec:
            return self._spec(listing, number, area)

        self.work.go_through(missing, total, function, spec, self._accept)

    def _spec(self, listing: Listing, number: int, area: StagingArea) -> ShardSpec:
        request, destination = self.request, self.request.destination
        return ShardSpec(
            number,
            read_refs(request.store, self.folder, *listing.shards[number]),
            request.store,
            area,
            MetadataRecord if destination.schema_json else Record,
            request.max_element_size,
            printable(str(request.store.name)) if destination.include_source_store else None,
            self.work.filter_file,
        )

    def _accept(self, receipt: Receipt) -> None:
        self.area.take(receipt.keys)
        self.receipts.write(receipt)
        self._count_receipt(receipt)

    def _count_receipt(self, receipt: Receipt) -> None:
        counters = self.counters
        found = receipt.rows + receipt.duplicates + receipt.failures
        counters.pending -= found + receipt.skipped
        counters.found += found
        counters.success += receipt.rows
        counters.duplicates += receipt.duplicates
        counters.failure += receipt.failures
        counters.skipped += receipt.skipped
        counters.notices += receipt.notices
        self.running.log(receipt.log)

    def _check_there(self, listing: Listing) -> None:
        """Refuse to load what little could be read of a source that went away; what failed is read again."""
        if self.running.operation.load_begun or not self.counters.failure:
            return
        receipts = self.receipts
        gone = {receipt.shard for receipt in receipts if any(entry.code in _GONE for entry in receipt.log)}
        try:
            self.work.check_there(listing, gone)
        except SourceChanged:
            receipts.discard(gone)
            raise

    def _tell_of_filter(self) -> None:
        wanted = self.request.wanted
        if wanted is None:
            return
        unwanted, unmatched = 0, set(wanted.numbers())
        for receipt in self.receipts:
            unwanted += receipt.unwanted
            unmatched.difference_update(receipt.matched)
        self.work.tell_of_filter(unwanted, unmatched)

    def _drop_duplicates(self) -> None:
        if self.counters.success < 2:
            return
        keys = self.area.key_files(receipt.keys for receipt in self.receipts if receipt.rows)
        # the query behind the duplicates sorts: it has read all keys when the first one comes
        duplicates = find_duplicates(keys, self.folder)
        for shard, of_shard in groupby(duplicates, lambda duplicate: duplicate.shard):
            losers = list(of_shard)
            without_rows(self.receipts, self.area, self.receipts.read(shard), losers)
            self.counters.duplicates += len(losers)
            self.counters.success -= len(losers)
            self.running.log(loser.log_entry() for loser in losers)

    def _check_not_emptied(self) -> None:
        """Refuse to replace rows by none: an archive that is not mounted looks empty."""
        request, table = self.request, self.request.destination.table
        replaces = request.destination.disposition is Disposition.WRITE_TRUNCATE and not request.may_empty
        if self.counters.success or not replaces or self._is_all_unwanted():
            return
        if self.warehouse.state(table).state is TableState.ROWS:
            raise FailedPrecondition(
                f"no instance in [{printable(request.store.source)}] could be exported, "
                f"and the table [{table}] has rows",
                "Check that its disk is mounted, and export again. If the table is to be empty, delete it first.",
            )

    def _is_all_unwanted(self) -> bool:
        """Tell whether there are instances, and the filter left out each."""
        return not self.counters.failure and any(receipt.unwanted for receipt in self.receipts)

    def _load(self) -> tuple[Field, ...]:
        destination = self.request.destination
        names: list[str] = []
        paths: set[str] = set()
        longest_row = 0
        for receipt in self.receipts:
            if receipt.rows:
                names.append(receipt.file)
                paths |= column_paths(receipt)
                longest_row = max(longest_row, receipt.longest_row)
        uris = self.area.row_uris(names) if isinstance(destination.table, BigQueryTable) else []
        load = Load(
            [] if uris else self.area.row_files(names),
            destination.fields(paths),
            destination.disposition,
            f"dicombq_export_{self.running.operation.id}",
            self.folder,
            longest_row,
            uris,
            self.engine.workers,
        )
        try:
            loaded = self.warehouse.load(destination.table, load)
        except FieldConflict as conflict:
            first = conflict.conflicts[0]
            uri = instance_with(self.receipts, self.area, first.path)
            raise schema_conflict(destination.table, first, uri) from None
        if loaded.rows != self.counters.success:
            raise Failed(
                f"{loaded.rows:,} rows were loaded into [{destination.table}], "
                f"not the {self.counters.success:,} staged",
                "Look at the table before you use it; the staged files are kept.",
            )
        return loaded.fields

    def _replace_view(self, fields: tuple[Field, ...]) -> None:
        table = self.request.destination.table
        try:
            self.warehouse.replace_view(table, fields)
        except Cancelled:
            raise
        except DicombqError as error:  # the rows are loaded: the export did what it was asked for
            self.counters.notices += 1
            self.running.log([LogEntry("NOTICE", error.status, str(table), "", error.message)])
