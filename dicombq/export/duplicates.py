"""Rows of the same instance: one stays, the others leave their shards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import orjson

from dicombq.export.area import StagingArea
from dicombq.export.staging import Receipt, read_keys
from dicombq.shards.duplicates import Duplicate
from dicombq.shards.receipts import Receipts


def without_rows(
    receipts: Receipts[Receipt], area: StagingArea, receipt: Receipt, losers: Sequence[Duplicate]
) -> Receipt:
    """Write a shard anew without its losers; the new receipt counts and logs each loser."""
    rows = {loser.row for loser in losers}
    used: set[int] = set()
    with area.open_rows(receipt.file) as old, area.attempt(receipt.shard) as attempt:
        for line, key in zip(old, read_keys(area, receipt), strict=True):
            if key.row not in rows:
                attempt.rows.write(line)
                attempt.keys.write(orjson.dumps(key) + b"\n")
                used.add(key.columns)
    kept = replace(
        receipt,
        file=attempt.rows_name,
        keys=attempt.keys_name,
        rows=receipt.rows - len(rows),
        duplicates=receipt.duplicates + len(rows),
        column_sets=[columns if index in used else [] for index, columns in enumerate(receipt.column_sets)],
        log=[*receipt.log, *(loser.log_entry() for loser in losers)],
    )
    receipts.write(kept)
    area.discard(receipt.file, receipt.keys)
    return kept
