"""Where the commands of the pages are run: what the pages speak of is there, below a folder in place of the root."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dicombq.cli.main import main
from dicombq.operations.store import OperationStore
from dicombq.system.locks import is_locked
from tests.archive import write_archive
from tests.docs.consoles import masked
from tests.docs.pages import ROOT, Block, commands
from tests.fakes.bigquery import BigQueryFake, Fault
from tests.instances import write_truncated

NOT_RUN = {
    "bq gcloud": "they need Google Cloud",
    "aws ssh spark-submit": "they need a cluster",
    "$SPARK_HOME/bin/spark-class": "it needs Spark: see tests/proofs/test_spark.py",
    "systemctl journalctl": "they need systemd",
    "pip python3 source .venv/bin/pip": "what they install is installed",
    "chmod chown editor install setfacl": "they change the machine",
    "curl umask": "they are for a server that runs: see tests/serve",
    "date dd df du echo file id ls lsof mount namei ps uptime which": "they look at the machine, not at dicombq",
    ".venv/bin/cog .venv/bin/lint-imports .venv/bin/pytest .venv/bin/python .venv/bin/ruff": "see .ci/run",
    ".ci/sanitize .ci/uncompiled": "see .ci/run",
    "dicombq serve": "it runs until it is ended: see tests/serve",
    "dicombq stream run": "it runs until it is ended: see tests/streaming",
    "dicombq filter create --bq-table=bq:": "the fake of BigQuery answers no SQL: see test_filter_commands.py",
    "dicombq export bq s3://idc-open-data/FOLDER": "moto gives nothing to strangers",
}
"""What the pages show and no test runs, with the reason."""

_PROGRAMS = {program for programs in NOT_RUN if not programs.startswith("dicombq ") for program in programs.split()}
_OPERATION = re.compile(r"\b1763756640123456789\b|(?<=operations (?:logs) )ID\b|(?<=operations resume )ID\b")
_ASKS = (["operations", "cancel"], ["operations", "prune"])
"""Commands whose question somebody answers with yes."""
_FOLDERS = ("/archive/", "/data/", "/mnt/", "/media/", "/var/lib/dicombq")
_MASKS = [
    (r"(?<=\S) {2,}", "  "),
    (r"\(process \d+ on \S+,", "(process 4711 on archive1,"),
    (r"\bdicombq \d+\.\d+\S*", "dicombq 1.0"),
    (r"\b\d+ (s|ms)\b", r"1 \1"),
    (r"etag: .*", "etag: ..."),
]


def is_run(block: Block) -> bool:
    """Tell a block of commands from a script, which tests of its own run, and from what no test runs."""
    if block.text.startswith("#!") or block.page == ROOT / "README.md":
        return False
    return any(_is_run(line) and not line.startswith("export ") for line in lines(block.text))


def lines(script: str) -> list[str]:
    """Cut a script into lines, without comments."""
    whole = (line.partition(" #")[0].strip() for line in script.replace("\\\n", " ").splitlines())
    return [line for line in whole if line and not line.startswith("#")]


def _is_run(line: str) -> bool:
    found = list(commands(line))
    if "--engine=spark" in line or any(" ".join(words).startswith(name) for words in found for name in NOT_RUN):
        return False
    first = next(word for word in line.split() if not re.match(r"[A-Z_]+=", word)).lstrip("(")
    assert found or first in _PROGRAMS or first == "export", f"nothing says why [{line}] is not run"
    return bool(found) or first == "export"


class Scene:
    """A machine on which an archive was exported to BigQuery, whose commands run in this process where they can.

    Parameters
    ----------
    folder
        What stands for the root.
    names
        What stands for other names of the pages: ``gs://my-bucket``, a server.
    """

    def __init__(self, folder: Path, bigquery: BigQueryFake, names: dict[str, str], patch: pytest.MonkeyPatch) -> None:
        self.root = folder
        self._bigquery = bigquery
        self._patch = patch
        self._names = names | {f"{name}": f"{folder}{name}" for name in _FOLDERS}
        self.home = folder / "var" / "lib" / "dicombq"
        self.here = folder / "work"
        for each in (self.here, folder / "bin", folder / "mnt", folder / "media" / "cd", folder / "data", self.home):
            each.mkdir(parents=True)
        write_archive(folder / "archive" / "scans")
        write_truncated(folder / "archive" / "scans" / "17.dcm")
        shutil.copy(folder / "archive" / "scans" / "CT_small.dcm", folder / "media" / "cd")
        program = folder / "bin" / "dicombq"
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m dicombq "$@"\n', encoding="utf-8")
        program.chmod(0o755)
        patch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("DICOMBQ_HOME", str(self.home))
        patch.setenv("COLUMNS", "100")
        patch.chdir(self.here)

    def prepare(self, block: Block) -> None:
        """Let be there what a block speaks of: an operation in the state that it is for, a store, a filter file."""
        text = block.text
        target = ("/archive/scans", "--bq-table=bq://my-project.my_dataset.scans", "--workers=1")
        if "dicom-stores create" not in text and re.search(r"\bscans$|\bscans |dicomStores", text):
            self._run("dicom-stores", "create", "scans", "--source=/archive/scans")
        if "stream" in text and "configure" not in text:
            self._run("stream", "configure", "scans", "--bq-table=bq://my-project.my_dataset.scans")
        if "operations cancel" in text:
            self._bigquery.fail("jobs.insert", Fault.STALL, seconds=60)
            self._run("export", "bq", *target, "--async")
        elif "dicombq query" in text:
            self._run("export", "bq", "/archive/scans", "--workers=1")
        elif "operations" in text or "export bq" not in text or "write-append" in text:
            if "operations resume" in text:
                self._bigquery.fail("jobs.insert", Fault.QUOTA)
            self._run("export", "bq", *target)
        study = "1.2.826.0.1.3680043.8.498.2"
        (self.here / "wanted.txt").write_text(f"/studies/{study}\n/studies/{study}/series/{study}.1\n")

    def play(self, script: str) -> str:
        """Run the commands of a script; give them, and what each printed and ended with, as a page would show it."""
        shown = []
        for line in filter(_is_run, lines(script)):
            code, output = self._play(self._here(line))
            shown.append(f"$ {line}\n{self._there(output)}" + (f"[exit code {code}]\n" if code else ""))
        return "".join(shown)

    def wait(self) -> None:
        """Wait for operations that have been left alone."""
        for operation in OperationStore(self.home).list()[0]:
            while is_locked(operation.folder / "lock"):
                pass

    def _play(self, line: str) -> tuple[int, str]:
        words = shlex.split(line)
        if words[0] == "export":
            for word in words[1:]:
                self._patch.setenv(*word.split("=", 1))
            return 0, ""
        if words[0] == "dicombq" and not re.search(r"[|;&<]|\$\(", re.sub(r"'[^']*'|\"[^\"]*\"", "", line)):
            played = self._run(*words[1:], *(["--quiet"] if words[1:3] in _ASKS else []))
            if words[1:3] == ["operations", "cancel"]:
                self._bigquery.mend()
            return played
        done = subprocess.run(
            ["bash", "-c", line],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout

    def _run(self, *words: str) -> tuple[int, str]:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            code = main([self._here(word) for word in words])
        return code, printed.getvalue()

    def _here(self, line: str) -> str:
        for name, meant in self._names.items():
            line = line.replace(name, meant) if meant not in line else line
        found = OperationStore(self.home).list()[0]
        return _OPERATION.sub(found[0].id if found else "1", line)

    def _there(self, output: str) -> str:
        for name, meant in sorted(self._names.items(), key=lambda item: -len(item[1])):
            output = output.replace(meant, name)
        output = masked(output.replace(str(self.root), ""))
        for pattern, shown in _MASKS:
            output = re.sub(pattern, shown, output)
        return output
