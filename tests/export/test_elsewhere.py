from __future__ import annotations

import io
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from dicombq.engines.local import LocalEngine
from dicombq.engines.registry import EngineChoice
from dicombq.errors import DicombqError, Failed, InvalidArgument, NotFound, Temporary
from dicombq.export.area import staging_area
from dicombq.export.elsewhere import check_places
from dicombq.export.request import ExportRequest
from dicombq.export.run import Export
from dicombq.export.task import EXPORT_BQ, export_task
from dicombq.names import BigQueryTable, DuckdbTable, Parent
from dicombq.operations.kinds import Settings
from dicombq.operations.state import Operation, State
from dicombq.operations.store import OperationStore
from dicombq.shards import listing
from dicombq.stores.filters import Filter
from dicombq.stores.registry import open_store
from dicombq.table.disposition import Disposition
from dicombq.warehouses.destination import BigQueryDestination
from dicombq.warehouses.registry import open_warehouse
from tests.fakes.bigquery import BigQueryFake
from tests.gcs_server import GcsBucket
from tests.instances import ROOT, write_instance
from tests.tables import list_bigquery

REMOTE = EngineChoice("spark", "yarn")
BIGQUERY = BigQueryTable("p", "d", "t")


class Distributing(LocalEngine):
    """Processes that are taken for other machines: all that they need has to come to them."""

    distributes: ClassVar[bool] = True


@pytest.fixture
def scans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Five instances, one of them twice, in shards of two."""
    monkeypatch.setattr(listing, "SHARD_SIZE", 2)
    for number in range(1, 6):
        write_instance(tmp_path / "scans" / str(number) / "i.dcm", number)
    newer = write_instance(tmp_path / "scans" / "newer.dcm", 1, PatientID="new")
    os.utime(newer, (4_000_000_000, 4_000_000_000))
    return tmp_path / "scans"


def request(source: Path | str, home: Path, table: Any, **options: Any) -> ExportRequest:
    store = open_store(str(source), Parent(), home, pytest.fail)
    return ExportRequest(store, BigQueryDestination(table, Disposition.NONE), **options)


def export(wanted: ExportRequest, home: Path, engine: LocalEngine | None = None) -> Operation:
    home.mkdir(exist_ok=True)
    warehouse = open_warehouse(wanted.destination.table, 0)
    running = OperationStore(home).create(EXPORT_BQ, wanted.store.name, "t", wanted.to_api())
    with running:
        export_task(wanted, Settings(home)).save(running.operation.folder)
        Export(wanted, warehouse, engine or Distributing(1), running, lambda _operation: None).run()
    return running.operation


def duckdb_rows(table: DuckdbTable) -> list[tuple[str, str | None]]:
    import duckdb

    with duckdb.connect(str(table.file), read_only=True) as connection:
        return connection.execute("SELECT SOPInstanceUID[-1:], PatientID FROM d.t ORDER BY 1").fetchall()


EXPECTED = [("1", "new"), *((str(number), None) for number in range(2, 6))]
FILTER = "\n".join(f"/studies/{ROOT}.1/series/{ROOT}.1.1/instances/{ROOT}.1.1.{number}" for number in (1, 2, 9))


@pytest.mark.parametrize("workers", [1, 2])
def test_machines_that_have_only_the_bucket_stage_rows_keys_and_the_filter_there(
    scans: Path, home: Path, tmp_path: Path, bigquery: BigQueryFake, gcs_bucket: GcsBucket, workers: int
) -> None:
    for path in scans.rglob("*.dcm"):
        gcs_bucket.put(f"scans/{path.relative_to(scans)}", path.read_bytes())
    asked = request(
        f"{gcs_bucket.uri}/scans",
        home,
        BIGQUERY,
        staging=f"{gcs_bucket.uri}/rows",
        wanted=Filter("f.csv", io.BytesIO(FILTER.encode())),
    )
    operation = export(asked, home, Distributing(workers))
    counters = operation.counters
    assert (counters.success, counters.duplicates, counters.skipped, counters.notices) == (2, 1, 3, 1)
    assert sorted(row["SOPInstanceUID"][-1] for row in list_bigquery(BIGQUERY)) == ["1", "2"]
    [job] = bigquery.jobs.values()
    assert all(uri.startswith(f"{gcs_bucket.uri}/rows/dicombq-") for uri in job.load["sourceUris"])
    assert {key.partition("/")[0] for key in list(gcs_bucket.keys())} == {"scans"}


@pytest.mark.parametrize("place", ["bucket", "folder", "home"])
def test_a_duckdb_file_is_loaded_from_wherever_rows_are_staged(
    scans: Path, home: Path, tmp_path: Path, gcs_bucket: GcsBucket, place: str
) -> None:
    (tmp_path / "staging").mkdir()
    staging = {"bucket": f"{gcs_bucket.uri}/rows", "folder": str(tmp_path / "staging"), "home": ""}[place]
    table = DuckdbTable(tmp_path / "x.duckdb", "d", "t")
    wanted = Filter("f.csv", io.BytesIO(f"/studies/{ROOT}.1".encode()))
    operation = export(request(scans, home, table, staging=staging, wanted=wanted), home)
    assert (operation.state, operation.counters.duplicates) == (State.DONE, 1)
    assert duckdb_rows(table) == EXPECTED
    assert gcs_bucket.keys() == []
    assert list((tmp_path / "staging").iterdir()) == []


@pytest.mark.parametrize("place", ["bucket", "folder"])
def test_what_other_machines_staged_is_gone_on_with_here(
    scans: Path, home: Path, tmp_path: Path, gcs_bucket: GcsBucket, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "staging").mkdir()
    staging = {"bucket": f"{gcs_bucket.uri}/rows", "folder": str(tmp_path / "staging")}[place]
    table = DuckdbTable(tmp_path / "x.duckdb", "d", "t")
    asked = request(scans, home, table, staging=staging)

    def stop(_export: Export) -> None:
        raise Temporary("stop")

    with monkeypatch.context() as patch:
        patch.setattr(Export, "_load", stop)
        with pytest.raises(Temporary):
            export(asked, home)
    [operation] = OperationStore(home).list()[0]
    area = staging_area(operation.folder, staging, operation.id)
    with area.attempt(7):  # of an executor that was lost
        pass
    shutil.rmtree(scans)
    running = OperationStore(home).resume(operation.id)
    with running:
        Export(asked, open_warehouse(table, 0), LocalEngine(1), running, lambda _operation: None).run()
    assert duckdb_rows(table) == EXPECTED
    assert (gcs_bucket.keys(), list((tmp_path / "staging").iterdir())) == ([], [])


def test_a_machine_that_lacks_the_files_of_a_shard_ends_the_export(
    scans: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = request(scans, home, DuckdbTable(tmp_path / "x.duckdb", "d", "t"))
    real = Export._stage

    def unmount(self: Export, listed: listing.Listing) -> None:
        shutil.rmtree(scans)
        real(self, listed)

    monkeypatch.setattr(Export, "_stage", unmount)
    with pytest.raises(Failed, match="none is there on"):
        export(asked, home)


def test_folders_that_machines_may_not_have_are_refused_with_the_way_out(
    scans: Path, home: Path, tmp_path: Path, gcs_bucket: GcsBucket
) -> None:
    asked = request(scans, home, BIGQUERY, engine=REMOTE, staging=gcs_bucket.uri)
    with pytest.raises(InvalidArgument, match=r"machines of \[yarn\] may not have the folder") as error:
        check_places(asked)
    assert "--shared-folders" in error.value.hint
    with pytest.raises(InvalidArgument, match="whose master is not named, may not have"):
        check_places(replace(asked, engine=EngineChoice("spark")))
    shared = replace(REMOTE, shared_folders=True)
    check_places(replace(asked, engine=shared))
    with pytest.raises(InvalidArgument, match="nowhere to write rows to") as error:
        check_places(replace(asked, engine=shared, staging=""))
    assert "--staging=gs://BUCKET/FOLDER" in error.value.hint
    gcs_bucket.put("a", b"")
    far = request(gcs_bucket.uri, home, BIGQUERY, engine=REMOTE, staging=str(tmp_path))
    with pytest.raises(InvalidArgument, match="may not have the folder"):
        check_places(far)
    check_places(replace(far, engine=shared))
    check_places(replace(far, staging=gcs_bucket.uri))
    check_places(replace(asked, engine=EngineChoice("spark", "local[2]"), staging=""))


@pytest.mark.parametrize(
    ("staging", "kind", "message"),
    [
        ("/nowhere", NotFound, "there is no folder"),
        ("s3://bucket/x", InvalidArgument, "is not in Google Cloud Storage"),
        ("ftp://host/x", InvalidArgument, "is not the URI of an object"),
    ],
)
def test_a_place_that_cannot_be_staged_in_is_refused(
    scans: Path, home: Path, staging: str, kind: type[DicombqError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        check_places(request(scans, home, BIGQUERY, staging=staging))
