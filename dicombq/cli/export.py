"""``export``: metadata to a table, or the files themselves to a bucket or a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dicombq import config
from dicombq.cli import proposals
from dicombq.cli.choices import Choice
from dicombq.cli.groups import (
    Command,
    Group,
    async_option,
    common_options,
    engine_options,
    filter_option,
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
    {"bq": "dicombq.cli.export:bq", "gcs": "dicombq.cli.export:gcs"},
    help="Export the metadata of the instances in a store, or their files.",
    epilog="Example: dicombq export bq ./scans",
)


@click.command(
    "bq",
    cls=Command,
    short_help="Export DICOM metadata to a table.",
    epilog="""\b
Examples:
  dicombq export bq ./scans
  dicombq export bq gs://my-bucket/scans
  dicombq export bq https://orthanc.example.org/dicom-web
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
@filter_option
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
    "--staging",
    metavar="URI",
    help="Stage rows in a bucket, from where BigQuery loads them: gs://BUCKET/FOLDER, or in a folder; default: "
    "$DICOMBQ_STAGING, what `dicombq config` says, or else the home folder and one upload from there.",
)
@click.option("--dry-run", is_flag=True, help="Check, tell what would be done, an estimate of its size, and stop.")
@async_option
@workers_option
@engine_options
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
    staging: str | None,
    dry_run: bool,
    async_: bool,
    workers: int | None,
    engine: str | None,
    engine_master: str | None,
    shared_folders: bool,
    lock_timeout: float | None,
    log_to_cloud: bool,
    options: StoreOptions,
    project: str | None,
    location: str | None,
    dataset: str | None,
) -> int:
    """Export the metadata of all DICOM instances in STORE to a table.

    STORE is a folder, a file, a bucket or a folder in it (gs://, s3://), or a DICOMweb server. Every file or object
    is looked at; what is DICOM is known by its content, not by its name.
    The exit code is 3 where some instances could not be read: see `dicombq operations logs`.
    """
    from dicombq.cli.operations import run_task
    from dicombq.engines.registry import EngineChoice
    from dicombq.export.request import ExportRequest, staging_place
    from dicombq.export.task import export_task
    from dicombq.operations.kinds import Settings
    from dicombq.stores.filters import read_filter
    from dicombq.stores.registry import open_store
    from dicombq.table.disposition import Disposition
    from dicombq.table.mapping import MAX_ELEMENT_SIZE
    from dicombq.warehouses.destination import BigQueryDestination
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
    choice = EngineChoice(config.engine(engine), engine_master or "", shared_folders)
    request = ExportRequest(
        source,
        destination,
        max_element_size or MAX_ELEMENT_SIZE,
        wanted,
        staging_place(staging, table, choice),
        choice,
    )
    task = export_task(request, settings)
    if dry_run:
        from dicombq.export.preview import preview

        plan = task.plan()
        output.status(f"Looking at [{source.name.store}]; nothing is written.")
        output.resource(preview(plan).to_dict())
        return 0
    return run_task(output, task, settings, in_background=async_)


@click.command(
    "gcs",
    cls=Command,
    short_help="Copy DICOM files to Cloud Storage.",
    epilog="""\b
Examples:
  dicombq export gcs ./scans --gcs-uri-prefix=gs://my-bucket/scans
  dicombq export gcs ./scans --gcs-uri-prefix=/mnt/copy --filter-config-gcs-uri=wanted.txt""",
)
@click.argument("store", metavar="STORE")
@click.option(
    "--gcs-uri-prefix",
    required=True,
    metavar="URI",
    help="Where the files go: gs://BUCKET/FOLDER, whose bucket is there already, or a local folder.",
)
@click.option(
    "--mime-type",
    metavar="TYPE",
    help="Only 'application/dicom; transfer-syntax=*' is supported, the default: files are copied as they are stored.",
)
@filter_option
@async_option
@workers_option
@store_options
@lock_timeout_option
@log_to_cloud_option
@common_options
@click.pass_obj
def gcs(
    output: Output,
    store: str,
    gcs_uri_prefix: str,
    mime_type: str | None,
    filter_config_gcs_uri: str | None,
    async_: bool,
    workers: int | None,
    lock_timeout: float | None,
    log_to_cloud: bool,
    options: StoreOptions,
    project: str | None,
    location: str | None,
    dataset: str | None,
) -> int:
    """Copy the files of all DICOM instances in STORE to a bucket or a folder, as STUDY/SERIES/INSTANCE.dcm.

    A file that is there with the same bytes is left alone, one with other bytes is replaced.
    The exit code is 3 where some instances could not be copied: see `dicombq operations logs`.
    """
    from dicombq.cli.operations import run_task
    from dicombq.operations.kinds import Settings
    from dicombq.stores.filters import read_filter
    from dicombq.stores.registry import open_store
    from dicombq.transfer.tasks import FilesOut, check_mime_type

    check_mime_type(mime_type)
    parent = config.parent(project, location, dataset)
    source = open_store(store, parent, config.home_folder(), output.warning, options)
    wanted = read_filter(filter_config_gcs_uri) if filter_config_gcs_uri is not None else None
    settings = Settings(config.home(), workers, lock_timeout, log_to_cloud, output.warning)
    return run_task(output, FilesOut.to(gcs_uri_prefix, source, wanted, settings), settings, in_background=async_)
