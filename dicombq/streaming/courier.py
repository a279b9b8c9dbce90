"""A thread that delivers to one table, so that one that is down delays no other."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from dicombq.errors import DicombqError, Internal
from dicombq.streaming.changes import Log
from dicombq.streaming.delivery import Delivery
from dicombq.streaming.destinations import Destination
from dicombq.streaming.inventory import Inventory, inventory_errors
from dicombq.system.signals import held_back
from dicombq.system.threads import wait_for
from dicombq.warehouses.base import Warehouse

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
_LONGEST_REST = 1.5
"""It rests after a load as long as that took, and so many seconds at most: others want to look at the file, and few
loads of many rows cost less than many of few.
"""


class Courier:
    """Delivers to one table until it is told to finish or to stop.

    Parameters
    ----------
    spacing
        Seconds between two loads at least: BigQuery takes 1,500 a table a day.
    """

    def __init__(
        self, folder: Path, destination: Destination, warehouse: Warehouse[Any], log: Log, spacing: float = 0.0
    ) -> None:
        self.destination = destination
        self.error: DicombqError | None = None
        """Why its last try failed."""
        self.delivered = self.parked = 0
        self.prepared = threading.Event()
        """Set when the table was looked at, or could not be."""
        self._folder, self._warehouse, self._log, self._spacing = folder, warehouse, log, spacing
        self._wake = threading.Event()
        self._to_prepare = True
        self._finishing = self._stopping = False
        self._thread = threading.Thread(target=self._run, name=f"courier-{destination.id}", daemon=True)
        with held_back():
            self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether it goes on, or has still to end a load."""
        return self._thread.is_alive()

    def wake(self) -> None:
        """Say that there are rows to deliver."""
        self._wake.set()

    def prepare(self) -> None:
        """Ask it to look whether somebody else wrote to the table."""
        self._to_prepare = True
        self._wake.set()

    def finish(self) -> None:
        """Deliver what there is, and wait for the end."""
        self._finishing = True
        self._wake.set()
        wait_for(self._thread)

    def stop(self, timeout: float) -> None:
        """End after the load that is being made, and wait for it."""
        self._stopping = True
        self._wake.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        try:
            with Inventory(self._folder) as inventory:
                delivery = Delivery(inventory, self.destination, self._warehouse, self._log)
                self._deliver_for_ever(delivery)
        except Exception as error:  # noqa: BLE001 - a thread that ends has to say why
            self.error = error if isinstance(error, DicombqError) else _internal(error)
        finally:
            self.prepared.set()

    def _deliver_for_ever(self, delivery: Delivery) -> None:
        pause = _FIRST_PAUSE
        while not self._stopping:
            self._wake.clear()
            finishing = self._finishing
            has_more = self._try(delivery)
            self.prepared.set()
            if finishing and (self.error or not has_more):
                return
            if self.error:
                self._wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                pause = _FIRST_PAUSE
                if not has_more:
                    self._wake.wait()

    def _try(self, delivery: Delivery) -> bool:
        """Make a load; tell whether there is more to deliver."""
        before, begun = delivery.delivered, time.monotonic()
        has_more = False
        error: DicombqError | None = None
        try:
            with inventory_errors(self._folder):
                if self._to_prepare:
                    delivery.prepare()
                    self._to_prepare = False
                    self.prepared.set()
                delivery.deliver()
                has_more = delivery.has_work()
        except Exception as raised:  # noqa: BLE001 - whatever it was, it is tried again
            error = raised if isinstance(raised, DicombqError) else _internal(raised)
            self._to_prepare = True
        self.error = error
        with contextlib.suppress(sqlite3.Error, OSError):  # of a full disk
            delivery.note_error(self.error)
        self.delivered, self.parked = delivery.delivered, delivery.parked
        if delivery.delivered > before:
            self._wait(max(self._spacing, min(time.monotonic() - begun, _LONGEST_REST)))
        return has_more

    def _wait(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not (self._stopping or self._finishing) and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, 0.1))


def _internal(error: Exception) -> DicombqError:
    where = traceback.extract_tb(error.__traceback__)[-1]
    return Internal(f"internal error: {type(error).__name__} at {Path(where.filename).name}:{where.lineno}")
