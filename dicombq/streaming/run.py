"""Streams that run until they are stopped, each in a thread of its own."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from dicombq.errors import DicombqError, Internal
from dicombq.names import parse_object_uri
from dicombq.operations.log import LogEntry
from dicombq.stores.registry import RegisteredStore, StoreRegistry
from dicombq.streaming.changes import Limit
from dicombq.streaming.configs import followers
from dicombq.streaming.destinations import Destination
from dicombq.streaming.inventory import Inventory, inventory_errors
from dicombq.streaming.notifications import check_subscription, notices
from dicombq.streaming.stream import Stream, open_stream
from dicombq.streaming.watch import News, Quiet, read_log, watch
from dicombq.system.files import write_atomic
from dicombq.system.notify import notify
from dicombq.system.signals import held_back
from dicombq.system.times import now

_HEARTBEAT = 1.0


@dataclass
class Runner:
    """A stream that runs.

    Parameters
    ----------
    interval
        Seconds between two sweeps, which look at all of the store.
    tell
        Is told of what happens, a line each.
    serves
        Whether somebody asks what the store holds. Then a sweep looks at what changed just now, too, which waits until
        it is quiet else; and no table has to follow the store.
    subscription
        Of Pub/Sub, which tells of the store's bucket; empty where there is none.
    error
        Why it ended, if nobody stopped it.
    """

    stream: Stream
    interval: float
    limit: Limit
    stop: threading.Event
    tell: Callable[[str], None]
    serves: bool = False
    subscription: str = ""
    error: DicombqError | None = None
    ready: threading.Event = field(default_factory=threading.Event)
    health: dict[str, Any] = field(default_factory=dict)
    _destinations: Sequence[Destination] | None = None
    _quiet: Quiet | None = None
    _is_silent: bool = False
    _sweeping: threading.Lock = field(default_factory=threading.Lock)

    @property
    def name(self) -> str:
        """The store's ID."""
        return self.stream.registered.name.store

    def run(self) -> None:
        """Follow the store until it is to stop."""
        try:
            with Inventory(self.stream.folder) as inventory, contextlib.closing(self._events(inventory)) as events:
                for news in events:
                    if self.stop.is_set():
                        return
                    if news is None:
                        self.sweep(inventory)
                        self.ready.set()
                    else:
                        self._look(inventory, news, self.limit)
        except Exception as error:  # noqa: BLE001 - a thread that ends has to say why
            name = type(error).__name__
            self.error = error if isinstance(error, DicombqError) else Internal(f"internal error ({name})")
            self._note(self.error)
            self.stop.set()
        finally:
            self.ready.set()

    def look(self, inventory: Inventory, places: Sequence[str]) -> None:
        """Look at some places now, in whatever thread; where other tables follow the store by now, at all of it.

        The caller knows what happened there, so that every deletion is believed.
        """
        registered = StoreRegistry(self.stream.home).get(self.stream.registered.name)
        if registered.stream_configs != self.stream.registered.stream_configs:
            self.sweep(inventory)
        self._look(inventory, News(places), lambda total: total)

    def _events(self, inventory: Inventory) -> Generator[News | None]:
        """Stream what to look at, all of it at first; a store that cannot be opened is waited for."""
        while not self.stop.is_set():
            try:
                store = self.stream.registered.follow()
                has_log = not store.folder and store.changes("").position
            except DicombqError:
                yield None  # it says what is wrong
                self.stop.wait(self.interval)
                continue
            if store.folder:
                try:
                    self._quiet = Quiet(store.folder)
                    yield from watch(self._quiet, self.stop, self.interval)
                except FileNotFoundError:
                    pass
                except Exception as error:  # noqa: BLE001 - inotify has limits, and other file systems other faults
                    self._note_silence(error)
                    self._quiet = None
                    yield None
                    self.stop.wait(self.interval)
                continue
            yield None
            if self.subscription:
                bucket = parse_object_uri(store.source).bucket
                yield from notices(self.subscription, bucket, self.stop, self.interval)
            elif has_log:
                noted = lambda: inventory.meta("position") or ""  # noqa: E731 - as short as its use
                note = partial(inventory.set_meta, "position")
                yield from read_log(store, noted, note, self.stop, self.interval)
            else:
                self.stop.wait(self.interval)

    def sweep(self, inventory: Inventory) -> None:
        """Look at all of the store and at the tables that follow now."""
        with self._sweeping, self._errors(mended=True):
            registry = StoreRegistry(self.stream.home)
            self.stream.registered = registry.get(self.stream.registered.name)
            self._destinations = None
            destinations = self.stream.begin(inventory, spaced=True)
            if not self.serves:
                followers(self.stream.registered)
            self._destinations = destinations
            look = self.stream.look(inventory, destinations, self.limit)
            if self._quiet and not self.serves:
                look.is_told_later = self._quiet.holds
            for each in destinations:
                look.backfill(each)
            look.whole()

    def _look(self, inventory: Inventory, news: News, limit: Limit) -> None:
        if self._destinations is not None:
            with self._errors(mended="error" not in self.health):  # only a sweep tells that all is well again
                self.stream.look(inventory, self._destinations, limit).places(news.places)
                news.noted()

    @contextlib.contextmanager
    def _errors(self, *, mended: bool) -> Iterator[None]:
        """Note what went wrong and go on: the next sweep tries again.

        Parameters
        ----------
        mended
            Whether what went wrong before is over when nothing goes wrong now.
        """
        try:
            with inventory_errors(self.stream.folder):
                yield
        except DicombqError as error:
            self._failed(error)
            return
        if mended:
            if "error" in self.health:
                self.tell(f"[{self.name}] works again.")
            self.health = {"lastLook": now()}

    def _note_silence(self, error: Exception) -> None:
        """Note that the file system tells of nothing, once."""
        if not self._is_silent:
            message = f"the file system does not tell what happens ({error}); each interval all of it is looked at"
            self.tell(f"[{self.name}] {message}.")
            self.stream.log([LogEntry("ERROR", "UNAVAILABLE", self.stream.registered.source, "", message)])
            self._is_silent = True

    def _failed(self, error: DicombqError) -> None:
        if self.health.get("error") != error.message:
            self.tell(f"[{self.name}] {error.message}. {error.hint}".strip())
            self._note(error)

    def _note(self, error: DicombqError) -> None:
        self.stream.log([LogEntry("ERROR", error.status, self.stream.registered.source, "", error.message)])
        self.health = self.health | {"error": error.message}


def run_streams(
    home: Path,
    stores: Sequence[RegisteredStore],
    *,
    subscription: str,
    interval: float,
    limit: Limit,
    lock_timeout: float | None,
    health_file: Path | None,
    tell: Callable[[str], None],
) -> None:
    """Run streams until the process is interrupted; systemd and a health file are told how they are.

    Parameters
    ----------
    subscription
        Of Pub/Sub, for a single store; empty where there is none.

    Raises
    ------
    FailedPrecondition
        Where no table follows one of the stores.
    Locked
        Where another process runs one of them.
    DicombqError
        Where one of them cannot go on.
    """
    if subscription:
        check_subscription(subscription, stores)
    for store in stores:
        followers(store)
    stop = threading.Event()
    with contextlib.ExitStack() as streams:
        runners = [
            Runner(
                streams.enter_context(open_stream(home, store, lock_timeout)),
                interval,
                limit,
                stop,
                tell,
                subscription=subscription,
            )
            for store in stores
        ]
        with held_back():
            threads = [threading.Thread(target=runner.run, name=runner.name, daemon=True) for runner in runners]
            for thread in threads:
                thread.start()
        try:
            _attend(runners, stop, health_file)
        finally:
            notify("STOPPING=1")
            stop.set()
            for thread in threads:
                thread.join(1.0)
    for runner in runners:
        if runner.error:
            raise runner.error


def _attend(runners: Sequence[Runner], stop: threading.Event, health_file: Path | None) -> None:
    told = False
    while not stop.wait(_HEARTBEAT):
        if not told and all(runner.ready.is_set() for runner in runners):
            notify("READY=1")
            told = True
        failing = [runner.name for runner in runners if "error" in runner.health]
        notify(f"STATUS={'failing: ' + ', '.join(failing) if failing else 'following'}\nWATCHDOG=1")
        if health_file:
            write_atomic(health_file, json.dumps(_health(runners)).encode() + b"\n")


def _health(runners: Sequence[Runner]) -> dict[str, Any]:
    stores = {str(runner.stream.registered.name): _health_of(runner) for runner in runners}
    return {"time": now(), "healthy": not any("error" in store for store in stores.values()), "stores": stores}


def _health_of(runner: Runner) -> dict[str, Any]:
    errors = {
        str(courier.destination.config.table): courier.error.message
        for courier in list(runner.stream.couriers.values())
        if courier.error
    }
    return dict(runner.health) | ({"tables": errors} if errors else {})
