"""``--async``: the export goes on in a process of its own."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from dicombq.operations.state import State
from dicombq.operations.store import OperationStore
from dicombq.system.locks import Holder, holder_of, is_locked
from tests.cli.conftest import Run
from tests.cli.gate import Gate
from tests.fakes.bigquery import BigQueryFake
from tests.fakes.cloud_logging import cloud_logging

STORE = "projects/local/locations/local/datasets/dicom/dicomStores/scans"


@pytest.fixture
def gate(gate: Gate) -> Iterator[Gate]:
    yield gate
    gate.open()
    for operation in gate.store.list()[0]:
        wait_for_end(operation.folder)


def wait_for_end(folder: Path) -> None:
    while is_locked(folder / "lock"):
        time.sleep(0.01)


def owner(home: Path, identity: str) -> Holder:
    found = holder_of(home / "operations" / identity / "lock")
    assert found is not None
    return found


def test_the_operation_is_printed_at_once(spawn: Run, scans: Path, gate: Gate) -> None:
    result = spawn("export", "bq", "scans", "--async")
    identity = gate.newest().id
    name = f"projects/local/locations/local/datasets/dicom/operations/{identity}"
    assert result.code == 0
    assert result.err.splitlines() == ["Request issued for: [scans]", f"Check operation [{name}] for status."]
    printed = yaml.safe_load(result.out)
    assert printed["name"] == name
    assert printed["metadata"]["dicombq"]["state"] == "QUEUED"
    assert "done" not in printed
    assert spawn("operations", "describe", identity, "--format=value(done)").out == "\n"
    gate.open()
    waited = spawn("operations", "wait", identity)
    assert (waited.code, waited.out) == (0, f"name: {STORE}\n")


def test_the_operation_is_printed_as_asked_for(run: Run, scans: Path, home: Path) -> None:
    result = run("export", "bq", "scans", "--async", "--format=value(name)")
    identity = result.out.strip().rpartition("/")[2]
    assert run("operations", "wait", identity).code == 0


def test_the_counters_are_live(spawn: Run, broken: Path, gate: Gate) -> None:
    spawn("export", "bq", "scans", "--async")
    identity = gate.wait_for(State.LOADING).id
    described = json.loads(spawn("operations", "describe", identity, "--format=json").out)
    assert described["metadata"]["counter"] == {"pending": "0", "success": "2", "failure": "1"}
    assert described["metadata"]["dicombq"]["state"] == "LOADING"
    gate.open()
    assert spawn("operations", "wait", identity).code == 3


def test_the_flags_go_with_it(spawn: Run, scans: Path, gate: Gate) -> None:
    gate.open()
    flags = ["--workers=2", "--lock-timeout=5s", "--schema=json", "--include-source-store", "--max-element-size=100"]
    assert spawn("export", "bq", "scans", "--async", "--bq-table=duckdb://x.duckdb/d.t", *flags).code == 0
    assert spawn("operations", "wait", gate.newest().id).code == 0
    sql = "SELECT SourceDicomStore, DroppedTags, Metadata FROM d.t LIMIT 1"
    [row] = csv.DictReader(io.StringIO(spawn("query", sql, "--warehouse=duckdb://x.duckdb", "--format=csv").out))
    assert row["SourceDicomStore"] == STORE
    assert '"CT"' in row["Metadata"]


def test_what_can_be_refused_is_refused_before_it_returns(spawn: Run, scans: Path, gate: Gate) -> None:
    assert spawn("export", "bq", "nowhere", "--async").code == 7
    assert gate.store.list() == ([], [])
    assert spawn("export", "bq", "scans", "--async").code == 0
    locked = spawn("export", "bq", "scans", "--async")
    assert (locked.code, locked.out) == (11, "")
    assert f"operation {gate.newest().id} (process " in locked.err
    gate.open()
    assert spawn("operations", "wait", gate.newest().id).code == 0
    exists = spawn("export", "bq", "scans", "--async")
    assert (exists.code, exists.out) == (4, "")
    assert exists.err.startswith("ERROR: (dicombq.export.bq) the table [")
    assert spawn("export", "bq", "scans", "--async", "--bq-table=x").code == 2
    assert len(gate.store.list()[0]) == 1


def test_it_outlives_the_terminal_it_was_begun_on(scans: Path, gate: Gate, home: Path) -> None:
    controller, side = pty.openpty()
    # the shell leads a session of its own, and takes the terminal that it opens first
    script = f'exec 0<>{os.ttyname(side)} 1>&0 2>&0; "$0" -m dicombq export bq scans --async'
    with subprocess.Popen(["sh", "-c", script, sys.executable], start_new_session=True) as shell:
        shell.wait()
    assert b"state: QUEUED" in os.read(controller, 65536)
    os.close(side)
    os.close(controller)
    operation = gate.wait_for(State.LOADING)
    process = owner(home, operation.id).pid
    assert os.getsid(process) == process
    gate.open()
    assert gate.wait_for(State.DONE).counters.success == 2


@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&- 2>&-"])
def test_it_runs_where_standard_streams_are_closed(run: Run, scans: Path, home: Path, closed: str) -> None:
    script = f'"$0" -m dicombq export bq scans --async {closed}'
    assert subprocess.run(["sh", "-c", script, sys.executable], capture_output=True, check=False).returncode == 0
    [operation], _ = OperationStore(home).list()
    assert run("operations", "wait", operation.id).code == 0


def test_its_output_goes_nowhere_else(spawn: Run, scans: Path, gate: Gate, home: Path) -> None:
    spawn("export", "bq", "scans", "--async")  # ends although the process goes on: no pipe is left open
    process = owner(home, gate.wait_for(State.LOADING).id).pid
    outputs = {os.readlink(f"/proc/{process}/fd/{number}") for number in (0, 1, 2)}
    assert outputs == {os.devnull, str(gate.newest().folder / "output")}


def test_its_failure_is_seen_by_whoever_looks(spawn: Run, scans: Path, home: Path, bigquery: BigQueryFake) -> None:
    bigquery.forbidden.add("jobs.insert")
    assert spawn("export", "bq", "scans", "--async", "--bq-table=bq://p.d.t").code == 0
    identity = OperationStore(home).list()[0][0].id
    waited = spawn("operations", "wait", identity)
    assert (waited.code, waited.out) == (6, "")
    message = "BigQuery does not permit to use the table [bq://p.d.t]"
    assert f"ERROR: (dicombq.operations.wait) {message}.\n" in waited.err
    assert "roles/bigquery.dataEditor" in waited.err
    wait_for_end(home / "operations" / identity)
    described = json.loads(spawn("operations", "describe", identity, "--format=json").out)
    assert described["error"] == {"code": 7, "message": message}
    lines = (home / "logs" / f"{identity}.jsonl").read_text().splitlines()
    assert [json.loads(line)["message"] for line in lines] == [message]
    assert message in (home / "operations" / identity / "output").read_text()
    [entry] = json.loads(spawn("operations", "logs", identity, "--format=json").out)
    assert (entry["severity"], entry["code"], entry["message"]) == ("ERROR", "PERMISSION_DENIED", message)


def test_one_that_is_killed_has_crashed_and_is_resumed(spawn: Run, scans: Path, gate: Gate, home: Path) -> None:
    spawn("export", "bq", "scans", "--async")
    identity = gate.wait_for(State.LOADING).id
    os.kill(owner(home, identity).pid, signal.SIGKILL)
    assert gate.wait_for(State.CRASHED).id == identity
    assert spawn("operations", "wait", identity).code == 1
    gate.open()
    assert spawn("operations", "resume", identity).code == 0
    assert gate.newest().counters.success == 2


def test_one_that_is_terminated_is_cancelled(spawn: Run, scans: Path, gate: Gate, home: Path) -> None:
    spawn("export", "bq", "scans", "--async")
    identity = gate.wait_for(State.LOADING).id
    os.kill(owner(home, identity).pid, signal.SIGTERM)
    assert gate.wait_for(State.CANCELLED).id == identity


def test_it_is_cancelled_as_any_other(spawn: Run, scans: Path, gate: Gate, home: Path) -> None:
    spawn("export", "bq", "scans", "--async")
    identity = gate.wait_for(State.LOADING).id
    assert spawn("operations", "cancel", identity, "--quiet").code == 0
    assert gate.newest().state is State.CANCELLED
    assert not (home / "warehouse.duckdb").exists()


@pytest.mark.parametrize("module", ["json", "click", "dicombq", "sitecustomize"])
def test_a_module_in_the_current_folder_is_not_imported(
    run: Run, scans: Path, here: Path, home: Path, module: str
) -> None:
    (here / f"{module}.py").write_text("raise SystemExit(99)")
    assert run("export", "bq", "scans", "--async").code == 0
    assert run("operations", "wait", OperationStore(home).list()[0][0].id).code == 0


def test_relative_paths_stay_what_they_are(
    spawn: Run, broken: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with cloud_logging(here, monkeypatch) as cloud:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "key.json")
        monkeypatch.setenv("DICOMBQ_HOME", "beside")
        table = "--bq-table=duckdb://x.duckdb/d.t"
        assert spawn("export", "bq", "./scans", table, "--async", "--log-to-cloud").code == 0
        [operation] = OperationStore(here / "beside").list()[0]
        assert spawn("operations", "wait", operation.id).code == 3
        wait_for_end(operation.folder)
        assert len(cloud.entries) == 1
    assert (here / "x.duckdb").exists()


def test_an_operation_is_resumed_from_another_folder(
    spawn: Run, scans: Path, here: Path, gate: Gate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate.crash()
    spawn("export", "bq", "scans", "--async", "--bq-table=duckdb://x.duckdb/d.t")
    identity = gate.wait_for(State.CRASHED).id
    gate.crash(crash=False)
    gate.open()
    monkeypatch.chdir(tmp_path)
    assert spawn("operations", "resume", identity).code == 0
    assert (here / "x.duckdb").exists()
    assert not (tmp_path / "x.duckdb").exists()
