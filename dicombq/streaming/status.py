"""How far a stream is, as anybody may look at it while it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dicombq.stores.registry import RegisteredStore
from dicombq.streaming.configs import StreamConfig, configs_of
from dicombq.streaming.destinations import key_of
from dicombq.streaming.inventory import Inventory, inventory_errors, stream_folder
from dicombq.system.files import printable
from dicombq.system.locks import holder_of, is_locked
from dicombq.system.times import now, to_microseconds


def describe(home: Path, registered: RegisteredStore) -> dict[str, Any]:
    """Print a store's stream configs as the API does, and how far each table is under ``dicombq``."""
    folder = stream_folder(home, registered.name)
    own: dict[str, Any] = {"source": printable(registered.source), "running": None, "instances": 0, "failed": 0}
    tables: list[dict[str, Any]] = [{"tableUri": _uri(config)} for config in configs_of(registered)]
    if (folder / "inventory.sqlite").exists():
        with inventory_errors(folder), Inventory(folder) as inventory:
            (own["instances"],) = inventory.one("SELECT count(*) FROM instances WHERE alive")
            (own["failed"],) = inventory.one("SELECT count(*) FROM failures")
            own["lastPass"] = inventory.meta("complete")
            own["logsUrl"] = (folder / "log.jsonl").as_uri()
            tables = [_table(inventory, config) for config in configs_of(registered)]
    if is_locked(folder / "lock"):
        own["running"] = str(holder_of(folder / "lock") or "by another process")
    api = registered.to_api()
    return {"name": api["name"], "streamConfigs": api.get("streamConfigs", []), "dicombq": own | {"tables": tables}}


def _table(inventory: Inventory, config: StreamConfig) -> dict[str, Any]:
    row = inventory.one(
        "SELECT id, adopted, backfill_last - backfill_next + 1, delivered_at, error, error_at "
        "FROM destinations WHERE key = ?",
        [key_of(config)],
    )
    if row is None:
        return {"tableUri": _uri(config), "state": "NEW"}
    number, adopted, backfill, delivered_at, error, error_at = row
    pending, oldest = inventory.one(
        "SELECT coalesce(sum(rows), 0), min(created) FROM deliveries JOIN batches ON id = batch WHERE destination = ?",
        [number],
    )
    (parked,) = inventory.one("SELECT count(*) FROM parked WHERE destination = ?", [number])
    reasons = inventory.execute(
        "SELECT reason, count(*) FROM parked WHERE destination = ? GROUP BY reason ORDER BY 2 DESC LIMIT 10", [number]
    )
    lag = 0.0 if oldest is None else (to_microseconds(now()) - oldest) / 1e6
    return {
        "tableUri": _uri(config),
        "state": "FAILING" if error else "FOLLOWING" if adopted and backfill <= 0 else "CATCHING_UP",
        "pending": pending,
        "lagSeconds": round(lag, 1),
        "lastDelivery": delivered_at,
        "parked": parked,
        **({"parkedReasons": [f"{count:,} x {reason}" for reason, count in reasons]} if parked else {}),
        **({"error": error, "errorTime": error_at} if error else {}),
    }


def _uri(config: StreamConfig) -> str:
    return printable(str(config.table))
