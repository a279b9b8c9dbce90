"""Where an export stages its rows: attempts write there, the load reads from there."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import orjson
from isal import igzip

from dicombq.system.files import open_private, sync_folder


@dataclass(frozen=True)
class Attempt:
    """The files of one attempt at a shard; no other attempt has their names.

    Parameters
    ----------
    rows_name, keys_name
        By which the area knows them.
    rows, keys
        To be written.
    """

    rows_name: str
    keys_name: str
    rows: igzip.IGzipFile
    keys: IO[bytes]


@dataclass(frozen=True)
class StagingArea:
    """A folder that all workers of an export write to; picklable."""

    folder: Path

    def prepare(self) -> None:
        """Make it where it is missing."""
        self.folder.mkdir(mode=0o700, exist_ok=True)

    @contextlib.contextmanager
    def attempt(self, shard: int) -> Iterator[Attempt]:
        """Open the files of an attempt; at the end of the block they survive a power cut."""
        name = f"{shard:08d}-{os.getpid()}-{os.urandom(4).hex()}"
        rows_name, keys_name = f"{name}.ndjson.gz", f"{name}.keys.jsonl"
        with (
            open_private(self.folder / rows_name) as raw,
            igzip.IGzipFile("", "wb", fileobj=raw, mtime=0) as rows,
            open_private(self.folder / keys_name) as keys,
        ):
            yield Attempt(rows_name, keys_name, rows, keys)
            rows.close()
            for file in (raw, keys):
                file.flush()
                os.fsync(file.fileno())
        sync_folder(self.folder)

    def open_rows(self, name: str) -> igzip.IGzipFile:
        """Open staged rows for reading, a line each."""
        return igzip.IGzipFile(self.folder / name)

    def read_keys(self, name: str) -> Iterator[dict[str, Any]]:
        """Stream staged keys."""
        with (self.folder / name).open("rb") as keys:
            yield from map(orjson.loads, keys)

    def files(self, names: Iterable[str]) -> list[Path]:
        """Give staged files as a load, or a query over keys, reads them."""
        return [self.folder / name for name in names]

    def discard(self, *names: str) -> None:
        """Delete staged files."""
        for name in names:
            (self.folder / name).unlink()
