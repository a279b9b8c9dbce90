"""A stream to local-bigquery, a server that knows nothing of this project."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from dicombq.names import BigQueryTable
from dicombq.table.view import view_name
from tests.streaming.conftest import Lab
from tests.streaming.tables import check_history, numbers
from tests.tables import anonymous_client, query_bigquery


@pytest.fixture
def lab(local_bigquery: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Lab:
    """A folder, and a table of a dataset of its own."""
    folder = tmp_path / "scans"
    folder.mkdir()
    dataset = f"d_{uuid.uuid4().hex}"
    with anonymous_client() as client:
        client.create_dataset(dataset)
    return Lab(tmp_path, folder, BigQueryTable("p", dataset, "t"), capsys)


@pytest.mark.parametrize("delivery", ["load", "insert"])
def test_the_table_has_the_history_and_the_view_is_the_folder(lab: Lab, delivery: str) -> None:
    view = BigQueryTable(lab.table.project, lab.table.dataset, view_name(lab.table.table))
    lab.follow(f"--delivery={delivery}")
    for number in (1, 2, 3):
        lab.write(number)
    lab.sync()
    assert (lab.code, numbers(query_bigquery(view))) == (0, [1, 2, 3])
    lab.write(1, "second", PatientName="A^B")
    (lab.folder / "2.dcm").unlink()
    (lab.folder / "3.dcm").rename(lab.folder / "moved.dcm")
    lab.sync()
    assert (lab.code, numbers(query_bigquery(view))) == (0, [1, 3])
    rows = query_bigquery(lab.table)
    assert sorted((row["Type"], row["StudyDescription"] or "") for row in rows) == [
        ("CREATE", "first"),
        ("CREATE", "first"),
        ("CREATE", "first"),
        ("CREATE", "second"),
        ("DELETE", ""),
    ]
    check_history(rows)
    assert lab.sync()["tables"][0]["delivered"] == 0


def test_rows_that_an_export_wrote_are_adopted(lab: Lab) -> None:
    for number in (1, 2):
        lab.write(number)
    lab.run("export", "bq", lab.store, f"--bq-table={lab.table}", "--quiet")
    assert lab.code == 0
    lab.follow()
    (lab.folder / "1.dcm").unlink()
    assert lab.sync("--reconcile")["tables"][0]["delivered"] == 1
    assert len(query_bigquery(lab.table)) == 3
