"""The real gcloud as a client; where it is not installed, the requests that it sends."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from dicombq.cli.main import main
from dicombq.operations.store import OperationStore
from tests.gcs_server import GcsBucket
from tests.instances import ROOT, write_instance, write_truncated
from tests.serve.processes import Server, let_end

needs_gcloud = pytest.mark.skipif(shutil.which("gcloud") is None, reason="gcloud is not installed")

LOCATION = "projects/my-project/locations/us-central1"
DATASET = f"{LOCATION}/datasets/my-dataset"
PLACE = ("--project=my-project", "--location=us-central1", "--dataset=my-dataset")

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def gcloud(real_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run gcloud against a server."""
    for name, value in {
        "CONFIG": str(tmp_path / "gcloud"),
        "AUTH_DISABLE_CREDENTIALS": "true",
        "CORE_DISABLE_USAGE_REPORTING": "true",
        "SURVEY_DISABLE_PROMPTS": "true",
        "COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "true",
        "API_ENDPOINT_OVERRIDES_HEALTHCARE": f"{real_server.url}/",
    }.items():
        monkeypatch.setenv(f"CLOUDSDK_{name}", value)

    def run(*arguments: str) -> tuple[int, str, str]:
        own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}  # gcloud is in Python, too
        done = subprocess.run(["gcloud", *arguments], check=False, capture_output=True, text=True, env=own)
        return done.returncode, done.stdout, done.stderr

    return run


def without_times_and_ids(text: str) -> str:
    """Leave out what differs from one operation to the next, and the dots of waiting."""
    text = re.sub(r"20\d\d-\d\d-\d\dT[\d:.]+Z", "TIME", text)
    text = re.sub(r"[0-9]{19}", "ID", text)
    return re.sub(r"\.\.\.\n?\.*done\.", "...done.", text)


@pytest.fixture
def same(gcloud: Run, capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command by gcloud and by dicombq, which print the same; dicombq may tell more after that."""

    def compare(*arguments: str, track: str = "") -> str:
        code, out, err = gcloud(*([track] if track else []), "healthcare", *arguments, *PLACE)
        let_end()
        capfd.readouterr()
        assert main([*arguments, *PLACE]) == code
        ours = capfd.readouterr()
        assert without_times_and_ids(ours.out) == without_times_and_ids(out)
        told = without_times_and_ids(err).splitlines()
        assert without_times_and_ids(ours.err).splitlines()[: len(told)] == told
        return out

    return compare


@needs_gcloud
def test_gcloud_shows_and_changes_a_store_as_dicombq_does(
    same: Callable[..., str], scans: Path, tmp_path: Path
) -> None:
    same("dicom-stores", "describe", "my-store")
    config = f"--stream-configs=duckdb://{tmp_path}/x.duckdb/d.t,duckdb://{tmp_path}/x.duckdb/d.u"
    assert "d.u" in same("dicom-stores", "update", "my-store", config)
    same("dicom-stores", "describe", f"{DATASET}/dicomStores/my-store", "--format=json")


@needs_gcloud
def test_gcloud_creates_counts_and_deletes_a_store(
    gcloud: Run, scans: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = f"--stream-configs=duckdb://{tmp_path}/x.duckdb/d.t"
    created = gcloud("healthcare", "dicom-stores", "create", "new", config, *PLACE)
    assert created == (0, "", "Created dicomStore [new].\n")
    listed = gcloud("healthcare", "dicom-stores", "list", "--page-size=1", "--format=value(name)", *PLACE)[1]
    assert listed.split() == ["my-store", "new"]
    columns = gcloud("healthcare", "dicom-stores", "list", *PLACE)[1]
    assert f"duckdb://{tmp_path}/x.duckdb/d.t" in columns
    counted = gcloud("healthcare", "dicom-stores", "metrics", "my-store", *PLACE)
    capfd.readouterr()
    assert (main(["dicom-stores", "metrics", "my-store", *PLACE]), capfd.readouterr().out) == counted[:2]
    assert "seriesCount: '2'" in counted[1]
    deleted = gcloud("healthcare", "dicom-stores", "delete", "new", "--quiet", *PLACE)
    assert deleted == (0, "", "Deleted dicomStore [new].\n")
    code, _, err = gcloud("healthcare", "dicom-stores", "describe", "new", *PLACE)
    assert code == 1
    assert err.startswith("ERROR: (gcloud.healthcare.dicom-stores.describe) NOT_FOUND: there is no store [")


@needs_gcloud
def test_gcloud_exports_and_imports_as_dicombq_does(
    gcs_bucket: GcsBucket, same: Callable[..., str], gcloud: Run, scans: Path, tmp_path: Path
) -> None:
    table = f"--bq-table=duckdb://{tmp_path}/x.duckdb/d.t"
    assert same("dicom-stores", "export", "bq", "my-store", table, "--overwrite-table")
    same("dicom-stores", "export", "bq", "my-store", table, "--write-disposition=write-append", "--async")
    let_end()
    gcs_bucket.put("filter.txt", f"/studies/{ROOT}.1/series/1.2.3\n".encode())
    wanted = f"--filter-config-gcs-uri={gcs_bucket.uri}/filter.txt"
    same("dicom-stores", "export", "bq", "my-store", table, "--overwrite-table", wanted, track="beta")
    assert same("dicom-stores", "export", "gcs", "my-store", f"--gcs-uri-prefix={gcs_bucket.uri}/out")
    assert sum(blob.name.startswith("out/") for blob in gcs_bucket.client.list_blobs()) == 3
    gcs_bucket.put("new/4.dcm", write_instance(tmp_path / "4.dcm", 4).read_bytes())
    assert same("dicom-stores", "import", "gcs", "my-store", f"--gcs-uri={gcs_bucket.uri}/new/**.dcm")
    assert len([path for path in scans.rglob("*") if path.is_file()]) == 4
    code, _, err = gcloud("healthcare", "dicom-stores", "export", "bq", "my-store", table, *PLACE)
    assert (code, err.partition(": the table")[0]) == (
        1,
        "ERROR: (gcloud.healthcare.dicom-stores.export.bq) FAILED_PRECONDITION",
    )


@needs_gcloud
def test_gcloud_looks_at_operations_as_dicombq_does(
    same: Callable[..., str], gcloud: Run, scans: Path, served: Path, tmp_path: Path
) -> None:
    write_truncated(scans / "broken.dcm")
    table = f"--bq-table=duckdb://{tmp_path}/x.duckdb/d.t"
    code, out, _ = gcloud("healthcare", "dicom-stores", "export", "bq", "my-store", table, "--async", *PLACE)
    assert code == 0
    let_end()
    [operation], _ = OperationStore(served).list()
    assert f"name: {operation.name}" in out
    described = same("operations", "describe", operation.id)
    assert "failure: '1'" in described
    same("operations", "describe", str(operation.name), "--format=value(done)")
    listed = gcloud("healthcare", "operations", "list", *PLACE)[1]
    assert listed.split() == ["ID", "LOCATION", "DONE", operation.id, "us-central1", "True"]
    for number in range(400):
        write_instance(scans / "more" / f"{number}.dcm", 1000 + number)
    gcloud("healthcare", "dicom-stores", "export", "bq", "my-store", table, "--overwrite-table", "--async", *PLACE)
    newest = OperationStore(served).list()[0][0].id
    OperationStore(served).ask_to_end(newest)
    let_end()
    code, _, err = gcloud("alpha", "healthcare", "operations", "cancel", newest, "--quiet", *PLACE)
    assert (code, "FAILED_PRECONDITION" in err) == (1, True)
    assert "code: 1\n" in same("operations", "describe", newest)


@needs_gcloud
def test_gcloud_works_with_datasets(gcloud: Run, served: Path) -> None:
    place = PLACE[:2]
    code, _, err = gcloud("healthcare", "datasets", "create", "new", *place)
    assert (code, err.splitlines()[-1]) == (0, "Created dataset [new].")
    _, out, _ = gcloud("healthcare", "datasets", "update", "new", "--time-zone=America/Chicago", *place)
    assert out == f"name: {LOCATION}/datasets/new\ntimeZone: America/Chicago\n"
    assert gcloud("healthcare", "datasets", "describe", "new", *place)[1] == out
    assert gcloud("healthcare", "datasets", "list", *place)[1].splitlines()[1].split()[:3] == [
        "new",
        "us-central1",
        "America/Chicago",
    ]
    code, _, err = gcloud("healthcare", "datasets", "create", "new", *place)
    assert (code, err.partition("ALREADY_EXISTS")[1]) == (1, "ALREADY_EXISTS")
    assert gcloud("healthcare", "datasets", "delete", "new", "--quiet", *place)[0] == 0
    assert gcloud("healthcare", "datasets", "describe", "new", *place)[0] == 1


def test_what_gcloud_asks_for_is_answered(client: TestClient, scans: Path, tmp_path: Path) -> None:
    """The requests of gcloud 528, in its words."""
    table = {"tableUri": f"duckdb://{tmp_path}/x.duckdb/d.t"}
    follow = {"notificationConfig": {"sendForBulkImport": False}, "streamConfigs": [{"bigqueryDestination": table}]}
    name, stores = f"{DATASET}/dicomStores/my-store", f"{DATASET}/dicomStores"

    def ask(method: str, path: str, body: Any = None, version: str = "v1") -> Any:
        headers = {"accept": "application/json", "accept-encoding": "gzip, deflate", "user-agent": "google-cloud-sdk"}
        answer = client.request(method, f"/{version}/{path}", json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/json; charset=UTF-8"
        return answer.json()

    operation = ask("POST", f"{LOCATION}/datasets?alt=json&datasetId=ds", {})
    assert ask("GET", f"{operation['name']}?alt=json")["done"] is True
    assert ask("GET", f"{LOCATION}/datasets/ds?alt=json") == {"name": f"{LOCATION}/datasets/ds"}
    assert len(ask("GET", f"{LOCATION}/datasets?alt=json")["datasets"]) == 2
    zone = {"timeZone": "America/Chicago"}
    assert ask("PATCH", f"{LOCATION}/datasets/ds?alt=json&updateMask=timeZone", zone).items() >= zone.items()
    assert ask("DELETE", f"{LOCATION}/datasets/ds?alt=json") == {}
    assert ask("POST", f"{stores}?alt=json&dicomStoreId=s", follow)["name"] == f"{stores}/s"
    page = ask("GET", f"{stores}?alt=json&pageSize=1")
    assert [store["name"] for store in page["dicomStores"]] == [name]
    page = ask("GET", f"{stores}?alt=json&pageSize=1&pageToken={page['nextPageToken']}")
    assert [store["name"] for store in page["dicomStores"]] == [f"{stores}/s"]
    assert ask("PATCH", f"{stores}/s?alt=json&updateMask=streamConfigs", follow)["streamConfigs"]
    assert ask("DELETE", f"{stores}/s?alt=json") == {}
    for version, body in {
        "v1": {"bigqueryDestination": {"force": True, **table}},
        "v1beta1": {
            "bigqueryDestination": {"force": True, **table},
            "filterConfig": {"resourcePathsGcsUri": str(tmp_path / "filter.txt")},
        },
    }.items():
        (tmp_path / "filter.txt").write_text(f"/studies/{ROOT}.1\n")
        begun = ask("POST", f"{name}:export?alt=json", body, version)
        let_end()
        assert ask("GET", f"{begun['name']}?alt=json", version=version)["response"]["@type"].endswith(
            f"{version}.dicom.ExportDicomDataResponse"
        )
        assert ask("GET", f"{name}?alt=json", version=version)["name"] == name
    ask("POST", f"{name}:export?alt=json", {"gcsDestination": {"uriPrefix": f"{tmp_path}/out"}})
    let_end()
    ask("POST", f"{stores}?alt=json&dicomStoreId=s", {"notificationConfig": {"sendForBulkImport": False}})
    begun = ask("POST", f"{stores}/s:import?alt=json", {"gcsSource": {"uri": f"{tmp_path}/out/**.dcm"}})
    let_end()
    assert len(ask("GET", f"{DATASET}/operations?alt=json")["operations"]) == 4
    begun = ask("POST", f"{name}:export?alt=json", {"bigqueryDestination": {"force": True, **table}})
    assert ask("POST", f"{begun['name']}:cancel?alt=json", {}, "v1alpha2") == {}
    assert ask("GET", f"{name}:getDICOMStoreMetrics?alt=json")["instanceCount"] == "3"
