from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from dicombq.errors import SqlError
from dicombq.warehouses.duckdb import DuckdbWarehouse


@pytest.fixture
def warehouse(tmp_path: Path) -> DuckdbWarehouse:
    file = tmp_path / "x.duckdb"
    with duckdb.connect(str(file)) as connection:
        connection.execute("CREATE SCHEMA d")
        connection.execute("CREATE TABLE d.t (a VARCHAR[], s STRUCT(b BIGINT[], c VARCHAR)[], r STRUCT(b BIGINT[]))")
        connection.execute("INSERT INTO d.t VALUES (NULL, [{b: NULL, c: 'x'}], NULL), (['p'], NULL, {b: NULL})")
    return DuckdbWarehouse(file, 0)


def rows(warehouse: DuckdbWarehouse, sql: str) -> list[tuple[Any, ...]]:
    return list(warehouse.query(sql).rows)


def test_a_null_array_is_given_as_an_empty_one_wherever_it_is(warehouse: DuckdbWarehouse) -> None:
    assert rows(warehouse, "SELECT a, s, r FROM d.t ORDER BY ARRAY_LENGTH(a)") == [
        ([], [{"b": [], "c": "x"}], None),
        (["p"], [], {"b": []}),
    ]


@pytest.mark.parametrize("value", ["ARRAY_AGG(a[SAFE_OFFSET(0)])", "[STRUCT(['x', NULL] AS inner)]", "[[], NULL]"])
def test_an_array_with_a_null_is_no_result(warehouse: DuckdbWarehouse, value: str) -> None:
    with pytest.raises(SqlError, match="an array of the result holds a NULL") as error:
        rows(warehouse, f"SELECT {value} AS x FROM d.t")
    assert "IGNORE NULLS" in error.value.hint


def test_an_array_with_a_null_may_be_worked_with(warehouse: DuckdbWarehouse) -> None:
    assert rows(warehouse, "SELECT ARRAY_LENGTH(ARRAY_AGG(a[SAFE_OFFSET(0)])) AS n FROM d.t") == [(2,)]


@pytest.mark.parametrize("columns", ["1 AS a, 2 AS A", "a, r.b, t.a", "*, s"])
def test_a_name_stands_for_one_column(warehouse: DuckdbWarehouse, columns: str) -> None:
    with pytest.raises(SqlError, match=r"more than one column \[[aAs]\]"):
        warehouse.query(f"SELECT {columns} FROM d.t")
    assert rows(warehouse, "SELECT 1, 1") == [(1, 1)]


def test_a_numeric_has_no_zeros_at_its_end(warehouse: DuckdbWarehouse) -> None:
    query = (
        "SELECT NUMERIC '1.50' AS a, CAST(200 AS NUMERIC) AS b, CAST(NULL AS NUMERIC) AS c, STRUCT(NUMERIC '0') AS d"
    )
    assert [str(value) for value in rows(warehouse, query)[0][:3]] == ["1.5", "200", "None"]


@pytest.mark.parametrize("value", ["INTERVAL 1 MONTH", "[INTERVAL 1 DAY]", "STRUCT(INTERVAL 1 DAY AS x)"])
def test_an_interval_is_no_result(warehouse: DuckdbWarehouse, value: str) -> None:
    with pytest.raises(SqlError, match="an INTERVAL is no result here"):
        rows(warehouse, f"SELECT {value} AS x")
    assert rows(warehouse, "SELECT IF(FALSE, INTERVAL 1 DAY, NULL) AS x") == [(None,)]
