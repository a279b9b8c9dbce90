"""The run of a transfer: list, identify, decide duplicates, copy."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from dicombq.engines.base import Engine
from dicombq.errors import DicombqError, NotFound
from dicombq.operations.kinds import Progress
from dicombq.operations.running import RunningOperation
from dicombq.operations.state import Counters, State
from dicombq.shards.duplicates import find_duplicates
from dicombq.shards.listing import Listing, read_refs
from dicombq.shards.receipts import Receipts
from dicombq.shards.work import ShardedWork
from dicombq.stores.base import Store
from dicombq.stores.filters import Filter
from dicombq.system.files import printable, storage_errors
from dicombq.transfer.copying import Copied, CopySpec, copy_shard, write_losers
from dicombq.transfer.identify import Identified, IdentifySpec, identify_shard, keys_file
from dicombq.transfer.places import Place

SHARD_SIZE = 50
"""Files in a shard; the counters move when one is copied."""


@dataclass(frozen=True)
class Transfer:
    """A transfer that this process runs; its state and its files say at any moment how far it has come.

    Parameters
    ----------
    store
        Where the files come from.
    wanted
        Which instances; None for all.
    all_dicom
        Whether what is no instance is a failure, and no file at all an error.
    """

    store: Store[Any]
    place: Place
    wanted: Filter | None
    all_dicom: bool
    engine: Engine
    running: RunningOperation
    progress: Progress

    @property
    def folder(self) -> Path:
        """The operation's."""
        return self.running.operation.folder

    @property
    def work(self) -> ShardedWork:
        """Its way through the store."""
        return ShardedWork(self.store, self.wanted, self.engine, self.running, self.progress, SHARD_SIZE)

    @property
    def identified(self) -> Receipts[Identified]:
        """Of the shards whose headers were read."""
        return Receipts(self.folder / "identified", Identified)

    @property
    def copied(self) -> Receipts[Copied]:
        """Of the shards whose files were copied."""
        return Receipts(self.folder / "copied", Copied)

    @property
    def counters(self) -> Counters:
        """The operation's."""
        return self.running.operation.counters

    def run(self) -> None:
        """Copy, or go on where the operation ended.

        Raises
        ------
        SourceChanged
            Where the remaining files cannot be read as they were listed.
        DicombqError
            Which ended the operation; each file is there as a whole, or not at all.
        """
        with storage_errors(self.folder):
            listing = self._take_up_listing() or self._list()
            self._identify(listing)
            self._tell_of_filter()
            self._drop_duplicates()
            self.work.enter(State.LOADING)
            self.place.prepare()
            try:
                self._copy(listing)
            except BaseException:
                with contextlib.suppress(DicombqError):  # a thread may still write there
                    self.place.finish()
                raise
            self.place.finish()
            self.work.enter(State.DONE)
        # the files are there; `operations prune` deletes what is left
        with contextlib.suppress(OSError, KeyboardInterrupt):
            self.running.discard_staged()

    def _take_up_listing(self) -> Listing | None:
        listing = self.work.take_up()
        if listing is not None:
            for receipt in self.identified:
                self._count_identified(receipt)
            self.work.check_source(listing, _missing(listing, self.copied))
        return listing

    def _list(self) -> Listing:
        for folder in (self.folder / "keys", self.identified.folder, self.copied.folder):
            folder.mkdir(mode=0o700, exist_ok=True)
        listing = self.work.list()
        if self.all_dicom and not (listing.shards or self.counters.failure):
            raise NotFound(f"nothing matches [{printable(self.store.source)}]", "Check the path and its wildcards.")
        return listing

    def _identify(self, listing: Listing) -> None:
        self.work.enter(State.STAGING)

        def spec(number: int) -> IdentifySpec:
            refs = tuple(read_refs(self.store, self.folder, *listing.shards[number]))
            return IdentifySpec(number, refs, self.store, self.folder, self.work.filter_file, self.all_dicom)

        def accept(receipt: Identified) -> None:
            self.identified.write(receipt)
            self._count_identified(receipt)

        self.work.go_through(_missing(listing, self.identified), len(listing.shards), identify_shard, spec, accept)

    def _count_identified(self, receipt: Identified) -> None:
        counters = self.counters
        counters.pending -= receipt.failures + receipt.skipped
        counters.found += receipt.failures
        counters.failure += receipt.failures
        counters.skipped += receipt.skipped
        self.running.log(receipt.log)

    def _tell_of_filter(self) -> None:
        if self.wanted is None:
            return
        unwanted, unmatched = 0, set(self.wanted.numbers())
        for receipt in self.identified:
            unwanted += receipt.unwanted
            unmatched.difference_update(receipt.matched)
        self.work.tell_of_filter(unwanted, unmatched)

    def _drop_duplicates(self) -> None:
        keys = (keys_file(self.folder, receipt.shard) for receipt in self.identified if receipt.instances)
        for shard, of_shard in groupby(find_duplicates(keys, self.folder), lambda duplicate: duplicate.shard):
            losers = list(of_shard)
            write_losers(self.folder, shard, [loser.row for loser in losers])
            self.counters.pending -= len(losers)
            self.counters.found += len(losers)
            self.counters.duplicates += len(losers)
            self.running.log(loser.log_entry() for loser in losers)

    def _copy(self, listing: Listing) -> None:
        for receipt in self.copied:
            self._count_copied(receipt)

        def accept(receipt: Copied) -> None:
            self.copied.write(receipt)
            self._count_copied(receipt)

        def spec(number: int) -> CopySpec:
            return CopySpec(number, self.folder, self.store, self.place)

        self.work.go_through(_missing(listing, self.copied), len(listing.shards), copy_shard, spec, accept)

    def _count_copied(self, receipt: Copied) -> None:
        counters = self.counters
        found = receipt.copied + receipt.existing + receipt.failures
        counters.pending -= found
        counters.found += found
        counters.success += receipt.copied + receipt.existing
        counters.existing += receipt.existing
        counters.failure += receipt.failures
        self.running.log(receipt.log)


def _missing(listing: Listing, receipts: Receipts[Any]) -> set[int]:
    return set(range(len(listing.shards))) - receipts.accepted()
