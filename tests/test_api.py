from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import pytest

import dicombq
from dicombq.errors import DicombqError, FailedPrecondition, NotFound, TableExists
from tests.instances import write_instance, write_truncated


@pytest.fixture
def scans(home: Path, tmp_path: Path) -> Path:
    for number in (1, 2):
        write_instance(tmp_path / "scans" / f"{number}.dcm", number, PatientID="A", ImageType=["ORIGINAL", "PRIMARY"])
    return tmp_path / "scans"


def test_the_row_of_a_file_has_the_columns_of_the_table(scans: Path) -> None:
    row = dicombq.read_row(scans / "1.dcm")
    assert (row["PatientID"], row["ImageType"], row["Type"]) == ("A", ["ORIGINAL", "PRIMARY"], "CREATE")
    assert row["BlobStorageSize"] == (scans / "1.dcm").stat().st_size
    assert "PatientName" not in row


def test_a_file_that_is_no_instance_is_an_error(scans: Path) -> None:
    write_truncated(scans / "broken.dcm", PatientName="Doe^Jane")
    for name in ("broken.dcm", "notes.txt"):
        (scans / "notes.txt").write_text("x")
        with pytest.raises(FailedPrecondition, match="cannot be read as an instance") as error:
            dicombq.read_row(scans / name)
        assert "Doe" not in error.value.message
    with pytest.raises(NotFound):
        dicombq.read_row(scans / "missing.dcm")
    (scans / "empty").mkdir()
    with pytest.raises(FailedPrecondition):
        dicombq.read_row(scans / "empty")


def test_rows_of_a_store_are_read_one_by_one(scans: Path) -> None:
    (scans / "notes.txt").write_text("x")
    (scans / "link.dcm").symlink_to("nowhere")
    rows = dicombq.iter_rows(scans)
    assert isinstance(rows, Iterator)
    assert {row["SOPInstanceUID"][-1] for row in rows} == {"1", "2"}


def test_an_export_gives_its_operation(scans: Path, tmp_path: Path) -> None:
    table = f"duckdb://{tmp_path}/x.duckdb/d.t"
    operation = dicombq.export_to_table(scans, table, workers=1)
    assert operation["done"] is True
    assert operation["metadata"]["counter"]["success"] == "2"
    with pytest.raises(TableExists):
        dicombq.export_to_table(str(scans), table)
    assert dicombq.export_to_table(scans, table, write_disposition="write-truncate")["done"] is True
    assert dicombq.export_to_table(scans, schema_json=True)["done"] is True
    names = {field["name"]: field for field in dicombq.schema_of(table)}
    assert names["PatientID"] == {
        "name": "PatientID",
        "type": "STRING",
        "mode": "NULLABLE",
        "description": "Patient ID (0010,0020) LO",
    }


def test_the_schema_of_a_store_is_that_of_its_table(scans: Path) -> None:
    assert "ImageType" in {field["name"] for field in dicombq.schema_of(scans)}


def test_errors_are_those_of_the_tree(home: Path) -> None:
    with pytest.raises(DicombqError):
        dicombq.schema_of("duckdb://x")


def test_what_is_public_is_typed_and_documented() -> None:
    for name in set(dicombq.__all__) - {"__version__"}:
        function: Any = getattr(dicombq, name)
        assert "return" in get_type_hints(function)
        assert function.__doc__
        assert "Parameters\n" in function.__doc__
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = dicombq.nothing


def test_importing_it_imports_nothing_heavy() -> None:
    script = (
        "import sys, dicombq; print([name for name in sys.modules if name.partition('.')[0] in {'duckdb', 'google'}])"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "[]\n"
