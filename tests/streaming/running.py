"""Streams that run, as processes of their own, and how they are waited for."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

from tests.streaming.conftest import Lab

KILLS = 100 if os.environ.get("DICOMBQ_LONG_PROOFS") else 15
LONG = 60.0
"""Seconds that something may take to come."""


@contextlib.contextmanager
def running(lab: Lab, *options: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Run the stream in a process of its own until the end of the block."""
    command = [sys.executable, "-m", "dicombq", "stream", "run", lab.store, *options]
    with subprocess.Popen(command, env=os.environ | environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until something holds that must come to hold."""
    deadline = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.1)


def shows(lab: Lab, *expected: int) -> Callable[[], bool]:
    """Make the condition that the view shows these instances."""

    def look() -> bool:
        try:
            return lab.view() == list(expected)
        except Exception as error:  # while it is written, DuckDB lets nobody in
            if "lock" not in str(error):
                raise
            return False

    return look


def runs(lab: Lab) -> bool:
    """Tell whether a process runs the stream."""
    return lab.run("stream", "describe", lab.store)["dicombq"]["running"] is not None
