from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from dicombq.errors import SchemaConflict, TableExists
from dicombq.export.plan import plan
from dicombq.export.preview import preview
from dicombq.export.request import ExportRequest
from dicombq.names import BigQueryTable, Parent
from dicombq.stores.registry import open_store
from dicombq.table.disposition import Disposition
from dicombq.warehouses.bigquery import BigQueryWarehouse
from dicombq.warehouses.destination import BigQueryDestination
from tests.fakes.bigquery import BigQueryFake
from tests.instances import write_instance

TABLE = BigQueryTable("p", "d", "t")


def look(folder: Path, disposition: Disposition = Disposition.NONE, sample: int = 200, **more: Any) -> dict[str, Any]:
    store = open_store(str(folder), Parent(), folder / "home", lambda _text: None)
    request = ExportRequest(store, BigQueryDestination(TABLE, disposition, **more))
    return preview(plan(request, BigQueryWarehouse("p")), sample).to_dict()


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    for number in range(1, 41):
        write_instance(tmp_path / "scans" / f"{number}.dcm", number, PatientID="A")
    return tmp_path / "scans"


def make_table(bigquery: BigQueryFake, *fields: dict[str, str]) -> None:
    from tests.tables import anonymous_client

    with anonymous_client() as client:
        from google.cloud import bigquery as official

        schema = [official.SchemaField.from_api_repr(each) for each in fields]
        client.create_table(official.Table("p.d.t", schema))


def test_a_sample_is_enough_for_an_estimate(scans: Path, bigquery: BigQueryFake) -> None:
    whole, part = look(scans), look(scans, sample=10)
    assert (whole["sampled"], part["sampled"]) == (40, 10)
    assert (whole["estimatedRows"], part["estimatedRows"]) == (40, 40)
    assert abs(part["estimatedLoadBytes"] - whole["estimatedLoadBytes"]) < whole["estimatedLoadBytes"] / 20
    assert part["bytes"] == sum(file.stat().st_size for file in scans.iterdir())
    assert part == look(scans, sample=10)


def test_a_table_of_bigquery_has_a_price(scans: Path, bigquery: BigQueryFake) -> None:
    assert look(scans)["estimatedCost"].endswith("USD a month, at 0.02 USD per GiB; the load is free")


def test_new_columns_of_an_existing_table_are_named(scans: Path, bigquery: BigQueryFake) -> None:
    make_table(bigquery, {"name": "patientid", "type": "STRING"}, {"name": "Modality", "type": "STRING"})
    found = look(scans, Disposition.WRITE_APPEND)
    assert "SeriesInstanceUID" in found["newColumns"]
    assert "PatientID" not in found["newColumns"]
    assert look(scans, Disposition.WRITE_TRUNCATE)["newColumns"] == []


def test_what_the_export_would_refuse_is_refused(scans: Path, bigquery: BigQueryFake) -> None:
    make_table(bigquery, {"name": "Modality", "type": "INTEGER"})
    with pytest.raises(TableExists):
        look(scans)
    with pytest.raises(SchemaConflict, match="Modality"):
        look(scans, Disposition.WRITE_APPEND)


def test_a_store_without_instances_has_no_rows(tmp_path: Path, bigquery: BigQueryFake) -> None:
    (tmp_path / "scans").mkdir()
    found = look(tmp_path / "scans")
    assert (found["files"], found["sampled"], found["estimatedRows"]) == (0, 0, 0)
    (tmp_path / "scans" / "link.dcm").symlink_to("nowhere")
    os.mkfifo(tmp_path / "scans" / "pipe")
    assert look(tmp_path / "scans")["files"] == 1
