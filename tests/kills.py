"""Exports that are killed at random moments, and at every step between two changes of what is on disk.

``python -m tests.kills --count 200 --seed 1`` prints which moments were hit; ``--steps`` makes every step fail too, in
each way in which a process or a disk can end an export, and takes half an hour.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.proofs.disks import FAULTS, check_fault_at
from tests.proofs.kills import MOMENTS, STAGING, RandomKills, all_hit, check_killed_at, count_steps
from tests.proofs.scenes import APPEND, NEW, REPLACE, Scene
from tests.proofs.signals import cancel, check_signalled_at, stopped_at
from tests.proofs.zygote import zygote

_KINDS = (NEW, REPLACE, APPEND)


def kill_at_random(scene: Scene, count: int, seed: int) -> bool:
    """Kill so many exports; tell whether all that is required was hit."""
    kills = RandomKills(scene, random.Random(seed))
    kills.run(count, _KINDS)
    for moment in MOMENTS:
        _say(f"{kills.moments[moment]:6} killed {moment}")
    _say(f"{kills.moments.total():6} exports killed, {kills.resumes_killed} resumes of them: 0 missing, 0 doubled")
    return all_hit(kills.moments)


def try_every_step(scene: Scene) -> None:
    """Let each step of an export be the last one, or fail."""
    for kind in _KINDS:
        steps = count_steps(scene, kind)
        moments = Counter(check_killed_at(scene, kind, step) for step in range(len(steps.names)))
        _say(f"{kind}: killed at each of {len(steps.names)} steps: {dict(moments)}")
        for name in ("SIGINT", "SIGTERM"):
            codes = Counter(check_signalled_at(scene, kind, step, name) for step in range(len(steps.names)))
            _say(f"{kind}: {name} at each of {len(steps.names)} steps: exit codes {dict(codes)}")
        for error, lasting in FAULTS:
            numbers = steps.failing()
            codes = Counter(check_fault_at(scene, kind, step, error, lasting=lasting).code for step in numbers)
            how = "for ever" if lasting else "once"
            _say(f"{kind}: {error} {how} at each of {len(numbers)} steps: exit codes {dict(codes)}")


def time_the_end(scene: Scene, tries: int, flag: str) -> None:
    """Measure from a request or a signal while files are read to the end of the process."""

    def measured(stop: Callable[..., float]) -> float:
        seconds = []
        for _ in range(tries):
            with stopped_at(scene, NEW, STAGING, flag) as (arena, begun):
                seconds.append(stop(arena, begun))
        return max(seconds)

    _say(f"{flag}: cancelled within {measured(cancel):.2f} s, at most, of {tries} times")
    for number in (signal.SIGINT, signal.SIGTERM):
        seconds = measured(lambda _arena, begun, number=number: begun.seconds_to_end(number))
        _say(f"{flag}: {number.name} ended it within {seconds:.2f} s, at most, of {tries} times")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description="Kill exports.")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", action="store_true", help="also end or break every step")
    options = parser.parse_args(arguments)
    with zygote() as process, tempfile.TemporaryDirectory() as folder:
        scene = Scene(Path(folder) / "large", process, 300, pipes=500)
        passed = kill_at_random(scene, options.count, options.seed)
        for flag in ("--workers=1", "--workers=2"):
            time_the_end(scene, max(1, options.count // 20), flag)
        if options.steps:
            try_every_step(Scene(Path(folder) / "small", process, 3, shard_size=3))
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
