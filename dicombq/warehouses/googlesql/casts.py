"""What CAST and SAFE_CAST of GoogleSQL give, said in DuckDB's words (conversion_functions).

Pages named in comments lie below https://cloud.google.com/bigquery/docs/reference/standard-sql/.
"""

from __future__ import annotations

import re

from sqlglot import exp

from dicombq.errors import SqlError
from dicombq.warehouses.googlesql.functions import ON_BIGQUERY
from dicombq.warehouses.googlesql.templates import fill, raising

_INTERVAL = raising(
    "an INTERVAL is not written as text", "Write its parts: EXTRACT(DAY FROM value).", kind_of="INTERVAL '0' DAY"
)
# A FLOAT64 has 15 digits, and 17 where it needs more than 15; a NUMERIC loses a fraction of zeros; fractions of seconds
# have 3 or 6 digits (conversion_functions#cast_as_string, RoundTripDoubleToString in google/googlesql).
_TEXT = rf"""
    CASE WHEN TYPEOF(x) = 'INTERVAL' THEN CAST({_INTERVAL} AS VARCHAR)
         WHEN TYPEOF(x) = 'DOUBLE'
         THEN CASE WHEN TRY_CAST(PRINTF('%.15g', d) AS DOUBLE) = d THEN PRINTF('%.15g', d) ELSE PRINTF('%.17g', d) END
         WHEN STARTS_WITH(TYPEOF(x), 'DECIMAL')
         THEN REGEXP_REPLACE(CAST(x AS VARCHAR), '\.0*$|(\.\d*[1-9])0+$', '\1')
         WHEN STARTS_WITH(TYPEOF(x), 'TIME')
         THEN REGEXP_REPLACE(REGEXP_REPLACE(CAST(x AS VARCHAR), '\.(\d|\d{{4}})(\+00)?$', '.\100\2'),
                             '\.(\d\d|\d{{5}})(\+00)?$', '.\10\2')
         ELSE CAST(x AS VARCHAR) END"""
# Halves round away from zero, and text has to be a whole number (conversion_functions#cast_as_integer).
_BAD = raising("a text has not the form of the type it is cast to", "SAFE_CAST gives NULL there.")
_INTEGER = rf"""
    CASE WHEN TYPEOF(x) = 'DOUBLE' THEN CAST(ROUND(CAST(x AS DOUBLE)) AS BIGINT)
         WHEN TYPEOF(x) = 'VARCHAR' AND NOT REGEXP_FULL_MATCH(CAST(x AS VARCHAR), '\s*[+-]?(\d+|0[xX][\da-fA-F]+)\s*')
         THEN CAST({_BAD} AS BIGINT) ELSE CAST(x AS BIGINT) END"""
_SAFE_INTEGER = _INTEGER.replace(_BAD, "NULL").replace(" CAST(", " TRY_CAST(")

# DuckDB reads more as a value than BigQuery does: 2024/01/05 as a DATE, 10:11 as a TIME, t and 1 as a BOOL, 1_0 as a
# number (conversion_functions, date_time_util.h in google/googlesql).
_DATE = r"\d{4,5}-\d\d?-\d\d?"
_TIME = r"([01]?\d|2[0-3]):\d\d?:\d\d?(\.\d{0,6})?"
_ZONE = r"[Zz]|[+-]\d\d?(:\d\d)?|[A-Za-z]\S*"
_FINITE = r"(\d+\.?\d*|\.\d+)([Ee][+-]?\d+)?"
_NUMBER = rf"[+-]?({_FINITE}|[Ii][Nn][Ff]([Ii][Nn][Ii][Tt][Yy])?|[Nn][Aa][Nn])"
_FORMS = {
    exp.DType.BOOLEAN: "[Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee]",
    exp.DType.DATE: _DATE,
    exp.DType.DECIMAL: rf"\s*[+-]?{_FINITE}\s*",
    exp.DType.DOUBLE: rf"\s*{_NUMBER}\s*",
    exp.DType.TIME: _TIME,
    exp.DType.TIMESTAMP: f"{_DATE}([ Tt]{_TIME})?",
    exp.DType.TIMESTAMPTZ: f"{_DATE}([ Tt]{_TIME})?( ?({_ZONE}))?",
}
_TOO_LARGE = r"ISINF(TRY_CAST(t AS DOUBLE)) AND REGEXP_FULL_MATCH(t, '.*[\d.]\s*')"  # to DuckDB 1e400 is infinite
_CHECKED = f"""
    CASE WHEN TYPEOF(x) = 'VARCHAR' AND (NOT REGEXP_FULL_MATCH(t, '{{form}}') OR {{more}}) THEN {_BAD} ELSE c END"""
_SAFE_CHECKED = _CHECKED.replace(_BAD, "NULL")


def text(node: exp.Expr) -> exp.Expr:
    """Write a value as text."""
    if isinstance(node, exp.Literal) and node.is_string:
        return node
    return fill(_TEXT, x=node, d=fill("TRY_CAST(CAST(x AS VARCHAR) AS DOUBLE)", x=node))  # which binds, whatever x is


def cast(node: exp.Expr) -> exp.Expr:
    """Correct a CAST or a SAFE_CAST.

    Raises
    ------
    SqlError
        It has no equal in DuckDB.
    """
    if node.args.get("format"):
        raise SqlError("CAST with FORMAT is not understood", "use FORMAT_DATE, FORMAT_TIMESTAMP or PARSE_DATE")
    kind = node.args["to"].this
    if kind == exp.DType.TEXT:
        return text(node.this)
    if kind == exp.DType.BIGINT:
        return fill(_SAFE_INTEGER if isinstance(node, exp.TryCast) else _INTEGER, x=node.this)
    if kind == exp.DType.BIGDECIMAL:
        raise SqlError("BIGNUMERIC is not understood", ON_BIGQUERY)
    if kind == exp.DType.DECIMAL and not node.args["to"].expressions:  # data-types#decimal_types
        node.set("to", exp.DataType.build("DECIMAL(38, 9)"))
    if kind in _FORMS and not _is_well_formed(node.this, _FORMS[kind]):
        checked = _SAFE_CHECKED if isinstance(node, exp.TryCast) else _CHECKED
        more = _TOO_LARGE if kind == exp.DType.DOUBLE else "FALSE"
        template = checked.format(form=_FORMS[kind], more=more)
        return fill(template, x=node.this, t=exp.cast(node.this.copy(), "VARCHAR"), c=node)
    return node


def _is_well_formed(node: exp.Expr, form: str) -> bool:
    """Tell what needs no check when the query runs."""
    if isinstance(node, exp.Literal):
        is_large = re.search(r"\d\.?[Ee]", node.name)
        return not node.is_string or (re.fullmatch(form, node.name) is not None and not is_large)
    return isinstance(node, (exp.Null, exp.Boolean))
