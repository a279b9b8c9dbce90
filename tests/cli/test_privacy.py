"""No value of an element leaves the table, whatever goes wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dicombq.operations.store import OperationStore
from tests.cli.conftest import Result, Run
from tests.fakes.bigquery import BigQueryFake, Fault
from tests.instances import write_instance, write_truncated

CANARY = "Canary"
PERSON = {"PatientName": f"{CANARY}^Jane", "PatientID": f"{CANARY}-1", "PatientComments": f"{CANARY} was here"}


@pytest.fixture
def patients(here: Path) -> Path:
    """Instances with a patient in them, and much that is wrong."""
    folder = here / "patients"
    write_instance(folder / "good.dcm", 1, **PERSON)
    write_instance(folder / "copy.dcm", 1, **PERSON)
    write_truncated(folder / "cut.dcm", **PERSON)
    data = write_instance(folder / "unfit.dcm", 2, **PERSON).read_bytes()
    assert b"LO\x08\x00Canary-1" in data
    (folder / "other_vr.dcm").write_bytes(data.replace(b"LO\x08\x00Canary-1", b"DA\x08\x00Canary-1"))
    (folder / "text.dcm").write_text(f"{CANARY}\n" * 100)
    (folder / "notes.txt").write_text(f"{CANARY}\n" * 100)
    bad_date = write_instance(folder / "date.dcm", 3, **PERSON, StudyDate="20260101", PatientSize="1.5")
    content = bad_date.read_bytes().replace(b"20260101", b"CanaryDa").replace(b"1.5 ", b"Cana")
    bad_date.write_bytes(content)
    return folder


def said(result: Result, home: Path) -> str:
    """Everything that a person may see of an operation besides its table."""
    paths = [*(home / "logs").iterdir(), *(home / "operations").glob("*/state.json")]
    return "\n".join([result.out, result.err, *(path.read_text() for path in paths)])


@pytest.mark.parametrize("schema", ["flattened", "json"])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_no_value_is_printed_or_logged(run: Run, patients: Path, home: Path, schema: str, workers: str) -> None:
    result = run("export", "bq", "patients", f"--schema={schema}", f"--workers={workers}")
    assert result.code == 3
    operation = OperationStore(home).list()[0][0]
    assert operation.counters.notices or schema == "json"
    name = str(operation.name)
    looked_at = [run("operations", "logs", name), run("operations", "describe", name), run("operations", "list")]
    assert "cut.dcm" in looked_at[0].out
    for output in (result, *looked_at):
        assert CANARY not in said(output, home)
    assert CANARY in run("query", "SELECT * FROM dicom.patients").out


def test_no_value_is_printed_when_a_load_fails(spawn: Run, patients: Path, home: Path, bigquery: BigQueryFake) -> None:
    bigquery.fail("jobs.upload.start", Fault.QUOTA, times=100)
    bigquery.fail("jobs.insert", Fault.QUOTA, times=100)
    result = spawn("export", "bq", "patients", "--bq-table=bq://p.d.t", "--log-http", "--verbosity=debug")
    assert result.code == 5
    assert CANARY not in said(result, home)


def test_no_value_is_printed_by_a_conflict(run: Run, patients: Path, home: Path) -> None:
    run("export", "bq", "patients", "--schema=json", "--bq-table=duckdb://x.duckdb/d.t")
    result = run("export", "bq", "patients", "--write-disposition=write-append", "--bq-table=duckdb://x.duckdb/d.t")
    assert result.code == 4
    assert CANARY not in said(result, home)


def test_no_value_is_printed_by_a_query_that_fails(run: Run, patients: Path) -> None:
    run("export", "bq", "patients")
    result = run("query", "SELECT CAST(PatientID AS INT64) FROM dicom.patients")
    assert result.code == 1
    assert CANARY not in result.out + result.err


def test_only_the_owner_may_read_what_is_left(run: Run, patients: Path, home: Path) -> None:
    before = os.umask(0)
    try:
        run("export", "bq", "patients")
        run("export", "bq", "patients", "--bq-table=duckdb://x.duckdb/d.t")
    finally:
        os.umask(before)
    paths = [home, *home.rglob("*"), Path("x.duckdb")]
    assert [path for path in paths if path.stat().st_mode & 0o077] == []
