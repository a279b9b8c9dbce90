"""What a table holds when a stream begins to write to it, or when somebody else has written to it."""

from __future__ import annotations

from typing import Any

from dicombq.streaming.destinations import Destination
from dicombq.streaming.inventory import Inventory
from dicombq.warehouses.base import TableRow, Warehouse

_BEFORE_ALL = -(1 << 62)  # NULL comes last (schema.md)
_AT_ONCE = 1000


def adopt(inventory: Inventory, destination: Destination, warehouse: Warehouse[Any]) -> None:
    """Read which instances a table holds, so that no row is doubled and each later one has a later LastUpdated.

    From then on the table follows: what the inventory holds is backfilled, if that is asked for. A table that followed
    before is told anew of what it was told.
    """
    inventory.execute(
        "CREATE TEMP TABLE IF NOT EXISTS held (study TEXT, series TEXT, sop TEXT, updated INTEGER, deleted INTEGER, "
        "PRIMARY KEY (study, series, sop)) WITHOUT ROWID"
    )
    inventory.execute("DELETE FROM held")
    writer = warehouse.state(destination.config.table).writer  # before the rows: what comes between is another one's
    total = 0
    rows: list[tuple[Any, ...]] = []
    for row in warehouse.instances(destination.config.table):
        total += 1
        if row.uids[-1] and _is_own(row, destination):
            updated = _BEFORE_ALL if row.updated is None else row.updated
            rows.append((*row.uids, updated, row.deleted))
        if len(rows) == _AT_ONCE:
            _hold(inventory, rows)
    _hold(inventory, rows)
    with inventory.transaction():
        (last,) = inventory.one("SELECT coalesce(max(id), 0) FROM instances")
        (is_known,) = inventory.one(
            "SELECT total IS NOT NULL OR delivered_at IS NOT NULL FROM destinations WHERE id = ?", [destination.id]
        )
        inventory.execute("INSERT OR IGNORE INTO instances (study, series, sop) SELECT study, series, sop FROM held")
        inventory.execute(
            "UPDATE instances SET next = max(next, held.updated + held.deleted) FROM held "
            "WHERE (instances.study, instances.series, instances.sop) = (held.study, held.series, held.sop)"
        )
        inventory.execute("DELETE FROM adopted WHERE destination = ?", [destination.id])
        inventory.execute(
            "INSERT INTO adopted SELECT ?, id, nullif(updated, ?) FROM held NATURAL JOIN "
            "(SELECT id, study, series, sop FROM instances) WHERE NOT deleted",
            [destination.id, _BEFORE_ALL],
        )
        inventory.execute(
            "UPDATE destinations SET adopted = 1, total = ?, writer = ?, backfill_next = 1, backfill_last = ? "
            "WHERE id = ?",
            [total, writer, last if destination.config.backfill or is_known else 0, destination.id],
        )


def _is_own(row: TableRow, destination: Destination) -> bool:
    """Leave out the rows of other stores, where a table says whose they are."""
    return destination.form.source_store is None or row.source_store in (None, destination.form.source_store)


def _hold(inventory: Inventory, rows: list[tuple[Any, ...]]) -> None:
    inventory.executemany(
        "INSERT INTO held VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET updated = excluded.updated, "
        "deleted = excluded.deleted WHERE excluded.updated > held.updated",
        rows,
    )
    rows.clear()
