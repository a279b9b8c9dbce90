"""From the name of a table or a warehouse to the warehouse."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from dicombq.errors import InvalidArgument
from dicombq.names import BigQueryTable, DuckdbTable, StoreName, TableUri, table_id
from dicombq.warehouses.base import Warehouse

_EMBEDDED = "warehouse.duckdb"


def default_table(home: Path, store: StoreName) -> DuckdbTable:
    """Name the table of the embedded warehouse that an export without ``--bq-table`` goes to."""
    return DuckdbTable(home / _EMBEDDED, table_id(store.parent.dataset), table_id(store.store))


def open_warehouse(table: TableUri, lock_timeout: float) -> Warehouse[Any]:
    """Give the warehouse of a table; nothing is opened yet."""
    if isinstance(table, BigQueryTable):
        return _bigquery(table.project)
    return _duckdb(table.file, lock_timeout)


def find_warehouse(uri: str | None, home: Callable[[], Path], lock_timeout: float) -> Warehouse[Any]:
    """Give the warehouse that ``--warehouse`` names, or the embedded one.

    Raises
    ------
    InvalidArgument
        Where it is no warehouse.
    """
    if uri is None:
        return _duckdb(home() / _EMBEDDED, lock_timeout)
    scheme, _, rest = uri.partition("://")
    if scheme == "duckdb" and rest:
        return _duckdb(Path(rest), lock_timeout)
    if scheme == "bq" and rest:
        return _bigquery(rest)
    raise InvalidArgument(f"[{uri}] is not a warehouse", "Give duckdb://FILE.duckdb or bq://PROJECT.")


def _bigquery(project: str) -> Warehouse[Any]:
    from dicombq.warehouses.bigquery import BigQueryWarehouse  # noqa: PLC0415 - half a second of imports

    return BigQueryWarehouse(project)


def _duckdb(file: Path, lock_timeout: float) -> Warehouse[Any]:
    from dicombq.warehouses.duckdb import DuckdbWarehouse  # noqa: PLC0415 - a fifth of a second of imports

    return DuckdbWarehouse(file, lock_timeout)
