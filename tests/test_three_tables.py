"""One folder, three warehouses, the same table."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom
import pytest

from dicombq.cli.main import main
from dicombq.names import parse_table_uri
from dicombq.table.fields import Field
from dicombq.warehouses.registry import open_warehouse
from tests.fakes.bigquery import BigQueryFake
from tests.tables import Row, anonymous_client, list_bigquery, normalised, query_bigquery, read_duckdb

BUNDLED = Path(pydicom.__file__).parent / "data" / "test_files"
CORPUS = os.environ.get("DICOMBQ_CORPUS")

SOURCES = [
    pytest.param(BUNDLED, "flattened", id="bundled"),
    pytest.param(BUNDLED, "json", id="bundled, one JSON column"),
    pytest.param(
        Path(CORPUS or ""),
        "flattened",
        id="corpus",
        marks=[
            pytest.mark.corpus,
            pytest.mark.skipif(not CORPUS, reason="DICOMBQ_CORPUS does not name the folder of real files"),
        ],
    ),
]


def export(
    folder: Path, uri: str, schema: str, read: Callable[[Any], list[Row]]
) -> tuple[tuple[Field, ...], list[Row]]:
    """Export by the command line; give the table's fields and rows."""
    code = main(["export", "bq", str(folder), f"--bq-table={uri}", f"--schema={schema}"])
    assert code in (0, 3)
    table = parse_table_uri(uri)
    return open_warehouse(table, 0).state(table).fields, read(table)


def counted(rows: list[Row]) -> Counter[str]:
    return Counter(json.dumps(normalised(row), sort_keys=True) for row in rows)


@pytest.fixture
def embedded(home: Path) -> str:
    return f"duckdb://{home.parent}/tables.duckdb/d.t"


@pytest.mark.parametrize(("folder", "schema"), SOURCES)
def test_duckdb_and_the_fake_hold_the_same_table(
    bigquery: BigQueryFake, embedded: str, folder: Path, schema: str
) -> None:
    fields, rows = export(folder, embedded, schema, read_duckdb)
    other_fields, other_rows = export(folder, "bq://p.d.t", schema, list_bigquery)
    assert len(rows) > 50
    assert fields == other_fields
    assert counted(rows) == counted(other_rows)


@pytest.mark.parametrize(("folder", "schema"), SOURCES)
def test_duckdb_and_local_bigquery_hold_the_same_table(
    local_bigquery: None, embedded: str, tmp_path: Path, folder: Path, schema: str
) -> None:
    dataset = f"d_{tmp_path.name}"
    with anonymous_client() as client:
        client.create_dataset(dataset, exists_ok=True)
    fields, rows = export(folder, embedded, schema, read_duckdb)
    other_fields, other_rows = export(folder, f"bq://p.{dataset}.t", schema, query_bigquery)
    assert len(rows) > 50
    assert fields == other_fields
    assert counted(rows) == counted(other_rows)
