"""A listing by many: an engine lists the parts of a store, and the references come here, to the file of the listing."""

from __future__ import annotations

import itertools
import os
import platform
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dicombq.engines.base import Engine, Watch
from dicombq.errors import Failed
from dicombq.shards.listing import RefsFile, noted, open_refs
from dicombq.stores.base import DivisibleStore, Failure, Place, Skipped
from dicombq.system.files import printable

PART_SIZE = 50_000
"""Entries that are listed at once: they come here in one piece."""

_PIECES = 256
"""Into so many pieces the places of a round are cut; what is left of each comes with the next round."""

_SAMPLE = 20


@dataclass(frozen=True)
class PartSpec:
    """Places to list."""

    store: DivisibleStore[Any]
    places: Sequence[Place]
    most: int


@dataclass
class Part:
    """What lies in some places.

    Parameters
    ----------
    lines, count
        Of references, and how many they are.
    others
        What is no instance, or could not be looked at.
    places
        That are still to be listed.
    """

    lines: bytes = b""
    count: int = 0
    others: list[Failure | Skipped] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)


def list_spread(
    store: DivisibleStore[Any],
    engine: Engine,
    folder: Path,
    on_entries: Callable[[int, Sequence[Failure | Skipped]], None],
    cancelled: Callable[[], bool],
    shard_size: int | None = None,
) -> list[tuple[int, int]]:
    """Do what `dicombq.shards.listing.list_store` does, round by round.

    Parameters
    ----------
    on_entries
        Is told how many references came, and what else.
    """
    with open_refs(folder, shard_size) as refs:
        _list_in_rounds(store, engine, refs, on_entries, cancelled)
        return refs.finish()


def _list_in_rounds(
    store: DivisibleStore[Any],
    engine: Engine,
    refs: RefsFile,
    on_entries: Callable[[int, Sequence[Failure | Skipped]], None],
    cancelled: Callable[[], bool],
) -> None:
    ahead, apart = [store.whole], list[Place]()

    def take(part: Part) -> None:
        on_entries(part.count, part.others)
        for line in part.lines.splitlines(keepends=True):
            refs.add(line)
        for place in part.places:
            (apart if place.apart else ahead).append(place)

    while ahead:
        places, ahead = ahead, []
        size = -(-len(places) // _PIECES)
        specs = (PartSpec(store, places[at : at + size], PART_SIZE) for at in range(0, len(places), size))
        engine.map_shards(list_part, specs, Watch(take, cancelled=cancelled))
    for entry in store.list_apart(apart):
        if isinstance(entry, Failure | Skipped):
            on_entries(0, [entry])
        else:
            on_entries(1, [])
            refs.add(noted(entry))


def list_part(spec: PartSpec) -> Part:
    """List some places, as far as it may go."""
    check_seen(spec.store.source, (os.path.exists(place.start) for place in spec.places))
    part, lines = Part(), list[bytes]()
    for place in spec.places:
        left = spec.most - len(lines) - len(part.others)
        if left <= 0:
            part.places.append(place)
            continue
        for entry in spec.store.list_part(place, left):
            if isinstance(entry, Place):
                part.places.append(entry)
            elif isinstance(entry, Failure | Skipped):
                part.others.append(entry)
            else:
                lines.append(noted(entry))
    part.lines, part.count = b"".join(lines), len(lines)
    return part


def check_seen(source: str, seen: Iterable[bool]) -> None:
    """Refuse to go on where a folder cannot be the one that was meant: none of what should be in it is there.

    Raises
    ------
    Failed
        Naming the machine; what is not seen is no failure of an instance.
    """
    if "://" not in source and not any(itertools.islice(seen, _SAMPLE)):
        raise Failed(
            f"of the files that are to be read in [{printable(source)}], none is there on [{platform.node()}]",
            "Mount it at the same path on every machine of the engine.",
        )
