"""``schema``: the columns of tables, and of what would be one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dicombq import config
from dicombq.cli import proposals
from dicombq.cli.groups import Command, Group, common_options, lock_timeout_option, store_options, workers_option
from dicombq.cli.render import Output

if TYPE_CHECKING:
    from dicombq.cli.sources import Reading
    from dicombq.stores.base import StoreOptions
    from dicombq.table.fields import Field

group = Group(
    "schema",
    {
        "diff": "dicombq.cli.schema:diff",
        "private": "dicombq.cli.schema:private",
        "show": "dicombq.cli.schema:show",
    },
    help="Look at the columns of tables, and of what a store would become.",
    epilog="Example: dicombq schema show dicom.scans",
)

_SHOW = {name.upper(): name for name in ("column", "type", "mode", "description")}
_DIFF = {"COLUMN": "column", "A": "a", "B": "b"}
_PRIVATE = {name.upper(): name for name in ("creator", "tag", "vr", "name", "instances")}


@click.command(
    "show",
    cls=Command,
    short_help="Show the columns of a table or a store.",
    epilog="""\b
Examples:
  dicombq schema show dicom.scans
  dicombq schema show ./scans --format=json > schema.json""",
)
@click.argument("source", metavar="STORE|TABLE", shell_complete=proposals.files)
@workers_option
@lock_timeout_option
@store_options
@common_options
@click.pass_obj
def show(
    output: Output,
    source: str,
    workers: int | None,
    lock_timeout: float | None,
    options: StoreOptions,
    project: str | None,
    location: str | None,
    dataset: str | None,
) -> None:
    """Show the columns of STORE|TABLE with what they hold; as JSON or YAML in the form of `bq show --schema`.

    A table is DATASET.TABLE or a URI; a store, or a folder, is read first.
    """
    from dicombq.cli.sources import Reading
    from dicombq.questions.schemas import flat
    from dicombq.table.fields import to_bigquery

    reading = Reading(config.parent(project, location, dataset), options, workers, lock_timeout)
    fields = _fields(output, source, reading)
    if output.is_whole:
        output.resources({}, to_bigquery(fields))
    else:
        output.resources(_SHOW | ({"COLUMN": "name"} if output.is_table else {}), flat(fields))


@click.command(
    "diff",
    cls=Command,
    short_help="Show the columns in which two tables or stores differ.",
    epilog="""\b
Examples:
  dicombq schema diff ./new-scans bq://my-project.my_dataset.scans
  dicombq schema diff dicom.scans schema.json""",
)
@click.argument("a", metavar="A", shell_complete=proposals.files)
@click.argument("b", metavar="B", shell_complete=proposals.files)
@workers_option
@lock_timeout_option
@store_options
@common_options
@click.pass_obj
def diff(
    output: Output,
    a: str,
    b: str,
    workers: int | None,
    lock_timeout: float | None,
    options: StoreOptions,
    project: str | None,
    location: str | None,
    dataset: str | None,
) -> None:
    """Show the columns that only one of A and B has, or that have another type or mode in B.

    Each of them is a table, a store, or a JSON file that `bq show --schema` or `dicombq schema show` wrote.
    """
    from dicombq.cli.sources import Reading
    from dicombq.questions.schemas import differences

    reading = Reading(config.parent(project, location, dataset), options, workers, lock_timeout)
    found = differences(_fields(output, a, reading), _fields(output, b, reading))
    if not found and output.is_table:
        output.status("The schemas are equal.")
    else:
        output.resources(_DIFF, found)


@click.command(
    "private",
    cls=Command,
    short_help="List the private elements of a table or a store.",
    epilog="Example: dicombq schema private dicom.scans --format=csv",
)
@click.argument("source", metavar="STORE|TABLE", shell_complete=proposals.files)
@workers_option
@lock_timeout_option
@store_options
@common_options
@click.pass_obj
def private(
    output: Output,
    source: str,
    workers: int | None,
    lock_timeout: float | None,
    options: StoreOptions,
    project: str | None,
    location: str | None,
    dataset: str | None,
) -> None:
    """List the private elements in STORE|TABLE by creator, with their names and VRs, and how many instances have them.

    Names and VRs are those of pydicom's private dictionary; what it does not know has none.
    """
    from dicombq.cli.sources import Reading, find_source
    from dicombq.questions.private import private_elements

    reading = Reading(config.parent(project, location, dataset), options, workers, lock_timeout)
    output.resources(_PRIVATE, private_elements(find_source(output, source, config.warehouse(), reading)))


def _fields(output: Output, source: str, reading: Reading) -> tuple[Field, ...]:
    from dicombq.cli.sources import find_source
    from dicombq.questions.schemas import fields_at, read_schema_file

    if source.endswith(".json"):
        return read_schema_file(source)
    return fields_at(find_source(output, source, config.warehouse(), reading))
