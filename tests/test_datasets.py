from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dicombq.datasets import Dataset, Datasets
from dicombq.errors import DatasetExists, DicombqError, InvalidArgument, NotFound, StateDamaged
from dicombq.names import Parent

PARENT = Parent("my-project", "us-central1", "my-dataset")


@pytest.fixture
def datasets(home: Path) -> Datasets:
    home.mkdir()
    return Datasets(home)


def test_a_dataset_is_found_by_whoever_looks_next(datasets: Datasets, home: Path) -> None:
    created = datasets.create(Dataset(PARENT, "Europe/Berlin"))
    assert Datasets(home).get(PARENT) == created
    assert Datasets(home).list("my-project", None) == [created]
    assert Datasets(home).creation(PARENT, created.operation) == created
    assert datasets.creation(PARENT, "12") is None
    assert {oct(os.stat(path).st_mode & 0o777) for path in (home / "datasets").iterdir()} == {"0o600"}


def test_of_many_that_create_one_at_the_same_time_one_does(datasets: Datasets, home: Path) -> None:
    def create(_number: int) -> bool:
        try:
            Datasets(home).create(Dataset(PARENT))
        except DatasetExists:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(create, range(8))) == [False] * 7 + [True]


@pytest.mark.parametrize("name", ["a b", "a:b", "ä", "x" * 257])
def test_a_name_that_is_none_is_refused(datasets: Datasets, name: str) -> None:
    with pytest.raises(InvalidArgument):
        datasets.create(Dataset(Parent("p", "l", name)))
    assert datasets.list("p", None) == []


def test_what_is_not_there_is_neither_changed_nor_deleted(datasets: Datasets) -> None:
    for act in (datasets.get, datasets.delete, lambda parent: datasets.update(parent, "UTC")):
        with pytest.raises(NotFound):
            act(PARENT)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"parent": {"project": "p"}, "x": 1}', '{"parent": {"dataset": ".."}}']
)
def test_a_damaged_file_is_told(datasets: Datasets, home: Path, text: str) -> None:
    datasets.create(Dataset(PARENT))
    [file] = (home / "datasets").glob("*.json")
    file.write_text(text)
    for act in (lambda: datasets.get(PARENT), lambda: datasets.list("p", None)):
        with pytest.raises(DicombqError) as told:
            act()
        assert isinstance(told.value, StateDamaged)
        assert str(file) in told.value.message
