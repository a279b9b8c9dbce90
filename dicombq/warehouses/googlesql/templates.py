"""Expressions of DuckDB's, written as text with places to fill."""

from __future__ import annotations

from functools import cache

import sqlglot
from sqlglot import exp

HINTS: dict[str, str] = {}
"""What to do about the errors that translated queries raise, by their messages. No value is in them."""


def raising(message: str, hint: str = "", *, kind_of: str = "") -> str:
    """Write a call of ERROR, whose message its user may see.

    Parameters
    ----------
    kind_of
        What cannot be cast from the message: an expression with ERROR has no alias in HAVING, one that casts has.
    """
    HINTS[message] = hint
    return f"CAST_TO_TYPE('{message}', {kind_of})" if kind_of else f"ERROR('{message}')"


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
