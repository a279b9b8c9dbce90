"""Copying the files of a shard.

::

    keys/N.losers      rows that give way to newer copies of the same instance
    copied/N.journal   a line for each row that is at its place: what is gone on with does not copy it again
    copied/N.json      the receipt of shard N
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from concurrent.futures import as_completed
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from dicombq.operations.log import LogEntry
from dicombq.rows.base import Unreadable
from dicombq.stores.base import Store
from dicombq.system.files import open_private, write_atomic
from dicombq.system.threads import Threads
from dicombq.transfer.identify import Key, keys_file, read_keys
from dicombq.transfer.places import Original, Place, Put

_TRIES = 3
"""Of a file that its store does not give: an answer of a server may break off."""


@dataclass(frozen=True)
class CopySpec:
    """A shard whose files are to be copied.

    Parameters
    ----------
    folder
        The operation's.
    """

    shard: int
    folder: Path
    store: Store[Any]
    place: Place


@dataclass
class Copied:
    """The receipt of a shard.

    Parameters
    ----------
    copied, existing
        Files that are at their place now, and that were there before.
    """

    shard: int
    copied: int = 0
    existing: int = 0
    failures: int = 0
    log: list[LogEntry] = field(default_factory=list)


def write_losers(folder: Path, shard: int, rows: Collection[int]) -> None:
    """Note which rows of a shard give way."""
    write_atomic(_losers_file(folder, shard), orjson.dumps(sorted(rows)))


def copy_shard(spec: CopySpec) -> Copied:
    """Copy a shard's files; a shard may run more than once."""
    losers = _losers_file(spec.folder, spec.shard)
    left_out = set(orjson.loads(losers.read_bytes())) if losers.exists() else set()
    keys = {key.row: key for key in read_keys(keys_file(spec.folder, spec.shard)) if key.row not in left_out}
    failures: dict[int, Unreadable] = {}
    journal = _Journal(spec.folder / "copied" / f"{spec.shard:08d}.journal")
    with journal, Threads(spec.place.at_once) as threads:
        todo = (key for row, key in keys.items() if row not in journal.done)
        futures = {threads.submit(partial(_copy, spec, key)): key.row for key in todo}
        for future in as_completed(futures):
            row = futures[future]
            try:
                journal.note(row, future.result())
            except Unreadable as error:
                failures[row] = error
    outcomes = list(journal.done.values())
    return Copied(
        spec.shard,
        outcomes.count(Put.COPIED),
        outcomes.count(Put.THERE_ALREADY),
        len(failures),
        [LogEntry("ERROR", error.code, keys[row].uri, "", error.reason) for row, error in sorted(failures.items())],
    )


def _copy(spec: CopySpec, key: Key) -> Put:
    def open_original() -> AbstractContextManager[Iterator[bytes]]:
        return spec.store.original(spec.store.ref(json.loads(key.ref)), key.updated)

    original = Original(key.uids, key.size, open_original)
    left = _TRIES
    while True:
        try:
            return spec.place.put(original)
        except Unreadable as error:
            left -= 1
            if error.code != "UNAVAILABLE" or not left:
                raise


def _losers_file(folder: Path, shard: int) -> Path:
    return keys_file(folder, shard).with_suffix(".losers")


class _Journal:
    """The rows of a shard that are at their place; a line that a crash cut off is forgotten."""

    def __init__(self, path: Path) -> None:
        self._file = open_private(path, "ab")
        whole = path.read_bytes().rpartition(b"\n")
        self._file.truncate(len(whole[0]) + len(whole[1]))
        self.done = {
            int(row): Put(outcome)
            for row, outcome in (line.split(maxsplit=1) for line in whole[0].decode().splitlines())
        }

    def __enter__(self) -> None:
        self._file.__enter__()

    def __exit__(self, *_error: object) -> None:
        self._file.close()

    def note(self, row: int, outcome: Put) -> None:
        """Note that a file is at its place."""
        self._file.write(f"{row} {outcome.value}\n".encode())
        self._file.flush()
        self.done[row] = outcome
