"""The warehouses that one contract holds for."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from dicombq.names import BigQueryTable, DuckdbTable
from dicombq.warehouses.bigquery import BigQueryWarehouse
from dicombq.warehouses.duckdb import DuckdbWarehouse
from tests.tables import Place, anonymous_client, list_bigquery, query_bigquery, read_duckdb
from tests.warehouses.duckdb_store import Store

FAKE_LACKS = {"queries": "the fake of BigQuery runs no queries"}
LOCAL_LACKS = {
    "nested columns": "local-bigquery does not add columns to a RECORD",
    "columns in another case": "local-bigquery reads the keys of rows by the schema's case",
    "changing views": "local-bigquery keeps a view's query in tables.update",
}


@pytest.fixture(params=["duckdb", "fake", "local-bigquery"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Give each warehouse in turn, with an empty data set."""
    scratch = tmp_path / f"scratch_{uuid.uuid4().hex}"
    scratch.mkdir()
    if request.param == "duckdb":
        file = tmp_path / "warehouse.duckdb"
        return Place(DuckdbWarehouse(file), DuckdbTable(file, "d", "t"), scratch, read_duckdb)
    if request.param == "fake":
        request.getfixturevalue("bigquery")
        return Place(BigQueryWarehouse("p"), BigQueryTable("p", "d", "t"), scratch, list_bigquery, FAKE_LACKS)
    request.getfixturevalue("local_bigquery")
    dataset = f"d_{uuid.uuid4().hex}"
    with anonymous_client() as client:
        client.create_dataset(dataset)
    return Place(BigQueryWarehouse("p"), BigQueryTable("p", dataset, "t"), scratch, query_bigquery, LOCAL_LACKS)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Give a DuckDB file that is not there yet."""
    return Store(tmp_path / "w.duckdb", tmp_path)
