"""``export bq --staging``: rows go to a bucket, and BigQuery loads them from there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from dicombq.errors import Temporary
from dicombq.export.run import Export
from dicombq.names import BigQueryTable
from dicombq.operations.state import State
from dicombq.operations.store import OperationStore
from dicombq.shards import listing
from tests.cli.conftest import Run
from tests.fakes.bigquery import BigQueryFake
from tests.gcs_server import GcsBucket
from tests.instances import write_instance
from tests.tables import anonymous_client, list_bigquery, query_bigquery

TABLE = "--bq-table=bq://p.d.t"


@pytest.fixture
def many(broken: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Scans in shards of two: six instances, one of them in two shards."""
    monkeypatch.setattr(listing, "SHARD_SIZE", 2)
    for number in (3, 4, 5):
        write_instance(broken / f"{number}.dcm", number)
    newer = write_instance(broken / "newer" / "1.dcm", 1, PatientID="new")
    os.utime(newer, (4_000_000_000, 4_000_000_000))
    return broken


def patients(rows: list[dict[str, Any]]) -> list[tuple[str, str | None]]:
    return sorted((row["SOPInstanceUID"][-1], row.get("PatientID")) for row in rows)


EXPECTED = [("1", "new"), ("2", None), ("3", None), ("4", None), ("5", None)]


@pytest.mark.parametrize("workers", [1, 2])
def test_rows_are_loaded_from_the_bucket_which_is_empty_afterwards(
    run: Run, bigquery: BigQueryFake, gcs_bucket: GcsBucket, many: Path, workers: int
) -> None:
    gcs_bucket.put("rows/other", b"")
    result = run("export", "bq", "scans", TABLE, f"--staging={gcs_bucket.uri}/rows/", f"--workers={workers}")
    assert (result.code, "(5 new rows)" in result.err) == (3, True)
    assert patients(list_bigquery(BigQueryTable("p", "d", "t"))) == EXPECTED
    [job] = bigquery.jobs.values()
    assert len(job.load["sourceUris"]) > 1
    assert all(uri.startswith(f"{gcs_bucket.uri}/rows/dicombq-") for uri in job.load["sourceUris"])
    assert gcs_bucket.keys() == ["rows/other"]


def test_an_independent_server_loads_from_the_bucket(
    run: Run, local_bigquery: None, gcs_bucket: GcsBucket, many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = f"d_{tmp_path.name}"
    with anonymous_client() as client:
        client.create_dataset(dataset, exists_ok=True)
    monkeypatch.setenv("DICOMBQ_STAGING", gcs_bucket.uri)
    assert run("export", "bq", "scans", f"--bq-table=bq://p.{dataset}.t").code == 3
    assert patients(query_bigquery(BigQueryTable("p", dataset, "t"))) == EXPECTED
    assert gcs_bucket.keys() == []


def broken_off(run: Run, staging: str, home: Path) -> str:
    """Let an export end before its load; give the operation's ID."""

    def fail(_export: Export) -> None:
        raise Temporary("stop")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Export, "_load", fail)
        assert run("export", "bq", "scans", TABLE, f"--staging={staging}").code == 5
    return OperationStore(home).list()[0][0].id


def test_what_is_staged_is_gone_on_with(
    run: Run, bigquery: BigQueryFake, gcs_bucket: GcsBucket, many: Path, home: Path
) -> None:
    identity = broken_off(run, gcs_bucket.uri, home)
    staged = gcs_bucket.keys()
    assert staged
    for path in many.rglob("*.dcm"):
        path.unlink()
    result = run("operations", "resume", identity)
    assert (result.code, "(5 new rows)" in result.err) == (3, True)
    assert gcs_bucket.keys() == []


def test_what_is_staged_goes_when_the_operation_is_pruned(
    run: Run, bigquery: BigQueryFake, gcs_bucket: GcsBucket, many: Path, home: Path
) -> None:
    identity = broken_off(run, gcs_bucket.uri, home)
    gcs_bucket.put(f"dicombq-{identity}0/not-its", b"")
    assert run("operations", "prune", "--older-than=0", "--quiet").code == 0
    assert gcs_bucket.keys() == [f"dicombq-{identity}0/not-its"]
    assert OperationStore(home).list() == ([], [])


def test_an_export_whose_objects_cannot_be_deleted_is_done_all_the_same(
    run: Run, bigquery: BigQueryFake, gcs_bucket: GcsBucket, many: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_uris: object) -> None:
        raise Temporary("no connection")

    with monkeypatch.context() as patch:
        patch.setattr("dicombq.stores.objects.delete", fail)
        assert run("export", "bq", "scans", TABLE, f"--staging={gcs_bucket.uri}").code == 5  # duplicates are rewritten
        (many / "newer" / "1.dcm").unlink()
        assert run("export", "bq", "scans", TABLE, f"--staging={gcs_bucket.uri}").code == 3
        assert OperationStore(home).list()[0][0].state is State.DONE
        assert run("operations", "prune", "--older-than=0", "--quiet").code == 5
        assert len(OperationStore(home).list()[0]) == 2
    assert run("operations", "prune", "--older-than=0", "--quiet").code == 0
    assert gcs_bucket.keys() == []


@pytest.mark.parametrize(
    ("staging", "code", "message"),
    [
        ("gs://no-such-bucket", 7, "Cloud Storage does not find [gs://no-such-bucket/]"),
        ("s3://bucket/x", 2, "is not in Google Cloud Storage"),
        ("./folder", 7, "there is no folder [/"),
        ("ftp://host/x", 2, "is not the URI of an object"),
    ],
)
def test_a_place_that_is_no_bucket_is_refused(
    run: Run, bigquery: BigQueryFake, gcs_bucket: GcsBucket, scans: Path, staging: str, code: int, message: str
) -> None:
    result = run("export", "bq", "scans", TABLE, f"--staging={staging}")
    assert (result.code, message in result.err) == (code, True)
    assert run("operations", "list").err == "Listed 0 items.\n"


def test_a_duckdb_file_is_not_loaded_from_a_bucket(run: Run, scans: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run("export", "bq", "scans", "--staging=gs://bucket/x")
    assert (result.code, "--staging is for tables in BigQuery" in result.err) == (2, True)
    monkeypatch.setenv("DICOMBQ_STAGING", "gs://bucket/x")
    assert run("export", "bq", "scans").code == 0
