from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dicombq.cli.main import main
from tests.instances import write_instance, write_truncated

if TYPE_CHECKING:
    from tests.cli.gate import Gate  # which imports from here


@dataclass(frozen=True)
class Result:
    """What a command line gave."""

    code: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture
def here(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, empty, with a HOME beside it."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "80")
    before = os.umask(0o022)
    yield folder
    os.umask(before)


@pytest.fixture
def run(here: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command line in this process."""

    def run_here(*arguments: str) -> Result:
        capsys.readouterr()
        code = main(list(arguments))
        return Result(code, *capsys.readouterr())

    return run_here


@pytest.fixture
def spawn(here: Path) -> Run:
    """Run a command line in a process of its own."""

    def run_there(*arguments: str) -> Result:
        command = [sys.executable, "-m", "dicombq", *arguments]
        done = subprocess.run(command, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        return Result(done.returncode, done.stdout, done.stderr)

    return run_there


@pytest.fixture
def scans(here: Path) -> Path:
    """A folder with two instances."""
    for number in (1, 2):
        write_instance(here / "scans" / f"{number}.dcm", number)
    return here / "scans"


@pytest.fixture
def gate(here: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """Where exports stop until it is opened."""
    from tests.cli.gate import Gate

    gate = Gate(tmp_path, home, monkeypatch)
    yield gate
    gate.open()


@pytest.fixture
def broken(scans: Path) -> Path:
    """The same with an instance that cannot be read."""
    write_truncated(scans / "broken.dcm")
    return scans
