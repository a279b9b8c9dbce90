"""``export gcs`` and ``import gcs``: what they print, and how they end."""

from __future__ import annotations

from pathlib import Path

import pytest

from dicombq.cli.main import cli
from dicombq.operations.store import OperationStore
from tests.cli.conftest import Run
from tests.instances import ROOT

PLACE = f"{ROOT}.1/{ROOT}.1.1/{ROOT}.1.1.1.dcm"
NAME = "projects/local/locations/local/datasets/dicom"


def test_an_export_of_files_prints_what_gclouds_does(run: Run, scans: Path, here: Path, home: Path) -> None:
    result = run("dicom-stores", "export", "gcs", "scans", "--gcs-uri-prefix=copies")
    [operation] = OperationStore(home).list()[0]
    assert (result.code, result.out) == (0, f"name: {NAME}/dicomStores/scans\n")
    assert result.err.splitlines() == [
        "Request issued for: [scans]",
        f"Waiting for operation [{NAME}/operations/{operation.id}] to complete...done.",
        f"Files: {here}/copies (2 copied)",
    ]
    assert (here / "copies" / PLACE).read_bytes() == (scans / "1.dcm").read_bytes()


def test_an_import_prints_what_gclouds_does(run: Run, broken: Path, here: Path, home: Path) -> None:
    (here / "archive").mkdir()
    (broken / "notes.txt").write_text("notes")
    run("dicom-stores", "create", "a", f"--source={here}/archive")
    for copied in ("(2 copied)", "(0 copied, 2 there already)"):
        result = run("dicom-stores", "import", "gcs", "a", "--gcs-uri=scans/**")
        operation = OperationStore(home).list()[0][0]
        store = f"dicombq:\n  source: {here}/archive\nname: {NAME}/dicomStores/a\n"
        assert (result.code, result.out) == (3, store)
        assert result.err.splitlines() == [
            "Request issued for: [a]",
            f"Waiting for operation [{NAME}/operations/{operation.id}] to complete...done.",
            f"Files: {broken}/** {copied}",
            f"2 instances failed; see them: dicombq operations logs {operation.id}",
        ]
    assert operation.to_api()["metadata"]["apiMethodName"].endswith("v1.dicom.DicomService.ImportDicomData")


def test_both_spellings_are_the_same_commands() -> None:
    def command(*path: str) -> object:
        found = cli
        for name in path:
            found = found.get_command(None, name)  # type: ignore[arg-type, assignment]  # groups
        return found

    for words in (("export", "gcs"), ("import", "gcs")):
        assert command(*words) is command("dicom-stores", *words)


def test_a_transfer_goes_on_in_a_process_of_its_own(run: Run, spawn: Run, scans: Path, here: Path) -> None:
    begun = spawn("export", "gcs", "scans", "--gcs-uri-prefix=copies", "--async", "--format=value(name)")
    assert (begun.code, "Check operation [" in begun.err) == (0, True)
    waited = run("operations", "wait", begun.out.strip())
    assert (waited.code, "(2 copied)" in waited.err) == (0, True)
    assert (here / "copies" / PLACE).exists()


def test_a_store_of_which_nothing_can_be_copied_warns(run: Run, here: Path) -> None:
    (here / "empty").mkdir()
    result = run("export", "gcs", "empty", "--gcs-uri-prefix=copies")
    assert (result.code, "WARNING: nothing could be copied" in result.err) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["export", "gcs", "scans"], 2, "argument --gcs-uri-prefix: Must be specified."),
        (["import", "gcs", "scans"], 2, "argument --gcs-uri: Must be specified."),
        (["export", "gcs", "scans", "--gcs-uri-prefix=x", "--mime-type=image/jpeg"], 2, "is not supported"),
        (["export", "gcs", "scans", "--gcs-uri-prefix=scans"], 2, "is in the store"),
        (["export", "gcs", "scans", "--gcs-uri-prefix="], 2, "the place for the files is empty"),
        (["export", "gcs", "scans", "--gcs-uri-prefix=gs://"], 2, "[] in [gs://] is not the name of a bucket"),
        (["export", "gcs", "scans", "--gcs-uri-prefix=s3://"], 2, "[] in [s3://] is not the name of a bucket"),
        (["export", "gcs", "none", "--gcs-uri-prefix=x"], 7, "there is no folder [none]"),
        (["import", "gcs", "none", "--gcs-uri=scans/*"], 7, "there is no folder [none]"),
        (["import", "gcs", "scans", "--gcs-uri=none/*"], 7, "there is no folder [none]"),
    ],
)
def test_what_cannot_be_meant_begins_no_operation(
    run: Run, scans: Path, home: Path, arguments: list[str], code: int, message: str
) -> None:
    result = run(*arguments)
    assert (result.code, message in result.err) == (code, True)
    assert not (home / "operations").exists()
