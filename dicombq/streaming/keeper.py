"""Stores that a server keeps: their streams, so that a search finds and tables get at once what is stored."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

from dicombq.errors import DicombqError, Locked, NotFound, Temporary
from dicombq.names import StoreName
from dicombq.stores.filing import discard_unfiled
from dicombq.stores.registry import RegisteredStore, StoreRegistry
from dicombq.streaming.inventory import Inventory, inventory_errors, stream_folder
from dicombq.streaming.run import Runner
from dicombq.streaming.stream import forget_stream, open_stream
from dicombq.system.files import make_folders
from dicombq.system.signals import held_back

_INTERVAL = 600.0  # seconds between two sweeps; what happens in a folder is seen at once
_AGAIN = 1.0  # seconds until a stream that another process runs is tried to be had again
_LOOK = 0.05
_PATIENCE = 2.0  # seconds that a stream may take to end


class Keeper:
    """A store that is kept: by the stream that this process runs, or while another process runs it, by that one."""

    def __init__(self, home: Path, registered: RegisteredStore) -> None:
        self.registered = registered
        self._home = home
        self._folder = stream_folder(home, registered.name)
        self._idle: queue.LifoQueue[Inventory] = queue.LifoQueue()
        self._stop = threading.Event()
        self._runner: Runner | None = None
        self._is_read = False
        self._begun = time.time() - 1  # the clock of files is coarser
        self._error: DicombqError | None = None
        with inventory_errors(self._folder):
            make_folders(self._folder)
            with self.inventory():
                pass
        self._thread = threading.Thread(target=self._run, name=f"keeper-{registered.name.store}", daemon=True)
        with held_back():
            self._thread.start()

    @contextlib.contextmanager
    def inventory(self) -> Iterator[Inventory]:
        """Lend a connection to the inventory."""
        with inventory_errors(self._folder):
            try:
                inventory = self._idle.get_nowait()
            except queue.Empty:
                inventory = Inventory(self._folder)
            try:
                yield inventory
            except BaseException:
                inventory.close()
                raise
            self._idle.put(inventory)

    def wait_until_read(self, patience: float) -> None:
        """Wait until all of the store was looked at once.

        Raises
        ------
        Temporary
            Where that takes longer, or is not possible now.
        """
        deadline = time.monotonic() + patience
        while not self._is_read:
            with self.inventory() as inventory:
                if self._runner and self._fault():
                    self._runner.sweep(inventory)  # what was wrong may be over
                self._is_read = inventory.meta("catalogued") is not None
                (instances,) = inventory.one("SELECT count(*) FROM headers")
            fault = self._fault()
            if not self._is_read and (fault or time.monotonic() > deadline):
                what = f"cannot be read: {fault}" if fault else f"is being read, {instances:,} instances so far"
                raise Temporary(f"the store [{self.registered.name.store}] {what}", "Ask again in a moment.")
            if not self._is_read:
                time.sleep(_LOOK)

    def look(self, places: Sequence[str], is_noted: Callable[[Inventory], bool], patience: float) -> bool:
        """Note what happened at some places below the store's folder, and bring it to the tables.

        Where another process runs the stream, it is waited for.

        Parameters
        ----------
        is_noted
            Tells from the inventory whether that was done.

        Returns
        -------
        bool
            Whether it was; else the next sweep notes it.
        """
        deadline = time.monotonic() + patience
        while True:
            with self.inventory() as inventory:
                if self._runner:
                    self._runner.look(inventory, places)
                if is_noted(inventory):
                    return True
            if time.monotonic() > deadline:
                return False
            time.sleep(_LOOK)

    def _fault(self) -> str:
        runner = self._runner
        return self._error.message if self._error else str(runner.health.get("error", "")) if runner else ""

    def ask_to_stop(self) -> None:
        """Let the stream end when it can."""
        self._stop.set()
        runner = self._runner
        if runner:
            runner.stop.set()

    def close(self, patience: float = _PATIENCE) -> None:
        """Give up the stream; what is not delivered is delivered by whoever runs it next."""
        self.ask_to_stop()
        self._thread.join(patience)
        with contextlib.suppress(queue.Empty):
            while True:
                self._idle.get_nowait().close()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._error = None
            try:
                with open_stream(self._home, self.registered) as stream:
                    discard_unfiled(Path(self.registered.source), self._begun)
                    limit = _all if self.registered.managed else _half
                    self._runner = Runner(stream, _INTERVAL, limit, threading.Event(), lambda _line: None, serves=True)
                    if not self._stop.is_set():
                        self._runner.run()
            except Locked:
                pass
            except DicombqError as error:
                self._error = error
            finally:
                self._runner = None
            self._stop.wait(_AGAIN)


def _half(total: int) -> int:
    """Believe no more at once: a disk that is not mounted looks empty."""
    return total // 2


def _all(total: int) -> int:
    """Believe every deletion: a managed store is in the same place as its inventory."""
    return total


class Keepers:
    """The stores of a home that this process keeps, from the first time that somebody asks for one."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._keepers: dict[StoreName, Keeper] = {}
        self._lock = threading.Lock()

    def get(self, name: StoreName) -> Keeper:
        """Give the keeper of a registered store.

        Raises
        ------
        NotFound
            Where there is no such store, or no longer.
        """
        with self._lock:
            keeper = self._keepers.get(name)
            try:
                registered = StoreRegistry(self._home).get(name)
            except NotFound:
                if keeper:
                    self._drop(keeper)
                    forget_stream(self._home, name)
                raise
            if keeper and _place(keeper.registered) != _place(registered):
                self._drop(keeper)
                if keeper.registered.registration != registered.registration:
                    forget_stream(self._home, name)
                keeper = None
            if keeper is None:
                keeper = self._keepers[name] = Keeper(self._home, registered)
            return keeper

    def close(self) -> None:
        """Give up all streams."""
        with self._lock:
            for keeper in self._keepers.values():
                keeper.ask_to_stop()
            deadline = time.monotonic() + _PATIENCE
            for keeper in self._keepers.values():
                keeper.close(max(0.0, deadline - time.monotonic()))
            self._keepers.clear()

    def _drop(self, keeper: Keeper) -> None:
        """Forget a store that is gone, or is another one now."""
        keeper.close()
        del self._keepers[keeper.registered.name]


def _place(store: RegisteredStore) -> tuple[object, ...]:
    return store.source, store.options, store.registration


@cache
def keepers(home: Path) -> Keepers:
    """Give those of this process."""
    return Keepers(home)
