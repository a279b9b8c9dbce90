"""What every warehouse does alike."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from dicombq.errors import DicombqError, FailedPrecondition, NotAWarehouse, SqlError, TableExists, TableNotEmpty
from dicombq.table.disposition import Disposition, TableState
from dicombq.table.fields import Field
from dicombq.table.mapping import DROPPED_TAGS, flattened_fields, json_fields
from dicombq.warehouses.base import FieldConflict, TableRow
from tests.tables import ID, NAME, Place, Row, record

OLD: list[Row] = [{"Id": 1}]
NEW: list[Row] = [{"Id": 2}, {"Id": 3}]
PERSON_NAME = flattened_fields(["PatientName"])[0]
DEEP = record("A", record("B", record("C", record("D", Field("E", "STRING", "REPEATED"), ID))))
FLAT = record("Items", NAME)
REFUSED = {(state, Disposition.NONE): TableExists for state in (TableState.EMPTY, TableState.ROWS)} | {
    (TableState.ROWS, Disposition.WRITE_EMPTY): TableNotEmpty
}
UIDS = ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"]
INSTANCE = flattened_fields(UIDS)
LOW, HIGH = -(2**63), 2**63 - 1
VALUES: list[tuple[Any, ...]] = [
    ("STRING", 'Müller 日本 🙂 it\'s "q" `b` \\ \t\r\n\n{}'),
    ("STRING", ""),
    *(("INTEGER", number) for number in (LOW, HIGH, 0)),
    *(("FLOAT", number) for number in (-1.5e-300, 0.1, 1.7976931348623157e308)),
    ("FLOAT", "NaN", "nan"),
    ("FLOAT", "Infinity", "inf"),
    ("FLOAT", "-Infinity", "-inf"),
    *(("DATE", day) for day in ("0001-01-01", "9999-12-31")),
    *(("TIME", time) for time in ("00:00:00", "23:59:59.999999")),
    ("TIMESTAMP", "2020-02-29T23:59:59.000001Z", "2020-02-29T23:59:59.000001+00:00"),
    ("TIMESTAMP", "1901-01-01T00:00:00Z", "1901-01-01T00:00:00+00:00"),
]
"""Types with values, and as what they are read back where that differs."""


def test_a_missing_table_has_no_fields(place: Place) -> None:
    found = place.warehouse.state(place.table)
    assert (found.state, found.fields) == (TableState.MISSING, ())


def test_datasets_and_their_tables_are_named_without_views(place: Place) -> None:
    for name in ("u", "t"):
        place.load([], *INSTANCE, table=place.named(name))
    place.warehouse.replace_view(place.table, INSTANCE)
    assert place.table.dataset in place.warehouse.datasets()
    assert "_dicombq" not in place.warehouse.datasets()
    assert place.warehouse.tables(place.table.dataset) == ["t", "u"]


def test_a_table_has_the_fields_that_were_loaded(place: Place) -> None:
    fields = (*flattened_fields(["PatientName", "StudyDate", "StudyTime", "OtherElements"]), DEEP)
    result = place.load([], *fields)
    found = place.warehouse.state(place.table)
    assert (result.rows, result.fields) == (0, fields)
    assert (found.state, found.fields) == (TableState.EMPTY, fields)


def test_a_table_of_the_json_schema_has_the_fields_that_were_loaded(place: Place) -> None:
    fields = json_fields(source_store=True)
    place.load([{"Metadata": {"00100020": {"vr": "LO", "Value": ["1"]}}, "Type": "CREATE"}], *fields)
    found = place.warehouse.state(place.table)
    assert (found.state, found.fields) == (TableState.ROWS, fields)


@pytest.mark.parametrize(("state", "disposition"), list(product(TableState, Disposition)))
def test_a_load_does_what_the_disposition_says(place: Place, state: TableState, disposition: Disposition) -> None:
    old = OLD if state is TableState.ROWS else []
    if state is not TableState.MISSING:
        place.load(old, ID)
    if refusal := REFUSED.get((state, disposition)):
        with pytest.raises(refusal):
            place.load(NEW, ID, disposition=disposition)
        assert place.rows() == old
    else:
        assert place.load(NEW, ID, disposition=disposition).rows == 2
        assert place.rows() == (old if disposition is Disposition.WRITE_APPEND else []) + NEW


@pytest.mark.parametrize("disposition", [Disposition.WRITE_TRUNCATE, Disposition.WRITE_APPEND])
def test_a_load_with_a_row_that_does_not_fit_leaves_the_table(place: Place, disposition: Disposition) -> None:
    place.load(OLD, ID)
    with pytest.raises(DicombqError) as failure:
        place.load([*NEW, {"Id": "Doe^Jane"}], ID, disposition=disposition)
    assert "Doe" not in failure.value.message + failure.value.hint
    assert place.rows() == OLD
    assert place.warehouse.state(place.table).fields == (ID,)


def test_a_load_of_a_row_that_does_not_fit_makes_no_table(place: Place) -> None:
    with pytest.raises(DicombqError):
        place.load([{"Id": "Doe^Jane"}], ID)
    assert place.warehouse.state(place.table).state is TableState.MISSING


@pytest.mark.parametrize("disposition", list(Disposition))
def test_a_job_id_loads_once(place: Place, disposition: Disposition) -> None:
    first = place.load(NEW, ID, disposition=disposition, job_id=f"{place.folder.name}_once")
    again = place.load(NEW, ID, disposition=disposition, job_id=f"{place.folder.name}_once")
    assert (first, again) == (again, first)
    assert place.rows() == NEW


def test_a_job_id_whose_load_failed_loads_the_next_time(place: Place) -> None:
    place.load(OLD, ID)
    job_id = f"{place.folder.name}_again"
    for _ in range(2):
        with pytest.raises(DicombqError):
            place.load([{"Id": "Doe^Jane"}], ID, disposition=Disposition.WRITE_APPEND, job_id=job_id)
    for _ in range(2):
        assert place.load(NEW, ID, disposition=Disposition.WRITE_APPEND, job_id=job_id).rows == 2
    assert place.rows() == OLD + NEW


def test_append_adds_missing_columns_and_keeps_old_rows(place: Place) -> None:
    place.load(OLD, ID)
    result = place.append([{"Name": "b", "Items": [{"Name": "c"}]}], NAME, FLAT)
    assert result.fields == (ID, NAME, FLAT)
    assert place.rows() == [{"Id": 1}, {"Items": [{"Name": "c"}], "Name": "b"}]


def test_append_adds_missing_columns_of_records(place: Place) -> None:
    place.needs("nested columns")
    place.load([{"Id": 1, "Items": [{"Name": "a"}], "A": [{"B": [{"Id": 5}]}]}], ID, FLAT, record("A", record("B", ID)))
    added = record("Items", ID, record("More", NAME))
    result = place.append(
        [{"Id": 2, "Items": [{"Id": 7, "More": [{"Name": "x"}]}, {}], "A": [{"B": [{"C": [{"D": [{"Id": 4}]}]}]}]}],
        ID,
        added,
        DEEP,
    )
    assert result.fields[1] == record("Items", NAME, ID, record("More", NAME))
    assert place.warehouse.state(place.table).fields == result.fields
    assert place.rows() == [
        {"A": [{"B": [{"C": [{"D": [{"Id": 4}]}]}]}], "Id": 2, "Items": [{"Id": 7, "More": [{"Name": "x"}]}, None]},
        {"A": [{"B": [{"Id": 5}]}], "Id": 1, "Items": [{"Name": "a"}]},
    ]


def test_append_finds_columns_regardless_of_case(place: Place) -> None:
    place.needs("columns in another case")
    place.load(OLD, ID)
    place.append([{"iD": 2}], Field("iD", "INTEGER"))
    assert place.rows() == [{"Id": 1}, {"Id": 2}]


def test_append_leaves_columns_alone_that_the_rows_do_not_have(place: Place) -> None:
    place.load([{"Id": 1, "Name": "a"}], ID, NAME)
    assert place.append([{"Id": 2}], ID).fields == (ID, NAME)
    assert place.rows() == [{"Id": 1, "Name": "a"}, {"Id": 2}]


@pytest.mark.parametrize(
    ("existing", "wanted", "path", "types"),
    [
        (ID, Field("Id", "STRING"), "Id", ("INTEGER", "STRING")),
        (ID, Field("Id", "INTEGER", "REPEATED"), "Id", ("INTEGER", "REPEATED INTEGER")),
        (FLAT, record("Items", NAME, mode="NULLABLE"), "Items", ("REPEATED RECORD", "RECORD")),
        (FLAT, record("Items", Field("Name", "FLOAT")), "Items.Name", ("STRING", "FLOAT")),
        (FLAT, Field("Items", "STRING", "REPEATED"), "Items", ("REPEATED RECORD", "REPEATED STRING")),
    ],
    ids=["type", "mode", "mode of a record", "type in a record", "record and scalar"],
)
def test_a_conflict_names_column_and_both_types(
    place: Place, existing: Field, wanted: Field, path: str, types: tuple[str, str]
) -> None:
    place.load([], existing)
    for disposition in (Disposition.WRITE_EMPTY, Disposition.WRITE_APPEND):
        with pytest.raises(FieldConflict) as failure:
            place.load([{}], wanted, disposition=disposition)
        [conflict] = failure.value.conflicts
        assert conflict.path == path
        assert (conflict.existing.describe(), conflict.wanted.describe()) == types
    assert place.rows() == []


def test_a_load_into_an_empty_table_keeps_its_columns_and_adds_the_missing(place: Place) -> None:
    place.load([], ID, DROPPED_TAGS)
    result = place.load([{"Name": "a", "Id": 1}], NAME, ID, disposition=Disposition.WRITE_EMPTY)
    assert result.fields == (ID, DROPPED_TAGS, NAME)
    assert place.warehouse.state(place.table).fields == result.fields
    assert place.rows() == [{"Id": 1, "Name": "a"}]


def test_a_replaced_table_has_the_schema_of_its_rows(place: Place) -> None:
    place.load([{"Id": 1, "Items": [{"Name": "a"}]}], ID, FLAT)
    text = Field("Id", "STRING")
    result = place.load([{"Id": "x", "Name": "b"}], NAME, text, disposition=Disposition.WRITE_TRUNCATE)
    assert result.fields == (NAME, text)
    assert place.rows() == [{"Id": "x", "Name": "b"}]


def test_a_load_without_rows_adds_its_columns(place: Place) -> None:
    place.load(OLD, ID)
    assert place.append([], NAME).fields == (ID, NAME)
    assert place.rows() == OLD


def test_values_are_read_back_as_they_were_loaded(place: Place) -> None:
    fields: list[Field] = []
    row: Row = {}
    wanted: Row = {}
    for number, (kind, value, *read) in enumerate(VALUES):
        fields += [Field(f"V{number}", kind), Field(f"R{number}", kind, "REPEATED")]
        row |= {f"V{number}": value, f"R{number}": [value, value]}
        [expected] = read or [value]
        wanted |= {f"V{number}": expected, f"R{number}": [expected, expected]}
    place.load([row, {}], *fields)
    assert place.rows() == [wanted, {}]


def test_json_is_read_back_as_it_was_loaded(place: Place) -> None:
    value = {"00080018": {"vr": "UI", "Value": ["1.2", None, LOW, 1.5, {"ü": [], "q": 'it\'s "q" \\'}]}}
    place.load([{"Metadata": value}], Field("Metadata", "JSON"))
    assert place.read(place.table) == [{"Metadata": value}]


def test_records_are_read_back_as_they_were_loaded(place: Place) -> None:
    name = {"FamilyName": "Doe", "GivenName": "Jane"}
    row: Row = {
        "A": [{"B": [{"C": [{"D": [{"E": ["x", ""], "Id": 1}, {"Id": 2}]}, {"D": [{"E": ["y"]}]}]}]}],
        "DroppedTags": [{"TagName": "PixelData", "TagReference": ""}],
        "PatientName": {"Alphabetic": name, "Ideographic": {"FamilyName": "山田"}},
    }
    place.load([row, {"PatientName": {"Phonetic": {"GivenName": "x"}}}], PERSON_NAME, DEEP, DROPPED_TAGS)
    assert place.rows() == [row, {"PatientName": {"Phonetic": {"GivenName": "x"}}}]


def instance(number: int, updated: str | None, size: int, **more: str) -> Row:
    """Write an instance's row; its size tells it from others of the same instance."""
    row: Row = {"BlobStorageSize": size, "Type": "CREATE", **dict.fromkeys(UIDS, f"1.2.{number}"), **more}
    return row | ({"LastUpdated": f"{updated}T00:00:00Z"} if updated else {})


def sizes(rows: list[Row]) -> list[int]:
    return sorted(row["BlobStorageSize"] for row in rows)


def test_the_view_shows_the_newest_row_of_an_instance(place: Place) -> None:
    rows = [
        *(instance(1, "2020-01-01", 1), instance(1, "2020-03-01", 2), instance(1, "2020-02-01", 3)),
        *(instance(2, None, 4), instance(2, "1999-01-01", 5)),
        *(instance(3, "2020-01-01", 6), instance(3, "2020-01-01", 7, StudyInstanceUID="1.2.9")),
        instance(4, None, 8),
    ]
    place.load(rows, *INSTANCE)
    place.warehouse.replace_view(place.table, INSTANCE)
    assert sizes(place.view()) == [2, 5, 6, 7, 8]


def test_the_view_hides_an_instance_whose_newest_row_deletes_it(place: Place) -> None:
    rows = [
        *(instance(1, "2020-01-01", 1), instance(1, "2020-03-01", 2, Type="DELETE")),
        *(instance(2, "2020-01-01", 3, Type="DELETE"), instance(2, "2020-03-01", 4)),
        instance(3, "2020-01-01", 5, Type="DELETE"),
        *(instance(4, "2020-01-01", 6), instance(4, None, 7, Type="DELETE")),
    ]
    untyped = instance(5, "2020-01-01", 8)
    del untyped["Type"]
    place.load([*rows, untyped], *INSTANCE)
    place.warehouse.replace_view(place.table, INSTANCE)
    assert sizes(place.view()) == [4, 6, 8]


def test_the_view_shows_every_row_that_identifies_no_instance(place: Place) -> None:
    rows = [instance(1, "2020-01-01", size) for size in (1, 2, 3)]
    for row in rows:
        del row["SOPInstanceUID"]
    place.load([*rows, instance(1, "2020-01-01", 4)], *INSTANCE)
    place.warehouse.replace_view(place.table, INSTANCE)
    assert sizes(place.view()) == [1, 2, 3, 4]


def test_the_view_of_a_table_without_instance_uids_shows_every_row(place: Place) -> None:
    fields = flattened_fields(["StudyInstanceUID"])
    rows = [{"StudyInstanceUID": "1.2", "BlobStorageSize": size, "Type": "CREATE"} for size in (1, 2)]
    place.load([*rows, {"BlobStorageSize": 3, "Type": "DELETE"}], *fields)
    place.warehouse.replace_view(place.table, fields)
    assert sizes(place.view()) == [1, 2]


def test_the_view_of_the_json_schema_shows_the_newest_row(place: Place) -> None:
    fields = json_fields()
    place.load([instance(1, "2020-01-01", 1), instance(1, "2020-03-01", 2)], *fields)
    place.warehouse.replace_view(place.table, fields)
    assert sizes(place.view()) == [2]


def test_the_view_grows_with_its_table(place: Place) -> None:
    place.needs("changing views")
    first = flattened_fields(["StudyInstanceUID"])
    place.load([{"BlobStorageSize": 1}, {"BlobStorageSize": 2}], *first)
    place.warehouse.replace_view(place.table, first)
    rows = [instance(1, "2020-01-01", 3), instance(1, "2020-03-01", 4, PatientID="x")]
    grown = place.append(rows, *flattened_fields([*UIDS, "PatientID"])).fields
    place.warehouse.replace_view(place.table, grown)
    view = place.view()
    assert sizes(view) == [1, 2, 4]
    assert [row["PatientID"] for row in view if "PatientID" in row] == ["x"]


def test_a_table_in_the_place_of_the_view_is_not_touched(place: Place) -> None:
    place.load(NEW, ID)
    place.load(OLD, ID, table=place.named("tView"))
    with pytest.raises(FailedPrecondition, match="tView"):
        place.warehouse.replace_view(place.table, (Field("Type", "STRING"),))
    assert place.read(place.named("tView")) == OLD


def test_a_view_is_no_destination(place: Place) -> None:
    fields = flattened_fields(["SOPInstanceUID"])
    place.load([], *fields)
    place.warehouse.replace_view(place.table, fields)
    view = place.named("tView")
    with pytest.raises(NotAWarehouse, match="tView"):
        place.warehouse.state(view)
    for disposition in Disposition:
        with pytest.raises(NotAWarehouse, match="tView"):
            place.load(NEW, ID, table=view, disposition=disposition)


def test_a_query_is_answered_in_googlesql(place: Place) -> None:
    place.needs("queries")
    place.load([{"Id": 1, "Items": [{"Name": "a"}, {"Name": "b"}]}], ID, FLAT)
    name = f"{place.table.dataset}.{place.table.table}"
    result = place.warehouse.query(f"SELECT Id, item.Name FROM `{name}`, UNNEST(Items) AS item ORDER BY item.Name DESC")
    assert result.columns == ("Id", "Name")
    assert list(result.rows) == [(1, "b"), (1, "a")]


@pytest.mark.parametrize("sql", ["SELECT Nothing FROM `{}`", "SELECT * FROM `{}_2`", "SELECT FROM"])
def test_a_query_that_cannot_be_meant_is_an_sql_error(place: Place, sql: str) -> None:
    place.needs("queries")
    place.load(OLD, ID)
    with pytest.raises(SqlError) as error:
        list(place.warehouse.query(sql.format(f"{place.table.dataset}.{place.table.table}")).rows)
    assert error.value.message


def test_a_query_that_fails_on_a_value_does_not_name_it(place: Place) -> None:
    place.needs("queries")
    place.load([{"Name": "CANARY^Patient"}], NAME)
    with pytest.raises(SqlError) as error:
        list(place.warehouse.query(f"SELECT CAST(Name AS INT64) FROM {place.table.dataset}.{place.table.table}").rows)
    assert "CANARY" not in f"{error.value.message}{error.value.hint}"


def test_the_instances_of_a_table_are_told_row_by_row(place: Place) -> None:
    rows = [
        {"StudyInstanceUID": "1", "SeriesInstanceUID": "2", "SOPInstanceUID": "3", "Type": "CREATE"}
        | {"LastUpdated": "2026-11-26T20:00:00.000001Z"},
        {"SOPInstanceUID": "3", "Type": "DELETE", "LastUpdated": "1969-12-31T23:59:59.999999Z"},
        {"SOPInstanceUID": "4"},
    ]
    place.load(rows, *INSTANCE)
    assert sorted(place.warehouse.instances(place.table)) == sorted(
        [
            TableRow(("1", "2", "3"), 1795723200000001, False, None),
            TableRow(("", "", "3"), -1, True, None),
            TableRow(("", "", "4"), None, False, None),
        ]
    )


def test_a_table_without_the_columns_of_instances_has_rows_of_nobody(place: Place) -> None:
    assert list(place.warehouse.instances(place.table)) == []
    place.load(OLD, ID, Field("SourceDicomStore", "STRING"))
    assert list(place.warehouse.instances(place.table)) == [TableRow(("", "", ""), None, False, None)]
