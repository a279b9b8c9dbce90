from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import duckdb
import pytest
from starlette.testclient import TestClient

from dicombq.cli.main import main
from dicombq.operations.state import State
from dicombq.operations.store import OperationStore
from dicombq.warehouses.duckdb import DuckdbWarehouse
from tests.cli.gate import Gate
from tests.gcs_server import GcsBucket
from tests.instances import ROOT, write_truncated
from tests.serve.processes import let_end

PARENT = "projects/my-project/locations/us-central1/datasets/my-dataset"
STORE = f"/v1/{PARENT}/dicomStores/my-store"


def rows(file: Path, table: str = "d.t") -> int:
    [(count,)] = DuckdbWarehouse(file).query(f"SELECT count(*) FROM {table}").rows
    return int(count)


@pytest.fixture
def table(tmp_path: Path) -> str:
    return f"duckdb://{tmp_path}/x.duckdb/d.t"


def ended(client: TestClient, begun: Any) -> Any:
    assert begun.status_code == 200, begun.text
    let_end()
    return client.get(f"/v1/{begun.json()['name']}").json()


def test_an_export_is_the_same_operation_for_commands_and_clients(
    client: TestClient, scans: Path, tmp_path: Path, table: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_truncated(scans / "broken.dcm")
    begun = client.post(f"{STORE}:export", json={"bigqueryDestination": {"tableUri": table}})
    operation = ended(client, begun)
    assert begun.json()["name"] == operation["name"]
    assert operation["done"] is True
    assert operation["metadata"]["counter"] == {"pending": "0", "success": "3", "failure": "1"}
    assert operation["response"] == {
        "@type": "type.googleapis.com/google.cloud.healthcare.v1.dicom.ExportDicomDataResponse"
    }
    assert rows(tmp_path / "x.duckdb") == 3
    assert main(["operations", "describe", operation["name"], "--format=json"]) == 0
    assert json.loads(capsys.readouterr().out) == operation


def test_an_existing_table_is_refused_before_there_is_an_operation(
    client: TestClient, scans: Path, served: Path, tmp_path: Path, table: str
) -> None:
    destination = {"tableUri": table}
    for more, count in (
        ({}, 3),
        ({"force": True}, 3),
        ({"writeDisposition": "WRITE_APPEND"}, 6),
        ({"force": False, "writeDisposition": "WRITE_TRUNCATE"}, 3),
    ):
        ended(client, client.post(f"{STORE}:export", json={"bigqueryDestination": destination | more}))
        assert rows(tmp_path / "x.duckdb") == count
    for more in (
        {},
        {"force": False},
        {"writeDisposition": "WRITE_EMPTY"},
        {"force": True, "writeDisposition": "WRITE_EMPTY"},
        {"writeDisposition": "WRITE_DISPOSITION_UNSPECIFIED"},
    ):
        refused = client.post(f"{STORE}:export", json={"bigqueryDestination": destination | more})
        assert (refused.status_code, refused.json()["error"]["status"]) == (400, "FAILED_PRECONDITION")
    assert len(OperationStore(served).list()[0]) == 4


def test_the_schema_and_the_source_store_are_as_asked_for(
    client: TestClient, scans: Path, tmp_path: Path, table: str
) -> None:
    destination = {"tableUri": table, "schemaJson": {}, "includeSourceStore": True}
    ended(client, client.post(f"{STORE}:export", json={"bigqueryDestination": destination}))
    with duckdb.connect(str(tmp_path / "x.duckdb"), read_only=True) as connection:
        columns = {name for name, *_ in connection.execute("DESCRIBE d.t").fetchall()}
        assert {"Metadata", "SourceDicomStore"} <= columns
        assert "Modality" not in columns


def test_a_filter_names_what_is_exported(
    client: TestClient, scans: Path, tmp_path: Path, table: str, gcs_bucket: GcsBucket
) -> None:
    gcs_bucket.put("filter.txt", f"/studies/{ROOT}.1/series/1.2.3\n".encode())
    (tmp_path / "filter.txt").write_text(f"/studies/{ROOT}.1/series/1.2.3\n")
    for uri in (f"{gcs_bucket.uri}/filter.txt", str(tmp_path / "filter.txt")):
        body = {
            "bigqueryDestination": {"tableUri": table, "force": True},
            "filterConfig": {"resourcePathsGcsUri": uri},
        }
        begun = client.post(f"{STORE}:export".replace("/v1/", "/v1beta1/"), json=body)
        operation = ended(client, begun)
        assert operation["metadata"]["@type"].endswith("v1beta1.OperationMetadata")
        assert operation["metadata"]["counter"]["success"] == "1"
        assert rows(tmp_path / "x.duckdb") == 1


@pytest.mark.parametrize("uri", ["-", "", "filter.txt", "../filter.txt", "file:///filter.txt"])
def test_the_servers_own_input_and_folder_are_no_filter(
    client: TestClient, scans: Path, served: Path, table: str, uri: str
) -> None:
    body = {"bigqueryDestination": {"tableUri": table}, "filterConfig": {"resourcePathsGcsUri": uri}}
    assert client.post(f"{STORE}:export", json=body).status_code == 400
    assert OperationStore(served).list() == ([], [])


def test_files_are_exported_and_imported(client: TestClient, scans: Path, tmp_path: Path) -> None:
    body: dict[str, Any] = {"gcsDestination": {"uriPrefix": str(tmp_path / "out"), "mimeType": ""}}
    operation = ended(client, client.post(f"{STORE}:export", json=body))
    assert operation["metadata"]["counter"]["success"] == "3"
    assert len(list((tmp_path / "out").rglob("*.dcm"))) == 3
    client.post(f"/v1/{PARENT}/dicomStores?dicomStoreId=new", json={})
    new = f"/v1/{PARENT}/dicomStores/new"
    body = {"gcsSource": {"uri": f"{tmp_path}/out/**.dcm"}, "blobStorageSettings": {"blobStorageClass": "STANDARD"}}
    operation = ended(client, client.post(f"{new}:import", json=body))
    assert operation["metadata"]["apiMethodName"].endswith("DicomService.ImportDicomData")
    assert operation["response"]["@type"].endswith("v1.dicom.ImportDicomDataResponse")
    assert client.get(f"{new}:getDICOMStoreMetrics").json()["instanceCount"] == "3"


@pytest.mark.parametrize(
    ("verb", "body", "field"),
    [
        ("export", {}, "destination"),
        ("export", {"bigqueryDestination": {}}, "bigquery_destination.table_uri"),
        ("export", {"gcsDestination": {}}, "gcs_destination.uri_prefix"),
        (
            "export",
            {"bigqueryDestination": {"tableUri": "bq://p.d.t", "schemaJson": {}, "changeDataCaptureConfig": {}}},
            "bigquery_destination.change_data_capture_config",
        ),
        ("import", {}, "gcs_source.uri"),
        ("import", {"gcsSource": {"uri": "/x/**", "mimeType": "x"}}, "gcs_source"),
        (
            "import",
            {"gcsSource": {"uri": "/x/**"}, "blobStorageSettings": {"blobStorageClass": "ARCHIVE"}},
            "blob_storage_settings",
        ),
    ],
    ids=str,
)
def test_a_request_that_lacks_what_it_needs_is_refused_by_its_field(
    client: TestClient, scans: Path, verb: str, body: dict[str, Any], field: str
) -> None:
    refused = client.post(f"{STORE}:{verb}", json=body)
    assert refused.status_code == 400
    assert refused.json()["error"]["details"][0]["fieldViolations"][0]["field"] == field


@pytest.mark.parametrize(
    "body",
    [
        {"bigqueryDestination": {"tableUri": "bq://p.d"}},
        {"bigqueryDestination": {"tableUri": "bq://p.d.t t"}},
        {"bigqueryDestination": {"tableUri": "bq://p.d." + "t" * 2000}},
        {"gcsDestination": {"uriPrefix": "ftp://x"}},
        {"gcsDestination": {"uriPrefix": "/x", "mimeType": "image/png"}},
    ],
    ids=range(5),
)
def test_what_is_no_destination_is_refused(client: TestClient, scans: Path, served: Path, body: dict[str, Any]) -> None:
    assert client.post(f"{STORE}:export", json=body).status_code == 400
    assert OperationStore(served).list() == ([], [])


def test_a_store_that_is_gone_is_not_found(client: TestClient, scans: Path, table: str) -> None:
    body = {"bigqueryDestination": {"tableUri": table}}
    assert client.post(f"{STORE}-not:export", json=body).status_code == 404
    assert client.post(f"{STORE}-not:import", json={"gcsSource": {"uri": "/x/**"}}).status_code == 404
    scans.rename(scans.parent / "elsewhere")
    assert client.post(f"{STORE}:export", json=body).status_code == 404


def test_an_operation_is_cancelled_by_a_client_and_by_a_command(
    gate: Gate, client: TestClient, scans: Path, served: Path, table: str
) -> None:
    begun = client.post(f"{STORE}:export", json={"bigqueryDestination": {"tableUri": table}}).json()
    assert client.post(f"/v1alpha2/{begun['name']}:cancel", json={}).json() == {}
    let_end()
    operation = client.get(f"/v1/{begun['name']}").json()
    assert operation["done"] is True
    assert operation["error"]["code"] == 1
    again = client.post(f"/v1/{begun['name']}:cancel", json={})
    assert (again.status_code, again.json()["error"]["status"]) == (400, "FAILED_PRECONDITION")
    begun = client.post(f"{STORE}:export", json={"bigqueryDestination": {"tableUri": table}}).json()
    assert main(["operations", "cancel", begun["name"], "--quiet"]) == 0
    assert client.get(f"/v1/{begun['name']}").json()["error"]["code"] == 1
    assert {operation.state for operation in OperationStore(served).list()[0]} == {State.CANCELLED}


def test_what_is_imported_reaches_the_tables_that_follow_the_store(
    client: TestClient, scans: Path, tmp_path: Path, table: str
) -> None:
    body = {"streamConfigs": [{"bigqueryDestination": {"tableUri": table}}]}
    assert client.post(f"/v1/{PARENT}/dicomStores?dicomStoreId=new", json=body).status_code == 200
    begun = client.post(f"/v1/{PARENT}/dicomStores/new:import", json={"gcsSource": {"uri": f"{scans}/**"}})
    assert ended(client, begun)["metadata"]["counter"]["success"] == "3"
    deadline = time.monotonic() + 60
    while rows(tmp_path / "x.duckdb") != 3:
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.usefixtures("scans")
def test_a_table_that_another_operation_writes_is_locked(gate: Gate, client: TestClient, table: str) -> None:
    body = {"bigqueryDestination": {"tableUri": table}}
    assert client.post(f"{STORE}:export", json=body).status_code == 200
    refused = client.post(f"{STORE}:export", json=body)
    gate.open()
    assert (refused.status_code, refused.json()["error"]["status"]) == (409, "ABORTED")
