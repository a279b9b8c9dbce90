"""``dicom-stores``: register sources under a name, in gcloud's spelling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dicombq import config
from dicombq.cli.groups import Command, Group, common_options, store_option_changes, store_options
from dicombq.cli.render import Output

if TYPE_CHECKING:
    from dicombq.stores.base import StoreOptions
    from dicombq.stores.registry import RegisteredStore

group = Group(
    "dicom-stores",
    {
        "create": "dicombq.cli.dicom_stores:create",
        "delete": "dicombq.cli.dicom_stores:delete",
        "describe": "dicombq.cli.dicom_stores:describe",
        "export": "dicombq.cli.export:group",
        "import": "dicombq.cli.imports:group",
        "list": "dicombq.cli.dicom_stores:list_stores",
        "metrics": "dicombq.cli.dicom_stores:metrics",
        "update": "dicombq.cli.dicom_stores:update",
    },
    help="Work with stores, in gcloud's spelling.",
    epilog="Example: dicombq dicom-stores create scans --source=/archive/scans",
)

_COLUMNS = {"ID": "id", "LOCATION": "location", "SOURCE": "source", "BQDESTINATION": "destinations"}

_STORE = click.argument("store", metavar="STORE")
_STREAM_CONFIGS = click.option(
    "--stream-configs",
    metavar="URIS",
    help="Up to five tables that follow the store, separated by commas: bq://PROJECT.DATASET.TABLE,... An empty one "
    "leaves none. `dicombq stream configure` has more options.",
)


@click.command(
    "create",
    cls=Command,
    short_help="Register a source under a name.",
    epilog="""\b
Examples:
  dicombq dicom-stores create scans --source=/archive/scans
  dicombq export bq scans""",
)
@_STORE
@click.option(
    "--source",
    metavar="SOURCE",
    help="Where the instances lie: a folder, a file, a bucket or a folder in it (gs://, s3://), or a DICOMweb server. "
    "Without it the store is a new folder in the home folder, to which `dicombq serve` stores instances.",
)
@_STREAM_CONFIGS
@store_options
@common_options
@click.pass_obj
def create(
    output: Output,
    store: str,
    source: str | None,
    stream_configs: str | None,
    options: StoreOptions,
    project: str | None,
    location: str | None,
    dataset: str | None,
) -> None:
    """Register a source as STORE, an ID of letters, digits, dots, dashes and underscores, or a full name.

    Every command takes the ID then in place of the source; nothing is copied or read. Without a source it is an empty
    store, whose instances go with it when it is deleted.
    """
    from dicombq.errors import InvalidArgument
    from dicombq.names import store_name
    from dicombq.stores.base import PLAIN
    from dicombq.stores.registry import RegisteredStore, absolute_source
    from dicombq.streaming.configs import create_store, plain_configs

    parent = config.parent(project, location, dataset)
    name = store_name(store, parent)
    if source is None and options != PLAIN:
        raise InvalidArgument("there is no source that would be read like this", "Give --source.")
    place = "" if source is None else absolute_source(source, parent, options)
    configs = plain_configs(stream_configs.split(",")) if stream_configs else []
    create_store(config.home(), RegisteredStore(name, place, options), configs)
    output.status(f"Created dicomStore [{name.store}].")


def _with_stream_configs(store: RegisteredStore, uris: str | None) -> RegisteredStore:
    """Let the tables follow a store that `--stream-configs` names; None leaves it as it is."""
    if uris is None:
        return store
    from dicombq.streaming.configs import plain_configs, prepare, with_configs

    configs = plain_configs(uris.split(",") if uris else [])
    prepare(configs)
    return with_configs(store, configs)


@click.command(
    "describe",
    cls=Command,
    short_help="Show a registered store.",
    epilog="Example: dicombq dicom-stores describe scans",
)
@_STORE
@common_options
@click.pass_obj
def describe(output: Output, store: str, project: str | None, location: str | None, dataset: str | None) -> None:
    """Show the name of STORE, where its instances lie, and the tables that follow it."""
    from dicombq.names import store_name
    from dicombq.stores.registry import StoreRegistry

    name = store_name(store, config.parent(project, location, dataset))
    output.resource(StoreRegistry(config.home()).get(name).to_api())


@click.command(
    "list",
    cls=Command,
    short_help="List the registered stores.",
    epilog="Example: dicombq dicom-stores list",
)
@common_options
@click.pass_obj
def list_stores(output: Output, project: str | None, location: str | None, dataset: str | None) -> None:
    """List the registered stores, of all datasets where none is named."""
    from dicombq.stores.registry import StoreRegistry

    stores = StoreRegistry(config.home()).list(config.named(project, location, dataset))
    if not stores:
        output.status("Listed 0 items.")
    if output.is_whole:
        output.resources({}, [store.to_api() for store in stores])
        return
    output.resources(_COLUMNS, [_with_columns(store.to_api()) for store in stores])


def _with_columns(store: dict[str, Any]) -> dict[str, Any]:
    tables = (config["bigqueryDestination"]["tableUri"] for config in store.get("streamConfigs", ()))
    parts = store["name"].split("/")
    own = {"id": parts[7], "location": parts[3], "source": store["dicombq"]["source"]}
    return store | own | {"destinations": ",".join(tables)}


@click.command(
    "update",
    cls=Command,
    short_help="Change where a store's instances lie, or which tables follow it.",
    epilog="""\b
Examples:
  dicombq dicom-stores update scans --source=/new/disk/scans
  dicombq dicom-stores update scans --stream-configs=bq://my-project.my_dataset.scans""",
)
@_STORE
@click.option("--source", metavar="SOURCE", help="Where the instances lie now.")
@_STREAM_CONFIGS
@store_option_changes
@common_options
@click.pass_obj
def update(
    output: Output,
    store: str,
    source: str | None,
    stream_configs: str | None,
    changes: dict[str, Any],
    project: str | None,
    location: str | None,
    dataset: str | None,
) -> None:
    """Give STORE another source, other options for it, or other tables that follow it; what is not given stays.

    An option is taken away by --no-archives, --no-anonymous, or an empty --billing-project.
    """
    from dataclasses import replace

    from dicombq.errors import InvalidArgument
    from dicombq.names import store_name
    from dicombq.stores.registry import StoreRegistry, absolute_source

    parent = config.parent(project, location, dataset)
    name = store_name(store, parent)
    registry = StoreRegistry(config.home())
    before = registry.get(name)
    if source is None and stream_configs is None and not changes:
        raise InvalidArgument("there is nothing to update", "Give --source, --stream-configs or --archives.")
    options = replace(before.options, **changes)
    place = before.source if source is None else absolute_source(source, parent, options)
    configs = _with_stream_configs(before, stream_configs).stream_configs
    changed = registry.update(
        name, lambda before: replace(before, source=place, options=options, stream_configs=configs)
    )
    output.status(f"Updated dicomStore [{name.store}].")
    output.resource(changed.to_api())


@click.command(
    "delete",
    cls=Command,
    short_help="Delete a store.",
    epilog="Example: dicombq dicom-stores delete scans --quiet",
)
@_STORE
@common_options
@click.pass_obj
def delete(output: Output, store: str, project: str | None, location: str | None, dataset: str | None) -> None:
    """Forget STORE; its source, and the tables that were made of it, are not touched.

    A store that was created without a source is deleted with its instances.
    """
    from dicombq.names import store_name
    from dicombq.stores.registry import StoreRegistry
    from dicombq.streaming.stream import delete_store

    name = store_name(store, config.parent(project, location, dataset))
    managed = StoreRegistry(config.home()).get(name).managed
    output.confirm(f"You are about to delete dicomStore [{name.store}]{' and all of its instances' if managed else ''}")
    delete_store(config.home(), name)
    output.status(f"Deleted dicomStore [{name.store}].")


@click.command(
    "metrics",
    cls=Command,
    short_help="Count studies, series, instances and bytes.",
    epilog="Example: dicombq dicom-stores metrics ./scans",
)
@_STORE
@store_options
@common_options
@click.pass_obj
def metrics(
    output: Output,
    store: str,
    options: StoreOptions,
    project: str | None,
    location: str | None,
    dataset: str | None,
) -> int:
    """Count the studies, series and instances of STORE and their bytes, by reading all headers.

    The exit code is 3 where some instances could not be read.
    """
    from dicombq.stores.metrics import measure
    from dicombq.stores.registry import open_store

    parent = config.parent(project, location, dataset)
    source = open_store(store, parent, config.home_folder(), output.warning, options)
    with output.counting("instances") as count:
        measured = measure(source, count)
    output.resource(measured.to_api())
    if measured.failures:
        output.warning(f"{measured.failures:,} could not be read; an export says which and why.")
    return 3 if measured.failures else 0
