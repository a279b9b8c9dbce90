"""The curl samples of Google's guides, word for word, but for the address of the server."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.bigquery import BigQueryFake
from tests.gcs_server import GcsBucket
from tests.instances import ROOT
from tests.serve.processes import Server, let_end, server

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")

EXPORT = r"""
curl -X POST \
    -H "Authorization: Bearer $(gcloud auth application-default print-access-token)" \
    -H "Content-Type: application/json; charset=utf-8" \
    --data "{
      'bigqueryDestination': {
        'tableUri': 'bq://PROJECT_ID.BIGQUERY_DATASET_ID.BIGQUERY_TABLE_ID'
      },
      'writeDisposition': '{WRITE_EMPTY|WRITE_TRUNCATE|WRITE_APPEND}'
    }" "https://healthcare.googleapis.com/v1/projects/PROJECT_ID/locations/LOCATION/datasets/DATASET_ID/dicomStores/DICOM_STORE_ID:export"
"""
EXPORT_TO_ANOTHER_PROJECT = r"""
curl -X POST \
    -H "Authorization: Bearer $(gcloud auth application-default print-access-token)" \
    -H "Content-Type: application/json; charset=utf-8" \
    --data "{
      'bigqueryDestination': {
        'tableUri': 'bq://DESTINATION_PROJECT_ID.BIGQUERY_DATASET_ID.BIGQUERY_TABLE_ID'
      },
      'writeDisposition': '{WRITE_EMPTY|WRITE_TRUNCATE|WRITE_APPEND}'
    }" "https://healthcare.googleapis.com/v1/projects/SOURCE_PROJECT_ID/locations/LOCATION/datasets/DATASET_ID/dicomStores/DICOM_STORE_ID:export"
"""
EXPORT_WITH_A_FILTER = r"""
curl -X POST \
    -H "Authorization: Bearer $(gcloud auth application-default print-access-token)" \
    -H "Content-Type: application/json; charset=utf-8" \
    --data "{
      'bigqueryDestination': {
        'tableUri': 'bq://PROJECT_ID.BIGQUERY_DATASET_ID.BIGQUERY_TABLE_ID'
      },
      'filterConfig': {
        'resourcePathsGcsUri': 'gs://BUCKET/DIRECTORY/FILTER_FILE'
      },
      'writeDisposition': '{WRITE_EMPTY|WRITE_TRUNCATE|WRITE_APPEND}'
    }" "https://healthcare.googleapis.com/v1beta1/projects/PROJECT_ID/locations/LOCATION/datasets/DATASET_ID/dicomStores/DICOM_STORE_ID:export"
"""
GET = r"""
curl -X GET \
    -H "Authorization: Bearer $(gcloud auth application-default print-access-token)" \
    "https://healthcare.googleapis.com/v1/projects/PROJECT_ID/locations/LOCATION/datasets/DATASET_ID/operations/OPERATION_ID"
"""
GET_OF_ANOTHER_PROJECT = r"""
curl -X GET \
    -H "Authorization: Bearer $(gcloud auth application-default print-access-token)" \
    "https://healthcare.googleapis.com/v1/projects/SOURCE_PROJECT_ID/locations/LOCATION/datasets/DATASET_ID/operations/OPERATION_ID"
"""
GET_BETA = GET.replace("/v1/", "/v1beta1/")
FOLLOW = r"""
cat > request.json << 'EOF'
{
  'streamConfigs': [{
     'bigqueryDestination': {
       'tableUri': 'bq://PROJECT_ID.BIGQUERY_DATASET_ID.BIGQUERY_TABLE_ID'
     }
  }]
}
EOF
curl -X PATCH \
-H "Authorization: Bearer $(gcloud auth print-access-token)" \
-H "Content-Type: application/json; charset=utf-8" \
-d @request.json \
"https://healthcare.googleapis.com/v1/projects/PROJECT_ID/locations/LOCATION/datasets/DATASET_ID/dicomStores/DICOM_STORE_ID?updateMask=streamConfigs"
"""
EXPORT_GUIDE = {EXPORT, EXPORT_TO_ANOTHER_PROJECT, EXPORT_WITH_A_FILTER, GET, GET_OF_ANOTHER_PROJECT, GET_BETA}

TOKEN = "0123456789abcdef"
DATASET = "projects/my-project/locations/us-central1/datasets/my-dataset"
PLACEHOLDERS = {
    "DESTINATION_PROJECT_ID": "other-project",
    "SOURCE_PROJECT_ID": "my-project",
    "PROJECT_ID": "my-project",
    "LOCATION": "us-central1",
    "BIGQUERY_DATASET_ID": "my_bigquery_dataset",
    "BIGQUERY_TABLE_ID": "my_table",
    "DATASET_ID": "my-dataset",
    "DICOM_STORE_ID": "my-store",
    "DIRECTORY": "filters",
    "FILTER_FILE": "filter.txt",
}

Sample = Callable[..., Any]


def count(bigquery: BigQueryFake, table: str) -> int:
    return len(bigquery.rows(table))


@pytest.fixture
def sample(bigquery: BigQueryFake, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sample:
    """Run a sample in a shell whose gcloud tells the server's token; give its answer."""
    for project in ("my-project", "other-project"):
        bigquery.create_dataset(f"{project}.my_bigquery_dataset")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "gcloud").write_text(f"#!/bin/sh\necho {TOKEN}\n")
    (tmp_path / "bin" / "gcloud").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")

    def run(running: Server, text: str, disposition: str = "WRITE_EMPTY", **placeholders: str) -> Any:
        text = text.replace("{WRITE_EMPTY|WRITE_TRUNCATE|WRITE_APPEND}", disposition)
        for name, value in sorted((PLACEHOLDERS | placeholders).items(), key=lambda item: -len(item[0])):
            text = re.sub(rf"\b{name}\b", value, text)
        text = text.replace("https://healthcare.googleapis.com", running.url)
        done = subprocess.run(["bash", "-c", text], check=True, capture_output=True, text=True, cwd=tmp_path)
        return json.loads(done.stdout)

    return run


@pytest.fixture
def running(sample: Sample, tmp_path: Path) -> Any:
    """A server that asks for a token."""
    token = tmp_path / "token"
    token.touch(0o600)
    token.write_text(f"{TOKEN}\n")
    with server(tmp_path / "serve.log", f"--token-file={token}") as started:
        yield started
        let_end()


@pytest.mark.parametrize(
    ("export", "get", "project"),
    [(EXPORT, GET, "my-project"), (EXPORT_TO_ANOTHER_PROJECT, GET_OF_ANOTHER_PROJECT, "other-project")],
    ids=["same", "other"],
)
def test_the_samples_of_an_export_run(
    sample: Sample, running: Server, bigquery: BigQueryFake, export: str, get: str, project: str
) -> None:
    begun = sample(running, export)
    assert re.fullmatch(rf"{DATASET}/operations/[0-9]+", begun["name"])
    let_end()
    identity = begun["name"].rpartition("/")[2]
    operation = sample(running, get, OPERATION_ID=identity)
    assert operation["done"] is True
    assert operation["name"] == begun["name"]
    kind = "type.googleapis.com/google.cloud.healthcare.v1"
    assert operation["metadata"]["@type"] == f"{kind}.OperationMetadata"
    assert operation["metadata"]["apiMethodName"] == "google.cloud.healthcare.v1.dicom.DicomService.ExportDicomData"
    assert {"createTime", "endTime", "logsUrl"} <= operation["metadata"].keys()
    assert operation["response"] == {"@type": f"{kind}.dicom.ExportDicomDataResponse"}
    assert count(bigquery, f"{project}.my_bigquery_dataset.my_table") == 3
    refused = sample(running, export)
    assert (refused["error"]["code"], refused["error"]["status"]) == (400, "FAILED_PRECONDITION")
    sample(running, export, "WRITE_APPEND")
    let_end()
    assert count(bigquery, f"{project}.my_bigquery_dataset.my_table") == 6
    assert sample(running, export, "WRITE_WHATEVER")["error"]["details"][0]["fieldViolations"][0]["field"] == (
        "write_disposition"
    )


def test_the_samples_of_an_export_with_a_filter_run(
    gcs_bucket: GcsBucket, sample: Sample, running: Server, bigquery: BigQueryFake
) -> None:
    gcs_bucket.put("filters/filter.txt", f"/studies/{ROOT}.1/series/1.2.3\n".encode())
    begun = sample(running, EXPORT_WITH_A_FILTER, BUCKET=gcs_bucket.client.name)
    let_end()
    operation = sample(running, GET_BETA, OPERATION_ID=begun["name"].rpartition("/")[2])
    kind = "type.googleapis.com/google.cloud.healthcare.v1beta1"
    assert operation["metadata"]["@type"] == f"{kind}.OperationMetadata"
    assert operation["response"] == {"@type": f"{kind}.dicom.ExportDicomDataResponse"}
    assert count(bigquery, "my-project.my_bigquery_dataset.my_table") == 1


def test_the_sample_that_lets_a_table_follow_a_store_runs(
    sample: Sample, running: Server, bigquery: BigQueryFake
) -> None:
    store = sample(running, FOLLOW)
    assert store["name"] == f"{DATASET}/dicomStores/my-store"
    uri = "bq://my-project.my_bigquery_dataset.my_table"
    assert store["streamConfigs"] == [{"bigqueryDestination": {"tableUri": uri}}]
    assert count(bigquery, "my-project.my_bigquery_dataset.my_table") == 0


@pytest.mark.corpus
def test_the_samples_are_those_of_the_guide() -> None:
    guide = Path(os.environ.get("DICOMBQ_CORPUS", ".")).parent / "spec" / "google" / "export_guide.txt"
    if not guide.exists():
        pytest.skip("the guide does not lie beside the folder that DICOMBQ_CORPUS names")
    found = re.findall(r"^curl .*?(?<!\\)\n(?=\n)", guide.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert {text.strip() for text in found} == {text.strip() for text in EXPORT_GUIDE}
