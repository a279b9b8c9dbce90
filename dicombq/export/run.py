"""The run of an export: list, stage, decide duplicates, load, make the view."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from dicombq import __version__
from dicombq.engines.base import Engine, Watch
from dicombq.errors import Cancelled, DicombqError, Failed, SourceChanged
from dicombq.export.area import StagingArea
from dicombq.export.duplicates import find_duplicates, without_rows
from dicombq.export.listing import Listing, list_store, read_listing, read_refs, write_listing
from dicombq.export.plan import schema_conflict
from dicombq.export.request import ExportRequest
from dicombq.export.staging import (
    Receipt,
    ShardSpec,
    accepted_shards,
    column_paths,
    instance_with,
    log_entry,
    prepare_receipts,
    read_receipt,
    read_receipts,
    stage_shard,
    write_receipt,
)
from dicombq.operations.kinds import Progress
from dicombq.operations.log import LogEntry
from dicombq.operations.running import RunningOperation
from dicombq.operations.state import Counters, Shards, State
from dicombq.rows.metadata import MetadataRecord
from dicombq.rows.record import Record
from dicombq.stores.base import Failure, Listed, Skipped
from dicombq.system.files import printable, storage_errors
from dicombq.table.fields import Field
from dicombq.warehouses.base import FieldConflict, Load, Warehouse

FILTER = "filter"
"""The copy of the filter file in an operation's folder."""

_SAMPLE = 20
"""Shards that are looked at before an operation goes on: of each, whether its first file is there."""


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
        return StagingArea(self.folder / "shards")

    @property
    def counters(self) -> Counters:
        """The operation's."""
        return self.running.operation.counters

    def run(self) -> None:
        """Export, or go on where the operation ended.

        Raises
        ------
        SourceChanged
            Where the remaining files cannot be read as they were listed.
        DicombqError
            Which ended the operation; the table is as it was, unless the message says otherwise.
        """
        with storage_errors(self.folder):
            listing = self._take_up_listing() or self._list()
            self._stage(listing)
            self._tell_of_filter()
            self._drop_duplicates()
            self._enter(State.LOADING)
            fields = self._load()
            self._replace_view(fields)
            self._enter(State.DONE)
        with contextlib.suppress(OSError):  # the rows are there; `operations prune` deletes what is left
            self.running.discard_staged()

    def _enter(self, state: State) -> None:
        self.running.enter(state)
        self.progress(self.running.operation)

    def _take_up_listing(self) -> Listing | None:
        """Go on from a listing: count and log it, and its accepted shards, again."""
        listing = read_listing(self.folder)
        if listing is not None:
            self.running.operation.counters = replace(listing.counters)
            self.running.cut_log(listing.log_size)
            for receipt in read_receipts(self.folder):
                self._count_receipt(receipt)
            self._check_source(listing)
        return listing

    def _check_source(self, listing: Listing) -> None:
        """Refuse to read on where that cannot be right."""
        missing = self._missing_shards(listing)
        if not missing:
            return
        if listing.version != __version__:
            raise SourceChanged(
                f"the operation was begun by dicombq {listing.version}, "
                f"whose rows may differ from those of {__version__}",
                "Run the export again.",
            )
        store = self.request.store
        sample = (next(read_refs(store, self.folder, *listing.shards[number])) for number in missing[:_SAMPLE])
        if not any(map(store.has, sample)):
            raise SourceChanged(
                f"of the files that are still to be read in [{printable(store.source)}], none is there any more",
                "Check that its disk is mounted and resume again, or run the export again.",
            )

    def _missing_shards(self, listing: Listing) -> list[int]:
        accepted = accepted_shards(self.folder)
        return [number for number in range(len(listing.shards)) if number not in accepted]

    def _list(self) -> Listing:
        self.area.prepare()
        prepare_receipts(self.folder)
        self.running.operation.counters = Counters()
        self.running.cut_log(0)
        self._enter(State.LISTING)
        shards = list_store(self.request.store, self.request.wanted, self.folder, self._count_listed)
        listing = Listing(shards, replace(self.counters), self.running.log_size())
        write_listing(self.folder, listing)
        return listing

    def _count_listed(self, entry: Listed) -> None:
        if isinstance(entry, Failure):
            self.counters.found += 1
            self.counters.failure += 1
        elif isinstance(entry, Skipped):
            self.counters.skipped += 1
        else:
            self.counters.pending += 1
        if isinstance(entry, Failure | Skipped):
            self.running.log([log_entry(entry)])
        self.running.count()
        self.progress(self.running.operation)

    def _stage(self, listing: Listing) -> None:
        self._enter(State.STAGING)
        missing, total = self._missing_shards(listing), len(listing.shards)

        def show(done: int, running: int) -> None:
            self.running.operation.shards = Shards(total - len(missing) + done, running, total)
            self.running.count()

        specs = (self._spec(listing, number) for number in missing)
        self.engine.map_shards(stage_shard, specs, Watch(self._accept, show, lambda: self.running.is_cancelled))

    def _spec(self, listing: Listing, number: int) -> ShardSpec:
        request, destination = self.request, self.request.destination
        return ShardSpec(
            number,
            tuple(read_refs(request.store, self.folder, *listing.shards[number])),
            request.store,
            self.area,
            MetadataRecord if destination.schema_json else Record,
            request.max_element_size,
            printable(str(request.store.name)) if destination.include_source_store else None,
            (request.wanted.uri, self.folder / FILTER) if request.wanted else None,
        )

    def _accept(self, receipt: Receipt) -> None:
        write_receipt(self.folder, receipt)
        self._count_receipt(receipt)
        self.running.count()
        self.progress(self.running.operation)

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

    def _tell_of_filter(self) -> None:
        """Log what the filter left out, and its lines that name nothing."""
        wanted = self.request.wanted
        if wanted is None:
            return
        unwanted, unmatched = 0, set(wanted.numbers())
        for receipt in read_receipts(self.folder):
            unwanted += receipt.unwanted
            unmatched.difference_update(receipt.matched)
        uri = printable(wanted.uri)
        reason = f"skipped: {unwanted:,} instances that the filter does not name"
        self.running.log([LogEntry("INFO", "", uri, "", reason)])
        self.counters.notices += len(unmatched)
        numbers = iter(sorted(unmatched))
        while some := list(islice(numbers, 1000)):
            reasons = (f"line [{number}] of the filter names nothing in the store" for number in some)
            self.running.log(LogEntry("NOTICE", "NOT_FOUND", uri, "", reason) for reason in reasons)

    def _drop_duplicates(self) -> None:
        # the query behind the duplicates sorts: it has read all keys when the first one comes
        duplicates = find_duplicates(self.folder, self.area)
        for shard, of_shard in groupby(duplicates, lambda duplicate: duplicate.shard):
            losers = list(of_shard)
            without_rows(self.folder, self.area, read_receipt(self.folder, shard), losers)
            self.counters.duplicates += len(losers)
            self.counters.success -= len(losers)
            self.running.log(loser.log_entry() for loser in losers)

    def _load(self) -> tuple[Field, ...]:
        destination = self.request.destination
        names: list[str] = []
        paths: set[str] = set()
        longest_row = 0
        for receipt in read_receipts(self.folder):
            if receipt.rows:
                names.append(receipt.file)
                paths |= column_paths(receipt)
                longest_row = max(longest_row, receipt.longest_row)
        load = Load(
            self.area.files(names),
            destination.fields(paths),
            destination.disposition,
            f"dicombq_export_{self.running.operation.id}",
            self.folder,
            longest_row,
        )
        try:
            loaded = self.warehouse.load(destination.table, load)
        except FieldConflict as conflict:
            first = conflict.conflicts[0]
            uri = instance_with(self.folder, self.area, first.path)
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
