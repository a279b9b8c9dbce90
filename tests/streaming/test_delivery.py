"""What does not fit a table is parked, and all else goes on."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest

from dicombq.errors import Failed
from dicombq.names import DuckdbTable
from dicombq.stores.registry import StoreRegistry
from dicombq.streaming.changes import Pass
from dicombq.streaming.configs import followers
from dicombq.streaming.delivery import Delivery
from dicombq.streaming.destinations import take_up
from dicombq.streaming.inventory import Inventory, stream_folder
from dicombq.streaming.stream import open_stream
from dicombq.table.disposition import Disposition
from dicombq.table.fields import Field
from dicombq.table.mapping import flattened_fields
from dicombq.warehouses.base import Load
from dicombq.warehouses.duckdb_loads import run
from dicombq.warehouses.registry import open_warehouse
from tests.fakes.bigquery import BigQueryFake, Fault
from tests.instances import write_truncated
from tests.streaming.conftest import Lab
from tests.streaming.tables import bigquery_table, check_history, rows_of
from tests.tables import make_load


def make(lab: Lab, *fields: Field) -> None:
    """Make the table with columns that it should not have."""
    load = make_load(lab.base, [], (*fields, *flattened_fields([])), Disposition.NONE)
    open_warehouse(lab.table, None).load(lab.table, load)


def test_new_columns_nested_ones_too_are_added_before_their_rows(lab: Lab) -> None:
    from pydicom.dataset import Dataset

    item = Dataset()
    item.CodeValue = "1"
    deeper = Dataset()
    deeper.CodeMeaning = "one"
    lab.write(1, ProcedureCodeSequence=[item])
    lab.follow()
    lab.sync()
    lab.write(2, ProcedureCodeSequence=[deeper], PatientName="A^B")
    lab.sync()
    row = lab.rows()[1]
    assert row["ProcedureCodeSequence"][0]["CodeMeaning"] == "one"
    assert row["PatientName"]["Alphabetic"]["FamilyName"] == "A"
    assert lab.view() == [1, 2]


def test_instances_that_conflict_are_parked_and_the_others_go_on(lab: Lab) -> None:
    make(lab, Field("PatientAge", "INTEGER"))
    lab.follow()
    lab.write(1)
    lab.write(2, PatientAge="030Y")
    lab.write(3)
    lab.sync()
    assert (lab.code, lab.view()) == (3, [1, 3])
    described = lab.describe()
    assert (described["parked"], described["pending"]) == (1, 0)
    assert "[PatientAge] is INTEGER" in described["parkedReasons"][0]
    assert "030Y" not in str(described)
    lab.write(4)
    lab.sync()
    assert (lab.code, lab.view()) == (0, [1, 3, 4])


def test_parked_instances_come_when_the_table_is_mended(lab: Lab) -> None:
    make(lab, Field("PatientAge", "INTEGER"))
    lab.follow()
    lab.write(1, PatientAge="030Y")
    gone = lab.write(2, PatientAge="030Y")
    lab.write(3, PatientAge="030Y")
    lab.sync()
    gone.unlink()
    lab.write(3, "without")
    lab.sync()
    assert lab.describe()["parked"] == 1
    lab.run("stream", "retry", str(lab.folder))
    assert (lab.code, lab.describe()["parked"]) == (3, 1)  # not mended yet
    mended = Load([], flattened_fields([]), Disposition.WRITE_TRUNCATE, f"mend_{lab.base.name}", lab.base)
    open_warehouse(lab.table, None).load(lab.table, mended)
    lab.run("stream", "retry", str(lab.folder))
    assert (lab.code, lab.describe()["parked"]) == (0, 0)
    assert lab.told(1) == ["first"]
    lab.sync()
    assert lab.view() == [1, 3]


def test_a_row_that_a_load_refuses_is_found_and_parked(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.follow()
    lab.sync()
    warehouse = type(open_warehouse(lab.table, None))
    load = warehouse.load

    def refusing(self: Any, table: Any, job: Load) -> Any:
        if any(b"refused" in _text(file) for file in job.files):
            raise Failed("the load job failed: invalid")
        return load(self, table, job)

    monkeypatch.setattr(warehouse, "load", refusing)
    for number in range(1, 8):
        lab.write(number, "refused" if number == 3 else "first")
    lab.sync()
    assert (lab.code, lab.view()) == (3, [1, 2, 4, 5, 6, 7])
    assert lab.describe()["parkedReasons"] == ["1 x the load job failed: invalid"]


def test_rows_that_would_need_too_many_columns_are_parked(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.follow()
    lab.write(1)
    lab.sync()
    lab.write(2, PatientName="A^B")
    lab.write(3)
    monkeypatch.setattr("dicombq.table.fields.MAX_COLUMNS", 20)
    lab.sync()
    assert (lab.code, lab.view()) == (3, [1, 3])


def test_a_table_that_refuses_everything_parks_nothing(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.follow()
    lab.sync()
    warehouse = type(open_warehouse(lab.table, None))

    def failing(self: Any, table: Any, job: Load) -> Any:
        raise Failed("the warehouse failed (IOException)")

    lab.write(1)
    with monkeypatch.context() as patch:
        patch.setattr(warehouse, "load", failing)
        lab.sync()
    assert lab.code == 1
    described = lab.describe()
    assert (described["parked"], described["pending"], described["state"]) == (0, 1, "FAILING")
    lab.sync()
    assert lab.view() == [1]


def test_a_row_is_not_parked_for_a_file_that_could_not_be_written_once(
    duckdb_lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = duckdb_lab
    lab.follow()
    lab.sync()
    failures = [duckdb.IOException("IO Error: Could not write file")]

    def failing_once(*arguments: Any) -> Any:
        if failures:
            raise failures.pop()
        return run(*arguments)

    monkeypatch.setattr("dicombq.warehouses.duckdb.run", failing_once)
    lab.write(1)
    lab.sync()
    lab.sync()
    assert (failures, lab.describe()["parked"], lab.view()) == ([], 0, [1])


def test_a_retry_tells_what_it_could_not_read(lab: Lab) -> None:
    make(lab, Field("PatientAge", "INTEGER"))
    lab.follow()
    path = lab.write(1, PatientAge="030Y")
    lab.sync()
    write_truncated(path)
    shown = lab.run("stream", "retry", str(lab.folder))
    assert (lab.code, shown["failed"], lab.describe()["parked"]) == (3, 1, 1)
    logged = lab.run("stream", "logs", str(lab.folder), "--format=value(uri)")
    assert str(path) in logged.split()


def test_rows_that_come_while_a_load_is_made_wait_for_the_next_one(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.follow()
    lab.sync()
    lab.write(1)
    registered = StoreRegistry(lab.base / "home").list({})[0]
    warehouse = open_warehouse(lab.table, None)
    load, loads = type(warehouse).load, []

    with Inventory(stream_folder(lab.base / "home", registered.name)) as inventory:
        (destination,) = take_up(inventory, followers(registered), registered.name)
        look = Pass(registered.follow(), inventory, [destination], lambda total: total, lambda _: None)

        def load_and_look(*arguments: Any) -> Any:
            loads.append(arguments)
            lab.write(2)
            look.whole()
            return load(*arguments)

        monkeypatch.setattr(type(warehouse), "load", load_and_look)
        look.whole()
        delivery = Delivery(inventory, destination, warehouse, lambda _: None)
        delivery.deliver()
        assert (len(loads), lab.view(), delivery.has_work()) == (1, [1], True)
        delivery.deliver()
        assert (len(loads), lab.view(), delivery.has_work()) == (2, [1, 2], False)


def test_an_answer_that_is_lost_doubles_no_row(duckdb_lab: Lab, bigquery: BigQueryFake) -> None:
    lab = duckdb_lab
    lab.table = bigquery_table()
    lab.follow()
    lab.sync()
    lab.write(1)
    bigquery.fail("jobs.upload.chunk", Fault.LOSE_ANSWER)
    bigquery.fail("jobs.get", Fault.UNAVAILABLE, times=50)
    lab.sync()
    bigquery.mend()
    lab.sync()
    assert lab.told(1) == ["first"]
    check_history(lab.rows())


def test_a_locked_duckdb_file_is_told_and_its_rows_come_later(duckdb_lab: Lab) -> None:
    import subprocess
    import sys

    lab = duckdb_lab
    lab.follow(tables=(lab.table, bigquery_table()))
    lab.sync()
    lab.write(1)
    script = f"import duckdb, sys; c = duckdb.connect({str(lab.table.file)!r}); print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        holder.stdout.readline()
        lab.sync("--lock-timeout=0s")
        holder.communicate()
    assert lab.code == 11
    assert len(rows_of(bigquery_table())) == 1
    lab.sync()
    assert lab.view() == [1]


def test_rows_have_the_form_that_each_table_asks_for(duckdb_lab: Lab) -> None:
    lab = duckdb_lab
    json_table = DuckdbTable(lab.table.file, "d", "j")
    lab.follow("--schema=json", "--include-source-store", tables=(json_table,))
    lab.write(1)
    lab.sync()
    (row,) = rows_of(json_table)
    assert row["Metadata"]["00081030"]["Value"] == ["first"]
    assert row["SourceDicomStore"].endswith("/dicomStores/scans")


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyError("internal")])
def test_a_full_disk_ends_no_courier_and_one_that_ended_is_replaced(
    duckdb_lab: Lab, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    lab = duckdb_lab
    lab.follow()
    lab.sync()
    registered = StoreRegistry(lab.base / "home").list({})[0]

    def fail(*_arguments: Any) -> None:
        raise error

    with open_stream(lab.base / "home", registered) as stream, Inventory(stream.folder) as inventory:
        with monkeypatch.context() as patch:
            patch.setattr(Delivery, "note_error", fail)
            stream.begin(inventory)
            (courier,) = stream.couriers.values()
            courier.finish()
            assert (courier.error is None) == isinstance(error, OSError)
        lab.write(1)
        stream.look(inventory, stream.begin(inventory), lambda total: total).whole()
        (told,) = stream._finish(inventory)
    assert (told.error, told.delivered, lab.view()) == (None, 1, [1])


def _text(file: Any) -> bytes:
    import gzip

    return gzip.decompress(file.read_bytes())


def test_rows_are_inserted_once_and_those_that_are_refused_are_parked(
    duckdb_lab: Lab, bigquery: BigQueryFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicombq.warehouses.bigquery.PATIENCE", 60.0)  # a lost answer is asked for again
    lab = duckdb_lab
    lab.table = bigquery_table()
    lab.follow("--delivery=insert")
    lab.write(1, PatientName="A^B")
    lab.write(2)
    bigquery.fail("tabledata.insertAll", Fault.LOSE_ANSWER)
    lab.sync()
    assert (lab.code, lab.view()) == (0, [1, 2])
    loads = len(bigquery.called("jobs.upload.start"))
    lab.write(3, StudyDate="20200101")
    (lab.folder / "2.dcm").unlink()
    lab.sync()
    assert (lab.view(), len(lab.rows())) == ([1, 3], 4)
    assert len(bigquery.called("jobs.upload.start")) == loads
    make_too_long = pytest.MonkeyPatch()
    make_too_long.setattr("dicombq.warehouses.bigquery_inserts.MAX_ROW", 2000)
    lab.write(4, ImageComments="x" * 2000)
    lab.write(5)
    lab.sync()
    make_too_long.undo()
    assert (lab.code, lab.view()) == (3, [1, 3, 5])
    assert "more than 10 MB" in lab.describe()["parkedReasons"][0]
    lab.run("stream", "retry", str(lab.folder))
    assert (lab.code, lab.view()) == (0, [1, 3, 4, 5])


def test_json_is_inserted_as_text(duckdb_lab: Lab) -> None:
    lab = duckdb_lab
    lab.table = bigquery_table()
    lab.follow("--delivery=insert", "--schema=json")
    lab.write(1)
    lab.sync()
    assert lab.rows()[0]["Metadata"]["00081030"]["Value"] == ["first"]
