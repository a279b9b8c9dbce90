"""Servers as processes of their own, and what they run."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dicombq.operations.store import OperationStore
from dicombq.system.locks import is_locked

_PATIENCE = 60.0


@dataclass(frozen=True)
class Server:
    """A server that runs."""

    process: subprocess.Popen[str]
    lines: list[str]
    log: Path

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return self.lines[-1].split()[-1].rstrip("/")

    def stop(self) -> tuple[int, str]:
        """Send SIGTERM; give the exit code, and all that it wrote."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(_PATIENCE), self.log.read_text()


@contextlib.contextmanager
def server(log: Path, *flags: str, lines: int = 3) -> Iterator[Server]:
    """Run ``dicombq serve`` on a port of its own, in the HOME that the environment names."""
    command = [sys.executable, "-m", "dicombq", "serve", "--port=0", *flags]
    with log.open("w") as out, subprocess.Popen(command, stderr=out, text=True) as process:
        try:
            deadline = time.monotonic() + _PATIENCE
            while len(told := log.read_text().splitlines()) < lines:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline
                time.sleep(0.02)
            yield Server(process, told[:lines], log)
        finally:
            process.terminate()
            process.wait(_PATIENCE)


def let_end() -> None:
    """Wait until the operations of HOME have ended, and their processes too."""
    operations = OperationStore(Path(os.environ["DICOMBQ_HOME"]))
    for operation in operations.list()[0]:
        *_, _ = operations.follow(operation.id, _PATIENCE)
        while is_locked(operation.folder / "lock"):
            time.sleep(0.01)
