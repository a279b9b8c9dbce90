from __future__ import annotations

import json
from pathlib import Path

import pytest

from dicombq.errors import CancelledElsewhere, Crashed, DicombqError, NewerState, TableExists
from dicombq.names import Parent
from dicombq.operations.state import STATE_VERSION, Counters, Operation, OperationError, State

FOLDER = Path("/home/operations/5")
VERSION_1 = {
    "id": "5",
    "parent": {"project": "p", "location": "l", "dataset": "d"},
    "store": "projects/p/locations/l/datasets/d/dicomStores/scans",
    "target": "bq://p.d.t",
    "logs_url": "file:///home/logs/5.jsonl",
    "create_time": "2026-11-21T20:24:00.123456Z",
    "api_version": "v1",
    "state": "FAILED",
    "end_time": "2026-11-21T20:24:09.654321Z",
    "counters": {
        "pending": 0, "found": 3, "success": 2, "failure": 1, "duplicates": 0, "skipped": 4, "notices": 5,
    },
    "error": {"code": 9, "message": "the table [bq://p.d.t] exists already"},
    "process": {"pid": 77, "host": "h"},
    "version": 1,
}  # fmt: skip
"""As dicombq 0.1 wrote it."""


def operation() -> Operation:
    return Operation(
        "5",
        "import numbers",
        "ImportDicomData",
        Parent(),
        "s/scans",
        "bq://p.d.t",
        FOLDER,
        "file:///x",
        "2026-11-21T20:24:00.123456Z",
    )


def test_a_state_is_read_as_it_was_written() -> None:
    written = operation()
    written.state, written.load_begun, written.request = State.LOADING, True, {"a": 1}
    written.error = OperationError.of(TableExists("there", "replace it"))
    assert Operation.from_json(written.to_json(), FOLDER) == written
    assert json.loads(written.to_json())["version"] == STATE_VERSION


def test_a_state_of_version_1_is_migrated() -> None:
    old = Operation.from_json(json.dumps(VERSION_1).encode(), FOLDER)
    assert (old.state, old.counters) == (State.FAILED, Counters(0, 3, 2, 1, 0, 4, 5))
    assert (old.kind, old.method, old.request) == ("export bq", "ExportDicomData", None)
    assert not old.load_begun
    assert old.to_api()["error"] == VERSION_1["error"]
    with pytest.raises(DicombqError, match="exists already"):
        old.raise_error()
    assert json.loads(old.to_json())["version"] == STATE_VERSION


def test_every_older_version_has_its_migration() -> None:
    for version in range(1, STATE_VERSION):
        migrated = Operation.from_json(json.dumps(VERSION_1 | {"version": version}).encode(), FOLDER)
        assert migrated.id == "5"


def test_a_newer_state_is_refused_with_advice() -> None:
    with pytest.raises(NewerState, match=r"operation \[5\] was written by a newer dicombq") as error:
        Operation.from_json(json.dumps(VERSION_1 | {"version": STATE_VERSION + 1}).encode(), FOLDER)
    assert error.value.hint == "Upgrade dicombq to read it."


def test_the_error_that_ended_an_operation_is_raised_again() -> None:
    ended = operation()
    ended.raise_error()
    ended.error = OperationError.of(TableExists("there", "replace it"))
    with pytest.raises(TableExists) as error:
        ended.raise_error()
    assert (error.value.message, error.value.hint, error.value.exit_code) == ("there", "replace it", 4)


def test_a_crashed_operation_says_how_to_go_on() -> None:
    crashed = operation()
    crashed.mark_crashed()
    with pytest.raises(Crashed, match="is gone") as error:
        crashed.raise_error()
    assert error.value.hint == "Go on with it: dicombq operations resume 5"


def test_a_crashed_operation_keeps_the_error_that_it_noted() -> None:
    crashed = operation()
    crashed.error = OperationError(14, "the load job was sent", "LoadUnsettled")
    crashed.mark_crashed()
    assert crashed.to_api()["error"] == {"code": 14, "message": "the load job was sent"}


@pytest.mark.parametrize("kind", ["Cancelled", "Terminated", "CancelledElsewhere"])
def test_who_waits_sees_that_others_cancelled(kind: str) -> None:
    cancelled = operation()
    cancelled.error = OperationError(1, "interrupted", kind, "Go on with it.")
    with pytest.raises(CancelledElsewhere, match="interrupted") as error:
        cancelled.raise_error()
    assert (error.value.exit_code, error.value.hint) == (1, "Go on with it.")
