"""An instance's row as a line of newline-delimited JSON, in the form in which every warehouse takes it."""

from __future__ import annotations

import orjson

from dicombq.rows.base import join
from dicombq.stores.base import Found

MAX_ROW_SIZE = 100 << 20
"""Bytes of a JSON row in a BigQuery load."""


def row_line(found: Found, source_store: str | None) -> bytes:
    """Write the row of an instance that was found; `source_store` is as for `finish_line`."""
    return finish_line(json_body(found), found.updated, source_store)


def json_body(found: Found) -> bytes:
    """Write all of an instance's row that is read from the store: the same for the same content.

    `finish_line` adds what depends on when and for whom the row is written.
    """
    more = {"StorageClass": found.storage_class or None, "BlobStorageSize": found.size}
    return join(found.row.json, {name: value for name, value in more.items() if value is not None})


def finish_line(body: bytes, updated: str, source_store: str | None) -> bytes:
    """Complete a row.

    Parameters
    ----------
    updated
        The value of ``LastUpdated``.
    source_store
        The value of ``SourceDicomStore``, None where it is not asked for.
    """
    return join(body, {"Type": "CREATE", "LastUpdated": updated} | _source(source_store)) + b"\n"


def deletion_line(uids: dict[str, str], updated: str, source_store: str | None) -> bytes:
    """Write the row that says that an instance was deleted (``schema.md``, The generated view).

    Parameters
    ----------
    uids
        By their columns.
    """
    extra = {"Type": "DELETE", "LastUpdated": updated} | _source(source_store)
    return orjson.dumps(uids | extra, option=orjson.OPT_APPEND_NEWLINE)


def _source(source_store: str | None) -> dict[str, str]:
    return {} if source_store is None else {"SourceDicomStore": source_store}
