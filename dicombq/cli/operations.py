"""``operations``: look at exports that run or have run, wait for them, end them, go on with them."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import click

from dicombq import config
from dicombq.cli import proposals
from dicombq.cli.choices import Choice, duration
from dicombq.cli.groups import (
    Command,
    Group,
    common_options,
    engine_options,
    lock_timeout_option,
    log_to_cloud_option,
    workers_option,
)
from dicombq.cli.render import Output
from dicombq.cli.terms import read_terms

if TYPE_CHECKING:
    from dicombq.operations.kinds import Settings, Task
    from dicombq.operations.terms import Term

group = Group(
    "operations",
    {
        "_run": "dicombq.cli.operations:run_here",
        "cancel": "dicombq.cli.operations:cancel",
        "describe": "dicombq.cli.operations:describe",
        "list": "dicombq.cli.operations:list_operations",
        "logs": "dicombq.cli.operations:logs",
        "prune": "dicombq.cli.operations:prune",
        "resume": "dicombq.cli.operations:resume",
        "wait": "dicombq.cli.operations:wait",
    },
    help="Look at operations (exports that run or have run), wait for them, cancel them, go on with them.",
    epilog="Example: dicombq operations list",
)

_CANCEL_PATIENCE = 30.0
_COLUMNS = {
    "ID": "id",
    "LOCATION": "location",
    "DONE": "done",
    "STATE": "state",
    "CREATED": "created",
    "STORE": "store",
    "TARGET": "target",
}
_LOG_COLUMNS = {name.upper(): name for name in ("time", "severity", "code", "uri", "tag", "message")}

_OPERATION = click.argument("operation", metavar="OPERATION", shell_complete=proposals.operations)


def run_task(output: Output, task: Task, settings: Settings, *, in_background: bool) -> int:
    """Run a new operation, here or in a process of its own; give the exit code."""
    from dicombq.cli.ending import operation_ended
    from dicombq.operations import jobs

    if in_background:
        operation = jobs.detach(task, settings, jobs.run_command(settings))
        output.status(f"Request issued for: [{task.store.store}]")
        output.status(f"Check operation [{operation.name}] for status.")
        output.resource(operation.to_api())
        return 0
    with jobs.begin(task, settings) as job:
        output.status(f"Request issued for: [{task.store.store}]")
        with output.waiting(str(job.operation.name)) as progress:
            job.run(progress)
    return operation_ended(output, job.operation, job.running.debug)


def _know_kinds() -> None:
    """Import all kinds of operations: each registers itself, to be gone on with."""
    import dicombq.export.task
    import dicombq.transfer.tasks  # noqa: F401 - see above


@click.command(
    "describe",
    cls=Command,
    short_help="Show an operation's state and counters.",
    epilog="Example: dicombq operations describe 1763756640123456789 --format='value(done)'",
)
@_OPERATION
@common_options
@click.pass_obj
def describe(output: Output, /, operation: str, **_names: str | None) -> None:
    """Show the state and the counters of OPERATION, an ID or a full name; live while it runs."""
    from dicombq.names import operation_id
    from dicombq.operations.store import OperationStore

    output.resource(OperationStore(config.home()).get(operation_id(operation)).to_api())


@click.command(
    "list",
    cls=Command,
    short_help="List operations, the newest first.",
    epilog="""\b
Examples:
  dicombq operations list --filter='state=CRASHED' --limit=1 --format='value(id)'
  dicombq operations list --filter='store:scans AND failure>0'""",
)
@click.option(
    "--filter",
    "filter_",
    metavar="EXPRESSION",
    callback=read_terms,
    help="Only operations for which it holds: KEY=VALUE, KEY!=VALUE, KEY:PART, KEY<VALUE, KEY>VALUE, joined by AND. "
    "Keys are the columns of the list in small letters, the counters, and dotted paths of what describe prints.",
)
@click.option("--limit", type=click.IntRange(1), metavar="N", help="At most so many.")
@common_options
@click.pass_obj
def list_operations(
    output: Output,
    filter_: tuple[Term, ...],
    limit: int | None,
    project: str | None,
    location: str | None,
    dataset: str | None,
) -> None:
    """List the operations, the newest first.

    --project, --location and --dataset, given here, in the environment or by `dicombq config`, leave out the
    operations of others.
    """
    from dicombq.operations.store import OperationStore
    from dicombq.operations.terms import columns_of

    operations, damaged = OperationStore(config.home()).list()
    for error in damaged:
        output.warning(f"{error.message}. {error.hint}")
    named = config.named(project, location, dataset)
    here = (operation for operation in operations if named.items() <= vars(operation.parent).items())
    resources = (resource for resource in map(columns_of, here) if all(term.holds(resource) for term in filter_))
    listed = list(itertools.islice(resources, limit))
    if not listed:
        output.status("Listed 0 items.")
    if output.is_whole:
        output.resources({}, [resource["api"] for resource in listed])
    else:
        output.resources(_COLUMNS, listed)


@click.command(
    "logs",
    cls=Command,
    short_help="Show what failed, was left out or did not fit.",
    epilog="Example: dicombq operations logs 1763756640123456789 --severity=ERROR --format=json",
)
@_OPERATION
@click.option(
    "--severity",
    type=Choice(["DEBUG", "INFO", "NOTICE", "ERROR"]),
    multiple=True,
    help="Only entries of this severity; may be given more than once.",
)
@click.option("--reason", metavar="TEXT", help="Only entries with this code, or with this text in their message.")
@click.option("--all", "all_", is_flag=True, help="In a table, a line for each entry: else one for each reason.")
@common_options
@click.pass_obj
def logs(
    output: Output,
    /,
    operation: str,
    severity: tuple[str, ...],
    reason: str | None,
    all_: bool,
    **_names: str | None,
) -> None:
    """Show the log of OPERATION: failed instances, duplicates, skipped files, and values that did not fit.

    A table has one line for each reason, with its first file; other formats have a line for each entry.
    """
    from dicombq.names import operation_id
    from dicombq.operations.log import grouped
    from dicombq.operations.store import OperationStore

    entries = OperationStore(config.home()).logs(operation_id(operation), severity, reason)
    output.resources(_LOG_COLUMNS, grouped(entries) if output.is_table and not all_ else entries)


@click.command(
    "wait",
    cls=Command,
    short_help="Wait until an operation has ended.",
    epilog="Example: dicombq operations wait 1763756640123456789 --timeout=30m",
)
@_OPERATION
@click.option(
    "--timeout", callback=duration, metavar="DURATION", help="How long to wait: 30s, 15m, 12h; default: forever."
)
@common_options
@click.pass_obj
def wait(output: Output, /, operation: str, timeout: float | None, **_names: str | None) -> int:
    """Wait until OPERATION has ended, print what the export would have printed, and end with its exit code.

    Ctrl-C ends the waiting, not the operation. After the timeout the exit code is 5.
    """
    from collections import Counter

    from dicombq.cli.ending import operation_ended
    from dicombq.names import operation_id
    from dicombq.operations.store import OperationStore

    operations = OperationStore(config.home())
    found = operations.get(operation_id(operation))
    with output.waiting(str(found.name), interrupted="the operation goes on") as progress:
        for latest in operations.follow(found.id, timeout):
            progress(latest)
        latest.raise_error()
    return operation_ended(output, latest, Counter())


@click.command(
    "cancel",
    cls=Command,
    short_help="End an operation that runs.",
    epilog="Example: dicombq operations cancel 1763756640123456789 --quiet",
)
@_OPERATION
@common_options
@click.pass_obj
def cancel(output: Output, /, operation: str, **_names: str | None) -> None:
    """End OPERATION, wherever it runs; its table stays as it was, and it can be resumed."""
    from dicombq.names import operation_id
    from dicombq.operations.state import State
    from dicombq.operations.store import OperationStore

    operations = OperationStore(config.home())
    found = operations.get_running(operation_id(operation))
    output.confirm(f"Operation [{found.name}] will be cancelled.")
    operations.cancel(found.id, _CANCEL_PATIENCE)
    ended = operations.get(found.id)
    if ended.error and ended.state is State.CRASHED:
        output.warning(f"{ended.error.message}. {ended.error.hint}")
    output.resource({})


@click.command(
    "resume",
    cls=Command,
    short_help="Go on with an operation that ended too early.",
    epilog="Example: dicombq operations resume 1763756640123456789",
)
@_OPERATION
@workers_option
@engine_options
@lock_timeout_option
@log_to_cloud_option
@common_options
@click.pass_obj
def resume(
    output: Output,
    /,
    operation: str,
    workers: int | None,
    engine: str | None,
    engine_master: str | None,
    shared_folders: bool,
    lock_timeout: float | None,
    log_to_cloud: bool,
    **_names: str | None,
) -> int:
    """Go on with OPERATION where it ended: nothing that was read is read again, and no row is loaded twice.

    Files that were added since it began are not part of it: run a new export for them.
    """
    from dicombq.cli.ending import operation_ended
    from dicombq.names import operation_id
    from dicombq.operations import jobs
    from dicombq.operations.kinds import Settings

    _know_kinds()
    settings = Settings(
        config.home(),
        workers,
        lock_timeout,
        log_to_cloud,
        output.warning,
        engine=engine,
        engine_master=engine_master,
        shared_folders=shared_folders,
    )
    with jobs.resume(operation_id(operation), settings) as job, output.waiting(str(job.operation.name)) as progress:
        job.run(progress)
    return operation_ended(output, job.operation, job.running.debug)


@click.command(
    "prune",
    cls=Command,
    short_help="Delete what is left of operations that ended long ago.",
    epilog="Example: dicombq operations prune --older-than=90d --quiet",
)
@click.option(
    "--older-than",
    callback=duration,
    default="30d",
    show_default=True,
    metavar="DURATION",
    help="Keep operations that ended later than that: 12h, 30d.",
)
@common_options
@click.pass_obj
def prune(output: Output, /, older_than: float, **_names: str | None) -> int:
    """Delete state, log and staged files of operations that have ended; they cannot be resumed then.

    Tables and operations that run are left alone. What cannot be deleted is told, and its exit code is the command's.
    """
    from dicombq.errors import DicombqError
    from dicombq.operations.store import OperationStore

    _know_kinds()
    operations = OperationStore(config.home())
    identities = operations.prunable(older_than)
    if not identities:
        output.status("There is nothing to delete.")
        return 0
    output.confirm(f"State, log and staged files of {len(identities):,} operation(s) will be deleted.")
    worst = 0
    for identity in identities:
        try:
            operations.prune(identity)
        except DicombqError as error:
            output.warning(f"operation [{identity}] is kept: {error.message}. {error.hint}".strip())
            worst = max(worst, error.exit_code)
        else:
            output.status(f"Deleted operation [{identity}].")
    return worst


@click.command("_run", cls=Command)
@_OPERATION
@click.argument("locks", nargs=2, type=int)
@workers_option
@lock_timeout_option
@log_to_cloud_option
@common_options
@click.pass_obj
def run_here(
    _output: Output,
    /,
    operation: str,
    locks: tuple[int, int],
    workers: int | None,
    lock_timeout: float | None,
    log_to_cloud: bool,
    **_names: str | None,
) -> None:
    """Run OPERATION in this process, which has inherited its locks."""
    from dicombq.operations import jobs
    from dicombq.operations.kinds import Settings

    _know_kinds()
    with jobs.adopt(operation, locks, Settings(config.home(), workers, lock_timeout, log_to_cloud)) as job:
        job.run(lambda _operation: None)
