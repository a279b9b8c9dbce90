from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run


def test_a_property_that_was_set_is_shown_and_holds(run: Run, scans: Path) -> None:
    done = run("config", "set", "dataset", "radiology")
    assert (done.code, done.out, done.err) == (0, "", "Updated property [dataset].\n")
    assert run("config", "get", "dataset").out == "radiology\n"
    assert "datasets/radiology/dicomStores/scans" in run("export", "bq", "scans").out
    assert run("query", "SELECT COUNT(*) AS n FROM radiology.scans", "--format=csv").out == "n\n2\n"
    assert run("config", "unset", "dataset").err == "Unset property [dataset].\n"
    assert run("config", "get", "dataset").out == "dicom\n"


def test_a_property_without_value_says_so(run: Run, here: Path) -> None:
    result = run("config", "get", "warehouse")
    assert (result.code, result.out, result.err) == (0, "", "(unset)\n")


def test_the_list_tells_where_each_property_is_set(run: Run, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("config", "set", "location", "ward")
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "google")
    listed = json.loads(run("config", "list", "--format=json").out)
    assert {each["property"]: (each["value"], each["source"]) for each in listed} == {
        "project": ("google", "GOOGLE_CLOUD_PROJECT"),
        "location": ("ward", "file"),
        "dataset": ("dicom", "default"),
        "warehouse": ("", "unset"),
        "staging": ("", "unset"),
        "engine": ("local", "default"),
        "maximum_bytes_billed": ("", "unset"),
    }


def test_a_variable_that_wins_over_what_was_set_is_named(run: Run, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DICOMBQ_DATASET", "other")
    result = run("config", "set", "dataset", "mine")
    assert result.err.splitlines()[1] == "WARNING: the variable DICOMBQ_DATASET is set, and wins over it."


def test_the_warehouse_that_was_set_gets_the_tables_and_the_questions(run: Run, scans: Path, here: Path) -> None:
    run("config", "set", "warehouse", "duckdb://my.duckdb")
    exported = run("export", "bq", "scans")
    assert f"Table: duckdb://{here}/my.duckdb/dicom.scans (2 new rows)" in exported.err
    assert "Look at it: dicombq query 'SELECT" in exported.err
    assert run("query", "SELECT COUNT(*) AS n FROM dicom.scans", "--format=csv").out == "n\n2\n"


def test_an_unknown_property_and_a_wrong_value_are_refused(run: Run, home: Path) -> None:
    unknown = run("config", "set", "datset", "x")
    assert (unknown.code, "Valid choices are [dataset, engine, location" in unknown.err) == (2, True)
    wrong = run("config", "set", "warehouse", "mysql://x")
    assert wrong.code == 2
    assert wrong.err.splitlines()[0] == "ERROR: (dicombq.config.set) [mysql://x] is not a warehouse."
    assert not home.exists()
