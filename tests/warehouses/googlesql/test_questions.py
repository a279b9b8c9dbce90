"""The same questions have the same answers on the embedded warehouse and on BigQuery (here, local-bigquery)."""

from __future__ import annotations

import itertools
import json
import os
import re
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest

from dicombq.errors import SqlError
from dicombq.names import BigQueryTable, DuckdbTable, Parent, StoreName, TableUri
from dicombq.questions.values import plain
from dicombq.stores.folder import FolderStore
from dicombq.warehouses.base import Warehouse
from dicombq.warehouses.bigquery import BigQueryWarehouse
from dicombq.warehouses.duckdb import DuckdbWarehouse
from dicombq.warehouses.googlesql.names import with_aliases
from tests.archive import write_archive
from tests.tables import anonymous_client

FOLDER = Path(__file__).parent
ANSWERS = FOLDER / "questions.json"
ALIASES = dict.fromkeys(
    (
        "chc-nih-chest-xray.nih_chest_xray.nih_chest_xray",
        "chc-tcia.lungct_diagnosis.lungct_diagnosis",
        "PROJECT_ID.BIGQUERY_DATASET.BIGQUERY_TABLE",
    ),
    "dicom.archive",
)
QUESTIONS = dict(
    re.findall(r"(?ms)^-- (.+?)\n(.+?)(?=^-- |\Z)", (FOLDER / "questions.sql").read_text(encoding="utf-8"))
)
_BARE = "local-bigquery knows no bare field of an UNNEST without alias"
_NULL_ARRAY = "local-bigquery reads a REPEATED column that was not written as NULL, BigQuery as empty"
_FRACTION = "local-bigquery writes a fraction of a second with one digit, BigQuery with three or six"
LOCAL_BIGQUERY_DIFFERS = {
    "guide: the latest studies": _FRACTION,
    "times as text": _FRACTION,
    "IDC: a private element without alias": _BARE,
    "IDC: a private element by a subquery": _BARE,
    "IDC: segments without an alias for the inner sequence": _BARE,
    "IDC: the items of a sequence as an array of fields": _BARE,
    "IDC: what was left out": _BARE,
    "IDC: an array as one text": _NULL_ARRAY,
    "IDC: how many items": _NULL_ARRAY,
    "an array that was not written is empty and not NULL": _NULL_ARRAY,
    "large numbers as text": "local-bigquery writes a FLOAT64 from 1e15 on without exponent",
    "more: the spread of one value": "local-bigquery gives NaN for CORR of one pair, BigQuery NULL",
    "more: NaN equals nothing": "local-bigquery compares NaN as DuckDB does",
    "more: which texts are values": "local-bigquery reads texts as values that BigQuery does not",
    "values as JSON": "local-bigquery writes times, whole FLOAT64 and large INT64 in JSON as DuckDB does",
}
"""Questions that local-bigquery answers otherwise than BigQuery's documentation says."""


def export(table: TableUri, home: Path, archive: Path) -> None:
    """Export as the command line does, to the end of the view."""
    from dicombq.export.request import ExportRequest
    from dicombq.export.task import export_task
    from dicombq.operations import jobs
    from dicombq.operations.kinds import Settings
    from dicombq.warehouses.destination import BigQueryDestination

    store = FolderStore(StoreName(Parent(), "archive"), archive)
    settings = Settings(home, 1)
    task = export_task(ExportRequest(store, BigQueryDestination(table)), settings)
    home.mkdir(exist_ok=True)
    with jobs.begin(task, settings) as job:
        job.run(lambda _operation: None)


def answer(warehouse: Warehouse[Any], name: str) -> list[list[Any]]:
    result = warehouse.query(with_aliases(QUESTIONS[name], ALIASES))
    return [list(result.columns), *([comparable(plain(value)) for value in row] for row in result.rows)]


def without_ties(answer: list[list[Any]]) -> list[list[Any]]:
    """Sort the rows that are alike in the first column."""
    alike = itertools.groupby(answer[1:], key=itemgetter(0))
    return [answer[0], *(row for _, rows in alike for row in sorted(rows, key=repr))]


def comparable(value: Any) -> Any:
    """A float's last digit may differ; an array of BigQuery's is never NULL."""
    if isinstance(value, float):
        return round(value, 9)
    if isinstance(value, dict):
        return {key: comparable(each) for key, each in value.items()}
    return [comparable(each) for each in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def duckdb(tmp_path_factory: pytest.TempPathFactory) -> DuckdbWarehouse:
    folder = tmp_path_factory.mktemp("questions")
    table = DuckdbTable(folder / "warehouse.duckdb", "dicom", "archive")
    export(table, folder / "home", write_archive(folder / "archive"))
    return DuckdbWarehouse(table.file)


@pytest.fixture(scope="module")
def bigquery(tmp_path_factory: pytest.TempPathFactory, local_bigquery_url: str) -> BigQueryWarehouse:
    folder = tmp_path_factory.mktemp("questions")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BIGQUERY_EMULATOR_HOST", local_bigquery_url)
        patch.setattr("dicombq.warehouses.bigquery.MAX_GZIP_SIZE", 0)  # it reads no gzip
        with anonymous_client() as client:
            client.create_dataset("dicom", exists_ok=True)
        export(BigQueryTable("p", "dicom", "archive"), folder / "home", write_archive(folder / "archive"))
        warehouse = BigQueryWarehouse("p")
        assert warehouse.query("SELECT 1").columns == ("f0_",)  # the client is made, for this server
    return warehouse


def test_there_are_a_hundred_questions() -> None:
    assert len(QUESTIONS) >= 100


@pytest.mark.parametrize("name", QUESTIONS)
def test_the_embedded_warehouse_answers(duckdb: DuckdbWarehouse, name: str) -> None:
    answers = json.loads(ANSWERS.read_text(encoding="utf-8")) if ANSWERS.exists() else {}
    found = answer(duckdb, name)
    if os.environ.get("UPDATE_GOLDEN"):
        answers[name] = found
        lines = (f"{json.dumps(each)}: {json.dumps(answers[each], ensure_ascii=False)}" for each in sorted(answers))
        ANSWERS.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    if name == "guide: the latest studies":  # its order leaves those without a date open
        assert without_ties(found) == without_ties(answers[name])
    else:
        assert found == answers[name]


@pytest.mark.parametrize("name", QUESTIONS)
def test_local_bigquery_gives_the_same_answer(bigquery: BigQueryWarehouse, name: str) -> None:
    expected = json.loads(ANSWERS.read_text(encoding="utf-8"))[name]
    if name not in LOCAL_BIGQUERY_DIFFERS:
        assert answer(bigquery, name) == expected
        return
    try:
        found = answer(bigquery, name)
    except SqlError:
        return
    assert found != expected, f"local-bigquery has been mended: {LOCAL_BIGQUERY_DIFFERS[name]}"
