"""NaN as on BigQuery: every comparison with it is false but <>, and in ORDER BY it is the least but NULL.

In DuckDB it is the greatest number and equals itself. Only what may be NaN is corrected: elements of VR FD and FL,
text that was cast to FLOAT64, and what is computed of them. Where a correction would be large, a NaN is an error.

See https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types#floating_point_types and the pages
of operators and functions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from sqlglot import exp

from dicombq.dicom import dictionary
from dicombq.errors import SqlError
from dicombq.warehouses.googlesql.functions import ON_BIGQUERY
from dicombq.warehouses.googlesql.templates import fill, raising

_ERROR = raising("a NaN is compared in a way that is not understood", "Write IF(IS_NAN(value), NULL, value) for it.")
_OF_ITS_VALUE = (exp.Paren, exp.Neg, exp.Window, exp.IgnoreNulls, exp.RespectNulls, exp.Filter, exp.Distinct, exp.Order)
_OF_ITS_FIRST = (
    *(exp.Abs, exp.AnyValue, exp.ArgMax, exp.ArgMin, exp.ArrayAgg, exp.Avg, exp.Bracket, exp.Ceil, exp.Exp, exp.Floor),
    *(exp.FirstValue, exp.HavingMax, exp.Lag, exp.LastValue, exp.Lead, exp.Limit, exp.Ln, exp.Log, exp.Max, exp.Min),
    *(exp.NthValue, exp.Nullif, exp.PercentileCont, exp.PercentileDisc, exp.Round, exp.SafeFunc, exp.Sign, exp.Sqrt),
    *(exp.Stddev, exp.StddevPop, exp.StddevSamp, exp.Sum, exp.Trunc, exp.Variance, exp.VariancePop),
)
_OF_ANY = (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Pow, exp.SafeDivide, exp.Coalesce, exp.Greatest, exp.Least)
_AMONG = (exp.ApproxQuantiles, exp.PercentileCont, exp.PercentileDisc, exp.Sign)
"""Functions that order numbers, or tell their signs."""


def order_nans(query: exp.Query) -> exp.Query:
    """Correct what NaN does in a query.

    Returns
    -------
    Query
        The query, whose tree is changed, or one around it.
    """
    nans = _Nans(query)
    for node in reversed(list(query.walk())):
        nans.mend(node)
    for node in reversed(list(query.find_all(exp.Query))):
        query = nans.mend_order(node) or query
    return query


class _Nans:
    """What may be NaN in a query, by the names that it gives."""

    def __init__(self, query: exp.Query) -> None:
        self._names: set[str] = set()
        found = defaultdict(list)
        for name, value in _named(query):
            found[name.lower()].append(value)
        self._given = set(found)
        while more := {name for name, values in found.items() if all(map(self.possible, values))} - self._names:
            self._names |= more

    def possible(self, node: exp.Expr | None) -> bool:
        """Tell whether a value may be NaN."""
        if isinstance(node, (exp.Column, exp.Dot)):
            name = node.name.lower()
            return name in self._names if name in self._given else _is_float(node.name)
        if isinstance(node, exp.Cast):
            literal = isinstance(node.this, exp.Literal) and node.this.name.lower() != "nan"
            return bool(node.args["to"].this == exp.DType.DOUBLE) and not literal
        if isinstance(node, (*_OF_ITS_VALUE, *_OF_ITS_FIRST, exp.Unnest)):
            return self.possible(node.this or next(iter(node.expressions), None))
        if isinstance(node, _OF_ANY):
            return any(self.possible(part) for part in node.iter_expressions())
        if isinstance(node, exp.Array):
            return any(map(self.possible, node.expressions))
        if isinstance(node, exp.If):
            return self.possible(node.args["true"]) or self.possible(node.args.get("false"))
        if isinstance(node, exp.Case):
            return any(self.possible(case.args["true"]) for case in node.args["ifs"]) or self.possible(
                node.args.get("default")
            )
        if isinstance(node, exp.Subquery):
            return isinstance(node.this, exp.Select) and any(map(self.possible, node.this.expressions))
        return isinstance(node, exp.Corr) or (isinstance(node, exp.Alias) and self.possible(node.this))

    def mend(self, node: exp.Expr) -> None:
        """Correct an expression in place."""
        if isinstance(node, (exp.GT, exp.GTE)) and self.possible(node.this):
            _replace(node, "CASE WHEN ISNAN(x) THEN y <> y ELSE n END", node.this, node.expression)
        elif isinstance(node, (exp.LT, exp.LTE)) and self.possible(node.expression):
            _replace(node, "CASE WHEN ISNAN(x) THEN y <> y ELSE n END", node.expression, node.this)
        elif isinstance(node, (exp.EQ, exp.NEQ)) and self.possible(node.this) and self.possible(node.expression):
            answer = "y <> y" if isinstance(node, exp.EQ) else "y = y"
            _replace(node, f"CASE WHEN ISNAN(x) THEN {answer} ELSE n END", node.this, node.expression)
        elif isinstance(node, exp.Min) and self.possible(node.this) and not isinstance(node.parent, exp.Window):
            _replace(node, "CASE WHEN BOOL_OR(ISNAN(x)) THEN CAST('nan' AS DOUBLE) ELSE n END", node.this, node)
        else:
            for operand in self._compared(node):
                if self.possible(operand):
                    operand.replace(fill(f"CASE WHEN ISNAN(x) THEN {_ERROR} ELSE x END", x=operand))

    def _compared(self, node: exp.Expr) -> Iterator[exp.Expr]:
        """Give what a node compares with others, other than an operator of comparison."""
        if isinstance(node, exp.Least):
            yield from list(node.iter_expressions())
        elif isinstance(node, exp.Between):
            yield node.args["high"]
        elif isinstance(node, (exp.ArgMax, exp.ArgMin, exp.HavingMax)):
            yield node.expression
        elif isinstance(node, (exp.Nullif, exp.Case)):
            others = [node.expression, *(case.this for case in node.args.get("ifs", []))]
            if node.this and any(map(self.possible, others)):
                yield node.this
        elif isinstance(node, exp.In):
            others = [*node.expressions, node.args.get("query"), node.args.get("unnest")]
            if any(self.possible(other) for other in others):
                yield node.this
        elif isinstance(node, (*_AMONG, exp.Min)):
            yield node.this

    def mend_order(self, query: exp.Query) -> exp.Query | None:
        """Let NaN come before the numbers in each ORDER BY of a SELECT, or of a set operation.

        Returns
        -------
        Query
            What stands around the query now; None where nothing does.
        """
        for order in list(query.find_all(exp.Order)):
            if order.find_ancestor(exp.Query) is query and order.parent is not query:
                _order(order, [key for key in order.expressions if self.possible(key.this)])
        last = query.args.get("order")
        keys = [key for key in last.expressions if self.possible(_value(query, key))] if last else []
        if not last or not keys:
            return None
        if not isinstance(query, exp.Select) or query.args.get("distinct"):
            return self._around(query, keys)
        for key in keys:
            key.set("this", _value(query, key).copy())
        _order(last, keys)
        return None

    def _around(self, query: exp.Query, keys: list[exp.Ordered]) -> exp.Query:
        """Order outside of what allows no other keys than its columns."""
        names = query.named_selects
        for key in query.args["order"].expressions:
            if isinstance(key.this, exp.Literal) and "*" not in names:
                key.set("this", exp.column(names[int(key.this.name) - 1]))
            elif not isinstance(key.this, exp.Column) or key.this.table:
                raise SqlError("this order of what may be NaN is not understood", ON_BIGQUERY)
        inner = query.copy()
        outer = exp.select("*").from_(inner.subquery("_ordered", copy=False), copy=False)
        _order(query.args["order"], keys)
        for part in ("order", "limit", "offset"):
            outer.set(part, query.args.get(part))
            inner.set(part, None)
        query.replace(outer)
        return outer


def _replace(node: exp.Expr, sql: str, x: exp.Expr, y: exp.Expr) -> None:
    node.replace(fill(sql, x=x, y=y, n=node))


def _order(order: exp.Order, keys: list[exp.Ordered]) -> None:
    for key in keys:
        is_number = key.copy()
        is_number.set("this", exp.Not(this=exp.IsNan(this=key.this.copy())))
        expressions = order.expressions
        expressions.insert(expressions.index(key), is_number)
        order.set("expressions", expressions)


def _value(query: exp.Query, key: exp.Ordered) -> exp.Expr:
    """Give what a key of ORDER BY means: a place in the list of columns, the name of a column, or an expression."""
    select = query
    while isinstance(select, (exp.SetOperation, exp.Subquery)):
        select = select.this
    columns = select.expressions if isinstance(select, exp.Select) else []
    value: exp.Expr = key.this
    if isinstance(value, exp.Literal) and value.is_int and int(value.name) <= len(columns):
        value = columns[int(value.name) - 1].unalias()
    elif isinstance(value, exp.Column) and not value.table:
        named = (column.this for column in columns if isinstance(column, exp.Alias) and column.alias == value.name)
        value = next(named, value)
    return value


def _named(query: exp.Query) -> Iterator[tuple[str, exp.Expr]]:
    for node in query.find_all(exp.Alias, exp.PropertyEQ, exp.Unnest):
        if isinstance(node, exp.Alias):
            yield node.alias, node.this
        elif isinstance(node, exp.PropertyEQ):
            yield node.name, node.expression
        elif (alias := node.args.get("alias")) and alias.columns:
            yield alias.columns[0].name, node


def _is_float(name: str) -> bool:
    entry = dictionary.lookup(dictionary.tag_of(name) or 0)
    return entry is not None and entry.vr in ("FD", "FL")
