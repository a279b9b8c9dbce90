"""Calls in threads of their own."""

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from dicombq.system.threads import Threads, in_a_thread, interruptible


def test_calls_run_side_by_side_and_give_what_they_return() -> None:
    barrier = threading.Barrier(4, timeout=60)
    with Threads(4) as threads:
        futures = [threads.submit(barrier.wait) for _ in range(8)]
        assert sorted(future.result() for future in futures) == [0, 0, 1, 1, 2, 2, 3, 3]


def test_what_a_call_raises_is_raised_where_its_result_is_asked_for() -> None:
    with Threads(1) as threads, pytest.raises(ZeroDivisionError):
        threads.submit(lambda: 1 // 0).result()


def test_at_the_end_what_waits_is_dropped_and_what_runs_is_not_waited_for() -> None:
    started, release, late = threading.Event(), threading.Event(), threading.Event()

    def wait() -> None:
        started.set()
        release.wait()

    with Threads(1) as threads:
        threads.submit(wait)
        threads.submit(late.set)
        started.wait()
    release.set()
    for thread in threads._threads:
        thread.join()
    assert not late.is_set()


def test_an_interrupt_does_not_wait_for_a_call() -> None:
    release = threading.Event()

    def hang() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        release.wait()

    with pytest.raises(KeyboardInterrupt):
        interruptible(hang)
    release.set()


def test_items_come_in_their_order_and_an_error_behind_them() -> None:
    def items() -> Iterator[int]:
        yield from range(5)
        raise ZeroDivisionError

    iterator = in_a_thread(items())
    assert [next(iterator) for _ in range(5)] == list(range(5))
    with pytest.raises(ZeroDivisionError):
        next(iterator)
