"""Calls that wait for a server, in threads of their own: Ctrl-C does not wait for them."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from typing import TypeVar

from dicombq.system.signals import held_back

T = TypeVar("T")

_GRACE = 0.5  # seconds
_SLICE = 0.2  # seconds


class Result(Future[T]):
    """What a call in a thread will give, waited for in slices: a signal just before a wait would not end it."""

    def result(self, timeout: float | None = None) -> T:
        """Wait for it; raise what the call raised."""
        while timeout is None and not self.done():
            wait((self,), _SLICE)
        return super().result(timeout)


def wait_for(thread: threading.Thread) -> None:
    """Wait until a thread has ended, in slices as well."""
    while thread.is_alive():
        thread.join(_SLICE)


class Threads:
    """Some threads that end with the process, whatever they wait for; those of an executor are waited for.

    Parameters
    ----------
    count
        How many; they start with the first call.
    """

    def __init__(self, count: int) -> None:
        self._waiting: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(count)]

    def __enter__(self) -> Threads:  # noqa: PYI034 - typing.Self came with 3.11
        return self

    def __exit__(self, *_error: object) -> None:
        """Let them end; what one of them is in the middle of is waited for shortly, and else left alone."""
        deadline = time.monotonic() + _GRACE
        started = [thread for thread in self._threads if thread.ident]
        with contextlib.suppress(queue.Empty):
            while True:
                self._waiting.get_nowait()
        for _ in started:
            self._waiting.put(None)
        for thread in started:
            thread.join(max(deadline - time.monotonic(), 0))

    def submit(self, function: Callable[[], T]) -> Future[T]:
        """Call a function in the next thread that is free."""
        future: Result[T] = Result()

        def call() -> None:
            try:
                future.set_result(function())
            except BaseException as error:  # noqa: BLE001 - whoever asks for the result gets it
                future.set_exception(error)

        if not self._threads[-1].ident:
            with held_back():
                for thread in self._threads:
                    thread.start()
        self._waiting.put(call)
        return future

    def _work(self) -> None:
        while call := self._waiting.get():
            call()


def interruptible(function: Callable[[], T]) -> T:
    """Call a function in a thread, so that Ctrl-C does not wait for it."""
    with Threads(1) as threads:
        return threads.submit(function).result()


def in_threads(calls: Iterable[Callable[[], T]], count: int) -> Iterator[T]:
    """Call functions in so many threads, and no more of them ahead; give their results in their order."""
    ahead: deque[Future[T]] = deque()
    with Threads(count) as threads:
        for call in calls:
            ahead.append(threads.submit(call))
            if len(ahead) > count:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def in_a_thread(items: Iterable[T]) -> Iterator[T]:
    """Iterate in a thread, one item ahead, so that Ctrl-C does not wait for the next one."""
    iterator, end = iter(items), object()
    with Threads(1) as threads:
        ahead = threads.submit(lambda: next(iterator, end))
        while True:
            item = ahead.result()
            if item is end:
                return
            ahead = threads.submit(lambda: next(iterator, end))
            yield item  # type: ignore[misc]  # `end` was compared
