"""A store's listing on disk, cut into shards.

::

    refs.jsonl    the references, a line each
    listing.json  the shards that the references are cut into; written when the listing is complete
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


def list_store(
    store: Store[Any],
    wanted: Filter | None,
    folder: Path,
    on_entry: Callable[[Listed], None],
    shard_size: int | None = None,
) -> list[tuple[int, int]]:
    """Write the references of a store to ``refs.jsonl``; give each shard's offset and count."""
    shards: list[tuple[int, int]] = []
    offset, count, size = 0, 0, shard_size or SHARD_SIZE
    with open_private(folder / "refs.jsonl") as file:
        for entry in store.list(wanted=wanted):
            on_entry(entry)
            if isinstance(entry, Outcome):
                continue
            if count == size * _growth(len(shards)):
                shards.append((offset, count))
                offset, count = file.tell(), 0
            file.write(json.dumps(entry).encode() + b"\n")  # not orjson: a path may be no text
            count += 1
        if count:
            shards.append((offset, count))
        file.flush()
        os.fsync(file.fileno())
    return shards


def _growth(shard: int) -> int:
    """Tell how much bigger a shard is than the first: 10,000 of them hold 600 million instances."""
    return 3 << (shard // 1000) if shard >= _SMALL_SHARDS else 1


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


def read_refs(store: Store[Any], folder: Path, offset: int, count: int) -> Iterator[InstanceRef]:
    """Stream a part of the listing."""
    with (folder / "refs.jsonl").open("rb") as file:
        file.seek(offset)
        for _ in range(count):
            yield store.ref(json.loads(file.readline()))
