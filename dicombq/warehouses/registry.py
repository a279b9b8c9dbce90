"""From the name of a table or a warehouse to the warehouse."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from dicombq.names import (
    BigQueryProject,
    BigQueryTable,
    DuckdbTable,
    StoreName,
    TableUri,
    WarehouseUri,
    parse_table_uri,
    table_id,
)
from dicombq.warehouses.base import Warehouse


def find_table(uri: str | None, default: Callable[[], WarehouseUri], store: StoreName) -> TableUri:
    """Give the table that ``--bq-table`` names, or the one of the default warehouse that is named after the store.

    Raises
    ------
    InvalidArgument
        Naming the part of the URI that is wrong.
    """
    if uri is None:
        return default().table(table_id(store.parent.dataset), table_id(store.store))
    return named_table(uri)


def named_table(uri: str) -> TableUri:
    """Give the table of a URI, by a path that holds in every folder; errors are those of `find_table`."""
    table = parse_table_uri(uri)
    return replace(table, file=table.file.absolute()) if isinstance(table, DuckdbTable) else table


def table_key(table: TableUri) -> str:
    """Name a table by what it is, whatever path and case it is named by."""
    if isinstance(table, DuckdbTable):
        return f"{os.path.realpath(table.file)}/{table.dataset.lower()}.{table.table.lower()}"
    return str(table)


def check_can_change(table: TableUri) -> None:
    """Hold that what `Warehouse.change` needs is there.

    Raises
    ------
    FailedPrecondition
        Where a package, or an emulator's address, is missing.
    """
    if isinstance(table, BigQueryTable):
        from dicombq.warehouses.bigquery_changes import check  # noqa: PLC0415 - half a second of imports

        check()


def open_warehouse(table: TableUri, lock_timeout: float | None) -> Warehouse[Any]:
    """Give the warehouse of a table; nothing is opened yet.

    Parameters
    ----------
    lock_timeout
        Seconds to wait for another process's lock on a DuckDB file; None for the usual.
    """
    return find_warehouse(table.warehouse, lock_timeout)


def find_warehouse(
    uri: WarehouseUri, lock_timeout: float | None, server_timeout: float | None = None
) -> Warehouse[Any]:
    """Give the warehouse of that name; nothing is opened yet.

    Parameters
    ----------
    lock_timeout
        As `open_warehouse`.
    server_timeout
        Seconds for which a server is asked again that fails for a while; None for the usual.
    """
    return (
        _bigquery(uri.project, server_timeout) if isinstance(uri, BigQueryProject) else _duckdb(uri.file, lock_timeout)
    )


def _bigquery(project: str, patience: float | None) -> Warehouse[Any]:
    from dicombq.warehouses.bigquery import BigQueryWarehouse  # noqa: PLC0415 - half a second of imports

    return BigQueryWarehouse(project, patience)


def _duckdb(file: Path, lock_timeout: float | None) -> Warehouse[Any]:
    from dicombq.warehouses.duckdb import DuckdbWarehouse  # noqa: PLC0415 - a fifth of a second of imports

    return DuckdbWarehouse(file) if lock_timeout is None else DuckdbWarehouse(file, lock_timeout)
