"""``import``: files into a store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dicombq import config
from dicombq.cli.groups import (
    Command,
    Group,
    async_option,
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
    "import",
    {"gcs": "dicombq.cli.imports:gcs"},
    help="Import DICOM files into a store.",
    epilog="Example: dicombq import gcs ./archive --gcs-uri='gs://my-bucket/incoming/**.dcm'",
)


@click.command(
    "gcs",
    cls=Command,
    short_help="Copy DICOM files into a store.",
    epilog="""\b
Examples:
  dicombq import gcs ./archive --gcs-uri='gs://my-bucket/incoming/**.dcm'
  dicombq import gcs https://pacs.example.org/dicom-web --gcs-uri='/mnt/cd/**'""",
)
@click.argument("store", metavar="STORE")
@click.option(
    "--gcs-uri",
    required=True,
    metavar="URI",
    help="The files: gs://BUCKET/OBJECT or a local path. * stands for characters other than /, ** for any characters, "
    "? for one; ** stands at the end, or before a suffix.",
)
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
    gcs_uri: str,
    async_: bool,
    workers: int | None,
    lock_timeout: float | None,
    log_to_cloud: bool,
    options: StoreOptions,
    project: str | None,
    location: str | None,
    dataset: str | None,
) -> int:
    """Copy DICOM files into STORE: a folder or a bucket, as STUDY/SERIES/INSTANCE.dcm, or a DICOMweb server.

    An instance that is there is left alone. --archives, --anonymous and --billing-project say how the
    files are read. The exit code is 3 where some files are no DICOM or could not be copied: see
    `dicombq operations logs`.
    """
    from dicombq.cli.operations import run_task
    from dicombq.operations.kinds import Settings
    from dicombq.stores.registry import open_store
    from dicombq.transfer.pattern import MatchingStore
    from dicombq.transfer.tasks import FilesIn

    parent = config.parent(project, location, dataset)
    into = open_store(store, parent, config.home_folder(), output.warning)
    files = MatchingStore.open(gcs_uri, options)
    settings = Settings(config.home(), workers, lock_timeout, log_to_cloud, output.warning)
    return run_task(output, FilesIn(files, into, workers), settings, in_background=async_)
