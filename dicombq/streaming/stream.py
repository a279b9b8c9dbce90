"""The stream of a store: passes over it and deliveries to its tables, in one process at a time."""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dicombq.errors import DicombqError
from dicombq.names import StoreName
from dicombq.operations.log import LogEntry, timed, write_lines
from dicombq.stores.registry import RegisteredStore, StoreRegistry
from dicombq.streaming.adoption import adopt
from dicombq.streaming.changes import Limit, Pass, Progress
from dicombq.streaming.configs import configs_of, followers, is_numbered
from dicombq.streaming.courier import Courier
from dicombq.streaming.delivery import Delivery
from dicombq.streaming.destinations import Destination, take_up
from dicombq.streaming.inventory import STALE, Inventory, inventory_errors, stream_folder
from dicombq.streaming.outbox import discard_unused
from dicombq.streaming.rows import Counts
from dicombq.system.files import open_private
from dicombq.system.locks import FileLock, Holder, is_locked
from dicombq.warehouses.registry import open_warehouse

_READY = 10.0
"""Seconds that a pass waits for a table to be looked at; one that takes longer is told of all by a later pass. Only
reconciling waits for as long as it takes.
"""

_BIGQUERY_SPACING = 60.0
_STOPPING = 1.5  # seconds for the load that is being made


def _nobody(_number: int) -> None:
    return


@dataclass(frozen=True)
class Told:
    """What a table got in a pass.

    Parameters
    ----------
    pending
        Rows that it has still to get.
    """

    table: str
    delivered: int
    parked: int
    pending: int
    error: DicombqError | None = None


@dataclass(frozen=True)
class Synced:
    """The outcome of a pass."""

    counts: Counts
    tables: Sequence[Told] = ()

    @property
    def has_news(self) -> bool:
        """Whether anything happened."""
        counts = asdict(self.counts)
        return any(counts.values()) or any(told.delivered or told.pending or told.error for told in self.tables)

    @property
    def is_whole(self) -> bool:
        """Whether all that was looked at could be read, and went to the tables."""
        return not self.counts.failed and not any(told.parked for told in self.tables)

    @property
    def error(self) -> DicombqError | None:
        """The first error of a table."""
        return next((told.error for told in self.tables if told.error), None)

    def to_dict(self) -> dict[str, Any]:
        """Print it."""
        return asdict(self.counts) | {
            "tables": [
                {"tableUri": told.table, "delivered": told.delivered, "parked": told.parked, "pending": told.pending}
                | ({"error": told.error.message} if told.error else {})
                for told in self.tables
            ]
        }


@dataclass
class Stream:
    """The stream of a registered store, which this process runs."""

    home: Path
    registered: RegisteredStore
    folder: Path
    lock_timeout: float | None = None
    couriers: dict[int, Courier] = field(default_factory=dict)
    settling: threading.Lock = field(default_factory=threading.Lock)
    _logging: threading.Lock = field(default_factory=threading.Lock)

    def log(self, entries: Iterable[LogEntry]) -> None:
        """Append to the stream's log."""
        lines = timed(entries)
        if lines:
            with self._logging, open_private(self.folder / "log.jsonl", "ab") as file:
                write_lines(file, lines)

    def sync(self, limit: Limit, *, reconcile: bool = False, progress: Progress = _nobody) -> Synced:
        """Find what changed since the last pass, and bring it to all tables.

        Parameters
        ----------
        reconcile
            Whether the tables are compared with the store.
        progress
            Is told how many instances were read so far.

        Raises
        ------
        TooManyGone
            Where too many instances are gone; all else was delivered.
        DicombqError
            Where a table was to be compared and could not be read; all else was delivered.
        """
        followers(self.registered)
        with inventory_errors(self.folder), Inventory(self.folder) as inventory:
            destinations = self.begin(inventory, reconcile=reconcile)
            unread = self._unread(inventory) if reconcile else None
            look = self.look(inventory, destinations, limit)
            look.progress = progress
            try:
                self._look(look, reconcile=reconcile)
                if unread:
                    raise unread
            except DicombqError:  # not an interrupt, which waits for nothing
                self._finish(inventory)
                raise
            return Synced(look.counts, self._finish(inventory))

    def retry(self) -> Synced:
        """Bring what was parked, and read again what could not be read."""
        followers(self.registered)
        with inventory_errors(self.folder), Inventory(self.folder) as inventory:
            destinations = {each.id: each for each in self.begin(inventory)}
            look = self.look(inventory, list(destinations.values()), lambda total: total)
            parked = inventory.execute("SELECT destination, instance FROM parked").fetchall()
            inventory.execute("UPDATE copies SET version = ? WHERE uri IN (SELECT uri FROM failures)", [STALE])
            look.again((destinations[number], instance) for number, instance in parked)
            return Synced(look.counts, self._finish(inventory))

    def foresee(self, limit: Limit, *, reconcile: bool = False, progress: Progress = _nobody) -> Synced:
        """Tell what `sync` would do, and do nothing."""
        with inventory_errors(self.folder), Inventory(self.folder) as inventory, inventory.undone():
            inventory.belong_to(self.registered.registration)
            destinations = take_up(inventory, followers(self.registered), self.registered.name)
            if reconcile:
                inventory.execute("UPDATE destinations SET adopted = 0")
            for each in destinations:
                warehouse = open_warehouse(each.config.table, self.lock_timeout)
                if Delivery(inventory, each, warehouse, self.log).has_to_adopt():
                    adopt(inventory, each, warehouse)
            look = Pass(
                self.registered.follow(),
                inventory,
                destinations,
                limit,
                lambda _entries: None,
                dry=True,
                progress=progress,
            )
            self._look(look, reconcile=reconcile)
            return Synced(
                look.counts, [Told(str(each.config.table), 0, 0, _pending(inventory, each)) for each in destinations]
            )

    def begin(self, inventory: Inventory, *, reconcile: bool = False, spaced: bool = False) -> list[Destination]:
        """Take up the tables that follow now, each with a courier, and wait a moment until they were looked at."""
        configs = configs_of(self.registered)
        inventory.belong_to(self.registered.registration)
        destinations = take_up(inventory, configs, self.registered.name)
        if reconcile:
            inventory.execute("UPDATE destinations SET adopted = 0")
        for number, courier in list(self.couriers.items()):
            if courier.destination not in destinations:
                courier.stop(_STOPPING)
            if not courier.is_alive or number not in {each.id for each in destinations}:
                del self.couriers[number]
        for each in destinations:
            if each.id in self.couriers:
                self.couriers[each.id].prepare()
            else:
                warehouse = open_warehouse(each.config.table, self.lock_timeout)
                spacing = _BIGQUERY_SPACING if spaced and is_numbered(each.config) else 0.0
                self.couriers[each.id] = Courier(self.folder, each, warehouse, self.log, spacing)
        for courier in self.couriers.values():
            while not courier.prepared.wait(_READY) and reconcile:
                pass
        return destinations

    def wake(self) -> None:
        """Tell the couriers that there are rows."""
        for courier in list(self.couriers.values()):  # others may be taken up meanwhile
            courier.wake()

    def stop(self) -> None:
        """End the couriers; what they have not delivered they deliver the next time."""
        deadline = time.monotonic() + _STOPPING
        for courier in self.couriers.values():
            courier.stop(0.0)
        for courier in self.couriers.values():
            courier.stop(max(0.0, deadline - time.monotonic()))

    def look(self, inventory: Inventory, destinations: Sequence[Destination], limit: Limit) -> Pass:
        """Make a pass, which may go on at the same time as others of this stream."""
        return Pass(self.registered.follow(), inventory, destinations, limit, self.log, self.wake, self.settling)

    @staticmethod
    def _look(look: Pass, *, reconcile: bool) -> None:
        for each in look.destinations:
            look.backfill(each)
        look.whole(reconcile=reconcile)

    def _unread(self, inventory: Inventory) -> DicombqError | None:
        """Give the first error of a table that could not be read."""
        read = {number for (number,) in inventory.execute("SELECT id FROM destinations WHERE adopted")}
        return next((each.error for number, each in self.couriers.items() if each.error and number not in read), None)

    def _finish(self, inventory: Inventory) -> list[Told]:
        told = []
        for courier in self.couriers.values():
            courier.finish()
            table, pending = str(courier.destination.config.table), _pending(inventory, courier.destination)
            told.append(Told(table, courier.delivered, courier.parked, pending, courier.error))
        self.couriers.clear()
        return told


def _pending(inventory: Inventory, destination: Destination) -> int:
    rows: int = inventory.one(
        "SELECT coalesce(sum(rows), 0) FROM deliveries JOIN batches ON id = batch WHERE destination = ?",
        [destination.id],
    )[0]
    return rows


def delete_store(home: Path, name: StoreName) -> None:
    """Forget a registered store, with what its stream knew of it; a managed one goes with its instances.

    Raises
    ------
    NotFound
        Where there is none of that name.
    """
    StoreRegistry(home).delete(name)
    forget_stream(home, name)


def forget_stream(home: Path, name: StoreName) -> None:
    """Delete what the stream of a store knew, unless it runs: then its inventory forgets an earlier store."""
    folder = stream_folder(home, name)
    if not is_locked(folder / "lock"):
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def open_stream(home: Path, registered: RegisteredStore, lock_timeout: float | None = None) -> Iterator[Stream]:
    """Take the stream of a store.

    Raises
    ------
    Locked
        Naming the process that runs it.
    """
    folder = stream_folder(home, registered.name)
    with inventory_errors(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        what = f"the stream of [{registered.name.store}]"
        with FileLock.acquire(folder / "lock", what, Holder.process(), lock_timeout or 0.0):
            with Inventory(folder) as inventory:
                discard_unused(inventory)
            stream = Stream(home, registered, folder, lock_timeout)
            try:
                yield stream
            finally:
                stream.stop()
