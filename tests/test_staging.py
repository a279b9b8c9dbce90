from __future__ import annotations

import contextlib
import errno
import gzip
import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dicombq import __version__, staging
from dicombq.errors import Failed
from dicombq.names import Parent, StoreName
from dicombq.operations.state import Counters
from dicombq.rows.base import Notice, Row
from dicombq.rows.metadata import MetadataRecord
from dicombq.rows.record import Record
from dicombq.staging import Duplicate, Listing, Receipt, ShardSpec
from dicombq.stores.base import Failure, Found, InstanceRef, Listed, Result, Skipped
from dicombq.stores.folder import FolderStore
from tests.instances import ROOT, write_instance, write_truncated

NAME = StoreName(Parent(), "s")


@dataclass
class ListStore:
    """A store of results that a test wrote down."""

    results: list[Result] = field(default_factory=list)
    name: StoreName = NAME
    source: str = "nowhere"

    def has(self, ref: InstanceRef) -> bool:
        return any(result.uri == ref.uri for result in self.results)

    def list(self) -> Iterator[Listed]:
        for result in self.results:
            yield InstanceRef(result.uri)

    def read(self, refs: Iterable[InstanceRef], record_type: type[Record], max_element_size: int) -> Iterator[Result]:
        by_uri = {result.uri: result for result in self.results}
        for ref in refs:
            yield by_uri[ref.uri]


def found(
    uri: str,
    sop: str = "",
    updated: str = "2026-01-01T00:00:00Z",
    columns: Iterable[str] = ("Modality",),
    **values: Any,
) -> Found:
    row = Row({"SOPInstanceUID": sop, **values}, frozenset(columns), ("1", "1.1", sop))
    return Found(uri, row, updated, "STANDARD", 10)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    result = tmp_path / "operation"
    for name in ("shards", "receipts"):
        (result / name).mkdir(parents=True)
    return result


def stage(folder: Path, results: list[Result], number: int = 0, source: str | None = None) -> Receipt:
    store = ListStore(results)
    [(offset, count)] = staging.list_store(store, folder, lambda _entry: None)
    return staging.stage_shard(ShardSpec(number, offset, count, store, folder, Record, 1 << 20, source))


def rows_of(folder: Path, receipt: Receipt) -> list[dict[str, Any]]:
    with gzip.open(folder / "shards" / receipt.file) as file:
        return [json.loads(line) for line in file]


def losers(folder: Path) -> list[tuple[str, str]]:
    return [(duplicate.uri, duplicate.winner) for duplicate in staging.find_duplicates(folder)]


def test_a_listing_is_cut_into_shards(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "SHARD_SIZE", 2)
    store = ListStore([found(f"/ü{number}") for number in range(5)])
    told: list[Listed] = []
    shards = staging.list_store(store, folder, told.append)
    assert [count for _, count in shards] == [2, 2, 1]
    assert len(told) == 5
    uris = []
    for number, (offset, count) in enumerate(shards):
        staging.stage_shard(ShardSpec(number, offset, count, store, folder, Record, 1, None))
    for receipt in staging.read_receipts(folder):
        uris += [key.uri for key in staging.read_keys(folder, receipt)]
    assert uris == [f"/ü{number}" for number in range(5)]


def test_the_later_shards_of_a_long_listing_are_bigger(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "SHARD_SIZE", 2)
    store = ListStore([found(f"/{number}") for number in range(42)])
    counts = [count for _, count in staging.list_store(store, folder, lambda _entry: None)]
    assert counts == [2] * 16 + [6, 4]


def test_an_empty_listing_has_no_shard(folder: Path) -> None:
    assert staging.list_store(ListStore(), folder, lambda _entry: None) == []


def test_a_path_that_is_no_text_survives_the_listing(folder: Path) -> None:
    uri = os.fsdecode(b"/\xff")
    store = ListStore([found(uri, "1.2")])
    [(offset, count)] = staging.list_store(store, folder, lambda _entry: None)
    assert [ref.uri for ref in staging.read_refs(folder, offset, count)] == [uri]


def test_a_receipt_says_what_became_of_a_shard(folder: Path) -> None:
    noted = found("/c", "1.3", columns=("Modality", "Rows"))
    noted.row.notices.append(Notice("00280010", "not a number"))
    results: list[Result] = [
        found("/a", "1.1"),
        found("/b", "1.2"),
        noted,
        Failure("/d", "DATA_LOSS", "cut"),
        Skipped("/e", "text"),
    ]
    receipt = stage(folder, results)
    assert (receipt.rows, receipt.failures, receipt.skipped, receipt.notices) == (3, 1, 1, 1)
    assert receipt.column_sets == [["Modality"], ["Modality", "Rows"]]
    assert list(staging.read_receipts(folder)) == [receipt]
    assert [(entry.severity, entry.code, entry.uri, entry.tag, entry.message) for entry in receipt.log] == [
        ("NOTICE", "", "/c", "00280010", "not a number"),
        ("ERROR", "DATA_LOSS", "/d", "", "cut"),
        ("INFO", "", "/e", "", "skipped: text"),
    ]
    lines = gzip.decompress((folder / "shards" / receipt.file).read_bytes()).splitlines(keepends=True)
    assert receipt.longest_row == max(map(len, lines))


def test_a_shard_staged_again_has_the_same_bytes(folder: Path) -> None:
    first, again = (stage(folder, [found("/a", "1.1", Modality="CT")]) for _ in range(2))
    assert first.file != again.file
    staged = (folder / "shards" / first.file).read_bytes()
    assert staged == (folder / "shards" / again.file).read_bytes()
    assert staged[4:8] == bytes(4)  # no time: RFC 1952 2.3.1


def test_a_row_has_the_extra_columns(folder: Path) -> None:
    receipt = stage(folder, [found("/a", "1.1", Modality="CT")], source="projects/p")
    assert rows_of(folder, receipt) == [
        {
            "SOPInstanceUID": "1.1",
            "Modality": "CT",
            "Type": "CREATE",
            "LastUpdated": "2026-01-01T00:00:00Z",
            "StorageClass": "STANDARD",
            "BlobStorageSize": 10,
            "SourceDicomStore": "projects/p",
        }
    ]


def test_a_key_tells_which_instance_a_row_is(folder: Path) -> None:
    receipt = stage(folder, [found("/a", "1.1"), found("/b"), found("/c", "1.1")])
    first, without, again = staging.read_keys(folder, receipt)
    assert [(key.shard, key.row, key.uri) for key in (first, without, again)] == [
        (0, 0, "/a"),
        (0, 1, "/b"),
        (0, 2, "/c"),
    ]
    assert first.digest == again.digest
    assert first.digest is not None
    assert without.digest is None


def test_a_row_that_no_load_takes_is_a_failure(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "MAX_ROW_SIZE", 300)
    receipt = stage(folder, [found("/a", "1.1"), found("/b", "1.2", Long="x" * 300)])
    assert (receipt.rows, receipt.failures) == (1, 1)
    assert (receipt.log[0].code, receipt.log[0].message) == ("OUT_OF_RANGE", "the row has more than 100 MiB")


def test_a_shard_that_ran_twice_counts_once(folder: Path) -> None:
    first = stage(folder, [found("/a", "1.1")])
    second = stage(folder, [found("/a", "1.1")])
    assert first.file != second.file
    assert list(staging.read_receipts(folder)) == [second]
    assert losers(folder) == []


def test_a_receipt_that_was_being_written_is_not_read(folder: Path) -> None:
    receipt = stage(folder, [found("/a", "1.1")])
    (folder / "receipts" / ".00000001.json.1.tmp").write_text("{")
    assert list(staging.read_receipts(folder)) == [receipt]


def test_without_rows_there_are_no_duplicates(folder: Path) -> None:
    assert losers(folder) == []
    stage(folder, [Skipped("/a", "text")])
    assert losers(folder) == []


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("2026-01-01T00:00:00.000001Z", "2026-01-01T00:00:00.100000Z"),
        ("2025-12-31T23:59:59.999999Z", "2026-01-01T00:00:00.000000Z"),
    ],
)
def test_the_newest_copy_wins_over_shards(folder: Path, older: str, newer: str) -> None:
    stage(folder, [found("/z", "1.1", older), found("/other", "1.2")], 0)
    stage(folder, [found("/a", "1.1", newer)], 1)
    assert losers(folder) == [("/z", "/a")]


def test_of_copies_of_one_time_the_greater_uri_wins(folder: Path) -> None:
    stage(folder, [found("/b", "1.1"), found("/c", "1.1"), found("/a", "1.1")])
    assert losers(folder) == [("/b", "/c"), ("/a", "/c")]


def test_instances_without_sop_instance_uid_are_nobodys_duplicates(folder: Path) -> None:
    stage(folder, [found("/a"), found("/b")])
    assert losers(folder) == []


def test_duplicates_are_found_in_many_files_of_keys(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "_FILES_AT_ONCE", 2)
    for number in range(5):
        stage(folder, [found(f"/{number}", "1.1"), found(f"/other{number}", f"1.2.{number}")], number)
    assert losers(folder) == [(f"/{number}", "/4") for number in range(4)]


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (RuntimeError("Query interrupted"), KeyboardInterrupt),
        (duckdb.InterruptException("interrupted"), KeyboardInterrupt),
        (RuntimeError("something else"), RuntimeError),
    ],
)
def test_an_interrupt_ends_the_search_for_duplicates(
    folder: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, raised: type[BaseException]
) -> None:
    class Interrupted(contextlib.nullcontext[Any]):
        def __enter__(self) -> Any:
            return self

        def execute(self, sql: str, *_: object) -> None:
            if "SET" not in sql:
                raise error

    stage(folder, [found("/a", "1.1")])
    monkeypatch.setattr(duckdb, "connect", Interrupted)
    with pytest.raises(raised):
        losers(folder)


def test_losers_leave_their_shard_and_its_columns(folder: Path) -> None:
    old = stage(folder, [found("/a", "1.1", columns=("OnlyHere",)), found("/b", "1.2", columns=("Modality",))])
    new = staging.without_rows(folder, old, [Duplicate(0, 0, "/a", "/c")])
    assert [row["SOPInstanceUID"] for row in rows_of(folder, new)] == ["1.2"]
    assert (new.rows, new.duplicates, new.shard) == (1, 1, 0)
    assert [(entry.uri, entry.message) for entry in new.log] == [("/a", "duplicate: [/c] is the newer copy")]
    assert staging.column_paths(old) == {"OnlyHere", "Modality"}
    assert staging.column_paths(new) == {"Modality"}
    assert list(staging.read_receipts(folder)) == [new]
    assert sorted(os.listdir(folder / "shards")) == sorted([new.file, new.keys])
    again = staging.without_rows(folder, new, [Duplicate(0, 1, "/b", "/d")])
    assert rows_of(folder, again) == []
    assert staging.column_paths(again) == set()
    assert (again.rows, again.duplicates) == (0, 2)


def test_an_instance_is_found_by_its_column(folder: Path) -> None:
    stage(folder, [found("/a", "1.1", columns=("Modality",))], 0)
    stage(
        folder, [found("/b", "1.2", columns=("Modality", "PatientName")), found("/c", "1.3", columns=("Seq.Rows",))], 1
    )
    assert staging.instance_with(folder, "PatientName") == "/b"
    assert staging.instance_with(folder, "Seq") == "/c"
    assert staging.instance_with(folder, "Seq.Rows") == "/c"
    assert staging.instance_with(folder, "Type") == ""


@pytest.mark.parametrize("record_type", [Record, MetadataRecord])
def test_real_files_are_staged(tmp_path: Path, folder: Path, record_type: type[Record]) -> None:
    write_instance(tmp_path / "in" / "a.dcm", 1)
    write_truncated(tmp_path / "in" / "b.dcm")
    (tmp_path / "in" / "notes.txt").write_text("no DICOM")
    store = FolderStore.open(str(tmp_path / "in"), Parent())
    [(offset, count)] = staging.list_store(store, folder, lambda _entry: None)
    receipt = staging.stage_shard(ShardSpec(0, offset, count, store, folder, record_type, 1 << 20, None))
    assert (receipt.rows, receipt.failures, receipt.skipped) == (1, 1, 1)
    [row] = rows_of(folder, receipt)
    assert row["SOPInstanceUID"] == f"{ROOT}.1.1.1"


def test_a_listing_is_read_as_it_was_written(folder: Path) -> None:
    assert staging.read_listing(folder) is None
    listing = Listing([(0, 200), (9999, 1)], Counters(pending=201, skipped=2), 77)
    staging.write_listing(folder, listing)
    read = staging.read_listing(folder)
    assert read is not None
    assert ([tuple(shard) for shard in read.shards], read.counters) == (listing.shards, listing.counters)
    assert (read.log_size, read.version) == (77, __version__)


@pytest.mark.parametrize(
    ("error", "number"),
    [
        (duckdb.IOException("IO Error: No space left on device: Canary"), errno.ENOSPC),
        (duckdb.IOException("IO Error: Canary"), errno.EIO),
    ],
)
def test_a_disk_that_fails_the_search_for_duplicates_is_told_as_such(
    folder: Path, monkeypatch: pytest.MonkeyPatch, error: duckdb.Error, number: int
) -> None:
    def fail(*_arguments: object) -> None:
        raise error

    stage(folder, [found("/a", "1.1")])
    monkeypatch.setattr(duckdb, "connect", fail)
    with pytest.raises(OSError, match=re.escape(os.strerror(number))) as raised:
        losers(folder)
    assert raised.value.errno == number


def test_a_search_for_duplicates_without_memory_fails(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> None:
        raise duckdb.OutOfMemoryException("Canary")

    stage(folder, [found("/a", "1.1")])
    monkeypatch.setattr(duckdb, "connect", fail)
    with pytest.raises(Failed, match="not enough memory to find the duplicates"):
        losers(folder)
