"""Passes over a store that changes while they are made, and what they cost."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dicombq.names import DuckdbTable, Parent
from dicombq.stores.folder import FolderStore
from dicombq.stores.registry import StoreRegistry
from dicombq.streaming.changes import Pass
from dicombq.streaming.configs import followers
from dicombq.streaming.destinations import take_up
from dicombq.streaming.inventory import Inventory, stream_folder
from tests.instances import write_instance
from tests.streaming.conftest import Lab
from tests.streaming.tables import numbers, rows_of, view_of


@pytest.mark.parametrize("is_gone", [False, True])
def test_what_a_look_at_a_place_costs_does_not_grow_with_the_store(tmp_path: Path, is_gone: bool) -> None:
    few, many = (_steps(tmp_path / f"{number}", number, is_gone=is_gone) for number in (20, 400))
    assert many < 1.5 * few


def _steps(base: Path, number: int, *, is_gone: bool) -> int:
    """Count what SQLite does while a place is looked at, beside so many others."""
    for each in range(number):
        write_instance(base / "scans" / f"{each}.dcm", each)
    store = FolderStore.open(str(base / "scans"), Parent())
    with Inventory(base) as inventory:
        look = Pass(store, inventory, [], lambda total: total // 2, lambda _entries: None)
        look.whole()
        (base / "scans" / "1.dcm").unlink()
        if not is_gone:
            write_instance(base / "scans" / "1.dcm", 1, StudyDescription="changed")
        steps = 0

        def count() -> int:
            nonlocal steps
            steps += 1
            return 0

        inventory._connection.set_progress_handler(count, 1)
        look.places(["1.dcm"])
        assert (look.counts.deleted, look.counts.changed) == ((1, 0) if is_gone else (0, 1))
    return steps


@pytest.fixture
def later(duckdb_lab: Lab) -> DuckdbTable:
    """A table that follows a folder of three instances later than the first one, which was told of them."""
    lab = duckdb_lab
    for number in (1, 2, 3):
        lab.write(number)
    lab.follow()
    lab.sync()
    table = DuckdbTable(lab.table.file, "d", "later")
    lab.follow(tables=(lab.table, table))
    return table


def look_at(lab: Lab, place: str) -> None:
    """Look at a place beside another pass, as a server does where a request changed it."""
    registered = StoreRegistry(lab.base / "home").list({})[0]
    with Inventory(stream_folder(lab.base / "home", registered.name)) as inventory:
        destinations = take_up(inventory, followers(registered), registered.name)
        Pass(registered.follow(), inventory, destinations, lambda total: total, lambda _: None).places([place])


def nothing() -> None:
    return


def around_the_first_read(monkeypatch: pytest.MonkeyPatch, before: Callable[[], Any], after: Callable[[], Any]) -> None:
    """Let something happen before the first read, and after it."""
    read = FolderStore.read
    first = [(before, after)]

    def reading(self: FolderStore, *arguments: Any) -> Iterator[Any]:
        happening = first.pop() if first else (nothing, nothing)
        happening[0]()
        yield from list(read(self, *arguments))
        happening[1]()

    monkeypatch.setattr(FolderStore, "read", reading)


def test_a_file_that_moves_while_a_table_is_told_of_the_store_is_told_of_in_the_same_pass(
    duckdb_lab: Lab, later: DuckdbTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = duckdb_lab
    around_the_first_read(monkeypatch, lambda: (lab.folder / "1.dcm").rename(lab.folder / "moved.dcm"), nothing)
    lab.sync()
    assert numbers(view_of(later)) == [1, 2, 3]
    assert [table["parked"] for table in lab.run("stream", "describe", lab.store)["dicombq"]["tables"]] == [0, 0]
    assert len(rows_of(later)) == len(lab.rows()) == 3


def test_another_copy_takes_the_place_of_one_that_goes_while_a_table_is_told_of_the_store(
    duckdb_lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = duckdb_lab
    lab.write(1)
    lab.write(1, name="2")
    lab.follow()
    lab.sync()
    later = DuckdbTable(lab.table.file, "d", "later")
    lab.follow(tables=(lab.table, later))
    around_the_first_read(monkeypatch, (lab.folder / "2.dcm").unlink, nothing)
    lab.sync()
    assert (numbers(view_of(later)), lab.describe()["parked"]) == ([1], 0)


def test_a_change_that_another_pass_notes_while_a_table_is_told_of_the_store_is_told_of_in_the_same_pass(
    duckdb_lab: Lab, later: DuckdbTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = duckdb_lab

    def change() -> None:
        lab.write(1, "second")
        look_at(lab, "1.dcm")

    around_the_first_read(monkeypatch, nothing, change)
    lab.sync()
    for table in (lab.table, later):
        assert sorted(row["StudyDescription"] for row in view_of(table)) == ["first", "first", "second"]


def test_an_unreadable_file_that_a_table_has_to_be_told_of_is_parked_until_it_can_be_read(
    duckdb_lab: Lab, later: DuckdbTable
) -> None:
    lab = duckdb_lab
    whole = (lab.folder / "1.dcm").read_bytes()
    (lab.folder / "1.dcm").write_bytes(whole[:200])
    lab.sync()
    assert numbers(view_of(later)) == [2, 3]
    (lab.folder / "1.dcm").write_bytes(whole)
    lab.sync()
    assert numbers(view_of(later)) == lab.view() == [1, 2, 3]


def test_what_was_read_is_not_noted_where_another_pass_noted_meanwhile_that_it_is_gone(
    duckdb_lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = duckdb_lab
    path = lab.write(1)
    lab.follow()
    lab.sync()
    os.utime(path)

    def delete() -> None:
        path.unlink()
        look_at(lab, "1.dcm")

    around_the_first_read(monkeypatch, nothing, delete)
    lab.sync()
    assert lab.told(1) == ["first", "DELETE"]
    assert lab.view() == []


def test_what_was_read_is_not_noted_where_another_pass_noted_something_newer_meanwhile(
    duckdb_lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = duckdb_lab
    lab.write(1)
    lab.follow()
    lab.sync()
    lab.write(1, "second")

    def change() -> None:
        lab.write(1, "third")
        look_at(lab, "1.dcm")

    around_the_first_read(monkeypatch, nothing, change)
    lab.sync()
    assert lab.told(1) == ["first", "third"]


def test_what_another_pass_finds_while_a_store_is_listed_is_not_taken_for_gone(
    duckdb_lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = duckdb_lab
    lab.write(1)
    lab.follow()
    lab.sync()
    lab.write(2)
    lab.sync()
    versions = FolderStore.versions

    def listing(self: FolderStore, *arguments: Any) -> Iterator[Any]:
        (lab.folder / "2.dcm").unlink()
        yield from list(versions(self, *arguments))
        look_at(lab, "2.dcm")
        lab.write(3)
        look_at(lab, "3.dcm")

    monkeypatch.setattr(FolderStore, "versions", listing)
    lab.sync()
    assert (lab.view(), lab.told(3)) == ([1, 3], ["first"])


def test_a_row_is_later_than_one_from_the_future_that_the_table_had(duckdb_lab: Lab) -> None:
    lab = duckdb_lab
    for number in (1, 2):
        os.utime(lab.write(number), (4e9, 4e9))
    lab.run("export", "bq", lab.store, f"--bq-table={lab.table}")
    lab.write(1, "second")
    (lab.folder / "2.dcm").unlink()
    lab.follow()
    lab.sync("--reconcile")
    assert (lab.told(1), lab.told(2)) == (["first", "second"], ["first", "DELETE"])
    assert lab.view() == [1]
