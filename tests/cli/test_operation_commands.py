"""``operations``: to look at exports, wait for them, end them, go on with them, tidy up after them."""

from __future__ import annotations

import csv
import io
import json
import signal
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from dicombq.cli.choices import duration
from dicombq.operations.state import State
from tests.cli.conftest import Result, Run
from tests.cli.gate import Gate, answer, finished, read_until, start
from tests.fakes.bigquery import BigQueryFake
from tests.instances import write_instance

STORE = "projects/local/locations/local/datasets/dicom/dicomStores/scans"


@pytest.fixture
def running(gate: Gate, scans: Path) -> Iterator[str]:
    """The ID of an export that runs in another process."""
    with start("export", "bq", "scans") as process:
        yield gate.wait_for(State.LOADING).id
        gate.open()
        process.communicate()


@pytest.fixture
def crashed(gate: Gate, spawn: Run, scans: Path) -> str:
    """The ID of an export whose process is gone; the next one loads."""
    gate.crash()
    assert spawn("export", "bq", "scans").code == 9
    gate.crash(crash=False)
    gate.open()
    return gate.newest().id


def newest(run: Run) -> str:
    return run("operations", "list", "--format=value(id)", "--limit=1").out.strip()


def rows(run: Run) -> str:
    return run("query", "SELECT COUNT(*) FROM dicom.scans", "--format=csv").out.splitlines()[-1]


def error_of(result: Result, code: int) -> tuple[str, str]:
    """Check that a command failed with one error line; give the message and the hint."""
    assert (result.code, result.out) == (code, "")
    assert "Traceback" not in result.err
    lines = result.err.splitlines()
    [number] = [index for index, line in enumerate(lines) if line.startswith("ERROR: (dicombq.operations.")]
    return lines[number].partition(") ")[2], " ".join(lines[number + 1 :])


def edit_state(home: Path, identity: str, **changes: object) -> None:
    path = home / "operations" / identity / "state.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


# logs


@pytest.fixture
def logged(run: Run, broken: Path) -> str:
    """The ID of an export with a failure and a skipped file in its log."""
    (broken / "notes.txt").write_text("notes")
    run("export", "bq", "scans")
    return newest(run)


@pytest.mark.parametrize(
    ("flags", "found"),
    [
        ([], ["broken.dcm", "notes.txt"]),
        (["--severity=ERROR"], ["broken.dcm"]),
        (["--severity=INFO"], ["notes.txt"]),
        (["--severity=ERROR", "--severity=INFO"], ["broken.dcm", "notes.txt"]),
        (["--severity=NOTICE"], []),
        (["--reason=DATA_LOSS"], ["broken.dcm"]),
        (["--reason=data_loss"], []),
        (["--reason=not dicom"], ["notes.txt"]),
        (["--reason=NOT DICOM", "--severity=ERROR"], []),
    ],
)
@pytest.mark.parametrize("format_", ["json", "table"])
def test_logs_are_filtered(run: Run, logged: str, flags: list[str], found: list[str], format_: str) -> None:
    result = run("operations", "logs", logged, *flags, f"--format={format_}")
    assert (result.code, result.err) == (0, "")
    if format_ == "json":
        names = [Path(entry["uri"]).name for entry in json.loads(result.out)]
    else:
        heading, *lines = result.out.splitlines()
        assert heading.split() == ["TIME", "SEVERITY", "CODE", "URI", "TAG", "MESSAGE"]
        names = [name for line in lines for name in ("broken.dcm", "notes.txt") if name in line]
    assert sorted(names) == found


def test_a_severity_that_is_none_is_refused(run: Run, logged: str) -> None:
    result = run("operations", "logs", logged, "--severity=WARNING")
    assert (result.code, result.out) == (2, "")
    assert "Valid choices are [DEBUG, ERROR, INFO, NOTICE]." in result.err


# describe and list


def test_a_crashed_operation_is_shown_as_such(run: Run, crashed: str) -> None:
    described = run("operations", "describe", crashed, "--format=json")
    operation = json.loads(described.out)
    assert described.code == 0
    assert operation["done"] is True
    assert operation["metadata"]["dicombq"]["state"] == "CRASHED"
    assert operation["error"] == {"code": 10, "message": "the process that ran the operation is gone"}
    assert "response" not in operation
    [listed] = csv.DictReader(io.StringIO(run("operations", "list", "--format=csv").out))
    assert (listed["ID"], listed["STATE"], listed["DONE"]) == (crashed, "CRASHED", "True")


@pytest.mark.parametrize("content", [b"", b"{", b'{"version": 2}', b"\xff", b"[" * 100_000])
def test_a_damaged_state_is_set_aside_and_the_others_are_listed(
    run: Run, scans: Path, home: Path, content: bytes
) -> None:
    run("export", "bq", "scans")
    identity = newest(run)
    run("export", "bq", "scans", "--overwrite-table")
    folder = home / "operations" / identity
    (folder / "state.json").write_bytes(content)
    for _ in range(2):
        result = run("operations", "list", "--format=value(state)")
        assert (result.code, result.out) == (0, "DONE\n")
        [warning] = result.err.splitlines()
        assert warning.startswith(f"WARNING: the state of operation [{identity}] cannot be read. It was set aside in [")
    assert (folder / "state.json.damaged").read_bytes() == content
    assert error_of(run("operations", "describe", identity), 1)[0] == (
        f"the state of operation [{identity}] cannot be read."
    )


@pytest.mark.parametrize("command", ["describe", "logs", "wait", "cancel", "resume"])
def test_a_newer_state_is_refused_with_advice(run: Run, scans: Path, home: Path, command: str) -> None:
    run("export", "bq", "scans")
    identity = newest(run)
    edit_state(home, identity, version=99)
    message, hint = error_of(run("operations", command, identity), 4)
    assert message == f"operation [{identity}] was written by a newer dicombq."
    assert hint == "Upgrade dicombq to read it."
    assert json.loads((home / "operations" / identity / "state.json").read_text())["version"] == 99


@pytest.mark.parametrize("command", ["describe", "logs", "wait", "cancel", "resume"])
def test_an_unknown_operation_is_not_found(run: Run, command: str) -> None:
    assert error_of(run("operations", command, "5"), 7)[0] == "there is no operation [5]."


# wait


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("15m", 900), ("12h", 43200), ("30d", 2592000), ("5", 5), ("0", 0), ("1.5s", 1.5)],
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert duration(click.Context(click.Command("x")), click.Option(["--timeout"]), text) == seconds


@pytest.mark.parametrize("text", ["", "s", "5 s", "-5", "5w", "5ms", "1h30m", "1e3", ".5", "5.s", "inf", "nan"])
@pytest.mark.parametrize("command", [("wait", "5", "--timeout"), ("prune", "--older-than")])
def test_a_duration_that_is_none_is_refused(run: Run, home: Path, text: str, command: tuple[str, ...]) -> None:
    *words, flag = command
    result = run("operations", *words, f"{flag}={text}")
    assert (result.code, result.out) == (2, "")
    assert f"argument {flag}: '{text}' is not a duration such as 30s, 15m, 12h or 30d." in result.err
    assert not home.exists()


def test_waiting_for_an_export_ends_as_the_export(gate: Gate, running: str) -> None:
    waiting = start("operations", "wait", running)
    said = read_until(waiting, "to complete...")
    gate.open()
    result = finished(waiting)
    assert (result.code, result.out) == (0, f"name: {STORE}\n")
    first, table, look = (said + result.err).splitlines()
    assert first.endswith(f"/operations/{running}] to complete...done.")
    assert table.startswith("Table: duckdb://")
    assert table.endswith("(2 new rows)")
    assert look.startswith("Look at it: ")


def test_waiting_for_failed_instances_ends_with_3(run: Run, logged: str) -> None:
    result = run("operations", "wait", logged)
    assert (result.code, result.out) == (3, f"name: {STORE}\n")
    assert result.err.splitlines()[-1] == f"1 instance failed; see them: dicombq operations logs {logged}"


def test_waiting_for_a_failed_operation_gives_its_error(run: Run, scans: Path, bigquery: BigQueryFake) -> None:
    bigquery.forbidden.add("jobs.insert")
    failed = run("export", "bq", "scans", "--bq-table=bq://p.d.t")
    result = run("operations", "wait", newest(run))
    assert (result.code, result.out) == (failed.code, "") == (6, "")
    waited, *error = result.err.splitlines()
    assert waited.endswith("to complete...failed.")
    assert error == [line.replace("export.bq", "operations.wait") for line in failed.err.splitlines()[-2:]]
    assert len(error) == 2


def test_waiting_for_a_conflict_ends_with_4(run: Run, scans: Path) -> None:
    run("export", "bq", "scans", "--schema=json")
    table = "--bq-table=duckdb://x.duckdb/d.t"
    write_instance(scans / "rows.dcm", 5, Rows=7)
    run("export", "bq", "scans", table)
    import duckdb

    with duckdb.connect("x.duckdb") as connection:
        connection.execute('ALTER TABLE d.t ALTER "Rows" TYPE VARCHAR')
    failed = run("export", "bq", "scans", table, "--write-disposition=write-append")
    assert failed.code == 4
    message, _hint = error_of(run("operations", "wait", newest(run)), 4)
    assert message.startswith("the column [Rows] is STRING in the table")


def test_waiting_for_a_crashed_operation_says_how_to_go_on(run: Run, crashed: str) -> None:
    message, hint = error_of(run("operations", "wait", crashed), 1)
    assert message == "the process that ran the operation is gone."
    assert hint == f"Go on with it: dicombq operations resume {crashed}"


def test_a_timeout_ends_the_waiting_with_5(run: Run, gate: Gate, running: str) -> None:
    result = run("operations", "wait", running, "--timeout=0s")
    assert "to complete...the operation goes on.\n" in result.err
    message, hint = error_of(result, 5)
    assert message == f"operation [{running}] still runs (LOADING)."
    assert hint == f"Wait longer: dicombq operations wait {running}"
    assert gate.newest().state is State.LOADING


def test_ctrl_c_ends_the_waiting_only(gate: Gate, running: str) -> None:
    waiting = start("operations", "wait", running)
    said = read_until(waiting, "to complete...")
    waiting.send_signal(signal.SIGINT)
    result = finished(waiting)
    assert (result.code, result.out) == (130, "")
    assert "to complete...the operation goes on.\n" in said + result.err
    assert gate.newest().state is State.LOADING


# cancel


def test_off_a_terminal_nothing_is_cancelled_without_quiet(spawn: Run, gate: Gate, running: str) -> None:
    result = spawn("operations", "cancel", running)
    message, hint = error_of(result, 1)
    assert result.err.startswith(
        f"Operation [{gate.newest().name}] will be cancelled.\n\nDo you want to continue (Y/n)?"
    )
    assert message.startswith("This prompt could not be answered")
    assert "--quiet" in hint
    assert gate.newest().state is State.LOADING


def test_an_export_that_runs_elsewhere_is_cancelled(run: Run, gate: Gate, scans: Path, home: Path) -> None:
    export = start("export", "bq", "scans")
    identity = gate.wait_for(State.LOADING).id
    result = run("operations", "cancel", identity, "--quiet")
    assert (result.code, result.out, result.err) == (0, "{}\n", "")
    ended = finished(export)
    assert (ended.code, ended.out) == (1, "")
    assert "to complete...cancelled.\n" in ended.err
    assert ended.err.splitlines()[-2:] == [
        "ERROR: (dicombq.export.bq) the operation was cancelled.",
        f"Go on with it: dicombq operations resume {identity}",
    ]
    described = json.loads(run("operations", "describe", identity, "--format=json").out)
    assert (described["done"], described["error"]["code"]) == (True, 1)
    assert not (home / "warehouse.duckdb").exists()
    assert error_of(run("operations", "wait", identity), 1)[0] == "the operation was cancelled."
    assert run("operations", "resume", identity).code == 0
    assert rows(run) == "2"


@pytest.mark.parametrize(
    ("typed", "code"), [("y\n", 0), ("\n", 0), ("YES\n", 0), ("n\n", 1), ("what\n", 1), ("\x04", 1)]
)
def test_a_person_is_asked_before_an_operation_is_cancelled(gate: Gate, running: str, typed: str, code: int) -> None:
    result = answer(typed, "operations", "cancel", running)
    assert result.code == code
    assert "Do you want to continue (Y/n)?" in result.err
    assert ("Aborted by user." in result.err) == bool(code)
    assert gate.newest().state is (State.LOADING if code else State.CANCELLED)


def test_what_has_ended_cannot_be_cancelled(run: Run, crashed: str) -> None:
    message, _ = error_of(run("operations", "cancel", crashed), 4)
    assert message == f"operation [{crashed}] has ended already (CRASHED)."
    assert run("operations", "resume", crashed).code == 0
    message, _ = error_of(run("operations", "cancel", crashed, "--quiet"), 4)
    assert message == f"operation [{crashed}] has ended already (DONE)."


# resume


def test_a_crashed_operation_is_resumed(run: Run, crashed: str) -> None:
    result = run("operations", "resume", crashed)
    assert (result.code, result.out) == (0, f"name: {STORE}\n")
    first, table, _look = result.err.splitlines()
    assert first.endswith(f"/operations/{crashed}] to complete...done.")
    assert table.endswith("(2 new rows)")
    assert rows(run) == "2"
    assert run("operations", "describe", crashed, "--format=value(metadata.dicombq.state,error)").out == "DONE\t\n"


def test_a_done_operation_is_not_resumed(run: Run, scans: Path) -> None:
    run("export", "bq", "scans")
    identity = newest(run)
    message, hint = error_of(run("operations", "resume", identity), 4)
    assert message == f"operation [{identity}] is done."
    assert hint == "Run the export again for what came since."
    assert rows(run) == "2"


def test_a_running_operation_is_not_resumed(run: Run, gate: Gate, running: str) -> None:
    message, _ = error_of(run("operations", "resume", running), 11)
    assert f"operation {running} (process " in message
    assert gate.newest().state is State.LOADING


def test_an_operation_of_an_older_dicombq_is_not_resumed(run: Run, crashed: str, home: Path) -> None:
    edit_state(home, crashed, version=1, process={"pid": 1, "host": "h"})
    message, hint = error_of(run("operations", "resume", crashed), 4)
    assert message == f"operation [{crashed}] was begun by a dicombq that did not note what it was asked for."
    assert hint == "Begin it again."
    assert run("operations", "describe", crashed, "--format=value(done)").out == "True\n"
