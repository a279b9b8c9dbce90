"""GoogleSQL, as it is on BigQuery, for the embedded DuckDB warehouse: queries, their names and their sources.

sqlglot parses the query and writes it for DuckDB; this module and ``values``, which knows what
expressions mean, only correct the tree in between, where the two would answer differently, and refuse what
they can't make equal.

Pages named in comments lie below https://cloud.google.com/bigquery/docs/reference/standard-sql/.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import count

import sqlglot
from sqlglot import exp
from sqlglot.errors import ErrorLevel, ParseError, TokenError, UnsupportedError

from dicombq.errors import SqlError
from dicombq.table.mapping import MAX_RECORD_DEPTH
from dicombq.warehouses.base import Parameter
from dicombq.warehouses.googlesql.functions import ON_BIGQUERY, check_function
from dicombq.warehouses.googlesql.names import standard_names
from dicombq.warehouses.googlesql.nans import order_nans
from dicombq.warehouses.googlesql.parameters import numbered, put_in
from dicombq.warehouses.googlesql.templates import fill
from dicombq.warehouses.googlesql.values import mend

_FILE_SUFFIX = re.compile("csv|tsv|txt|jsonl?|ndjson|parquet|avro|xlsx|arrow|db|duckdb|gz|zst", re.IGNORECASE)
_REFUSED: dict[type[exp.Expr], str] = {
    exp.Into: "SELECT INTO",
    exp.Pivot: "PIVOT or UNPIVOT",
    exp.Version: "FOR SYSTEM_TIME AS OF",
    exp.Lateral: "LATERAL",
    exp.Values: "VALUES",
}
_OF_ITS_FIRST = (
    *(exp.AnyValue, exp.ArgMax, exp.ArgMin, exp.ArrayAgg, exp.Bracket, exp.HavingMax, exp.IgnoreNulls, exp.Limit),
    *(exp.Order, exp.Paren, exp.RespectNulls),
)
# DuckDB's names of types for people who know BigQuery's; records from the innermost out.
_TYPE_NAMES = (
    (" WITH TIME ZONE", ""),
    *((rf"\b{theirs}\b", ours) for theirs, ours in (("VARCHAR", "STRING"), ("BIGINT", "INT64"), ("DOUBLE", "FLOAT64"))),
    (r"\bBOOLEAN\b", "BOOL"),
    ('"', ""),
    (r"(\w+)\[\]", r"ARRAY<\1>"),
    *((r"STRUCT\(([^()]*)\)\[\]", r"ARRAY<STRUCT<\1>>"), (r"STRUCT\(([^()]*)\)", r"STRUCT<\1>")) * MAX_RECORD_DEPTH,
)


def to_duckdb(sql: str, *, catalog: str | None = None, parameters: Sequence[Parameter] = ()) -> str:
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
    parameters
        Values for ``@name`` and ``?``.

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
        put_in(query, parameters)
        _check(query)
        _name(query)
        query = order_nans(query)
        mend(query)
        _expand_arrays(query)
        for table in list(query.find_all(exp.Table)):
            _place(table, sql, catalog)
        return query.sql(dialect="duckdb", identify=True, unsupported_level=ErrorLevel.RAISE)
    except UnsupportedError as error:
        raise SqlError(str(error).splitlines()[0].rstrip(". "), ON_BIGQUERY) from None
    except RecursionError:
        raise SqlError("the query is nested too deeply", ON_BIGQUERY) from None
    except (AttributeError, LookupError, TypeError, ValueError, ParseError) as error:
        # So sqlglot falls over a function that is given too little.
        raise SqlError("the query can't be translated", "does a function lack an argument?") from error


# --- reading -------------------------------------------------------------------------------------------------


def _parse(sql: str) -> exp.Query:
    if re.match(r"\s*#legacySQL", sql, re.IGNORECASE):
        raise SqlError("legacy SQL is not understood, apart from its table names", "write GoogleSQL")
    try:
        statements = [tree for tree in sqlglot.parse(numbered(standard_names(sql)), read="bigquery") if tree]
    except ParseError as error:
        raise SqlError(_describe(error)) from None
    except TokenError as error:
        missing = re.match(r"Missing (\S+) from \d+:(\d+)", str(error.__cause__))
        if not missing:
            raise SqlError("a comment or a literal does not end") from None
        before = sql[: int(missing[2])]
        place = f"line {before.count(chr(10)) + 1}, column {len(before) - before.rfind(chr(10))}"
        raise SqlError(f"{place}: expected a closing {missing[1]}") from None
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
        what = f"{found} is not expected here" if found else "the query ends too early"
    return f"line {first['line']}, column {first['col'] - len(token) + 1}: {what}"


def _check(query: exp.Query) -> None:
    for node in query.walk():
        if isinstance(node, (exp.DML, exp.DDL, exp.Command)):
            raise SqlError("only a query can be run: the warehouse is read here, never written")
        if what := _REFUSED.get(type(node)):
            raise SqlError(f"{what} is not understood", ON_BIGQUERY)
        if isinstance(node, exp.Select) and not node.expressions:
            raise SqlError("expected columns after SELECT")
        if isinstance(node, (exp.From, exp.Join)) and not isinstance(node.this, (exp.Table, exp.Unnest, exp.Subquery)):
            raise SqlError("expected a table, an UNNEST or a query in brackets after FROM and JOIN")
        if isinstance(node, exp.Table) and not isinstance(node.this, exp.Identifier):
            raise SqlError("table functions are refused; only UNNEST(array) can stand for a table")
        if isinstance(node, exp.Unnest):
            _check_unnest(node)
        elif isinstance(node, exp.Func):
            check_function(node)


def _check_unnest(node: exp.Unnest) -> None:
    if not isinstance(node.parent, (exp.From, exp.Join, exp.In)):
        raise SqlError("the function UNNEST is not understood here", ON_BIGQUERY)
    if len(node.expressions) != 1:
        raise SqlError("expected one array in UNNEST")


# --- names ---------------------------------------------------------------------------------------------------


def _name(query: exp.Query) -> None:
    query.set("kind", None)  # SELECT AS STRUCT gives columns at the top (query-syntax#select_as_struct)
    for source in reversed(list(query.find_all(exp.Subquery))):
        if isinstance(source.this, exp.Table) and not source.this.args.get("joins"):
            _unwrap(source)
    for select in list(query.find_all(exp.Select)):
        _name_columns(select)
        aliases = {column.alias.lower(): column for column in select.expressions if isinstance(column, exp.Alias)}
        _group_by_alias(select, aliases)
        _order_by_alias(select, aliases)
        _expand_records(select)
    _find_array_paths(query)


def _unwrap(source: exp.Subquery) -> None:
    """DuckDB 1 reads no table in brackets of its own."""
    table = source.this
    table.set("alias", source.args.get("alias") or table.args.get("alias"))
    table.set("joins", source.args.get("joins"))
    source.replace(table)


def _name_columns(select: exp.Select) -> None:
    """Name what has no name `f0_`, `f1_` and so on, as BigQuery does (query-syntax#implicit_aliases)."""
    numbers = count()
    for column in [] if select.args.get("kind") else select.expressions:
        if isinstance(column, exp.Dot) and isinstance(column.expression, exp.Identifier):
            column.replace(exp.alias_(column.copy(), column.name))
        elif not (column.is_star or isinstance(column, (exp.Alias, exp.Column, exp.Dot))):
            column.replace(exp.alias_(column.copy(), f"f{next(numbers)}_"))


def _group_by_alias(select: exp.Select, aliases: Mapping[str, exp.Alias]) -> None:
    """In GROUP BY, an alias hides a column of its name; DuckDB takes the column (query-syntax#group_by_clause)."""
    group = select.args.get("group")
    for key in group.expressions if group else []:
        aliased = aliases.get(key.name.lower()) if isinstance(key, exp.Column) and not key.table else None
        if aliased and aliased.this != key:
            ordinal = exp.Literal.number(select.expressions.index(aliased) + 1)
            key.replace(aliased.this.copy() if select.is_star else ordinal)


def _order_by_alias(select: exp.Select, aliases: Mapping[str, exp.Alias]) -> None:
    """In ORDER BY too; DuckDB takes the alias by itself, but not in an expression (query-syntax#order_by_clause)."""
    order = select.args.get("order")
    for key in order.expressions if order else []:
        for column in list(key.this.find_all(exp.Column)) if not isinstance(key.this, exp.Column) else []:
            aliased = aliases.get(column.name.lower())
            inside = column.find_ancestor(exp.AggFunc, exp.Select)
            if not aliased or column.table or aliased.find(exp.Rand, exp.Uuid):
                continue
            if inside is select or (isinstance(inside, exp.AggFunc) and not aliased.find(exp.AggFunc, exp.Window)):
                column.replace(exp.paren(aliased.this))


def _expand_records(select: exp.Select) -> None:
    """Give a record's fields as columns for `record.*` and for SELECT AS in FROM (data-model#value_tables)."""
    for column in select.expressions:
        if isinstance(column, exp.Dot) and isinstance(column.expression, exp.Star):
            if any(column.expression.args.values()):
                raise SqlError("EXCEPT and REPLACE after a record's star are not understood", ON_BIGQUERY)
            column.replace(_fields(column.this))
    source = select.parent
    is_source = isinstance(source, exp.CTE) or (source and isinstance(source.parent, (exp.From, exp.Join)))
    if select.args.get("kind") == "STRUCT" and is_source:
        select.set("kind", None)
    if select.args.get("kind") == "VALUE" and is_source:
        value = select.expressions[0].unalias()
        if not _is_record(value, select):
            raise SqlError("SELECT AS VALUE is understood in FROM where the value is a row or a STRUCT", ON_BIGQUERY)
        select.set("expressions", [_fields(value)])


def _fields(record: exp.Expr) -> exp.Expr:
    return exp.Anonymous(this="UNNEST", expressions=[record.copy()])


def _is_record(value: exp.Expr, select: exp.Select) -> bool:
    """Tell whether a value is a STRUCT, or comes of rows, as far as its words say."""
    if isinstance(value, exp.Column):
        parts = (select.args.get("from_"), *select.args.get("joins", []))
        return any(part.this.alias_or_name == value.name and not isinstance(part.this, exp.Unnest) for part in parts)
    if isinstance(value, _OF_ITS_FIRST):
        return _is_record(value.this, select)
    return isinstance(value, exp.Struct)


def _names(select: exp.Select, without: exp.Expr | None = None) -> set[str]:
    """Give the names that a FROM clause brings into sight, in small letters."""
    parts = [select.args.get("from_"), *select.args.get("joins", [])]
    return {_alias(part.this).lower() for part in parts if part and part.this is not without}


def _alias(source: exp.Expr) -> str:
    alias = source.args.get("alias")
    return alias.columns[0].name if alias and alias.columns else source.alias_or_name


# --- sources -------------------------------------------------------------------------------------------------


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
    columns: dict[str, list[str | exp.Expr]] = {
        "TABLES": ["table_type"],
        "COLUMNS": ["column_name", "ordinal_position", "is_nullable", _type()],
    }
    if view not in columns:
        raise SqlError(f"INFORMATION_SCHEMA.{view} is not understood", "TABLES and COLUMNS are")
    database = exp.Literal.string(catalog) if catalog else fill("CURRENT_DATABASE()")
    query = exp.select("table_catalog", "table_schema", "table_name", *columns[view], dialect="duckdb")
    query = query.from_(f"system.information_schema.{view.lower()}").where(fill("table_catalog = x", x=database))
    if not dataset.lower().startswith("region-"):
        query = query.where(fill("table_schema = x", x=exp.Literal.string(dataset)))
    return query.subquery(alias)


def _type() -> exp.Expr:
    tree: exp.Expr = exp.column("data_type")
    for names in _TYPE_NAMES:  # not as a text, which the parser would have to go into deeply
        tree = exp.Anonymous(this="REGEXP_REPLACE", expressions=[tree, *map(exp.Literal.string, (*names, "g"))])
    return exp.alias_(tree, "data_type")


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


def _expand_arrays(query: exp.Query) -> None:
    numbers = count(1)
    for unnest in list(query.find_all(exp.Unnest)):
        if not isinstance(unnest.parent, exp.In):
            _expand(unnest, f"_unnest{next(numbers)}")


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
    columns = [exp.alias_(fill(f"UNNEST(a{depth})", a=array), name or "f0_")]
    if offset:
        columns.append(exp.alias_(fill("GENERATE_SUBSCRIPTS(a, 1) - 1", a=array), offset.copy()))
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
