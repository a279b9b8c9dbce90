from __future__ import annotations

import datetime as dt

import duckdb
import pytest

from dicombq.errors import SqlError
from dicombq.warehouses.base import Parameter
from dicombq.warehouses.googlesql.queries import to_duckdb


def ask(sql: str, *parameters: Parameter) -> list[tuple[object, ...]]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return connection.execute(to_duckdb(sql, parameters=parameters)).fetchall()


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("STRING", "it's", "it's"),
        ("INT64", "-3", -3),
        ("FLOAT64", "1.5", 1.5),
        ("BOOL", "true", True),
        ("DATE", "2024-02-29", dt.date(2024, 2, 29)),
        ("TIME", "01:02:03", dt.time(1, 2, 3)),
        ("DATETIME", "2024-02-29 01:02:03", dt.datetime(2024, 2, 29, 1, 2, 3)),  # noqa: DTZ001 - DATETIME has no zone
        ("STRING", None, None),
        ("INT64", None, None),
    ],
)
def test_a_parameter_has_its_value(kind: str, text: str | None, value: object) -> None:
    assert ask("SELECT @Given", Parameter("given", kind, text)) == [(value,)]


def test_an_array_is_unnested_and_searched() -> None:
    given = Parameter("ids", "STRING", ["a", "b"])
    assert ask("SELECT x, 'b' IN UNNEST(@ids) FROM UNNEST(@ids) AS x ORDER BY x", given) == [("a", True), ("b", True)]
    assert ask("SELECT ARRAY_LENGTH(@ids)", Parameter("ids", "INT64", [])) == [(0,)]


def test_parameters_without_name_are_taken_in_the_order_of_the_text() -> None:
    given = [Parameter("", "STRING", text) for text in "abcd"]
    sql = "WITH t AS (SELECT ? AS first, '?' AS mark) SELECT ?, first, mark FROM t WHERE ? = 'c' AND first IN (?, 'a')"
    assert ask(sql, *given) == [("b", "a", "?")]


def test_a_limit_can_be_a_parameter() -> None:
    assert ask("SELECT x FROM UNNEST([1, 2, 3]) AS x LIMIT @n", Parameter("n", "INT64", "2")) == [(1,), (2,)]


@pytest.mark.parametrize(
    ("sql", "message", "hint"),
    [
        ("SELECT @a", "the parameter @a has no value", "--parameter=a:TYPE:VALUE"),
        ("SELECT ?", "the parameter ? has no value", "--parameter=:TYPE:VALUE"),
    ],
)
def test_a_parameter_without_value_is_an_error(sql: str, message: str, hint: str) -> None:
    with pytest.raises(SqlError, match=message.replace("?", r"\?")) as error:
        ask(sql)
    assert hint in error.value.hint


@pytest.mark.parametrize("text", ["1; DROP TABLE t", "1.5", "", "9" * 20])
def test_a_number_that_is_none_is_an_error_that_does_not_repeat_it(text: str) -> None:
    with pytest.raises(SqlError) as error:
        ask("SELECT @n", Parameter("n", "INT64", text))
    assert error.value.message == "the value of a parameter is no INT64"
