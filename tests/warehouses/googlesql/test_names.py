from __future__ import annotations

import pytest

from dicombq.warehouses.googlesql.names import standard_names, with_aliases


def test_legacy_names_become_googlesql_names_of_the_same_length() -> None:
    sql = "SELECT '[a:b.c]', [1] FROM [my-p:D.T] JOIN\n [D.T2] USING (x)"
    assert standard_names(sql) == "SELECT '[a:b.c]', [1] FROM `my-p.D.T` JOIN\n `D.T2` USING (x)"


def test_legacy_names_are_left_in_a_text_that_cannot_be_read() -> None:
    assert standard_names("SELECT 'x FROM [P:D.T]") == "SELECT 'x FROM [P:D.T]"


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT a FROM `p.d.t` WHERE x", "SELECT a FROM `q.e.u` AS `t` WHERE x"),
        ("SELECT t.a FROM p.d.t", "SELECT t.a FROM `q.e.u` AS `t`"),
        ("SELECT a FROM `p`.d.`t` AS x, x.arr", "SELECT a FROM `q.e.u` AS x, x.arr"),
        (
            "SELECT a FROM [p:d.t]\nJOIN p.d.t AS b USING (x)",
            "SELECT a FROM `q.e.u` AS `t`\nJOIN `q.e.u` AS b USING (x)",
        ),
        ("SELECT (SELECT MAX(a) FROM p.d.t) FROM other.t", "SELECT (SELECT MAX(a) FROM `q.e.u` AS `t`) FROM other.t"),
        ("SELECT 'p.d.t' FROM d.t -- p.d.t", "SELECT 'p.d.t' FROM d.t -- p.d.t"),
    ],
)
def test_an_alias_stands_for_a_table_and_for_nothing_else(sql: str, expected: str) -> None:
    assert with_aliases(sql, {"p.d.t": "q.e.u"}) == expected


def test_a_common_table_expression_hides_an_alias() -> None:
    sql = "WITH instances AS (SELECT 1) SELECT * FROM instances"
    assert with_aliases(sql, {"instances": "d.t"}) == sql


def test_a_query_that_cannot_be_read_keeps_its_text() -> None:
    assert with_aliases("SELECT (a FROM d.t", {"d.t": "d.u"}) == "SELECT (a FROM d.t"
    assert with_aliases("SELECT a FROM [d.t]", {}) == "SELECT a FROM [d.t]"
