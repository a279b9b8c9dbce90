from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from dicombq.export import staging
from dicombq.export.staging import ShardSpec, instance_with, read_keys, stage_shard
from dicombq.names import Parent
from dicombq.rows.base import Notice
from dicombq.rows.metadata import MetadataRecord
from dicombq.rows.record import Record
from dicombq.stores.base import Failure, Result, Skipped
from dicombq.stores.folder import FileRef, FolderStore
from tests.export.staged import NotedRef, Stage, found, stage
from tests.instances import ROOT, write_instance, write_truncated

__all__ = ["stage"]  # a fixture


def test_a_receipt_says_what_became_of_a_shard(stage: Stage) -> None:
    noted = found("/c", "1.3", columns=("Modality", "Rows"))
    noted.row.notices.append(Notice("00280010", "not a number"))
    results: list[Result] = [
        found("/a", "1.1"),
        found("/b", "1.2"),
        noted,
        Failure(NotedRef("/d"), "DATA_LOSS", "cut"),
        Skipped(NotedRef("/e"), "text"),
    ]
    receipt = stage.stage(results)
    assert (receipt.rows, receipt.failures, receipt.skipped, receipt.notices) == (3, 1, 1, 1)
    assert receipt.column_sets == [["Modality"], ["Modality", "Rows"]]
    assert list(stage.receipts) == [receipt]
    assert [(entry.severity, entry.code, entry.uri, entry.tag, entry.message) for entry in receipt.log] == [
        ("NOTICE", "", "/c", "00280010", "not a number"),
        ("ERROR", "DATA_LOSS", "/d", "", "cut"),
        ("INFO", "", "/e", "", "skipped: text"),
    ]
    lines = gzip.decompress((stage.area.folder / receipt.file).read_bytes()).splitlines(keepends=True)
    assert receipt.longest_row == max(map(len, lines))


def test_a_shard_staged_again_has_the_same_bytes(stage: Stage) -> None:
    first, again = (stage.stage([found("/a", "1.1", Modality="CT")]) for _ in range(2))
    assert first.file != again.file
    staged = (stage.area.folder / first.file).read_bytes()
    assert staged == (stage.area.folder / again.file).read_bytes()
    assert staged[4:8] == bytes(4)  # no time: RFC 1952 2.3.1


def test_a_row_has_the_extra_columns(stage: Stage) -> None:
    receipt = stage.stage([found("/a", "1.1", Modality="CT")], source="projects/p")
    assert stage.rows_of(receipt) == [
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


def test_a_key_tells_which_instance_a_row_is(stage: Stage) -> None:
    receipt = stage.stage([found("/a", "1.1"), found("/b"), found("/c", "1.1")])
    first, without, again = read_keys(stage.area, receipt)
    assert [(key.shard, key.row, key.uri) for key in (first, without, again)] == [
        (0, 0, "/a"),
        (0, 1, "/b"),
        (0, 2, "/c"),
    ]
    assert first.digest == again.digest
    assert first.digest is not None
    assert without.digest is None


def test_a_row_that_no_load_takes_is_a_failure(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "MAX_ROW_SIZE", 300)
    receipt = stage.stage([found("/a", "1.1"), found("/b", "1.2", Long="x" * 300)])
    assert (receipt.rows, receipt.failures) == (1, 1)
    assert (receipt.log[0].code, receipt.log[0].message) == ("OUT_OF_RANGE", "the row has more than 100 MiB")


def test_a_shard_that_ran_twice_counts_once(stage: Stage) -> None:
    first = stage.stage([found("/a", "1.1")])
    second = stage.stage([found("/a", "1.1")])
    assert first.file != second.file
    assert list(stage.receipts) == [second]
    assert list(stage.duplicates()) == []


def test_a_receipt_that_was_being_written_is_not_read(stage: Stage) -> None:
    receipt = stage.stage([found("/a", "1.1")])
    (stage.folder / "receipts" / ".00000001.json.1.tmp").write_text("{")
    assert list(stage.receipts) == [receipt]


def test_an_instance_is_found_by_its_column(stage: Stage) -> None:
    stage.stage([found("/a", "1.1", columns=("Modality",))], 0)
    stage.stage([found("/b", "1.2", columns=("Modality", "PatientName")), found("/c", "1.3", columns=("Seq.Rows",))], 1)
    assert instance_with(stage.receipts, stage.area, "PatientName") == "/b"
    assert instance_with(stage.receipts, stage.area, "Seq") == "/c"
    assert instance_with(stage.receipts, stage.area, "Seq.Rows") == "/c"
    assert instance_with(stage.receipts, stage.area, "Type") == ""


@pytest.mark.parametrize("record_type", [Record, MetadataRecord])
def test_real_files_are_staged(tmp_path: Path, stage: Stage, record_type: type[Record]) -> None:
    write_instance(tmp_path / "in" / "a.dcm", 1)
    write_truncated(tmp_path / "in" / "b.dcm")
    (tmp_path / "in" / "notes.txt").write_text("no DICOM")
    store = FolderStore.open(str(tmp_path / "in"), Parent())
    refs = [ref for ref in store.list() if isinstance(ref, FileRef)]
    receipt = stage_shard(ShardSpec(0, refs, store, stage.area, record_type, 1 << 20, None))
    assert (receipt.rows, receipt.failures, receipt.skipped) == (1, 1, 1)
    [row] = stage.rows_of(receipt)
    assert row["SOPInstanceUID"] == f"{ROOT}.1.1.1"
