"""Exports that are killed leave a true state and a whole table, and end as if nobody had killed them."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from tests.proofs.kills import (
    LISTING,
    LOADED,
    STAGING,
    RandomKills,
    all_hit,
    check_killed_at,
    check_killed_at_calls,
    count_steps,
)
from tests.proofs.scenes import APPEND, LONG, NEW, REPLACE, Scene
from tests.proofs.zygote import Zygote

_PARTS = 4
_SHARE = 1 if LONG else 2


@pytest.mark.parametrize("part", range(_PARTS))
@pytest.mark.parametrize("kind", [NEW, REPLACE, APPEND] if LONG else [REPLACE])
def test_an_export_killed_at_any_step_ends_as_if_it_had_not_been(small: Scene, kind: str, part: int) -> None:
    steps = count_steps(small, kind)
    rng = random.Random(part)
    moments = set()
    for step in (range(len(steps.names)) if LONG else steps.telling())[part :: _PARTS * _SHARE]:
        again_at = rng.randrange(len(steps.names)) if rng.random() < 0.15 else None
        moments.add(check_killed_at(small, kind, step, again_at))
    assert moments >= {LISTING, STAGING}


@pytest.mark.skipif(not LONG or not shutil.which("strace"), reason="takes minutes, and strace")
@pytest.mark.parametrize("call", ["pwrite64", "fdatasync"])
@pytest.mark.parametrize("kind", [NEW, REPLACE, APPEND])
def test_an_export_killed_at_any_write_of_duckdb_ends_as_if_it_had_not_been(small: Scene, kind: str, call: str) -> None:
    assert check_killed_at_calls(small, kind, call)[LOADED]


@pytest.mark.parametrize("seed", [1, 2])
def test_an_export_killed_at_a_random_moment_ends_as_if_it_had_not_been(
    tmp_path: Path, process: Zygote, seed: int
) -> None:
    kills = RandomKills(Scene(tmp_path, process, 220, pipes=300), random.Random(seed))
    kills.run(10, (NEW, REPLACE, APPEND))
    assert kills.moments.total() >= 10
    assert all_hit(kills.moments)
