from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from dicombq.cli.main import main
from tests.serve.conftest import Serve
from tests.serve.processes import let_end

LOCATION = "projects/my-project/locations/us-central1"
NAME = f"{LOCATION}/datasets/my-dataset"


@pytest.mark.parametrize("version", ["v1", "v1beta1", "v1alpha2"])
def test_a_dataset_is_created_by_an_operation_that_is_done(client: TestClient, version: str) -> None:
    begun = client.post(f"/{version}/{LOCATION}/datasets?datasetId=my-dataset", json={"timeZone": "America/Chicago"})
    assert begun.status_code == 200
    operation = begun.json()
    assert operation["done"] is True
    assert operation["response"] == {
        "@type": "type.googleapis.com/google.cloud.healthcare.v1.dataset.Dataset",
        "name": NAME,
        "timeZone": "America/Chicago",
    }
    assert client.get(f"/{version}/{operation['name']}").json() == operation
    assert client.get(f"/{version}/{NAME}").json() == {"name": NAME, "timeZone": "America/Chicago"}
    refused = client.post(f"/{version}/{operation['name']}:cancel", json={})
    assert (refused.status_code, refused.json()["error"]["status"]) == (400, "FAILED_PRECONDITION")
    again = client.post(f"/{version}/{LOCATION}/datasets?datasetId=my-dataset", json={})
    assert (again.status_code, again.json()["error"]["status"]) == (409, "ALREADY_EXISTS")


def test_a_dataset_changes_its_time_zone(client: TestClient) -> None:
    client.post(f"/v1/{LOCATION}/datasets?datasetId=my-dataset", json={})
    changed = client.patch(f"/v1/{NAME}?updateMask=timeZone", json={"timeZone": "Europe/Berlin"})
    assert changed.json() == client.get(f"/v1/{NAME}").json() == {"name": NAME, "timeZone": "Europe/Berlin"}
    for mask in ("", "?updateMask=", "?updateMask=name", "?updateMask=encryptionSpec"):
        refused = client.patch(f"/v1/{NAME}{mask}", json={"timeZone": "UTC"})
        assert refused.status_code == 400
        assert refused.json()["error"]["details"][0]["fieldViolations"][0]["field"] == "update_mask"
    assert client.patch(f"/v1/{NAME}?updateMask=time_zone", json={"timeZone": "Mars"}).status_code == 400
    assert client.patch(f"/v1/{NAME}?updateMask=*", json={}).json() == {"name": NAME}


def test_a_dataset_is_there_that_a_command_put_a_store_or_an_operation_in(
    client: TestClient, scans: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert client.get(f"/v1/{NAME}").json() == {"name": NAME}
    elsewhere = ["--project=my-project", "--location=europe", "--dataset=other"]
    assert main(["export", "bq", str(scans), *elsewhere]) == 0
    other = "projects/my-project/locations/europe/datasets/other"
    assert client.get(f"/v1/{other}").json() == {"name": other}
    assert client.get("/v1/projects/my-project/locations/-/datasets").json() == {
        "datasets": [{"name": other}, {"name": NAME}]
    }
    assert client.get(f"/v1/{LOCATION}/datasets").json() == {"datasets": [{"name": NAME}]}
    assert client.get("/v1/projects/other/locations/-/datasets").json() == {"datasets": []}
    assert client.delete(f"/v1/{other}").json() == {}
    assert client.get(f"/v1/{other}").status_code == 404
    assert scans.exists()


def test_a_dataset_is_deleted_with_its_stores(client: TestClient, scans: Path) -> None:
    client.post(f"/v1/{LOCATION}/datasets?datasetId=my-dataset", json={})
    client.post(f"/v1/{NAME}/dicomStores?dicomStoreId=managed", json={})
    assert client.delete(f"/v1/{NAME}").json() == {}
    assert client.get(f"/v1/{NAME}").status_code == 404
    assert client.get(f"/v1/{NAME}/dicomStores/my-store").status_code == 404
    assert len(list(scans.iterdir())) == 3
    assert client.delete(f"/v1/{NAME}").status_code == 404


def test_a_dataset_whose_operation_runs_is_not_deleted(serve: Serve, served: Path, scans: Path) -> None:
    client = serve()
    uri = f"duckdb://{served}/x.duckdb/d.t"
    begun = client.post(f"/v1/{NAME}/dicomStores/my-store:export", json={"bigqueryDestination": {"tableUri": uri}})
    refused = client.delete(f"/v1/{NAME}")
    assert (refused.status_code, refused.json()["error"]["status"]) == (400, "FAILED_PRECONDITION")
    assert client.get(f"/v1/{NAME}/dicomStores/my-store").status_code == 200
    let_end()
    assert client.delete(f"/v1/{NAME}").status_code == 200
    assert client.get(f"/v1/{begun.json()['name']}").status_code == 404


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("", {}),
        ("?datasetId=", {}),
        ("?datasetId=a%20b", {}),
        ("?datasetId=..", {}),
        ("?datasetId=x", {"timeZone": "Mars"}),
        ("?datasetId=x", {"encryptionSpec": {"kmsKeyName": "k"}}),
    ],
    ids=str,
)
def test_what_cannot_be_a_dataset_is_refused(client: TestClient, query: str, body: dict[str, str]) -> None:
    assert client.post(f"/v1/{LOCATION}/datasets{query}", json=body).status_code == 400
    assert client.get(f"/v1/{LOCATION}/datasets").json() == {"datasets": []}


def test_datasets_are_listed_page_by_page(client: TestClient) -> None:
    names = [f"d{number}" for number in range(7)]
    for name in reversed(names):
        client.post(f"/v1/{LOCATION}/datasets?datasetId={name}", json={})
    found: list[str] = []
    token = ""
    while True:
        listed = client.get(f"/v1/{LOCATION}/datasets", params={"pageSize": 3, "pageToken": token}).json()
        found += [dataset["name"].rpartition("/")[2] for dataset in listed["datasets"]]
        assert len(listed["datasets"]) <= 3
        if "nextPageToken" not in listed:
            break
        token = listed["nextPageToken"]
    assert found == names
    for query in ("pageSize=-1", "pageSize=x", "pageToken=!", "pageToken=%ff"):
        assert client.get(f"/v1/{LOCATION}/datasets?{query}").status_code == 400
