"""Passes over a folder, as `stream sync` makes them."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dicombq.errors import Temporary
from dicombq.export.run import Export
from dicombq.names import DuckdbTable
from dicombq.stores.folder import FolderStore
from dicombq.stores.registry import StoreRegistry
from dicombq.streaming.adoption import adopt
from dicombq.table.view import view_name
from tests.fakes.bigquery import BigQueryFake, Fault
from tests.instances import write_truncated
from tests.streaming.conftest import Lab
from tests.streaming.tables import bigquery_table, check_history, numbers, rows_of, view_of
from tests.tables import Row, anonymous_client


def test_the_first_pass_writes_a_row_for_every_instance(lab: Lab) -> None:
    path = lab.write(1)
    lab.write(2)
    lab.follow()
    assert lab.sync()["created"] == 2
    assert lab.view() == [1, 2]
    row = lab.rows()[0]
    assert (row["Type"], row["BlobStorageSize"]) == ("CREATE", path.stat().st_size)
    assert row["LastUpdated"] == dt.datetime.fromtimestamp(path.stat().st_mtime, dt.timezone.utc)


def test_an_unchanged_store_is_not_read_and_says_nothing(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.write(1)
    lab.follow()
    lab.sync()
    monkeypatch.setattr(FolderStore, "read", None)
    assert lab.run("stream", "sync", str(lab.folder)) is None
    assert (lab.code, lab.err, len(lab.rows())) == (0, "", 1)


def test_an_added_a_changed_and_a_deleted_instance_have_a_row_each(lab: Lab) -> None:
    for number in (1, 2, 3):
        lab.write(number)
    lab.follow()
    lab.sync()
    lab.write(4)
    lab.write(2, "second")
    (lab.folder / "3.dcm").unlink()
    done = lab.sync()
    assert (done["created"], done["changed"], done["deleted"]) == (1, 1, 1)
    assert [lab.told(number) for number in (1, 2, 3, 4)] == [
        ["first"],
        ["first", "second"],
        ["first", "DELETE"],
        ["first"],
    ]
    assert lab.view() == [1, 2, 4]
    deletion = lab.rows()[-1]
    assert {key for key, value in deletion.items() if value} == {
        "StudyInstanceUID",
        "SeriesInstanceUID",
        "SOPInstanceUID",
        "Type",
        "LastUpdated",
    }


def test_a_touched_a_moved_and_a_copied_file_change_nothing(lab: Lab) -> None:
    for number in (1, 2, 3):
        lab.write(number)
    lab.follow()
    lab.sync()
    os.utime(lab.folder / "1.dcm", (1, 1))
    (lab.folder / "2.dcm").rename(lab.folder / "moved.dcm")
    shutil.copy(lab.folder / "3.dcm", lab.folder / "copy.dcm")
    assert lab.sync()["unchanged"] >= 3
    assert len(lab.rows()) == 3


def test_an_instance_is_deleted_with_its_last_copy(lab: Lab) -> None:
    lab.write(1, "older")
    newer = lab.write(1, "newer", name="copy")
    lab.write(2)
    lab.follow()
    lab.sync()
    assert lab.told(1) == ["newer"]
    newer.unlink()
    lab.sync()
    assert lab.told(1) == ["newer", "older"]
    (lab.folder / "1.dcm").unlink()
    lab.sync()
    assert lab.told(1) == ["newer", "older", "DELETE"]
    check_history(lab.rows())


def test_last_updated_ascends_even_where_the_file_is_older(lab: Lab) -> None:
    lab.write(1, "first")
    lab.follow()
    lab.sync()
    path = lab.write(1, "restored")
    os.utime(path, (1_000_000_000, 1_000_000_000))
    lab.sync()
    os.utime(lab.write(1, "from the future"), (4_000_000_000, 4_000_000_000))
    lab.sync()
    path.unlink()
    lab.sync("--max-delete=1")
    assert lab.told(1) == ["first", "restored", "from the future", "DELETE"]
    check_history(lab.rows())


def test_what_a_file_held_before_is_deleted(lab: Lab) -> None:
    path = lab.write(1)
    lab.write(2)
    lab.follow()
    lab.sync()
    os.replace(lab.write(3), path)
    lab.sync()
    assert lab.view() == [2, 3]


def test_an_unreadable_file_keeps_its_last_row_and_is_a_failure(lab: Lab) -> None:
    lab.write(1)
    lab.follow()
    lab.sync()
    write_truncated(lab.folder / "1.dcm")
    assert (lab.sync()["failed"], lab.code) == (1, 3)
    assert lab.view() == [1]
    assert (lab.sync()["failed"], lab.code) == (0, 0)  # it is not read again until it changes
    assert lab.run("stream", "logs", str(lab.folder), "--format=value(uri)") == str(lab.folder / "1.dcm")


def test_an_instance_without_a_sop_instance_uid_cannot_be_followed(lab: Lab) -> None:
    lab.write(1)
    lab.base.joinpath("new").unlink(missing_ok=True)
    from tests.instances import write_instance

    write_instance(lab.folder / "none.dcm", None)
    lab.follow()
    assert (lab.sync()["failed"], lab.code, lab.view()) == (1, 3, [1])


def test_many_instances_that_are_gone_are_not_believed(lab: Lab) -> None:
    for number in range(1, 5):
        lab.write(number)
    lab.follow()
    lab.sync()
    for number in range(1, 4):
        (lab.folder / f"{number}.dcm").unlink()
    lab.write(5)
    lab.sync()
    assert lab.code == 4
    assert "3 of 5 instances" in lab.err
    assert "--max-delete=100%" in lab.err
    assert lab.view() == [1, 2, 3, 4, 5]  # what is new was told all the same
    assert lab.sync("--max-delete=3")["deleted"] == 3
    assert lab.view() == [4, 5]


def test_what_lies_in_a_folder_that_cannot_be_listed_is_not_deleted(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    sub = lab.folder / "sub"
    sub.mkdir()
    lab.write(1, name="sub/1")
    lab.write(2)
    lab.follow()
    lab.sync()
    scan = os.scandir

    def denied(path: str) -> Any:
        if path == str(sub):
            raise PermissionError(13, "Permission denied")
        return scan(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", denied)
        assert (lab.sync()["deleted"], lab.code) == (0, 3)
    assert lab.view() == [1, 2]


def test_a_dry_run_says_what_would_happen_and_changes_nothing(lab: Lab) -> None:
    lab.write(1)
    lab.write(2)
    lab.follow()
    assert lab.sync("--dry-run")["created"] == 2
    assert lab.rows() == []
    lab.sync()
    (lab.folder / "1.dcm").unlink()
    foreseen = lab.sync("--dry-run")
    assert (foreseen["deleted"], foreseen["tables"][0]["pending"], lab.view()) == (1, 1, [1, 2])
    assert lab.sync()["deleted"] == 1


def test_rows_of_an_export_are_adopted(lab: Lab) -> None:
    lab.write(1)
    lab.write(2)
    lab.run("export", "bq", str(lab.folder), f"--bq-table={lab.table}")
    lab.write(2, "second")
    lab.write(3)
    lab.follow()
    lab.sync()
    assert [lab.told(number) for number in (1, 2, 3)] == [["first"], ["first", "second"], ["first"]]


def test_instances_that_only_the_table_holds_are_deleted_when_asked_for(lab: Lab) -> None:
    for number in (1, 2, 3):
        lab.write(number)
    lab.run("export", "bq", str(lab.folder), f"--bq-table={lab.table}")
    (lab.folder / "3.dcm").unlink()
    lab.follow()
    lab.sync()
    assert lab.view() == [1, 2, 3]
    lab.sync("--reconcile")
    assert lab.view() == [1, 2]
    lab.write(3, "again")
    lab.sync()
    assert lab.told(3) == ["first", "DELETE", "again"]


def test_reconciling_waits_until_the_table_is_read(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (1, 2, 3):
        lab.write(number)
    lab.run("export", "bq", str(lab.folder), f"--bq-table={lab.table}")
    (lab.folder / "3.dcm").unlink()
    lab.follow()

    def adopt_late(*arguments: Any) -> None:
        time.sleep(0.5)
        adopt(*arguments)

    monkeypatch.setattr("dicombq.streaming.stream._READY", 0.01)
    monkeypatch.setattr("dicombq.streaming.delivery.adopt", adopt_late)
    lab.sync("--reconcile")
    assert (lab.code, lab.view()) == (0, [1, 2])


def test_reconciling_tells_of_a_table_that_could_not_be_read(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.write(1)
    lab.follow()
    failures = [Temporary("it is down", "")]

    def fail_once(*arguments: Any) -> None:
        if failures:
            raise failures.pop()
        adopt(*arguments)

    monkeypatch.setattr("dicombq.streaming.delivery.adopt", fail_once)
    lab.sync("--reconcile")
    assert (lab.code, "it is down" in lab.err) == (Temporary.exit_code, True)
    lab.sync("--reconcile")
    assert (lab.code, lab.view()) == (0, [1])


def test_reconciling_does_not_believe_an_empty_folder_either(lab: Lab) -> None:
    lab.write(1)
    lab.run("export", "bq", str(lab.folder), f"--bq-table={lab.table}")
    (lab.folder / "1.dcm").unlink()
    lab.follow()
    lab.sync("--reconcile")
    assert (lab.code, lab.view()) == (4, [1])


def test_the_rows_of_other_stores_are_left_alone_where_the_table_tells(lab: Lab, tmp_path: Path) -> None:
    lab.write(1)
    lab.follow("--include-source-store")
    lab.sync()
    other = Lab(tmp_path, tmp_path / "other", lab.table, lab.capsys)
    other.folder.mkdir()
    other.write(2)
    other.write(3)
    other.follow("--include-source-store")
    other.sync("--reconcile")
    assert other.view() == [1, 2, 3]


def test_without_backfill_only_what_changes_is_told(lab: Lab) -> None:
    for number in (1, 2, 3):
        os.utime(lab.write(number), (1_000_000_000, 1_000_000_000))
    lab.follow("--no-backfill")
    lab.sync()
    assert lab.rows() == []
    lab.write(2, "second")
    (lab.folder / "3.dcm").unlink()
    lab.write(4)
    lab.sync()
    assert [lab.told(number) for number in (1, 2, 3, 4)] == [[], ["second"], ["DELETE"], ["first"]]


@pytest.mark.parametrize("by_an_older_version", [False, True])
def test_a_store_that_is_created_anew_streams_nothing_of_the_old_one(
    duckdb_lab: Lab, by_an_older_version: bool
) -> None:
    lab = duckdb_lab
    lab.write(1)
    lab.write(2)
    lab.follow()
    lab.sync()
    (stream,) = (lab.base / "home" / "streams").iterdir()
    if by_an_older_version:  # which leaves what the stream knew
        (store,) = StoreRegistry(lab.base / "home").list({})
        StoreRegistry(lab.base / "home").delete(store.name)
    else:
        lab.run("dicom-stores", "delete", "scans", "--quiet")
        assert not stream.exists()
    new = Lab(lab.base, lab.base / "new-disk" / "scans", DuckdbTable(lab.base / "w.duckdb", "d", "new"), lab.capsys)
    new.folder.mkdir(parents=True)
    new.write(3)
    new.follow()
    assert new.sync("--dry-run")["created"] == 1
    assert (new.sync()["created"], new.sync()["unchanged"], new.view()) == (1, 0, [3])
    assert len(new.rows()) == 1


def test_a_source_that_moved_is_the_same_store(duckdb_lab: Lab) -> None:
    lab = duckdb_lab
    lab.write(1)
    lab.follow()
    lab.sync()
    moved = lab.base / "moved"
    lab.folder.rename(moved)
    lab.run("dicom-stores", "update", "scans", f"--source={moved}")
    lab.folder, lab.elsewhere = moved, "scans"
    lab.write(2)
    done = lab.sync()
    assert (done["created"], lab.told(1), lab.view()) == (1, ["first"], [1, 2])


def test_without_backfill_what_comes_before_the_first_pass_is_told(lab: Lab) -> None:
    os.utime(lab.write(1), (1_000_000_000, 1_000_000_000))
    lab.follow("--no-backfill")
    lab.write(2)
    lab.follow("--no-backfill")  # it follows already
    lab.sync()
    assert [lab.told(number) for number in (1, 2)] == [[], ["first"]]


def test_a_table_without_backfill_is_backfilled_where_that_is_asked_for_later(lab: Lab) -> None:
    os.utime(lab.write(1), (1_000_000_000, 1_000_000_000))
    lab.follow("--no-backfill")
    lab.write(2)
    lab.sync()
    lab.follow()
    assert lab.sync()["backfilled"] == 1
    assert [lab.told(number) for number in (1, 2)] == [["first"], ["first"]]
    assert lab.sync()["backfilled"] == 0


def test_a_table_that_follows_later_gets_the_same_rows(duckdb_lab: Lab) -> None:
    lab = duckdb_lab
    for number in (1, 2, 4):
        lab.write(number)
    lab.follow()
    lab.sync()
    lab.write(1, "second")
    (lab.folder / "2.dcm").unlink()
    later = bigquery_table()
    lab.follow(tables=(lab.table, later))
    assert lab.sync()["backfilled"] == 1
    lab.write(3)
    lab.sync()
    assert numbers(view_of(later)) == lab.view() == [1, 3, 4]
    assert len(rows_of(later)) == 4  # one of them deletes what it never held
    check = {row["SOPInstanceUID"]: row["LastUpdated"] for row in view_of(later)}
    assert check == {row["SOPInstanceUID"]: row["LastUpdated"] for row in view_of(lab.table)}


@pytest.mark.parametrize("option", ["", "--no-backfill"])
def test_a_table_that_an_export_recreates_is_completed(lab: Lab, option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The guide's workaround, while the store changes between the export's listing and its load."""
    for number in (1, 2, 3):
        lab.write(number)
    lab.follow(*filter(None, [option]))
    lab.sync()
    gone = lab.write(4)
    load = Export._load

    def load_later(export: Export) -> Any:
        lab.sync()
        gone.unlink()
        lab.write(5)
        lab.sync()
        return load(export)

    with monkeypatch.context() as patch:
        patch.setattr(Export, "_load", load_later)
        lab.run("export", "bq", str(lab.folder), f"--bq-table={lab.table}", "--overwrite-table")
    assert lab.view() == [1, 2, 3, 4]
    lab.sync()
    assert lab.view() == [1, 2, 3, 5]
    check_history(lab.rows())


def test_a_table_that_an_export_gives_other_rows_but_as_many_is_completed(duckdb_lab: Lab) -> None:
    lab = duckdb_lab
    lab.write(1)
    lab.write(2)
    lab.follow()
    lab.sync()
    (lab.folder / "2.dcm").rename(lab.base / "2.dcm")
    lab.write(3)
    lab.run("export", "bq", str(lab.folder), f"--bq-table={lab.table}", "--overwrite-table")
    (lab.base / "2.dcm").rename(lab.folder / "2.dcm")
    assert lab.view() == [1, 3]
    lab.sync()
    assert (lab.view(), len(lab.rows())) == ([1, 2, 3], 3)


def test_a_table_that_was_deleted_is_made_whole_again(lab: Lab) -> None:
    lab.write(1)
    lab.write(2)
    lab.follow()
    lab.sync()
    lab.run("export", "bq", str(lab.folder / "1.dcm"), f"--bq-table={lab.table}", "--overwrite-table")
    assert lab.view() == [1]
    lab.sync()
    assert lab.view() == [1, 2]


def test_a_dry_run_tells_the_rows_of_a_table_that_was_deleted(lab: Lab) -> None:
    lab.write(1)
    lab.write(2)
    lab.follow()
    lab.sync()
    drop(lab.table)
    foreseen = lab.sync("--dry-run")
    assert (foreseen["backfilled"], foreseen["tables"][0]["pending"]) == (2, 2)
    assert lab.sync()["backfilled"] == 2
    assert lab.view() == [1, 2]


def test_a_view_that_was_deleted_is_made_again(duckdb_lab: Lab) -> None:
    lab = duckdb_lab
    lab.write(1)
    tables = (lab.table, bigquery_table())
    lab.follow(tables=tables)
    lab.sync()
    for table in tables:
        drop(replace(table, table=view_name(table.table)))
    lab.sync()
    assert lab.view() == [1]
    with anonymous_client() as client:
        assert client.get_table("p.d.tView").view_query


def drop(table: Any) -> None:
    """Delete a table or a view."""
    if isinstance(table, DuckdbTable):
        kind = "VIEW" if table.table.endswith("View") else "TABLE"
        with duckdb.connect(str(table.file)) as connection:
            connection.execute(f'DROP {kind} {table.dataset}."{table.table}"')
    else:
        with anonymous_client() as client:
            client.delete_table(f"{table.project}.{table.dataset}.{table.table}")


def test_one_table_that_is_down_delays_no_other(duckdb_lab: Lab, bigquery: BigQueryFake) -> None:
    lab = duckdb_lab
    lab.follow(tables=(lab.table, bigquery_table()))
    lab.sync()
    bigquery.fail("*", Fault.UNAVAILABLE, times=10_000)
    lab.write(1)
    lab.sync()
    assert (lab.code, lab.view()) == (5, [1])
    lab.write(1, "second")
    lab.sync()
    bigquery.mend()
    lab.sync()
    assert (lab.code, [row["StudyDescription"] for row in rows_of(bigquery_table())]) == (0, ["first", "second"])


OLD: Row = {"StudyInstanceUID": "1.2.826.0.1.3680043.8.498.1", "SeriesInstanceUID": "1.2.826.0.1.3680043.8.498.1.1"}


def test_the_guides_scenario_shows_the_edited_instance(duckdb_lab: Lab) -> None:
    """Old rows have neither Type nor LastUpdated: NULL comes last, so that the view shows what the stream tells."""
    from dicombq.table.fields import Field
    from dicombq.warehouses.duckdb import DuckdbWarehouse
    from tests.tables import make_load

    lab = duckdb_lab
    fields = [Field(name, "STRING") for name in (*OLD, "SOPInstanceUID", "StudyDescription")]
    rows = [
        OLD | {"SOPInstanceUID": f"1.2.826.0.1.3680043.8.498.1.1.{number}", "StudyDescription": "old"}
        for number in (1, 9)
    ]
    DuckdbWarehouse(lab.table.file).load(lab.table, make_load(lab.base, rows, fields))
    lab.follow()
    path = lab.write(1, "inserted")
    lab.sync()
    path.unlink()
    lab.sync("--max-delete=1")
    assert lab.view() == [9]
    lab.write(1, "edited")
    lab.sync()
    assert lab.told(1) == ["old", "inserted", "DELETE", "edited"]
    assert lab.view() == [1, 9]
    assert [row["StudyDescription"] for row in view_of(lab.table) if row["SOPInstanceUID"].endswith(".1")] == ["edited"]
    assert {row["Type"] for row in lab.rows() if row["LastUpdated"] is None} == {None}
