"""Arrays of GoogleSQL, said in DuckDB's words: subscripts, what was never written, and what makes and joins them.

Pages named in comments lie below https://cloud.google.com/bigquery/docs/reference/standard-sql/.
"""

from __future__ import annotations

from functools import reduce

from sqlglot import exp

from dicombq.dicom import dictionary
from dicombq.errors import SqlError
from dicombq.warehouses.googlesql.templates import fill, raising

_REPEATED = ("DroppedTags", "OtherElements")
_KEEP_ARRAYS = (
    *(exp.Alias, exp.AnyValue, exp.ArgMax, exp.ArgMin, exp.Case, exp.Coalesce, exp.Count, exp.FirstValue, exp.If),
    *(exp.Lag, exp.LastValue, exp.Lead, exp.NthValue, exp.PropertyEQ, exp.Struct),
)


def _array(node: exp.Expr) -> exp.Expr:
    """BigQuery reads a REPEATED column that was never written as empty, not NULL (data-types#array_nulls)."""
    return fill("COALESCE(x, [])", x=node) if isinstance(node, (exp.Column, exp.Dot)) else node


def column(node: exp.Expr) -> exp.Expr:
    """Read an element of several values as empty where its NULL would be counted, chosen or renamed."""
    entry = dictionary.lookup(dictionary.tag_of(node.name) or 0)
    repeated = entry is not None and (entry.vr == "SQ" or entry.vm != "1")
    if not (repeated or node.name in _REPEATED) or not isinstance(node.parent, _KEEP_ARRAYS) or _is_outer(node):
        return node
    # it binds whatever x is
    value = fill("COALESCE(x, CASE WHEN ENDS_WITH(TYPEOF(x), '[]') THEN CAST_TO_TYPE('[]', x) END)", x=node)
    if isinstance(node.parent, exp.Struct):
        return exp.PropertyEQ(this=exp.to_identifier(node.name), expression=value)
    return value


def _is_outer(node: exp.Expr) -> bool:
    """Tell whether a join around a value may make it NULL."""
    select = node.find_ancestor(exp.Select)
    return any(join.side and not join.find(exp.Unnest) for join in select.args.get("joins", [])) if select else False


def concatenate(node: exp.Expr) -> exp.Expr:
    """With a NULL it is NULL (array_functions#array_concat)."""
    first, *others = (_array(part) for part in (node.this, *node.expressions))
    return reduce(lambda before, part: fill("a || b", a=before, b=part), others, first)


def generate(node: exp.Expr) -> exp.Expr:
    """DuckDB generates whole numbers (array_functions#generate_array)."""
    parts = [node.args["start"], node.args["end"], node.args.get("step") or exp.Literal.number(1)]
    if all(part.is_int or not part.is_number for part in parts):
        return node
    template = "LIST_TRANSFORM(RANGE(CAST(FLOOR((e - s) / d) AS BIGINT) + 1), LAMBDA n : s + n * d)"
    return fill(template, **dict(zip("sed", parts, strict=True)))


def with_array(node: exp.Expr) -> exp.Expr:
    node.set("this", _array(node.this))
    return node


def bracket(node: exp.Expr) -> exp.Expr:
    """Out of range is an error, or NULL with SAFE_ (arrays#accessing_array_elements); DuckDB counts back from 0."""
    index, *more = node.expressions
    if index.is_string or more:
        raise SqlError("a subscript has to be one number", "for JSON write JSON_VALUE(column, '$.\"KEY\"[0]')")
    first = "i" if node.args.get("offset") == 1 else "((i) + 1)"
    outside = (
        "NULL"
        if node.args.get("safe")
        else raising("Array index is out of bounds", "SAFE_OFFSET and SAFE_ORDINAL give NULL there.")
    )
    template = (
        f"CASE WHEN a IS NULL OR (i) IS NULL THEN NULL WHEN {first} BETWEEN 1 AND ARRAY_LENGTH(a) "
        f"THEN LIST_EXTRACT(a, {first}) ELSE {outside} END"
    )
    return fill(template, a=_array(node.this), i=index)


def collect(node: exp.Expr) -> exp.Expr:
    """Write IGNORE NULLS and LIMIT inside of ARRAY_AGG (aggregate_functions#array_agg)."""
    aggregate = node if isinstance(node, exp.ArrayAgg) else node.this
    if isinstance(node, exp.IgnoreNulls) and isinstance(aggregate, exp.Anonymous):  # quantiles ignore them
        return aggregate
    if not isinstance(aggregate, exp.ArrayAgg) or isinstance(node.parent, (exp.IgnoreNulls, exp.RespectNulls)):
        return node
    aggregate = aggregate.copy()
    limit = aggregate.this if isinstance(aggregate.this, exp.Limit) else None
    if limit:
        aggregate.set("this", limit.this)
    value = aggregate.this
    while isinstance(value, (exp.Order, exp.Distinct)):
        value = value.this or value.expressions[0]
    if isinstance(node, exp.IgnoreNulls):
        aggregate = exp.Filter(this=aggregate, expression=exp.Where(this=fill("(x) IS NOT NULL", x=value)))
    return fill("LIST_SLICE(a, 1, n)", a=aggregate, n=limit.expression) if limit else aggregate


def is_null(node: exp.Expr) -> exp.Expr:
    """Find no NULL array in a table (data-types#array_nulls), though an outer join makes some."""
    if _is_outer(node) or not isinstance(node.expression, exp.Null) or not isinstance(node.this, (exp.Column, exp.Dot)):
        return node
    return fill("CASE WHEN ENDS_WITH(TYPEOF(x), '[]') THEN FALSE ELSE n END", x=node.this, n=node)
