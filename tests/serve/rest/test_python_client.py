"""Google's API client for Python, with the description of the API that its package has."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from googleapiclient.discovery import build  # type: ignore[import-untyped]  # it has no types
from googleapiclient.errors import HttpError  # type: ignore[import-untyped]  # it has no types

from tests.cli.gate import Gate
from tests.instances import ROOT
from tests.serve.processes import Server

LOCATION = "projects/my-project/locations/us-central1"
DATASET = f"{LOCATION}/datasets/my-dataset"
STORE = f"{DATASET}/dicomStores/my-store"

Datasets = Callable[..., Any]


@pytest.fixture
def datasets(real_server: Server) -> Iterator[Datasets]:
    """The resource of datasets, of a version of the API."""
    with ExitStack() as stack:

        def make(version: str = "v1") -> Any:
            api = build(
                "healthcare",
                version,
                static_discovery=True,
                credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]  # google-auth has no types
                client_options={"api_endpoint": real_server.url},
            )
            return stack.enter_context(api).projects().locations().datasets()

        yield make


def wait(datasets: Any, begun: dict[str, Any]) -> dict[str, Any]:
    """Poll an operation, as programs do."""
    while True:
        operation: dict[str, Any] = datasets.operations().get(name=begun["name"]).execute()
        if operation.get("done"):
            return operation
        time.sleep(0.1)


def pages(collection: Any, **arguments: Any) -> list[dict[str, Any]]:
    found = []
    request = collection.list(**arguments)
    while request is not None:
        found.append(request.execute())
        request = collection.list_next(request, found[-1])
    return found


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_datasets_and_stores_are_created_listed_changed_and_deleted(datasets: Datasets, version: str) -> None:
    api = datasets(version)
    for number in range(3):
        begun = api.create(parent=LOCATION, datasetId=f"d{number}", body={"timeZone": "UTC"}).execute()
        assert wait(api, begun)["response"]["name"] == f"{LOCATION}/datasets/d{number}"
    found = pages(api, parent=LOCATION, pageSize=2)
    assert [[dataset["name"][-2:] for dataset in page["datasets"]] for page in found] == [["d0", "d1"], ["d2"]]
    body = {"timeZone": "Europe/Berlin"}
    assert api.patch(name=f"{LOCATION}/datasets/d0", updateMask="timeZone", body=body).execute().items() >= body.items()
    stores = api.dicomStores()
    parent = f"{LOCATION}/datasets/d0"
    for number in range(3):
        stores.create(parent=parent, dicomStoreId=f"s{number}", body={"labels": {"n": str(number)}}).execute()
    found = pages(stores, parent=parent, pageSize=2)
    assert [[store["name"][-2:] for store in page["dicomStores"]] for page in found] == [["s0", "s1"], ["s2"]]
    [page] = pages(stores, parent=parent, filter="labels.n=1")
    assert [store["name"][-2:] for store in page["dicomStores"]] == ["s1"]
    name = f"{parent}/dicomStores/s0"
    changed = stores.patch(name=name, updateMask="labels", body={"labels": {}}).execute()
    assert "labels" not in changed
    assert stores.get(name=name).execute() == changed
    assert stores.getDICOMStoreMetrics(name=name).execute()["instanceCount"] == "0"
    assert stores.delete(name=name).execute() == {}
    with pytest.raises(HttpError) as missing:
        stores.get(name=name).execute()
    assert missing.value.status_code == 404
    assert missing.value.reason.startswith("there is no store [")
    for number in range(3):
        assert api.delete(name=f"{LOCATION}/datasets/d{number}").execute() == {}
    assert pages(api, parent=LOCATION) == [{"datasets": []}]


def test_operations_are_begun_polled_listed_and_cancelled(
    gate: Gate, datasets: Datasets, scans: Path, tmp_path: Path
) -> None:
    gate.open()
    api = datasets()
    stores, operations = api.dicomStores(), api.operations()
    table = {"tableUri": f"duckdb://{tmp_path}/x.duckdb/d.t"}
    operation = wait(api, stores.export(name=STORE, body={"bigqueryDestination": table}).execute())
    assert operation["metadata"]["counter"]["success"] == "3"
    with pytest.raises(HttpError) as refused:
        stores.export(name=STORE, body={"bigqueryDestination": table}).execute()
    assert refused.value.status_code == 400
    assert "exists already" in refused.value.reason
    operation = wait(api, stores.export(name=STORE, body={"gcsDestination": {"uriPrefix": f"{tmp_path}/o"}}).execute())
    assert operation["metadata"]["counter"]["success"] == "3"
    stores.create(parent=DATASET, dicomStoreId="new", body={}).execute()
    begun = stores.import_(name=f"{DATASET}/dicomStores/new", body={"gcsSource": {"uri": f"{tmp_path}/o/**"}}).execute()
    assert wait(api, begun)["response"]["@type"].endswith("ImportDicomDataResponse")
    gate.close()
    begun = stores.export(name=STORE, body={"bigqueryDestination": {"force": True, **table}}).execute()
    assert operations.cancel(name=begun["name"], body={}).execute() == {}
    assert wait(api, begun)["error"]["code"] == 1
    found = pages(operations, name=DATASET, pageSize=3)
    assert [len(page["operations"]) for page in found] == [3, 1]
    [page] = pages(operations, name=DATASET, filter="done=true AND metadata.apiMethodName:Import")
    assert len(page["operations"]) == 1


def test_studies_series_and_instances_are_measured(datasets: Datasets, scans: Path) -> None:
    studies = datasets().dicomStores().dicomWeb().studies()
    study = f"{STORE}/dicomWeb/studies/{ROOT}.1"
    assert studies.getStudyMetrics(study=study).execute()["instanceCount"] == "3"
    series = f"{study}/series/1.2.3"
    assert studies.series().getSeriesMetrics(series=series).execute()["instanceCount"] == "1"
    instance = f"{series}/instances/{ROOT}.1.1.3"
    info = studies.series().instances().getStorageInfo(resource=instance).execute()
    assert info["blobStorageInfo"]["sizeBytes"] == str((scans / "3.dcm").stat().st_size)


def test_what_dicombq_lacks_says_so(datasets: Datasets, scans: Path) -> None:
    with pytest.raises(HttpError) as refused:
        datasets().dicomStores().getIamPolicy(resource=STORE).execute()
    assert refused.value.status_code == 501
