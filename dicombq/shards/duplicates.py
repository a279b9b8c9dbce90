"""Instances that lie in a store more than once: one stays, the others give way."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dicombq.errors import Failed
from dicombq.operations.log import LogEntry

_MEMORY = "200MB"
_FILES_AT_ONCE = 100
_READ = """read_json(?, format = 'newline_delimited', columns = {
    shard: 'BIGINT', "row": 'BIGINT', digest: 'VARCHAR', updated: 'VARCHAR', uri: 'VARCHAR'})"""
_SHORT = "('0x' || left(digest, 16))::UBIGINT"
"""What is held of each key at first: 8 bytes."""
_DUPLICATES = """
    SELECT shard, "row", uri, winner FROM (
        SELECT *, row_number() OVER newest AS place, first_value(uri) OVER newest AS winner
        FROM keys WINDOW newest AS (PARTITION BY digest ORDER BY updated DESC, uri DESC, shard DESC, "row" DESC))
    WHERE place > 1 ORDER BY shard, "row"
"""


@dataclass(frozen=True)
class Duplicate:
    """A row of a shard that gives way to a newer one of the same instance."""

    shard: int
    row: int
    uri: str
    winner: str

    def log_entry(self) -> LogEntry:
        """Write it for the operation's log."""
        return LogEntry("INFO", "ALREADY_EXISTS", self.uri, "", f"duplicate: [{self.winner}] is the newer copy")


def digest(uids: tuple[str, ...]) -> str | None:
    """Digest the UIDs of an instance; None without a SOP Instance UID, for then it is nobody's duplicate."""
    if not uids[-1]:
        return None
    return hashlib.blake2b("\\".join(uids).encode(), digest_size=16).hexdigest()


def find_duplicates(key_files: Iterable[Path], scratch: Path) -> Iterator[Duplicate]:
    """Find the rows that give way: the newest LastUpdated wins, then the greater URI (``schema.md``).

    In the order of shards and rows. The keys are gone through once for the digests that come twice, in short, and once
    more for all of these: most instances have none. DuckDB puts on disk what does not fit into memory.

    Parameters
    ----------
    key_files
        Lines of JSON with ``shard row digest updated uri``; the digest is that of `digest`.
    scratch
        A folder for what does not fit into memory.
    """
    import duckdb  # noqa: PLC0415 - processes that only read headers do not need it

    files = list(map(str, key_files))
    if not files:
        return
    with _sorting_errors(), duckdb.connect() as connection:
        connection.execute("SET memory_limit = ?", [_MEMORY])
        connection.execute("SET threads = 1")
        connection.execute("SET temp_directory = ?", [str(scratch)])
        some = [files[at : at + _FILES_AT_ONCE] for at in range(0, len(files), _FILES_AT_ONCE)]
        connection.execute("CREATE TABLE shorts (short UBIGINT)")
        for names in some:
            connection.execute(f"INSERT INTO shorts SELECT {_SHORT} FROM {_READ} WHERE digest IS NOT NULL", [names])
        connection.execute("CREATE TABLE twice AS SELECT short FROM shorts GROUP BY short HAVING count(*) > 1")
        connection.execute("DROP TABLE shorts")
        if connection.execute("SELECT count(*) FROM twice").fetchone() == (0,):
            return
        connection.execute(
            'CREATE TABLE keys (shard BIGINT, "row" BIGINT, digest VARCHAR, updated VARCHAR, uri VARCHAR)'
        )
        for names in some:
            connection.execute(
                f"INSERT INTO keys SELECT * FROM {_READ} WHERE {_SHORT} IN (SELECT short FROM twice)", [names]
            )
        connection.execute(_DUPLICATES)
        while rows := connection.fetchmany(1000):
            for row in rows:
                yield Duplicate(*row)


@contextlib.contextmanager
def _sorting_errors() -> Iterator[None]:
    """Turn DuckDB's errors into those of files: it reads and writes none but the operation's."""
    import duckdb  # noqa: PLC0415 - see find_duplicates

    from dicombq.warehouses.duckdb_errors import interrupts, is_full  # noqa: PLC0415 - see find_duplicates

    try:
        with interrupts():
            yield
    except duckdb.OutOfMemoryException:
        raise Failed("there is not enough memory to find the duplicates", "Make more of it available.") from None
    except duckdb.Error as error:
        code = errno.ENOSPC if is_full(error) else errno.EIO
        raise OSError(code, os.strerror(code)) from None
