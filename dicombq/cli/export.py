"""``export bq``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dicombq import config
from dicombq.cli import proposals
from dicombq.cli.choices import Choice
from dicombq.cli.groups import (
    Command,
    Group,
    common_options,
    lock_timeout_option,
    log_to_cloud_option,
    store_options,
    workers_option,
)
from dicombq.cli.render import Output

if TYPE_CHECKING:
    from dicombq.stores.base import StoreOptions

group = Group(
    "export",
    {"bq": "dicombq.cli.export:bq"},
    help="Export the metadata of the instances in a store.",
    epilog="Example: dicombq export bq ./scans",
)


@click.command(
    "bq",
    cls=Command,
    short_help="Export DICOM metadata to a table.",
    epilog="""\b
Examples:
  dicombq export bq ./scans
  dicombq export bq ./scans --bq-table=bq://my-project.my_dataset.scans --overwrite-table
  dicombq export bq ./scans --bq-table=duckdb://scans.duckdb/dicom.scans --write-disposition=write-append""",
)
@click.argument("store", metavar="STORE", shell_complete=proposals.files)
@click.option(
    "--bq-table",
    metavar="URI",
    help="The table: bq://PROJECT.DATASET.TABLE, or duckdb://FILE.duckdb/DATASET.TABLE. Left out: a table named after "
    "the store, in the embedded warehouse or where `dicombq config` says.",
)
@click.option("--overwrite-table", is_flag=True, help="Replace an existing table.")
@click.option(
    "--write-disposition",
    type=Choice(["write-empty", "write-truncate", "write-append"]),
    help="What to do with an existing table: fail unless it is empty, replace it, or add to it. Wins over "
    "--overwrite-table.",
)
@click.option(
    "--filter-config-gcs-uri",
    metavar="URI",
    help="Export only what this filter file names, a path a line: /studies/UID[/series/UID[/instances/UID]]. "
    "gs://..., a local path, or - for standard input.",
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
    "--max-element-size",
    type=click.IntRange(1, 100 << 20),
    metavar="BYTES",
    help="Elements of this size or more are left out and named in DroppedTags; default: 1 MiB.",
)
@click.option(
    "--dry-run", is_flag=True, help="Check, tell what would be done and an estimate of its size and cost, and stop."
)
@click.option("--async", "async_", is_flag=True, help="Return at once; the export goes on in a process of its own.")
@workers_option
@store_options
@lock_timeout_option
@log_to_cloud_option
@common_options
@click.pass_obj
def bq(
    output: Output,
    store: str,
    bq_table: str | None,
    overwrite_table: bool,
    write_disposition: str | None,
    filter_config_gcs_uri: str | None,
    schema: str,
    include_source_store: bool,
    max_element_size: int | None,
    dry_run: bool,
    async_: bool,
    workers: int | None,
    lock_timeout: float | None,
    log_to_cloud: bool,
    options: StoreOptions,
    project: str | None,
    location: str | None,
    dataset: str | None,
) -> int:
    """Export the metadata of all DICOM instances in STORE, a folder or a file, to a table in BigQuery or DuckDB.

    Every file below the folder is looked at; what is DICOM is known by its content, not by its name.
    The exit code is 3 where some instances could not be read: see `dicombq operations logs`.
    """
    from dicombq.cli.ending import export_ended
    from dicombq.cli.operations import run_command
    from dicombq.export.preview import preview
    from dicombq.export.request import BigQueryDestination, ExportRequest
    from dicombq.export.task import export_task
    from dicombq.operations import jobs
    from dicombq.operations.kinds import Settings
    from dicombq.stores.filters import read_filter
    from dicombq.stores.registry import open_store
    from dicombq.table.disposition import Disposition
    from dicombq.table.mapping import MAX_ELEMENT_SIZE
    from dicombq.warehouses.registry import find_table

    if overwrite_table and write_disposition:
        output.warning("--overwrite-table is ignored, because --write-disposition is given.")
    if write_disposition:
        disposition = Disposition(write_disposition)
    else:
        disposition = Disposition.WRITE_TRUNCATE if overwrite_table else Disposition.NONE
    parent = config.parent(project, location, dataset)
    source = open_store(store, parent, config.home_folder(), output.warning, options)
    table = find_table(bq_table, config.warehouse, source.name)
    wanted = read_filter(filter_config_gcs_uri) if filter_config_gcs_uri is not None else None
    settings = Settings(config.home(), workers, lock_timeout, log_to_cloud, output.warning)
    destination = BigQueryDestination(table, disposition, schema == "json", include_source_store)
    request = ExportRequest(source, destination, max_element_size or MAX_ELEMENT_SIZE, wanted)
    task = export_task(request, settings)
    if dry_run:
        plan = task.plan()
        output.status(f"Looking at [{source.name.store}]; nothing is written.")
        output.resource(preview(plan).to_dict())
        return 0
    if async_:
        operation = jobs.detach(task, settings, run_command(workers, lock_timeout, log_to_cloud=log_to_cloud))
        output.status(f"Request issued for: [{source.name.store}]")
        output.status(f"Check operation [{operation.name}] for status.")
        output.resource(operation.to_api())
        return 0
    with jobs.begin(task, settings) as job:
        output.status(f"Request issued for: [{source.name.store}]")
        with output.waiting(str(job.operation.name)) as progress:
            job.run(progress)
    return export_ended(output, job.operation, job.running.debug)
