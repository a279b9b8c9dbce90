"""``stream configure``, ``clear`` and ``describe``, and ``--stream-configs`` of ``dicom-stores``."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import Run
from tests.fakes.bigquery import BigQueryFake

NAME = "projects/local/locations/local/datasets/dicom/dicomStores/scans"
URIS = [f"bq://p.d.t{number}" for number in range(6)]


def flags(uris: list[str]) -> list[str]:
    return [f"--bq-table={uri}" for uri in uris]


def destination(uri: str, **more: object) -> dict[str, object]:
    return {"bigqueryDestination": {"tableUri": uri, **more}}


def test_configure_registers_the_folder_and_makes_the_tables(run: Run, scans: Path, bigquery: BigQueryFake) -> None:
    result = run("stream", "configure", "scans", *flags(URIS[:2]), "--schema=json", "--include-source-store")
    assert result.err == "Updated dicomStore [scans].\n"
    configs = [destination(uri, schemaJson={}, includeSourceStore=True) for uri in URIS[:2]]
    expected = {"name": NAME, "streamConfigs": configs, "dicombq": {"source": str(scans)}}
    assert yaml.safe_load(result.out) == expected
    assert yaml.safe_load(run("dicom-stores", "describe", "scans").out) == expected
    assert {field["name"] for field in bigquery.schema("p.d.t1")} >= {
        "Metadata",
        "Type",
        "LastUpdated",
        "SourceDicomStore",
    }


def test_the_default_table_is_in_the_embedded_warehouse(run: Run, scans: Path, home: Path) -> None:
    shown = yaml.safe_load(run("stream", "configure", "scans").out)
    assert shown["streamConfigs"] == [destination(f"duckdb://{home}/warehouse.duckdb/dicom.scans")]
    assert run("query", "SELECT * FROM dicom.scansView").code == 0


@pytest.mark.parametrize(
    ("uris", "code", "message"),
    [
        (URIS, 2, "6 tables are named; at most 5 can follow a store"),
        (["bq://p.d.t1", "bq://p.d.t2", "bq://p.d.t1"], 2, "the table [bq://p.d.t1] is named twice"),
        (["duckdb://w.duckdb/d.t", "duckdb://./w.duckdb/D.T"], 2, "is named twice"),
        (["bq://p.d.t1", "bq://p.nowhere.t1"], 7, "there is no BigQuery dataset [p.nowhere]"),
        (["bq://p.d.t1", "nonsense"], 2, "[nonsense] is not a table URI"),
        (["bq://p.d.t1", "bq://p.d.foreign"], 4, "the column [Type] is INTEGER in the table"),
    ],
)
def test_what_cannot_follow_is_refused_before_anything_changes(
    run: Run, scans: Path, bigquery: BigQueryFake, home: Path, uris: list[str], code: int, message: str
) -> None:
    from tests.tables import anonymous_client

    with anonymous_client() as client:
        from google.cloud import bigquery as api

        client.create_table(api.Table("p.d.foreign", [api.SchemaField("Type", "INTEGER")]))
    before = len(bigquery.called("tables.insert"))
    result = run("stream", "configure", "scans", *flags(uris))
    assert (result.code, message in result.err) == (code, True), result.err
    joined = ",".join(uris)
    assert run("dicom-stores", "create", "mine", "--source=scans", f"--stream-configs={joined}").code == code
    assert len(bigquery.called("tables.insert")) == before
    assert not bigquery.called("jobs.upload.start")
    assert not list(Path().glob("*.duckdb"))
    assert run("dicom-stores", "list", "--format=value(id)").out == ""


def test_stream_configs_are_set_changed_and_cleared_as_by_gcloud(run: Run, scans: Path, bigquery: BigQueryFake) -> None:
    assert run("dicom-stores", "create", "mine", "--source=scans", f"--stream-configs={URIS[0]}").code == 0
    shown = yaml.safe_load(run("dicom-stores", "update", "mine", f"--stream-configs={URIS[0]},{URIS[1]}").out)
    assert shown["streamConfigs"] == [destination(uri) for uri in URIS[:2]]
    shown = yaml.safe_load(run("dicom-stores", "update", "mine", "--source=scans/1.dcm").out)
    assert len(shown["streamConfigs"]) == 2
    assert "streamConfigs" not in yaml.safe_load(run("dicom-stores", "update", "mine", "--stream-configs=").out)
    result = run("dicom-stores", "update", "mine")
    assert (result.code, "nothing to update" in result.err) == (2, True)


def test_clear_leaves_no_table_and_touches_none(run: Run, scans: Path) -> None:
    run("stream", "configure", "scans")
    assert run("stream", "sync", "scans").code == 0
    assert "streamConfigs" not in yaml.safe_load(run("stream", "clear", "scans").out)
    result = run("stream", "sync", "scans")
    assert (result.code, "no table follows the store [scans]" in result.err) == (4, True)
    assert "dicom-stores" not in run("query", "SELECT COUNT(*) FROM dicom.scansView", "--format=csv").err


def test_describe_tells_of_a_stream_that_never_ran(run: Run, scans: Path) -> None:
    run("stream", "configure", "scans", "--no-backfill")
    shown = yaml.safe_load(run("stream", "describe", "scans").out)
    assert shown["streamConfigs"][0]["dicombq"].keys() == {"backfill", "since"}
    assert shown["dicombq"]["running"] is None
    assert [table.keys() for table in shown["dicombq"]["tables"]] == [{"tableUri"}]


def test_a_folder_that_has_a_registered_stores_name_is_told_apart(run: Run, scans: Path, here: Path) -> None:
    run("dicom-stores", "create", "scans", "--source=scans/1.dcm")
    result = run("stream", "configure", "./scans")
    assert (result.code, "there is a store [scans] already, of another source" in result.err) == (4, True)
    assert "is taken for the registered store" in run("stream", "configure", "scans").err


def test_a_pass_of_a_store_that_is_not_configured_registers_nothing(run: Run, scans: Path) -> None:
    for command in (["sync"], ["sync", "--dry-run"], ["run"], ["retry"]):
        result = run("stream", *command, "scans")
        assert (result.code, "no table follows the store [scans]" in result.err) == (4, True)
    assert run("dicom-stores", "list", "--format=value(id)").out == ""


@pytest.mark.parametrize("value", ["101%", "x", "-1", "5.5%"])
def test_a_limit_that_is_none_is_a_usage_error(run: Run, scans: Path, value: str) -> None:
    result = run("stream", "sync", "scans", f"--max-delete={value}")
    assert (result.code, "neither a number nor a share" in result.err) == (2, True)
