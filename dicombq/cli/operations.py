"""``operations describe``, ``list`` and ``logs``."""

from __future__ import annotations

import click

from dicombq import config
from dicombq.cli.groups import Command, Group, common_options
from dicombq.cli.render import Output

GROUP = Group(
    "operations",
    {
        "describe": "dicombq.cli.operations:DESCRIBE",
        "list": "dicombq.cli.operations:LIST",
        "logs": "dicombq.cli.operations:LOGS",
    },
    help="Look at operations: exports that run or have run.",
    epilog="Example: dicombq operations list",
)

_OPERATION = click.argument("operation", metavar="OPERATION")


@click.command(
    "describe",
    cls=Command,
    short_help="Show an operation's state and counters.",
    epilog="Example: dicombq operations describe 1763756640123456789 --format='value(done)'",
)
@_OPERATION
@common_options
@click.pass_obj
def DESCRIBE(output: Output, /, operation: str, **_names: str | None) -> None:  # noqa: N802 - a command object
    """Show the state and the counters of OPERATION, an ID or a full name; live while it runs."""
    from dicombq.names import operation_id
    from dicombq.operations import OperationStore

    output.resource(OperationStore(config.home()).get(operation_id(operation)).to_api())


@click.command(
    "list",
    cls=Command,
    short_help="List operations, the newest first.",
    epilog="Example: dicombq operations list --format=json",
)
@common_options
@click.pass_obj
def LIST(output: Output, /, **_names: str | None) -> None:  # noqa: N802 - a command object
    """List the operations, the newest first."""
    from dicombq.operations import OperationStore

    operations, damaged = OperationStore(config.home()).list()
    for error in damaged:
        output.warning(f"{error.message}. {error.hint}")
    output.operations(operations)


@click.command(
    "logs",
    cls=Command,
    short_help="Show what failed, was left out or did not fit.",
    epilog="Example: dicombq operations logs 1763756640123456789 --format=json",
)
@_OPERATION
@common_options
@click.pass_obj
def LOGS(output: Output, /, operation: str, **_names: str | None) -> None:  # noqa: N802 - a command object
    """Show the log of OPERATION: failed instances, duplicates, skipped files, and values that did not fit."""
    from dicombq.names import operation_id
    from dicombq.operations import OperationStore

    output.log(OperationStore(config.home()).logs(operation_id(operation)))
