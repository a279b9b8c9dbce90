"""Exports in processes of their own, to be interrupted, cancelled, killed and waited for."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from dicombq.operations.state import State
from tests.proofs.kills import MOMENTS, check_goes_on, moment_of
from tests.proofs.scenes import Arena, Scene

PATIENCE = 120.0
"""Seconds after which a test gives up waiting for what must come."""

_LOOK = 0.001
_LISTENING = 0.25  # seconds; more than an export lets pass between two looks for a request


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait for something that must come."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(_LOOK)


class Running:
    """A command line in a process and a session of its own."""

    def __init__(self, home: Path, *arguments: str, environment: dict[str, str] | None = None) -> None:
        self.home = home
        self._out, self._err = (home.parent / f"{name}-{time.monotonic_ns()}" for name in ("out", "err"))
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dicombq", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env={**os.environ, "DICOMBQ_HOME": str(home), **(environment or {})},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process's ID, which is its group's too."""
        return self.process.pid

    @property
    def out(self) -> str:
        """What it has printed."""
        return self._out.read_text()

    @property
    def err(self) -> str:
        """What it has said to people."""
        return self._err.read_text()

    def wait(self) -> int:
        """Wait for its end; give its exit code."""
        return self.process.wait(PATIENCE)

    def check_goes_on(self) -> None:
        """Assert that it has not ended."""
        assert self.process.poll() is None, self.err

    def signal(self, number: int, *, group: bool = False) -> None:
        """Send a signal to it, or to its whole group as a terminal does."""
        if group:
            os.killpg(self.pid, number)
        else:
            os.kill(self.pid, number)

    def seconds_to_end(self, number: int) -> float:
        """Send a signal to it while it is stopped, let it go on, and measure until it has ended."""
        self.signal(number)
        start = time.monotonic()
        self.signal(signal.SIGCONT, group=True)
        self.wait()
        return time.monotonic() - start


@contextlib.contextmanager
def running(home: Path, *arguments: str, environment: dict[str, str] | None = None) -> Iterator[Running]:
    """Begin a command line; what is left of it at the end of the block is killed."""
    begun = Running(home, *arguments, environment=environment)
    try:
        yield begun
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(begun.pid, signal.SIGKILL)
        begun.process.wait()


def reached(arena: Arena, moment: str) -> Callable[[], bool]:
    """Tell whether an export has come to a moment, or beyond."""
    return lambda: MOMENTS.index(moment_of(arena)) >= MOMENTS.index(moment)


def check_ended(scene: Scene, arena: Arena, begun: Running, code: int, state: State) -> None:
    """Assert that an export ended so, that its table is as it was, and that it can go on."""
    assert begun.wait() == code, begun.err
    assert "Traceback" not in begun.err
    assert "internal error" not in begun.err
    operation = arena.operation()
    assert operation is not None
    assert operation.state is state
    is_new = scene.check_old_or_new(arena)
    assert not is_new or operation.load_begun
    if state is State.CANCELLED:
        assert operation.to_api()["error"]["code"] == 1
        assert begun.err.count("ERROR: ") == 1
    check_goes_on(scene, arena)


def stop_at(arena: Arena, moment: str, begun: Running, condition: Callable[[], bool] = lambda: True) -> bool:
    """Stop an export, its workers too, at a moment where something holds as well; tell whether it is there still."""
    there = reached(arena, moment)
    beyond = reached(arena, MOMENTS[MOMENTS.index(moment) + 1])
    wait_until(lambda: (there() and condition()) or beyond() or begun.process.poll() is not None, f"it is {moment}")
    if begun.process.poll() is None:
        begun.signal(signal.SIGSTOP, group=True)
    return begun.process.poll() is None and moment_of(arena) == moment


@contextlib.contextmanager
def stopped_at(
    scene: Scene, kind: str, moment: str, *flags: str, condition: Callable[[Arena], bool] = lambda _arena: True
) -> Iterator[tuple[Arena, Running]]:
    """Begin an export and stop it at a moment; where it runs away, begin another."""
    for _ in range(50):
        arena = scene.arena(kind)
        with running(arena.home, *arena.export(scene.scans, *flags)) as begun:
            if stop_at(arena, moment, begun, lambda arena=arena: condition(arena)):  # type: ignore[misc]  # mypy does not infer this
                yield arena, begun
                return
    raise AssertionError(f"no export could be stopped while it was {moment}")


def are_reading(arena: Arena, processes: int) -> bool:
    """Tell whether so many processes have begun to write shards."""
    return len({file.name.split("-")[1] for file in arena.home.glob("operations/*/shards/*")}) == processes


def cancel(arena: Arena, begun: Running) -> float:
    """Have a stopped export cancelled from another process; give the seconds from when it ran again to its end."""
    operation = arena.operation()
    assert operation is not None
    with running(arena.home, "operations", "cancel", operation.id, "--quiet") as cancelling:
        wait_until((operation.folder / "cancel").exists, "the request is there")
        time.sleep(_LISTENING)  # the export is stopped: when it goes on, it is due to look for the request
        start = time.monotonic()
        begun.signal(signal.SIGCONT, group=True)
        begun.wait()
        seconds = time.monotonic() - start
        assert cancelling.wait() == 0, cancelling.err
    return seconds


def check_signalled_at(scene: Scene, kind: str, step: int, name: str) -> int:
    """Send an export a signal at one of its steps, and assert that it ends as cancelled, or is done; give its code."""
    arena = scene.arena(kind)
    command = arena.export(scene.scans, "--workers=1")
    points = {"at": step, "action": name}
    ended = scene.process.run(arena.home, *command, shard_size=scene.shard_size, points=points)
    assert ended.code in {3, 130, 143}, ended
    for sign in ("Traceback", "internal error"):
        assert sign not in ended.err, ended.err
    is_new = scene.check_old_or_new(arena)
    operation = arena.operation()
    if operation is None:
        assert not is_new
    else:
        noted = json.loads((operation.folder / "state.json").read_bytes())["state"]
        assert noted in {"CANCELLED", "DONE", "QUEUED"}  # the last one: nothing had begun yet
        assert is_new or operation.state is not State.DONE
        assert operation.state is State.DONE or ended.code != 3
    check_goes_on(scene, arena)
    scene.forget(arena)
    return ended.code
