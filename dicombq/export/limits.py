"""What is refused when the listing is there, before the headers are read: more than one load takes."""

from __future__ import annotations

from pathlib import Path

from isal import igzip

from dicombq.export.request import ExportRequest
from dicombq.names import BigQueryTable, is_object_uri
from dicombq.rows.metadata import MetadataRecord
from dicombq.rows.record import Record
from dicombq.shards.listing import Listing, read_refs
from dicombq.stores.base import Found
from dicombq.stores.lines import row_line
from dicombq.warehouses.bigquery_limits import check_size, check_sources

_FEW = 1_000_000
"""Instances that any load takes: their rows would have to have megabytes each."""

_SAMPLE = 50


def check_listing(request: ExportRequest, listing: Listing, folder: Path) -> None:
    """Refuse an export whose rows no load job takes, by the number of its shards and by the rows of some instances.

    Raises
    ------
    FailedPrecondition
        With what it would be, and what is allowed.
    """
    table, staged = request.destination.table, is_object_uri(request.staging)
    if not isinstance(table, BigQueryTable):
        return
    if staged:
        check_sources(table, len(listing.shards))
    count = sum(count for _, count in listing.shards)
    if count <= _FEW:
        return
    step = -(-len(listing.shards) // _SAMPLE)
    refs = [ref for offset, _ in listing.shards[::step] for ref in read_refs(request.store, folder, offset, 1)]
    record = MetadataRecord if request.destination.schema_json else Record
    read = request.store.read(refs, record, request.max_element_size)
    rows = [row_line(result, None) for result in read if isinstance(result, Found)]
    share = count / len(refs)
    size, packed = sum(map(len, rows)), len(igzip.compress(b"".join(rows)))
    check_size(table, round(size * share), round(packed * share), staged=staged)
