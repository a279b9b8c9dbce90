"""``query``."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

import click

from dicombq import config
from dicombq.cli import proposals
from dicombq.cli.choices import Choice, alias, parameter
from dicombq.cli.groups import Command, common_options, lock_timeout_option, store_options, workers_option
from dicombq.cli.render import Output
from dicombq.errors import InvalidArgument
from dicombq.questions import SAMPLES

if TYPE_CHECKING:
    from dicombq.questions.place import Place
    from dicombq.stores.base import StoreOptions
    from dicombq.warehouses.base import Parameter


@click.command(
    "query",
    cls=Command,
    short_help="Ask a question in GoogleSQL.",
    epilog="""\b
Examples:
  dicombq query 'SELECT Modality, COUNT(*) AS Instances FROM dicom.scans GROUP BY Modality'
  dicombq query ./scans 'SELECT Modality, COUNT(*) AS Instances FROM instances GROUP BY Modality'
  dicombq query dicom.scans --sample=missing-slices
  dicombq query -f question.sql --warehouse=bq://my-project --dry-run
  dicombq query --parameter=patient::P-001 'SELECT * FROM dicom.scans WHERE PatientID = @patient'""",
)
@click.argument("source", metavar="[SOURCE]", shell_complete=proposals.files, required=False)
@click.argument("sql", metavar="[SQL]", required=False)
@click.option("-f", "--file", type=click.File(encoding="utf-8"), metavar="FILE", help="Read the query from a file.")
@click.option(
    "--sample",
    type=Choice(SAMPLES),
    metavar="NAME",
    help=f"Ask a ready-made question: {', '.join(SAMPLES)}.",
)
@click.option(
    "--alias",
    "aliases",
    multiple=True,
    callback=alias,
    metavar="NAME=TABLE",
    help="Where the query says NAME, ask TABLE; both are [PROJECT.]DATASET.TABLE, or TABLE is `instances`, the SOURCE. "
    "May be given more than once.",
)
@click.option(
    "--parameter",
    "parameters",
    multiple=True,
    callback=parameter,
    metavar="NAME:TYPE:VALUE",
    help="The value of @NAME, or of a ? where NAME is left out; TYPE is STRING where it is left out. An array is "
    'NAME:ARRAY<TYPE>:["VALUE", ...]. May be given more than once.',
)
@click.option(
    "--warehouse",
    metavar="URI",
    help="duckdb://FILE.duckdb or bq://PROJECT; left out: the embedded warehouse, or what `dicombq config` says.",
)
@click.option("--dry-run", is_flag=True, help="Check the query, and tell what it would be billed for; run nothing.")
@click.option(
    "--maximum-bytes-billed",
    type=click.IntRange(1),
    metavar="BYTES",
    help="Refuse a query on BigQuery that would be billed for more.",
)
@workers_option
@lock_timeout_option
@store_options
@common_options
@click.pass_obj
def query(
    output: Output,
    source: str | None,
    sql: str | None,
    file: Any,
    sample: str | None,
    aliases: dict[str, str],
    parameters: tuple[Parameter, ...],
    warehouse: str | None,
    dry_run: bool,
    maximum_bytes_billed: int | None,
    workers: int | None,
    lock_timeout: float | None,
    options: StoreOptions,
    project: str | None,
    location: str | None,
    dataset: str | None,
) -> None:
    """Run one query in GoogleSQL and print its result; nothing is written.

    The query is SQL, or in a FILE, or a sample, or else on stdin. SOURCE is what it calls `instances`: a table
    (DATASET.TABLE or a URI), or a folder or another store, which is read first; what was read is kept, and read again
    only when the store changes.

    PROJECT.DATASET.TABLE and DATASET.TABLE name the same table in a DuckDB file.
    """
    from dicombq.cli.sources import Reading, find_source
    from dicombq.questions.place import is_table
    from dicombq.questions.values import asks_for_all_columns
    from dicombq.warehouses.googlesql.names import with_aliases

    source, text = _source_and_sql(source, sql, file, sample)

    if warehouse and source and not is_table(source, config.warehouse(warehouse)):
        raise InvalidArgument("--warehouse is where tables are", "Leave it out to ask a store.")
    parent = config.parent(project, location, dataset)
    reading = Reading(parent, options, workers, lock_timeout)
    place = find_source(output, source, config.warehouse(warehouse), reading)
    if sample:
        place, text = _sampled(place, sample)
    text = with_aliases(
        text, place.aliases | {name: place.aliases.get(table, table) for name, table in aliases.items()}
    )
    if dry_run:
        output.resource(_estimate(place, text, parameters))
        return
    limit = config.maximum_bytes_billed(maximum_bytes_billed)
    result = place.warehouse.query(text, parameters, limit)
    output.table(result.columns, result.rows, hide_empty=asks_for_all_columns(text))


def _source_and_sql(source: str | None, sql: str | None, file: Any, sample: str | None) -> tuple[str | None, str]:
    """Tell what was given as SOURCE, and what as SQL."""
    if (file is not None) + (sample is not None) + (sql is not None) > 1:
        raise InvalidArgument("several queries are given", "Give one: SQL, --file or --sample.")
    if sample:
        return source, ""
    if sql is None and file is None and source is not None and _is_sql(source):
        source, sql = None, source
    text = _text(sql, file)
    if not text.strip():
        raise InvalidArgument("no query is given", "Give one: SQL, --file, --sample, or on stdin.")
    return source, text


def _text(sql: str | None, file: Any) -> str:
    """Read the query, wherever it is."""
    try:
        if file is not None:
            text: str = file.read()
        elif sql is not None and sql != "-":
            text = sql
        else:
            text = "" if sys.stdin is None or sys.stdin.isatty() else sys.stdin.read()
        text.encode()
    except UnicodeError:
        raise InvalidArgument("the query is no UTF-8 text", "Write it in UTF-8.") from None
    return text


def _is_sql(text: str) -> bool:
    """Tell a query, or the sign for stdin, from a name: a query has blanks, and is no file."""
    import os

    return text == "-" or (bool(re.search(r"\s", text.strip())) and not os.path.exists(text))


def _sampled(place: Place, name: str) -> tuple[Place, str]:
    from dicombq.questions.place import with_only_table
    from dicombq.questions.samples import completed, sample

    place = with_only_table(place)
    return place, completed(sample(name), place.warehouse.fields(place.table))


def _estimate(place: Place, sql: str, parameters: tuple[Parameter, ...]) -> dict[str, Any]:
    from dicombq.warehouses.prices import query_cost

    size = place.warehouse.estimate(sql, parameters)
    return {"query": sql, "bytesProcessed": str(size), "cost": query_cost(size)}
