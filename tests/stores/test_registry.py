"""From what a user typed to a store, and the stores that have a name."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from dicombq.errors import InvalidArgument, NotFound, StateDamaged, StoreExists
from dicombq.names import Parent, StoreName
from dicombq.stores.base import PLAIN, StoreOptions
from dicombq.stores.folder import FolderStore
from dicombq.stores.registry import RegisteredStore, StoreRegistry, open_store, reopen_store

NAME = StoreName(Parent(), "scans")


@pytest.fixture
def registry(home: Path) -> StoreRegistry:
    home.mkdir()
    return StoreRegistry(home)


@pytest.fixture
def warnings() -> list[str]:
    return []


def test_a_path_is_a_folder_store(tmp_path: Path, home: Path, warnings: list[str]) -> None:
    store = open_store(str(tmp_path), Parent(), home, warnings.append)
    assert isinstance(store, FolderStore)
    assert (store.root, warnings) == (tmp_path, [])


@pytest.mark.parametrize(("text", "kind"), [("ftp://host/folder", "ftp://"), ("FILE:/folder", "FILE:/")])
def test_a_store_of_a_kind_that_is_not_supported_is_called_so(
    home: Path, warnings: list[str], text: str, kind: str
) -> None:
    with pytest.raises(NotFound) as error:
        open_store(text, Parent(), home, warnings.append)
    assert error.value.message == f"there is no folder [{text}], and URLs that begin with {kind} are not supported"


def test_a_folder_may_look_like_a_name(
    tmp_path: Path, home: Path, warnings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "projects" / "p").mkdir(parents=True)
    assert open_store("projects/p", Parent(), home, warnings.append).source == str(tmp_path / "projects" / "p")


@pytest.mark.parametrize("text", ["gs://", "s3://", "gs:///a"])
def test_what_looks_like_a_bucket_is_no_folder(
    tmp_path: Path, home: Path, warnings: list[str], monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / text).mkdir(parents=True)
    with pytest.raises(InvalidArgument, match="is not the name of a bucket"):
        open_store(text, Parent(), home, warnings.append)


@pytest.mark.parametrize("text", ["scans", str(NAME)])
def test_a_registered_store_is_found_by_its_id_and_by_its_full_name(
    registry: StoreRegistry, home: Path, tmp_path: Path, warnings: list[str], text: str
) -> None:
    registry.create(RegisteredStore(NAME, str(tmp_path), StoreOptions(archives=True)))
    store = open_store(text, Parent(), home, warnings.append)
    assert (store.name, store.source, store.options) == (NAME, str(tmp_path), StoreOptions(archives=True))


def test_a_registered_store_goes_before_a_folder_of_its_name_with_a_warning(
    registry: StoreRegistry, home: Path, tmp_path: Path, warnings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scans").mkdir()
    (tmp_path / "elsewhere").mkdir()
    registry.create(RegisteredStore(NAME, str(tmp_path / "elsewhere")))
    assert open_store("scans", Parent(), home, warnings.append).source == str(tmp_path / "elsewhere")
    assert warnings == ["[scans] is taken for the registered store; write ./scans for the folder."]
    assert open_store("./scans", Parent(), home, warnings.append).source == str(tmp_path / "scans")


def test_a_registered_store_takes_no_options_beside_its_own(
    registry: StoreRegistry, home: Path, tmp_path: Path, warnings: list[str]
) -> None:
    registry.create(RegisteredStore(NAME, str(tmp_path)))
    with pytest.raises(InvalidArgument, match="options of its own"):
        open_store("scans", Parent(), home, warnings.append, StoreOptions(archives=True))


def test_a_store_whose_source_is_gone_is_not_opened_but_may_be_reopened(
    registry: StoreRegistry, home: Path, tmp_path: Path, warnings: list[str]
) -> None:
    registry.create(RegisteredStore(NAME, str(tmp_path / "gone")))
    with pytest.raises(NotFound, match="there is no folder"):
        open_store("scans", Parent(), home, warnings.append)
    assert reopen_store(NAME, str(tmp_path / "gone"), PLAIN).name == NAME


@pytest.mark.parametrize("name", ["", "a/b", "a b", "x" * 257, ".", ".."])
def test_an_id_that_is_none_is_refused(registry: StoreRegistry, name: str) -> None:
    with pytest.raises(InvalidArgument, match="the store ID"):
        registry.create(RegisteredStore(StoreName(Parent(), name), "/scans"))


def test_a_name_is_registered_once(registry: StoreRegistry) -> None:
    registry.create(RegisteredStore(NAME, "/scans"))
    with pytest.raises(StoreExists):
        registry.create(RegisteredStore(NAME, "/others"))
    assert registry.get(NAME).source == "/scans"


def test_stores_are_listed_by_name_and_by_the_parts_of_the_name_that_are_given(registry: StoreRegistry) -> None:
    assert registry.list({}) == []
    names = [StoreName(Parent(dataset=dataset), store) for dataset, store in [("b", "x"), ("a", "y"), ("a", "x")]]
    for name in names:
        registry.create(RegisteredStore(name, "/scans"))
    assert [str(store.name)[-30:] for store in registry.list({})] == [
        str(name)[-30:] for name in sorted(names, key=str)
    ]
    assert [store.name.store for store in registry.list({"dataset": "a"})] == ["x", "y"]


def test_a_store_comes_back_as_it_was_written_and_changed(registry: StoreRegistry) -> None:
    configs = ({"bigqueryDestination": {"tableUri": "bq://p.d.t"}},)
    registry.create(RegisteredStore(NAME, "/scans", StoreOptions(billing_project="p"), configs))
    registry.update(NAME, lambda store: replace(store, source="/new"))
    assert registry.get(NAME).to_api() == {
        "name": str(NAME),
        "streamConfigs": [*configs],
        "dicombq": {"source": "/new", "billing_project": "p"},
    }
    registry.delete(NAME)
    with pytest.raises(NotFound, match="there is no store"):
        registry.delete(NAME)


@pytest.mark.parametrize(
    "text", ["{}", '{"name": "projects/p/locations/../datasets/d/dicomStores/s", "dicombq": {"source": ""}}']
)
def test_a_damaged_file_is_named(registry: StoreRegistry, home: Path, text: str) -> None:
    registry.create(RegisteredStore(NAME, "/scans"))
    [path] = (home / "stores").glob("*.json")
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text(text)
    with pytest.raises(StateDamaged, match=path.name):
        registry.list({})


def test_a_store_that_is_deleted_meanwhile_hides_no_other(home: Path, tmp_path: Path) -> None:
    home.mkdir()
    registry = StoreRegistry(home)
    names = [StoreName(Parent(), f"s{number}") for number in range(20)]
    for name in names:
        registry.create(RegisteredStore(name, str(tmp_path)))

    def delete() -> None:
        for name in names[1:]:
            registry.delete(name)

    with ThreadPoolExecutor(1) as pool:
        deleting = pool.submit(delete)
        while not deleting.done():
            assert registry.list({})[0].name == names[0]
        deleting.result()
