"""The inventory, where it is damaged, of another version, or on a disk that is full."""

from __future__ import annotations

import contextlib
import sqlite3
import stat
from pathlib import Path

import pytest

from dicombq.errors import Failed, NewerState, StateDamaged, StorageFull
from dicombq.streaming import inventory
from dicombq.streaming.inventory import Inventory, inventory_errors
from dicombq.streaming.search import Query, search
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
    with Inventory(tmp_path) as opened:
        opened.execute("PRAGMA user_version = 99")
    with pytest.raises(NewerState, match="a newer dicombq"):
        Inventory(tmp_path)


def test_an_older_inventory_is_upgraded_and_the_store_is_read_once_more(lab: Lab) -> None:
    for number in (1, 2):
        lab.write(number, PatientName="Doe^Jane")
    lab.follow()
    lab.sync()
    (database,) = (lab.base / "home" / "streams").glob("*/inventory.sqlite")
    with Inventory(database.parent) as new:
        rows = {table: new.execute(f"SELECT * FROM {table}").fetchall() for table in _OLD_TABLES}
    for path in database.parent.glob("inventory.sqlite*"):
        path.unlink()
    with contextlib.closing(sqlite3.connect(database)) as old:
        old.executescript(inventory._SCHEMA)
        old.execute("PRAGMA user_version = 1")
        for table, values in rows.items():
            width = len(old.execute(f"SELECT * FROM {table}").description)  # upgrades add columns at the end
            old.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * width)})", [row[:width] for row in values])
        old.commit()
    assert lab.sync()["unchanged"] == 2
    assert len(lab.rows()) == 2
    with Inventory(database.parent) as upgraded:
        found = search(upgraded, Query("instances", matches=[("PatientName", "doe*")]))
    assert sorted(each.uids[-1][-1] for each in found) == ["1", "2"]


_OLD_TABLES = ("meta", "instances", "copies", "destinations")


def test_a_transaction_is_done_whole_or_not_at_all(tmp_path: Path) -> None:
    with Inventory(tmp_path) as opened:
        with contextlib.suppress(ZeroDivisionError), opened.transaction(), opened.transaction():
            opened.set_meta("a", "1")
            raise ZeroDivisionError
        with opened.undone():
            opened.set_meta("b", "1")
        assert (opened.meta("a"), opened.meta("b")) == (None, None)


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    with Inventory(tmp_path) as opened:
        (pages,) = opened.one("PRAGMA page_count")
        opened.execute(f"PRAGMA max_page_count = {pages + 1}")
        with pytest.raises(StorageFull), inventory_errors(tmp_path):
            opened.set_meta("a", "x" * 1_000_000)
        with pytest.raises(Failed, match="cannot be used"), inventory_errors(tmp_path):
            raise sqlite3.OperationalError("disk I/O error")
