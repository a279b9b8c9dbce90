"""What `dicombq` offers to Python; import it from there."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator
from typing import Any

from dicombq import config
from dicombq.errors import FailedPrecondition
from dicombq.export.request import ExportRequest
from dicombq.export.task import export_task
from dicombq.names import BigQueryTable, DuckdbTable, parse_table_uri
from dicombq.operations import jobs
from dicombq.operations.kinds import Settings
from dicombq.questions.kept import kept_table
from dicombq.rows.record import Record
from dicombq.stores.base import Found, Outcome, Store
from dicombq.stores.lines import row_line
from dicombq.stores.registry import open_store
from dicombq.table.descriptions import described
from dicombq.table.disposition import Disposition
from dicombq.table.fields import to_bigquery
from dicombq.table.mapping import MAX_ELEMENT_SIZE
from dicombq.warehouses.destination import BigQueryDestination
from dicombq.warehouses.registry import find_table, open_warehouse

_READ_TOGETHER = 100


def read_row(file: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the row of one instance.

    Parameters
    ----------
    file
        A DICOM file.

    Returns
    -------
    dict
        Column to value, as JSON has it; columns that are NULL are absent. Columns and types are those of the table.

    Raises
    ------
    FailedPrecondition
        Where it is no instance, or cannot be read as one.
    NotFound
        Where there is no such file.
    """
    store = _open(file)
    refs = [ref for ref in itertools.islice(store.list(), 2) if not isinstance(ref, Outcome)]
    results = list(store.read(refs, Record, MAX_ELEMENT_SIZE))
    if len(results) == 1 and isinstance(results[0], Found):
        return _row(results[0])
    why = results[0].reason if len(results) == 1 and not isinstance(results[0], Found) else "it is not one file"
    raise FailedPrecondition(f"[{os.fspath(file)}] cannot be read as an instance: {why}")


def iter_rows(store: str | os.PathLike[str]) -> Iterator[dict[str, Any]]:
    """Read the rows of all instances in a store, one after another; what cannot be read is left out.

    Parameters
    ----------
    store
        A folder, a URL, or the ID of a registered store.

    Yields
    ------
    dict
        As `read_row`, in no order.
    """
    opened = _open(store)
    refs = (ref for ref in opened.list() if not isinstance(ref, Outcome))
    while some := list(itertools.islice(refs, _READ_TOGETHER)):
        for result in opened.read(some, Record, MAX_ELEMENT_SIZE):
            if isinstance(result, Found):
                yield _row(result)


def export_to_table(
    store: str | os.PathLike[str],
    table: str | None = None,
    *,
    write_disposition: str | None = None,
    schema_json: bool = False,
    workers: int | None = None,
) -> dict[str, Any]:
    """Export a store to a table, as ``dicombq export bq`` does, and wait for it.

    Parameters
    ----------
    store
        A folder, a URL, or the ID of a registered store.
    table
        ``bq://PROJECT.DATASET.TABLE`` or ``duckdb://FILE/DATASET.TABLE``; None for the one that is named after the
        store.
    write_disposition
        ``write-empty``, ``write-truncate`` or ``write-append``; None where the table must not exist.
    schema_json
        One JSON column for all elements, in place of a column for each.
    workers
        Processes that read headers; None for as many as are worth it.

    Returns
    -------
    dict
        The operation, as the API has it: ``metadata.counter`` says how many instances succeeded and failed.

    Raises
    ------
    DicombqError
        One of the tree in `dicombq.errors`, as the command line tells it.
    """
    source = _open(store)
    destination = BigQueryDestination(
        find_table(table, config.warehouse, source.name),
        Disposition(write_disposition) if write_disposition else Disposition.NONE,
        schema_json,
    )
    settings = Settings(config.home(), workers)
    with jobs.begin(export_task(ExportRequest(source, destination), settings), settings) as job:
        job.run(lambda _operation: None)
    return job.operation.to_api()


def schema_of(source: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Give the columns of a table or a store, with their descriptions.

    Parameters
    ----------
    source
        ``bq://PROJECT.DATASET.TABLE``, ``duckdb://FILE/DATASET.TABLE``, or a store, whose headers are read.

    Returns
    -------
    list of dict
        BigQuery's ``TableFieldSchema``, as ``bq show --schema`` prints it.
    """
    text = os.fspath(source)
    table: BigQueryTable | DuckdbTable
    if text.startswith(("bq://", "duckdb://")):
        table = parse_table_uri(text)
    else:
        settings = Settings(config.home())

        def export(request: ExportRequest) -> int:
            with jobs.begin(export_task(request, settings), settings) as job:
                job.run(lambda _operation: None)
            return job.operation.counters.failure

        table = kept_table(_open(text), settings.home, export)
    return to_bigquery(described(open_warehouse(table, None).fields(table)))


def _open(source: str | os.PathLike[str]) -> Store[Any]:
    return open_store(os.fspath(source), config.parent(), config.home_folder(), lambda _text: None)


def _row(found: Found) -> dict[str, Any]:
    row: dict[str, Any] = json.loads(row_line(found, None))
    return row
