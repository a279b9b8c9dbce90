"""A table that holds the latest version of each instance: what holds of every warehouse."""

from __future__ import annotations

import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dicombq.errors import FailedPrecondition
from dicombq.names import BigQueryTable, DuckdbTable
from dicombq.system.times import from_microseconds
from dicombq.table.mapping import json_fields
from dicombq.warehouses.base import LoadResult
from dicombq.warehouses.bigquery import BigQueryWarehouse
from dicombq.warehouses.duckdb import DuckdbWarehouse
from tests.tables import ID, NAME, Place, Row, list_bigquery, make_load, read_duckdb

FIELDS = json_fields(typed=False)


@pytest.fixture(params=["duckdb", "fake"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Give each warehouse in turn, with an empty data set."""
    scratch = tmp_path / f"scratch_{uuid.uuid4().hex}"
    scratch.mkdir()
    if request.param == "duckdb":
        file = tmp_path / "warehouse.duckdb"
        return Place(DuckdbWarehouse(file), DuckdbTable(file, "d", "t"), scratch, read_duckdb)
    request.getfixturevalue("bigquery_write")
    return Place(BigQueryWarehouse("p"), BigQueryTable("p", "d", "t"), scratch, list_bigquery)


def row(number: int, version: int, kind: str = "CREATE", **more: Any) -> Row:
    """Write a row of an instance."""
    uids = {"StudyInstanceUID": "1", "SeriesInstanceUID": "1.1", "SOPInstanceUID": f"1.1.{number}"}
    metadata = {} if kind == "DELETE" else {"Metadata": {"version": version}}
    return uids | metadata | {"Type": kind, "LastUpdated": from_microseconds(version)} | more


def change(place: Place, *rows: Row, fields: Any = FIELDS, job_id: str | None = None) -> LoadResult:
    """Write rows."""
    return place.warehouse.change(place.table, make_load(place.folder, rows, fields, job_id=job_id))


def versions(place: Place) -> dict[str, int]:
    """Give the version of each instance that the table holds."""
    rows = place.rows()
    found = {each["SOPInstanceUID"].rpartition(".")[2]: each["Metadata"]["version"] for each in rows}
    assert len(found) == len(rows)
    return found


def test_a_row_replaces_the_older_one_and_a_deletion_leaves_none(place: Place) -> None:
    change(place, row(1, 1), row(2, 2))
    change(place, row(1, 3), row(2, 4, "DELETE"), row(3, 5))
    assert versions(place) == {"1": 3, "3": 5}
    change(place, row(3, 6, "DELETE"), row(2, 7))
    assert versions(place) == {"1": 3, "2": 7}


def test_of_several_rows_of_an_instance_in_one_load_the_last_one_counts(place: Place) -> None:
    change(place, row(1, 1), row(1, 3), row(1, 2), row(2, 1), row(2, 2, "DELETE"), row(3, 1, "DELETE"), row(3, 2))
    assert versions(place) == {"1": 3, "3": 2}


def test_what_comes_late_replaces_nothing_that_is_newer(place: Place) -> None:
    change(place, row(1, 5))
    change(place, row(1, 4), row(1, 3, "DELETE"))
    assert versions(place) == {"1": 5}
    change(place, row(1, 5, Metadata={"version": 50}))  # the same one again
    assert versions(place) == {"1": 50}


def test_times_before_1970_are_older_than_those_after(place: Place) -> None:
    change(place, row(1, -5))
    change(place, row(1, 4))
    change(place, row(1, -4))
    assert versions(place) == {"1": 4}


def test_the_table_is_made_with_its_key_and_without_type(place: Place) -> None:
    change(place)
    found = place.warehouse.state(place.table)
    assert found.key == ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    assert "Type" not in [field.name for field in found.fields]
    change(place)
    assert place.rows() == []


def test_values_of_every_kind_arrive(place: Place) -> None:
    more: Row = {
        "DroppedTags": ["a", "b"],
        "StorageClass": "STANDARD",
        "BlobStorageSize": 12,
        "StructuredStorageSize": 3,
    }
    change(place, row(1, 1, Metadata={"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Ä^É"}]}}, **more))
    (found,) = place.rows()
    assert found == {
        "StudyInstanceUID": "1",
        "SeriesInstanceUID": "1.1",
        "SOPInstanceUID": "1.1.1",
        "Metadata": {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Ä^É"}]}},
        "LastUpdated": "1970-01-01T00:00:00.000001+00:00",
        **more,
    }


def test_each_store_has_its_own_row_of_an_instance(place: Place) -> None:
    fields = json_fields(source_store=True, typed=False)
    change(place, row(1, 1, SourceDicomStore="a"), row(1, 2, SourceDicomStore="b"), fields=fields)
    change(place, row(1, 3, "DELETE", SourceDicomStore="a"), fields=fields)
    assert [each["SourceDicomStore"] for each in place.rows()] == ["b"]


def test_an_instance_without_study_is_replaced_too(place: Place) -> None:
    without = row(1, 1)
    del without["StudyInstanceUID"]
    later = without | {"Metadata": {"version": 2}, "LastUpdated": from_microseconds(2)}
    change(place, without)
    change(place, later)
    assert versions(place) == {"1": 2}
    change(place, later | {"Type": "DELETE"})
    assert versions(place) == {}


def test_many_files_are_one_load(place: Place) -> None:
    loads = [make_load(place.folder, [row(n, 1), row(0, n)], FIELDS) for n in range(1, 60)]
    together = replace(loads[0], files=[file for load in loads for file in load.files])
    place.warehouse.change(place.table, together)
    assert versions(place) == {"0": 59} | {str(n): 1 for n in range(1, 60)}


@pytest.mark.parametrize("rows", [[], [{"Id": 1, "Name": "a"}]])
def test_a_table_without_that_key_is_refused_and_stays(place: Place, rows: list[Row]) -> None:
    place.load(rows, ID, NAME)
    with pytest.raises(FailedPrecondition, match="no primary key") as refused:
        change(place, row(1, 1))
    assert "delete this one" in refused.value.hint
    assert place.rows() == rows


def test_the_key_of_another_form_is_refused(place: Place) -> None:
    change(place)
    with pytest.raises(FailedPrecondition, match="has the primary key"):
        change(place, fields=json_fields(source_store=True, typed=False))


def test_columns_that_are_missing_are_added(place: Place) -> None:
    change(place, row(1, 1), fields=[f for f in FIELDS if f.name != "StorageClass"])
    change(place, row(2, 2, StorageClass="STANDARD"))
    assert sorted(str(each.get("StorageClass")) for each in place.rows()) == ["None", "STANDARD"]
