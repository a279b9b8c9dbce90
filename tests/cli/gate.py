"""Exports in processes of their own that stop before they load, until they are let go or killed."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dicombq.operations.state import Operation, State
from dicombq.operations.store import OperationStore
from tests.cli.conftest import Result

_SITE = """
import os, sys, time
gate = os.environ.get("GATE")
if gate and {"_run", "export", "resume"} & set(sys.orig_argv):
    from dicombq.export.run import Export
    load = Export._load
    def wait(export):
        if os.path.exists(gate + ".crash"):
            os._exit(9)
        while not os.path.exists(gate):
            time.sleep(0.01)
        return load(export)
    Export._load = wait
"""


class Gate:
    """What exports of the processes that are started from now on stop at, before they load.

    Parameters
    ----------
    home
        Where their operations are.
    """

    def __init__(self, folder: Path, home: Path, environment: pytest.MonkeyPatch) -> None:
        (folder / "site").mkdir()
        (folder / "site" / "sitecustomize.py").write_text(_SITE)
        environment.setenv("PYTHONPATH", str(folder / "site"))
        environment.setenv("GATE", str(folder / "gate"))
        self._path = folder / "gate"
        self._crash = folder / "gate.crash"
        self.store = OperationStore(home)

    def open(self) -> None:
        """Let them go on."""
        self._path.touch()

    def close(self) -> None:
        """Let those that come from now on stop."""
        self._path.unlink()

    def crash(self, *, crash: bool = True) -> None:
        """Let them die there, or no longer."""
        if crash:
            self._crash.touch()
        else:
            self._crash.unlink()

    def newest(self) -> Operation:
        """Look at the newest operation."""
        return self.store.list()[0][0]

    def wait_for(self, state: State) -> Operation:
        """Wait until the newest operation is in a state."""
        deadline = time.monotonic() + 60
        while not (found := self.store.list()[0]) or found[0].state is not state:
            assert time.monotonic() < deadline, found
            time.sleep(0.01)
        return found[0]


def start(*arguments: str) -> subprocess.Popen[str]:
    """Start a command line in a process of its own."""
    command = [sys.executable, "-m", "dicombq", *arguments]
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def read_until(process: subprocess.Popen[str], text: str) -> str:
    """Read what a process says on stderr until it has said a text."""
    assert process.stderr is not None
    said = ""
    while text not in said:
        chunk = os.read(process.stderr.fileno(), 65536)
        assert chunk, said
        said += chunk.decode()
    return said


def finished(process: subprocess.Popen[str]) -> Result:
    """Wait for a process to end."""
    with process:
        out, err = process.communicate()
    return Result(process.returncode, out, err)


def answer(text: str, *arguments: str) -> Result:
    """Run a command line with a terminal as its input, on which a line is typed."""
    controller, side = pty.openpty()
    command = [sys.executable, "-m", "dicombq", *arguments]
    try:
        os.write(controller, text.encode())
        done = subprocess.run(command, check=False, stdin=side, capture_output=True, text=True)
    finally:
        os.close(side)
        os.close(controller)
    return Result(done.returncode, done.stdout, done.stderr)
