"""Servers as processes of their own."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextlib.contextmanager
def running(command: Sequence[str], url: str, log: Path, environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """Run a server until the end of the block; give `url`, which it answers."""
    with (
        log.open("wb") as out,
        subprocess.Popen(
            command, env={**os.environ, **(environment or {})}, stdout=out, stderr=subprocess.STDOUT
        ) as process,
    ):
        try:
            wait_until_it_answers(url, process)
            yield url
        finally:
            process.terminate()


def wait_until_it_answers(url: str, process: subprocess.Popen[bytes]) -> None:
    """Wait for a server that was started."""
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError as error:
            if isinstance(error, urllib.error.HTTPError) and error.code == 401:
                return
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.1)
