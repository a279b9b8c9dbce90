"""``operations prune``: what is left of operations that ended long ago is deleted, and nothing else."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from dicombq.operations.state import State
from dicombq.operations.store import OperationStore
from dicombq.system.locks import FileLock, Holder
from tests.cli.conftest import Run
from tests.cli.gate import Gate, answer, finished, start
from tests.fakes.bigquery import BigQueryFake

OLD = "1000000000000000000"
"""The ID of an operation of the year 2001."""


@pytest.fixture
def done(run: Run, scans: Path, home: Path) -> str:
    """The ID of an export that is done."""
    run("export", "bq", "scans")
    return OperationStore(home).list()[0][0].id


def left(home: Path) -> list[str]:
    return sorted(os.listdir(home / "operations"))


def edit_state(home: Path, identity: str, **changes: object) -> None:
    path = home / "operations" / identity / "state.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_operations_that_ended_are_deleted_and_tables_stay(run: Run, done: str, home: Path) -> None:
    result = run("operations", "prune", "--older-than=0s", "--quiet")
    assert (result.code, result.out, result.err) == (0, "", f"Deleted operation [{done}].\n")
    assert left(home) == os.listdir(home / "logs") == []
    assert run("operations", "describe", done).code == 7
    assert run("query", "SELECT COUNT(*) FROM dicom.scans", "--format=csv").out.splitlines()[-1] == "2"
    assert run("export", "bq", "scans", "--overwrite-table").code == 0


@pytest.mark.parametrize("flags", [[], ["--older-than=1d"], ["--older-than=1h"]])
def test_operations_that_ended_later_are_kept(run: Run, done: str, home: Path, flags: list[str]) -> None:
    result = run("operations", "prune", *flags)
    assert (result.code, result.out, result.err) == (0, "", "There is nothing to delete.\n")
    assert left(home) == [done]


def test_without_operations_there_is_nothing_to_delete(run: Run) -> None:
    result = run("operations", "prune", "--older-than=0")
    assert (result.code, result.err) == (0, "There is nothing to delete.\n")


def test_the_age_is_counted_from_the_end(run: Run, done: str, home: Path) -> None:
    run("export", "bq", "scans", "--overwrite-table")
    newer = OperationStore(home).list()[0][0].id
    edit_state(home, done, end_time="2026-01-02T03:04:05.000001Z")
    assert run("operations", "prune", "--quiet").err == f"Deleted operation [{done}].\n"
    assert left(home) == [newer]
    assert os.listdir(home / "logs") == [f"{newer}.jsonl"]


def test_off_a_terminal_nothing_is_deleted_without_quiet(spawn: Run, done: str, home: Path) -> None:
    result = spawn("operations", "prune", "--older-than=0s")
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("State, log and staged files of 1 operation(s) will be deleted.\n\nDo you want to")
    assert "ERROR: (dicombq.operations.prune) This prompt could not be answered" in result.err
    assert left(home) == [done]


@pytest.mark.parametrize(("typed", "code"), [("y\n", 0), ("n\n", 1)])
def test_a_person_is_asked_before_operations_are_deleted(done: str, home: Path, typed: str, code: int) -> None:
    result = answer(typed, "operations", "prune", "--older-than=0s")
    assert result.code == code
    assert left(home) == ([done] if code else [])


def test_what_runs_is_kept(run: Run, done: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(tmp_path, home, monkeypatch)
    export = start("export", "bq", "scans", "--overwrite-table")
    identity = gate.wait_for(State.LOADING).id
    assert run("operations", "prune", "--older-than=0s", "--quiet").err == f"Deleted operation [{done}].\n"
    assert left(home) == [identity]
    gate.open()
    assert finished(export).code == 0


def test_one_that_cannot_be_deleted_does_not_keep_the_others(run: Run, done: str, home: Path) -> None:
    run("export", "bq", "scans", "--overwrite-table")
    newer = OperationStore(home).list()[0][0].id
    with FileLock.acquire(home / "operations" / newer / "lock", "it", Holder.process(newer)):
        result = run("operations", "prune", "--older-than=0s", "--quiet")
    assert result.code == 11
    assert f"WARNING: operation [{newer}] is kept: " in result.err
    assert f"Deleted operation [{done}]." in result.err
    assert left(home) == [newer]


def test_staged_files_of_what_failed_are_deleted(run: Run, scans: Path, home: Path, bigquery: BigQueryFake) -> None:
    bigquery.forbidden.add("jobs.insert")
    assert run("export", "bq", "scans", "--bq-table=bq://p.d.t").code == 6
    assert list((home / "operations").rglob("*.ndjson.gz")) != []
    assert run("operations", "prune", "--older-than=0s", "--quiet").code == 0
    assert left(home) == []


@pytest.mark.parametrize("state", ["LOADING", "QUEUED"])
def test_what_crashed_long_ago_is_deleted(run: Run, done: str, home: Path, state: str) -> None:
    edit_state(home, done, state=state, end_time=None)
    assert run("operations", "prune").err == "There is nothing to delete.\n"
    (home / "operations" / done).rename(home / "operations" / OLD)
    assert run("operations", "prune", "--quiet").err == f"Deleted operation [{OLD}].\n"
    assert left(home) == []


@pytest.mark.parametrize("name", ["state.json", "state.json.damaged", "nothing"])
def test_old_folders_without_a_readable_state_are_swept(run: Run, done: str, home: Path, name: str) -> None:
    for identity in (OLD, f"{done}1"):
        (home / "operations" / identity).mkdir()
        (home / "operations" / identity / name).write_text("{")
    assert run("operations", "prune", "--quiet").err == f"Deleted operation [{OLD}].\n"
    assert left(home) == sorted([done, f"{done}1"])


def test_what_a_newer_dicombq_wrote_is_kept(run: Run, done: str, home: Path) -> None:
    edit_state(home, done, version=99)
    (home / "operations" / done).rename(home / "operations" / OLD)
    assert run("operations", "prune", "--quiet").err == "There is nothing to delete.\n"
    assert left(home) == [OLD]


def test_what_is_no_operation_is_left_alone(run: Run, done: str, home: Path) -> None:
    (home / "operations" / "notes").mkdir()
    (home / "logs" / "notes.jsonl").write_text("")
    assert run("operations", "prune", "--older-than=0s", "--quiet").code == 0
    assert left(home) == ["notes"]
    assert os.listdir(home / "logs") == ["notes.jsonl"]
