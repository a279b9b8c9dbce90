"""The generated view's query, run by DuckDB itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

import duckdb
import pytest

from dicombq.table.fields import Field, duckdb_type, quote
from dicombq.table.mapping import UID_COLUMNS, flattened_fields, json_fields
from dicombq.table.view import view_name, view_query

FIELDS = flattened_fields(UID_COLUMNS)
EARLY, LATE = datetime(2020, 1, 1), datetime(2020, 2, 1)  # noqa: DTZ001 - the connection's zone is UTC
UIDS = ("1.2", "1.2.3", "1.2.3.4")


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as result:
        result.execute("SET TimeZone = 'UTC'")
        yield result


def shown(
    connection: duckdb.DuckDBPyConnection,
    fields: Sequence[Field],
    *rows: tuple[tuple[str | None, ...], datetime | None, str | None],
) -> list[int]:
    """Number rows of UIDs, LastUpdated and Type from 0, and tell which the view shows."""
    connection.execute(f"CREATE TABLE t ({', '.join(f'{quote(f.name)} {duckdb_type(f)}' for f in fields)})")
    uids = [name for name in UID_COLUMNS if name in {f.name for f in fields}]
    columns = ", ".join([*uids, "LastUpdated", "Type", "BlobStorageSize"])
    for number, (values, updated, kind) in enumerate(rows):
        marks = ", ".join("?" * (len(uids) + 3))
        connection.execute(f"INSERT INTO t ({columns}) VALUES ({marks})", [*values, updated, kind, number])
    result = connection.execute(view_query('"t"', fields, quote))
    names = [column[0] for column in result.description]
    assert names == [f.name for f in fields]
    position = names.index("BlobStorageSize")
    return sorted(row[position] for row in result.fetchall())


def test_the_view_is_named_after_its_table() -> None:
    assert view_name("scans") == "scansView"


@pytest.mark.parametrize("fields", [FIELDS, json_fields(), json_fields(source_store=True)])
def test_the_newest_row_of_an_instance_is_shown(connection: duckdb.DuckDBPyConnection, fields: Sequence[Field]) -> None:
    assert shown(connection, fields, (UIDS, EARLY, "CREATE"), (UIDS, LATE, "CREATE")) == [1]


def test_a_row_without_time_is_the_oldest(connection: duckdb.DuckDBPyConnection) -> None:
    assert shown(connection, FIELDS, (UIDS, None, "CREATE"), (UIDS, EARLY, "CREATE"), (UIDS, None, "DELETE")) == [1]


def test_one_of_two_rows_of_the_same_time_is_shown(connection: duckdb.DuckDBPyConnection) -> None:
    assert len(shown(connection, FIELDS, (UIDS, EARLY, "CREATE"), (UIDS, EARLY, "CREATE"))) == 1


def test_an_instance_is_known_by_all_three_uids(connection: duckdb.DuckDBPyConnection) -> None:
    others = [(*UIDS[:at], "9", *UIDS[at + 1 :]) for at in range(3)]
    assert shown(connection, FIELDS, *((uids, EARLY, "CREATE") for uids in (UIDS, *others))) == [0, 1, 2, 3]


def test_a_deleted_instance_is_hidden(connection: duckdb.DuckDBPyConnection) -> None:
    assert shown(connection, FIELDS, (UIDS, EARLY, "CREATE"), (UIDS, LATE, "DELETE")) == []


def test_an_instance_that_came_back_is_shown(connection: duckdb.DuckDBPyConnection) -> None:
    assert shown(connection, FIELDS, (UIDS, EARLY, "DELETE"), (UIDS, LATE, "CREATE")) == [1]


def test_a_row_without_type_counts_as_created(connection: duckdb.DuckDBPyConnection) -> None:
    assert shown(connection, FIELDS, (UIDS, EARLY, None), (UIDS, LATE, None)) == [1]


def test_rows_without_instance_uid_are_all_shown(connection: duckdb.DuckDBPyConnection) -> None:
    nobody = (*UIDS[:2], None)
    rows = [(nobody, EARLY, "CREATE"), (nobody, LATE, "CREATE"), (UIDS, EARLY, "CREATE"), (nobody, LATE, "DELETE")]
    assert shown(connection, FIELDS, *rows) == [0, 1, 2]


def test_a_missing_study_or_series_uid_is_a_uid_too(connection: duckdb.DuckDBPyConnection) -> None:
    partial = (None, None, "1.2.3.4")
    rows = [(partial, EARLY, "CREATE"), (partial, LATE, "CREATE"), (UIDS, EARLY, None)]
    assert shown(connection, FIELDS, *rows) == [1, 2]


def test_a_table_with_instance_uids_only_has_a_view(connection: duckdb.DuckDBPyConnection) -> None:
    fields = flattened_fields(["SOPInstanceUID"])
    assert shown(connection, fields, (UIDS[2:], EARLY, "CREATE"), (UIDS[2:], LATE, "CREATE")) == [1]


@pytest.mark.parametrize("paths", [[], ["StudyInstanceUID"], ["StudyInstanceUID", "SeriesInstanceUID"]])
def test_a_table_without_instance_uids_shows_what_is_not_deleted(
    connection: duckdb.DuckDBPyConnection, paths: list[str]
) -> None:
    uids = UIDS[: len(paths)]
    rows = [(uids, EARLY, "CREATE"), (uids, LATE, None), (uids, LATE, "DELETE")]
    assert shown(connection, flattened_fields(paths), *rows) == [0, 1]


def test_columns_are_the_same_in_another_case(connection: duckdb.DuckDBPyConnection) -> None:
    names = ["studyinstanceuid", "seriesinstanceuid", "sopinstanceuid", "type", "lastupdated"]
    connection.execute(f"CREATE TABLE t ({', '.join(f'{name} VARCHAR' for name in names)})")
    connection.execute("INSERT INTO t VALUES ('1', '2', '3', 'CREATE', '2020'), ('1', '2', '3', 'CREATE', '2021')")
    fields = [Field(name, "STRING") for name in names]
    assert connection.execute(view_query('"t"', fields, quote)).fetchall() == [("1", "2", "3", "CREATE", "2021")]


def test_names_are_quoted_as_asked() -> None:
    query = view_query("`p.d.t`", FIELDS, lambda name: f"`{name}`")
    assert '"' not in query
    assert query.startswith("SELECT * FROM `p.d.t` WHERE")
    assert all(f"`{name}`" in query for name in (*UID_COLUMNS, "Type", "LastUpdated"))
