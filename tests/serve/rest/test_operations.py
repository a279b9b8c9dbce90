from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from dicombq.cli.main import main

DATASET = "projects/my-project/locations/us-central1/datasets/my-dataset"
OPERATIONS = f"/v1/{DATASET}/operations"


@pytest.fixture
def identities(scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Operations of commands, the newest first: four of the dataset, and one of another."""
    here = ["--project=my-project", "--location=us-central1"]
    for number in range(4):
        table = f"--bq-table=duckdb://{tmp_path}/x.duckdb/d.t{number % 2}"
        assert main(["export", "bq", "my-store", *here, "--dataset=my-dataset", table]) in (0, 4)
    table = f"--bq-table=duckdb://{tmp_path}/x.duckdb/d.t9"
    assert main(["export", "gcs", "my-store", *here, "--dataset=my-dataset", f"--gcs-uri-prefix={tmp_path}/out"]) == 0
    assert main(["export", "bq", str(scans), *here, "--dataset=other", table]) == 0
    capsys.readouterr()
    main(["operations", "list", *here, "--dataset=my-dataset", "--format=value(id)"])
    return capsys.readouterr().out.split()


def listed(client: TestClient, **query: str | int) -> list[str]:
    answer = client.get(OPERATIONS, params=query)
    assert answer.status_code == 200, answer.text
    return [operation["name"].rpartition("/")[2] for operation in answer.json()["operations"]]


def test_operations_are_listed_the_newest_first_page_by_page(client: TestClient, identities: list[str]) -> None:
    assert len(identities) == 3
    assert listed(client) == listed(client, pageSize=0) == listed(client, pageSize=5000) == identities
    first = client.get(OPERATIONS, params={"pageSize": 2}).json()
    assert [operation["name"].rpartition("/")[2] for operation in first["operations"]] == identities[:2]
    assert listed(client, pageSize=2, pageToken=first["nextPageToken"]) == identities[2:]
    assert listed(client, returnPartialSuccess="true") == identities


@pytest.mark.parametrize(
    ("expression", "numbers"),
    [
        ("done=true", [0, 1, 2]),
        ("state=DONE AND target:out", [0]),
        ("metadata.counter.failure>0", []),
        ("metadata.apiMethodName:ExportDicomData", [0, 1, 2]),
        ("target:t1", [1]),
    ],
)
def test_operations_are_filtered_as_by_the_command(
    client: TestClient, identities: list[str], expression: str, numbers: list[int]
) -> None:
    assert listed(client, filter=expression) == [identities[number] for number in numbers]


def test_a_filter_that_is_none_is_refused(client: TestClient, scans: Path) -> None:
    refused = client.get(OPERATIONS, params={"filter": "state"})
    assert (refused.status_code, refused.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")


def test_an_operation_is_found_by_its_whole_name_only(client: TestClient, identities: list[str]) -> None:
    found = client.get(f"{OPERATIONS}/{identities[0]}").json()
    assert found["name"] == f"{DATASET}/operations/{identities[0]}"
    for name in (
        f"{OPERATIONS}/12",
        f"{OPERATIONS}/x",
        f"{OPERATIONS}/%D9%A3",
        f"{OPERATIONS}/{identities[0]}".replace("my-dataset", "other"),
        f"{OPERATIONS}/{identities[0]}".replace("us-central1", "europe"),
    ):
        assert client.get(name).status_code == 404
        assert client.post(f"{name}:cancel", json={}).status_code == 404
