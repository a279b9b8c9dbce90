"""From a listing to files that a warehouse can load: shards, their receipts, duplicates.

Everything is on disk, so that memory does not grow with the number of instances::

    refs.jsonl          what may be an instance, a line each
    listing.json        the shards it is cut into; written when it is complete
    shards/N.ndjson.gz  the rows of shard N
    shards/N.keys.jsonl which instance each row is
    receipts/N.json     what became of shard N; written last, so that what it names is there
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO, Any

import orjson
from isal import igzip

from dicombq import __version__
from dicombq.errors import Failed
from dicombq.operations.state import Counters, LogEntry
from dicombq.rows.record import Record
from dicombq.stores.base import Failure, Found, InstanceRef, Listed, Result, Skipped, Store
from dicombq.system.files import open_private, sync_folder, write_atomic

SHARD_SIZE = 200
"""Instances in a shard; in a long listing the later ones have three times as many, for each costs a load 5 ms."""

_SMALL_SHARDS = 16

MAX_ROW_SIZE = 100 << 20
"""Bytes of a JSON row in a BigQuery load."""

_LISTING = "listing.json"
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
class Listing:
    """A store's listing, complete.

    Parameters
    ----------
    shards
        Each one's offset in ``refs.jsonl`` and its number of lines.
    counters
        Of what was listed.
    log_size
        Bytes of the operation's log, when only the listing was in it.
    version
        Of the dicombq that listed, and reads the shards.
    """

    shards: list[tuple[int, int]]
    counters: Counters
    log_size: int
    version: str = __version__


@dataclass(frozen=True)
class ShardSpec:
    """A piece of the listing, and all that a process needs to stage it.

    Parameters
    ----------
    offset, count
        Where in ``refs.jsonl`` it begins, and how many lines it has.
    folder
        The operation's.
    source_store
        The value of ``SourceDicomStore``, None where it is not asked for.
    """

    number: int
    offset: int
    count: int
    store: Store
    folder: Path
    record_type: type[Record]
    max_element_size: int
    source_store: str | None


@dataclass
class Receipt:
    """What became of a shard.

    Parameters
    ----------
    file, keys
        Names in ``shards/``.
    column_sets
        The distinct sets of column paths of its rows; the keys say which row has which.
    duplicates
        Rows that gave way to newer ones.
    log
        Its failures, skipped files, notices and duplicates.
    """

    shard: int
    file: str
    keys: str
    rows: int = 0
    failures: int = 0
    skipped: int = 0
    notices: int = 0
    duplicates: int = 0
    longest_row: int = 0
    column_sets: list[list[str]] = field(default_factory=list)
    log: list[LogEntry] = field(default_factory=list)


@dataclass(frozen=True)
class Key:
    """Which instance a row is.

    Parameters
    ----------
    digest
        Of its UIDs; None without a SOP Instance UID, for then it is nobody's duplicate.
    columns
        Index of its set in the receipt's ``column_sets``.
    """

    shard: int
    row: int
    digest: str | None
    updated: str
    uri: str
    columns: int


@dataclass(frozen=True)
class Duplicate:
    """A row that gives way to a newer one of the same instance."""

    shard: int
    row: int
    uri: str
    winner: str


def list_store(store: Store, folder: Path, on_entry: Callable[[Listed], None]) -> list[tuple[int, int]]:
    """Write the listing to ``refs.jsonl``; give each shard's offset and count."""
    shards: list[tuple[int, int]] = []
    offset, count = 0, 0
    with open_private(folder / "refs.jsonl") as file:
        for entry in store.list():
            on_entry(entry)
            if not isinstance(entry, InstanceRef):
                continue
            if count == SHARD_SIZE * (1 if len(shards) < _SMALL_SHARDS else 3):
                shards.append((offset, count))
                offset, count = file.tell(), 0
            file.write(json.dumps(entry.uri).encode() + b"\n")
            count += 1
        if count:
            shards.append((offset, count))
        file.flush()
        os.fsync(file.fileno())
    return shards


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


def stage_shard(spec: ShardSpec) -> Receipt:
    """Read a shard's instances into a file of rows; a shard may run more than once."""
    attempt = f"{spec.number:08d}-{os.getpid()}-{os.urandom(4).hex()}"
    shards = spec.folder / "shards"
    writer = _ShardWriter(spec, Receipt(spec.number, f"{attempt}.ndjson.gz", f"{attempt}.keys.jsonl"))
    with (
        open_private(shards / writer.receipt.file) as raw,
        igzip.IGzipFile("", "wb", fileobj=raw, mtime=0) as rows,
        open_private(shards / writer.receipt.keys) as keys,
    ):
        refs = read_refs(spec.folder, spec.offset, spec.count)
        for result in spec.store.read(refs, spec.record_type, spec.max_element_size):
            writer.take(result, rows, keys)
        rows.close()
        _sync(raw, keys)
    sync_folder(shards)
    receipt = writer.finished()
    write_receipt(spec.folder, receipt)
    return receipt


def read_refs(folder: Path, offset: int, count: int) -> Iterator[InstanceRef]:
    """Stream a part of the listing."""
    with (folder / "refs.jsonl").open("rb") as file:
        file.seek(offset)
        for _ in range(count):
            yield InstanceRef(json.loads(file.readline()))


def _sync(*files: IO[bytes]) -> None:
    for file in files:
        file.flush()
        os.fsync(file.fileno())


class _ShardWriter:
    def __init__(self, spec: ShardSpec, receipt: Receipt) -> None:
        self.receipt = receipt
        self._spec = spec
        self._sets: dict[frozenset[str], int] = {}

    def take(self, result: Result, rows: igzip.IGzipFile, keys: IO[bytes]) -> None:
        if isinstance(result, Found):
            line = orjson.dumps(_complete(result, self._spec.source_store), option=orjson.OPT_APPEND_NEWLINE)
            if len(line) <= MAX_ROW_SIZE:
                self._add(result, line, rows, keys)
                return
            result = Failure(result.uri, "OUT_OF_RANGE", "the row has more than 100 MiB")
        self.receipt.log.append(log_entry(result))
        if isinstance(result, Failure):
            self.receipt.failures += 1
        else:
            self.receipt.skipped += 1

    def _add(self, found: Found, line: bytes, rows: igzip.IGzipFile, keys: IO[bytes]) -> None:
        receipt = self.receipt
        columns = self._sets.setdefault(found.row.columns, len(self._sets))
        key = Key(receipt.shard, receipt.rows, _digest(found.row.uids), found.updated, found.uri, columns)
        rows.write(line)
        keys.write(orjson.dumps(key, option=orjson.OPT_APPEND_NEWLINE))
        notices = [LogEntry("NOTICE", "", found.uri, notice.tag, notice.reason) for notice in found.row.notices]
        receipt.log.extend(notices)
        if found.row.handed_over:
            receipt.log.append(LogEntry("DEBUG", "", found.uri, "", f"read by pydicom: {found.row.handed_over}"))
        receipt.rows += 1
        receipt.notices += len(notices)
        receipt.longest_row = max(receipt.longest_row, len(line))

    def finished(self) -> Receipt:
        self.receipt.column_sets = [sorted(columns) for columns in self._sets]
        return self.receipt


def log_entry(result: Failure | Skipped | Duplicate) -> LogEntry:
    """Write what was not exported for the operation's log."""
    if isinstance(result, Duplicate):
        return LogEntry("INFO", "ALREADY_EXISTS", result.uri, "", f"duplicate: [{result.winner}] is the newer copy")
    if isinstance(result, Failure):
        return LogEntry("ERROR", result.code, result.uri, "", result.reason)
    return LogEntry("INFO", "", result.uri, "", f"skipped: {result.reason}")


def _complete(found: Found, source_store: str | None) -> dict[str, Any]:
    values: dict[str, Any] = found.row.values
    values["Type"] = "CREATE"
    values["LastUpdated"] = found.updated
    values["StorageClass"] = found.storage_class
    values["BlobStorageSize"] = found.size
    if source_store is not None:
        values["SourceDicomStore"] = source_store
    return values


def _digest(uids: tuple[str, ...]) -> str | None:
    if not uids[-1]:
        return None
    return hashlib.blake2b("\\".join(uids).encode(), digest_size=16).hexdigest()


def write_receipt(folder: Path, receipt: Receipt) -> None:
    """Accept a shard: from here on its rows count."""
    write_atomic(_receipt_path(folder, receipt.shard), json.dumps(asdict(receipt)).encode())


def accepted_shards(folder: Path) -> set[int]:
    """Tell which shards have a receipt."""
    return {int(path.stem) for path in (folder / "receipts").iterdir() if path.suffix == ".json"}


def _receipt_path(folder: Path, shard: int) -> Path:
    return folder / "receipts" / f"{shard:08d}.json"


def read_receipts(folder: Path) -> Iterator[Receipt]:
    """Stream the receipts in the order of their shards."""
    for shard in sorted(accepted_shards(folder)):
        yield read_receipt(folder, shard)


def read_receipt(folder: Path, shard: int) -> Receipt:
    """Read a shard's receipt."""
    state = json.loads(_receipt_path(folder, shard).read_bytes())
    return Receipt(**state | {"log": [LogEntry(**entry) for entry in state["log"]]})


def read_keys(folder: Path, receipt: Receipt) -> Iterator[Key]:
    """Stream the keys of a shard's rows."""
    with (folder / "shards" / receipt.keys).open("rb") as file:
        for line in file:
            yield Key(**orjson.loads(line))


def find_duplicates(folder: Path) -> Iterator[Duplicate]:
    """Find the rows that give way: the newest LastUpdated wins, then the greater URI (``schema.md``).

    They come in the order of their shards and rows. DuckDB sorts them on disk.
    """
    import duckdb  # noqa: PLC0415 - processes that only read headers do not need it

    files = [str(folder / "shards" / receipt.keys) for receipt in read_receipts(folder) if receipt.rows]
    if not files:
        return
    with _sorting_errors(), duckdb.connect() as connection:
        connection.execute("SET memory_limit = ?", [_DEDUPLICATION_MEMORY])
        connection.execute("SET threads = 1")
        connection.execute("SET temp_directory = ?", [str(folder / "shards")])
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


def without_rows(folder: Path, receipt: Receipt, losers: Sequence[Duplicate]) -> Receipt:
    """Write a shard anew without the rows that give way, and its receipt, which tells of them."""
    rows = {loser.row for loser in losers}
    attempt = f"{receipt.shard:08d}-{os.getpid()}-{os.urandom(4).hex()}"
    shards = folder / "shards"
    kept = replace(
        receipt,
        file=f"{attempt}.ndjson.gz",
        keys=f"{attempt}.keys.jsonl",
        rows=receipt.rows - len(rows),
        duplicates=receipt.duplicates + len(rows),
        log=[*receipt.log, *map(log_entry, losers)],
    )
    with (
        igzip.open(shards / receipt.file) as old,
        open_private(shards / kept.file) as raw,
        igzip.IGzipFile("", "wb", fileobj=raw, mtime=0) as new,
        open_private(shards / kept.keys) as keys,
    ):
        for line, key in zip(old, read_keys(folder, receipt), strict=True):
            if key.row not in rows:
                new.write(line)
                keys.write(orjson.dumps(key) + b"\n")
        new.close()
        _sync(raw, keys)
    sync_folder(shards)
    used = {key.columns for key in read_keys(folder, kept)}
    sets = [columns if index in used else [] for index, columns in enumerate(receipt.column_sets)]
    kept = replace(kept, column_sets=sets)
    write_receipt(folder, kept)
    for name in (receipt.file, receipt.keys):
        (shards / name).unlink()
    return kept


def column_paths(receipt: Receipt) -> set[str]:
    """Unite the column paths of a shard's rows."""
    return {path for columns in receipt.column_sets for path in columns}


def instance_with(folder: Path, path: str) -> str:
    """Find an instance that has a column, for an error to name; empty where only the extra columns have it."""
    for receipt in read_receipts(folder):
        having = {
            index
            for index, columns in enumerate(receipt.column_sets)
            if any(column == path or column.startswith(f"{path}.") for column in columns)
        }
        if having:
            return next(key.uri for key in read_keys(folder, receipt) if key.columns in having)
    return ""
