"""Is everything there that an export needs? Each finding says so, or how to mend it."""

from __future__ import annotations

import itertools
import platform
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dicombq import __version__, config
from dicombq.errors import DicombqError, Failed, StorageFull
from dicombq.operations.state import State
from dicombq.operations.store import OperationStore
from dicombq.rows.record import Record
from dicombq.stores.base import Found, Outcome, Store
from dicombq.table.mapping import MAX_ELEMENT_SIZE
from dicombq.warehouses.base import Check, Warehouse

LEAST_FREE = 1 << 30
"""Bytes that should be free for what an export stages."""

_LOOKED_AT = 20


@dataclass(frozen=True)
class Finding:
    """The outcome of a check.

    Parameters
    ----------
    found
        What is there, or what is wrong.
    mend
        What to do; empty where all is well.
    """

    check: str
    ok: bool
    found: str
    mend: str = ""


def examine(checks: list[Check]) -> Iterator[Finding]:
    """Look at one thing after another."""
    for check in checks:
        try:
            yield Finding(check.name, ok=True, found=check.look())
        except DicombqError as error:
            yield Finding(check.name, ok=False, found=error.message, mend=error.hint)


def all_checks(
    open_source: Callable[[], Store[Any]] | None, find_warehouse: Callable[[], tuple[Warehouse[Any], Any]]
) -> list[Check]:
    """List all checks.

    Parameters
    ----------
    open_source
        Opens the store, where one is named.
    find_warehouse
        Gives the warehouse, and the table if one is named.
    """
    checks = [
        Check("versions", _versions),
        Check("home", lambda: str(config.home())),
        Check("disk", lambda: _disk(config.home())),
        Check("properties", _properties),
        Check("operations", lambda: _operations(config.home())),
    ]
    if open_source is not None:
        checks.append(Check("store", lambda: _store(open_source())))
    try:
        warehouse, table = find_warehouse()
    except DicombqError as error:
        return [*checks, Check("warehouse", _raising(error))]
    return [*checks, *warehouse.checks(table)]


def _raising(error: DicombqError) -> Callable[[], str]:
    def look() -> str:
        raise error

    return look


def _versions() -> str:
    libraries = ", ".join(f"{name} {version(name)}" for name in ("duckdb", "google-cloud-bigquery", "pydicom"))
    return f"dicombq {__version__}, Python {platform.python_version()}, {libraries}"


def _disk(home: Path) -> str:
    free = shutil.disk_usage(home).free
    if free < LEAST_FREE:
        raise StorageFull(
            f"{free / 2**20:,.0f} MiB are free where [{home}] is",
            "Make room, delete what is left of old exports: dicombq operations prune, or set DICOMBQ_HOME.",
        )
    return f"{free / 2**30:,.1f} GiB free"


def _properties() -> str:
    said = {name: config.setting(name) for name in config.PROPERTIES}
    return ", ".join(f"{name}={held.value}" for name, held in said.items() if held.value)


def _operations(home: Path) -> str:
    operations, damaged = OperationStore(home).list()
    if damaged:
        raise damaged[0]
    crashed = [operation.id for operation in operations if operation.state is State.CRASHED]
    if crashed:
        raise Failed(f"{len(crashed):,} crashed", f"Go on: dicombq operations resume {crashed[0]}")
    running = sum(not operation.state.ended for operation in operations)
    return f"{len(operations):,}, {running:,} running"


def _store(store: Store[Any]) -> str:
    """Read the first instances of a store."""
    entries = itertools.islice(store.list(), _LOOKED_AT)
    refs = [entry for entry in entries if not isinstance(entry, Outcome)]
    results = list(store.read(refs, Record, MAX_ELEMENT_SIZE))
    found = sum(isinstance(result, Found) for result in results)
    if not found:
        raise Failed(
            f"none of the first {len(refs):,} files in [{store.name.store}] is an instance",
            "Name the folder or the bucket that holds DICOM files.",
        )
    return f"readable; {found:,} of the first {len(refs):,} files are instances"
