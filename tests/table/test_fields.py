"""Fields: printed, counted, merged."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest
from google.cloud.bigquery import SchemaField

from dicombq.errors import TooManyColumns
from dicombq.table.fields import (
    MAX_COLUMNS,
    Field,
    check_limits,
    count,
    duckdb_type,
    from_bigquery,
    merge,
    quote,
    to_bigquery,
)
from dicombq.table.mapping import flattened_fields, json_fields
from tests.tables import ID, NAME, record

SCALARS = ["STRING", "INTEGER", "FLOAT", "DATE", "TIME", "TIMESTAMP", "JSON"]
NESTED = record("A", ID, record("B", NAME, Field("C", "STRING", "REPEATED"), mode="NULLABLE"))
EVERYTHING = (*flattened_fields(["PatientName", "OtherElements", "OverlayRows", "StudyDate"]), NESTED, json_fields()[3])


def test_fields_are_printed_for_bigquery() -> None:
    assert to_bigquery([NESTED]) == [
        {
            "name": "A",
            "type": "RECORD",
            "mode": "REPEATED",
            "fields": [
                {"name": "Id", "type": "INTEGER", "mode": "NULLABLE"},
                {
                    "name": "B",
                    "type": "RECORD",
                    "mode": "NULLABLE",
                    "fields": [
                        {"name": "Name", "type": "STRING", "mode": "NULLABLE"},
                        {"name": "C", "type": "STRING", "mode": "REPEATED"},
                    ],
                },
            ],
        }
    ]


def test_fields_are_read_back_as_they_were_printed() -> None:
    assert from_bigquery(to_bigquery(EVERYTHING)) == EVERYTHING
    through_client = [SchemaField.from_api_repr(field).to_api_repr() for field in to_bigquery(EVERYTHING)]
    assert from_bigquery(through_client) == EVERYTHING


def test_standard_sql_names_and_missing_modes_are_read() -> None:
    schema: list[dict[str, Any]] = [
        {"name": "a", "type": "INT64"},
        {"name": "b", "type": "float64", "mode": "repeated"},
        {"name": "c", "type": "STRUCT", "fields": [{"name": "d", "type": "BOOL", "mode": "REQUIRED"}]},
        {"name": "e", "type": "GEOGRAPHY"},
    ]
    assert from_bigquery(schema) == (
        Field("a", "INTEGER"),
        Field("b", "FLOAT", "REPEATED"),
        Field("c", "RECORD", "NULLABLE", (Field("d", "BOOLEAN", "REQUIRED"),)),
        Field("e", "GEOGRAPHY"),
    )


@pytest.mark.parametrize("kind", SCALARS)
@pytest.mark.parametrize("mode", ["NULLABLE", "REPEATED"])
def test_duckdb_knows_every_type(kind: str, mode: str) -> None:
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE t (a {duckdb_type(Field('a', kind, mode))})")
        assert connection.table("t").columns == ["a"]


def test_records_are_structs_in_duckdb() -> None:
    assert duckdb_type(NESTED) == 'STRUCT("Id" BIGINT, "B" STRUCT("Name" VARCHAR, "C" VARCHAR[]))[]'


def test_a_quoted_name_stays_one_name() -> None:
    name = 'a"; DROP TABLE t; --'
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE t ({quote(name)} INT)")
        assert connection.table("t").columns == [name]


def test_records_and_their_fields_are_counted() -> None:
    assert count([]) == 0
    assert count([ID, NAME]) == 2
    assert count([NESTED]) == 5


def test_ten_thousand_columns_are_allowed_and_no_more() -> None:
    most = [record("R", *(Field(f"f{number}", "STRING") for number in range(MAX_COLUMNS - 1)))]
    check_limits(most)
    with pytest.raises(TooManyColumns, match="10,001") as failure:
        check_limits([*most, ID])
    assert "--schema=json" in failure.value.hint
    assert failure.value.exit_code == 4


def test_merge_keeps_the_order_and_adds_at_the_end() -> None:
    result = merge([NAME, ID], [Field("X", "DATE"), ID, Field("Y", "TIME")])
    assert result.fields == (NAME, ID, Field("X", "DATE"), Field("Y", "TIME"))
    assert result.added == [((), Field("X", "DATE")), ((), Field("Y", "TIME"))]
    assert result.conflicts == []


def test_merge_adds_to_records_at_any_depth() -> None:
    deep = record("B", Field("D", "DATE"), mode="NULLABLE")
    result = merge([NESTED, ID], [record("A", deep, NAME)])
    inner = record("B", NAME, Field("C", "STRING", "REPEATED"), Field("D", "DATE"), mode="NULLABLE")
    assert result.fields == (record("A", ID, inner, NAME), ID)
    paths = [(".".join(above.name for above in path), field) for path, field in result.added]
    assert paths == [("A.B", Field("D", "DATE")), ("A", NAME)]


def test_a_new_record_is_added_as_one() -> None:
    result = merge([ID], [NESTED])
    assert result.added == [((), NESTED)]


def test_merge_takes_names_as_equal_regardless_of_case() -> None:
    result = merge([Field("patientid", "STRING")], [Field("PatientID", "STRING")])
    assert result.fields == (Field("patientid", "STRING"),)
    assert (result.added, result.conflicts) == ([], [])


def test_a_required_column_takes_nullable_values() -> None:
    required = Field("Id", "INTEGER", "REQUIRED")
    result = merge([required], [ID])
    assert (result.fields, result.conflicts) == ((required,), [])


def test_merge_lists_every_conflict_with_its_path() -> None:
    result = merge(
        [ID, NESTED, NAME],
        [Field("Id", "STRING"), record("A", record("B", Field("C", "STRING"), mode="NULLABLE")), record("Name", ID)],
    )
    told = [(conflict.path, conflict.existing.describe(), conflict.wanted.describe()) for conflict in result.conflicts]
    assert told == [
        ("Id", "INTEGER", "STRING"),
        ("A.B.C", "REPEATED STRING", "STRING"),
        ("Name", "STRING", "REPEATED RECORD"),
    ]
    assert result.fields == (ID, NESTED, NAME)
