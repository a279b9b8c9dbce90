"""The rows that tables have still to get: a file for all rows of a transaction that go to the same tables."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import IO

from isal import igzip

from dicombq.rows.metadata import MetadataRecord
from dicombq.rows.record import Record
from dicombq.streaming.inventory import Inventory
from dicombq.system.files import open_private, sync_folder


@dataclass(frozen=True)
class Form:
    """What the rows of a table look like.

    Parameters
    ----------
    source_store
        The value of ``SourceDicomStore``, None where it is not asked for.
    """

    schema_json: bool
    source_store: str | None

    @property
    def record_type(self) -> type[Record]:
        """What reads such rows."""
        return record_type(schema_json=self.schema_json)


def record_type(*, schema_json: bool) -> type[Record]:
    """Tell what reads the rows of a schema."""
    return MetadataRecord if schema_json else Record


@dataclass
class Batch:
    """Rows that are being written.

    Parameters
    ----------
    keys
        For each row its instance and the index of its set of column paths.
    """

    name: str
    raw: IO[bytes] | None = None
    out: igzip.IGzipFile | None = None
    longest: int = 0
    keys: list[tuple[int, int]] = field(default_factory=list)
    sets: dict[frozenset[str], int] = field(default_factory=dict)

    def add(self, line: bytes, instance: int, columns: frozenset[str]) -> None:
        """Write a row."""
        if self.out:
            self.out.write(line)
        self.longest = max(self.longest, len(line))
        self.keys.append((instance, self.sets.setdefault(columns, len(self.sets))))

    def close(self, *, keep: bool) -> None:
        """End the file; where it is kept, it survives a power cut."""
        if self.out and self.raw:
            self.out.close()
            if keep:
                self.raw.flush()
                os.fsync(self.raw.fileno())
            self.raw.close()


class Outbox:
    """Collects the rows of one transaction; `note` has to be called in it.

    Parameters
    ----------
    dry
        Whether nothing is written to disk.
    """

    def __init__(self, inventory: Inventory, *, dry: bool = False) -> None:
        self._inventory = inventory
        self._dry = dry
        self._open: dict[tuple[int, ...], Batch] = {}

    def __enter__(self) -> Outbox:  # noqa: PYI034 - typing.Self came with 3.11
        return self

    def __exit__(self, *_error: object) -> None:
        for batch in self._open.values():  # of a transaction that is undone
            batch.close(keep=False)
            with contextlib.suppress(FileNotFoundError):
                (self._inventory.batches / batch.name).unlink()

    def add(self, destinations: tuple[int, ...], line: bytes, instance: int, columns: frozenset[str]) -> None:
        """Write a row for some tables of one form."""
        batch = self._open.get(destinations)
        if batch is None:
            batch = self._open[destinations] = self._begin()
        batch.add(line, instance, columns)

    def note(self, created: int) -> list[int]:
        """Note the batches and who has to get them; give their numbers.

        Parameters
        ----------
        created
            The time, in microseconds.
        """
        numbers: list[int] = []
        noted, self._open = self._open, {}
        for destinations, batch in noted.items():
            batch.close(keep=True)
            cursor = self._inventory.execute(
                "INSERT INTO batches (file, rows, longest, column_sets, keys, created) VALUES (?, ?, ?, ?, ?, ?)",
                [
                    batch.name,
                    len(batch.keys),
                    batch.longest,
                    json.dumps([sorted(columns) for columns in batch.sets]),
                    json.dumps(batch.keys),
                    created,
                ],
            )
            self._inventory.executemany(
                "INSERT INTO deliveries VALUES (?, ?, NULL)",
                [(destination, cursor.lastrowid) for destination in destinations],
            )
            numbers.append(int(cursor.lastrowid or 0))
        if noted and not self._dry:
            sync_folder(self._inventory.batches)
        return numbers

    def _begin(self) -> Batch:
        name = f"{os.urandom(16).hex()}.ndjson.gz"
        if self._dry:
            return Batch(name)
        raw = open_private(self._inventory.batches / name)
        return Batch(name, raw, igzip.IGzipFile("", "wb", fileobj=raw, mtime=0))


def discard_unused(inventory: Inventory) -> None:
    """Forget the batches that every table has, and delete the files that no batch names."""
    with inventory.transaction():
        inventory.execute("DELETE FROM batches WHERE id NOT IN (SELECT batch FROM deliveries)")
    unlink_unnamed(inventory)


def unlink_unnamed(inventory: Inventory) -> None:
    """Delete files that no batch names; only while no transaction writes any."""
    named: Collection[str] = {name for (name,) in inventory.execute("SELECT file FROM batches")}
    for path in inventory.batches.iterdir():
        if path.name not in named:
            path.unlink(missing_ok=True)
