"""``dicomStores.export`` and ``dicomStores.import``: operations that processes of their own run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dicombq.engines.registry import LOCAL
from dicombq.errors import InvalidArgument
from dicombq.export.request import ExportRequest, staging_place
from dicombq.export.task import export_task
from dicombq.names import is_object_uri
from dicombq.operations import jobs
from dicombq.operations.kinds import Settings, Task
from dicombq.serve.problems import BadField
from dicombq.serve.rest.calls import Call
from dicombq.stores.base import PLAIN, Store
from dicombq.stores.filters import Filter, read_filter
from dicombq.stores.registry import StoreRegistry
from dicombq.streaming.keeper import keepers
from dicombq.table.disposition import Disposition
from dicombq.transfer.pattern import MatchingStore
from dicombq.transfer.tasks import FilesIn, FilesOut, check_mime_type
from dicombq.warehouses.destination import BigQueryDestination
from dicombq.warehouses.registry import named_table


def export(call: Call) -> dict[str, Any]:
    """Begin to export a store to a table, or its files to a bucket."""
    store = StoreRegistry(call.settings.home).get(call.store).open()
    settings = Settings(call.settings.home)
    if "gcsDestination" in call.message:
        return _begin(_files(call, store, settings), settings)
    if "bigqueryDestination" in call.message:
        return _begin(_table(call, store, settings), settings)
    raise BadField("destination", "One of bigquery_destination and gcs_destination must be specified.")


def import_(call: Call) -> dict[str, Any]:
    """Begin to import files into a store."""
    uri = call.message.get("gcsSource", {}).get("uri", "")
    if not uri:
        raise BadField("gcs_source.uri", "gcs_source.uri must be specified.")
    if call.message.get("blobStorageSettings", {}).get("blobStorageClass", "STANDARD") != "STANDARD":
        raise BadField("blob_storage_settings", "There is no other storage class than STANDARD: blob_storage_settings.")
    store = StoreRegistry(call.settings.home).get(call.store)
    settings = Settings(call.settings.home)
    begun = _begin(FilesIn(MatchingStore.open(uri, PLAIN), store.open(), settings.workers), settings)
    if store.stream_configs:  # the tables that follow it get what is imported
        keepers(call.settings.home).get(call.store)
    return begun


def _begin(task: Task, settings: Settings) -> dict[str, Any]:
    return jobs.detach(task, settings, jobs.run_command(settings)).to_api()


def _files(call: Call, store: Store[Any], settings: Settings) -> Task:
    destination = call.message["gcsDestination"]
    if not destination.get("uriPrefix"):
        raise BadField("gcs_destination.uri_prefix", "gcs_destination.uri_prefix must be specified.")
    check_mime_type(destination.get("mimeType") or None)
    return FilesOut.to(destination["uriPrefix"], store, _filter(call), settings)


def _table(call: Call, store: Store[Any], settings: Settings) -> Task:
    destination = call.message["bigqueryDestination"]
    if not destination.get("tableUri"):
        raise BadField("bigquery_destination.table_uri", "bigquery_destination.table_uri must be specified.")
    if "changeDataCaptureConfig" in destination:
        raise BadField(
            "bigquery_destination.change_data_capture_config",
            "change_data_capture_config is for tables that follow a store: stream_configs.",
        )
    table = named_table(destination["tableUri"])
    form = ("schemaJson" in destination, destination.get("includeSourceStore", False))
    request = ExportRequest(
        store,
        BigQueryDestination(table, _disposition(call.message), *form),
        wanted=_filter(call),
        staging=staging_place(None, table, LOCAL),
    )
    return export_task(request, settings)


def _disposition(message: Mapping[str, Any]) -> Disposition:
    """Tell what becomes of an existing table; ``writeDisposition`` wins over ``force``."""
    destination = message["bigqueryDestination"]
    word = destination.get("writeDisposition") or message.get("writeDisposition", "WRITE_DISPOSITION_UNSPECIFIED")
    if word != "WRITE_DISPOSITION_UNSPECIFIED":
        return Disposition[word]
    return Disposition.WRITE_TRUNCATE if destination.get("force") else Disposition.NONE


def _filter(call: Call) -> Filter | None:
    if "filterConfig" not in call.message:
        return None
    uri = call.message["filterConfig"].get("resourcePathsGcsUri", "")
    if not (is_object_uri(uri) or uri.startswith("/")):  # standard input is the server's
        raise InvalidArgument(
            f"the filter file [{uri[:100]}] is neither an object nor an absolute path", "Give gs://BUCKET/KEY."
        )
    return read_filter(uri)
