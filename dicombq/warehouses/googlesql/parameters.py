"""Query parameters: their values become literals of the query (docs/parameterized-queries)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import count

import sqlglot
from sqlglot import TokenType, exp
from sqlglot.errors import TokenError

from dicombq.errors import SqlError
from dicombq.warehouses.base import Parameter


def numbered(sql: str) -> str:
    """Name each ``?`` by its place, ``@_1`` and so on: a tree does not tell their order."""
    try:
        tokens = [
            token for token in sqlglot.tokenize(sql, read="bigquery") if token.token_type is TokenType.PLACEHOLDER
        ]
    except TokenError:
        return sql
    for number, token in reversed(list(enumerate(tokens, 1))):
        sql = f"{sql[: token.start]}@_{number}{sql[token.end + 1 :]}"
    return sql


def put_in(query: exp.Expr, parameters: Sequence[Parameter]) -> None:
    """Put values in the place of ``@name`` and of what was `numbered`.

    Raises
    ------
    SqlError
        A parameter has no value; as on BigQuery, a value without its parameter is let be.
    """
    numbers = count(1)
    named = {(given.name or f"_{next(numbers)}").lower(): given for given in parameters}
    for node in list(query.find_all(exp.Parameter)):
        given = named.get(node.name.lower())
        if given is None:
            name = "" if re.fullmatch(r"_\d+", node.name) else node.name
            what = f"@{name}" if name else "?"
            raise SqlError(f"the parameter {what} has no value", f"Give it: --parameter={name}:TYPE:VALUE")
        node.replace(_value(given))


def _value(given: Parameter) -> exp.Expr:
    if given.value is None or isinstance(given.value, str):
        return _scalar(given.type, given.value)
    kind = exp.DataType.build(f"ARRAY<{given.type}>", dialect="bigquery")
    return exp.cast(exp.Array(expressions=[_scalar(given.type, each) for each in given.value]), kind)


def _scalar(kind: str, value: str | None) -> exp.Expr:
    if value is None:
        return exp.cast(exp.null(), exp.DataType.build(kind, dialect="bigquery"))
    if kind == "STRING":
        return exp.Literal.string(value)
    if kind == "INT64":  # a literal, because LIMIT takes no cast
        if not re.fullmatch(r"[+-]?[0-9]{1,19}", value):
            raise SqlError("the value of a parameter is no INT64")
        return exp.Literal.number(value)
    return exp.cast(exp.Literal.string(value), exp.DataType.build(kind, dialect="bigquery"))
