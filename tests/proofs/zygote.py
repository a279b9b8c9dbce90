"""Processes that start at once: forks of one that has imported everything.

Each runs a command line of dicombq as ``python -m dicombq`` would. The parent is told what to run in a line of JSON on
its stdin, and answers with a line when the process has begun and one when it has ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.proofs.points import Points


@dataclass(frozen=True)
class Ended:
    """How a process ended; a signal's number is negative."""

    code: int
    out: str
    err: str


class Zygote:
    """The process that forks."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.proofs.zygote"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._answer()

    def start(self, home: Path, *arguments: str, **wrapping: Any) -> int:
        """Begin a command line; give the process's ID.

        Parameters
        ----------
        wrapping
            ``points`` (what `Points` takes beside the root), ``shard_size``, ``environment``.
        """
        order = {"home": str(home), "arguments": arguments, **wrapping}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._answer())

    def wait(self, home: Path) -> Ended:
        """Wait until the process has ended."""
        code = int(self._answer())
        texts = [(home.parent / name).read_text() for name in ("out", "err")]
        return Ended(code, texts[0], texts[1])

    def run(self, home: Path, *arguments: str, **wrapping: Any) -> Ended:
        """Run a command line to its end."""
        self.start(home, *arguments, **wrapping)
        return self.wait(home)

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the process that forks has ended"
        return line


@contextlib.contextmanager
def zygote() -> Iterator[Zygote]:
    """Have one until the end of the block."""
    process = Zygote()
    try:
        yield process
    finally:
        process.close()


def names_file(home: Path) -> Path:
    """Where a process that is not killed leaves the names of its steps, and the states before them."""
    return home.parent / "steps.json"


def _run(order: dict[str, Any]) -> int:
    from dicombq.cli.main import main
    from dicombq.operations.running import RunningOperation
    from dicombq.shards import listing

    home = Path(order["home"])
    os.environ.update(order.get("environment", {}), DICOMBQ_HOME=str(home))
    os.chdir(home.parent)
    for descriptor, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), descriptor)
    if "shard_size" in order:
        listing.SHARD_SIZE = order["shard_size"]
    if "points" not in order:
        return main(order["arguments"])
    RunningOperation.WRITE_INTERVAL = float("inf")  # the steps must not hang on the clock
    points = Points(home.parent, **order["points"])
    points.install()
    code = main(order["arguments"])
    names_file(home).write_text(json.dumps([points.names, points.prints]))
    return code


def _say(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def _fork(order: dict[str, Any]) -> None:
    child = os.fork()
    if not child:
        code = 70
        try:
            os.close(0)
            os.open(os.devnull, os.O_RDONLY)
            code = _run(order)
        finally:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            os._exit(code)
    _say(child)
    _say(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def serve() -> None:
    """Fork for each line of stdin."""
    import dicombq.cli.export
    import dicombq.cli.operations
    import dicombq.cli.progress
    import dicombq.export.task
    import dicombq.operations.jobs
    import dicombq.transfer.tasks
    import dicombq.warehouses.bigquery
    import dicombq.warehouses.duckdb  # noqa: F401 - what is forked has imported it

    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _say(0)
    for line in sys.stdin:
        _fork(json.loads(line))


if __name__ == "__main__":
    serve()
