"""``export bq --engine``: who reads the headers."""

from __future__ import annotations

from pathlib import Path

import pytest

from dicombq.operations.store import OperationStore
from tests.cli.conftest import Run


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (("--engine=dask",), 2, "Valid choices are [local, spark]"),
        (("--engine-master=yarn",), 2, "are for --engine=spark"),
        (("--engine=spark", "--engine-master=yarn"), 2, "the machines of [yarn] may not have the folder"),
        (("--engine=spark",), 2, "the machines of Spark, whose master is not named, may not have the folder"),
        (("--engine=spark", "--engine-master=yarn", "--shared-folders"), 2, "nowhere to write rows to"),
        (("--engine=spark", "--engine-master=local", "--workers=2"), 2, "--workers is for --engine=local"),
        (("--staging=nowhere",), 7, "there is no folder"),
    ],
)
def test_what_an_engine_cannot_do_is_refused_before_anything_is_done(
    run: Run, scans: Path, monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...], code: int, message: str
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: True)
    result = run("export", "bq", "scans", *flags)
    assert (result.code, message in result.err) == (code, True)
    assert run("operations", "list").err == "Listed 0 items.\n"


def test_an_engine_that_is_not_installed_is_refused_with_the_way_to_it(
    run: Run, scans: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    result = run("export", "bq", "scans", "--engine=spark", "--engine-master=local[2]")
    assert (result.code, "pip install 'dicombq[spark]'" in result.err) == (2, True)


def test_the_engine_that_was_set_is_taken_and_a_flag_wins(
    run: Run, scans: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: True)
    assert run("config", "set", "engine", "dask").code == 2
    assert run("config", "set", "engine", "spark").code == 0
    assert "whose master is not named" in run("export", "bq", "scans").err
    monkeypatch.setenv("DICOMBQ_ENGINE", "local")
    assert run("export", "bq", "scans").code == 0
    monkeypatch.setenv("DICOMBQ_ENGINE", "spark")
    assert run("export", "bq", "scans", "--engine=local", "--overwrite-table").code == 0


def test_a_folder_can_be_staged_in_and_is_empty_afterwards(run: Run, scans: Path, here: Path, home: Path) -> None:
    (here / "staging").mkdir()
    assert run("export", "bq", "scans", "--staging=staging").code == 0
    assert list((here / "staging").iterdir()) == []
    [operation] = OperationStore(home).list()[0]
    assert operation.request
    assert operation.request["dicombq"]["staging"] == str(here / "staging")
    assert operation.request["dicombq"]["engine"] == {"name": "local", "master": "", "shared_folders": False}
