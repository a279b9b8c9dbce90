"""What the processes of the other tests do, seen from inside."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicombq.cli import main as cli_main
from dicombq.cli.progress import live_progress
from dicombq.cli.render import Output
from dicombq.names import Parent
from dicombq.operations.state import Counters, Operation, State
from dicombq.questions.values import plain
from dicombq.warehouses.duckdb import DuckdbWarehouse
from tests.cli.conftest import Run


def operation(state: State, **counters: int) -> Operation:
    return Operation(
        "1",
        "export bq",
        "ExportDicomData",
        Parent(),
        "s",
        "t",
        Path(),
        "",
        "",
        state=state,
        counters=Counters(**counters),
    )


def test_progress_shows_how_far_an_operation_has_come(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    with live_progress() as show:
        show(operation(State.LISTING, pending=7))
        show(operation(State.STAGING, pending=5, found=2, success=1, failure=1))
        show(operation(State.LOADING, found=7, success=6, failure=1))
    out, err = capsys.readouterr()
    assert out == ""
    assert "LOADING" in err
    assert "7/7" in err
    assert "1 failed" in err


@pytest.mark.parametrize("dumb", [False, True])
def test_a_terminal_gets_the_live_display(run: Run, scans: Path, monkeypatch: pytest.MonkeyPatch, dumb: bool) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "dumb" if dumb else "xterm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    result = run("export", "bq", "scans")
    assert result.code == 0
    assert ("to complete...done.\n" in result.err) == dumb
    assert "done.\n" in result.err
    assert ("\x1b" in result.err) != dumb


@pytest.fixture
def http_log() -> Iterator[logging.Logger]:
    """The logger of requests, as it was before when the test ends."""
    logger = logging.getLogger("urllib3.connectionpool")
    level, handlers = logger.level, list(logger.handlers)
    yield logger
    logger.handlers, logger.level = handlers, level


def test_a_logged_request_has_no_query(http_log: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    Output("dicombq", None, verbosity="warning", log_http=True)
    http_log.debug('%s "%s %s" %s', "https://h:443", "PUT", "/upload?upload_id=SECRET&x=1", 200)
    assert capsys.readouterr().err == 'https://h:443 "PUT /upload?..." 200\n'


def test_sigterm_ends_a_command(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def terminate(self: DuckdbWarehouse, sql: str, *_more: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()

    monkeypatch.setattr(DuckdbWarehouse, "query", terminate)
    before = signal.getsignal(signal.SIGTERM)
    result = run("query", "SELECT 1")
    assert (result.code, result.err) == (143, "ERROR: (dicombq.query) terminated.\n")
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_reader_that_is_gone_gets_nothing_more(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: DuckdbWarehouse, sql: str, *_more: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(DuckdbWarehouse, "query", broken)
    result = run("query", "SELECT 1")
    assert (result.code, result.out, result.err) == (1, "", "")


def test_what_is_left_for_a_broken_pipe_goes_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        stream.write("left")
        Output("dicombq", None, verbosity="warning", log_http=False).give_up_writing()
        stream.flush()
        assert os.fstat(stream.fileno()).st_rdev == os.stat(os.devnull).st_rdev


def test_ctrl_c_before_a_command_runs_is_130(monkeypatch: pytest.MonkeyPatch, here: Path) -> None:
    def interrupt(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli_main.cli, "main", interrupt)
    assert cli_main.main([]) == 130


def test_the_program_exits_with_the_code(monkeypatch: pytest.MonkeyPatch, here: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["dicombq", "export"])
    with pytest.raises(SystemExit) as end:
        cli_main.run()
    assert end.value.code == 2


@pytest.mark.parametrize(
    ("value", "text"),
    [(float("nan"), "NaN"), (float("-inf"), "-Infinity"), (b"\x00", "AA=="), ([1, b"ab", None], ["1", "YWI=", None])],
)
def test_a_value_is_written_as_bq_does(value: object, text: object) -> None:
    assert plain(value) == text
