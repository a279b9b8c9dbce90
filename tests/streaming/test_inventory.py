"""The inventory, where it is damaged, of another version, or on a disk that is full."""

from __future__ import annotations

import contextlib
import sqlite3
import stat
from pathlib import Path

import pytest

from dicombq.errors import Failed, NewerState, StateDamaged, StorageFull
from dicombq.streaming.inventory import Inventory, inventory_errors
from tests.streaming.conftest import Lab


def test_its_files_are_private(lab: Lab) -> None:
    lab.write(1)
    lab.follow()
    lab.sync()
    folder = lab.base / "home" / "streams"
    for path in [folder, *folder.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


def test_what_is_no_inventory_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "inventory.sqlite").write_text("no database, and longer than a header of SQLite has to be" * 9)
    with pytest.raises(StateDamaged, match="cannot be read"):
        Inventory(tmp_path)


def test_an_inventory_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    with Inventory(tmp_path) as inventory:
        inventory.execute("PRAGMA user_version = 99")
    with pytest.raises(NewerState, match="a newer dicombq"):
        Inventory(tmp_path)


def test_a_transaction_is_done_whole_or_not_at_all(tmp_path: Path) -> None:
    with Inventory(tmp_path) as inventory:
        with contextlib.suppress(ZeroDivisionError), inventory.transaction(), inventory.transaction():
            inventory.set_meta("a", "1")
            raise ZeroDivisionError
        with inventory.undone():
            inventory.set_meta("b", "1")
        assert (inventory.meta("a"), inventory.meta("b")) == (None, None)


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    with Inventory(tmp_path) as inventory:
        (pages,) = inventory.one("PRAGMA page_count")
        inventory.execute(f"PRAGMA max_page_count = {pages + 1}")
        with pytest.raises(StorageFull), inventory_errors(tmp_path):
            inventory.set_meta("a", "x" * 1_000_000)
        with pytest.raises(Failed, match="cannot be used"), inventory_errors(tmp_path):
            raise sqlite3.OperationalError("disk I/O error")
