"""What every engine does."""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dicombq.engines.base import Engine, Watch
from dicombq.engines.local import LocalEngine
from dicombq.errors import Cancelled, Failed

if TYPE_CHECKING:
    from tests.spark_cluster import Cluster


@pytest.fixture(scope="module", params=["one process", "two processes", "spark"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    if request.param == "spark":
        from dicombq.engines.spark import SparkEngine

        cluster: Cluster = request.getfixturevalue("spark_cluster")
        engine: Engine = SparkEngine(cluster.master, tmp_path_factory.mktemp("engine") / "engine.log")
    else:
        engine = LocalEngine(1 if request.param == "one process" else 2)
    yield engine
    engine.close()


def square(number: int) -> int:
    return number * number


def refuse(shard: int) -> int:
    raise ValueError(shard)


def refuse_as_we_do(_shard: int) -> int:
    raise Failed("no", "Do this.")


def kill_own_process(shard: tuple[int, int]) -> int:
    number, driver = shard
    if number and os.getpid() != driver:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def hold(folder: Path) -> Path:
    (folder / str(os.getpid())).touch()
    while not (folder / "end").exists():
        time.sleep(0.05)
    return folder


def is_gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return False


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_every_shard_is_done_once(engine: Engine) -> None:
    outcomes: list[int] = []
    engine.map_shards(square, iter(range(20)), Watch(outcomes.append))
    assert sorted(outcomes) == [number * number for number in range(20)]


def test_shards_can_come_twice(engine: Engine) -> None:
    outcomes: list[int] = []
    for _ in range(2):
        engine.map_shards(square, [1, 2, 3], Watch(outcomes.append))
    assert sorted(outcomes) == [1, 1, 4, 4, 9, 9]


def test_without_shards_nothing_happens(engine: Engine) -> None:
    shards: list[int] = []
    outcomes: list[int] = []
    engine.map_shards(square, shards, Watch(outcomes.append))
    assert outcomes == []


def test_an_error_of_a_shard_comes_through(engine: Engine) -> None:
    with pytest.raises(ValueError, match="7"):
        engine.map_shards(refuse, [7, 7], Watch(lambda _outcome: None))
    with pytest.raises(Failed, match=r"^no$") as error:
        engine.map_shards(refuse_as_we_do, [7], Watch(lambda _outcome: None))
    assert error.value.hint == "Do this."


def test_a_shard_that_kills_whoever_runs_it_is_an_error_with_advice(engine: Engine) -> None:
    if engine == LocalEngine(1):
        pytest.skip("it would kill the tests")
    with pytest.raises(Failed, match=r"was killed|gave up a shard") as error:
        engine.map_shards(kill_own_process, [(number, os.getpid()) for number in range(6)], Watch(lambda _: None))
    assert "memory" in error.value.hint


def test_a_run_that_is_cancelled_stops_between_two_shards(engine: Engine) -> None:
    outcomes: list[int] = []
    watch = Watch(outcomes.append, cancelled=lambda: len(outcomes) > 3)
    with pytest.raises(Cancelled):
        engine.map_shards(square, itertools.count(), watch)
    assert 4 <= len(outcomes) < 12


def test_a_run_says_how_far_it_is(engine: Engine) -> None:
    progress: list[tuple[int, int]] = []
    engine.map_shards(square, range(5), Watch(lambda _: None, lambda *numbers: progress.append(numbers)))
    assert [done for done, _ in progress] == sorted(done for done, _ in progress)
    assert all(0 <= running <= 2 for _, running in progress)
    assert any(running for _, running in progress)
    assert progress[-1][1] == 0 or engine == LocalEngine(1)


@pytest.mark.parametrize("how", ["cancelled", "Ctrl-C"])
def test_a_shard_that_runs_elsewhere_ends_when_the_run_does(engine: Engine, tmp_path: Path, how: str) -> None:
    if engine == LocalEngine(1):
        pytest.skip("it runs here")
    folder = tmp_path / "shards"
    folder.mkdir()

    def others() -> list[int]:
        return [int(path.name) for path in folder.iterdir() if int(path.name) != os.getpid()]

    def stop() -> bool:
        if how == "Ctrl-C" and others():
            raise KeyboardInterrupt
        return bool(others())

    if isinstance(engine, LocalEngine):  # this process runs one too
        pytest.skip("see test_local.py")
    with pytest.raises((Cancelled, KeyboardInterrupt)):
        engine.map_shards(hold, [folder] * 4, Watch(lambda _: None, cancelled=stop))
    until(lambda: all(map(is_gone, others())))
