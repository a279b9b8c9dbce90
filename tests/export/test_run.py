from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dicombq.engines.local import LocalEngine
from dicombq.errors import (
    Cancelled,
    CancelledElsewhere,
    Failed,
    FailedPrecondition,
    Locked,
    SchemaConflict,
    SourceChanged,
    TableExists,
    TableNotEmpty,
    Temporary,
    TooManyColumns,
)
from dicombq.export.plan import plan
from dicombq.export.request import ExportRequest
from dicombq.export.run import Export
from dicombq.export.task import EXPORT_BQ
from dicombq.names import DuckdbTable, Parent
from dicombq.operations import jobs
from dicombq.operations.kinds import Settings
from dicombq.operations.running import RunningOperation
from dicombq.operations.state import Operation, OperationError, State
from dicombq.shards import listing
from dicombq.stores.filters import Filter
from dicombq.stores.folder import FolderStore
from dicombq.table import fields
from dicombq.table.disposition import Disposition, TableState
from dicombq.table.fields import Field
from dicombq.warehouses.base import LoadResult, Table
from dicombq.warehouses.destination import BigQueryDestination
from dicombq.warehouses.duckdb import DuckdbWarehouse
from tests.export.lab import Lab, lab
from tests.instances import ROOT, write_instance, write_truncated

__all__ = ["lab"]  # a fixture


def fill(lab: Lab) -> None:
    """Three instances, one of them twice, a broken one, and two files of other kinds."""
    for number in (1, 2, 3):
        write_instance(lab.scans / f"{number}.dcm", number)
    copy = write_instance(lab.scans / "copy" / "1.dcm", 1, PatientID="new")
    os.utime(copy, (4_000_000_000, 4_000_000_000))
    write_truncated(lab.scans / "broken.dcm")
    (lab.scans / "empty.dcm").write_bytes(b"")
    (lab.scans / "notes.txt").write_text("notes")


@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_found_succeeds_fails_or_is_a_duplicate(
    lab: Lab, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(lab)
    lab.workers = workers
    monkeypatch.setattr(listing, "SHARD_SIZE", 2)
    counters = lab.export().counters
    assert (counters.found, counters.success, counters.failure, counters.duplicates) == (6, 3, 2, 1)
    assert (counters.skipped, counters.pending) == (1, 0)
    assert lab.query("SELECT SOPInstanceUID[-1:], PatientID FROM d.t ORDER BY 1") == [
        ("1", "new"),
        ("2", None),
        ("3", None),
    ]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_filter_leaves_out_what_it_does_not_name_and_tells_of_lines_that_name_nothing(
    lab: Lab, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(lab)
    lab.workers = workers
    monkeypatch.setattr(listing, "SHARD_SIZE", 2)
    series = f"/studies/{ROOT}.1/series/{ROOT}.1.1"
    lines = [
        "path",
        f"{series}/instances/{ROOT}.1.1.1",
        "/studies/9.9",
        f"{series}/instances/{ROOT}.1.1.3",
        "/studies/8",
    ]
    operation = lab.export(wanted=Filter("f.csv", io.BytesIO("\n".join(lines).encode())))
    counters = operation.counters
    assert (counters.found, counters.success, counters.failure, counters.duplicates) == (5, 2, 2, 1)
    assert (counters.skipped, counters.pending, counters.notices) == (2, 0, 2)
    assert lab.query("SELECT SOPInstanceUID[-1:], PatientID FROM d.t ORDER BY 1") == [("1", "new"), ("3", None)]
    told = [entry for entry in lab.log(operation) if entry[2] == "f.csv"]
    assert told == [
        ("INFO", "", "f.csv", "skipped: 1 instances that the filter does not name"),
        ("NOTICE", "NOT_FOUND", "f.csv", "line [3] of the filter names nothing in the store"),
        ("NOTICE", "NOT_FOUND", "f.csv", "line [5] of the filter names nothing in the store"),
    ]
    api = operation.to_api()
    assert api["metadata"]["apiMethodName"] == "google.cloud.healthcare.v1beta1.dicom.DicomService.ExportDicomData"


def test_every_copy_but_the_newest_gives_way(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "SHARD_SIZE", 3)
    for copy in range(10):
        for number in range(3):
            path = write_instance(lab.scans / f"{copy}-{number}.dcm", number, PatientID=str(copy))
            os.utime(path, (1_000_000_000 + copy, 1_000_000_000 + copy))
    counters = lab.export().counters
    assert (counters.found, counters.success, counters.duplicates) == (30, 3, 27)
    assert lab.query("SELECT PatientID, COUNT(*) FROM d.t GROUP BY 1") == [("9", 3)]


def test_counters_are_true_at_every_moment(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(lab)
    monkeypatch.setattr(listing, "SHARD_SIZE", 1)
    seen: list[tuple[State, int, int]] = []

    def watch(operation: Operation) -> None:
        counters = operation.counters
        assert counters.found == counters.success + counters.failure + counters.duplicates
        seen.append((operation.state, counters.pending, counters.found))

    lab.export(progress=watch)
    states = list(dict.fromkeys(state for state, _, _ in seen))
    assert states == [State.LISTING, State.STAGING, State.LOADING, State.DONE]
    assert next(entry for entry in seen if entry[0] is State.STAGING) == (State.STAGING, 7, 0)


def test_failures_are_logged_with_uri_code_and_reason(lab: Lab) -> None:
    fill(lab)
    (lab.scans / "gone.dcm").symlink_to("nowhere")
    os.mkfifo(lab.scans / "pipe")
    log = lab.log(lab.export())
    failures = [entry for entry in log if entry[0] == "ERROR"]
    assert sorted(failures, key=lambda entry: entry[2]) == [
        ("ERROR", "DATA_LOSS", "broken.dcm", "the file ends within element 0020000E"),
        ("ERROR", "INVALID_ARGUMENT", "empty.dcm", "no data elements found"),
        ("ERROR", "NOT_FOUND", "gone.dcm", "a link that leads nowhere (No such file or directory)"),
    ]
    others = {entry for entry in log if entry[0] == "INFO"}
    assert others == {
        ("INFO", "", "notes.txt", "skipped: not DICOM"),
        ("INFO", "", "pipe", "skipped: not a regular file"),
        ("INFO", "ALREADY_EXISTS", "1.dcm", f"duplicate: [{lab.scans / 'copy' / '1.dcm'}] is the newer copy"),
    }


def test_an_empty_folder_makes_an_empty_table(lab: Lab) -> None:
    operation = lab.export()
    assert operation.counters.found == 0
    assert lab.query("SELECT COUNT(*) FROM d.t") == [(0,)]
    assert lab.columns() == ["DroppedTags", "Type", "LastUpdated", "StorageClass", "BlobStorageSize"]


@pytest.mark.parametrize("link", [False, True])
@pytest.mark.parametrize("wanted", [None, "/studies/9.9"])
def test_a_table_with_rows_is_not_replaced_by_nothing(lab: Lab, link: bool, wanted: str | None) -> None:
    write_instance(lab.scans / "1.dcm", 1)
    lab.export()
    (lab.scans / "1.dcm").unlink()
    if link:
        (lab.scans / "current").symlink_to("nowhere")
    with pytest.raises(FailedPrecondition, match=r"no instance in .* could be exported, and .* has rows") as error:
        lab.export(Disposition.WRITE_TRUNCATE, wanted=Filter("f", io.BytesIO(wanted.encode())) if wanted else None)
    assert (error.value.exit_code, "mounted" in error.value.hint) == (4, True)
    assert lab.query("SELECT COUNT(*) FROM d.t") == [(1,)]


def test_a_filter_that_leaves_out_every_instance_replaces_a_table_by_an_empty_one(lab: Lab) -> None:
    write_instance(lab.scans / "1.dcm", 1)
    lab.export()
    lab.export(Disposition.WRITE_TRUNCATE, wanted=Filter("f", io.BytesIO(b"/studies/9.9")))
    assert lab.query("SELECT COUNT(*) FROM d.t") == [(0,)]


def go_away(scans: Path, state: State) -> Callable[[Operation], None]:
    """Have a folder moved when the first instance was listed, or read."""

    def watch(operation: Operation) -> None:
        counters = operation.counters
        if operation.state is state and (counters.success or counters.failure) and scans.exists():
            scans.rename(scans.with_name("moved"))

    return watch


@pytest.mark.parametrize("state", [State.LISTING, State.STAGING])
def test_a_source_that_goes_away_in_mid_run_replaces_no_table_and_is_read_again_by_resume(
    lab: Lab, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "SHARD_SIZE", 2)
    (lab.scans / "current").symlink_to("nowhere")
    for number in range(5):
        write_instance(lab.scans / f"{number}.dcm", number)
    write_instance(lab.scans / "below" / "5.dcm", 5)
    lab.export()
    with pytest.raises(SourceChanged, match="none is there any more"):
        lab.export(Disposition.WRITE_TRUNCATE, progress=go_away(lab.scans, state))
    assert (lab.last().state, lab.query("SELECT COUNT(*) FROM d.t")) == (State.FAILED, [(6,)])
    lab.scans.with_name("moved").rename(lab.scans)
    with jobs.resume(lab.last().id, Settings(lab.path, 1)) as job:
        job.run(lambda _operation: None)
    counters = job.operation.counters
    assert (job.operation.state, counters.found, counters.success, counters.failure) == (State.DONE, 7, 6, 1)


def test_a_single_file_that_goes_away_in_mid_run_is_a_failure(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "SHARD_SIZE", 2)
    for number in range(4):
        write_instance(lab.scans / f"{number}.dcm", number)

    def remove(operation: Operation) -> None:
        if operation.state is State.STAGING:
            (lab.scans / "0.dcm").unlink(missing_ok=True)

    counters = lab.export(progress=remove).counters
    assert (counters.success, counters.failure) == (3, 1)


def test_an_empty_table_is_replaced_by_an_empty_one(lab: Lab) -> None:
    lab.export()
    assert lab.export(Disposition.WRITE_TRUNCATE).state is State.DONE


def test_an_existing_table_is_refused_before_a_file_is_read(lab: Lab) -> None:
    write_instance(lab.scans / "1.dcm", 1)
    lab.export()
    warehouse = DuckdbWarehouse(lab.table.file)
    with pytest.raises(TableExists, match="exists already"):
        plan(lab.request(), warehouse)
    with pytest.raises(TableNotEmpty, match="is not empty"):
        plan(lab.request(Disposition.WRITE_EMPTY), warehouse)
    assert len(lab.operations.list()[0]) == 1


@pytest.mark.parametrize(
    ("disposition", "numbers"),
    [(Disposition.WRITE_TRUNCATE, ["2"]), (Disposition.WRITE_APPEND, ["1", "2"])],
)
def test_a_table_is_replaced_or_added_to(lab: Lab, disposition: Disposition, numbers: list[str]) -> None:
    write_instance(lab.scans / "1.dcm", 1, PatientID="A")
    lab.export()
    (lab.scans / "1.dcm").unlink()
    write_instance(lab.scans / "2.dcm", 2, AccessionNumber="B")
    lab.export(disposition)
    assert [row[0] for row in lab.query("SELECT SOPInstanceUID[-1:] FROM d.t ORDER BY 1")] == numbers
    assert ("PatientID" in lab.columns()) == (disposition is Disposition.WRITE_APPEND)
    assert "AccessionNumber" in lab.columns()


def test_an_existing_empty_table_is_loaded_and_keeps_its_columns(lab: Lab) -> None:
    with duckdb.connect(str(lab.table.file)) as connection:
        connection.execute("CREATE SCHEMA d; CREATE TABLE d.t (Mine VARCHAR)")
    write_instance(lab.scans / "1.dcm", 1)
    lab.export(Disposition.WRITE_EMPTY)
    assert lab.query("SELECT Mine, Modality FROM d.t") == [(None, "CT")]


def test_a_conflict_names_the_column_both_types_and_a_file(lab: Lab) -> None:
    with duckdb.connect(str(lab.table.file)) as connection:
        connection.execute("CREATE SCHEMA d; CREATE TABLE d.t (PatientID BIGINT)")
        connection.execute("INSERT INTO d.t VALUES (5)")
    write_instance(lab.scans / "1.dcm", 1)
    write_instance(lab.scans / "2.dcm", 2, PatientID="Canary")
    with pytest.raises(SchemaConflict) as error:
        lab.export(Disposition.WRITE_APPEND)
    assert error.value.message == (
        f"the column [PatientID] is INTEGER in the table [{lab.table}], but STRING in what is exported "
        f"([{lab.scans / '2.dcm'}] has it)"
    )
    assert lab.query("SELECT * FROM d.t") == [(5,)]
    assert (lab.last().state, lab.last().error) == (State.FAILED, OperationError.of(error.value))


def test_the_other_schema_is_refused_before_a_file_is_read(lab: Lab) -> None:
    write_instance(lab.scans / "1.dcm", 1)
    lab.export(schema_json=True)
    with pytest.raises(SchemaConflict, match="DroppedTags"):
        plan(lab.request(Disposition.WRITE_APPEND), DuckdbWarehouse(lab.table.file))
    again = lab.export(Disposition.WRITE_APPEND, schema_json=True)
    assert again.counters.success == 1


def test_the_json_schema_has_one_column_for_all_elements(lab: Lab) -> None:
    write_instance(lab.scans / "1.dcm", 1, PatientID="A")
    lab.export(schema_json=True)
    assert lab.query("""SELECT Metadata->>'$."00100020".Value[0]', StructuredStorageSize > 0 FROM d.t""") == [
        ("A", True)
    ]


@pytest.mark.parametrize("schema_json", [False, True])
def test_the_store_is_a_column_where_it_is_asked_for(lab: Lab, schema_json: bool) -> None:
    write_instance(lab.scans / "1.dcm", 1)
    lab.export(schema_json=schema_json, include_source_store=True)
    assert lab.query("SELECT SourceDicomStore FROM d.t") == [
        ("projects/local/locations/local/datasets/dicom/dicomStores/scans",)
    ]


def test_a_store_whose_name_is_no_text_is_a_column_all_the_same(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"sc\xff")
    write_instance(folder / "1.dcm", 1)
    lab = Lab(tmp_path)
    store = FolderStore.open(str(folder), Parent())
    request = ExportRequest(store, BigQueryDestination(lab.table, include_source_store=True))
    warehouse = DuckdbWarehouse(lab.table.file)
    with lab.operations.create(EXPORT_BQ, store.name, str(lab.table), {}) as running:
        Export(request, warehouse, LocalEngine(1), running, lambda operation: None).run()
    assert lab.query("SELECT SourceDicomStore LIKE '%/sc\\xff' FROM d.t") == [(True,)]


def test_too_many_columns_name_the_json_schema(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fields, "MAX_COLUMNS", 10)
    write_instance(lab.scans / "1.dcm", 1)
    with pytest.raises(TooManyColumns, match="BigQuery allows 10") as error:
        lab.export()
    assert "--schema=json" in error.value.hint
    assert DuckdbWarehouse(lab.table.file).state(lab.table) == Table(TableState.MISSING)


def test_columns_of_the_table_count_when_it_is_added_to(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    write_instance(lab.scans / "1.dcm", 1, PatientID="A", AccessionNumber="B")
    lab.export()
    write_instance(lab.scans / "1.dcm", 1)
    number = len(lab.columns()) + 2  # the fields of DroppedTags count
    monkeypatch.setattr(fields, "MAX_COLUMNS", number)
    lab.export(Disposition.WRITE_APPEND)
    monkeypatch.setattr(fields, "MAX_COLUMNS", number - 1)
    with pytest.raises(TooManyColumns):
        lab.export(Disposition.WRITE_APPEND)
    lab.export(Disposition.WRITE_TRUNCATE)


def test_what_was_staged_is_gone_when_it_is_done(lab: Lab) -> None:
    fill(lab)
    operation = lab.export()
    assert sorted(os.listdir(operation.folder)) == ["lock", "state.json"]


def test_ctrl_c_while_it_tidies_up_leaves_it_done(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_running: RunningOperation) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(RunningOperation, "discard_staged", interrupt)
    assert lab.export().state is State.DONE


def test_the_view_shows_the_newest_of_each_instance(lab: Lab) -> None:
    write_instance(lab.scans / "1.dcm", 1, PatientID="old")
    lab.export()
    os.utime(write_instance(lab.scans / "1.dcm", 1, PatientID="new"), (4_000_000_000, 4_000_000_000))
    lab.export(Disposition.WRITE_APPEND)
    assert lab.query("SELECT COUNT(*) FROM d.t") == [(2,)]
    assert lab.query("SELECT PatientID FROM d.tView") == [("new",)]


def test_a_table_in_the_place_of_the_view_is_a_notice(lab: Lab) -> None:
    with duckdb.connect(str(lab.table.file)) as connection:
        connection.execute("CREATE SCHEMA d; CREATE TABLE d.tView (a INTEGER)")
    operation = lab.export()
    assert (operation.state, operation.counters.notices) == (State.DONE, 1)
    [(severity, code, _, message)] = lab.log(operation)
    assert (severity, code) == ("NOTICE", "FAILED_PRECONDITION")
    assert "is a table" in message


class Faulty(DuckdbWarehouse):
    """A warehouse that fails where a test says."""

    def __init__(self, lab: Lab, load: BaseException | None = None, view: BaseException | None = None) -> None:
        super().__init__(lab.table.file, 0)
        self._errors = (load, view)

    def load(self, *arguments: Any) -> LoadResult:
        if self._errors[0]:
            raise self._errors[0]
        return super().load(*arguments)

    def replace_view(self, table: DuckdbTable, fields: Sequence[Field]) -> None:
        if self._errors[1]:
            raise self._errors[1]
        super().replace_view(table, fields)


def test_a_view_that_cannot_be_made_does_not_undo_the_load(lab: Lab) -> None:
    write_instance(lab.scans / "1.dcm", 1)
    operation = lab.export(warehouse=Faulty(lab, view=Locked("held by somebody")))
    assert operation.state is State.DONE
    assert lab.query("SELECT COUNT(*) FROM d.t") == [(1,)]
    assert [entry[:2] + entry[3:] for entry in lab.log(operation)] == [("NOTICE", "ABORTED", "held by somebody")]


def test_ctrl_c_while_the_view_is_made_is_not_overheard(lab: Lab) -> None:
    with pytest.raises(Cancelled):
        lab.export(warehouse=Faulty(lab, view=Cancelled("stopped")))
    assert lab.last().state is State.CANCELLED


@pytest.mark.parametrize(
    ("error", "state", "code"),
    [(Temporary("busy"), State.FAILED, 14), (Cancelled("stopped"), State.CANCELLED, 1)],
)
def test_a_load_that_ends_early_leaves_the_old_table(lab: Lab, error: BaseException, state: State, code: int) -> None:
    write_instance(lab.scans / "1.dcm", 1)
    lab.export()
    write_instance(lab.scans / "2.dcm", 2)
    with pytest.raises(type(error)):
        lab.export(Disposition.WRITE_TRUNCATE, warehouse=Faulty(lab, load=error))
    operation = lab.last()
    assert operation.state is state
    assert operation.error is not None
    assert operation.error.code == code
    assert lab.query("SELECT COUNT(*) FROM d.t") == [(1,)]
    assert (operation.folder / "receipts").is_dir()


def test_an_export_that_is_told_to_stop_stops_between_two_shards(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(lab)
    monkeypatch.setattr(listing, "SHARD_SIZE", 1)
    monkeypatch.setattr(RunningOperation, "is_cancelled", property(lambda running: running.operation.counters.found))
    with pytest.raises(CancelledElsewhere):
        lab.export()
    assert lab.last().state is State.CANCELLED
    assert len(list((lab.last().folder / "receipts").iterdir())) < 7


def test_an_export_that_is_told_to_stop_does_not_load(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(lab)
    asked: list[str] = []
    monkeypatch.setattr(Export, "_drop_duplicates", lambda _export: asked.append("to stop"))
    monkeypatch.setattr(RunningOperation, "is_cancelled", property(lambda _running: bool(asked)))
    with pytest.raises(CancelledElsewhere):
        lab.export()
    assert (lab.last().state, lab.last().load_begun) == (State.CANCELLED, False)
    assert not lab.table.file.exists()


def test_an_operation_says_how_many_shards_are_done(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(lab)
    monkeypatch.setattr(listing, "SHARD_SIZE", 3)
    seen: list[Any] = []
    operation = lab.export(progress=lambda operation: seen.append(operation.to_api()["metadata"]["dicombq"]))
    shards = [each["shards"] for each in seen if "shards" in each]
    assert shards == [{"done": str(done), "running": "1", "total": "3"} for done in range(3)]
    assert "shards" not in operation.to_api()["metadata"]["dicombq"]


def test_a_plan_prints_what_would_be_done(lab: Lab) -> None:
    planned = plan(lab.request(Disposition.WRITE_APPEND, schema_json=True), DuckdbWarehouse(lab.table.file))
    assert planned.to_dict() == {
        "store": "projects/local/locations/local/datasets/dicom/dicomStores/scans",
        "table": str(lab.table),
        "tableState": "missing",
        "action": "create",
        "schema": "json",
    }


def test_a_load_of_other_than_the_staged_rows_is_a_failure(lab: Lab) -> None:
    class Forgetful(DuckdbWarehouse):
        def load(self, *arguments: Any) -> LoadResult:
            result = super().load(*arguments)
            return LoadResult(result.rows - 1, result.fields, result.total)

    fill(lab)
    with pytest.raises(Failed, match=r"2 rows were loaded into .*, not the 3 staged"):
        lab.export(warehouse=Forgetful(lab.table.file, 0))
    assert lab.last().state is State.FAILED
    assert list((lab.last().folder / "shards").iterdir())
