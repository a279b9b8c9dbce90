"""Change data capture: the table holds the latest version of each instance, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from dicombq.errors import FailedPrecondition, InvalidArgument, NotPermitted, Temporary
from dicombq.names import DuckdbTable
from tests.fakes.bigquery import BigQueryFake, Fault
from tests.fakes.bigquery_write import BigQueryWriteFake
from tests.streaming.conftest import Lab
from tests.streaming.tables import bigquery_table, latest_of, let_follow, rows_of, view_of
from tests.tables import anonymous_client

CAPTURE = ("--schema=json", "--change-data-capture")


@pytest.fixture
def lab(lab: Lab, bigquery_write: BigQueryWriteFake) -> Lab:
    """The lab of each warehouse, with the Storage Write API."""
    return lab


def test_updates_and_deletions_overwrite_the_row(lab: Lab) -> None:
    lab.follow(*CAPTURE)
    for number in (1, 2, 3):
        lab.write(number)
    lab.sync()
    assert latest_of(lab.table) == {1: "first", 2: "first", 3: "first"}
    lab.write(1, "second")
    (lab.folder / "2.dcm").unlink()
    (lab.folder / "3.dcm").rename(lab.folder / "moved.dcm")
    lab.sync()
    assert (lab.code, latest_of(lab.table)) == (0, {1: "second", 3: "first"})
    lab.write(2, "again")
    lab.sync()
    assert latest_of(lab.table) == {1: "second", 2: "again", 3: "first"}
    assert (lab.sync()["tables"][0]["delivered"], lab.describe()["state"]) == (0, "FOLLOWING")


def test_the_config_is_the_apis_and_read_back(lab: Lab) -> None:
    destination = lab.follow(*CAPTURE)["streamConfigs"][0]["bigqueryDestination"]
    assert destination == {"tableUri": str(lab.table), "schemaJson": {}, "changeDataCaptureConfig": {}}
    described = lab.run("stream", "describe", str(lab.folder))
    assert described["streamConfigs"][0]["bigqueryDestination"] == destination
    lab.write(1)
    lab.sync()
    assert latest_of(lab.table) == {1: "first"}


def test_there_is_no_type_and_no_view(lab: Lab) -> None:
    lab.write(1)
    lab.follow(*CAPTURE)
    lab.sync()
    assert "Type" not in rows_of(lab.table)[0]
    if lab.is_duckdb:
        with pytest.raises(Exception, match="tView does not exist"):
            view_of(lab.table)
    else:
        with anonymous_client() as client:
            assert [each.table_id for each in client.list_tables("p.d")] == ["t"]


@pytest.mark.parametrize("options", [["--change-data-capture"], [*CAPTURE, "--delivery=insert"]])
def test_what_does_not_go_together_is_refused_before_anything_changes(lab: Lab, options: list[str]) -> None:
    lab.follow(*options)
    assert lab.code == InvalidArgument.exit_code == 2
    assert lab.run("stream", "describe", str(lab.folder))["streamConfigs"] == []
    assert not lab.is_duckdb or not lab.table.file.exists()


def test_an_existing_table_without_a_key_is_refused_and_one_with_a_key_takes_no_history(lab: Lab) -> None:
    lab.write(1)
    lab.follow("--schema=json")
    lab.sync()
    lab.follow(*CAPTURE)
    assert lab.code == FailedPrecondition.exit_code
    assert "has no primary key" in lab.err
    assert "delete this one" in lab.err
    assert len(lab.rows()) == 1
    other = DuckdbTable(lab.base / "o.duckdb", "d", "o") if lab.is_duckdb else bigquery_table("o")
    lab.follow(*CAPTURE, tables=(other,))
    assert lab.code == 0
    lab.follow("--schema=json", tables=(other,))
    assert lab.code == FailedPrecondition.exit_code
    assert "add --change-data-capture" in lab.err


def test_an_export_cannot_add_rows_to_the_latest_versions(lab: Lab) -> None:
    lab.write(1)
    lab.follow(*CAPTURE)
    lab.sync()
    lab.write(1, "second")
    lab.run(
        "export", "bq", str(lab.folder), f"--bq-table={lab.table}", "--schema=json", "--write-disposition=write-append"
    )
    assert lab.code == FailedPrecondition.exit_code
    assert "has a primary key" in lab.err
    assert latest_of(lab.table) == {1: "first"}


def test_rows_that_the_table_has_are_adopted(lab: Lab) -> None:
    for number in (1, 2, 3):
        lab.write(number)
    lab.follow(*CAPTURE)
    lab.sync()
    lab.run("stream", "clear", str(lab.folder))
    lab.follow(*CAPTURE)
    (lab.folder / "1.dcm").unlink()
    lab.write(2, "second")
    synced = lab.sync()
    assert synced["tables"][0]["delivered"] == 2
    assert latest_of(lab.table) == {2: "second", 3: "first"}


def test_reconciling_deletes_what_the_store_does_not_hold(lab: Lab) -> None:
    for number in (1, 2, 3):
        lab.write(number)
    lab.follow(*CAPTURE)
    lab.sync()
    for path in (lab.base / "home" / "streams").glob("*/inventory.sqlite*"):
        path.unlink()
    (lab.folder / "1.dcm").unlink()
    lab.sync()
    assert latest_of(lab.table) == {1: "first", 2: "first", 3: "first"}
    lab.sync("--reconcile")
    assert latest_of(lab.table) == {2: "first", 3: "first"}


def test_a_dry_run_says_what_would_come_and_writes_nothing(lab: Lab) -> None:
    lab.write(1)
    lab.write(2)
    lab.follow(*CAPTURE)
    assert lab.sync("--dry-run")["tables"][0]["pending"] == 2
    assert latest_of(lab.table) == {}
    lab.sync()
    (lab.folder / "2.dcm").unlink()
    assert lab.sync("--dry-run")["deleted"] == 1
    assert latest_of(lab.table) == {1: "first", 2: "first"}


def test_nothing_is_written_of_what_is_there_with_no_backfill(lab: Lab) -> None:
    lab.write(1)
    lab.follow(*CAPTURE, "--no-backfill")
    lab.sync()
    assert latest_of(lab.table) == {}
    lab.write(1, "second")
    lab.sync()
    assert latest_of(lab.table) == {1: "second"}


def test_a_table_that_was_deleted_is_made_anew_with_all_rows(lab: Lab) -> None:
    lab.write(1)
    lab.write(2)
    lab.follow(*CAPTURE)
    lab.sync()
    if lab.is_duckdb:
        lab.table.file.unlink()
    else:
        with anonymous_client() as client:
            client.delete_table("p.d.t")
    lab.write(2, "second")
    lab.sync()
    assert latest_of(lab.table) == {1: "first", 2: "second"}


def test_a_table_that_an_export_replaced_is_told_of_and_nothing_is_parked(lab: Lab) -> None:
    lab.write(1)
    lab.follow(*CAPTURE)
    lab.sync()
    lab.run("export", "bq", str(lab.folder), f"--bq-table={lab.table}", "--overwrite-table", "--schema=json", "--quiet")
    assert lab.code == 0
    lab.write(2)
    lab.sync()
    assert lab.code == FailedPrecondition.exit_code
    described = lab.describe()
    assert (described["parked"], described["pending"], described["state"]) == (0, 1, "FAILING")
    assert "has no primary key" in described["error"]


def test_tables_with_history_and_with_the_latest_go_together(lab: Lab, bigquery: BigQueryFake) -> None:
    other = DuckdbTable(lab.base / "o.duckdb", "d", "o") if lab.is_duckdb else bigquery_table("o")
    lab.follow(tables=(other,))
    let_follow(lab.base / "home", lab.table)
    lab.write(1)
    lab.sync()
    lab.write(1, "second")
    lab.sync()
    assert latest_of(lab.table) == {1: "second"}
    assert [row["StudyDescription"] for row in rows_of(other)] == ["first", "second"]


@pytest.fixture
def captured(lab: Lab, bigquery_write: BigQueryWriteFake, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A table of the fake that has one row."""
    monkeypatch.setattr("dicombq.warehouses.bigquery.PATIENCE", 20.0)
    lab.table = bigquery_table("x")
    lab.write(1)
    lab.follow(*CAPTURE)
    lab.sync()
    assert latest_of(lab.table) == {1: "first"}
    return lab


FAULTS = [Fault.UNAVAILABLE, Fault.INTERNAL, Fault.RATE_LIMIT, Fault.DROP, Fault.LOSE_ANSWER]


@pytest.mark.parametrize("lab", ["fake"], indirect=True)
@pytest.mark.parametrize("fault", FAULTS)
def test_what_fails_for_a_while_is_sent_again(captured: Lab, bigquery: BigQueryFake, fault: Fault) -> None:
    lab = captured
    bigquery.fail("AppendRows", fault, times=2)
    lab.write(1, "second")
    lab.write(2)
    lab.sync()
    assert (lab.code, latest_of(lab.table)) == (0, {1: "second", 2: "first"})


@pytest.mark.parametrize("lab", ["fake"], indirect=True)
@pytest.mark.parametrize("fault", FAULTS)
def test_what_fails_for_long_comes_later(
    captured: Lab, bigquery: BigQueryFake, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = captured
    monkeypatch.setattr("dicombq.warehouses.bigquery.PATIENCE", 0.1)
    bigquery.fail("AppendRows", fault, times=1000)
    lab.write(1, "second")
    lab.write(2)
    lab.sync()
    assert lab.code != 0
    described = lab.describe()
    assert (described["parked"], described["pending"], described["state"]) == (0, 2, "FAILING")
    bigquery.mend()
    lab.write(1, "third")
    lab.sync()
    assert (lab.code, latest_of(lab.table)) == (0, {1: "third", 2: "first"})


@pytest.mark.parametrize("lab", ["fake"], indirect=True)
@pytest.mark.parametrize("trouble", ["columns that are not known yet", "no answer"])
def test_rows_that_bigquery_does_not_take_yet_are_not_parked(
    captured: Lab, bigquery_write: BigQueryWriteFake, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = captured
    monkeypatch.setattr("dicombq.warehouses.bigquery.PATIENCE", 0.1)
    lab.write(2)
    bigquery_write.is_mute = trouble == "no answer"
    bigquery_write.unknown = set() if bigquery_write.is_mute else {"StorageClass"}
    lab.sync()
    assert lab.code == Temporary.exit_code
    assert bigquery_write.is_mute or "does not know its new columns yet" in lab.err
    described = lab.describe()
    assert (described["parked"], described["pending"]) == (0, 1)
    bigquery_write.unknown, bigquery_write.is_mute = set(), False
    lab.sync()
    assert (lab.code, latest_of(lab.table)) == (0, {1: "first", 2: "first"})


@pytest.mark.parametrize("lab", ["fake"], indirect=True)
def test_who_may_not_write_is_told_and_nothing_is_parked(captured: Lab, bigquery: BigQueryFake) -> None:
    lab = captured
    lab.write(2, PatientName="Canary^Bird")
    bigquery.forbidden.add("AppendRows")
    lab.sync()
    assert lab.code == NotPermitted.exit_code
    assert "roles/bigquery.dataEditor" in lab.err
    described = lab.describe()
    assert (described["parked"], described["pending"]) == (0, 1)
    assert "Canary" not in str(described) + lab.err
    bigquery.forbidden.clear()
    lab.sync()
    assert (lab.code, latest_of(lab.table)) == (0, {1: "first", 2: "first"})


@pytest.mark.parametrize("lab", ["fake"], indirect=True)
def test_rows_that_bigquery_refuses_are_parked_and_the_others_come(
    captured: Lab, bigquery_write: BigQueryWriteFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = captured
    for number in (2, 3, 4):
        lab.write(number)
    bigquery_write.refused = {"1.2.826.0.1.3680043.8.498.1.1.3"}
    lab.sync()
    assert (lab.code, sorted(latest_of(lab.table))) == (3, [1, 2, 4])
    described = lab.describe()
    assert (described["parked"], described["pending"]) == (1, 0)
    assert described["parkedReasons"] == ["1 x BigQuery refuses the row: FIELDS_ERROR"]
    bigquery_write.refused = set()
    with monkeypatch.context() as patch:
        patch.setattr("dicombq.warehouses.bigquery_changes.MAX_REQUEST", 600)
        lab.write(5, ImageComments="x" * 600)
        lab.write(6)
        lab.sync()
    assert (lab.code, sorted(latest_of(lab.table))) == (3, [1, 2, 4, 6])
    assert any("more than 9.5 MB" in reason for reason in lab.describe()["parkedReasons"])
    lab.run("stream", "retry", str(lab.folder))
    assert (lab.code, sorted(latest_of(lab.table))) == (0, [1, 2, 3, 4, 5, 6])


@pytest.mark.parametrize("lab", ["fake"], indirect=True)
def test_rows_are_cut_into_requests_that_bigquery_takes(
    captured: Lab, bigquery_write: BigQueryWriteFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = captured
    monkeypatch.setattr("dicombq.warehouses.bigquery_changes.MAX_REQUEST", 2000)
    bigquery_write.requests.clear()
    for number in range(2, 30):
        lab.write(number)
    lab.sync()
    assert sorted(latest_of(lab.table)) == list(range(1, 30))
    assert sum(bigquery_write.requests) == 28
    assert len(bigquery_write.requests) > 4


@pytest.mark.parametrize("lab", ["fake"], indirect=True)
def test_what_is_not_installed_or_not_emulated_is_told_before_anything_changes(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_spec: Any = __import__("importlib.util").util.find_spec

    def without(name: str, *rest: Any) -> Any:
        return None if name == "google.cloud.bigquery_storage_v1" else find_spec(name, *rest)

    with monkeypatch.context() as patch:
        patch.setattr("importlib.util.find_spec", without)
        lab.follow(*CAPTURE)
    assert lab.code == FailedPrecondition.exit_code
    assert "pip install 'dicombq[cdc]'" in lab.err
    monkeypatch.delenv("BIGQUERY_STORAGE_EMULATOR_HOST")
    lab.follow(*CAPTURE)
    assert lab.code == FailedPrecondition.exit_code
    assert "BIGQUERY_STORAGE_EMULATOR_HOST is not" in lab.err
    with anonymous_client() as client:
        assert list(client.list_tables("p.d")) == []
