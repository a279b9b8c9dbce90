from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest
from starlette.testclient import TestClient

from dicombq.stores.registry import StoreRegistry
from tests.fakes.bigquery import BigQueryFake
from tests.instances import ROOT

PARENT = "projects/my-project/locations/us-central1/datasets/my-dataset"
STORES = f"/v1/{PARENT}/dicomStores"
NAME = f"{PARENT}/dicomStores/my-store"


def config(uri: str, **more: Any) -> dict[str, Any]:
    return {"bigqueryDestination": {"tableUri": uri, **more}}


def test_a_store_without_a_source_lies_in_home(client: TestClient, served: Path) -> None:
    created = client.post(f"{STORES}?dicomStoreId=new", json={"labels": {"ward": "7"}})
    assert created.status_code == 200
    store = created.json()
    assert store["name"] == f"{PARENT}/dicomStores/new"
    assert store["labels"] == {"ward": "7"}
    assert store["dicombq"]["managed"] is True
    assert Path(store["dicombq"]["source"]).is_relative_to(served)
    assert client.get(f"{STORES}/new").json() == store
    assert client.delete(f"{STORES}/new").json() == {}
    assert not Path(store["dicombq"]["source"]).exists()
    assert client.get(f"{STORES}/new").status_code == 404


def test_a_store_may_have_a_source(client: TestClient, tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    own = {"source": str(tmp_path / "scans"), "archives": True}
    store = client.post(f"{STORES}?dicomStoreId=s", json={"dicombq": own}).json()
    assert store == {"name": f"{PARENT}/dicomStores/s", "dicombq": own}
    assert client.delete(f"{STORES}/s").json() == {}
    assert (tmp_path / "scans").exists()
    missing = client.post(f"{STORES}?dicomStoreId=s", json={"dicombq": {"source": str(tmp_path / "nowhere")}})
    assert (missing.status_code, missing.json()["error"]["status"]) == (404, "NOT_FOUND")


def test_what_gcloud_sends_creates_a_store_with_its_table(client: TestClient, tmp_path: Path) -> None:
    uri = f"duckdb://{tmp_path}/x.duckdb/d.t"
    body = {"notificationConfig": {"sendForBulkImport": False}, "streamConfigs": [config(uri)]}
    created = client.post(f"{STORES}?alt=json&dicomStoreId=s", json=body)
    assert created.json()["streamConfigs"] == [config(uri)]
    with duckdb.connect(str(tmp_path / "x.duckdb")) as connection:
        assert connection.execute("SELECT count(*) FROM d.t").fetchone() == (0,)
    again = client.post(f"{STORES}?alt=json&dicomStoreId=s", json=body)
    assert (again.status_code, again.json()["error"]["status"]) == (409, "ALREADY_EXISTS")


@pytest.mark.parametrize(
    ("query", "body", "field"),
    [
        ("", {}, "dicom_store_id"),
        ("?dicomStoreId=s", {"notificationConfig": {"pubsubTopic": "t"}}, "dicom_store.notification_config"),
        ("?dicomStoreId=s", {"notificationConfigs": [{"pubsubTopic": "t"}]}, "dicom_store.notification_config"),
        ("?dicomStoreId=s", {"streamConfig": []}, "dicom_store"),
    ],
    ids=str,
)
def test_what_cannot_be_a_store_is_refused_by_its_field(
    client: TestClient, query: str, body: dict[str, Any], field: str
) -> None:
    refused = client.post(f"{STORES}{query}", json=body)
    assert refused.status_code == 400
    [details] = refused.json()["error"]["details"]
    assert details["@type"] == "type.googleapis.com/google.rpc.BadRequest"
    assert details["fieldViolations"][0]["field"] == field
    assert client.get(STORES).json() == {"dicomStores": []}


@pytest.mark.parametrize(
    ("mask", "body"),
    [
        ("labels", rb'{"labels": {"a": "\ud800"}}'),
        ("labels", rb'{"labels": {"\ud800": "a"}}'),
        ("streamConfigs", rb'{"streamConfigs": [{"bigqueryDestination": {"tableUri": "\ud800"}}]}'),
        ("dicombq", rb'{"dicombq": {"source": "\ud800"}}'),
    ],
    ids=str,
)
def test_text_with_half_of_a_surrogate_pair_is_refused_and_not_stored(
    client: TestClient, scans: Path, mask: str, body: bytes
) -> None:
    before = client.get(f"{STORES}/my-store").json()
    json = {"Content-Type": "application/json"}
    refused = client.patch(f"{STORES}/my-store?updateMask={mask}", content=body, headers=json)
    assert (refused.status_code, refused.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert client.get(STORES).json() == {"dicomStores": [before]}


@pytest.mark.parametrize(
    ("identity", "body"),
    [
        ("a b", {}),
        ("a/b", {}),
        ("..", {}),
        ("s", {"streamConfigs": [{}]}),
        ("s", {"streamConfigs": [config("bq://p.d")]}),
    ],
    ids=str,
)
def test_a_store_that_is_refused_is_not_there(client: TestClient, identity: str, body: dict[str, Any]) -> None:
    assert client.post(STORES, params={"dicomStoreId": identity}, json=body).status_code == 400
    assert client.get(STORES).json() == {"dicomStores": []}


def test_a_patch_changes_what_its_mask_names(
    client: TestClient, scans: Path, bigquery: BigQueryFake, served: Path
) -> None:
    body = {"streamConfigs": [config("bq://p.d.t", includeSourceStore=True)], "labels": {"a": "b"}}
    changed = client.patch(f"{STORES}/my-store?updateMask=streamConfigs", json=body).json()
    own = {"source": str(scans)}
    assert changed == {"name": NAME, "streamConfigs": body["streamConfigs"], "dicombq": own}
    assert bigquery.called("tables.insert") or bigquery.called("jobs.insert") or bigquery.called("jobs.upload.chunk")
    changed = client.patch(f"{STORES}/my-store?updateMask=labels", json={"labels": {"c": "d"}}).json()
    assert changed == {"name": NAME, "labels": {"c": "d"}, "streamConfigs": body["streamConfigs"], "dicombq": own}
    changed = client.patch(f"{STORES}/my-store?updateMask=stream_configs,labels", json={}).json()
    assert changed == client.get(f"{STORES}/my-store").json() == {"name": NAME, "dicombq": own}
    (scans.parent / "other").mkdir()
    moved = {"dicombq": {"source": str(scans.parent / "other")}}
    assert client.patch(f"{STORES}/my-store?updateMask=dicombq", json=moved).json() == {"name": NAME} | moved
    assert [store.source for store in StoreRegistry(served).list({})] == [str(scans.parent / "other")]


def test_a_patch_with_schemas_and_ways_of_delivery_is_kept(client: TestClient, scans: Path, tmp_path: Path) -> None:
    one = config(f"duckdb://{tmp_path}/x.duckdb/d.t", schemaJson={}) | {"dicombq": {"backfill": False}}
    two = config(f"duckdb://{tmp_path}/x.duckdb/d.u")
    latest = config(f"duckdb://{tmp_path}/x.duckdb/d.v", schemaJson={}, changeDataCaptureConfig={})
    body = {"streamConfigs": [one, two, latest]}
    changed = client.patch(f"{STORES}/my-store?updateMask=streamConfigs", json=body).json()
    one["dicombq"]["since"] = changed["streamConfigs"][0]["dicombq"]["since"]
    assert changed["streamConfigs"] == body["streamConfigs"]
    assert client.patch(f"{STORES}/my-store?updateMask=streamConfigs", json=body).json() == changed


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("", {"streamConfigs": []}),
        ("?updateMask=name", {}),
        ("?updateMask=streamConfigs.bigqueryDestination", {}),
        ("?updateMask=streamConfigs", {"streamConfigs": [config("bq://p.d.t")] * 2}),
        ("?updateMask=streamConfigs", {"streamConfigs": [config(f"bq://p.d.t{number}") for number in range(6)]}),
    ],
    ids=range(5),
)
def test_a_patch_that_cannot_be_meant_changes_nothing(
    client: TestClient, scans: Path, bigquery: BigQueryFake, query: str, body: dict[str, Any]
) -> None:
    before = client.get(f"{STORES}/my-store").json()
    assert client.patch(f"{STORES}/my-store{query}", json=body).status_code == 400
    assert client.get(f"{STORES}/my-store").json() == before


def test_stores_are_listed_by_pages_and_labels(client: TestClient, scans: Path) -> None:
    for number in range(3):
        client.post(f"{STORES}?dicomStoreId=s{number}", json={"labels": {"odd": str(number % 2), "n": str(number)}})
    first = client.get(STORES, params={"pageSize": 3}).json()
    assert [store["name"].rpartition("/")[2] for store in first["dicomStores"]] == ["my-store", "s0", "s1"]
    rest = client.get(STORES, params={"pageSize": 3, "pageToken": first["nextPageToken"]}).json()
    assert [store["name"].rpartition("/")[2] for store in rest["dicomStores"]] == ["s2"]
    assert "nextPageToken" not in rest
    odd = client.get(STORES, params={"filter": "labels.odd=0 AND labels.n=2"}).json()
    assert [store["name"].rpartition("/")[2] for store in odd["dicomStores"]] == ["s2"]
    assert client.get(STORES, params={"filter": "labels.odd"}).status_code == 400


def test_metrics_count_a_store_a_study_and_a_series(client: TestClient, scans: Path) -> None:
    size = sum(path.stat().st_size for path in scans.iterdir())
    metrics = {"name": NAME, "studyCount": "1", "seriesCount": "2", "instanceCount": "3"}
    assert client.get(f"/v1/{NAME}:getDICOMStoreMetrics").json() == metrics | {"blobStorageSizeBytes": str(size)}
    study = f"{NAME}/dicomWeb/studies/{ROOT}.1"
    assert client.get(f"/v1/{study}:getStudyMetrics").json() == {
        "study": study,
        "seriesCount": "2",
        "instanceCount": "3",
        "blobStorageSizeBytes": str(size),
    }
    series = f"{study}/series/1.2.3"
    size = (scans / "3.dcm").stat().st_size
    assert client.get(f"/v1/{series}:getSeriesMetrics").json() == {
        "series": series,
        "instanceCount": "1",
        "blobStorageSizeBytes": str(size),
    }
    info = client.get(f"/v1/{series}/instances/{ROOT}.1.1.3:getStorageInfo").json()
    assert info["referencedResource"] == f"{series}/instances/{ROOT}.1.1.3"
    assert info["blobStorageInfo"]["sizeBytes"] == str(size)
    assert info["blobStorageInfo"]["storageClass"] == "STANDARD"
    assert info["blobStorageInfo"]["storageClassUpdateTime"].endswith("Z")


@pytest.mark.parametrize(
    "path",
    [
        "studies/9:getStudyMetrics",
        f"studies/{ROOT}.1/series/9:getSeriesMetrics",
        f"studies/{ROOT}.1/series/1.2.3/instances/{ROOT}.1.1.1:getStorageInfo",
    ],
)
def test_what_is_not_in_a_store_is_not_found(client: TestClient, scans: Path, path: str) -> None:
    assert client.get(f"/v1/{NAME}/dicomWeb/{path}").status_code == 404


def test_the_path_of_a_study_has_a_uid(client: TestClient, scans: Path) -> None:
    assert client.get(f"/v1/{NAME}/dicomWeb/studies/..:getStudyMetrics").status_code in (400, 404)
    assert client.get(f"/v1/{NAME}/dicomWeb/studies/x y:getStudyMetrics").status_code == 400
