"""GoogleSQL, as it is on BigQuery, for the embedded DuckDB warehouse.

sqlglot parses the query and writes it for DuckDB; this module only corrects the tree in between, where the
two would answer differently, and refuses what it can't make equal. A function that is not in ``_FUNCTIONS``
is refused: it was not compared, or it would reach files and settings.

Pages named in comments lie below https://cloud.google.com/bigquery/docs/reference/standard-sql/.
"""

from __future__ import annotations

import logging
import re
from functools import cache
from itertools import count, pairwise
from typing import TYPE_CHECKING

import sqlglot
from sqlglot import TokenType, exp
from sqlglot.errors import ErrorLevel, ParseError, TokenError, UnsupportedError

from dicombq.errors import SqlError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# What sqlglot would warn of is refused here, and its warnings would print the query.
logging.getLogger("sqlglot").setLevel(logging.ERROR)

_ON_BIGQUERY = "run the query on BigQuery itself, with --warehouse=bq://PROJECT"

# As BigQuery calls them, or sqlglot where it keeps no other name.
_FUNCTIONS = """
ABS ACOS AND ANY_VALUE APPROX_COUNT_DISTINCT APPROX_QUANTILES ARG_MAX ARG_MIN ARRAY ARRAY_AGG ARRAY_CONCAT
ARRAY_CONCAT_AGG ARRAY_LENGTH ARRAY_REVERSE ARRAY_TO_STRING ASCII ASIN ATAN AVG BIT_AND BIT_COUNT BIT_OR
BIT_XOR BYTE_LENGTH CASE CAST CEIL CEILING CHARACTER_LENGTH CHAR_LENGTH CHR COALESCE CONCAT CONTAINS_SUBSTR
CORR COS COUNT COUNTIF COVAR_POP COVAR_SAMP CUME_DIST CURRENT_DATE CURRENT_DATETIME CURRENT_TIME
CURRENT_TIMESTAMP DATE DATETIME DATETIME_ADD DATETIME_DIFF DATETIME_SUB DATETIME_TRUNC DATE_ADD DATE_DIFF
DATE_FROM_UNIX_DATE DATE_SUB DATE_TRUNC DENSE_RANK DIV EDIT_DISTANCE ENDS_WITH ERROR EXISTS EXP EXTRACT
FIRST_VALUE FLOOR FORMAT FORMAT_DATE FORMAT_DATETIME FORMAT_TIME FORMAT_TIMESTAMP GENERATE_ARRAY
GENERATE_DATE_ARRAY GENERATE_UUID GREATEST GROUP_CONCAT IF IFNULL INITCAP INSTR IS_INF IS_NAN JSON_EXTRACT
JSON_EXTRACT_ARRAY JSON_EXTRACT_SCALAR JSON_EXTRACT_STRING_ARRAY JSON_QUERY JSON_QUERY_ARRAY JSON_VALUE
JSON_VALUE_ARRAY LAG LAST_DAY LAST_VALUE LEAD LEAST LEFT LENGTH LN LOG LOG10 LOGICAL_AND LOGICAL_OR LOWER
LPAD LTRIM MAX MD5 MIN MOD NTH_VALUE NTILE NULLIF OCTET_LENGTH OR PARSE_DATE PARSE_DATETIME PARSE_JSON
PARSE_TIME PARSE_TIMESTAMP PERCENTILE_CONT PERCENTILE_DISC PERCENT_RANK POW POWER RAND RANK REGEXP_CONTAINS
REGEXP_EXTRACT REGEXP_EXTRACT_ALL REGEXP_INSTR REGEXP_REPLACE REGEXP_SUBSTR REPEAT REPLACE REVERSE RIGHT
ROUND ROW_NUMBER RPAD RTRIM SAFE_DIVIDE SAFE_FUNC SHA1 SHA256 SIGN SIN SPLIT SQRT STARTS_WITH STDDEV
STDDEV_POP STDDEV_SAMP STRING_AGG STRPOS STRUCT SUBSTR SUBSTRING SUM TAN TIME TIMESTAMP TIMESTAMP_ADD
TIMESTAMP_DIFF TIMESTAMP_MICROS TIMESTAMP_MILLIS TIMESTAMP_SECONDS TIMESTAMP_SUB TIMESTAMP_TRUNC TIME_ADD
TIME_DIFF TIME_SUB TO_BASE64 TO_HEX TO_JSON TO_JSON_STRING TRANSLATE TRIM TRUNC TRY_CAST TS_OR_DS_TO_DATE
TS_OR_DS_TO_DATETIME TS_OR_DS_TO_TIME TS_OR_DS_TO_TIMESTAMP UNICODE UNIX_DATE UNIX_MICROS UNIX_MILLIS
UNIX_SECONDS UNNEST UPPER VARIANCE VAR_POP VAR_SAMP WEEK WEEK_START
"""
_FILE_SUFFIX = re.compile("csv|tsv|txt|jsonl?|ndjson|parquet|avro|xlsx|arrow|db|duckdb|gz|zst", re.IGNORECASE)
_LEGACY_NAME = re.compile(r"\[(?:([\w.:-]+):)?([\w-]+(?:\.[\w-]+)+)\]")  # [P:D.T], [P.D.T] and [D.T]
_REFUSED: dict[type[exp.Expr], str] = {
    exp.Into: "SELECT INTO",
    exp.Pivot: "PIVOT or UNPIVOT",
    exp.Version: "FOR SYSTEM_TIME AS OF",
    exp.Lateral: "LATERAL",
    exp.Values: "VALUES",
    exp.Parameter: "a query parameter",
    exp.Placeholder: "a query parameter",
}


def to_duckdb(sql: str, *, catalog: str | None = None) -> str:
    """Translate one GoogleSQL query for DuckDB.

    `P.D.T` becomes `D.T`. The connection that runs the answer needs ``SET TimeZone = 'UTC'``, BigQuery's
    default, and, against what no translation can rule out, to be read-only and without external access.

    Parameters
    ----------
    sql
        One query: SELECT, WITH or a set operation. A final semicolon, ``#standardSQL`` and legacy table
        names, `[P:D.T]`, are accepted.
    catalog
        The attached database that holds the datasets; `D.T` becomes `catalog.D.T`. Needed where a dataset
        has the database's own name, which DuckDB finds ambiguous.

    Returns
    -------
    str
        One DuckDB statement, all identifiers quoted.

    Raises
    ------
    SqlError
        The text is not GoogleSQL, not one query, or uses what has no equal in DuckDB.
    """
    try:
        query = _parse(sql)
        _check(query)
        query.set("kind", None)  # SELECT AS STRUCT gives columns at the top (query-syntax#select_as_struct)
        for select in list(query.find_all(exp.Select)):
            _name_columns(select)
            _group_by_alias(select)
        _find_array_paths(query)
        for node in reversed(list(query.walk())):
            mend = _MENDS.get(type(node))
            if mend and (better := mend(node)) is not node:
                node.replace(better)
        numbers = count(1)
        for unnest in list(query.find_all(exp.Unnest)):
            if not isinstance(unnest.parent, exp.In):
                _expand(unnest, f"_unnest{next(numbers)}")
        for table in list(query.find_all(exp.Table)):
            _place(table, sql, catalog)
        return query.sql(dialect="duckdb", identify=True, unsupported_level=ErrorLevel.RAISE)
    except UnsupportedError as error:
        raise SqlError(str(error).splitlines()[0].rstrip(". "), _ON_BIGQUERY) from None
    except RecursionError:
        raise SqlError("the query is nested too deeply", _ON_BIGQUERY) from None


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


# --- reading -------------------------------------------------------------------------------------------------


def _parse(sql: str) -> exp.Query:
    if re.match(r"\s*#legacySQL", sql, re.IGNORECASE):
        raise SqlError("legacy SQL is not understood, apart from its table names", "write GoogleSQL")
    try:
        statements = [tree for tree in sqlglot.parse(standard_names(sql), read="bigquery") if tree]
    except ParseError as error:
        raise SqlError(_describe(error)) from None
    except TokenError as error:
        missing = re.match(r"Missing (\S+) from (\d+):(\d+)", str(error.__cause__))
        where = f"line {missing[2]}, column {missing[3]}: expected a closing {missing[1]}" if missing else ""
        raise SqlError(where or "a comment or a literal does not end") from None
    if not statements:
        raise SqlError("there is no query in the text")
    if len(statements) > 1:
        raise SqlError("expected one statement, found several", "run one query at a time")
    if not isinstance(statements[0], exp.Query):
        raise SqlError("only a query can be run: SELECT, WITH, or a set operation of them")
    return statements[0]


def _describe(error: ParseError) -> str:
    first = error.errors[0]
    token = first["highlight"] or ""
    found = "a literal" if token[:1] in ("'", '"') or token[:1].isdigit() else token  # a value may be a patient's
    if wanted := re.match(r"Expect(?:ing|ed) (.+?)(?: but got .*)?$", first["description"], re.DOTALL):
        what = f"expected {wanted[1]}, found {found}"
    elif first["description"].startswith("Required keyword"):
        what = f"expected an expression after {found}"
    else:
        what = f"unexpected {found}"
    return f"line {first['line']}, column {first['col'] - len(token) + 1}: {what}"


def _check(query: exp.Query) -> None:
    for node in query.walk():
        if isinstance(node, (exp.DML, exp.DDL, exp.Command)):
            raise SqlError("only a query can be run: the warehouse is read here, never written")
        if what := _REFUSED.get(type(node)):
            raise SqlError(f"{what} is not understood", _ON_BIGQUERY)
        if isinstance(node, exp.Select) and not node.expressions:
            raise SqlError("expected columns after SELECT")
        if isinstance(node, (exp.From, exp.Join)) and not isinstance(node.this, (exp.Table, exp.Unnest, exp.Subquery)):
            raise SqlError("expected a table, an UNNEST or a query in brackets after FROM and JOIN")
        if isinstance(node, exp.Table) and not isinstance(node.this, exp.Identifier):
            raise SqlError("table functions are refused; only UNNEST(array) can stand for a table")
        if isinstance(node, exp.Func):
            _check_function(node)


def _check_function(node: exp.Func) -> None:
    name = node.name if isinstance(node, exp.Anonymous) else node.meta.get("bigquery_name") or node.sql_name()
    misplaced = isinstance(node, exp.Unnest) and not isinstance(node.parent, (exp.From, exp.Join, exp.In))
    if name.upper() not in _FUNCTIONS.split() or misplaced:
        raise SqlError(f"the function {name.upper()} is not understood here", _ON_BIGQUERY)


# --- names ---------------------------------------------------------------------------------------------------


def _name_columns(select: exp.Select) -> None:
    """Name what has no name `f0_`, `f1_` and so on, as BigQuery does (query-syntax#implicit_aliases)."""
    numbers = count()
    for column in [] if select.args.get("kind") else select.expressions:
        if isinstance(column, exp.Dot) and isinstance(column.expression, exp.Identifier):
            column.replace(exp.alias_(column.copy(), column.name))
        elif not (column.is_star or isinstance(column, (exp.Alias, exp.Column, exp.Dot))):
            column.replace(exp.alias_(column.copy(), f"f{next(numbers)}_"))


def _group_by_alias(select: exp.Select) -> None:
    """In GROUP BY, an alias hides a column of its name; DuckDB takes the column (query-syntax#group_by_clause)."""
    aliases = {column.alias.lower(): column for column in select.expressions if isinstance(column, exp.Alias)}
    group = select.args.get("group")
    for key in group.expressions if group else []:
        aliased = aliases.get(key.name.lower()) if isinstance(key, exp.Column) and not key.table else None
        if aliased and aliased.this != key:
            ordinal = exp.Literal.number(select.expressions.index(aliased) + 1)
            key.replace(aliased.this.copy() if select.is_star else ordinal)


def _names(select: exp.Select, without: exp.Expr | None = None) -> set[str]:
    """Give the names that a FROM clause brings into sight, in small letters."""
    parts = [select.args.get("from_"), *select.args.get("joins", [])]
    return {_alias(part.this).lower() for part in parts if part and part.this is not without}


def _alias(source: exp.Expr) -> str:
    alias = source.args.get("alias")
    return alias.columns[0].name if alias and alias.columns else source.alias_or_name


def _find_array_paths(query: exp.Query) -> None:
    """`FROM t.OtherElements` is an UNNEST where `t` is a source of the query (arrays#correlated_join)."""
    for table in list(query.find_all(exp.Table)):
        parts = table.parts
        select = table.find_ancestor(exp.Select)
        while select and parts[0].name.lower() not in _names(select, without=table):
            select = select.find_ancestor(exp.Select)
        if len(parts) > 1 and select:
            path = sqlglot.parse_one(".".join(f"`{part.name}`" for part in parts), read="bigquery")
            table.replace(exp.Unnest(expressions=[path], alias=table.args.get("alias")))
    for unnest in query.find_all(exp.Unnest):
        alias = unnest.args.get("alias") or exp.TableAlias()
        if "offset" not in unnest.args and not alias.columns:  # a path, not the word UNNEST: it names its row
            alias.set("columns", [alias.this or exp.to_identifier(unnest.expressions[0].name)])
            unnest.set("alias", alias)
        if isinstance(unnest.parent, exp.Join) and unnest.parent.side and not unnest.parent.args.get("on"):
            unnest.parent.set("on", exp.true())


def _place(table: exp.Table, sql: str, catalog: str | None) -> None:
    names = ".".join(part.name for part in table.parts).split(".")
    start = table.parts[0].meta.get("start")
    suspicious = any(not re.fullmatch(r"[\w-]+", name) for name in names[-2:])
    if (start is not None and sql[start] in "'\"") or (names[1:] and _FILE_SUFFIX.fullmatch(names[-1])):
        raise SqlError("a file is no table", "name a table: DATASET.TABLE or `PROJECT.DATASET.TABLE`")
    if suspicious:
        raise SqlError(f"{'.'.join(names)} is no table's name", "DATASET.TABLE: letters, digits, underscores")
    if "INFORMATION_SCHEMA" in (name.upper() for name in names[:-1]):
        table.replace(_information_schema(names, table.alias or names[-1], catalog))
    elif len(names) > 1:
        table.set("this", exp.to_identifier(names[-1]))
        table.set("db", exp.to_identifier(names[-2]))
        table.set("catalog", exp.to_identifier(catalog) if catalog else None)


def _information_schema(names: list[str], alias: str, catalog: str | None) -> exp.Expr:
    """Give BigQuery's columns of a dataset's view (docs/information-schema-tables, -columns)."""
    view, dataset = names[-1].upper(), names[-3] if names[2:] else "region-"
    columns = {"TABLES": ["table_type"], "COLUMNS": ["column_name", "ordinal_position", "is_nullable", _TYPE]}
    if view not in columns:
        raise SqlError(f"INFORMATION_SCHEMA.{view} is not understood", "TABLES and COLUMNS are")
    database = exp.Literal.string(catalog) if catalog else _fill("CURRENT_DATABASE()")
    query = exp.select("table_catalog", "table_schema", "table_name", *columns[view], dialect="duckdb")
    query = query.from_(f"system.information_schema.{view.lower()}").where(_fill("table_catalog = x", x=database))
    if not dataset.lower().startswith("region-"):
        query = query.where(_fill("table_schema = x", x=exp.Literal.string(dataset)))
    return query.subquery(alias)


# --- arrays --------------------------------------------------------------------------------------------------


def _expand(unnest: exp.Unnest, fresh: str) -> None:
    """Write UNNEST as a correlated query: fields can be named directly, and offsets start at 0 (arrays).

    At depth 2 a struct becomes a row of its fields, so `o.Tag`, `Tag` and `o` all bind; a plain value becomes
    a column that is called as its row is, so `o` is the value.
    """
    array, name, offset = unnest.expressions[0], _alias(unnest), unnest.args.get("offset")
    uses = list(_uses(unnest, name.lower()))
    if name.lower() in {path.name.lower() for path in array.find_all(exp.Column, exp.Dot)}:
        # UNNEST(ImageType) AS ImageType: the column would hide the row.
        for column in uses:
            if len(column.parts) == 1 and isinstance(column.parent, exp.Select):
                column.replace(exp.alias_(exp.column(fresh), name))
            else:
                column.parts[0].replace(exp.to_identifier(fresh))
        name = fresh
    # A row that is used whole must not have the offset in it.
    whole = offset and any(len(column.parts) == 1 or column.is_star for column in uses)
    depth = "" if whole else ", max_depth := 2"
    columns = [exp.alias_(_fill(f"UNNEST(a{depth})", a=array), name or "f0_")]
    if offset:
        columns.append(exp.alias_(_fill("GENERATE_SUBSCRIPTS(a, 1) - 1", a=array), offset.copy()))
    unnest.replace(exp.select(*columns).subquery((fresh if whole else name) or None))


def _uses(unnest: exp.Unnest, name: str) -> Iterator[exp.Column]:
    """Find what means the row called `name`, here and in inner queries without a row of that name."""
    select = unnest.find_ancestor(exp.Select)
    for column in list(select.find_all(exp.Column)) if select else []:
        inner = column.find_ancestor(exp.Select)
        while inner is not select and inner and name not in _names(inner):
            inner = inner.find_ancestor(exp.Select)
        if inner is select and column.parts[0].name.lower() == name and column.find_ancestor(exp.Unnest) is not unnest:
            yield column


def _array(node: exp.Expr) -> exp.Expr:
    """BigQuery reads a REPEATED column that was never written as empty, not NULL (data-types#array_nulls)."""
    return _fill("COALESCE(x, [])", x=node) if isinstance(node, (exp.Column, exp.Dot)) else node


def _with_array(node: exp.Expr) -> exp.Expr:
    node.set("this", _array(node.this))
    return node


def _bracket(node: exp.Expr) -> exp.Expr:
    """Out of range is an error, or NULL with SAFE_ (arrays#accessing_array_elements); DuckDB counts back from 0."""
    index = node.expressions[0]
    if index.is_string:
        raise SqlError("a JSON subscript is not understood", "write JSON_VALUE(column, '$.\"KEY\"[0]')")
    first = "i" if node.args.get("offset") == 1 else "((i) + 1)"
    outside = "NULL" if node.args.get("safe") else "ERROR('Array index is out of bounds')"
    template = (
        f"CASE WHEN a IS NULL OR (i) IS NULL THEN NULL WHEN {first} BETWEEN 1 AND ARRAY_LENGTH(a) "
        f"THEN LIST_EXTRACT(a, {first}) ELSE {outside} END"
    )
    return _fill(template, a=_array(node.this), i=index)


def _array_agg(node: exp.Expr) -> exp.Expr:
    """Write IGNORE NULLS and LIMIT inside of ARRAY_AGG (aggregate_functions#array_agg)."""
    aggregate = node if isinstance(node, exp.ArrayAgg) else node.this
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
        aggregate = exp.Filter(this=aggregate, expression=exp.Where(this=_fill("(x) IS NOT NULL", x=value)))
    return _fill("LIST_SLICE(a, 1, n)", a=aggregate, n=limit.expression) if limit else aggregate


def _string_agg(node: exp.Expr) -> exp.Expr:
    if node.find(exp.Limit):
        raise SqlError("LIMIT inside of STRING_AGG is not understood", "use ARRAY_TO_STRING(ARRAY_AGG(...), ...)")
    return node


# --- values --------------------------------------------------------------------------------------------------


@cache
def _template(sql: str) -> exp.Expr:
    return sqlglot.parse_one(sql, read="duckdb")


def _fill(sql: str, **parts: exp.Expr) -> exp.Expr:
    """Parse DuckDB's `sql` and put `parts` in the places of the columns of their names."""
    tree = _template(sql).copy()
    for column in list(tree.find_all(exp.Column)):
        if column.name in parts:
            column.replace(parts[column.name].copy())
    return tree


# Numbers lose a fraction of zeros; fractions of seconds have 3 or 6 digits (conversion_functions#cast_as_string).
_TEXT = r"""
    CASE WHEN TYPEOF(x) = 'DOUBLE' OR STARTS_WITH(TYPEOF(x), 'DECIMAL')
         THEN REGEXP_REPLACE(CAST(x AS VARCHAR), '\.0*$|(\.\d*[1-9])0+$', '\1')
         WHEN STARTS_WITH(TYPEOF(x), 'TIME')
         THEN REGEXP_REPLACE(REGEXP_REPLACE(CAST(x AS VARCHAR), '\.(\d|\d{4})(\+00)?$', '.\100\2'),
                             '\.(\d\d|\d{5})(\+00)?$', '.\10\2')
         ELSE CAST(x AS VARCHAR) END"""
# Halves round away from zero, and text has to be a whole number (conversion_functions#cast_as_integer).
_INTEGER = r"""
    CASE WHEN TYPEOF(x) = 'DOUBLE' THEN CAST(ROUND(CAST(x AS DOUBLE)) AS BIGINT)
         WHEN TYPEOF(x) = 'VARCHAR' AND NOT REGEXP_FULL_MATCH(CAST(x AS VARCHAR), '\s*[+-]?(\d+|0[xX][\da-fA-F]+)\s*')
         THEN CAST(ERROR('Bad INT64 value') AS BIGINT) ELSE CAST(x AS BIGINT) END"""
_SAFE_INTEGER = _INTEGER.replace("ERROR('Bad INT64 value')", "NULL").replace(" CAST(", " TRY_CAST(")
# DuckDB's names of types for people who know BigQuery's; records stay as DuckDB writes them.
_TYPE = "data_type"
for _theirs, _ours in (("VARCHAR", "STRING"), ("BIGINT", "INT64"), ("DOUBLE", "FLOAT64"), ("BOOLEAN", "BOOL")):
    _TYPE = rf"REGEXP_REPLACE({_TYPE}, '\b{_theirs}\b', '{_ours}', 'g')"
_TYPE = rf"REGEXP_REPLACE(REPLACE({_TYPE}, ' WITH TIME ZONE', ''), '^(\w+)\[\]$', 'ARRAY<\1>') AS data_type"

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
_SAME_PARTS = "YEAR ISOYEAR QUARTER MONTH DAY DAYOFYEAR HOUR MINUTE SECOND"


def _extract(node: exp.Expr) -> exp.Expr:
    unit = node.this.this if isinstance(node.this, exp.WeekStart) else node.this
    part = unit.name.upper()
    if part not in _PARTS and part not in _SAME_PARTS.split():
        raise SqlError(f"EXTRACT({part}) is not understood", _ON_BIGQUERY)
    return _fill(_PARTS.get(part, f"DATE_PART('{part}', x)"), x=node.expression)


def _literal(node: exp.Expr) -> exp.Expr:
    """1.5 is a FLOAT64 (lexical#floating_point_literals), not DuckDB's DECIMAL."""
    exact = not node.is_string and "." in node.name and "e" not in node.name.lower()
    return exp.Literal.number(f"{node.name}e0") if exact else node


def _text(node: exp.Expr) -> exp.Expr:
    return node if isinstance(node, exp.Literal) and node.is_string else _fill(_TEXT, x=node)


def _concat(node: exp.Expr) -> exp.Expr:
    node.set("expressions", [_text(part) for part in node.expressions])
    return node


def _cast(node: exp.Expr) -> exp.Expr:
    if node.args.get("format"):
        raise SqlError("CAST with FORMAT is not understood", "use FORMAT_DATE, FORMAT_TIMESTAMP or PARSE_DATE")
    if node.args["to"].this == exp.DType.TEXT:
        return _text(node.this)
    if node.args["to"].this == exp.DType.BIGINT:
        return _fill(_SAFE_INTEGER if isinstance(node, exp.TryCast) else _INTEGER, x=node.this)
    if node.args["to"].this == exp.DType.BIGDECIMAL:
        raise SqlError("BIGNUMERIC is not understood", _ON_BIGQUERY)
    if node.args["to"].this == exp.DType.DECIMAL and not node.args["to"].expressions:  # data-types#decimal_types
        node.set("to", exp.DataType.build("DECIMAL(38, 9)"))
    return node


def _divide(node: exp.Expr) -> exp.Expr:
    divisor = node.expression
    if not (isinstance(divisor, exp.Literal) and divisor.is_number and float(divisor.name)):
        error = "CASE WHEN (x) = 0 THEN ERROR('division by zero') ELSE (x) END"
        node.set("expression", _fill(error, x=divisor))
    return node


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
        node.set("start", _fill(first, i=start, s=node.this))
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
        return _fill(f"STRFTIME({time}, f)", x=node.this.this, f=pattern, z=zone or pattern)
    if zone:
        raise SqlError(f"{name} with a time zone is not understood", "use TIMESTAMP(text, zone)")
    return exp.cast(node.copy(), "TIMESTAMPTZ") if name == "PARSE_TIMESTAMP" else node


def _date_trunc(node: exp.Expr) -> exp.Expr:
    """DATE_TRUNC of a DATE is a DATE (date_functions#date_trunc), of a TIMESTAMP a TIMESTAMP."""
    if node.this.is_string:
        node.set("this", exp.cast(node.this.copy(), "DATE"))
    return _fill("CAST_TO_TYPE(t, x)", t=node, x=node.this)


def _unzoned(node: exp.Expr) -> exp.Expr:
    if node.this:
        name = node.meta.get("bigquery_name")
        raise SqlError(f"{name} with a time zone is not understood", "use DATETIME(timestamp, zone)")
    kind = "TIMESTAMP" if isinstance(node, exp.CurrentDatetime) else "TIME"
    return _fill(f"CAST(CAST(CURRENT_TIMESTAMP AS TIMESTAMP) AS {kind})")


def _time(node: exp.Expr) -> exp.Expr:
    """DuckDB casts no TIMESTAMP with a time zone to TIME; within FORMAT_TIME this node has no name."""
    return _fill(_PARTS["TIME"], x=node.this) if node.meta.get("bigquery_name") == "TIME" else node


def _json_string(node: exp.Expr) -> exp.Expr:
    if node.args.get("options"):
        raise SqlError("TO_JSON_STRING with a second argument is not understood", _ON_BIGQUERY)
    return _fill("COALESCE(CAST(TO_JSON(x) AS VARCHAR), 'null')", x=node.this)


def _elapsed(node: exp.Expr) -> exp.Expr:
    """TIMESTAMP_DIFF counts whole units, not borders crossed (timestamp_functions#timestamp_diff)."""
    unit = node.args["unit"].name.upper()
    if unit not in ("MICROSECOND", "MILLISECOND", "SECOND", "MINUTE", "HOUR", "DAY"):
        raise SqlError("TIMESTAMP_DIFF understands MICROSECOND to DAY", "use DATE_DIFF(DATE(a), DATE(b), part)")
    return _fill(f"DATESUB('{unit}', b, a)", a=node.this, b=node.expression)


def _as(kind: str) -> Callable[[exp.Expr], exp.Expr]:
    return lambda node: exp.cast(node.copy(), kind)


def _rewrite(sql: str) -> Callable[[exp.Expr], exp.Expr]:
    return lambda node: _fill(sql, x=node.this)


_MENDS: dict[type[exp.Expr], Callable[[exp.Expr], exp.Expr]] = {
    exp.ArrayAgg: _array_agg,
    exp.ArrayReverse: _with_array,
    exp.ArraySize: _with_array,
    exp.ArrayToString: _with_array,
    exp.Bracket: _bracket,
    exp.ByteLength: _rewrite("STRLEN(x)"),
    exp.Cast: _cast,
    exp.Concat: _concat,
    exp.CurrentDatetime: _unzoned,
    exp.CurrentTime: _unzoned,
    exp.DateAdd: _as("DATE"),
    exp.DateFromUnixDate: _as("DATE"),
    exp.DateSub: _as("DATE"),
    exp.DateTrunc: _date_trunc,
    exp.Div: _divide,
    exp.Extract: _extract,
    exp.Format: _format,
    exp.GroupConcat: _string_agg,
    exp.IgnoreNulls: _array_agg,
    exp.JSONFormat: _json_string,
    exp.Like: _like,
    exp.Literal: _literal,
    exp.ParseDatetime: _time_format,
    exp.ParseTime: _time_format,
    exp.RespectNulls: _array_agg,
    exp.SafeFunc: _rewrite("TRY(x)"),
    exp.StrToDate: _time_format,
    exp.StrToTime: _time_format,
    exp.Substring: _substring,
    exp.TimeToStr: _time_format,
    exp.TimestampDiff: _elapsed,
    exp.TryCast: _cast,
    exp.TsOrDsToTime: _time,
    exp.UnixToTime: _as("TIMESTAMPTZ"),
}
