"""What holds for every store."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pydicom
import pytest

from dicombq.errors import NotFound
from dicombq.names import Parent
from dicombq.rows.base import Unreadable
from dicombq.rows.metadata import MetadataRecord
from dicombq.rows.record import Record
from dicombq.stores.base import PLAIN, Failure, FollowedStore, Found, Result, Skipped, Store
from dicombq.stores.registry import open_store, reopen_store
from tests.dicom_bytes import dataset, element, instance, part10, sequence
from tests.stores.conftest import Place

INSTANCE = instance()
LONG = instance(
    element(0x00091001, "UN", bytes(60_000)), *(element(0x00091010 + n, "LO", "x" * 60) for n in range(200))
)
CORPUS = os.environ.get("DICOMBQ_CORPUS")


def opened(source: str, home: Path) -> Store[Any]:
    return open_store(source, Parent(), home, pytest.fail)


def followed(source: str, home: Path) -> FollowedStore[Any]:
    store = opened(source, home)
    return reopen_store(store.name, store.source, store.options)


def read(store: Store[Any], **options: Any) -> dict[str, Result]:
    """Read all of a store; the outcomes by their places in it."""
    defaults: dict[str, Any] = {"record_type": Record, "max_element_size": 1 << 20}
    results = store.read(list(store.list()), **defaults | options)
    return {result.uri.removeprefix(store.source).lstrip("/"): result for result in results}


def test_all_that_lies_there_is_listed_and_read_whatever_its_name(place: Place, home: Path) -> None:
    names = ["a.dcm", "b/c", "b/d/e.txt", ".hidden", "b/ü #1?%20&+.IMA", "b/d.e/f"]
    for name in names:
        place.put(name, INSTANCE)
    found = read(opened(place.uri, home))
    assert found.keys() == set(names)
    for result in found.values():
        assert isinstance(result, Found)
        assert result.size == len(INSTANCE)
        assert result.storage_class == ("" if place.uri.startswith("s3://") else "STANDARD")
        assert result.row.uids == ("1.2.13.1", "1.2.14.1", "1.2.24.1")
        assert "2026" <= result.updated <= "9"
        assert result.updated.endswith("Z")


def numbered(number: int) -> bytes:
    """Make an instance that any server takes."""
    elements = element(0x00100020, "LO", "A"), element(0x0040A160, "UT", "x" * 100)
    return instance(*elements).replace(b"1.2.24.1", f"1.2.24.{number}".encode())


def test_a_version_is_another_one_where_the_content_may_be(place: Place, home: Path) -> None:
    place.put("a.dcm", numbered(1))
    place.put("b.dcm", numbered(2))
    store = followed(place.uri, home)

    def versions() -> dict[str, str]:
        return {entry[0].uri.rpartition("/")[2]: entry[1] for entry in store.versions() if isinstance(entry, tuple)}

    before = versions()
    assert versions() == before
    place.put("a.dcm", numbered(3))
    after = versions()
    assert (after["a.dcm"] == before["a.dcm"], after["b.dcm"] == before["b.dcm"]) == (False, True)


def test_a_servers_instances_are_listed_with_versions(anywhere: Place, home: Path) -> None:
    anywhere.put("a.dcm", numbered(1))
    store = followed(anywhere.uri, home)
    assert [entry[0] for entry in store.versions() if isinstance(entry, tuple)] == list(store.list())
    assert store.folder == (anywhere.uri if "://" not in anywhere.uri else None)


def test_references_go_through_json_and_a_store_through_pickle(anywhere: Place, home: Path) -> None:
    anywhere.put("a.dcm", numbered(1))
    store = opened(anywhere.uri, home)
    again: Store[Any] = pickle.loads(pickle.dumps(store))
    assert again == store == reopen_store(store.name, store.source, store.options)
    refs = list(store.list())
    assert [again.ref(json.loads(json.dumps(ref))) for ref in refs] == refs
    assert isinstance(next(again.read(refs, Record, 1 << 20)), Found)
    assert store.options == PLAIN


def test_the_original_is_given_byte_for_byte(place: Place, home: Path) -> None:
    data = instance(element(0x00420011, "OB", bytes(9_000_000)))
    place.put("ü #1.dcm", data)
    store = opened(place.uri, home)
    [found] = store.read(store.list(), Record, 1 << 20)
    assert isinstance(found, Found)
    with store.original(found.ref, found.updated) as pieces:
        assert b"".join(pieces) == data
    place.put("ü #1.dcm", INSTANCE)
    with pytest.raises(Unreadable, match="changed") as raised, store.original(found.ref, found.updated) as pieces:
        list(pieces)
    assert raised.value.code == "ABORTED"


def test_a_store_is_named_after_the_last_part_of_its_source(place: Place, home: Path) -> None:
    place.put("2026/a.dcm", INSTANCE)
    assert opened(f"{place.uri}/2026", home).name.store == "2026"
    assert opened(f"{place.uri}/2026/", home).source == f"{place.uri}/2026"
    assert opened(place.uri, home).name.store == os.path.basename(place.uri)


@pytest.mark.parametrize("name", ["a.dcm", "a.DCM", "a.dicom", "a.IMA", "a", "1.2.840.113", "a.jpg"])
@pytest.mark.parametrize("data", [INSTANCE, dataset()], ids=["preamble", "none"])
def test_an_instance_is_found_whatever_its_name_is(place: Place, home: Path, name: str, data: bytes) -> None:
    place.put(name, data)
    assert isinstance(read(opened(place.uri, home))[name], Found)


@pytest.mark.parametrize("data", [b"", b"notes\n" * 50, bytes(4096), b"\x89PNG\r\n\x1a\n" + bytes(100)])
def test_what_is_no_dicom_is_left_out_unless_its_name_claims_it(place: Place, home: Path, data: bytes) -> None:
    for name in ("notes.txt", "scan.dcm"):
        place.put(name, data)
    found = read(opened(place.uri, home))
    notes, scan = found["notes.txt"], found["scan.dcm"]
    assert notes == Skipped(notes.ref, "not DICOM")
    assert isinstance(scan, Failure)


def test_a_dicomdir_is_left_out_whatever_its_name(place: Place, home: Path) -> None:
    for name in ("DICOMDIR", "DICOMDIR.dcm"):
        place.put(name, part10(sequence(0x00041220, element(0x00041430, "CS", "PATIENT"))))
    results = read(opened(place.uri, home)).values()
    assert [result == Skipped(result.ref, "a DICOMDIR") for result in results] == [True, True]


def test_what_is_cut_off_is_a_failure(place: Place, home: Path) -> None:
    for name, data in (("short", INSTANCE[:-3]), ("long", LONG[:-3])):
        place.put(name, data)
    for result in read(opened(place.uri, home)).values():
        assert isinstance(result, Failure)
        assert result.code == "DATA_LOSS"


def test_long_headers_are_read_to_their_end(place: Place, home: Path) -> None:
    for number in range(3):
        place.put(f"{number}.dcm", LONG)
    for result in read(opened(place.uri, home)).values():
        assert isinstance(result, Found)
        assert len(result.row.values["OtherElements"]) > 190


def test_the_kind_of_rows_and_the_greatest_size_reach_the_reader(anywhere: Place, home: Path) -> None:
    anywhere.put("a.dcm", numbered(1))
    store = opened(anywhere.uri, home)
    (dropped,) = read(store, max_element_size=100).values()
    assert isinstance(dropped, Found)
    assert "DroppedTags" in dropped.row.values
    (model,) = read(store, record_type=MetadataRecord).values()
    assert isinstance(model, Found)
    assert "Metadata" in model.row.values


def test_what_is_gone_before_it_is_read_is_a_failure_and_ends_nothing(anywhere: Place, home: Path) -> None:
    for number in range(3):
        anywhere.put(f"{number}.dcm", numbered(number))
    store = opened(anywhere.uri, home)
    refs = list(store.list())
    anywhere.delete("1.dcm")
    results = list(store.read(refs, Record, 1 << 20))
    (gone,) = (result for result in results if not isinstance(result, Found))
    assert isinstance(gone, Failure)
    assert gone.code == "NOT_FOUND"
    assert {result.row.uids[2] for result in results if isinstance(result, Found)} == {"1.2.24.0", "1.2.24.2"}
    assert [store.has(ref) for ref in refs] == [ref != gone.ref for ref in refs]


def test_what_is_overwritten_before_it_is_read_is_read_as_it_is_then(place: Place, home: Path) -> None:
    place.put("a.dcm", INSTANCE)
    store = opened(place.uri, home)
    refs = list(store.list())
    place.put("a.dcm", LONG)
    (result,) = store.read(refs, Record, 1 << 20)
    assert isinstance(result, Found)
    assert result.size == len(LONG)


def test_a_part_of_a_store_is_listed_alone(place: Place, home: Path) -> None:
    for name in ("2026/11/a.dcm", "2026/11/b.dcm", "2026/12/c.dcm", "2026/110"):
        place.put(name, INSTANCE)
    store = opened(place.uri, home)

    def below(prefix: str) -> list[str]:
        return sorted(entry.uri.removeprefix(f"{place.uri}/") for entry in store.list(prefix))

    assert below("2026/11") == ["2026/11/a.dcm", "2026/11/b.dcm"]
    assert below("2026/110") == ["2026/110"]
    assert [ref.uri for ref in opened(f"{place.uri}/2026/12", home).list()] == [f"{place.uri}/2026/12/c.dcm"]


def test_a_single_file_or_object_is_a_store(place: Place, home: Path) -> None:
    place.put("2026/a.dcm", INSTANCE)
    place.put("2026/a.dcm.txt", b"")
    store = opened(f"{place.uri}/2026/a.dcm", home)
    (ref,) = store.list()
    assert (ref.uri, store.name.store) == (f"{place.uri}/2026/a.dcm", "a.dcm")


def test_an_empty_store_has_nothing_and_a_part_that_is_not_there_is_not_found(place: Place, home: Path) -> None:
    assert list(opened(place.uri, home).list()) == []
    with pytest.raises(NotFound):
        opened(f"{place.uri}/none", home)


def test_the_files_of_pydicom_give_the_rows_that_a_folder_gives(bucket: Place, home: Path) -> None:
    check_rows(bucket, home, Path(pydicom.__file__).parent / "data" / "test_files")


@pytest.mark.corpus
@pytest.mark.skipif(CORPUS is None, reason="DICOMBQ_CORPUS names no folder")
def test_real_files_give_the_rows_that_a_folder_gives(bucket: Place, home: Path) -> None:
    check_rows(bucket, home, Path(str(CORPUS), "dicom"))


def check_rows(place: Place, home: Path, folder: Path) -> None:
    files = {os.fspath(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for name, data in files.items():
        place.put(name, data)
    here, there = read(opened(str(folder), home)), read(opened(place.uri, home))
    assert there.keys() == here.keys() == files.keys()
    for name, outcome in here.items():
        assert _facts(there[name]) == _facts(outcome), name


def _facts(outcome: Result) -> Any:
    if isinstance(outcome, Found):
        return outcome.row.values, outcome.row.columns, outcome.row.uids, outcome.row.notices, outcome.size
    return type(outcome), vars(outcome) | {"ref": None}
