"""The terminals that the pages show: a story a page, each command run for real and its output compared.

``UPDATE_GOLDEN=1`` writes the outputs into the pages.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.archive import MODIFIED, write_archive
from tests.docs.pages import ROOT

_BLOCK = re.compile(r"(?ms)^```console\n(.*?)^```$")
_SHOWN_HOME = "/home/me"
_KEPT = {"BIGQUERY_EMULATOR_HOST", "COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START"}
_MASKS = [
    (r"\b\d{19}\b", "1795302101843374182"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", "2026-11-26T20:00:00.000000Z"),
    (r"\b[\d,]+\.\d GiB free", "80.0 GiB free"),
    (r"\b\d+ seconds off", "0 seconds off"),
    (r"http://127\.0\.0\.1:\d+", "http://127.0.0.1:9050"),
    (r"\b(Python|duckdb|google-cloud-bigquery|pydicom) \d[\w.]*", r"\1 3.0"),
]


@dataclass
class Step:
    """A command, and what it printed."""

    command: str
    output: str

    def __str__(self) -> str:
        lines = self.command.splitlines()
        return "\n".join([f"$ {lines[0]}", *(f"> {line}" for line in lines[1:])]) + "\n" + self.output


def steps(block: str) -> list[Step]:
    """Cut a block into commands, after ``$``, continued after ``>``, and their outputs."""
    found: list[Step] = []
    for line in block.splitlines(keepends=True):
        if line.startswith("$ "):
            found.append(Step(line[2:-1], ""))
        elif line.startswith("> ") and not found[-1].output:
            found[-1].command += "\n" + line[2:-1]
        else:
            found[-1].output += line
    return found


def console_blocks(page: Path) -> list[str]:
    """Give the text of a page's terminals."""
    return _BLOCK.findall(page.read_text(encoding="utf-8"))


class Machine:
    """A machine of its own: an account with the samples in `samples`, an archive in `scans`, and dicombq in PATH."""

    def __init__(self, folder: Path) -> None:
        self.account = folder / "account"
        self.here = self.account / "work"
        self.here.mkdir(parents=True)
        shutil.copytree(ROOT / "samples", self.here / "samples")
        for file in (self.here / "samples").iterdir():
            os.utime(file, (MODIFIED, MODIFIED))
        write_archive(self.here / "scans")
        self._install("dicombq", f'exec {sys.executable} -m dicombq "$@"')
        for name in ("gcloud", "bq", "pip"):
            self._install(name, "true")

    def _install(self, name: str, script: str) -> None:
        path = self.account / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        path.chmod(0o755)

    def run(self, command: str) -> str:
        """Run a command in bash; give what it prints, with names in place of what differs from run to run."""
        kept = {
            name: os.environ[name]
            for name in ("BIGQUERY_EMULATOR_HOST", "COVERAGE_PROCESS_START")
            if name in os.environ
        }
        environment = kept | {
            "HOME": str(self.account),
            "PATH": f"{self.account}/bin:/usr/bin:/bin",
            "PYTHONPATH": str(ROOT),
            "LANG": "C.UTF-8",
            "COLUMNS": "100",
            "TZ": "UTC",
        }
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.here,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return masked(done.stdout.replace(str(self.account), _SHOWN_HOME))


def masked(text: str) -> str:
    """Write what differs from run to run as the pages have it."""
    for pattern, shown in _MASKS:
        text = re.sub(pattern, shown, text)
    return text


def play(page: Path, machine: Machine) -> list[tuple[Step, str]]:
    """Run a page's commands in their order; give each as it is shown, with what it printed."""
    return [(step, machine.run(step.command)) for block in console_blocks(page) for step in steps(block)]


def rewrite(page: Path, played: list[tuple[Step, str]]) -> None:
    """Write what the commands printed into the page."""
    outputs = iter([output for _, output in played])

    def block(match: re.Match[str]) -> str:
        shown = (Step(step.command, next(outputs)) for step in steps(match[1]))
        return f"```console\n{''.join(map(str, shown))}```"

    page.write_text(_BLOCK.sub(block, page.read_text(encoding="utf-8")), encoding="utf-8")
