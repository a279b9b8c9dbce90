"""Many processes and one table: one of them has it, the others say who, and a dead one has nothing."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from dicombq.operations.state import State
from dicombq.system.locks import holder_of, is_locked
from tests.proofs.kills import LOADING, STAGING, check_goes_on
from tests.proofs.scenes import APPEND, NEW, REPLACE, Arena, Scene
from tests.proofs.signals import Running, are_reading, running, stopped_at, wait_until
from tests.proofs.zygote import Zygote

RACERS = 20
_HELD = re.compile(
    r"ERROR: \(dicombq\.export\.bq\) the table \[[^]]+\] is locked by (operation \d+ \()?"
    r"process (?P<pid>\d+) on (?P<host>[^ ,]+), since \d{4}-\d\d-\d\dT[\d:.]+Z\)?\.\n"
)


@pytest.fixture(scope="module")
def scene(fast_folder: Path, process: Zygote) -> Scene:
    return Scene(fast_folder / "scene", process, 200, pipes=100)


def check_refused(begun: Running, holder: int) -> None:
    """Assert that a process ended at once, and said who holds the table."""
    assert begun.wait() == 11, begun.err
    found = _HELD.search(begun.err)
    assert found, begun.err
    assert (int(found["pid"]), found["host"]) == (holder, os.uname().nodename)


def table_lock(arena: Arena) -> Path:
    """Find the lock of the only table."""
    [path] = (arena.home / "locks").iterdir()
    return path


def winner_of(arena: Arena, racers: Sequence[Running]) -> Running | None:
    """Find who has the table and stop it, so that it does not end before the others have looked; None if it has."""
    wait_until(lambda: arena.operation() is not None, "somebody has begun")
    lock = table_lock(arena)
    wait_until(lambda: (holder := holder_of(lock)) is not None and bool(holder.operation), "it has signed")
    holder = holder_of(lock)
    assert holder is not None
    [winner] = [racer for racer in racers if racer.pid == holder.pid]
    if winner.process.poll() is None:
        winner.signal(signal.SIGSTOP, group=True)
    return None if any(racer.process.poll() == 3 for racer in racers) else winner


def test_one_of_many_has_the_table_and_the_others_say_who(scene: Scene) -> None:
    winner: Running | None = None
    while winner is None:  # an export that is over before it can be stopped proves nothing: another race
        arena = scene.arena(REPLACE)
        command = arena.export(scene.scans, "--workers=1")
        with contextlib.ExitStack() as stack:
            racers = [stack.enter_context(running(arena.home, *command)) for _ in range(RACERS)]
            winner = winner_of(arena, racers)
            if winner is None:
                continue
            for racer in racers:
                if racer is not winner:
                    check_refused(racer, winner.pid)
            winner.signal(signal.SIGCONT, group=True)
            assert winner.wait() == 3, winner.err
    assert arena.outcome() == scene.undisturbed(REPLACE)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_owner_that_is_killed_holds_nothing(scene: Scene, workers: int) -> None:
    condition = partial(are_reading, processes=workers)
    with stopped_at(scene, REPLACE, STAGING, f"--workers={workers}", condition=condition) as (arena, begun):
        command = arena.export(scene.scans, "--workers=1")
        with running(arena.home, *command) as other:
            check_refused(other, begun.pid)
        os.kill(begun.pid, signal.SIGKILL)
        assert begun.wait() == -signal.SIGKILL
        wait_until(lambda: not is_locked(table_lock(arena)), "the lock is free, though the workers are there yet")
        with contextlib.suppress(ProcessLookupError):  # the workers may have ended by themselves
            begun.signal(signal.SIGCONT, group=True)
        check_goes_on(scene, arena)


def test_an_owner_in_a_process_of_its_own_that_is_killed_holds_nothing(scene: Scene) -> None:
    arena = scene.arena(REPLACE)
    command = arena.export(scene.scans, "--workers=1")
    with running(arena.home, *command, "--async") as begun:
        assert begun.wait() == 0, begun.err
    operation = arena.operation()
    assert operation is not None
    holder = holder_of(operation.folder / "lock")
    assert holder is not None
    assert holder.pid != begun.pid
    os.kill(holder.pid, signal.SIGSTOP)
    with running(arena.home, *command) as other:
        check_refused(other, holder.pid)
    os.kill(holder.pid, signal.SIGKILL)
    wait_until(lambda: not is_locked(table_lock(arena)), "the lock is free")
    operation = arena.operation()
    assert operation is not None
    assert operation.state is State.CRASHED
    check_goes_on(scene, arena)


@pytest.mark.parametrize("spelling", ["relative", "link", "linked folder", "case", "same"])
def test_however_a_table_is_written_it_has_one_lock(scene: Scene, spelling: str) -> None:
    with stopped_at(scene, REPLACE, STAGING, "--workers=1") as (arena, begun):
        file = arena.table.file
        (arena.folder / "link.duckdb").symlink_to(file)
        (arena.folder / "linked").symlink_to(file.parent)
        name = {
            "relative": f"{os.path.relpath(file)}/d.t",
            "link": f"{arena.folder}/link.duckdb/d.t",
            "linked folder": f"{arena.folder}/linked/x.duckdb/d.t",
            "case": f"{file}/D.T",
            "same": f"{file}/d.t",
        }[spelling]
        command = ["export", "bq", str(scene.scans), f"--bq-table=duckdb://{name}", "--overwrite-table"]
        with running(arena.home, *command) as other:
            check_refused(other, begun.pid)


def test_exports_to_different_tables_of_one_file_both_succeed(scene: Scene) -> None:
    arena = scene.arena(APPEND)
    command = arena.export(scene.scans, "--workers=1")
    others = [argument.replace("/d.t", "/d.other") for argument in command]
    with running(arena.home, *command) as one, running(arena.home, *others) as two:
        assert (one.wait(), two.wait()) == (3, 3), one.err + two.err
    assert arena.rows() == scene.undisturbed(APPEND).rows
    operations, _ = arena.store.list()
    assert [operation.state for operation in operations] == [State.DONE, State.DONE]


def test_an_export_waits_for_the_lock_of_one_that_is_killed(scene: Scene) -> None:
    with stopped_at(scene, NEW, LOADING, "--workers=1") as (arena, begun):
        command = [*arena.export(scene.scans, "--workers=1", "--overwrite-table"), "--lock-timeout=10m"]
        with running(arena.home, *command) as other:
            wait_until(lambda: is_open(other.pid, table_lock(arena)), "the other waits")
            other.check_goes_on()
            begun.signal(signal.SIGKILL, group=True)
            assert other.wait() == 3, other.err
    assert arena.rows() == scene.undisturbed(REPLACE).rows


def is_open(pid: int, path: Path) -> bool:
    """Tell whether a process has a file open."""
    with contextlib.suppress(OSError):
        return any(os.path.realpath(link) == str(path) for link in Path(f"/proc/{pid}/fd").iterdir())
    return False
