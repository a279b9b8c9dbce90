"""What NaN does is worked out by hand from BigQuery's documentation, and computed by a real DuckDB."""

import math
from collections.abc import Iterator
from typing import Any

import duckdb
import pytest

from dicombq.errors import SqlError
from dicombq.warehouses.googlesql.queries import to_duckdb

NAN, LEAST = "nan", -math.inf
Ask = Any


@pytest.fixture(scope="module")
def ask() -> Iterator[Ask]:
    """Four rows: 1.5, NaN, NULL and minus infinity, as an element of VR FD and as a text."""
    connection = duckdb.connect()
    connection.execute("CREATE SCHEMA d")
    connection.execute("CREATE TABLE d.t (id BIGINT, CTDIvol DOUBLE, s VARCHAR)")
    connection.execute(
        "INSERT INTO d.t VALUES (1, 1.5, '1.5'), (2, 'nan', 'nan'), (3, NULL, NULL), (4, '-inf', '-inf')"
    )

    def column(sql: str) -> list[Any]:
        found = [value for (value,) in connection.execute(to_duckdb(sql)).fetchall()]
        return [NAN if isinstance(value, float) and math.isnan(value) else value for value in found]

    yield column
    connection.close()


@pytest.mark.parametrize("x", ["CTDIvol", "CAST(s AS FLOAT64)", "(-(-CTDIvol))", "COALESCE(CTDIvol * 1, NULL)"])
@pytest.mark.parametrize(
    ("condition", "answers"),
    [
        ("x > 1", [True, False, None, False]),
        ("x >= 1", [True, False, None, False]),
        ("1 < x", [True, False, None, False]),
        ("x < 2", [True, False, None, True]),
        ("x = x", [True, False, None, True]),
        ("x <> x", [False, True, None, False]),
        ("x <> 1.5", [False, True, None, True]),
        ("x > NULL", [None, None, None, None]),
        ("NOT x > 1", [False, True, None, True]),
        ("x BETWEEN 0 AND 2", [True, False, None, False]),
        ("x IN (1.5, 3)", [True, False, None, False]),
    ],
)
def test_a_comparison_with_nan_is_false(ask: Ask, x: str, condition: str, answers: list[Any]) -> None:
    assert ask(f"SELECT {condition.replace('x', x)} FROM d.t ORDER BY id") == answers


@pytest.mark.parametrize(
    ("sql", "values"),
    [
        ("SELECT CTDIvol FROM d.t ORDER BY CTDIvol", [None, NAN, LEAST, 1.5]),
        ("SELECT CTDIvol FROM d.t ORDER BY 1 DESC", [1.5, LEAST, NAN, None]),
        ("SELECT CTDIvol AS v FROM d.t ORDER BY v NULLS LAST", [NAN, LEAST, 1.5, None]),
        ("SELECT id FROM d.t ORDER BY SAFE_CAST(s AS FLOAT64), id", [3, 2, 4, 1]),
        ("SELECT * EXCEPT (id, s) FROM d.t ORDER BY CTDIvol LIMIT 2", [None, NAN]),
        ("SELECT v FROM (SELECT CTDIvol AS v FROM d.t) ORDER BY v DESC", [1.5, LEAST, NAN, None]),
        ("WITH w AS (SELECT CTDIvol AS v FROM d.t) SELECT DISTINCT v FROM w ORDER BY v LIMIT 2", [None, NAN]),
        ("SELECT DISTINCT CTDIvol FROM d.t ORDER BY 1 LIMIT 2 OFFSET 1", [NAN, LEAST]),
        ("SELECT CTDIvol FROM d.t UNION ALL SELECT 2.5 ORDER BY CTDIvol DESC", [2.5, 1.5, LEAST, NAN, None]),
        ("SELECT v FROM UNNEST([1.5, CAST('nan' AS FLOAT64), NULL]) AS v ORDER BY v", [None, NAN, 1.5]),
        ("SELECT ROW_NUMBER() OVER (ORDER BY CTDIvol) FROM d.t ORDER BY id", [4, 2, 1, 3]),
        ("SELECT id FROM d.t WHERE TRUE QUALIFY RANK() OVER (ORDER BY CTDIvol DESC) = 3", [2]),
        ("SELECT ARRAY_AGG(id ORDER BY CTDIvol) FROM d.t", [[3, 2, 4, 1]]),
        ("SELECT ARRAY_AGG(DISTINCT id IGNORE NULLS ORDER BY id) FROM d.t WHERE CTDIvol > 0", [[1]]),
        ("SELECT MIN(CTDIvol) FROM d.t GROUP BY id ORDER BY 1", [None, NAN, LEAST, 1.5]),
    ],
)
def test_nan_is_the_least_but_null_in_an_order(ask: Ask, sql: str, values: list[Any]) -> None:
    assert ask(sql) == values


def test_nan_goes_through_aggregates(ask: Ask) -> None:
    assert ask("SELECT MIN(CTDIvol) FROM d.t") == [NAN]
    assert ask("SELECT MAX(CTDIvol) FROM d.t") == [NAN]
    assert ask("SELECT GREATEST(CTDIvol, 2) FROM d.t ORDER BY id") == [2, NAN, None, 2]
    assert ask("SELECT MIN(IF(IS_NAN(CTDIvol), NULL, CTDIvol)) FROM d.t WHERE CTDIvol > -9") == [1.5]


@pytest.mark.parametrize(
    "expression",
    [
        "LEAST(CTDIvol, 2)",
        "MIN(CTDIvol) OVER ()",
        "SIGN(CTDIvol)",
        "NULLIF(CTDIvol, CAST(s AS FLOAT64))",
        "CASE CTDIvol WHEN CAST(s AS FLOAT64) THEN 1 END",
        "1 BETWEEN 0 AND CTDIvol",
        "CTDIvol IN (SELECT CTDIvol FROM d.t)",
        "(SELECT MAX_BY(id, CTDIvol) FROM d.t)",
        "PERCENTILE_CONT(CTDIvol, 0.5) OVER ()",
    ],
)
def test_what_would_be_wrong_with_a_nan_is_refused_when_there_is_one(ask: Ask, expression: str) -> None:
    with pytest.raises(duckdb.Error, match="a NaN is compared"):
        ask(f"SELECT {expression} FROM d.t")
    assert len(ask(f"SELECT {expression.replace('d.t)', 'd.t WHERE id = 1)')} FROM d.t WHERE id = 1")) == 1


def test_an_order_that_is_not_understood_is_refused() -> None:
    with pytest.raises(SqlError, match="this order of what may be NaN"):
        to_duckdb("SELECT DISTINCT CTDIvol FROM d.t ORDER BY CTDIvol + 1")


def test_what_cannot_be_nan_is_left_as_it_is() -> None:
    query = "SELECT Modality, COUNT(*) AS n FROM d.t WHERE n > 3 AND StudyDate < '2024-01-01' GROUP BY 1 ORDER BY n"
    assert "ISNAN" not in to_duckdb(query)
    assert "ISNAN" not in to_duckdb("SELECT CTDIvol FROM d.t WHERE CTDIvol < 3 AND CTDIvol = 2")
