"""A disk that is full or broken, at every step of an export: one clear line, a true state, and a way on."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicombq.operations.state import State
from tests.proofs.disks import FAULTS, check_fault_at, check_one_clear_line, check_true
from tests.proofs.kills import check_goes_on, count_steps
from tests.proofs.scenes import LONG, NEW, REPLACE, Scene
from tests.proofs.zygote import Zygote

_PARTS = 4


@pytest.mark.parametrize("part", range(_PARTS))
def test_an_export_outlasts_a_disk_that_fails_at_any_step_or_says_so_and_can_go_on(small: Scene, part: int) -> None:
    steps = count_steps(small, REPLACE)
    chosen = steps.failing() if LONG else steps.unlike()
    codes = set()
    for number, step in enumerate(chosen[part::_PARTS]):
        for error, lasting in FAULTS if LONG else [FAULTS[number % len(FAULTS)]]:
            codes.add(check_fault_at(small, REPLACE, step, error, lasting=lasting).code)
    assert 1 in codes


@contextlib.contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """Mount a disk that holds so many KiB."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}k,mode=700", "tmpfs", str(folder)]
    mounted = os.geteuid() == 0 and subprocess.run(command, check=False, capture_output=True).returncode == 0
    if not mounted:
        pytest.skip("this machine does not let this user mount a disk in memory")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def make_room(disk: Path) -> None:
    """Give a disk all the room that is needed."""
    subprocess.run(["mount", "-o", "remount,size=200m", str(disk)], check=True)


def mounted_scene(folder: Path, process: Zygote) -> Scene:
    """A scene that needs more room than a small disk has."""
    return Scene(folder, process, 150)


@pytest.mark.parametrize("size", [4, 24, 48, 64])
def test_a_home_on_a_full_disk_is_one_clear_line_and_goes_on_with_more_room(
    tmp_path: Path, process: Zygote, size: int
) -> None:
    scene = mounted_scene(tmp_path, process)
    arena = scene.arena(NEW)
    with small_disk(arena.home, size):
        ended = process.run(arena.home, *arena.export(scene.scans, "--workers=1"))
        check_one_clear_line(ended)
        assert ended.code == 1
        assert "is full" in ended.err
        operation = check_true(scene, arena, ended)
        assert operation is None or operation.state is not State.DONE
        make_room(arena.home)
        check_goes_on(scene, arena)


@pytest.mark.parametrize("size", [4, 16, 40, 300])
def test_a_table_on_a_full_disk_is_one_clear_line_and_goes_on_with_more_room(
    tmp_path: Path, process: Zygote, size: int
) -> None:
    scene = mounted_scene(tmp_path, process)
    arena = scene.arena(NEW)
    with small_disk(arena.table.file.parent, size):
        ended = process.run(arena.home, *arena.export(scene.scans, "--workers=1"))
        check_one_clear_line(ended)
        assert (f"the disk that holds [{arena.table.file}] is full" in ended.err) == (ended.code == 1)
        assert ended.code == 1 or size > 16  # in the rest of its file's log there may be room for all
        operation = check_true(scene, arena, ended)
        assert operation is not None
        assert operation.state is (State.FAILED if ended.code == 1 else State.DONE)
        make_room(arena.table.file.parent)
        check_goes_on(scene, arena)
