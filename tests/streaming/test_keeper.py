"""Stores that a server keeps, with real folders, tables and processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from dicombq.errors import NotFound, Temporary
from dicombq.names import Parent, StoreName
from dicombq.stores.registry import RegisteredStore, StoreRegistry
from dicombq.streaming.changes import Pass
from dicombq.streaming.inventory import Inventory, stream_folder
from dicombq.streaming.keeper import Keeper, Keepers
from dicombq.streaming.search import Query, search
from dicombq.streaming.stream import delete_store
from dicombq.system.locks import is_locked
from tests.streaming.conftest import Lab

NAME = StoreName(Parent(), "scans")
PATIENCE = 30.0


@pytest.fixture
def keepers(home: Path) -> Iterator[Keepers]:
    made = Keepers(home)
    yield made
    made.close()


def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def wait_for_delivery(keeper: Keeper) -> None:
    """Wait until the tables have all that is noted; a file of DuckDB that a test opens meanwhile would disturb that."""
    with keeper.inventory() as inventory:
        until(lambda: inventory.one("SELECT count(*), min(adopted) FROM destinations") == (1, 1))
        until(lambda: inventory.one("SELECT count(*) FROM deliveries") == (0,))


def found(inventory: Inventory) -> list[str]:
    """Give the last numbers of the instances that a search finds."""
    return sorted(each.uids[-1].rpartition(".")[2] for each in search(inventory, Query("instances")))


def lacks(number: str, inventory: Inventory) -> bool:
    """Tell whether a search does not find an instance."""
    return number not in found(inventory)


def test_what_is_looked_at_is_found_and_reaches_the_tables_at_once(duckdb_lab: Lab, keepers: Keepers) -> None:
    lab = duckdb_lab
    lab.write(1)
    lab.follow()
    keeper = keepers.get(NAME)
    keeper.wait_until_read(PATIENCE)
    lab.write(2)
    assert keeper.look(["2.dcm"], lambda inventory: found(inventory) == ["1", "2"], 0.0)
    wait_for_delivery(keeper)
    assert lab.view() == [1, 2]
    (lab.folder / "1.dcm").unlink()
    assert keeper.look(["1.dcm"], lambda inventory: found(inventory) == ["2"], 0.0)
    wait_for_delivery(keeper)
    assert lab.view() == [2]
    keepers.close()
    assert lab.told(1) == ["first", "DELETE"]


def test_a_file_that_appears_by_itself_is_found(duckdb_lab: Lab, keepers: Keepers) -> None:
    lab = duckdb_lab
    lab.run("dicom-stores", "create", "scans", f"--source={lab.folder}")
    keeper = keepers.get(NAME)
    keeper.wait_until_read(PATIENCE)
    lab.write(1)
    with keeper.inventory() as inventory:
        until(lambda: found(inventory) == ["1"])


def test_tables_that_follow_later_are_told_of_all(duckdb_lab: Lab, keepers: Keepers) -> None:
    lab = duckdb_lab
    lab.write(1)
    lab.run("dicom-stores", "create", "scans", f"--source={lab.folder}")
    keeper = keepers.get(NAME)
    keeper.wait_until_read(PATIENCE)
    lab.run("dicom-stores", "update", "scans", f"--stream-configs={lab.table}")
    lab.write(2)
    assert keeper.look(["2.dcm"], lambda inventory: found(inventory) == ["1", "2"], PATIENCE)
    wait_for_delivery(keeper)
    assert lab.view() == [1, 2]


def test_while_another_process_runs_the_stream_it_is_waited_for(duckdb_lab: Lab, keepers: Keepers) -> None:
    lab = duckdb_lab
    lab.write(1)
    lab.follow()
    command = [sys.executable, "-m", "dicombq", "stream", "run", "scans"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            lock = stream_folder(lab.base / "home", NAME) / "lock"
            until(lambda: is_locked(lock))
            keeper = keepers.get(NAME)
            keeper.wait_until_read(PATIENCE)
            lab.write(2)

            def is_seen() -> bool:
                os.utime(lab.folder / "2.dcm")  # its watch may only just have begun
                return keeper.look(["2.dcm"], lambda inventory: found(inventory) == ["1", "2"], 2.0)

            until(is_seen)
            wait_for_delivery(keeper)
        finally:
            os.kill(process.pid, signal.SIGTERM)
    lab.write(3)
    assert keeper.look(["3.dcm"], lambda inventory: "3" in found(inventory), PATIENCE)  # this process has it now
    wait_for_delivery(keeper)
    assert lab.view() == [1, 2, 3]


def test_a_store_that_is_being_read_says_so(duckdb_lab: Lab, keepers: Keepers) -> None:
    lab = duckdb_lab
    lab.write(1)
    lab.run("dicom-stores", "create", "scans", f"--source={lab.folder}")
    hold = threading.Event()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dicombq.streaming.changes.Pass.whole", lambda _look: hold.wait(PATIENCE))
        keeper = keepers.get(NAME)
        with pytest.raises(Temporary, match="is being read, 0 instances so far"):
            keeper.wait_until_read(0.0)
    hold.set()


def test_a_source_that_is_gone_is_named_and_waited_for(duckdb_lab: Lab, keepers: Keepers) -> None:
    lab = duckdb_lab
    lab.run("dicom-stores", "create", "scans", f"--source={lab.folder}")
    lab.folder.rmdir()
    with pytest.raises(Temporary, match="cannot be read: there is no folder"):
        keepers.get(NAME).wait_until_read(2.0)


def test_stores_come_and_go(home: Path, keepers: Keepers, tmp_path: Path) -> None:
    home.mkdir()
    registry = StoreRegistry(home)
    with pytest.raises(NotFound):
        keepers.get(NAME)
    registry.create(RegisteredStore(NAME, ""))
    first = keepers.get(NAME)
    assert keepers.get(NAME) is first
    delete_store(home, NAME)
    with pytest.raises(NotFound):
        keepers.get(NAME)
    assert not stream_folder(home, NAME).exists()
    registry.create(RegisteredStore(NAME, ""))
    assert keepers.get(NAME) is not first


def test_a_store_of_the_same_source_that_is_created_anew_is_kept_anew(duckdb_lab: Lab, keepers: Keepers) -> None:
    lab = duckdb_lab
    lab.write(1)
    (lab.base / "home").mkdir()
    registry = StoreRegistry(lab.base / "home")
    registry.create(RegisteredStore(NAME, str(lab.folder)))
    first = keepers.get(NAME)
    first.wait_until_read(PATIENCE)
    delete_store(lab.base / "home", NAME)
    (lab.folder / "1.dcm").unlink()
    registry.create(RegisteredStore(NAME, str(lab.folder)))
    second = keepers.get(NAME)
    assert second is not first
    second.wait_until_read(PATIENCE)
    with second.inventory() as inventory:
        assert found(inventory) == []


def test_passes_at_the_same_time_lose_nothing(duckdb_lab: Lab, keepers: Keepers) -> None:
    lab = duckdb_lab
    for number in range(1, 31):
        lab.write(number)
    lab.follow()
    keeper = keepers.get(NAME)
    keeper.wait_until_read(PATIENCE)
    runner = keeper._runner
    assert runner
    stop = threading.Event()
    late: list[str] = []

    def sweep() -> None:
        with keeper.inventory() as inventory:
            while not stop.is_set():
                runner.sweep(inventory)

    def change(first: int) -> None:
        for number in map(str, range(first, 31, 3)):
            (lab.folder / f"{number}.dcm").unlink()
            if not keeper.look([f"{number}.dcm"], partial(lacks, number), PATIENCE):
                late.append(number)

    threads = [threading.Thread(target=change, args=(first,)) for first in (1, 2)]
    sweeper = threading.Thread(target=sweep)
    for thread in (sweeper, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    sweeper.join()
    assert late == []
    left = [number for number in range(1, 31) if number % 3 == 0]
    wait_for_delivery(keeper)
    assert lab.view() == left
    with keeper.inventory() as inventory:
        assert found(inventory) == sorted(map(str, left))
    keepers.close()
    assert [lab.told(number) for number in (1, 3)] == [["first", "DELETE"], ["first"]]


def test_what_another_pass_notes_while_the_store_is_listed_is_not_taken_for_gone(
    duckdb_lab: Lab, keepers: Keepers, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = duckdb_lab
    lab.write(1)
    lab.run("dicom-stores", "create", "scans", f"--source={lab.folder}")
    keeper = keepers.get(NAME)
    keeper.wait_until_read(PATIENCE)
    marks = Pass._seen_marks

    def late(self: Pass) -> bytearray:
        taken = marks(self)
        monkeypatch.setattr(Pass, "_seen_marks", marks)
        for number in (2, 3):
            lab.write(number)
        assert keeper.look(["2.dcm", "3.dcm"], lambda inventory: found(inventory) == ["1", "2", "3"], PATIENCE)
        (lab.folder / "3.dcm").unlink()
        return taken

    monkeypatch.setattr(Pass, "_seen_marks", late)
    sweep(keeper)
    with keeper.inventory() as inventory:
        assert found(inventory) in (["1", "2"], ["1", "2", "3"])  # the next sweep, or the watch, misses the third
    sweep(keeper)
    with keeper.inventory() as inventory:
        assert found(inventory) == ["1", "2"]


def test_two_passes_do_not_decide_at_once_what_is_gone(
    duckdb_lab: Lab, keepers: Keepers, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = duckdb_lab
    for number in (1, 2, 3):
        lab.write(number)
    lab.run("dicom-stores", "create", "scans", f"--source={lab.folder}")
    keeper = keepers.get(NAME)
    keeper.wait_until_read(PATIENCE)
    time.sleep(1)  # until the watch is quiet
    check = Pass._check_limit
    other = threading.Thread(target=keeper.look, args=(["3.dcm"], partial(lacks, "3"), PATIENCE))

    def slowly(self: Pass) -> None:
        monkeypatch.setattr(Pass, "_check_limit", check)
        other.start()
        other.join(0.5)  # it is done by then, or waits for this pass
        check(self)

    monkeypatch.setattr(Pass, "_check_limit", slowly)
    for number in (1, 3):
        (lab.folder / f"{number}.dcm").unlink()
    with keeper.inventory() as inventory:
        stream = keeper._runner.stream  # type: ignore[union-attr]  # there is one
        stream.look(inventory, [], lambda total: total).whole()
    other.join()
    with keeper.inventory() as inventory:
        assert found(inventory) == ["2"]
        assert inventory.one("SELECT count(*) FROM instances WHERE alive") == (1,)


def sweep(keeper: Keeper) -> None:
    """Look at all of a store."""
    assert keeper._runner
    with keeper.inventory() as inventory:
        keeper._runner.sweep(inventory)
