"""What an export would do: its plan, a listing, and the headers of a few instances. Nothing is written.

Duplicates are not known from a few, so that the rows may be fewer.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from dicombq.export.plan import Plan, schema_conflict
from dicombq.names import BigQueryTable
from dicombq.rows.metadata import MetadataRecord
from dicombq.rows.record import Record
from dicombq.stores.base import Found, InstanceRef, Outcome, Skipped
from dicombq.stores.lines import row_line
from dicombq.stores.listings import size_of
from dicombq.table.disposition import Action
from dicombq.table.fields import check_limits, count, merge
from dicombq.warehouses.prices import storage_cost

SAMPLE = 200
"""Instances whose headers are read for the estimates."""


@dataclass
class Preview:
    """An estimate of an export.

    Parameters
    ----------
    files, size
        What is listed, and its bytes.
    sampled, rows, row_size
        Of these files, how many were read, how many were instances, and the bytes of their rows.
    columns, added
        How many the table would have, nested ones counted, as far as the sample shows; and those that an existing one
        would get.
    """

    plan: Plan
    files: int = 0
    size: int = 0
    sampled: int = 0
    rows: int = 0
    row_size: int = 0
    columns: int = 0
    added: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Print it, for ``--dry-run``."""
        share = self.files / self.sampled if self.sampled else 0
        rows, load_size = round(self.rows * share), round(self.row_size * share)
        table = self.plan.request.destination.table
        return {
            **self.plan.to_dict(),
            "files": self.files,
            "bytes": self.size,
            "sampled": self.sampled,
            "estimatedRows": rows,
            "estimatedLoadBytes": load_size,
            "columns": self.columns,
            "newColumns": self.added,
            **({"estimatedCost": storage_cost(load_size)} if isinstance(table, BigQueryTable) else {}),
        }


def preview(plan: Plan, sample: int = SAMPLE) -> Preview:
    """List the store, and read some of its instances, the same ones each time.

    Raises
    ------
    SchemaConflict
        Where the table has a column of another type than one of these instances.
    TooManyColumns
        Where it would have more than a table can have.
    """
    found = Preview(plan)
    refs = _some(plan, found, sample)
    request = plan.request
    destination = request.destination
    record = MetadataRecord if destination.schema_json else Record
    source = str(request.store.name) if destination.include_source_store else None
    paths: set[str] = set()
    for result in request.store.read(refs, record, request.max_element_size):
        found.sampled += 1
        if isinstance(result, Found) and (request.wanted is None or request.wanted.matching(result.row.uids)):
            found.rows += 1
            found.row_size += len(row_line(result, source))
            paths |= result.row.columns
    fields = destination.fields(paths)
    if plan.action in (Action.LOAD, Action.APPEND):
        merged = merge(plan.table.fields, fields)
        if merged.conflicts:
            raise schema_conflict(destination.table, merged.conflicts[0], "")
        fields = merged.fields
        found.added = [".".join(f.name for f in (*above, added)) for above, added in merged.added]
    check_limits(fields)
    found.columns = count(fields)
    return found


def _some(plan: Plan, found: Preview, sample: int) -> list[InstanceRef]:
    """Count what is listed, and choose some of it, each with the same chance."""
    chance = random.Random(0)  # noqa: S311 - it is to be the same each time
    chosen: list[InstanceRef] = []
    for entry in plan.request.store.list(wanted=plan.request.wanted):
        if isinstance(entry, Skipped):
            continue
        found.files += 1
        if isinstance(entry, Outcome):
            continue
        found.size += size_of(entry)
        if len(chosen) < sample:
            chosen.append(entry)
        elif (place := chance.randrange(found.files)) < sample:
            chosen[place] = entry
    return chosen
