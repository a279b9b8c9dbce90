from __future__ import annotations

import io
import json
import os
import stat
import sys
from pathlib import Path

import pytest

from dicombq.questions import SAMPLES
from tests.archive import write_archive
from tests.cli.conftest import Run
from tests.instances import write_instance

COUNT = "SELECT COUNT(*) AS n FROM instances"


def type_in(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))


@pytest.fixture
def exported(run: Run, scans: Path) -> Path:
    assert run("export", "bq", "scans").code == 0
    return scans


# --- where the query is ---


def test_a_query_comes_from_the_command_a_file_or_stdin(
    run: Run, exported: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sql = "SELECT COUNT(*) AS n FROM dicom.scans"
    (here / "count.sql").write_text(sql)
    assert run("query", sql).out == "n\n2\n"
    assert run("query", "-f", "count.sql").out == "n\n2\n"
    assert run("query", "--file=count.sql").out == "n\n2\n"
    for arguments in ((), ("-",), ("--format=csv",)):
        type_in(monkeypatch, sql)
        assert run("query", *arguments).out == "n\n2\n"


def test_a_query_on_stdin_may_be_about_a_source(run: Run, exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    type_in(monkeypatch, COUNT)
    assert run("query", "dicom.scans").out == "n\n2\n"
    type_in(monkeypatch, COUNT)
    assert run("query", "dicom.scans", "-").out == "n\n2\n"


def test_two_queries_or_none_are_refused(run: Run, exported: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "count.sql").write_text(COUNT)
    for arguments in (("dicom.scans", COUNT, "-f", "count.sql"), ("-f", "count.sql", "--sample=dose")):
        result = run("query", *arguments)
        assert (result.code, result.err.splitlines()[0]) == (
            2,
            "ERROR: (dicombq.query) several queries are given.",
        )
    monkeypatch.setattr(sys, "stdin", None)
    assert "no query is given" in run("query", "dicom.scans").err
    type_in(monkeypatch, "")
    assert run("query").code == 2


def test_a_query_in_another_encoding_is_refused(run: Run, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = b'SELECT "\xe4"'
    (here / "q.sql").write_bytes(content)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content), encoding="utf-8"))
    for arguments in (["-f", "q.sql"], ["-"], [os.fsdecode(content)]):
        result = run("query", *arguments)
        assert (result.code, "the query is no UTF-8 text" in result.err) == (2, True)


def test_a_file_that_is_not_there_is_refused(run: Run, here: Path) -> None:
    result = run("query", "-f", "missing.sql")
    assert (result.code, "missing.sql" in result.err) == (2, True)


# --- a table as the source ---


@pytest.mark.parametrize(
    "source", ["dicom.scans", "my-project.dicom.scans", "duckdb://{home}/warehouse.duckdb/dicom.scans"]
)
def test_a_table_is_asked_as_instances(run: Run, exported: Path, home: Path, source: str) -> None:
    assert run("query", source.format(home=home), COUNT).out == "n\n2\n"


def test_an_alias_maps_the_table_of_a_query_word_for_word(run: Run, exported: Path) -> None:
    sql = "SELECT COUNT(nih_chest_xray.SOPInstanceUID) AS n FROM `chc-nih-chest-xray.nih_chest_xray.nih_chest_xray`"
    for name in (
        "chc-nih-chest-xray.nih_chest_xray.nih_chest_xray",
        "[chc-nih-chest-xray:nih_chest_xray.nih_chest_xray]",
    ):
        assert run("query", f"--alias={name}=dicom.scans", sql).out == "n\n2\n"
    assert run("query", "dicom.scans", f"--alias={name}=instances", sql).out == "n\n2\n"


@pytest.mark.parametrize("alias", ["a.b", "a.b=c", "=c.d", "a b=c.d", "a=c.d.e.f-g"])
def test_an_alias_that_is_none_is_refused(run: Run, here: Path, alias: str) -> None:
    result = run("query", f"--alias={alias}", "SELECT 1")
    assert (result.code, "is not NAME=DATASET.TABLE" in result.err) == (2, True)


# --- a store as the source ---


def test_a_folder_is_asked_and_its_table_kept_while_nothing_changes(run: Run, scans: Path, home: Path) -> None:
    first = run("query", "./scans", COUNT)
    assert (first.code, first.out) == (0, "n\n2\n")
    assert first.err.endswith("done.\n")
    assert run("query", "scans", COUNT).err == ""
    write_instance(scans / "3.dcm", 3)
    changed = run("query", "scans", COUNT)
    assert (changed.out, "Waiting for operation" in changed.err) == ("n\n3\n", True)
    (scans / "3.dcm").unlink()
    assert run("query", "scans", COUNT).out == "n\n2\n"
    for number in (1, 2):
        (scans / f"{number}.dcm").unlink()
    assert run("query", "scans", COUNT).out == "n\n0\n"


def test_a_file_that_was_rewritten_is_read_again(run: Run, scans: Path) -> None:
    sql = "SELECT Modality FROM instances ORDER BY Modality"
    assert run("query", "scans", sql).out == "Modality\nCT\nCT\n"
    write_instance(scans / "1.dcm", 1, Modality="MR")
    os.utime(scans / "1.dcm", (1, 1))
    assert run("query", "scans", sql).out == "Modality\nCT\nMR\n"


def test_what_is_kept_of_a_folder_is_for_its_owner_alone(run: Run, scans: Path, home: Path) -> None:
    run("query", "scans", COUNT)
    kept = home / "questions"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in kept.iterdir()} == {0o600}
    assert len(list(kept.iterdir())) == 2


def test_a_table_that_nobody_asked_for_a_month_is_deleted_when_another_is_made(
    run: Run, scans: Path, here: Path, home: Path
) -> None:
    run("query", "scans", COUNT)
    [note] = (home / "questions").glob("*.json")
    os.utime(note, (1, 1))
    write_instance(here / "other" / "1.dcm")
    run("query", "other", COUNT)
    [left] = (home / "questions").glob("*.json")
    assert left != note
    assert not note.with_suffix(".duckdb").exists()


def test_a_note_that_is_damaged_makes_the_table_anew(run: Run, scans: Path, home: Path) -> None:
    run("query", "scans", COUNT)
    [note] = (home / "questions").glob("*.json")
    note.write_text("{")
    assert run("query", "scans", COUNT).out == "n\n2\n"


def test_an_instance_that_cannot_be_read_is_told(run: Run, broken: Path) -> None:
    result = run("query", "scans", COUNT)
    assert (result.code, result.out) == (0, "n\n2\n")
    assert "WARNING: 1 instance(s) failed; see them: dicombq operations logs " in result.err
    assert "WARNING: 1 instance(s) failed" in run("query", "scans", COUNT).err


def test_a_folder_without_instances_is_told(run: Run, here: Path) -> None:
    (here / "empty").mkdir()
    result = run("query", "./empty", COUNT)
    assert (result.out, "no instance in [empty] could be read" in result.err) == ("n\n0\n", True)


def test_a_store_has_no_warehouse(run: Run, scans: Path) -> None:
    result = run("query", "scans", COUNT, "--warehouse=bq://p")
    assert (result.code, "Leave it out to ask a store" in result.err) == (2, True)


def test_what_is_no_query_is_refused_as_it_was_written(run: Run, scans: Path) -> None:
    assert "only a query can be run" in run("query", "scans", "DROP TABLE instances").err


def test_an_element_that_no_instance_has_is_told_as_such(run: Run, scans: Path) -> None:
    result = run("query", "scans", "SELECT CTDIvol FROM instances")
    assert result.code == 1
    assert result.err.splitlines()[-2:] == [
        "ERROR: (dicombq.query) there is no column [CTDIvol].",
        "An element that no instance has is no column.",
    ]


def test_a_source_that_is_not_there_is_not_found(run: Run, here: Path) -> None:
    assert run("query", "nowhere", COUNT).code == 7


# --- parameters ---


def test_parameters_are_given_by_name_or_by_place(run: Run, exported: Path) -> None:
    uid = "1.2.826.0.1.3680043.8.498.1.1.1"
    sql = "SELECT COUNT(*) AS n FROM dicom.scans WHERE SOPInstanceUID = @uid AND Modality IN UNNEST(@of)"
    given = (f"--parameter=uid::{uid}", '--parameter=of:ARRAY<STRING>:["CT", "MR"]')
    assert run("query", *given, sql).out == "n\n1\n"
    assert (
        run("query", "--parameter=:INT64:2", "--parameter=:STRING:NULL", "SELECT ? AS a, ? AS b").out
        == "a  b\n2  NULL\n"
    )


@pytest.mark.parametrize(
    "value", ["a", "a:b", "a:NONSENSE:1", "a b:INT64:1", "a:ARRAY<STRING>:x", "a:ARRAY<STRING>:[null]"]
)
def test_a_parameter_that_is_none_is_refused(run: Run, here: Path, value: str) -> None:
    assert run("query", f"--parameter={value}", "SELECT @a").code == 2


# --- samples ---


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_runs_on_a_table_with_few_columns(run: Run, exported: Path, name: str) -> None:
    result = run("query", f"--sample={name}", "--parameter=patient::1", "--format=json")
    assert result.code == 0, result.err


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_finds_what_it_is_for(run: Run, here: Path, name: str) -> None:
    write_archive(here / "archive")
    result = run("query", "archive", f"--sample={name}", "--parameter=patient::P-001", "--format=json")
    assert result.code == 0, result.err
    assert json.loads(result.out) != []


def test_a_sample_without_source_takes_the_only_table(run: Run, exported: Path, here: Path) -> None:
    assert "CT" in run("query", "--sample=modalities").out
    write_instance(here / "other" / "1.dcm")
    run("export", "bq", "other")
    result = run("query", "--sample=modalities")
    assert (result.code, "has not just one: dicom.other, dicom.scans" in result.err) == (2, True)
    assert run("query", "dicom.other", "--sample=modalities").code == 0


def test_a_sample_on_bigquery_needs_a_source(run: Run, here: Path) -> None:
    assert "the query names no table" in run("query", "--sample=dose", "--warehouse=bq://p").err


def test_an_unknown_sample_is_told_which_there_are(run: Run, here: Path) -> None:
    result = run("query", "--sample=modality")
    assert (result.code, "Valid choices are [dicomweb-paths, " in result.err) == (2, True)


# --- dry run ---


def test_a_dry_run_checks_and_bills_nothing(run: Run, exported: Path) -> None:
    result = run("query", "dicom.scans", COUNT, "--dry-run", "--format=json")
    assert json.loads(result.out) == {
        "bytesProcessed": "0",
        "cost": "nothing is billed",
        "query": "SELECT COUNT(*) AS n FROM `dicom.scans` AS `instances`",
    }
    assert run("query", "SELECT Modalty FROM dicom.scans", "--dry-run").code == 1


def test_booleans_are_printed_as_bq_prints_them(run: Run, exported: Path) -> None:
    sql = "SELECT TRUE AS a, NULL AS b, FALSE AS c"
    assert run("query", sql, "--format=csv").out == "a,b,c\ntrue,,false\n"
    assert json.loads(run("query", sql, "--format=json").out) == [{"a": True, "b": None, "c": False}]
