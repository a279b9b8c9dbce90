"""What GoogleSQL's functions, operators, casts and subscripts mean, said in DuckDB's words.

Pages named in comments lie below https://cloud.google.com/bigquery/docs/reference/standard-sql/.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from sqlglot import exp

from dicombq.errors import SqlError
from dicombq.warehouses.googlesql import arrays
from dicombq.warehouses.googlesql.casts import cast, text
from dicombq.warehouses.googlesql.functions import ON_BIGQUERY
from dicombq.warehouses.googlesql.templates import fill, raising

_BY_ZERO = raising("division by zero", "SAFE_DIVIDE gives NULL there.")
_BELOW_0 = raising("a length is below 0")
_NUMERIC = raising("the division of a NUMERIC is not understood", "Divide CAST(x AS FLOAT64).")
_NOT_FINITE = raising("the result is no number, or too large for FLOAT64")
_DATES = raising("the difference of two dates is not understood", "Write DATE_DIFF(a, b, DAY) for days.", kind_of="x")
_RECORD = raising("TO_JSON_STRING of a record of FLOAT64, NUMERIC, BYTES or TIMESTAMP is not understood", ON_BIGQUERY)

# Numbers without a fraction of zeros; those beyond 2^53, a NUMERIC with a fraction and what is no number as text; times
# as RFC 3339 has them, BYTES in base64 (json_functions#json_encodings). What is in a record can't be corrected, so it
# is refused.
_JSON = rf"""
    CASE WHEN REGEXP_MATCHES(TYPEOF(x), '^(STRUCT|.*\[\]$)')
          AND REGEXP_MATCHES(TYPEOF(x), 'BLOB|DECIMAL|DOUBLE|TIMESTAMP')
         THEN {_RECORD}
         WHEN TYPEOF(x) = 'DOUBLE' AND REGEXP_MATCHES(CAST(x AS VARCHAR), 'nan|inf')
         THEN REPLACE(REPLACE(CONCAT('"', CAST(x AS VARCHAR), '"'), 'inf', 'Infinity'), 'nan', 'NaN')
         WHEN REGEXP_MATCHES(TYPEOF(x), 'BIGINT|DECIMAL') AND (ABS(n) > 9007199254740992 OR n <> TRUNC(n))
         THEN CONCAT('"', t, '"')
         WHEN REGEXP_MATCHES(TYPEOF(x), 'DOUBLE|DECIMAL') THEN COALESCE(t, 'null')
         WHEN TYPEOF(x) = 'BLOB' THEN COALESCE('"' || TO_BASE64(TRY_CAST(CAST(x AS VARCHAR) AS BLOB)) || '"', 'null')
         WHEN STARTS_WITH(TYPEOF(x), 'TIMESTAMP')
         THEN CONCAT('"', REPLACE(REPLACE(CAST(x AS VARCHAR), ' ', 'T'), '+00', 'Z'), '"')
         ELSE COALESCE(CAST(TO_JSON(x) AS VARCHAR), 'null') END"""

# Letters that are several in the other case, as ICU has them; DuckDB changes letter by letter.
_LIGATURE = (
    "[\u0149\u01f0\u0390\u03b0\u0587\u1e96-\u1e9a\u1f50\u1f52\u1f54\u1f56\u1f80-\u1faf\u1fb2-\u1fb4\u1fb6\u1fb7\u1fbc\u1fc2-\u1fc4"
    "\u1fc6\u1fc7\u1fcc\u1fd2\u1fd3\u1fd6\u1fd7\u1fe2-\u1fe4\u1fe6\u1fe7\u1ff2-\u1ff4\u1ff6\u1ff7\u1ffc\ufb00-\ufb06\ufb13-\ufb17]"
)
_UPPER = f"""CASE WHEN REGEXP_MATCHES(x, '{_LIGATURE}')
    THEN {raising("UPPER of a ligature or of a Greek letter with several marks is not understood", ON_BIGQUERY)}
    ELSE UPPER(REPLACE(x, 'ß', 'SS')) END"""
_LOWER = r"""LOWER(REGEXP_REPLACE(REPLACE(x, 'İ', 'i̇'), '(\p{L})Σ(\P{L}|$)', '\1ς\2', 'g'))"""

# Weeks start on Sunday, and parts of a second leave the seconds out (date_functions and time_functions, EXTRACT).
_PARTS = {
    "DATE": "CAST(x AS DATE)",
    "DATETIME": "CAST(x AS TIMESTAMP)",
    "TIME": "CAST(CAST(x AS TIMESTAMP) AS TIME)",
    "WEEK": "CAST(STRFTIME(CAST(x AS DATE), '%U') AS BIGINT)",
    "MONDAY": "CAST(STRFTIME(CAST(x AS DATE), '%W') AS BIGINT)",
    "SUNDAY": "CAST(STRFTIME(CAST(x AS DATE), '%U') AS BIGINT)",
    "ISOWEEK": "DATE_PART('week', x)",
    "DAYOFWEEK": "(DATE_PART('dayofweek', x) + 1)",
    "MILLISECOND": "(DATE_PART('millisecond', x) % 1000)",
    "MICROSECOND": "(DATE_PART('microsecond', x) % 1000000)",
}
# White_Space of Unicode (string_functions#trim); DuckDB removes spaces.
_WHITE_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
# Whole units, rounded down (timestamp_functions#unix_seconds).
_SINCE_1970 = "((EPOCH_US(x) - ((EPOCH_US(x) % {unit}) + {unit}) % {unit}) // {unit})"
_SCALARS = "NOT LIST_HAS_ANY(JSON_TYPE(j, '$[*]'), ['ARRAY', 'OBJECT'])"
_SAME_PARTS = frozenset({"YEAR", "ISOYEAR", "QUARTER", "MONTH", "DAY", "DAYOFYEAR", "HOUR", "MINUTE", "SECOND"})


def mend(query: exp.Query) -> None:
    """Correct the expressions of a query in place, where DuckDB would give them another value.

    Parameters
    ----------
    query
        The tree, as sqlglot read it from BigQuery's dialect.

    Raises
    ------
    SqlError
        An expression has no equal in DuckDB.
    """
    for node in reversed(list(query.walk())):
        correct = _MENDS.get(type(node))
        if correct and (better := correct(node)) is not node:
            node.replace(better)


# --- JSON and aggregates -------------------------------------------------------------------------------------


def _json_array(only: str = "TRUE", items: str = "JSON_EXTRACT") -> Callable[[exp.Expr], exp.Expr]:
    """Give NULL where JSON has no array, or not what it is to hold (json_functions#json_value_array)."""
    template = f"CASE WHEN JSON_TYPE(j) = 'ARRAY' AND {only} THEN {items}(j, '$[*]') END"
    return lambda node: fill(template, j=exp.JSONExtract(this=node.this, expression=node.expression))


def _count_if(node: exp.Expr) -> exp.Expr:
    """Of no rows it is 0 (aggregate_functions#countif), in a window too."""
    value = node.this.expressions[0] if isinstance(node.this, exp.Distinct) else node.this
    value.replace(fill("NULLIF(x, FALSE)", x=value))
    return exp.Count(this=node.this)


def _quantiles(node: exp.Expr) -> exp.Expr:
    """Give values that occur (approximate_aggregate_functions#approx_quantiles); DuckDB's own are between them."""
    *_, number = node.iter_expressions() if node.expression else node.this.expressions
    if not number.is_int:
        raise SqlError("APPROX_QUANTILES needs a number of quantiles", "write a literal")
    value = exp.Distinct(expressions=node.this.expressions[:1]) if isinstance(node.this, exp.Distinct) else node.this
    parts = exp.array(*(exp.Literal.number(f"{part / int(number.name)}") for part in range(int(number.name) + 1)))
    return exp.Anonymous(this="QUANTILE_DISC", expressions=[value, parts])


def _string_agg(node: exp.Expr) -> exp.Expr:
    if node.find(exp.Limit):
        raise SqlError("LIMIT inside of STRING_AGG is not understood", "use ARRAY_TO_STRING(ARRAY_AGG(...), ...)")
    return node


# --- values --------------------------------------------------------------------------------------------------


def _extract(node: exp.Expr) -> exp.Expr:
    unit = node.this.this if isinstance(node.this, exp.WeekStart) else node.this
    part = unit.name.upper()
    if part not in _PARTS and part not in _SAME_PARTS:
        raise SqlError(f"EXTRACT({part}) is not understood", ON_BIGQUERY)
    return fill(_PARTS.get(part, f"DATE_PART('{part}', x)"), x=node.expression)


def _literal(node: exp.Expr) -> exp.Expr:
    """1.5 is a FLOAT64 (lexical#floating_point_literals), not DuckDB's DECIMAL."""
    exact = not node.is_string and "." in node.name and "e" not in node.name.lower()
    return exp.Literal.number(f"{node.name}e0") if exact else node


def _concat(node: exp.Expr) -> exp.Expr:
    node.set("expressions", [text(part) for part in node.expressions])
    return node


def _divide_exactly(node: exp.Expr) -> exp.Expr:
    """Refuse to divide a NUMERIC, which is a NUMERIC on BigQuery (operators#arithmetic_operators)."""
    divided = _whole_divide(node) if isinstance(node, exp.IntDiv) else _divide(node)
    if node.find_ancestor(exp.SafeFunc):
        return divided
    is_numeric = "STARTS_WITH(TYPEOF(x), 'DECIMAL') OR STARTS_WITH(TYPEOF(y), 'DECIMAL')"
    return fill(f"CASE WHEN {is_numeric} THEN {_NUMERIC} ELSE d END", x=node.this, y=node.expression, d=divided)


def _divide(node: exp.Expr) -> exp.Expr:
    divisor = node.expression
    if not (isinstance(divisor, exp.Literal) and divisor.is_number and float(divisor.name)):
        node.set("expression", fill(f"CASE WHEN (x) = 0 THEN {_BY_ZERO} ELSE (x) END", x=divisor))
    return node


def _whole_divide(node: exp.Expr) -> exp.Expr:
    """DuckDB 1 divides by zero to NULL; SAFE. wants just that, and DuckDB's TRY allows no ERROR in it."""
    return node if node.find_ancestor(exp.SafeFunc) else _divide(node)


def _like(node: exp.Expr) -> exp.Expr:
    """Tell DuckDB that a backslash escapes in a pattern (operators#like_operator)."""
    pattern = node.expression
    plain = isinstance(pattern, exp.Literal) and "\\" not in pattern.name
    if isinstance(pattern, exp.SubqueryPredicate) and "\\" in pattern.sql():
        raise SqlError("LIKE ANY with an escaped pattern is not understood", "join several LIKE by OR")
    if plain or isinstance(pattern, exp.SubqueryPredicate):
        return node
    return exp.Escape(this=node.copy(), expression=exp.Literal.string("\\"))


def _substring(node: exp.Expr) -> exp.Expr:
    """Start at 1 where the position is 0 or lies before the text (string_functions#substr)."""
    start = node.args["start"]
    if not (isinstance(start, exp.Literal) and start.is_int and int(start.name) > 0):
        first = "CASE WHEN (i) = 0 OR (i) < -LENGTH(s) THEN 1 ELSE (i) END"
        node.set("start", fill(first, i=start, s=node.this))
    return _not_below_zero("length")(node)


def _trim(node: exp.Expr) -> exp.Expr:
    if not node.expression:
        node.set("expression", exp.Literal.string(_WHITE_SPACE))
    return node


def _not_below_zero(key: str) -> Callable[[exp.Expr], exp.Expr]:
    """Make a length below 0 an error (string_functions); DuckDB counts from the end, or gives an empty text."""

    def mend_length(node: exp.Expr) -> exp.Expr:
        length = node.args.get(key)
        if length and not isinstance(length, exp.Literal):
            node.set(key, fill(f"CASE WHEN (n) < 0 THEN {_BELOW_0} ELSE (n) END", n=length))
        return node

    return mend_length


def _position(node: exp.Expr) -> exp.Expr:
    start = node.args.get("position")
    if start and not (isinstance(start, exp.Literal) and int(start.name) > 0):
        raise SqlError("INSTR from a place that is no number above 0 is not understood", "use REGEXP_INSTR")
    return node


def _format(node: exp.Expr) -> exp.Expr:
    pattern = node.this.name if node.this.is_string else "%"
    if re.sub(r"%(%|[-+0 ]*\d*(\.\d+)?[dsfeExX])", "", pattern).count("%"):
        raise SqlError("FORMAT understands a literal of %d, %s, %f, %e and %x", "use CONCAT and CAST")
    return exp.Anonymous(this="PRINTF", expressions=[node.this, *node.expressions])


def _time_format(node: exp.Expr) -> exp.Expr:
    """Only elements that mean the same in both (format-elements#format_elements_date_time)."""
    pattern, name = node.args["format"], node.meta.get("bigquery_name", "")
    codes = "%YymdHMSIpbBaAj" + ("" if name.startswith("PARSE") else "UWVGuw")
    if not pattern.is_string or re.sub(f"%[{codes}]", "", pattern.name).count("%"):
        raise SqlError(f"{name}: a literal of %F, %T and {' '.join('%' + code for code in codes)} is understood")
    zone = node.args.get("zone")
    if isinstance(node, exp.TimeToStr) and (zone or name == "FORMAT_TIME"):
        time = "TIMEZONE(z, x)" if zone else "DATE '1970-01-01' + CAST(x AS TIME)"
        return fill(f"STRFTIME({time}, f)", x=node.this.this, f=pattern, z=zone or pattern)
    if zone:
        raise SqlError(f"{name} with a time zone is not understood", "use TIMESTAMP(text, zone)")
    return exp.cast(node.copy(), "TIMESTAMPTZ") if name == "PARSE_TIMESTAMP" else node


def _of_its_type(node: exp.Expr) -> exp.Expr:
    """DATE_ADD and DATE_TRUNC of a DATE are a DATE (date_functions#date_trunc), of a TIMESTAMP a TIMESTAMP."""
    if node.this.is_string:
        node.set("this", exp.cast(node.this.copy(), "DATE"))
    return fill("CAST_TO_TYPE(t, x)", t=node, x=node.this)


def _unzoned(node: exp.Expr) -> exp.Expr:
    if node.this:
        name = node.meta.get("bigquery_name")
        raise SqlError(f"{name} with a time zone is not understood", "use DATETIME(timestamp, zone)")
    kind = "TIMESTAMP" if isinstance(node, exp.CurrentDatetime) else "TIME"
    return fill(f"CAST(CAST(CURRENT_TIMESTAMP AS TIMESTAMP) AS {kind})")


def _time(node: exp.Expr) -> exp.Expr:
    """DuckDB casts no TIMESTAMP with a time zone to TIME; within FORMAT_TIME this node has no name."""
    return fill(_PARTS["TIME"], x=node.this) if node.meta.get("bigquery_name") == "TIME" else node


def _json_string(node: exp.Expr) -> exp.Expr:
    if node.args.get("options"):
        raise SqlError("TO_JSON_STRING with a second argument is not understood", ON_BIGQUERY)
    empty = "CASE WHEN x IS NULL AND ENDS_WITH(TYPEOF(x), '[]') THEN '[]' ELSE j END"
    number = fill("TRY_CAST(CAST(x AS VARCHAR) AS DECIMAL(38, 9))", x=node.this)
    return fill(empty, x=node.this, j=fill(_JSON, x=node.this, t=text(node.this), n=number))


def _finite(sql: str) -> Callable[[exp.Expr], exp.Expr]:
    """Make a result that leaves the numbers an error (mathematical_functions); DuckDB gives Infinity or NaN."""
    inputs = "ISFINITE(x) AND ISFINITE(y)" if "y" in sql else "ISFINITE(x)"
    template = f"CASE WHEN NOT ISFINITE({sql}) AND {inputs} THEN {_NOT_FINITE} ELSE {sql} END"
    return lambda node: fill(template, x=node.this, y=node.expression)


def _corr(node: exp.Expr) -> exp.Expr:
    """Of fewer than two pairs it is NULL (statistical_aggregate_functions#corr)."""
    if isinstance(node.parent, exp.Window):
        raise SqlError("CORR with OVER is not understood", ON_BIGQUERY)
    return fill("CASE WHEN REGR_COUNT(x, y) < 2 THEN NULL ELSE c END", x=node.this, y=node.expression, c=node)


def _subtract(node: exp.Expr) -> exp.Expr:
    """Refuse DATE - DATE, which is an INTERVAL (operators#datetime_subtraction) and no number of days."""
    less = node.expression
    if not isinstance(less, (exp.Literal, exp.Interval, exp.Null)):
        node.set("expression", fill(f"CASE WHEN TYPEOF(x) = 'DATE' THEN {_DATES} ELSE (x) END", x=less))
    return node


def _elapsed(node: exp.Expr) -> exp.Expr:
    """TIMESTAMP_DIFF counts whole units, not borders crossed (timestamp_functions#timestamp_diff)."""
    unit = node.args["unit"].name.upper()
    if unit not in ("MICROSECOND", "MILLISECOND", "SECOND", "MINUTE", "HOUR", "DAY"):
        raise SqlError("TIMESTAMP_DIFF understands MICROSECOND to DAY", "use DATE_DIFF(DATE(a), DATE(b), part)")
    return fill(f"DATESUB('{unit}', b, a)", a=node.this, b=node.expression)


def _as(kind: str) -> Callable[[exp.Expr], exp.Expr]:
    return lambda node: exp.cast(node.copy(), kind)


def _rewrite(sql: str) -> Callable[[exp.Expr], exp.Expr]:
    return lambda node: fill(sql, x=node.this)


_MENDS: dict[type[exp.Expr], Callable[[exp.Expr], exp.Expr]] = {
    exp.ApproxQuantiles: _quantiles,
    exp.ArrayAgg: arrays.collect,
    exp.ArrayConcat: arrays.concatenate,
    exp.ArrayReverse: arrays.with_array,
    exp.ArraySize: arrays.with_array,
    exp.ArrayToString: arrays.with_array,
    exp.Bracket: arrays.bracket,
    exp.ByteLength: _rewrite("STRLEN(x)"),
    exp.Cast: cast,
    exp.Column: arrays.column,
    exp.Concat: _concat,
    exp.Corr: _corr,
    exp.CountIf: _count_if,
    exp.CurrentDatetime: _unzoned,
    exp.CurrentTime: _unzoned,
    exp.DateAdd: _of_its_type,
    exp.DateFromUnixDate: _as("DATE"),
    exp.DateSub: _of_its_type,
    exp.DateTrunc: _of_its_type,
    exp.Div: _divide_exactly,
    exp.Dot: arrays.column,
    exp.Exp: _finite("EXP(x)"),
    exp.Extract: _extract,
    exp.Format: _format,
    exp.GenerateSeries: arrays.generate,
    exp.GroupConcat: _string_agg,
    exp.IgnoreNulls: arrays.collect,
    exp.IntDiv: _divide_exactly,
    exp.JSONExtractArray: _json_array(),
    exp.JSONFormat: _json_string,
    exp.JSONValueArray: _json_array(_SCALARS, "JSON_EXTRACT_STRING"),
    exp.Is: arrays.is_null,
    exp.Left: _not_below_zero("expression"),
    exp.Like: _like,
    exp.Literal: _literal,
    exp.Lower: _rewrite(_LOWER),
    exp.Mod: _whole_divide,
    exp.Pad: _not_below_zero("expression"),
    exp.ParseDatetime: _time_format,
    exp.ParseTime: _time_format,
    exp.Pow: _finite("POW(x, y)"),
    exp.Repeat: _not_below_zero("times"),
    exp.RespectNulls: arrays.collect,
    exp.Right: _not_below_zero("expression"),
    exp.SafeFunc: _rewrite("TRY(x)"),
    exp.StrPosition: _position,
    exp.StrToDate: _time_format,
    exp.StrToTime: _time_format,
    exp.Sub: _subtract,
    exp.Substring: _substring,
    exp.TimeToStr: _time_format,
    exp.TimestampDiff: _elapsed,
    exp.Trim: _trim,
    exp.TryCast: cast,
    exp.TsOrDsToTime: _time,
    exp.UnixMillis: _rewrite(_SINCE_1970.format(unit=1000)),
    exp.UnixSeconds: _rewrite(_SINCE_1970.format(unit=1_000_000)),
    exp.UnixToTime: _as("TIMESTAMPTZ"),
    exp.Upper: _rewrite(_UPPER),
}
