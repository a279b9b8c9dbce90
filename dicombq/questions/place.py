"""Where a question is asked: a warehouse, a table of it, or a store that becomes one."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from dicombq.errors import InvalidArgument
from dicombq.names import BigQueryTable, DuckdbFile, TableUri, WarehouseUri, parse_table_uri
from dicombq.warehouses.base import Warehouse
from dicombq.warehouses.registry import find_warehouse, open_warehouse

TABLE = "instances"
"""What a question calls the table that it is asked of, whatever its name."""

_TABLE_NAME = re.compile(r"(?:[\w-]+\.)?\w+\.\w+")


@dataclass(frozen=True)
class Place:
    """A warehouse, and what names in a question mean there.

    Parameters
    ----------
    table
        The one that was named, if any.
    """

    uri: WarehouseUri
    warehouse: Warehouse[Any]
    table: TableUri | None = None
    aliases: dict[str, str] = field(default_factory=dict)


def find_place(
    source: str | None, warehouse: WarehouseUri, lock_timeout: float | None, table_of: Callable[[str], TableUri]
) -> Place:
    """Give the place that a SOURCE names: a table, by URI or by name, or else a store.

    Parameters
    ----------
    warehouse
        Where a table is that is not named by a URI.
    table_of
        Makes a table of the store that has that name.
    """
    if source is None:
        return Place(warehouse, find_warehouse(warehouse, lock_timeout))
    table = find_named_table(source, warehouse) or table_of(source)
    return Place(table.warehouse, open_warehouse(table, lock_timeout), table, {TABLE: sql_name(table)})


def with_only_table(place: Place) -> Place:
    """Give the same place with a table: where none was named, the only one that the warehouse has.

    Raises
    ------
    InvalidArgument
        Where it has several, or cannot tell.
    """
    if place.table:
        return place
    if not isinstance(place.uri, DuckdbFile):
        raise InvalidArgument("the query names no table", "Give it as SOURCE: bq://PROJECT.DATASET.TABLE.")
    rows = place.warehouse.query(
        "SELECT table_schema, table_name FROM `region-local.INFORMATION_SCHEMA.TABLES` "
        "WHERE table_type = 'BASE TABLE' AND table_schema <> '_dicombq' ORDER BY 1, 2"
    ).rows
    tables = [place.uri.table(dataset, table) for dataset, table in rows]
    if len(tables) != 1:
        names = ", ".join(map(sql_name, tables)) or "none"
        raise InvalidArgument(
            f"the query names no table, and the warehouse has not just one: {names}", "Give one as SOURCE."
        )
    return replace(place, table=tables[0], aliases={TABLE: sql_name(tables[0])})


def find_named_table(source: str, warehouse: WarehouseUri) -> TableUri | None:
    """Give the table that a text names: a URI, or DATASET.TABLE where no file has that name; None for neither."""
    if source.startswith(("bq://", "duckdb://")):
        return parse_table_uri(source)
    if os.path.exists(source) or not _TABLE_NAME.fullmatch(source):
        return None
    *project, dataset, table = source.split(".")
    named = warehouse.table(dataset, table)
    return BigQueryTable(project[0], dataset, table) if project and isinstance(named, BigQueryTable) else named


def is_table(source: str, warehouse: WarehouseUri) -> bool:
    """Tell whether a text names a table."""
    return find_named_table(source, warehouse) is not None


def sql_name(table: TableUri) -> str:
    """Name a table in a query."""
    name = f"{table.dataset}.{table.table}"
    return f"{table.project}.{name}" if isinstance(table, BigQueryTable) else name
