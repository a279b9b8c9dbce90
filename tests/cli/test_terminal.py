"""What is printed where, and for whom."""

from __future__ import annotations

import contextlib
import errno
import os
import pty
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from dicombq.operations import running
from dicombq.system.files import write_atomic
from tests.cli.conftest import Run
from tests.fakes.bigquery import BigQueryFake, Fault
from tests.instances import write_instance

Terminal = Callable[..., tuple[int, str, str]]


@pytest.fixture
def terminal(here: Path) -> Terminal:
    """Run a command line with stderr on a terminal; give exit code, stdout, and what the terminal got."""

    def run_there(*arguments: str, **environment: str) -> tuple[int, str, str]:
        controller, side = pty.openpty()
        chunks: list[bytes] = []

        def read() -> None:
            with contextlib.suppress(OSError):  # how Linux says that the other side is closed
                while chunk := os.read(controller, 65536):
                    chunks.append(chunk)

        reader = threading.Thread(target=read)
        inherited = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "FORCE_COLOR"}}
        command = [sys.executable, "-m", "dicombq", *arguments]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=side, env=inherited | {"TERM": "xterm-256color"} | environment
        ) as process:
            os.close(side)
            reader.start()
            out, _ = process.communicate()
            reader.join()
        os.close(controller)
        return process.returncode, out.decode(), b"".join(chunks).decode()

    return run_there


def without_escapes(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)


def test_on_a_terminal_there_is_progress_and_stdout_is_clean(terminal: Terminal, scans: Path) -> None:
    code, out, seen = terminal("export", "bq", "scans")
    assert code == 0
    assert out == "name: projects/local/locations/local/datasets/dicom/dicomStores/scans\n"
    assert "\x1b[" in seen
    assert "2/2" in without_escapes(seen)
    lines = without_escapes(seen).split("\r\n")
    assert lines[0] == "Request issued for: [scans]"
    assert lines[1].endswith(" to complete...")
    assert "done." in [line.rpartition("\r")[2].strip() for line in lines]


def test_a_failure_on_a_terminal_is_told_after_the_progress(
    terminal: Terminal, scans: Path, bigquery: BigQueryFake
) -> None:
    bigquery.fail("jobs.upload.start", Fault.QUOTA, times=100)
    bigquery.fail("jobs.insert", Fault.QUOTA, times=100)
    code, out, seen = terminal("export", "bq", "scans", "--bq-table=bq://p.d.t")
    assert (code, out) == (5, "")
    ending, error, _hint = without_escapes(seen).strip().split("\r\n")[-3:]
    assert ending.rpartition("\r")[2].strip() == "failed."
    assert error.startswith("ERROR: (dicombq.export.bq) BigQuery could not be used")


def test_failed_instances_are_shown_on_a_terminal(terminal: Terminal, broken: Path) -> None:
    code, _, seen = terminal("export", "bq", "scans")
    assert code == 3
    assert "1 failed" in without_escapes(seen)
    assert "1 instance failed; see them" in seen


@pytest.mark.parametrize("environment", [{"TERM": "dumb"}, {"NO_COLOR": "1"}], ids=str)
def test_a_plain_terminal_gets_no_escape_codes_and_no_animation(
    terminal: Terminal, broken: Path, environment: dict[str, str]
) -> None:
    code, out, seen = terminal("export", "bq", "scans", **environment)
    assert code == 3
    assert "\x1b" not in out + seen
    assert "to complete...done.\r\n" in seen
    assert "\r" not in seen.replace("\r\n", "")


def test_off_a_terminal_there_are_no_escape_codes(spawn: Run, broken: Path) -> None:
    result = spawn("export", "bq", "scans")
    assert result.code == 3
    assert "\x1b" not in result.out + result.err
    assert "\r" not in result.err


def test_contradictory_flags_are_a_warning_and_the_disposition_wins(run: Run, scans: Path) -> None:
    run("export", "bq", "scans")
    flags = ("--overwrite-table", "--write-disposition=write-append")
    result = run("export", "bq", "scans", *flags)
    assert result.code == 0
    assert result.err.splitlines()[0] == (
        "WARNING: --overwrite-table is ignored, because --write-disposition is given."
    )
    assert run("query", "SELECT COUNT(*) FROM dicom.scans", "--format=csv").out.splitlines()[1] == "4"
    assert "WARNING" not in run("export", "bq", "scans", *flags, "--verbosity=error").err
    assert "WARNING" in run("export", "bq", "scans", *flags, "--quiet").err


def test_an_export_of_nothing_is_a_warning(run: Run, here: Path) -> None:
    (here / "empty").mkdir()
    result = run("export", "bq", "empty")
    assert result.code == 0
    assert "WARNING: no instance in [empty] could be exported; the table is empty.\n" in result.err
    assert run("query", "SELECT COUNT(*) FROM dicom.empty", "--format=csv").out.splitlines()[1] == "0"


def test_the_log_of_requests_shows_no_secrets(spawn: Run, scans: Path, bigquery: BigQueryFake) -> None:
    result = spawn("export", "bq", "scans", "--bq-table=bq://p.d.t", "--log-http")
    assert result.code == 0
    assert '"POST /upload/bigquery/v2/projects/p/jobs?..." 200' in result.err.replace(" HTTP/1.1", "")
    assert "upload_id" not in result.err
    assert "uploadType" not in result.err
    assert "uthorization" not in result.err
    assert "Bearer" not in result.err
    assert "GET /" not in spawn("export", "bq", "scans", "--bq-table=bq://p.d.t", "--overwrite-table").err


@pytest.mark.parametrize("room", [0, 1, 3])
def test_a_full_disk_is_one_clear_line(
    run: Run, scans: Path, home: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    left = [room]

    def write_while_there_is_room(path: Path, data: bytes) -> None:
        if not left[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        left[0] -= 1
        write_atomic(path, data)

    monkeypatch.setattr(running, "write_atomic", write_while_there_is_room)
    result = run("export", "bq", "scans")
    assert (result.code, result.out) == (1, "")
    error, hint = result.err.splitlines()[-2:]
    assert error.startswith(f"ERROR: (dicombq.export.bq) the disk that holds [{home / 'operations'}")
    assert error.endswith("] is full.")
    assert hint.startswith("Make room, or set DICOMBQ_HOME to another disk.")
    assert ("operations resume" in hint) is (room > 0)
    assert result.err.count("ERROR") == 1


def test_an_encoding_that_lacks_a_letter_is_no_error(scans: Path, here: Path) -> None:
    write_instance(here / "ü" / "1.dcm", 1)
    command = [sys.executable, "-m", "dicombq", "export", "bq", "ü", "--format=json"]
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run(command, check=False, capture_output=True, env=environment)
    assert done.returncode == 0
    assert b'dicomStores/\\xfc"' in done.stdout


def test_an_output_that_cannot_be_written_is_one_line(scans: Path, spawn: Run) -> None:
    spawn("export", "bq", "scans")
    command = [sys.executable, "-m", "dicombq", "query", "SELECT 1"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, check=False, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (1, "ERROR: (dicombq.query) No space left on device.\n")


def test_the_help_on_a_full_disk_is_an_error() -> None:
    command = [sys.executable, "-m", "dicombq", "export", "--help"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, check=False, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (1, "ERROR: (dicombq) No space left on device.\n")


def test_an_export_goes_on_where_the_disk_is_full_that_takes_what_it_tells(scans: Path, home: Path) -> None:
    command = [sys.executable, "-m", "dicombq", "export", "bq", "scans"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=full, text=True)
    assert (done.returncode, done.stdout.startswith("name: ")) == (0, True)


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_closed_stream_is_not_written_to(scans: Path, home: Path, closed: str) -> None:
    script = f'"$0" -m dicombq export bq scans {closed}'
    done = subprocess.run(["sh", "-c", script, sys.executable], check=False, capture_output=True, text=True)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert (done.stdout == "") == closed.startswith(">")


def test_a_path_that_the_system_refuses_is_one_line(run: Run) -> None:
    result = run("export", "bq", "a" * 5000)
    assert result.code in {1, 7}
    assert len(result.err.splitlines()) <= 2
