"""The way of an operation through a store: list it, go through its shards, tell what the filter left out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from dicombq import __version__
from dicombq.engines.base import Engine, Watch
from dicombq.errors import Cancelled, SourceChanged, StateDamaged
from dicombq.operations.kinds import Progress
from dicombq.operations.log import LogEntry
from dicombq.operations.running import RunningOperation
from dicombq.operations.state import Counters, Operation, Shards, State
from dicombq.shards.listing import Listing, list_store, read_listing, read_refs, write_listing
from dicombq.shards.spread import list_spread
from dicombq.stores.base import DivisibleStore, Failure, Listed, Skipped, Store
from dicombq.stores.filters import Filter, load_filter
from dicombq.system.files import printable

FILTER = "filter"
"""The copy of the filter file in an operation's folder."""

_SAMPLE = 20
"""Shards that are looked at, and files of each, to tell whether the source is there."""


def save_filter(wanted: Filter | None, folder: Path) -> None:
    """Copy the filter file to an operation's folder: what is gone on with has the same."""
    if wanted:
        wanted.save(folder / FILTER)


def saved_filter(operation: Operation, request: Mapping[str, Any]) -> Filter | None:
    """Read the copy of the filter file that a request names; None where it names none.

    Raises
    ------
    StateDamaged
        Where there is no copy: the operation's process was killed before it was made.
    """
    config = request.get("filterConfig")
    if config is None:
        return None
    try:
        return load_filter(config["resourcePathsGcsUri"], operation.folder / FILTER)
    except OSError:
        raise StateDamaged(f"operation [{operation.id}] has lost its filter", "Run the export again.") from None


def filter_config(wanted: Filter | None) -> dict[str, Any]:
    """Print the part of a request that names the filter file, as the API does."""
    return {"filterConfig": {"resourcePathsGcsUri": wanted.uri}} if wanted else {}


Spec = TypeVar("Spec")
Outcome = TypeVar("Outcome")


@dataclass(frozen=True)
class ShardedWork:
    """An operation that goes through all that lies in a store, shard by shard.

    Parameters
    ----------
    wanted
        Which instances; None for all.
    progress
        Is told of the operation whenever it has come further.
    shard_size
        Of the first shards; None for the usual.
    """

    store: Store[Any]
    wanted: Filter | None
    engine: Engine
    running: RunningOperation
    progress: Progress
    shard_size: int | None = None

    @property
    def folder(self) -> Path:
        """The operation's."""
        return self.running.operation.folder

    @property
    def counters(self) -> Counters:
        """The operation's."""
        return self.running.operation.counters

    @property
    def filter_file(self) -> tuple[str, Path] | None:
        """URI and copy of the filter file, for `load_filter`; None where there is none."""
        return (self.wanted.uri, self.folder / FILTER) if self.wanted else None

    def enter(self, state: State) -> None:
        """Go on to the next state; to load only where nobody has cancelled the operation."""
        if state is State.LOADING and self._is_cancelled():
            raise Cancelled("cancelled")
        self.running.enter(state)
        self.progress(self.running.operation)

    def list(self) -> Listing:
        """List the store; whatever was counted and logged before is forgotten.

        Raises
        ------
        SourceChanged
            Where places cannot be listed because the source went away meanwhile.
        """
        self.running.operation.counters = Counters()
        self.running.cut_log(0)
        self.enter(State.LISTING)
        if self.engine.distributes and isinstance(self.store, DivisibleStore):
            shards = list_spread(
                self.store, self.engine, self.folder, self._count_entries, self._is_cancelled, self.shard_size
            )
        else:
            shards = list_store(self.store, self.wanted, self.folder, self._count_listed, self.shard_size)
        listing = Listing(shards, replace(self.counters), self.running.log_size())
        if self.counters.failure:
            self.check_there(listing, range(len(shards)))
        write_listing(self.folder, listing)
        return listing

    def take_up(self) -> Listing | None:
        """Go on from a listing, with counters and log as they were at its end; None where it is not complete."""
        listing = read_listing(self.folder)
        if listing is not None:
            self.running.operation.counters = replace(listing.counters)
            self.running.cut_log(listing.log_size)
        return listing

    def check_source(self, listing: Listing, missing: Collection[int]) -> None:
        """Refuse to go on with these shards where that cannot be right.

        Raises
        ------
        SourceChanged
            Where another version listed them, or none of their files is there any more.
        """
        if not missing:
            return
        if listing.version != __version__:
            raise SourceChanged(
                f"the operation was begun by dicombq {listing.version}, "
                f"whose rows may differ from those of {__version__}",
                "Run the export again.",
            )
        self.check_there(listing, missing)

    def check_there(self, listing: Listing, numbers: Collection[int]) -> None:
        """Refuse to go on where the files of these shards are gone.

        Raises
        ------
        SourceChanged
            Where none of a sample is there any more.
        """
        shards = (listing.shards[number] for number in sorted(numbers)[:_SAMPLE])
        sample = (
            ref
            for offset, count in shards
            for ref in islice(read_refs(self.store, self.folder, offset, count), 0, None, 1 + count // _SAMPLE)
        )
        if numbers and not any(map(self.store.has, sample)):
            raise SourceChanged(
                f"of the files that are still to be read in [{printable(self.store.source)}], none is there any more",
                "Check that its disk is mounted and resume again, or run the export again.",
            )

    def go_through(
        self,
        missing: Collection[int],
        total: int,
        function: Callable[[Spec], Outcome],
        spec: Callable[[int], Spec],
        accept: Callable[[Outcome], None],
    ) -> None:
        """Call a function for each shard that is missing, and accept its outcome.

        Parameters
        ----------
        function
            A picklable top-level one.
        spec
            Makes what it needs for the shard of a number.
        accept
            Makes the outcome last, and counts it.
        """

        def show(done: int, running: int) -> None:
            self.running.operation.shards = Shards(total - len(missing) + done, running, total)
            self.running.count()

        def take(outcome: Outcome) -> None:
            accept(outcome)
            self.running.count()
            self.progress(self.running.operation)

        watch = Watch(take, show, self._is_cancelled)
        self.engine.map_shards(function, map(spec, sorted(missing)), watch)

    def tell_of_filter(self, unwanted: int, unmatched: Collection[int]) -> None:
        """Log what the filter left out, and its lines that name nothing."""
        if self.wanted is None:
            return
        uri = printable(self.wanted.uri)
        reason = f"skipped: {unwanted:,} instances that the filter does not name"
        self.running.log([LogEntry("INFO", "", uri, "", reason)])
        self.counters.notices += len(unmatched)
        numbers = iter(sorted(unmatched))
        while some := list(islice(numbers, 1000)):
            reasons = (f"line [{number}] of the filter names nothing in the store" for number in some)
            self.running.log(LogEntry("NOTICE", "NOT_FOUND", uri, "", reason) for reason in reasons)

    def _is_cancelled(self) -> bool:
        return self.running.is_cancelled

    def _count_listed(self, entry: Listed) -> None:
        if isinstance(entry, Failure | Skipped):
            self._count_entries(0, [entry])
        else:
            self._count_entries(1, ())

    def _count_entries(self, refs: int, others: Sequence[Failure | Skipped]) -> None:
        failures = sum(isinstance(entry, Failure) for entry in others)
        self.counters.pending += refs
        self.counters.found += failures
        self.counters.failure += failures
        self.counters.skipped += len(others) - failures
        if others:
            self.running.log(map(log_entry, others))
        self.running.count()
        self.progress(self.running.operation)


def log_entry(result: Failure | Skipped) -> LogEntry:
    """Write a failed or skipped file for the operation's log."""
    if isinstance(result, Failure):
        return LogEntry("ERROR", result.code, result.uri, "", result.reason)
    return LogEntry("INFO", "", result.uri, "", f"skipped: {result.reason}")
