"""``export bq --filter-config-gcs-uri``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from dicombq.operations.state import State
from dicombq.operations.store import OperationStore
from tests.cli.conftest import Run
from tests.cli.gate import Gate
from tests.instances import ROOT

SERIES = f"/studies/{ROOT}.1/series/{ROOT}.1.1"
COUNT = "SELECT COUNT(*) AS n FROM dicom.scans"


def test_only_what_the_file_names_is_exported(run: Run, scans: Path, here: Path) -> None:
    (here / "filter.txt").write_text(f"{SERIES}/instances/{ROOT}.1.1.2\n/studies/9.9\n")
    result = run("export", "bq", "scans", "--filter-config-gcs-uri=filter.txt")
    assert (result.code, "(1 new row)" in result.err, "1 notice; see them" in result.err) == (0, True, True)
    sql = f"SELECT SOPInstanceUID = '{ROOT}.1.1.2' AS it FROM dicom.scans"
    assert json.loads(run("query", sql, "--format=json").out) == [{"it": True}]
    assert "apiMethodName: google.cloud.healthcare.v1beta1.dicom" in run("operations", "list", "--format=yaml").out


def test_the_filter_comes_from_standard_input(scans: Path, run: Run) -> None:
    command = [sys.executable, "-m", "dicombq", "export", "bq", "scans", "--filter-config-gcs-uri=-"]
    done = subprocess.run(command, input=f"{SERIES}\n", text=True, capture_output=True, check=False)
    assert (done.returncode, "(2 new rows)" in done.stderr) == (0, True)


@pytest.mark.parametrize(
    ("text", "message"), [("/studies/1\n/x\n", "line 2 of the filter file"), ("\n", "names no study")]
)
def test_a_wrong_filter_is_refused_before_any_work(
    run: Run, scans: Path, here: Path, home: Path, text: str, message: str
) -> None:
    (here / "filter.txt").write_text(text)
    result = run("export", "bq", "scans", "--filter-config-gcs-uri=filter.txt")
    assert (result.code, message in result.err) == (2, True)
    assert not (home / "operations").exists()


def test_a_closed_standard_input_is_not_found(run: Run, scans: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    result = run("export", "bq", "scans", "--filter-config-gcs-uri=-")
    assert (result.code, "there is no standard input" in result.err) == (7, True)


def test_a_filter_that_is_missing_is_not_found(run: Run, scans: Path) -> None:
    assert run("export", "bq", "scans", "--filter-config-gcs-uri=filter.txt").code == 7


def test_an_operation_goes_on_with_the_filter_as_it_was(
    spawn: Run, run: Run, scans: Path, here: Path, home: Path, gate: Gate
) -> None:
    (here / "filter.txt").write_text(f"{SERIES}/instances/{ROOT}.1.1.2\n")
    begun = yaml.safe_load(spawn("export", "bq", "scans", "--async", "--filter-config-gcs-uri=filter.txt").out)
    identity = begun["name"].rpartition("/")[2]
    receipts = gate.wait_for(State.LOADING).folder / "receipts"
    assert run("operations", "cancel", identity, "--quiet").code == 0
    (here / "filter.txt").unlink()
    for receipt in receipts.iterdir():
        receipt.unlink()
    gate.open()
    assert run("operations", "resume", identity).code == 0
    assert json.loads(run("query", COUNT, "--format=json").out) == [{"n": "1"}]


def test_an_operation_that_lost_its_filter_never_exports_everything(
    spawn: Run, run: Run, scans: Path, here: Path, home: Path, gate: Gate
) -> None:
    (here / "filter.txt").write_text(f"{SERIES}\n")
    begun = yaml.safe_load(spawn("export", "bq", "scans", "--async", "--filter-config-gcs-uri=filter.txt").out)
    identity = begun["name"].rpartition("/")[2]
    run("operations", "cancel", identity, "--quiet")
    (OperationStore(home).get(identity).folder / "filter").unlink()
    result = run("operations", "resume", identity)
    assert (result.code, "has lost its filter" in result.err) == (1, True)
