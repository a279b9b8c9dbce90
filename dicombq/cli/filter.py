"""``filter``: filter files made of a table, and checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dicombq import config
from dicombq.cli.choices import Choice
from dicombq.cli.groups import Command, Group, common_options, lock_timeout_option, store_options
from dicombq.cli.render import Output

if TYPE_CHECKING:
    from dicombq.stores.base import StoreOptions

group = Group(
    "filter",
    {"check": "dicombq.cli.filter:check", "create": "dicombq.cli.filter:create"},
    help="Make and check filter files, which say what is exported.",
    epilog="""Example: dicombq filter create --bq-table=bq://my-project.my_dataset.scans --where="Modality = 'CT'\"""",
)


@click.command(
    "create",
    cls=Command,
    short_help="Make a filter file of what a table holds.",
    epilog="""\b
Examples:
  dicombq filter create --bq-table=duckdb://scans.duckdb/dicom.scans \\
    --where="Modality = 'CT' AND StudyDate >= '2026-01-01'" --level=study --output=wanted.txt
  dicombq filter create --bq-table=bq://my-project.my_dataset.scansView --output=gs://my-bucket/wanted.txt""",
)
@click.option(
    "--bq-table",
    required=True,
    metavar="URI",
    help="The table, or a view: bq://PROJECT.DATASET.TABLE, or duckdb://FILE.duckdb/DATASET.TABLE.",
)
@click.option("--where", metavar="SQL", help="A condition in GoogleSQL; left out: all rows.")
@click.option(
    "--level",
    type=Choice(["study", "series", "instance"]),
    default="instance",
    show_default=True,
    help="What each line names.",
)
@click.option(
    "--output", "place", metavar="FILE", help="Where to write: a path or gs://BUCKET/KEY; left out: standard output."
)
@lock_timeout_option
@common_options
@click.pass_obj
def create(
    output: Output,
    /,
    bq_table: str,
    where: str | None,
    level: str,
    place: str | None,
    lock_timeout: float | None,
    **_names: str | None,
) -> int:
    """Write a filter file of the studies, series or instances whose rows fulfil a condition, each once.

    The exit code is 3 where some rows have UIDs that make no path; they are left out.
    """
    from dicombq.errors import InvalidArgument
    from dicombq.names import parse_table_uri
    from dicombq.selection.create import Selection, write_filter
    from dicombq.warehouses.registry import open_warehouse

    if where is not None and not where.strip():
        raise InvalidArgument("the condition of --where is empty", "Leave --where out for all rows.")
    table = parse_table_uri(bq_table)
    selection = Selection(open_warehouse(table, lock_timeout), table, where or "", level)
    if place is None or place == "-":
        output.lines(selection.lines())
    else:
        write_filter(selection.lines(), place, config.home())
        output.status(f"Filter: {place} ({selection.written:,} lines)")
    if selection.unfit:
        output.warning(f"{selection.unfit:,} row(s) are left out: their UIDs are missing, or make no path.")
    return 3 if selection.unfit else 0


@click.command(
    "check",
    cls=Command,
    short_help="Check a filter file.",
    epilog="""\b
Examples:
  dicombq filter check wanted.txt
  dicombq filter check gs://my-bucket/wanted.txt ./scans --format=csv""",
)
@click.argument("file", metavar="FILE")
@click.argument("store", metavar="[STORE]", required=False)
@store_options
@common_options
@click.pass_obj
def check(
    output: Output,
    file: str,
    store: str | None,
    options: StoreOptions,
    project: str | None,
    location: str | None,
    dataset: str | None,
) -> int:
    """Name the lines of FILE that are no paths, that stand there twice, or that another line covers.

    With STORE, whose headers are read, also those that name nothing in it. FILE may be a path, gs://BUCKET/KEY, or -.
    The exit code is 2 where an export would refuse the file, and 3 where some instances of STORE could not be read.
    """
    from dicombq.selection.check import Check, Problem
    from dicombq.stores.filters import read_filter
    from dicombq.stores.registry import open_store

    parent = config.parent(project, location, dataset)
    source = open_store(store, parent, config.home_folder(), output.warning, options) if store else None
    checked = Check(read_filter(file, tolerant=True))
    if source is not None:
        with output.counting("instances") as count:
            checked.match(source, count)
    findings = (
        {"line": finding.line, "problem": finding.problem.value, "message": finding.message}
        for finding in checked.findings()
    )
    output.resources({"LINE": "line", "PROBLEM": "problem", "MESSAGE": "message"}, findings)
    counts = ", ".join(f"{number:,} {problem.value}" for problem, number in checked.counts.items() if number)
    output.status(f"{checked.lines:,} line(s): {counts or 'nothing to tell'}")
    if checked.failures:
        output.warning(f"{checked.failures:,} of the store could not be read; a line may name one of them.")
    if checked.counts[Problem.WRONG]:
        return 2
    return 3 if checked.failures else 0
