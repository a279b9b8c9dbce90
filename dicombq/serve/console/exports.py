"""The page that begins an export: of metadata to a table, or of the files to Cloud Storage."""

from __future__ import annotations

from starlette.responses import Response

from dicombq import config
from dicombq.errors import DicombqError, InvalidArgument, TableExists, TableNotEmpty
from dicombq.export.request import ExportRequest
from dicombq.export.task import ExportTask, export_task
from dicombq.names import BigQueryTable, TableUri
from dicombq.operations import jobs
from dicombq.operations.kinds import Settings, Task
from dicombq.serve.console.destinations import PATIENCE, Choice, choose
from dicombq.serve.console.pages import Visit, path_of
from dicombq.serve.problems import http_status, message_of
from dicombq.stores.filters import Filter, read_filter
from dicombq.stores.registry import RegisteredStore, StoreRegistry
from dicombq.table.disposition import Disposition
from dicombq.table.mapping import MAX_ELEMENT_SIZE
from dicombq.transfer.tasks import FilesOut
from dicombq.warehouses.destination import BigQueryDestination
from dicombq.warehouses.registry import find_warehouse

DISPOSITIONS = {
    Disposition.NONE.value: "Do not export",
    Disposition.WRITE_EMPTY.value: "Export if it is empty",
    Disposition.WRITE_TRUNCATE.value: "Overwrite it",
    Disposition.WRITE_APPEND.value: "Append to it",
}
"""What to do with a table that exists already."""


def show(visit: Visit) -> Response:
    """Show the form, with what is to be said of what was chosen so far."""
    store, choice = _chosen(visit)
    if choice.table and choice.is_good and not _is_for_files(visit):
        try:
            request = _request(visit, store, choice.table, None)
            ExportTask(request, find_warehouse(choice.table.warehouse, PATIENCE, PATIENCE), None).plan()
        except DicombqError as error:
            choice.refuse("table", _text(error))
    return _page(visit, store, choice)


def begin(visit: Visit) -> Response:
    """Begin the export; where that cannot be done, or only a look is wanted, show the form again and say why."""
    if "check" in visit.form:
        return show(visit)
    store, choice = _chosen(visit)
    settings = Settings(visit.settings.home)
    try:
        operation = jobs.detach(_task(visit, store, choice, settings), settings, jobs.run_command(settings))
    except DicombqError as error:
        return _page(visit, store, choice, http_status(error), _text(error))
    return visit.go(path_of(operation.name))


def _chosen(visit: Visit) -> tuple[RegisteredStore, Choice]:
    home = visit.settings.home
    store = StoreRegistry(home).get(visit.store)
    return store, choose(home, visit.form, store.name)


def _page(visit: Visit, store: RegisteredStore, choice: Choice, status: int = 200, problem: str = "") -> Response:
    return visit.page(
        "export.html",
        status,
        name=store.name,
        choice=choice,
        form=visit.form,
        for_files=_is_for_files(visit),
        dispositions=DISPOSITIONS,
        problem=problem,
    )


def _is_for_files(visit: Visit) -> bool:
    return visit.form.get("to") == "files"


def _task(visit: Visit, store: RegisteredStore, choice: Choice, settings: Settings) -> Task:
    wanted = _filter(visit.form.get("filter", "").strip())
    if _is_for_files(visit):
        prefix = visit.form.get("prefix", "").strip()
        if not prefix:
            raise InvalidArgument("no destination is named", "Enter gs://BUCKET/FOLDER, or a folder of this machine.")
        return FilesOut.to(prefix, store.open(), wanted, settings)
    if choice.table is None or not choice.is_good:
        bad = [check.text for check in choice.checks.values() if not check.good]
        raise InvalidArgument(bad[0] if bad else "no table is named: choose a dataset and enter a table name")
    return export_task(_request(visit, store, choice.table, wanted), settings)


def _request(visit: Visit, store: RegisteredStore, table: TableUri, wanted: Filter | None) -> ExportRequest:
    destination = BigQueryDestination(
        table,
        Disposition(visit.form.get("disposition", Disposition.NONE.value)),
        visit.form.get("schema") == "json",
        visit.form.get("source_store") == "yes",
    )
    staging = config.staging() if isinstance(table, BigQueryTable) else ""
    return ExportRequest(store.open(), destination, MAX_ELEMENT_SIZE, wanted, staging)


def _filter(uri: str) -> Filter | None:
    if uri == "-":
        raise InvalidArgument("a filter file has a name", "Enter gs://BUCKET/OBJECT, or a path of this machine.")
    return read_filter(uri) if uri else None


def _text(error: DicombqError) -> str:
    if isinstance(error, (TableExists, TableNotEmpty)):  # its hint speaks of flags
        return f"{error.message}: choose what to do with it, or enter another table name"
    return message_of(error)
