"""Which places of a store have changed, as the file system or the store's own log tells it.

A place in a folder is told of when it has stopped changing.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from dicombq.errors import DicombqError
from dicombq.stores.base import FollowedStore
from dicombq.stores.folder import QUIET

_LOOK = 0.25
_MOST = 100_000
"""Places that are remembered; with more of them the next sweep is as good."""

_ASK = 1.0
"""Seconds between two questions for a store's log."""

_AGAIN = 10.0
"""Seconds until a store that does not answer is asked again."""

Print = tuple[int, int, int] | None


@dataclass(frozen=True)
class News:
    """Places where something happened.

    Parameters
    ----------
    places
        For `dicombq.stores.base.FollowedStore.look`.
    noted
        Is to be called when what is there now is noted in the inventory.
    """

    places: Sequence[str]
    noted: Callable[[], None] = lambda: None


@dataclass
class Quiet:
    """Places that something was told of, until they are quiet.

    Parameters
    ----------
    root
        The folder; where it becomes another one, as a disk that is unmounted leaves it, nothing is believed any more.
    """

    root: str
    _identity: tuple[int, int] = field(init=False)
    _places: dict[str, tuple[Print, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._identity = _identity(self.root)

    def add(self, path: str) -> None:
        """Note that something happened at a place."""
        if len(self._places) < _MOST:
            self._places.setdefault(path, (_print(path), time.monotonic()))

    def holds(self, path: str) -> bool:
        """Tell whether a place is still to be given; a file that changed just now is from here on."""
        if path not in self._places:
            with contextlib.suppress(OSError, ValueError):
                if abs(time.time() - os.stat(path).st_mtime) < QUIET:
                    self.add(path)
        return path in self._places

    def take(self) -> list[str]:
        """Give the places that are quiet, as paths below the root."""
        ready = []
        present = time.monotonic()
        for path, (before, since) in list(self._places.items()):
            after = _print(path)
            if after != before:
                self._places[path] = (after, present)
            elif present - since >= QUIET:
                ready.append(path)
        for path in ready:
            del self._places[path]
        if not self.is_there():  # looked at last: what is gone may be gone with the disk
            return []
        return [os.path.relpath(path, self.root) for path in ready if path != self.root]

    def is_there(self) -> bool:
        """Tell whether the folder is still the one that it was."""
        try:
            return _identity(self.root) == self._identity
        except OSError:
            return False


def watch(quiet: Quiet, stop: threading.Event, interval: float) -> Iterator[News | None]:
    """Stream the places that changed, whenever some are quiet; None when it is time for a sweep.

    The first sweep is due as soon as events come: none tells of what happened before. It ends where the folder becomes
    another one, whose events it would not get.
    """
    from watchfiles import watch as watch_files  # noqa: PLC0415 - only streams that run need it

    sweep = 0.0
    changes = watch_files(
        quiet.root,
        watch_filter=None,
        debounce=50,
        step=20,
        stop_event=stop,
        rust_timeout=int(_LOOK * 1000),
        yield_on_timeout=True,
        raise_interrupt=False,
        ignore_permission_denied=True,
    )
    for change in changes:
        for _, path in change:
            quiet.add(path)
        if places := quiet.take():
            yield News(places)
        if not quiet.is_there():
            return
        if time.monotonic() >= sweep:
            yield None
            sweep = time.monotonic() + interval


def read_log(
    store: FollowedStore[Any],
    noted: Callable[[], str],
    note: Callable[[str], None],
    stop: threading.Event,
    interval: float,
) -> Iterator[News | None]:
    """Stream what a store's own log tells; None when it is time for a sweep, which also says what is wrong.

    Parameters
    ----------
    noted, note
        Give and take the position up to which all is in the inventory.
    """
    sweep = time.monotonic() + interval
    while not stop.wait(_ASK):
        try:
            changes = store.changes(noted())
        except DicombqError:
            sweep = 0.0
            stop.wait(min(interval, _AGAIN))
        else:
            if changes.places:
                yield News(changes.places, partial(note, changes.position))
        if time.monotonic() >= sweep:
            yield None
            sweep = time.monotonic() + interval


def _identity(folder: str) -> tuple[int, int]:
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def _print(path: str) -> Print:
    """Tell one state of a place from another; what goes on in a folder is told of each file."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    if stat.S_ISDIR(status.st_mode):
        return 0, 0, status.st_ino
    return status.st_size, status.st_mtime_ns, status.st_ino
