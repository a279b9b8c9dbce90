from __future__ import annotations

from pathlib import Path

import pytest

from dicombq.errors import FailedPrecondition
from dicombq.export import limits
from dicombq.export.limits import check_listing
from dicombq.export.request import ExportRequest
from dicombq.names import BigQueryTable, DuckdbTable, Parent
from dicombq.operations.state import Counters
from dicombq.shards.listing import Listing, list_store
from dicombq.stores.folder import FolderStore
from dicombq.table.disposition import Disposition
from dicombq.warehouses import bigquery_limits
from dicombq.warehouses.destination import BigQueryDestination
from tests.instances import write_instance

TABLE = BigQueryTable("p", "d", "t")


@pytest.fixture
def request_and_listing(tmp_path: Path) -> tuple[ExportRequest, Listing]:
    """Five instances in three shards."""
    for number in range(5):
        write_instance(tmp_path / "scans" / f"{number}.dcm", number, PatientComments="x" * 1000)
    store = FolderStore.open(str(tmp_path / "scans"), Parent())
    shards = list_store(store, None, tmp_path, lambda _entry: None, 2)
    return ExportRequest(store, BigQueryDestination(TABLE, Disposition.NONE), staging="gs://b/x"), Listing(
        shards, Counters(), 0
    )


def test_more_objects_than_a_job_takes_are_refused_with_both_figures(
    request_and_listing: tuple[ExportRequest, Listing], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_listing(*request_and_listing, tmp_path)
    monkeypatch.setattr(bigquery_limits, "MAX_SOURCES", 2)
    with pytest.raises(FailedPrecondition, match=r"from 3 objects; a load job of BigQuery takes 2$") as error:
        check_listing(*request_and_listing, tmp_path)
    assert "--write-disposition=write-append" in error.value.hint


def test_more_bytes_than_a_job_takes_are_refused_by_an_estimate(
    request_and_listing: tuple[ExportRequest, Listing], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "_FEW", 4)
    check_listing(*request_and_listing, tmp_path)
    monkeypatch.setattr(bigquery_limits, "MAX_JOB_SIZE", 100)
    with pytest.raises(FailedPrecondition, match=r"from about [\d.]+ TB in a bucket"):
        check_listing(*request_and_listing, tmp_path)


def test_one_upload_has_a_limit_of_its_own_and_a_duckdb_file_none(
    request_and_listing: tuple[ExportRequest, Listing], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "_FEW", 4)
    monkeypatch.setattr(bigquery_limits, "MAX_UPLOAD_SIZE", 5000)
    asked, listing = request_and_listing
    here = ExportRequest(asked.store, asked.destination)
    with pytest.raises(FailedPrecondition, match="would be sent to") as error:
        check_listing(here, listing, tmp_path)
    assert "--staging=gs://BUCKET/FOLDER" in error.value.hint
    table = DuckdbTable(tmp_path / "x.duckdb", "d", "t")
    check_listing(ExportRequest(asked.store, BigQueryDestination(table, Disposition.NONE)), listing, tmp_path)


def test_the_rows_of_all_instances_are_estimated_from_the_first_of_some_shards(
    request_and_listing: tuple[ExportRequest, Listing], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "_FEW", 4)
    seen: list[tuple[int, int]] = []
    monkeypatch.setattr(limits, "check_size", lambda _table, size, packed, staged: seen.append((size, packed)))
    check_listing(*request_and_listing, tmp_path)
    [(size, packed)] = seen
    assert 5 * 1000 < size < 5 * 2000
    assert packed < size
