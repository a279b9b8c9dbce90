"""Servers that a test starts."""

from __future__ import annotations

import socket
import subprocess
import time
import urllib.error
import urllib.request


def free_port() -> int:
    """Give a port of the loopback interface that nobody uses."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def wait_until_it_answers(url: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until a server that was started answers, were it only that it wants a password."""
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
