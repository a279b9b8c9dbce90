from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from textwrap import dedent

import pytest

from dicombq.engines import local
from dicombq.engines.base import Watch
from dicombq.engines.local import LocalEngine, usable_cores
from dicombq.errors import Cancelled, Failed


def square(number: int) -> int:
    return number * number


def own_process(_shard: int) -> int:
    return os.getpid()


def is_elsewhere() -> bool:
    return multiprocessing.parent_process() is not None


def wait_elsewhere(shard: int) -> int:
    if is_elsewhere():
        time.sleep(0.5)
    return shard


def hold_elsewhere(folder: Path) -> Path:
    if is_elsewhere():
        (folder / "elsewhere").touch()
        time.sleep(600)
    return folder


def kill_own_process(shard: int) -> int:
    if shard == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return shard


def refuse(shard: int) -> int:
    raise ValueError(shard)


def refuse_elsewhere(shard: int) -> int:
    return refuse(shard) if is_elsewhere() else shard


def signals_left_to_the_parent(_shard: int) -> bool:
    return is_elsewhere() == (signal.getsignal(signal.SIGINT) == signal.SIG_IGN)


def ends_at_sigterm(_shard: int) -> bool:
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    default = signal.getsignal(signal.SIGTERM) == signal.SIG_DFL and signal.SIGTERM not in blocked
    return default or not is_elsewhere()


def is_gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize("workers", [1, 2])
def test_every_shard_is_done_once_with_one_worker_or_two(workers: int) -> None:
    outcomes: list[int] = []
    LocalEngine(workers).map_shards(square, iter(range(20)), Watch(outcomes.append))
    assert sorted(outcomes) == [number * number for number in range(20)]


def test_without_shards_nothing_happens() -> None:
    shards: list[int] = []
    outcomes: list[int] = []
    LocalEngine(2).map_shards(square, shards, Watch(outcomes.append))
    assert outcomes == []


def test_a_single_shard_is_done_in_this_process() -> None:
    outcomes: list[int] = []
    LocalEngine(2).map_shards(own_process, [1], Watch(outcomes.append))
    assert outcomes == [os.getpid()]


def test_few_shards_that_take_long_are_done_in_several_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes: list[int] = []
    LocalEngine(2, few=8).map_shards(own_process, range(8), Watch(outcomes.append))
    assert outcomes == [os.getpid()] * 8
    monkeypatch.setattr(local, "_LONG", 0)
    LocalEngine(2, few=8).map_shards(own_process, range(8), Watch(outcomes.append))
    assert len(outcomes) == 16
    assert len(set(outcomes)) == 2


def test_this_process_is_one_of_the_workers() -> None:
    outcomes: list[int] = []
    LocalEngine(2).map_shards(own_process, [1, 2], Watch(outcomes.append))
    assert os.getpid() in outcomes
    assert len(set(outcomes)) == 2


def test_while_shards_wait_for_another_process_this_one_goes_on() -> None:
    outcomes: list[int] = []
    LocalEngine(2).map_shards(wait_elsewhere, range(6), Watch(outcomes.append))
    assert outcomes == [0, 3, 4, 5, 1, 2]


def test_workers_leave_ctrl_c_to_the_parent() -> None:
    outcomes: list[bool] = []
    LocalEngine(2).map_shards(signals_left_to_the_parent, [1, 2], Watch(outcomes.append))
    assert outcomes == [True, True]
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_a_killed_worker_is_an_error_with_advice() -> None:
    with pytest.raises(Failed, match="a worker process was killed") as error:
        LocalEngine(2).map_shards(kill_own_process, range(4), Watch(lambda _outcome: None))
    assert "--workers=1" in error.value.hint


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_a_shard_comes_through(workers: int) -> None:
    with pytest.raises(ValueError, match="7"):
        LocalEngine(workers).map_shards(refuse, [7, 7], Watch(lambda _outcome: None))


def test_an_error_in_another_process_comes_through() -> None:
    with pytest.raises(ValueError, match="1"):
        LocalEngine(2).map_shards(refuse_elsewhere, range(2), Watch(lambda _outcome: None))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_that_is_cancelled_stops_between_two_shards(workers: int) -> None:
    outcomes: list[int] = []
    watch = Watch(outcomes.append, cancelled=lambda: len(outcomes) > 3)
    with pytest.raises(Cancelled):
        LocalEngine(workers).map_shards(own_process, itertools.count(), watch)
    assert 4 <= len(outcomes) < 4 + 2 * workers
    assert all(is_gone(process) for process in set(outcomes) - {os.getpid()})


def test_a_run_that_waits_for_other_processes_can_be_cancelled(tmp_path: Path) -> None:
    outcomes: list[Path] = []
    watch = Watch(outcomes.append, cancelled=(tmp_path / "elsewhere").exists)
    with pytest.raises(Cancelled):
        LocalEngine(2).map_shards(hold_elsewhere, [tmp_path] * 2, watch)
    assert outcomes == [tmp_path]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_says_how_far_it_is(workers: int) -> None:
    progress: list[tuple[int, int]] = []
    outcomes: list[int] = []
    LocalEngine(workers).map_shards(square, range(5), Watch(outcomes.append, lambda *numbers: progress.append(numbers)))
    assert progress[0] == (0, workers)
    assert all(0 < running <= workers for _, running in progress[:-1])
    assert [done for done, _ in progress] == sorted(done for done, _ in progress)


def test_ctrl_c_ends_the_workers() -> None:
    processes: set[int] = set()

    def interrupt(process: int) -> None:
        if process != os.getpid():
            processes.add(process)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        LocalEngine(2).map_shards(own_process, itertools.count(), Watch(interrupt))
    assert processes
    assert all(is_gone(process) for process in processes)


def test_workers_end_with_their_parent(tmp_path: Path) -> None:
    script = tmp_path / "orphans.py"
    script.write_text(
        dedent(
            """
            import multiprocessing, time
            from dicombq.engines.base import Watch
            from dicombq.engines.local import LocalEngine

            def hold(shard):
                if multiprocessing.parent_process():
                    print("started", flush=True)
                time.sleep(600)

            if __name__ == "__main__":
                LocalEngine(2).map_shards(hold, range(2), Watch(print))
            """
        )
    )
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline()
        parent.kill()
        # the pipe ends when the last process that holds it has ended
        parent.stdout.read()
    assert parent.returncode == -signal.SIGKILL


def test_cores_are_counted_where_the_system_does_not_tell_which_are_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    assert usable_cores() >= 1
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert usable_cores() == os.cpu_count()


def test_few_shards_are_not_worth_other_processes() -> None:
    outcomes: list[int] = []
    LocalEngine(2, few=3).map_shards(own_process, [1, 2, 3], Watch(outcomes.append))
    assert set(outcomes) == {os.getpid()}
    LocalEngine(2, few=3).map_shards(own_process, [1, 2, 3, 4], Watch(outcomes.append))
    assert set(outcomes[3:]) - {os.getpid()}


def test_workers_end_when_the_executor_tells_them_to() -> None:
    handlers: list[bool] = []
    LocalEngine(2).map_shards(ends_at_sigterm, iter(range(4)), Watch(handlers.append))
    assert handlers == [True] * 4
