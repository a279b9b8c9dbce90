"""A store's listing on disk, cut into shards.

::

    refs.jsonl    the references, a line each
    listing.json  the shards that the references are cut into; written when the listing is complete
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from dicombq import __version__
from dicombq.operations.state import Counters
from dicombq.stores.base import InstanceRef, Listed, Outcome, Store
from dicombq.stores.filters import Filter
from dicombq.system.files import open_private, write_atomic

SHARD_SIZE = 200
"""Instances in a shard; later ones have more, for each costs a load 5 ms, and a load from a bucket takes 10,000."""

_SMALL_SHARDS = 16
_LISTING = "listing.json"


@dataclass(frozen=True)
class Listing:
    """A store's listing, complete.

    Parameters
    ----------
    shards
        Each one's offset in ``refs.jsonl`` and its number of lines.
    counters
        As they were at the end of the listing.
    log_size
        Bytes of the operation's log, when only the listing was in it.
    version
        Of the dicombq that listed, and reads the shards.
    """

    shards: list[tuple[int, int]]
    counters: Counters
    log_size: int
    version: str = __version__


class RefsFile:
    """``refs.jsonl`` as it is written: references a line each, cut into shards as they come.

    Parameters
    ----------
    size
        References of the first shards.
    """

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._size = size
        self._shards: list[tuple[int, int]] = []
        self._begin, self._end, self._count = 0, 0, 0

    def add(self, line: bytes) -> None:
        """Write a reference, as `noted` has it."""
        if self._count == self._size * _growth(len(self._shards)):
            self._cut()
        self._file.write(line)
        self._end += len(line)
        self._count += 1

    def finish(self) -> list[tuple[int, int]]:
        """Make all of it survive a power cut; give each shard's offset and count."""
        if self._count:
            self._cut()
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._shards

    def _cut(self) -> None:
        self._shards.append((self._begin, self._count))
        self._begin, self._count = self._end, 0


@contextlib.contextmanager
def open_refs(folder: Path, shard_size: int | None) -> Iterator[RefsFile]:
    """Begin the ``refs.jsonl`` of an operation anew; None for shards of the usual size."""
    with open_private(folder / "refs.jsonl") as file:
        yield RefsFile(file, shard_size or SHARD_SIZE)


def noted(ref: InstanceRef) -> bytes:
    """Write a reference as a line."""
    return json.dumps(ref).encode() + b"\n"  # not orjson: a path may be no text


def list_store(
    store: Store[Any],
    wanted: Filter | None,
    folder: Path,
    on_entry: Callable[[Listed], None],
    shard_size: int | None = None,
) -> list[tuple[int, int]]:
    """Write the references of a store to ``refs.jsonl``; give each shard's offset and count."""
    with open_refs(folder, shard_size) as refs:
        for entry in store.list(wanted=wanted):
            on_entry(entry)
            if not isinstance(entry, Outcome):
                refs.add(noted(entry))
        return refs.finish()


def _growth(shard: int) -> int:
    """Tell how much bigger a shard is than the first: 10,000 of them hold 2,800 million instances."""
    return 3 << (shard // 800) if shard >= _SMALL_SHARDS else 1


def write_listing(folder: Path, listing: Listing) -> None:
    """Accept a listing: from here on its shards are staged."""
    write_atomic(folder / _LISTING, orjson.dumps(listing))


def read_listing(folder: Path) -> Listing | None:
    """Read a listing; None where it is not complete."""
    try:
        state = orjson.loads((folder / _LISTING).read_bytes())
    except FileNotFoundError:
        return None
    return Listing(**state | {"counters": Counters(**state["counters"])})


@dataclass(frozen=True)
class Refs:
    """A part of a listing, as its file has it: the references are made where they are needed."""

    store: Store[Any]
    lines: bytes

    def __iter__(self) -> Iterator[InstanceRef]:
        """Make them."""
        return (self.store.ref(json.loads(line)) for line in self.lines.splitlines())


def read_refs(store: Store[Any], folder: Path, offset: int, count: int) -> Refs:
    """Read a part of the listing."""
    with (folder / "refs.jsonl").open("rb") as file:
        file.seek(offset)
        return Refs(store, b"".join(itertools.islice(file, count)))
