"""``config``: what holds where no flag says otherwise."""

from __future__ import annotations

from typing import Any

import click

from dicombq import config
from dicombq.cli.choices import Choice
from dicombq.cli.groups import Command, Group, common_options
from dicombq.cli.render import Output

group = Group(
    "config",
    {
        "get": "dicombq.cli.config:get",
        "list": "dicombq.cli.config:list_properties",
        "set": "dicombq.cli.config:set_property",
        "unset": "dicombq.cli.config:unset",
    },
    help="Set what holds where neither a flag nor the environment says otherwise.",
    epilog="Example: dicombq config set dataset radiology",
)

_COLUMNS = {"PROPERTY": "property", "VALUE": "value", "SOURCE": "source"}
_PROPERTY = click.argument("property_", metavar="PROPERTY", type=Choice(list(config.PROPERTIES)))


@click.command(
    "set",
    cls=Command,
    short_help="Set a property.",
    epilog="""\b
Properties:
  project               of stores and operations
  location              of stores and operations
  dataset               of stores and operations; new tables are made in a dataset of this name
  warehouse             where tables are made and asked: duckdb://FILE.duckdb or bq://PROJECT
  staging               where rows for BigQuery are staged: gs://BUCKET/FOLDER
  engine                who reads headers: local or spark
  maximum_bytes_billed  bytes that a query on BigQuery may be billed for at most

\b
Examples:
  dicombq config set warehouse bq://my-project
  dicombq config set maximum_bytes_billed 10000000000""",
)
@_PROPERTY
@click.argument("value", metavar="VALUE")
@common_options
@click.pass_obj
def set_property(output: Output, /, property_: str, value: str, **_names: str | None) -> None:
    """Set PROPERTY to VALUE, for all commands from now on."""
    config.change(property_, value)
    output.status(f"Updated property [{property_}].")
    held = config.setting(property_)
    if held.source != "file":
        output.warning(f"the variable {held.source} is set, and wins over it.")


@click.command("unset", cls=Command, short_help="Forget a property.", epilog="Example: dicombq config unset warehouse")
@_PROPERTY
@common_options
@click.pass_obj
def unset(output: Output, /, property_: str, **_names: str | None) -> None:
    """Forget what PROPERTY was set to, so that its default holds again."""
    config.change(property_, None)
    output.status(f"Unset property [{property_}].")


@click.command(
    "get", cls=Command, short_help="Show what holds for a property.", epilog="Example: dicombq config get warehouse"
)
@_PROPERTY
@common_options
@click.pass_obj
def get(output: Output, /, property_: str, **_names: str | None) -> None:
    """Show the value of PROPERTY: from the environment, the file, or its default."""
    held = config.setting(property_)
    if held.value:
        output.text(held.value)
    else:
        output.status("(unset)")


@click.command(
    "list",
    cls=Command,
    short_help="Show all properties, and where each is set.",
    epilog="Example: dicombq config list --format=json",
)
@common_options
@click.pass_obj
def list_properties(output: Output, /, **_names: str | None) -> None:
    """Show what holds for each property, and who says so: a variable, the file, or the default."""
    output.resources(_COLUMNS, [_resource(name) for name in config.PROPERTIES])


def _resource(name: str) -> dict[str, Any]:
    held = config.setting(name)
    return {"property": name, "value": held.value, "source": held.source or "unset"}
