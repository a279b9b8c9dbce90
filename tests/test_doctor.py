from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from google.cloud.bigquery.retry import DEFAULT_RETRY

from dicombq import config
from dicombq.doctor import Finding, all_checks, examine
from dicombq.names import BigQueryTable, Parent
from dicombq.stores.registry import open_store
from dicombq.warehouses.bigquery import BigQueryWarehouse
from dicombq.warehouses.registry import find_warehouse
from tests.fakes.bigquery import BigQueryFake
from tests.tables import ID, anonymous_client, make_load

TABLE = BigQueryTable("p", "d", "t")


def look(table: BigQueryTable | None = None, store: str | None = None) -> dict[str, Finding]:
    def destination() -> tuple[object, object]:
        return (BigQueryWarehouse("p", 0), table) if table else (find_warehouse(config.warehouse(), 0), None)

    checks = all_checks(
        (lambda: open_store(store, Parent(), config.home(), print)) if store else None,
        destination,  # type: ignore[arg-type]  # a warehouse is one whatever its table
    )
    return {finding.check: finding for finding in examine(checks)}


def test_all_is_well_on_a_machine_where_nothing_was_done_yet(home: Path) -> None:
    found = look()
    assert all(finding.ok for finding in found.values())
    assert list(found) == ["versions", "home", "disk", "properties", "operations", "warehouse"]
    assert found["warehouse"].found.endswith("warehouse.duckdb, to be made")


def test_a_disk_that_is_nearly_full_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=5 << 20))
    found = look()["disk"]
    assert (found.ok, found.found) == (False, f"5 MiB are free where [{home}] is")
    assert "dicombq operations prune" in found.mend


def test_properties_that_cannot_be_read_are_told(home: Path) -> None:
    (config.home() / "config.ini").write_text("x")
    found = look()
    assert not found["properties"].ok
    assert not found["warehouse"].ok
    assert found["disk"].ok


def test_a_store_is_read(home: Path, tmp_path: Path) -> None:
    from tests.instances import write_instance

    write_instance(tmp_path / "scans" / "1.dcm")
    (tmp_path / "scans" / "notes.txt").write_text("x")
    assert look(store=str(tmp_path / "scans"))["store"].found == "readable; 1 of the first 2 files are instances"
    (tmp_path / "scans" / "1.dcm").unlink()
    assert not look(store=str(tmp_path / "scans"))["store"].ok
    assert look(store=str(tmp_path / "nowhere"))["store"].found == f"there is no folder [{tmp_path}/nowhere]"


def test_a_warehouse_of_another_kind_is_told(home: Path) -> None:
    (config.home() / "warehouse.duckdb").write_text("not a database")
    assert "is not a DuckDB file" in look()["warehouse"].found


def test_bigquery_is_asked_for_all_that_a_load_needs(home: Path, bigquery: BigQueryFake, tmp_path: Path) -> None:
    found = look(TABLE)
    assert all(finding.ok for finding in found.values()), found
    names = ["clock", "credentials", "jobs", "dataset", "table", "roles", "quota"]
    assert list(found)[-7:] == names
    assert found["dataset"].found == "in US"
    assert found["table"].found == "missing"
    BigQueryWarehouse("p").load(TABLE, make_load(tmp_path, [{"Id": 1}], [ID]))
    found = look(TABLE)
    assert found["table"].found == "exists, rows, 1 columns"
    assert found["roles"].found == "the table may be written"
    assert found["quota"].found.startswith("1 of 1,500 loads of today used")


def test_what_is_not_granted_is_named_with_the_role(home: Path, bigquery: BigQueryFake, tmp_path: Path) -> None:
    BigQueryWarehouse("p").load(TABLE, make_load(tmp_path, [{"Id": 1}], [ID]))
    bigquery.lacking = {"bigquery.tables.updateData"}
    found = look(TABLE)["roles"]
    assert (found.ok, found.found) == (False, "bigquery.tables.updateData not granted")
    assert "--role=roles/bigquery.dataEditor p:d" in found.mend
    bigquery.forbidden = {"jobs.insert"}
    assert "roles/bigquery.jobUser" in look(TABLE)["jobs"].mend


def test_a_dataset_that_is_missing_is_told_with_the_command_that_makes_it(home: Path, bigquery: BigQueryFake) -> None:
    found = look(BigQueryTable("p", "other", "t"))
    assert not found["dataset"].ok
    assert found["table"].mend == "Make it: bq mk --dataset p:other"


def test_a_quota_that_is_used_up_is_told(
    home: Path, bigquery: BigQueryFake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicombq.warehouses.bigquery_checks.LOADS_PER_DAY", 1)
    BigQueryWarehouse("p").load(TABLE, make_load(tmp_path, [{"Id": 1}], [ID]))
    assert look(TABLE)["quota"].found == "1 of 1 loads of a day are used"


def test_a_clock_that_is_wrong_is_told(home: Path, bigquery: BigQueryFake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("email.utils.parsedate_to_datetime", _long_ago)
    found = look(TABLE)["clock"]
    assert (found.ok, "seconds off" in found.found) == (False, True)


def _long_ago(_text: str) -> object:
    import datetime as dt

    return dt.datetime(2020, 1, 1, tzinfo=dt.timezone.utc)


def test_a_server_that_does_not_answer_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", "http://127.0.0.1:1")
    monkeypatch.setattr("dicombq.warehouses.bigquery_checks._RETRY", DEFAULT_RETRY.with_timeout(0))
    found = look(TABLE)
    assert found["clock"].found == "[http://127.0.0.1:1] does not answer"
    assert not found["jobs"].ok


def test_without_credentials_all_that_needs_them_says_so(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "missing.json"))
    monkeypatch.setattr("dicombq.warehouses.bigquery_checks._clock", lambda: "0 seconds off")
    found = look(TABLE)
    for name in ("credentials", "jobs", "dataset", "table", "quota"):
        assert "gcloud auth application-default login" in found[name].mend


def test_a_load_of_another_table_does_not_count(home: Path, bigquery: BigQueryFake, tmp_path: Path) -> None:
    BigQueryWarehouse("p").load(BigQueryTable("p", "d", "other"), make_load(tmp_path, [{"Id": 1}], [ID]))
    assert look(TABLE)["quota"].found.startswith("0 of")
    with anonymous_client() as client:
        assert len(list(client.list_jobs())) == 1
