from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import duckdb
import pytest

from dicombq.errors import (
    DestinationChanged,
    DicombqError,
    FailedPrecondition,
    Locked,
    NewerState,
    OperationEnded,
    SourceChanged,
    TableExists,
    Temporary,
)
from dicombq.export.request import ExportRequest
from dicombq.export.task import ExportTask, export_task
from dicombq.names import DuckdbTable, Parent
from dicombq.operations import jobs
from dicombq.operations.kinds import Settings
from dicombq.operations.state import Counters, Operation, State
from dicombq.operations.store import OperationStore
from dicombq.stores.folder import FolderStore
from dicombq.table.disposition import Disposition
from dicombq.warehouses.destination import BigQueryDestination
from tests.instances import write_instance, write_truncated
from tests.operations.kinds import STORE, Numbers


class Stop(Exception):
    """Ends an export at a moment that a test chooses."""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(tmp_path, workers=1)


@pytest.fixture
def task(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ExportTask:
    """Five files: three rows, one of them twice, and a broken one, in shards of two."""
    monkeypatch.setattr("dicombq.shards.listing.SHARD_SIZE", 2)
    scans = tmp_path / "scans"
    for number in (1, 2, 3):
        write_instance(scans / f"{number}.dcm", number)
    copy = write_instance(scans / "copy.dcm", 1)
    os.utime(copy, (4_000_000_000, 4_000_000_000))
    write_truncated(scans / "broken.dcm")
    (scans / "notes.txt").write_text("notes")
    store = FolderStore.open(str(scans), Parent())
    return export_task(
        ExportRequest(store, BigQueryDestination(DuckdbTable(tmp_path / "x.duckdb", "d", "t"))), settings
    )


def to(table: DuckdbTable, task: ExportTask, settings: Settings, disposition: Disposition) -> ExportTask:
    """The same export to another table."""
    return export_task(ExportRequest(task.export_request.store, BigQueryDestination(table, disposition)), settings)


FINISHED = Counters(pending=0, found=5, success=3, failure=1, duplicates=1, skipped=1)


def stop_in(state: State, settings: Settings, task: ExportTask, *, looks: int = 1) -> str:
    """Export until a state was seen so many times, and end in failure there."""
    left = looks

    def stop(operation: Operation) -> None:
        nonlocal left
        left -= operation.state is state
        if not left:
            raise Stop

    with pytest.raises(Stop), jobs.begin(task, settings) as job:
        job.run(stop)
    return job.operation.id


def stop_before_the_view(settings: Settings, task: ExportTask, monkeypatch: pytest.MonkeyPatch) -> str:
    """Export, and end in failure when the rows are loaded."""

    def stop(*_arguments: object) -> None:
        raise Stop

    with monkeypatch.context() as patch:
        patch.setattr("dicombq.export.run.Export._replace_view", stop)
        with pytest.raises(Stop), jobs.begin(task, settings) as job:
            job.run(lambda _operation: None)
    return job.operation.id


def go_on(identity: str, settings: Settings) -> Operation:
    with jobs.resume(identity, settings) as job:
        job.run(lambda _operation: None)
    return OperationStore(settings.home).get(identity)


def rows(settings: Settings) -> int:
    with duckdb.connect(str(settings.home / "x.duckdb"), read_only=True) as connection:
        [[number]] = connection.execute("SELECT COUNT(*) FROM d.t").fetchall()
    return int(number)


def log_of(settings: Settings, identity: str) -> list[tuple[str, str, str]]:
    entries = OperationStore(settings.home).logs(identity)
    return sorted((entry["severity"], Path(entry["uri"]).name, entry["message"]) for entry in entries)


@pytest.mark.parametrize(
    ("state", "looks"),
    [(State.LISTING, 1), (State.LISTING, 4), (State.STAGING, 1), (State.STAGING, 3), (State.LOADING, 1)],
)
def test_an_export_goes_on_where_it_ended(settings: Settings, task: ExportTask, state: State, looks: int) -> None:
    identity = stop_in(state, settings, task, looks=looks)
    assert OperationStore(settings.home).get(identity).state is State.FAILED
    operation = go_on(identity, settings)
    assert (operation.state, operation.counters, operation.error) == (State.DONE, FINISHED, None)
    assert rows(settings) == 3
    whole = to(DuckdbTable(settings.home / "y", "d", "t"), task, settings, Disposition.NONE)
    with jobs.begin(whole, settings) as job:
        job.run(lambda _operation: None)
    assert log_of(settings, identity) == log_of(settings, job.operation.id)


def test_a_shard_with_a_receipt_is_not_read_again(settings: Settings, task: ExportTask) -> None:
    identity = stop_in(State.STAGING, settings, task, looks=3)
    receipts = OperationStore(settings.home).get(identity).folder / "receipts"
    for path in receipts.iterdir():
        state = json.loads(path.read_bytes())
        state["log"].append({"severity": "INFO", "code": "", "uri": "/mark", "tag": "", "message": path.name})
        path.write_text(json.dumps(state))
    marked = sorted(path.name for path in receipts.iterdir())
    assert len(marked) == 2
    go_on(identity, settings)
    assert [message for _, name, message in log_of(settings, identity) if name == "mark"] == marked


def test_an_export_whose_rows_are_there_is_not_loaded_again(
    settings: Settings, task: ExportTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = stop_before_the_view(settings, task, monkeypatch)
    assert rows(settings) == 3
    assert go_on(identity, settings).counters == FINISHED
    assert rows(settings) == 3


def test_rows_that_were_loaded_and_deleted_are_not_claimed(
    settings: Settings, task: ExportTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = stop_before_the_view(settings, task, monkeypatch)
    with duckdb.connect(str(settings.home / "x.duckdb")) as connection:
        connection.execute("DROP TABLE d.t")
    with pytest.raises(DestinationChanged, match="has been deleted since"):
        go_on(identity, settings)


def test_a_table_that_was_made_meanwhile_is_refused(settings: Settings, task: ExportTask) -> None:
    identity = stop_in(State.STAGING, settings, task)
    with duckdb.connect(str(settings.home / "x.duckdb")) as connection:
        connection.execute("CREATE SCHEMA d; CREATE TABLE d.t (a INT)")
    before = OperationStore(settings.home).get(identity)
    with pytest.raises(TableExists):
        go_on(identity, settings)
    assert OperationStore(settings.home).get(identity) == before


def test_a_source_that_is_gone_is_refused_while_it_is_needed(settings: Settings, task: ExportTask) -> None:
    identity = stop_in(State.STAGING, settings, task, looks=3)
    scans = Path(task.export_request.store.source)
    scans.rename(scans.with_name("moved"))
    with pytest.raises(SourceChanged, match="none is there any more") as error:
        go_on(identity, settings)
    assert "mounted" in error.value.hint
    scans.with_name("moved").rename(scans)
    assert go_on(identity, settings).counters == FINISHED


def test_a_source_that_is_gone_is_not_missed_when_all_is_read(settings: Settings, task: ExportTask) -> None:
    identity = stop_in(State.LOADING, settings, task)
    Path(task.export_request.store.source).rename(settings.home / "moved")
    assert go_on(identity, settings).counters == FINISHED


def test_rows_of_two_versions_are_not_mixed(
    settings: Settings, task: ExportTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = stop_in(State.STAGING, settings, task, looks=3)
    monkeypatch.setattr("dicombq.shards.work.__version__", "99")
    with pytest.raises(SourceChanged, match=r"was begun by dicombq .*, whose rows may differ from those of 99"):
        go_on(identity, settings)


def test_what_is_done_is_not_resumed(settings: Settings, task: ExportTask) -> None:
    with jobs.begin(task, settings) as job:
        job.run(lambda _operation: None)
    with pytest.raises(OperationEnded, match="is done"):
        go_on(job.operation.id, settings)


@pytest.mark.parametrize(
    ("change", "error"),
    [({"request": None}, OperationEnded), ({"kind": "export to paper"}, NewerState)],
)
def test_an_operation_that_cannot_be_understood_is_not_resumed(
    settings: Settings, task: ExportTask, change: dict[str, object], error: type[DicombqError]
) -> None:
    identity = stop_in(State.STAGING, settings, task)
    path = OperationStore(settings.home).get(identity).folder / "state.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | change))
    with pytest.raises(error, match=r"did not note what|is of a kind that"):
        go_on(identity, settings)


def test_an_operation_that_runs_is_not_resumed(settings: Settings, task: ExportTask) -> None:
    with jobs.begin(task, settings) as job:
        identity = job.operation.id
        with pytest.raises(Locked, match=rf"the table \[duckdb://.*\] is locked by operation {identity} \(process"):
            go_on(identity, settings)
        job.running.enter(State.DONE)


def test_an_export_that_is_refused_leaves_no_operation(settings: Settings, task: ExportTask) -> None:
    with duckdb.connect(str(settings.home / "x.duckdb")) as connection:
        connection.execute("CREATE SCHEMA d; CREATE TABLE d.t (a INT)")
    with pytest.raises(TableExists), jobs.begin(task, settings):
        pass
    assert OperationStore(settings.home).list() == ([], [])


def test_an_export_goes_on_in_a_process_of_its_own(settings: Settings, task: ExportTask) -> None:
    script = (
        "import sys\nfrom pathlib import Path\nimport dicombq.export.task\nfrom dicombq.operations import jobs\n"
        "home, identity, *locks = sys.argv[1:]\n"
        "with jobs.adopt(identity, [int(lock) for lock in locks], jobs.Settings(Path(home))) as job:\n"
        "    job.run(lambda operation: None)\n"
    )
    operation = jobs.detach(task, settings, [sys.executable, "-c", script, str(settings.home)])
    assert operation.state is State.QUEUED
    *_, last = OperationStore(settings.home).follow(operation.id, 60)
    assert (last.state, last.counters) == (State.DONE, FINISHED)


def test_an_operation_that_is_cancelled_before_its_process_runs_it_ends(settings: Settings, task: ExportTask) -> None:
    script = (
        "import signal, sys, time\nfrom pathlib import Path\nimport dicombq.export.task\n"
        "from dicombq.operations import jobs\nsignal.signal(signal.SIGTERM, signal.default_int_handler)\n"
        "home, identity, *locks = sys.argv[1:]\n"
        "while not (Path(home) / 'operations' / identity / 'cancel').exists():\n    time.sleep(0.01)\n"
        "with jobs.adopt(identity, [int(lock) for lock in locks], jobs.Settings(Path(home))) as job:\n"
        "    while True:\n        time.sleep(0.01)\n"
    )
    operation = jobs.detach(task, settings, [sys.executable, "-c", script, str(settings.home)])
    operations = OperationStore(settings.home)
    operations.ask_to_end(operation.id)
    *_, last = operations.follow(operation.id, 60)
    assert last.state.ended


def test_a_process_that_cannot_be_started_ends_the_operation(settings: Settings, task: ExportTask) -> None:
    with pytest.raises(FileNotFoundError):
        jobs.detach(task, settings, ["/nowhere/python"])
    [operation], _ = OperationStore(settings.home).list()
    assert operation.state is State.FAILED


def test_a_temporary_error_is_mended_by_going_on(
    settings: Settings, task: ExportTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> None:
        raise Temporary("busy")

    with monkeypatch.context() as patch:
        patch.setattr("dicombq.warehouses.duckdb.DuckdbWarehouse.load", fail)
        with pytest.raises(Temporary), jobs.begin(task, settings) as job:
            job.run(lambda _operation: None)
    assert not (settings.home / "x.duckdb").exists()
    assert go_on(job.operation.id, settings).state is State.DONE
    assert rows(settings) == 3


@pytest.mark.parametrize("detached", [False, True])
def test_operations_of_every_kind_begin_and_go_on_alike(settings: Settings, detached: bool) -> None:
    stop = settings.home / "stop"
    stop.touch()
    numbers = Numbers(STORE, 4, stop)
    script = (
        "import sys\nfrom pathlib import Path\nimport tests.operations.kinds\nfrom dicombq.operations import jobs\n"
        "home, identity, *locks = sys.argv[1:]\n"
        "with jobs.adopt(identity, [int(lock) for lock in locks], jobs.Settings(Path(home))) as job:\n"
        "    job.run(lambda operation: None)\n"
    )
    if detached:
        begun = jobs.detach(numbers, settings, [sys.executable, "-c", script, str(settings.home)])
        *_, operation = OperationStore(settings.home).follow(begun.id, 60)
    else:
        with pytest.raises(FailedPrecondition, match="stopped in the middle"), jobs.begin(numbers, settings) as job:
            job.run(lambda _operation: None)
        operation = OperationStore(settings.home).get(job.operation.id)
    assert (operation.state, operation.counters.success) == (State.FAILED, 2)
    assert (operation.folder / "saved").exists()
    stop.unlink()
    api = go_on(operation.id, settings).to_api()
    kind = "type.googleapis.com/google.cloud.healthcare.v1.dicom.ImportDicomDataResponse"
    assert api["response"] == {"@type": kind}
    assert api["metadata"]["apiMethodName"] == "google.cloud.healthcare.v1.dicom.DicomService.ImportDicomData"
    assert api["metadata"]["counter"]["success"] == "4"
    with pytest.raises(FailedPrecondition, match="fewer"), jobs.begin(Numbers(STORE, -1, stop), settings):
        pass
