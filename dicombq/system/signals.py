"""Ctrl-C and SIGTERM, which end an operation."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

_ENDING = frozenset({signal.SIGINT, signal.SIGTERM})


@contextmanager
def held_back() -> Iterator[None]:
    """Let them wait, so that what is started is started whole.

    Threads and processes that are started inside never take them: another thread that could would make the main one
    run their handlers, whatever its own mask.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
