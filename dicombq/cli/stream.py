"""``stream``: tables that follow a store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dicombq import config
from dicombq.cli.choices import Choice, duration, limit
from dicombq.cli.groups import Command, Group, common_options
from dicombq.cli.render import Output

if TYPE_CHECKING:
    from dicombq.stores.registry import RegisteredStore
    from dicombq.streaming.stream import Synced

group = Group(
    "stream",
    {
        "clear": "dicombq.cli.stream:clear",
        "configure": "dicombq.cli.stream:configure",
        "describe": "dicombq.cli.stream:describe",
        "logs": "dicombq.cli.stream:logs",
        "retry": "dicombq.cli.stream:retry",
        "run": "dicombq.cli.stream:run",
        "sync": "dicombq.cli.stream:sync",
    },
    help="Let tables follow a store: a row for each instance that is added, changed or deleted.",
    epilog="""\b
Example:
  dicombq stream configure scans --bq-table=bq://my-project.my_dataset.scans
  dicombq stream run scans""",
)

_STORE = click.argument("store", metavar="STORE")
_LOCK_TIMEOUT = click.option(
    "--lock-timeout",
    callback=duration,
    metavar="DURATION",
    help="How long to wait for another stream of the store, and for another program that holds the DuckDB file: 30s, "
    "15m; default: not at all for the first, 10s for the second.",
)
_MAX_DELETE = click.option(
    "--max-delete",
    callback=limit,
    default="50%",
    show_default=True,
    metavar="N|P%",
    help="Refuse to mark more instances than this deleted at once: a disk that is not mounted looks empty.",
)


def _find(
    output: Output, store: str, project: str | None, location: str | None, dataset: str | None
) -> RegisteredStore:
    from dicombq.stores.registry import registered_store

    return registered_store(store, config.parent(project, location, dataset), config.home(), output.warning)


@click.command(
    "configure",
    cls=Command,
    short_help="Say which tables follow a store.",
    epilog="""\b
Examples:
  dicombq stream configure ./scans
  dicombq stream configure scans --bq-table=bq://my-project.my_dataset.scans
  dicombq stream configure scans --bq-table=bq://p.d.scans --bq-table=duckdb://scans.duckdb/dicom.scans
  dicombq stream configure scans --schema=json --change-data-capture""",
)
@_STORE
@click.option(
    "--bq-table",
    "bq_tables",
    multiple=True,
    metavar="URI",
    help="A table, up to five: bq://PROJECT.DATASET.TABLE, or duckdb://FILE.duckdb/DATASET.TABLE. Left out: a table "
    "named after the store in the embedded warehouse.",
)
@click.option(
    "--schema",
    type=Choice(["flattened", "json"]),
    default="flattened",
    show_default=True,
    help="A column for each element, or one JSON column for all.",
)
@click.option("--include-source-store", is_flag=True, help="Add a column with the store's name.")
@click.option(
    "--change-data-capture",
    is_flag=True,
    help="Keep the latest version of each instance only: what changes replaces its row, what is deleted has none. For "
    "--schema=json.",
)
@click.option(
    "--no-backfill", is_flag=True, help="Leave out what the store holds already: only what changes from now on."
)
@click.option(
    "--delivery",
    type=Choice(["load", "insert"]),
    default="load",
    show_default=True,
    help="How BigQuery gets its rows from a stream that runs: by a load job a minute, or by insertAll within seconds.",
)
@_LOCK_TIMEOUT
@common_options
@click.pass_obj
def configure(
    output: Output,
    store: str,
    bq_tables: tuple[str, ...],
    schema: str,
    include_source_store: bool,
    change_data_capture: bool,
    no_backfill: bool,
    delivery: str,
    lock_timeout: float | None,
    project: str | None,
    location: str | None,
    dataset: str | None,
) -> None:
    """Let tables follow STORE, in place of those that followed it before; a folder is registered as a store.

    The BigQuery dataset must exist; a table is made, or gets the columns that it lacks. Nothing is read yet:
    `dicombq stream sync` makes one pass, `dicombq stream run` goes on until it is stopped.
    """
    from dicombq.stores.registry import StoreRegistry
    from dicombq.streaming.configs import StreamConfig, prepare, with_configs
    from dicombq.table.disposition import Disposition
    from dicombq.warehouses.destination import BigQueryDestination
    from dicombq.warehouses.registry import find_table

    registered = _find(output, store, project, location, dataset)
    tables = [find_table(uri, config.warehouse, registered.name) for uri in bq_tables or [None]]
    form = (Disposition.WRITE_APPEND, schema == "json", include_source_store, change_data_capture)
    ways = (not no_backfill, delivery == "insert")
    configs = [StreamConfig(BigQueryDestination(table, *form), *ways) for table in tables]
    prepare(configs, lock_timeout)
    registry = StoreRegistry(config.home())
    if registry.find(registered.name) is None:
        registry.create(registered)
    changed = registry.update(registered.name, lambda before: with_configs(before, configs))
    output.status(f"Updated dicomStore [{registered.name.store}].")
    output.resource(changed.to_api())


@click.command(
    "clear",
    cls=Command,
    short_help="Let no table follow a store.",
    epilog="Example: dicombq stream clear scans",
)
@_STORE
@common_options
@click.pass_obj
def clear(output: Output, store: str, project: str | None, location: str | None, dataset: str | None) -> None:
    """Let no table follow STORE any more; the tables stay as they are."""
    from dicombq.stores.registry import StoreRegistry
    from dicombq.streaming.configs import with_configs

    registered = _find(output, store, project, location, dataset)
    changed = StoreRegistry(config.home()).update(registered.name, lambda before: with_configs(before, []))
    output.status(f"Updated dicomStore [{registered.name.store}].")
    output.resource(changed.to_api())


@click.command(
    "describe",
    cls=Command,
    short_help="Show which tables follow a store, and how far they are.",
    epilog="Example: dicombq stream describe scans",
)
@_STORE
@common_options
@click.pass_obj
def describe(output: Output, store: str, project: str | None, location: str | None, dataset: str | None) -> None:
    """Show the tables that follow STORE; for each what it has still to get, since when, and what is parked."""
    from dicombq.streaming.status import describe as describe_stream

    output.resource(describe_stream(config.home(), _find(output, store, project, location, dataset)))


@click.command(
    "logs",
    cls=Command,
    short_help="Show what a stream could not do.",
    epilog="Example: dicombq stream logs scans --severity=ERROR",
)
@_STORE
@click.option(
    "--severity", "severities", multiple=True, type=Choice(["ERROR", "NOTICE"]), help="Only entries of this severity."
)
@common_options
@click.pass_obj
def logs(
    output: Output,
    store: str,
    severities: tuple[str, ...],
    project: str | None,
    location: str | None,
    dataset: str | None,
) -> None:
    """Show the log of the stream of STORE: instances that could not be read or were parked, values that do not fit."""
    from dicombq.operations.log import read_log
    from dicombq.streaming.inventory import stream_folder

    registered = _find(output, store, project, location, dataset)
    columns = {name.upper(): name for name in ("time", "severity", "code", "uri", "tag", "message")}
    output.resources(columns, read_log(stream_folder(config.home(), registered.name) / "log.jsonl", severities))


@click.command(
    "sync",
    cls=Command,
    short_help="Bring the tables up to date, once.",
    epilog="""\b
Examples:
  dicombq stream sync scans
  dicombq stream sync scans --dry-run
  dicombq stream sync scans --reconcile""",
)
@_STORE
@click.option("--dry-run", is_flag=True, help="Say what would be written, and write nothing.")
@click.option(
    "--reconcile",
    is_flag=True,
    help="Compare with what the tables hold: write a DELETE row for each instance that the store does not hold.",
)
@_MAX_DELETE
@_LOCK_TIMEOUT
@common_options
@click.pass_obj
def sync(
    output: Output,
    store: str,
    dry_run: bool,
    reconcile: bool,
    max_delete: Callable[[int], int],
    lock_timeout: float | None,
    project: str | None,
    location: str | None,
    dataset: str | None,
) -> int:
    """Find what was added to STORE, changed or deleted since the last pass, and append the rows that tell of it.

    The first pass writes a row for every instance; rows that an export put into the table are not written again. Of an
    unchanged store no header is read. The exit code is 3 where some instances could not be read or were parked.
    """
    from dicombq.streaming.stream import open_stream

    registered = _find(output, store, project, location, dataset)
    with open_stream(config.home(), registered, lock_timeout) as stream, output.counting("instances") as count:
        act = stream.foresee if dry_run else stream.sync
        synced = act(max_delete, reconcile=reconcile, progress=count)
    return _ended(output, registered, synced)


@click.command(
    "retry",
    cls=Command,
    short_help="Bring what was parked.",
    epilog="Example: dicombq stream retry scans",
)
@_STORE
@_LOCK_TIMEOUT
@common_options
@click.pass_obj
def retry(
    output: Output,
    store: str,
    lock_timeout: float | None,
    project: str | None,
    location: str | None,
    dataset: str | None,
) -> int:
    """Bring the tables of STORE the instances that were parked, after a table was mended.

    What could not be read is read again by the next pass, though it was not changed.
    """
    from dicombq.streaming.stream import open_stream

    registered = _find(output, store, project, location, dataset)
    with open_stream(config.home(), registered, lock_timeout) as stream:
        synced = stream.retry()
    return _ended(output, registered, synced)


def _ended(output: Output, registered: RegisteredStore, synced: Synced) -> int:
    if synced.has_news or output.is_asked:
        output.resource({"name": str(registered.name)} | synced.to_dict())
    if synced.error:
        raise synced.error
    if not synced.is_whole:
        output.status(f"Not all could be done; see: dicombq stream logs {registered.name.store}")
    return 0 if synced.is_whole else 3


@click.command(
    "run",
    cls=Command,
    short_help="Keep tables up to date until stopped.",
    epilog="""\b
Examples:
  dicombq stream run scans
  dicombq stream run scans archive --interval=5m
  dicombq stream run bucket --subscription=projects/my-project/subscriptions/scans""",
)
@click.argument("stores", metavar="STORE...", nargs=-1, required=True)
@click.option(
    "--interval",
    callback=duration,
    default="60s",
    show_default=True,
    metavar="DURATION",
    help="How often to look at the whole store. What happens in a local folder, and what is sent to an Orthanc, is "
    "seen at once all the same.",
)
@click.option(
    "--subscription",
    default="",
    metavar="projects/P/subscriptions/S",
    help="A Pub/Sub subscription that tells of what happens in a gs:// STORE, which is then seen within seconds; needs "
    "pip install 'dicombq[pubsub]'.",
)
@click.option(
    "--health-file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write every second how the streams are, as JSON.",
)
@_MAX_DELETE
@_LOCK_TIMEOUT
@common_options
@click.pass_obj
def run(
    output: Output,
    stores: tuple[str, ...],
    subscription: str,
    interval: float,
    health_file: Path | None,
    max_delete: Callable[[int], int],
    lock_timeout: float | None,
    project: str | None,
    location: str | None,
    dataset: str | None,
) -> None:
    """Follow each STORE until it is stopped by Ctrl-C or SIGTERM, which is its normal end.

    A file is read when it has stopped growing. A DuckDB file is open only while rows are written to it.
    """
    from dicombq.streaming.run import run_streams

    registered = [_find(output, store, project, location, dataset) for store in stores]
    try:
        run_streams(
            config.home(),
            registered,
            subscription=subscription,
            interval=interval,
            limit=max_delete,
            lock_timeout=lock_timeout,
            health_file=health_file,
            tell=output.status,
        )
    except KeyboardInterrupt:
        output.status("Stopped.")
