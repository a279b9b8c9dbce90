"""The names of tables in a query's text: legacy ones, and those that stand for others."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from itertools import pairwise

import sqlglot
from sqlglot import TokenType, exp
from sqlglot.errors import SqlglotError, TokenError

# What sqlglot would warn of is refused here, and its warnings would print the query.
logging.getLogger("sqlglot").setLevel(logging.ERROR)

_LEGACY_NAME = re.compile(r"\[(?:([\w.:-]+):)?([\w-]+(?:\.[\w-]+)+)\]")  # [P:D.T], [P.D.T] and [D.T]


def standard_names(sql: str) -> str:
    """Turn legacy table names, `[P:D.T]` after FROM or JOIN, into GoogleSQL's `` `P.D.T` ``.

    Parameters
    ----------
    sql
        A query; where it can't be split into words, it is returned as it is.

    Returns
    -------
    str
        The same text, of the same length, so that lines and columns in errors stay right.
    """
    try:
        tokens = sqlglot.tokenize(sql, read="bigquery")
    except TokenError:
        return sql
    for before, token in pairwise(tokens):
        legacy = _LEGACY_NAME.match(sql, token.start)
        if legacy and before.token_type in (TokenType.FROM, TokenType.JOIN):
            name = f"`{legacy[1]}.{legacy[2]}`" if legacy[1] else f"`{legacy[2]}`"
            sql = sql[: legacy.start()] + name + sql[legacy.end() :]
    return sql


def with_aliases(sql: str, aliases: Mapping[str, str]) -> str:
    """Put tables in the place of the names that stand for them; the rest of the text stays as it is.

    A table that the query gives no name of its own goes on being called as it is written there.

    Parameters
    ----------
    sql
        A query; where it can't be read, it is returned as it is, and whoever runs it says why.
    aliases
        Name in the query, `T`, `D.T` or `P.D.T`, to table. A common table expression hides a `T`.
    """
    if not aliases:
        return sql
    sql = standard_names(sql)
    try:
        trees = [tree for tree in sqlglot.parse(sql, read="bigquery") if tree]
    except (SqlglotError, RecursionError):
        return sql
    if not all(isinstance(tree, exp.Query) for tree in trees):
        return sql
    for table, start, end in sorted(_tables(trees), key=lambda found: found[1], reverse=True):
        if target := aliases.get(".".join(part.name for part in table.parts)):
            name = "" if table.alias else f" AS `{table.name}`"
            sql = f"{sql[:start]}`{target}`{name}{sql[end + 1 :]}"
    return sql


def _tables(trees: list[exp.Expr]) -> Iterator[tuple[exp.Table, int, int]]:
    """Find the tables, each with the places of its first and its last character."""
    for tree in trees:
        expressions = {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
        for table in tree.find_all(exp.Table):
            start, end = table.parts[0].meta.get("start"), table.parts[-1].meta.get("end")
            is_expression = len(table.parts) == 1 and table.name.lower() in expressions
            if start is not None and end is not None and not is_expression:
                yield table, start, end
