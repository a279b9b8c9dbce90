from __future__ import annotations

from pathlib import Path

import pytest

from dicombq.engines.local import LocalEngine
from dicombq.engines.registry import EngineChoice
from dicombq.engines.spark import SparkEngine
from dicombq.errors import InvalidArgument

SPARK = EngineChoice("spark", "yarn", shared_folders=True)


@pytest.mark.parametrize(
    ("master", "here"),
    [
        ("local", True),
        ("local[2]", True),
        ("local[*]", True),
        ("local-cluster[2,1,1024]", True),
        ("spark://127.0.0.1:7077", True),
        ("spark://localhost:7077", True),
        ("spark://localhost.example.org:7077", False),
        ("spark://10.0.0.1:7077", False),
        ("k8s://https://127.0.0.1:6443", False),
        ("yarn", False),
        ("", False),
    ],
)
def test_an_engine_is_here_where_no_other_machine_can_reach_its_master(master: str, here: bool) -> None:
    assert EngineChoice("spark", master).is_here is here


def test_processes_of_this_machine_are_here() -> None:
    assert EngineChoice().is_here


def test_somebody_may_name_another_engine_or_more_of_the_same() -> None:
    assert SPARK.changed(None, None, shared_folders=False) == SPARK
    assert SPARK.changed("local", None, shared_folders=False) == EngineChoice()
    assert SPARK.changed("spark", "local", shared_folders=False) == EngineChoice("spark", "local", shared_folders=True)
    assert EngineChoice().changed("spark", None, shared_folders=True) == EngineChoice("spark", "", shared_folders=True)


@pytest.mark.parametrize(
    ("choice", "workers", "message"),
    [
        (EngineChoice("local", "yarn"), None, "are for --engine=spark"),
        (EngineChoice("local", "", shared_folders=True), None, "are for --engine=spark"),
        (SPARK, 2, "--workers is for --engine=local"),
    ],
)
def test_an_engine_refuses_what_it_does_not_know(choice: EngineChoice, workers: int | None, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        choice.check(workers)


def test_an_engine_that_is_not_installed_is_refused_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(InvalidArgument, match="pyspark is not installed") as error:
        SPARK.check(None)
    assert "pip install 'dicombq[spark]'" in error.value.hint
    EngineChoice().check(2)


def test_an_engine_is_given_by_its_name(tmp_path: Path) -> None:
    assert EngineChoice().open(3, tmp_path) == LocalEngine(3)
    assert EngineChoice().open(None, tmp_path) == LocalEngine.fitting()
    assert SPARK.open(None, tmp_path) == SparkEngine("yarn", tmp_path)
