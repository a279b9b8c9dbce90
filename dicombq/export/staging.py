"""From references to rows that a warehouse can load: shards, and their receipts.

::

    shards/N.ndjson.gz      the rows of shard N
    shards/N.keys.jsonl.gz  which instance each row is
    receipts/N.json         the outcome of shard N; written last, so that the files that it names are there
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from dicombq.export.area import Attempt, StagingArea
from dicombq.operations.log import LogEntry
from dicombq.rows.record import Record
from dicombq.shards.duplicates import digest
from dicombq.shards.receipts import Receipts
from dicombq.shards.spread import check_seen
from dicombq.shards.work import log_entry
from dicombq.stores import lines
from dicombq.stores.base import Failure, Found, InstanceRef, Result, Store
from dicombq.stores.filters import Filter
from dicombq.stores.lines import row_line


@dataclass(frozen=True)
class ShardSpec:
    """A piece of the listing, and all that a process needs to stage it.

    Parameters
    ----------
    area
        Where its rows go.
    source_store
        The value of ``SourceDicomStore``, None where it is not asked for.
    wanted
        URI and copy of the filter file; None where all instances are asked for.
    """

    number: int
    refs: Iterable[InstanceRef]
    store: Store[Any]
    area: StagingArea
    record_type: type[Record]
    max_element_size: int
    source_store: str | None
    wanted: tuple[str, Path] | None = None


@dataclass
class Receipt:
    """The outcome of a shard.

    Parameters
    ----------
    file, keys
        Names in the staging area.
    column_sets
        The distinct sets of column paths of its rows; the keys say which row has which.
    skipped
        What is no instance, and the instances that are not wanted.
    unwanted
        Of these, the instances that no line of the filter names.
    matched
        The numbers of the filter's lines that name an instance.
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
    unwanted: int = 0
    notices: int = 0
    duplicates: int = 0
    longest_row: int = 0
    column_sets: list[list[str]] = field(default_factory=list)
    matched: list[int] = field(default_factory=list)
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


def stage_shard(spec: ShardSpec) -> Receipt:
    """Read a shard's instances into a file of rows; a shard may run more than once."""
    wanted = spec.area.load_filter(*spec.wanted) if spec.wanted else None
    with spec.area.attempt(spec.number) as attempt:
        receipt = Receipt(spec.number, attempt.rows_name, attempt.keys_name)
        writer = _ShardWriter(attempt, receipt, spec.source_store, wanted)
        for result in spec.store.read(spec.refs, spec.record_type, spec.max_element_size):
            writer.take(result)
    return writer.finished()


def stage_elsewhere(spec: ShardSpec) -> Receipt:
    """Stage a shard on a machine that may lack a folder that others have."""
    check_seen(spec.store.source, map(spec.store.has, spec.refs))
    return stage_shard(spec)


class _ShardWriter:
    def __init__(self, attempt: Attempt, receipt: Receipt, source_store: str | None, wanted: Filter | None) -> None:
        self._attempt = attempt
        self._receipt = receipt
        self._source_store = source_store
        self._wanted = wanted
        self._matched: set[int] = set()
        self._sets: dict[frozenset[str], int] = {}

    def take(self, result: Result) -> None:
        if isinstance(result, Found):
            if not self._is_wanted(result):
                self._receipt.skipped += 1
                self._receipt.unwanted += 1
                return
            line = row_line(result, self._source_store)
            if len(line) <= lines.MAX_ROW_SIZE:
                self._add(result, line)
                return
            result = Failure(result.ref, "OUT_OF_RANGE", "the row has more than 100 MiB")
        self._receipt.log.append(log_entry(result))
        if isinstance(result, Failure):
            self._receipt.failures += 1
        else:
            self._receipt.skipped += 1

    def _is_wanted(self, found: Found) -> bool:
        if self._wanted is None:
            return True
        numbers = self._wanted.matching(found.row.uids)
        self._matched.update(numbers)
        return bool(numbers)

    def _add(self, found: Found, line: bytes) -> None:
        receipt, uri = self._receipt, found.uri
        columns = self._sets.setdefault(found.row.columns, len(self._sets))
        key = Key(receipt.shard, receipt.rows, digest(found.row.uids), found.updated, uri, columns)
        self._attempt.rows.write(line)
        self._attempt.keys.write(orjson.dumps(key, option=orjson.OPT_APPEND_NEWLINE))
        notices = [LogEntry("NOTICE", "", uri, notice.tag, notice.reason) for notice in found.row.notices]
        receipt.log.extend(notices)
        if found.row.handed_over:
            receipt.log.append(LogEntry("DEBUG", "", uri, "", f"read by pydicom: {found.row.handed_over}"))
        receipt.rows += 1
        receipt.notices += len(notices)
        receipt.longest_row = max(receipt.longest_row, len(line))

    def finished(self) -> Receipt:
        self._receipt.column_sets = [sorted(columns) for columns in self._sets]
        self._receipt.matched = sorted(self._matched)
        return self._receipt


def receipts_in(folder: Path) -> Receipts[Receipt]:
    """Give the receipts of an operation."""
    return Receipts(folder / "receipts", Receipt)


def read_keys(area: StagingArea, receipt: Receipt) -> Iterator[Key]:
    """Stream the keys of a shard's rows."""
    for key in area.read_keys(receipt.keys):
        yield Key(**key)


def column_paths(receipt: Receipt) -> set[str]:
    """Unite the column paths of a shard's rows."""
    return {path for columns in receipt.column_sets for path in columns}


def instance_with(receipts: Iterable[Receipt], area: StagingArea, path: str) -> str:
    """Find an instance that has a column, for an error to name; empty where only the extra columns have it."""
    for receipt in receipts:
        having = {
            index
            for index, columns in enumerate(receipt.column_sets)
            if any(column == path or column.startswith(f"{path}.") for column in columns)
        }
        if having:
            return next(key.uri for key in read_keys(area, receipt) if key.columns in having)
    return ""
