"""The samples of Google's guide to exporting DICOM metadata, word for word."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import Result, Run
from tests.fakes.bigquery import BigQueryFake
from tests.instances import write_instance

EXPORT = r"""
gcloud healthcare dicom-stores export bq DICOM_STORE_ID \
  --dataset=DATASET_ID \
  --location=LOCATION \
  --bq-table=bq://PROJECT_ID.BIGQUERY_DATASET_ID.BIGQUERY_TABLE_ID \
  [--overwrite-table]
"""
EXPORT_TO_ANOTHER_PROJECT = r"""
gcloud healthcare dicom-stores export bq DICOM_STORE_ID \
  --dataset=DATASET_ID \
  --location=LOCATION \
  --bq-table=bq://DESTINATION_PROJECT_ID.BIGQUERY_DATASET_ID.BIGQUERY_TABLE_ID \
  [--overwrite-table]
"""
DESCRIBE = r"""
gcloud healthcare operations describe OPERATION_ID \
  --dataset=DATASET_ID
"""
DESCRIBE_WITH_LOCATION = r"""
gcloud healthcare operations describe OPERATION_ID \
  --location=LOCATION \
  --dataset=DATASET_ID
"""
PLACEHOLDERS = {
    "DICOM_STORE_ID": "my-store",
    "DATASET_ID": "my-dataset",
    "LOCATION": "us-central1",
    "DESTINATION_PROJECT_ID": "other-project",
    "PROJECT_ID": "my-project",
    "BIGQUERY_DATASET_ID": "my_bigquery_dataset",
    "BIGQUERY_TABLE_ID": "my_table",
}
PARENT = "projects/my-project/locations/us-central1/datasets/my-dataset"


@pytest.fixture
def sample(run: Run, here: Path, bigquery: BigQueryFake, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a sample as in a shell, with its placeholders filled in."""
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "my-project")
    bigquery.create_dataset("my-project.my_bigquery_dataset")
    bigquery.create_dataset("other-project.my_bigquery_dataset")
    write_instance(here / "my-store" / "1.dcm", 1)

    def run_sample(text: str, *, optional: bool = False, **placeholders: str) -> Result:
        text = re.sub(r"\[(.*?)\]", r"\1" if optional else "", text.strip())
        for name, value in sorted((PLACEHOLDERS | placeholders).items(), key=lambda item: -len(item[0])):
            text = re.sub(rf"\b{name}\b", value, text)
        assert not re.search(r"\b[A-Z]+_[A-Z_]+\b", text)
        words = shlex.split(text.replace("\\\n", " "))
        assert words[:2] == ["gcloud", "healthcare"]
        return run(*words[2:])

    return run_sample


@pytest.mark.parametrize(
    ("text", "project"), [(EXPORT, "my-project"), (EXPORT_TO_ANOTHER_PROJECT, "other-project")], ids=["same", "other"]
)
def test_the_export_samples_run(sample: Run, bigquery: BigQueryFake, text: str, project: str) -> None:
    result = sample(text)
    assert (result.code, result.out) == (0, f"name: {PARENT}/dicomStores/my-store\n")
    lines = result.err.splitlines()
    assert lines[0] == "Request issued for: [my-store]"
    assert re.fullmatch(
        rf"Waiting for operation \[{PARENT}/operations/[0-9]+\] to complete\.\.\.done\.",
        lines[1],
    )
    assert lines[2] == f"Table: bq://{project}.my_bigquery_dataset.my_table (1 new row)"
    assert bigquery.called("jobs.upload.chunk") or bigquery.called("jobs.insert")
    assert sample(text).code == 4
    assert sample(text, optional=True).code == 0


@pytest.mark.parametrize("text", [DESCRIBE, DESCRIBE_WITH_LOCATION], ids=["dataset", "location"])
def test_the_describe_samples_run(sample: Run, text: str) -> None:
    waiting = sample(EXPORT).err.splitlines()[1]
    identity = re.findall(r"operations/([0-9]+)", waiting)[0]
    result = sample(text, OPERATION_ID=identity)
    assert (result.code, result.err) == (0, "")
    operation = yaml.safe_load(result.out)
    assert operation["done"] is True
    assert operation["name"] == f"{PARENT}/operations/{identity}"
    assert operation["metadata"]["@type"] == "type.googleapis.com/google.cloud.healthcare.v1.OperationMetadata"
    assert operation["metadata"]["apiMethodName"] == "google.cloud.healthcare.v1.dicom.DicomService.ExportDicomData"
    assert operation["response"] == {
        "@type": "type.googleapis.com/google.cloud.healthcare.v1.dicom.ExportDicomDataResponse"
    }
    assert {"createTime", "endTime", "counter", "logsUrl"} <= operation["metadata"].keys()
