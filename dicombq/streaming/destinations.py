"""The tables of a stream, and how far each of them is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from dicombq.names import StoreName
from dicombq.streaming.configs import StreamConfig
from dicombq.streaming.inventory import Inventory
from dicombq.streaming.outbox import Form
from dicombq.system.times import now, to_microseconds
from dicombq.warehouses.registry import table_key


@dataclass(frozen=True)
class Destination:
    """A table of a stream.

    Parameters
    ----------
    id
        In the inventory.
    """

    id: int
    config: StreamConfig
    store: StoreName

    @cached_property
    def form(self) -> Form:
        """What its rows look like."""
        destination = self.config.destination
        return Form(destination.schema_json, str(self.store) if destination.include_source_store else None)


def take_up(inventory: Inventory, configs: Sequence[StreamConfig], store: StoreName) -> list[Destination]:
    """Note the tables that follow now, and forget the others and what they should have got."""
    keys = [key_of(config) for config in configs]
    with inventory.transaction():
        known = dict(inventory.execute("SELECT key, id FROM destinations").fetchall())
        for key in known.keys() - set(keys):
            for table in ("deliveries", "adopted", "parked"):
                inventory.execute(f"DELETE FROM {table} WHERE destination = ?", [known[key]])
            inventory.execute("DELETE FROM destinations WHERE id = ?", [known[key]])
        changes_only = json.loads(inventory.meta("changes only") or "[]")
        for key, config in zip(keys, configs, strict=True):
            if key not in known:
                since = to_microseconds(config.since or now())
                inventory.execute("INSERT INTO destinations (key, since) VALUES (?, ?)", [key, since])
            elif key in changes_only and config.backfill:
                inventory.execute("UPDATE destinations SET adopted = 0 WHERE key = ?", [key])
        names = [key for key, config in zip(keys, configs, strict=True) if not config.backfill]
        inventory.set_meta("changes only", json.dumps(names))
        ids = dict(inventory.execute("SELECT key, id FROM destinations").fetchall())
    return [Destination(ids[key], config, store) for key, config in zip(keys, configs, strict=True)]


def key_of(config: StreamConfig) -> str:
    """Name a table and the form of its rows; with another form it is another table."""
    destination = config.destination
    form = ("json" if destination.schema_json else "flattened", destination.include_source_store)
    captures = " latest" if destination.change_data_capture else ""
    return f"{table_key(config.table)} {form[0]} {form[1]}{captures}"
