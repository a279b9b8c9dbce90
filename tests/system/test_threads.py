"""Calls in threads of their own."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from dicombq.system.threads import Threads, in_a_thread, in_threads, interruptible


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


def test_results_come_in_the_order_of_the_calls() -> None:
    second_is_done = threading.Event()

    def first() -> int:
        second_is_done.wait(10)
        return 1

    def second() -> int:
        second_is_done.set()
        return 2

    assert [*in_threads([first, second, lambda: 3], 2)] == [1, 2, 3]


def test_few_calls_are_made_ahead() -> None:
    made: list[int] = []

    def calls() -> Iterator[Callable[[], int]]:
        for number in range(100):
            made.append(number)
            yield partial(int, number)

    results = in_threads(calls(), 3)
    assert next(results) == 0
    assert len(made) == 4
    assert [*results] == [*range(1, 100)]


def test_an_error_is_raised_in_its_place() -> None:
    results = in_threads([lambda: 1, lambda: 1 // 0, lambda: 3], 2)
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_there_may_be_nothing_to_do() -> None:
    assert [*in_threads([], 2)] == []
