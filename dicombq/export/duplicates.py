"""Rows of the same instance: one stays, the others leave their shards."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import orjson

from dicombq.errors import Failed
from dicombq.export.area import StagingArea
from dicombq.export.staging import Receipt, read_keys, read_receipts, write_receipt
from dicombq.operations.log import LogEntry

_DEDUPLICATION_MEMORY = "200MB"
_FILES_AT_ONCE = 100
_DUPLICATES = """
    SELECT shard, "row", uri, winner FROM (
        SELECT *, row_number() OVER newest AS place, first_value(uri) OVER newest AS winner
        FROM keys WHERE digest IN (SELECT digest FROM keys GROUP BY digest HAVING count(*) > 1)
        WINDOW newest AS (PARTITION BY digest ORDER BY updated DESC, uri DESC, shard DESC, "row" DESC))
    WHERE place > 1 ORDER BY shard, "row"
"""
"""Digests that are NULL are in no group: `IN` finds none of them."""


@dataclass(frozen=True)
class Duplicate:
    """A row that gives way to a newer one of the same instance."""

    shard: int
    row: int
    uri: str
    winner: str

    def log_entry(self) -> LogEntry:
        """Write it for the operation's log."""
        return LogEntry("INFO", "ALREADY_EXISTS", self.uri, "", f"duplicate: [{self.winner}] is the newer copy")


def find_duplicates(folder: Path, area: StagingArea) -> Iterator[Duplicate]:
    """Find the rows that give way: the newest LastUpdated wins, then the greater URI (``schema.md``).

    In the order of shards and rows. DuckDB sorts the keys on disk.
    """
    counts = {receipt.keys: receipt.rows for receipt in read_receipts(folder) if receipt.rows}
    if sum(counts.values()) < 2:
        return
    import duckdb  # noqa: PLC0415 - processes that only read headers do not need it

    files = list(map(str, area.files(counts)))
    with _sorting_errors(), duckdb.connect() as connection:
        connection.execute("SET memory_limit = ?", [_DEDUPLICATION_MEMORY])
        connection.execute("SET threads = 1")
        connection.execute("SET temp_directory = ?", [str(folder)])
        connection.execute(
            'CREATE TABLE keys (shard BIGINT, "row" BIGINT, digest VARCHAR, updated VARCHAR, uri VARCHAR)'
        )
        for start in range(0, len(files), _FILES_AT_ONCE):
            connection.execute(
                """
                INSERT INTO keys SELECT * FROM read_json(?, format = 'newline_delimited', columns = {
                    shard: 'BIGINT', "row": 'BIGINT', digest: 'VARCHAR', updated: 'VARCHAR', uri: 'VARCHAR'})
                """,
                [files[start : start + _FILES_AT_ONCE]],
            )
        connection.execute(_DUPLICATES)
        while rows := connection.fetchmany(1000):
            for row in rows:
                yield Duplicate(*row)


@contextlib.contextmanager
def _sorting_errors() -> Iterator[None]:
    """Turn DuckDB's errors into those of files: it reads and writes none but the operation's."""
    import duckdb  # noqa: PLC0415 - see find_duplicates

    from dicombq.warehouses.duckdb import interrupts, is_full  # noqa: PLC0415 - see find_duplicates

    try:
        with interrupts():
            yield
    except duckdb.OutOfMemoryException:
        raise Failed("there is not enough memory to find the duplicates", "Make more of it available.") from None
    except duckdb.Error as error:
        code = errno.ENOSPC if is_full(error) else errno.EIO
        raise OSError(code, os.strerror(code)) from None


def without_rows(folder: Path, area: StagingArea, receipt: Receipt, losers: Sequence[Duplicate]) -> Receipt:
    """Write a shard anew without its losers; the new receipt counts and logs each loser."""
    rows = {loser.row for loser in losers}
    used: set[int] = set()
    with area.open_rows(receipt.file) as old, area.attempt(receipt.shard) as attempt:
        for line, key in zip(old, read_keys(area, receipt), strict=True):
            if key.row not in rows:
                attempt.rows.write(line)
                attempt.keys.write(orjson.dumps(key) + b"\n")
                used.add(key.columns)
    kept = replace(
        receipt,
        file=attempt.rows_name,
        keys=attempt.keys_name,
        rows=receipt.rows - len(rows),
        duplicates=receipt.duplicates + len(rows),
        column_sets=[columns if index in used else [] for index, columns in enumerate(receipt.column_sets)],
        log=[*receipt.log, *(loser.log_entry() for loser in losers)],
    )
    write_receipt(folder, kept)
    area.discard(receipt.file, receipt.keys)
    return kept
