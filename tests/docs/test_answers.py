"""Every SQL block is followed by its answer.

``UPDATE_GOLDEN=1`` writes the answers into the pages; the samples' own SQL has to be there.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from dicombq.cli.render import Output
from dicombq.names import DuckdbTable
from dicombq.questions import SAMPLES
from dicombq.questions.place import TABLE
from dicombq.questions.samples import completed, sample
from dicombq.warehouses.base import Parameter
from dicombq.warehouses.duckdb import DuckdbWarehouse
from dicombq.warehouses.googlesql.names import with_aliases
from tests.archive import write_archive
from tests.docs.pages import DOCS, ROOT, blocks
from tests.instances import write_instance
from tests.warehouses.googlesql.test_questions import export

SAMPLES_PAGE = DOCS / "reference" / "samples.md"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
WITH_SQL = [page for page in PAGES if any(block.language == "sql" for block in blocks(page))]
TABLES = {
    TABLE: "dicom.scans",
    "chc-tcia.lungct_diagnosis.lungct_diagnosis": "dicom.scans",
    "chc-nih-chest-xray.nih_chest_xray.nih_chest_xray": "dicom.chest",
}
_SQL = re.compile(r"(?ms)^```sql\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?")


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> DuckdbWarehouse:
    """The archive that the pages call `scans`, and an image of the patient of Google's guide."""
    folder = tmp_path_factory.mktemp("sql")
    write_instance(folder / "chest" / "1.dcm", 1, PatientID="19045")
    for name, archive in (("scans", write_archive(folder / "scans")), ("chest", folder / "chest")):
        export(DuckdbTable(folder / "warehouse.duckdb", "dicom", name), folder / f"home-{name}", archive)
    return DuckdbWarehouse(folder / "warehouse.duckdb")


@pytest.mark.parametrize("page", WITH_SQL, ids=lambda page: page.stem)
def test_an_sql_block_is_followed_by_its_answer(
    page: Path, warehouse: DuckdbWarehouse, capsys: pytest.CaptureFixture[str]
) -> None:
    text = page.read_text(encoding="utf-8")
    answers = [_answer(match[1], warehouse, capsys) for match in _SQL.finditer(text)]
    assert len(answers) == sum(block.language == "sql" for block in blocks(page))
    assert all(answer.count("\n") > 1 for answer in answers), "an answer without rows shows nothing"
    if os.environ.get("UPDATE_GOLDEN"):
        found = iter(answers)
        text = _SQL.sub(lambda match: f"```sql\n{match[1]}```\n\n```text\n{next(found)}```\n", text)
        page.write_text(text, encoding="utf-8")
    assert [_rows(match[2]) for match in _SQL.finditer(text)] == [_rows(answer) for answer in answers]


def _answer(sql: str, warehouse: DuckdbWarehouse, capsys: pytest.CaptureFixture[str]) -> str:
    """Give what ``dicombq query`` prints for a question, with the archive's first patient for ``@patient``."""
    fields = warehouse.fields(DuckdbTable(warehouse._file, "dicom", "scans"))
    result = warehouse.query(with_aliases(completed(sql, fields), TABLES), [Parameter("patient", "STRING", "P-001")])
    Output("dicombq query", "table", verbosity="warning", log_http=False).table(
        result.columns, result.rows, hide_empty=False
    )
    return capsys.readouterr().out


def _rows(answer: str) -> list[str]:
    """Give an answer's lines without their order: rows that are equal to ORDER BY, or without one, have none."""
    return sorted(answer.splitlines())


def test_the_page_of_the_samples_has_all_of_them() -> None:
    shown = {block.section: block.text for block in blocks(SAMPLES_PAGE) if block.language == "sql"}
    assert shown == {name: sample(name).split("\n", 1)[1] for name in SAMPLES}
    titles = re.findall(r"(?m)^## (\S+)\n\n(.+)\.$", SAMPLES_PAGE.read_text(encoding="utf-8"))
    assert titles == [(name, sample(name).split("\n", 1)[0].removeprefix("-- ")) for name in SAMPLES]
