from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from dicombq.system.threads import in_threads


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
