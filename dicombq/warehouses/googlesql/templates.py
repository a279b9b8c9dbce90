"""Expressions of DuckDB's, written as text with places to fill."""

from __future__ import annotations

from functools import cache

import sqlglot
from sqlglot import exp

HINTS: dict[str, str] = {}
"""What to do about the errors that translated queries raise, by their messages. No value is in them."""


def raising(message: str, hint: str = "") -> str:
    """Write a call of ERROR, whose message its user may see."""
    HINTS[message] = hint
    return f"ERROR('{message}')"


@cache
def _template(sql: str) -> exp.Expr:
    return sqlglot.parse_one(sql, read="duckdb")


def fill(sql: str, **parts: exp.Expr) -> exp.Expr:
    """Write an expression of DuckDB's.

    Parameters
    ----------
    sql
        The expression, with columns for what is to be put in.
    **parts
        What to put in, by the columns' names.

    Returns
    -------
    Expr
        A tree of its own, with copies of the parts.
    """
    tree = _template(sql).copy()
    for column in list(tree.find_all(exp.Column)):
        if column.name in parts:
            column.replace(parts[column.name].copy())
    return tree
