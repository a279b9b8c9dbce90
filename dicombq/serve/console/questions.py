"""The page that asks a question in GoogleSQL.

A question is sent in the body of a request, never in its address: it may hold a patient's name.
"""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from starlette.background import BackgroundTask
from starlette.responses import Response, StreamingResponse

from dicombq import config
from dicombq.errors import DicombqError, InvalidArgument
from dicombq.names import DuckdbFile, TableUri, WarehouseUri, parse_warehouse_uri
from dicombq.questions import SAMPLES
from dicombq.questions.place import Place, find_place, sql_name, with_only_table
from dicombq.questions.samples import completed, sample
from dicombq.questions.values import asks_for_all_columns, cell, printed, readable
from dicombq.serve.console.destinations import PATIENCE, known_warehouses
from dicombq.serve.console.pages import Visit
from dicombq.serve.problems import http_status, message_of
from dicombq.system.files import storage_errors
from dicombq.warehouses.base import QueryResult
from dicombq.warehouses.googlesql.names import with_aliases
from dicombq.warehouses.registry import find_warehouse

SHOWN = 1000
"""Rows of a result that a page shows; the CSV file has all."""

_PIECE = 1 << 16


@dataclass(frozen=True)
class Shown:
    """A result as a page shows it.

    Parameters
    ----------
    columns
        Each with whether it holds numbers.
    rows
        Of texts; None for NULL.
    hidden
        How many columns are left out, because they are NULL in every row.
    """

    columns: list[tuple[str, bool]]
    rows: list[list[str | None]]
    has_more: bool
    hidden: int


def show(visit: Visit) -> Response:
    """Show the form, with a sample's text where one is asked for."""
    name = visit.form.get("sample", "")
    if name not in SAMPLES:
        return _page(visit, visit.form.get("sql", ""))
    try:
        place = with_only_table(_place(visit))
        return _page(visit, completed(sample(name), place.warehouse.fields(place.table)), table=place.table)
    except DicombqError as error:
        return _page(visit, sample(name), http_status(error), message_of(error))


def ask(visit: Visit) -> Response:
    """Answer a question, by a page or by a file; or show a sample in its place."""
    if "use" in visit.form:
        return show(visit)
    sql = visit.form.get("sql", "")
    try:
        if not sql.strip():
            raise InvalidArgument("no question is asked", "Enter one in GoogleSQL.")
        place = _place(visit)
        text = with_aliases(sql, place.aliases)
        result = place.warehouse.query(text, (), config.maximum_bytes_billed())
        if "csv" in visit.form:
            return _csv(visit, result)
        return _page(visit, sql, result=_shown(result, hide_empty=asks_for_all_columns(text)))
    except DicombqError as error:
        return _page(visit, sql, http_status(error), message_of(error))


def _place(visit: Visit) -> Place:
    def refuse(text: str) -> TableUri:
        raise InvalidArgument(f"[{text}] is not a table", "Enter DATASET.TABLE, or a table URI.")

    return find_place(visit.form.get("table", "").strip() or None, _warehouse(visit), PATIENCE, refuse)


def _warehouse(visit: Visit) -> WarehouseUri:
    uri = visit.form.get("warehouse", "")
    return parse_warehouse_uri(uri) if uri else config.warehouse()


def _page(
    visit: Visit,
    sql: str,
    status: int = 200,
    problem: str = "",
    result: Shown | None = None,
    table: TableUri | None = None,
) -> Response:
    return visit.page(
        "query.html",
        status,
        sql=sql,
        problem=problem,
        result=result,
        samples=SAMPLES,
        sample=visit.form.get("sample", ""),
        warehouses=known_warehouses(visit.settings.home),
        warehouse=visit.form.get("warehouse") or str(config.warehouse()),
        table=sql_name(table) if table else visit.form.get("table", ""),
        tables=_tables(visit),
        shown=SHOWN,
    )


def _tables(visit: Visit) -> list[str]:
    """Name the tables of a DuckDB file; a project on BigQuery may have very many."""
    with contextlib.suppress(DicombqError):
        uri = _warehouse(visit)
        if isinstance(uri, DuckdbFile):
            warehouse = find_warehouse(uri, PATIENCE)
            return [f"{dataset}.{table}" for dataset in warehouse.datasets() for table in warehouse.tables(dataset)]
    return []


def _shown(result: QueryResult, *, hide_empty: bool) -> Shown:
    found = list(itertools.islice(result.rows, SHOWN + 1))
    rows = found[:SHOWN]
    texts = [[readable(printed(value)) for value in row] for row in rows]
    every = range(len(result.columns))
    kept = [at for at in every if not (hide_empty and rows) or any(row[at] is not None for row in texts)]
    columns = [(result.columns[at], _is_number(row[at] for row in rows)) for at in kept]
    return Shown(columns, [[row[at] for at in kept] for row in texts], len(found) > SHOWN, len(every) - len(kept))


def _is_number(values: Iterator[Any]) -> bool:
    kinds = {type(value) for value in values if value is not None}
    return bool(kinds) and kinds <= {int, float}


def _csv(visit: Visit, result: QueryResult) -> Response:
    """Write all rows to a file that has no name, and send that: a query that fails late is told as such."""
    with storage_errors(visit.settings.home), contextlib.ExitStack() as stack:
        file = stack.enter_context(tempfile.TemporaryFile(dir=visit.settings.home))
        text = io.TextIOWrapper(file, "utf-8", newline="", write_through=True)
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(result.columns)
        writer.writerows([cell(printed(value), "") for value in row] for row in result.rows)
        text.detach()
        file.seek(0)
        stack.pop_all()
    pieces = iter(lambda: file.read(_PIECE), b"")
    headers = {"Content-Disposition": 'attachment; filename="result.csv"'}
    return StreamingResponse(pieces, 200, headers, "text/csv; charset=utf-8", BackgroundTask(file.close))
