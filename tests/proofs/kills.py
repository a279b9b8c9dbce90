"""Exports that are killed: at every step between two changes of what is on disk, and at random moments."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import duckdb

from dicombq.operations.state import State
from tests.proofs.points import fails_on_a_disk
from tests.proofs.scenes import Arena, Scene
from tests.proofs.zygote import names_file

BEGINNING = "before its state is noted"
QUEUED = "noted, not begun"
LISTING = "listing"
LISTED = "listed, not yet staging"
STAGING = "staging"
STAGED = "staged, duplicates not yet decided or not yet loading"
LOADING = "loading"
LOADED = "loaded, not yet done"
DONE = "done, staged files still there"
OVER = "over"
MOMENTS = (BEGINNING, QUEUED, LISTING, LISTED, STAGING, STAGED, LOADING, LOADED, DONE, OVER)
_REQUIRED = frozenset({LISTING, STAGING, LOADING})
_BETWEEN = frozenset({BEGINNING, QUEUED, LISTED, STAGED, LOADED, DONE})

_WAITED_FOR = (BEGINNING, LISTING, LISTED, STAGING, STAGED, LOADING, DONE)
_CHANCE = re.compile(r"[0-9a-f]{2,}(-\d+-[0-9a-f]{8})?")
_LOOK = 0.0005  # seconds


def all_hit(moments: Iterable[str]) -> bool:
    """Tell whether listing, staging, loading and a moment between them are among those that were hit."""
    hit = set(moments)
    return hit >= _REQUIRED and not hit.isdisjoint(_BETWEEN)


def moment_of(arena: Arena) -> str:
    """Tell from its files how far an export has come; without opening the table."""
    folders = list((arena.home / "operations").glob("*"))
    if not folders or not (folders[0] / "state.json").exists():
        return BEGINNING
    folder = folders[0]
    state = State(json.loads((folder / "state.json").read_bytes())["state"])
    if state is State.QUEUED:
        return QUEUED
    if state is State.LISTING:
        return LISTED if (folder / "listing.json").exists() else LISTING
    if state is State.STAGING:
        try:
            shards = len(json.loads((folder / "listing.json").read_bytes())["shards"])
        except FileNotFoundError:  # it has gone on
            return DONE
        return STAGED if len(list((folder / "receipts").glob("*.json"))) == shards else STAGING
    if state is State.LOADING:
        return LOADING
    return DONE if {path.name for path in folder.iterdir()} > {"state.json", "lock"} else OVER


def moment_hit(arena: Arena) -> str:
    """Tell how far an export had come when it was killed."""
    moment = moment_of(arena)
    operation = arena.operation()
    if moment != LOADING or operation is None or not arena.table.file.exists():
        return moment
    with duckdb.connect(str(arena.table.file), read_only=True) as connection:
        if not connection.execute("FROM duckdb_tables() WHERE table_name = 'loads'").fetchall():
            return LOADING
        job = f"dicombq_export_{operation.id}"
        done = connection.execute("FROM _dicombq.loads WHERE job_id = ?", [job]).fetchall()
        return LOADED if done else LOADING


def check_after_kill(scene: Scene, arena: Arena) -> None:
    """Assert that the state can be read and is true, and that the table is the old one or the new one."""
    listed = scene.process.run(arena.home, "operations", "list", "--format=json")
    assert (listed.code, "WARNING" in listed.err) == (0, False), listed
    states = [resource["metadata"]["dicombq"]["state"] for resource in json.loads(listed.out)]
    assert states in ([], ["CRASHED"], ["DONE"])
    is_new = scene.check_old_or_new(arena)
    assert is_new or states != ["DONE"]
    assert states or not is_new


def check_goes_on(scene: Scene, arena: Arena, *, lacks_view: bool = False) -> None:
    """Go on with what was killed, and assert that nothing tells it from an export that nobody disturbed.

    Parameters
    ----------
    lacks_view
        Whether the export is done, but for the view that could not be made: then a notice says so.
    """
    operation = arena.operation()
    flags = ("--workers=1",)
    if operation is None:  # there is nothing to go on with: the same command again
        ended = scene.process.run(arena.home, *arena.export(scene.scans, *flags), shard_size=scene.shard_size)
        assert ended.code == 3, ended
    else:
        ended = scene.process.run(arena.home, "operations", "resume", operation.id, *flags, shard_size=scene.shard_size)
        assert ended.code == (4 if operation.state is State.DONE else 3), ended
    assert "Traceback" not in ended.err
    expected = scene.undisturbed(arena.kind)
    outcome = arena.outcome()
    if lacks_view:
        [notice] = outcome.log - expected.log
        assert json.loads(notice)["severity"] == "NOTICE"
        expected = replace(expected, counters={**expected.counters, "notices": 1}, log=expected.log + Counter([notice]))
    assert outcome == expected


@dataclass(frozen=True)
class Steps:
    """The steps of an export that nobody disturbs, and a number for each state of the disk before them."""

    names: list[str]
    prints: list[int]

    def telling(self) -> list[int]:
        """Choose those to be killed at: of each state of the disk the first, and each file's first torn write."""
        seen: set[int] = set()
        chosen = []
        for number, (name, state) in enumerate(zip(self.names, self.prints, strict=True)):
            if name.startswith("write "):
                if self.names[number - 1] != name:
                    chosen.append(number)
            elif state not in seen:
                seen.add(state)
                chosen.append(number)
        return chosen

    def failing(self) -> list[int]:
        """Choose those that need a disk."""
        return [number for number, name in enumerate(self.names) if fails_on_a_disk(name)]

    def unlike(self) -> list[int]:
        """Choose of those that need a disk the first and the last of each kind, whatever the number of its file."""
        first: dict[str, int] = {}
        last: dict[str, int] = {}
        for number in self.failing():
            kind = f"{number}" if self.names[number].startswith("duckdb") else _CHANCE.sub("N", self.names[number])
            first.setdefault(kind, number)
            last[kind] = number
        return sorted({*first.values(), *last.values()})


def count_steps(scene: Scene, kind: str) -> Steps:
    """Watch an export that nobody disturbs."""
    arena = scene.arena(kind)
    command = arena.export(scene.scans, "--workers=1")
    watched = {"watched": True}
    assert scene.process.run(arena.home, *command, shard_size=scene.shard_size, points=watched).code == 3
    steps = Steps(*json.loads(names_file(arena.home).read_text()))
    scene.forget(arena)
    return steps


def check_killed_at(scene: Scene, kind: str, step: int, again_at: int | None = None) -> str:
    """Kill an export at a step, and perhaps what goes on with it too; give the moment that was hit."""
    arena = scene.arena(kind)
    command = arena.export(scene.scans, "--workers=1")
    ended = scene.process.run(arena.home, *command, shard_size=scene.shard_size, points={"at": step})
    assert ended.code == -signal.SIGKILL
    moment = moment_hit(arena)
    check_after_kill(scene, arena)
    operation = arena.operation()
    if again_at is not None and operation is not None:
        resume = ("operations", "resume", operation.id, "--workers=1")
        scene.process.run(arena.home, *resume, shard_size=scene.shard_size, points={"at": again_at})
        check_after_kill(scene, arena)
    check_goes_on(scene, arena)
    scene.forget(arena)
    return moment


def check_killed_at_calls(scene: Scene, kind: str, call: str) -> Counter[str]:
    """Kill exports at each system call of a name in turn, DuckDB's own ones too; give the moments that were hit."""

    def export(arena: Arena, *flags: str) -> int:
        command = [sys.executable, "-m", "dicombq", *arena.export(scene.scans, "--workers=1")]
        environment = {**os.environ, "DICOMBQ_HOME": str(arena.home)}
        traced = ["strace", "-f", "-o", str(arena.folder / "trace"), "-e", f"trace={call}", *flags]
        return subprocess.run([*traced, *command], env=environment, check=False, capture_output=True).returncode

    watched = scene.arena(kind)
    assert export(watched) == 3
    count = (watched.folder / "trace").read_text().count(f" {call}(")
    assert count
    moments: Counter[str] = Counter()
    for number in range(1, count + 1):
        arena = scene.arena(kind)
        export(arena, "-e", f"inject={call}:signal=KILL:when={number}")
        moments[moment_hit(arena)] += 1
        check_after_kill(scene, arena)
        check_goes_on(scene, arena)
        scene.forget(arena)
    return moments


@dataclass
class RandomKills:
    """Kills at moments that are drawn by lot.

    Parameters
    ----------
    moments
        How often each was hit.
    resumes_killed
        How many kills hit a process that went on with an export.
    """

    scene: Scene
    rng: random.Random
    moments: Counter[str] = field(default_factory=Counter)
    resumes_killed: int = 0
    _lengths: dict[int, dict[str, float]] = field(default_factory=dict)

    def kill(self, kind: str, workers: int, target: str) -> None:
        """Kill an export near a moment, some of those that go on with it, and assert that all is well in the end."""
        arena = self.scene.arena(kind)
        flag = f"--workers={workers}"
        self._kill_near(arena, arena.export(self.scene.scans, flag), target, workers)
        self.moments[moment_hit(arena)] += 1
        check_after_kill(self.scene, arena)
        while (operation := arena.operation()) and operation.state is not State.DONE and self.rng.random() < 0.3:
            target = self.rng.choice(_WAITED_FOR)
            self._kill_near(arena, ["operations", "resume", operation.id, flag], target, workers)
            self.resumes_killed += 1
            check_after_kill(self.scene, arena)
        check_goes_on(self.scene, arena)
        self.scene.forget(arena)

    def run(self, count: int, kinds: tuple[str, ...]) -> None:
        """Kill so many exports, and more until what is required was hit."""
        for number in range(4 * count):
            missing = [moment for moment in _WAITED_FOR if moment in _REQUIRED and not self.moments[moment]]
            if number >= count and all_hit(self.moments):
                return
            target = _WAITED_FOR[number % len(_WAITED_FOR)] if number < count or not missing else missing[0]
            self.kill(kinds[number % len(kinds)], 1 + (number // len(kinds)) % 2, target)

    def _kill_near(self, arena: Arena, command: list[str], target: str, workers: int) -> None:
        delay = self.rng.uniform(0, self._length(target, workers))
        with self._start(arena, command) as process:
            order = MOMENTS.index(target)
            while process.poll() is None and MOMENTS.index(moment_of(arena)) < order:
                time.sleep(_LOOK)
            until = time.monotonic() + delay
            while process.poll() is None and time.monotonic() < until:
                time.sleep(_LOOK)
            process.kill()

    def _length(self, target: str, workers: int) -> float:
        """Tell how long a moment lasts when nobody disturbs it."""
        if workers not in self._lengths:
            arena = self.scene.arena("new")
            lengths: dict[str, float] = dict.fromkeys(MOMENTS, 0.0)
            with self._start(arena, arena.export(self.scene.scans, f"--workers={workers}")) as process:
                before = time.monotonic()
                while process.poll() is None:
                    time.sleep(_LOOK)
                    now = time.monotonic()
                    lengths[moment_of(arena)] += now - before
                    before = now
            assert process.returncode == 3
            self.scene.forget(arena)
            self._lengths[workers] = lengths
        return self._lengths[workers][target]

    def _start(self, arena: Arena, command: list[str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "dicombq", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "DICOMBQ_HOME": str(arena.home)},
        )
