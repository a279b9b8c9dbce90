"""The plan of an export: a request held against the table, before a file is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dicombq.errors import FailedPrecondition, SchemaConflict
from dicombq.export.request import ExportRequest
from dicombq.names import TableUri
from dicombq.table.disposition import Action, decide
from dicombq.table.fields import Conflict, merge
from dicombq.warehouses.base import Table, Warehouse


@dataclass(frozen=True)
class Plan:
    """A request that nothing known speaks against."""

    request: ExportRequest
    warehouse: Warehouse[Any]
    table: Table
    action: Action

    def to_dict(self) -> dict[str, Any]:
        """Print the plan, for ``--dry-run``."""
        destination = self.request.destination
        return {
            "store": str(self.request.store.name),
            "table": str(destination.table),
            "tableState": self.table.state.value,
            "action": self.action.value,
            "schema": "json" if destination.schema_json else "flattened",
        }


def plan(request: ExportRequest, warehouse: Warehouse[Any]) -> Plan:
    """Make the plan, or refuse the request before a file is read.

    Raises
    ------
    TableExists, TableNotEmpty
        As `dicombq.table.disposition.decide`.
    FailedPrecondition
        Where the table has a primary key, as one with the latest version of each instance.
    SchemaConflict
        Where the table's extra columns are of other types, as with the other schema.
    """
    destination = request.destination
    table = warehouse.state(destination.table)
    action = decide(str(destination.table), table.state, destination.disposition)
    if action in (Action.LOAD, Action.APPEND):
        if table.key:
            raise FailedPrecondition(
                f"the table [{destination.table}] has a primary key, so that an export cannot add rows to it",
                "Name another table, or replace this one with --overwrite-table.",
            )
        conflicts = merge(table.fields, destination.fields(set())).conflicts
        if conflicts:
            raise schema_conflict(destination.table, conflicts[0], "")
    return Plan(request, warehouse, table, action)


def schema_conflict(table: TableUri, conflict: Conflict, uri: str) -> SchemaConflict:
    """Say which column of a table stands against a load; `uri` is an instance that has the column."""
    where = f" ([{uri}] has it)" if uri else ""
    return SchemaConflict(
        f"the column [{conflict.path}] is {conflict.existing.describe()} in the table [{table}], "
        f"but {conflict.wanted.describe()} in what is exported{where}",
        "Export to another table, or replace this one with --overwrite-table.",
    )
