"""Tables that are made of a store for a question, and kept while the store does not change.

::

    questions/DIGEST.duckdb   the table of one store
    questions/DIGEST.json     the store's fingerprint when the table was made
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dicombq import __version__
from dicombq.export.request import ExportRequest
from dicombq.names import DuckdbTable
from dicombq.questions.place import TABLE
from dicombq.stores.base import Store
from dicombq.stores.listings import fingerprint
from dicombq.system.files import storage_errors, write_atomic
from dicombq.table.disposition import Disposition
from dicombq.warehouses.destination import BigQueryDestination

KEPT = 30 * 86400.0
"""Seconds for which a table is kept that nobody asks."""


def kept_table(store: Store[Any], home: Path, export: Callable[[ExportRequest], int]) -> DuckdbTable:
    """Give a store's table; it is made anew where the store has changed since, or some of it could not be read.

    Parameters
    ----------
    export
        Runs an export to its end, or raises; gives the number of instances that failed.
    """
    folder = home / "questions"
    with storage_errors(home):
        folder.mkdir(mode=0o700, exist_ok=True)
    name = hashlib.sha256(os.fsencode(f"{store.name}\n{store.source}\n{store.options}")).hexdigest()[:32]
    table, note = DuckdbTable(folder / f"{name}.duckdb", "dicom", TABLE), folder / f"{name}.json"
    # taken before the export: what changes meanwhile is seen the next time
    now = {"version": __version__, "fingerprint": fingerprint(store)}
    if _read(note) != now or not table.file.exists():
        _forget_old(folder)
        note.unlink(missing_ok=True)
        request = ExportRequest(store, BigQueryDestination(table, Disposition.WRITE_TRUNCATE), may_empty=True)
        failed = export(request)
        with storage_errors(home):
            write_atomic(note, json.dumps({} if failed else now).encode())
    else:
        os.utime(note)
    return table


def _read(note: Path) -> Any:
    try:
        return json.loads(note.read_bytes())
    except (OSError, ValueError):
        return None


def _forget_old(folder: Path) -> None:
    """Delete tables that nobody has asked for long; one that is being made has no note yet, and is let be."""
    for note in folder.glob("*.json"):
        with contextlib.suppress(OSError):
            if time.time() - note.stat().st_mtime > KEPT:
                note.unlink()
                note.with_suffix(".duckdb").unlink(missing_ok=True)
