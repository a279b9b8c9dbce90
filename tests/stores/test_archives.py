"""Archives: their members are instances, and neither bombs nor names do harm."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dicombq.names import Parent
from dicombq.rows.base import Unreadable
from dicombq.rows.record import Record
from dicombq.stores import archive_files
from dicombq.stores.base import Failure, Found, Result, Skipped, Store, StoreOptions
from dicombq.stores.registry import open_store, reopen_store
from tests.dicom_bytes import element, instance
from tests.proxy import Proxy
from tests.stores.conftest import Folder, Place

ARCHIVES = StoreOptions(archives=True)
Files = dict[str, bytes]


def zipped(files: Files, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def tarred(files: Files) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return out.getvalue()


KINDS: dict[str, Callable[[Files], bytes]] = {
    "a.zip": zipped,
    "stored.ZIP": lambda files: zipped(files, zipfile.ZIP_STORED),
    "a.tar": tarred,
    "a.tar.gz": lambda files: gzip.compress(tarred(files)),
    "a.tgz": lambda files: gzip.compress(tarred(files)),
}


def some(number: int) -> bytes:
    """Write an instance with pixel data in its middle."""
    pixels = element(0x7FE00010, "OW", os.urandom(200_000))
    return instance(element(0x00100020, "LO", f"P{number}"), pixels, element(0xFFFCFFFC, "OB", b"\0\0"))


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    (tmp_path / "scans").mkdir()
    return Folder(tmp_path / "scans")


def opened(place: Place, home: Path) -> Store[Any]:
    return open_store(place.uri, Parent(), home, pytest.fail, ARCHIVES)


def read(place: Place, home: Path) -> dict[str, Result]:
    store = opened(place, home)
    outcomes: dict[str, Result] = {}
    refs = []
    for entry in store.list():
        if isinstance(entry, Failure | Skipped):
            outcomes[entry.uri.removeprefix(f"{place.uri}/")] = entry
        else:
            refs.append(entry)
    outcomes |= {result.uri.removeprefix(f"{place.uri}/"): result for result in store.read(refs, Record, 1 << 20)}
    return outcomes


@pytest.mark.parametrize("kind", KINDS)
def test_members_are_instances_like_files(place: Place, home: Path, kind: str) -> None:
    files = {f"x/{number}.dcm": some(number) for number in range(20)} | {"x/notes.txt": b"notes", "cut.dcm": b"DICM"}
    place.put(kind, KINDS[kind](files))
    place.put("alone.dcm", some(99))
    outcomes = read(place, home)
    assert outcomes.keys() == {f"{kind}!/{name}" for name in files} | {"alone.dcm"}
    for number in range(20):
        found = outcomes[f"{kind}!/x/{number}.dcm"]
        assert isinstance(found, Found)
        assert found.row.values["PatientID"] == f"P{number}"
        assert found.size == len(files[f"x/{number}.dcm"])
    assert isinstance(outcomes[f"{kind}!/x/notes.txt"], Skipped)
    assert isinstance(outcomes[f"{kind}!/cut.dcm"], Failure)
    assert isinstance(outcomes["alone.dcm"], Found)


@pytest.mark.parametrize("kind", KINDS)
def test_the_bytes_of_a_member_are_those_of_its_file(place: Place, home: Path, kind: str) -> None:
    files = {f"{number}.dcm": some(number) for number in range(3)}
    place.put(kind, KINDS[kind](files))
    place.put("alone.dcm", files["0.dcm"])
    store = opened(place, home)
    for found in store.read(list(store.list()), Record, 1 << 20):
        assert isinstance(found, Found)
        with store.original(found.ref, found.updated) as pieces:
            assert b"".join(pieces) == files.get(found.uri.rpartition("/")[2], files["0.dcm"])


def test_the_bytes_of_a_member_are_not_taken_from_another_archive(folder: Folder, home: Path) -> None:
    folder.put("a.tar", tarred({"a.dcm": some(1)}))
    store = opened(folder, home)
    (ref,) = store.list()
    folder.put("a.tar", tarred({"a.dcm": some(2), "b.dcm": some(3)}))
    with store.original(ref, "") as pieces, pytest.raises(Unreadable, match="changed"):
        b"".join(pieces)
    folder.delete("a.tar")
    with store.original(ref, "") as pieces, pytest.raises(Unreadable, match="gone"):
        b"".join(pieces)


def test_the_bytes_of_a_damaged_member_are_not_given_whole(folder: Folder, home: Path) -> None:
    data = bytearray(zipped({"a.dcm": some(1)}, zipfile.ZIP_STORED))
    data[1000] ^= 1
    folder.put("a.zip", bytes(data))
    store = opened(folder, home)
    (ref,) = store.list()
    with store.original(ref, "") as pieces, pytest.raises(Unreadable, match="damaged"):
        b"".join(pieces)


def test_without_the_option_an_archive_is_no_instance(folder: Folder, home: Path) -> None:
    folder.put("a.zip", zipped({"a.dcm": some(1)}))
    store = open_store(folder.uri, Parent(), home, pytest.fail)
    (result,) = store.read(list(store.list()), Record, 1 << 20)
    assert result == Skipped(result.ref, "not DICOM")


def test_references_go_through_json_and_the_store_through_pickle(place: Place, home: Path) -> None:
    import json

    place.put("a.zip", zipped({"a.dcm": some(1)}))
    place.put("b.dcm", some(2))
    store = opened(place, home)
    again: Store[Any] = pickle.loads(pickle.dumps(reopen_store(store.name, store.source, store.options)))
    refs = [again.ref(json.loads(json.dumps(ref))) for ref in store.list()]
    assert refs == list(store.list())
    assert all(map(again.has, refs))
    assert all(isinstance(result, Found) for result in again.read(refs, Record, 1 << 20))
    place.delete("a.zip")
    assert [again.has(ref) for ref in refs] == [not ref.uri.endswith("!/a.dcm") for ref in refs]
    gone = [result for result in again.read(refs, Record, 1 << 20) if isinstance(result, Failure)]
    assert [failure.ref.uri for failure in gone] == [f"{place.uri}/a.zip!/a.dcm"]


def test_an_archive_that_is_overwritten_after_the_listing_is_not_read(place: Place, home: Path) -> None:
    place.put("a.tar", tarred({"a.dcm": some(1), "b.dcm": some(2)}))
    store = opened(place, home)
    refs = list(store.list())
    place.put("a.tar", tarred({"c.dcm": some(3), "d.dcm": some(4), "e.dcm": some(5)}))
    for result in store.read(refs, Record, 1 << 20):
        assert isinstance(result, Failure)
        assert result.code == "ABORTED"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("damage", ["cut", "garbage", "empty"])
def test_a_damaged_archive_is_a_failure(folder: Folder, home: Path, kind: str, damage: str) -> None:
    data = KINDS[kind]({f"{number}.dcm": some(number) for number in range(5)})
    folder.put(kind, {"cut": data[: len(data) // 2], "garbage": b"no archive" * 100, "empty": b""}[damage])
    failures = [outcome for outcome in read(folder, home).values() if isinstance(outcome, Failure)]
    assert failures
    for failure in failures:
        assert failure.code == "DATA_LOSS"


def test_a_member_whose_bytes_are_damaged_is_a_failure_of_its_own(folder: Folder, home: Path) -> None:
    data = bytearray(zipped({f"{number}.dcm": some(number) for number in range(3)}))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        at = archive.infolist()[1].header_offset
    data[at + 40 : at + 80] = bytes(40)
    folder.put("a.zip", bytes(data))
    kinds = [type(outcome) for outcome in read(folder, home).values()]
    assert kinds == [Found, Failure, Found]


def test_names_that_lead_out_are_only_names(folder: Folder, home: Path) -> None:
    names = ["../../out.dcm", "/etc/out.dcm", "C:\\out.dcm", "a\nb.dcm"]
    files = {name: some(1) for name in names}
    folder.put("a.zip", zipped(files))
    folder.put("a.tar", tarred(files))
    before = {path for path in folder.root.parent.rglob("*") if home not in path.parents}
    outcomes = read(folder, home)
    assert outcomes.keys() == {f"{kind}!/{name}" for kind in ("a.zip", "a.tar") for name in names}
    assert all(isinstance(outcome, Found) for outcome in outcomes.values())
    assert {path for path in folder.root.parent.rglob("*") if home not in path.parents} == before


def test_an_archive_in_an_archive_is_not_followed(folder: Folder, home: Path) -> None:
    folder.put("a.zip", zipped({"b.zip": zipped({"c.dcm": some(1)})}))
    (outcome,) = read(folder, home).values()
    assert outcome == Skipped(outcome.ref, "not DICOM")


def test_links_and_devices_in_a_tar_are_left_out_and_folders_are_nothing(folder: Folder, home: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE):
            entry = tarfile.TarInfo(f"{kind!r}.dcm")
            entry.type = kind
            entry.linkname = "/etc/passwd"
            archive.addfile(entry)
    folder.put("a.tar", out.getvalue())
    outcomes = read(folder, home)
    assert len(outcomes) == 4
    for outcome in outcomes.values():
        assert outcome == Skipped(outcome.ref, "not a regular file")


def test_folders_in_a_zip_are_nothing(folder: Folder, home: Path) -> None:
    folder.put("a.zip", zipped({"x/": b"", "x/a.dcm": some(1)}))
    assert list(read(folder, home)) == ["a.zip!/x/a.dcm"]


def test_what_is_encrypted_or_compressed_in_another_way_is_a_failure(folder: Folder, home: Path) -> None:
    data = bytearray(zipped({"a.dcm": some(1)}))
    data[data.index(b"PK\1\2") + 8] |= 1
    folder.put("encrypted.zip", bytes(data))
    folder.put("other.zip", zipped({"a.dcm": some(1)}, zipfile.ZIP_LZMA))
    outcomes = read(folder, home)
    reasons = {name: outcome.reason for name, outcome in outcomes.items() if isinstance(outcome, Failure)}
    assert reasons == {
        "encrypted.zip!/a.dcm": "it is encrypted",
        "other.zip!/a.dcm": "it is compressed by another method than deflate",
    }


@pytest.mark.parametrize("kind", ["a.zip", "a.tar.gz"])
def test_a_bomb_is_a_failure_before_it_is_unpacked(
    folder: Folder, home: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_files, "FREE_SIZE", 1 << 20)
    folder.put(kind, KINDS[kind]({"a.dcm": bytes(20 << 20), "b.dcm": instance()}))
    outcomes = read(folder, home)
    bomb = outcomes[kind]
    assert isinstance(bomb, Failure)
    assert (bomb.code, bomb.reason) == ("OUT_OF_RANGE", "the archive would be more than 200 times its size, unpacked")


@pytest.mark.parametrize("kind", ["a.zip", "a.tar"])
def test_an_archive_of_too_many_members_is_a_failure(
    folder: Folder, home: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_files, "MAX_MEMBERS", 3)
    folder.put(kind, KINDS[kind]({f"{number}": b"" for number in range(5)}))
    failure = read(folder, home)[kind]
    assert isinstance(failure, Failure)
    assert failure.code == "OUT_OF_RANGE"


def test_a_directory_that_says_it_is_huge_is_not_made_room_for(folder: Folder, home: Path) -> None:
    entry = tarfile.TarInfo("x")
    entry.type = tarfile.GNUTYPE_LONGNAME
    entry.size = 1 << 40
    folder.put("a.tar", entry.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    data = bytearray(zipped({"a.dcm": some(1)}))
    end = data.index(b"PK\5\6")
    struct.pack_into("<L", data, end + 12, 0xFFFFFFF0)
    folder.put("a.zip", bytes(data))
    for outcome in read(folder, home).values():
        assert isinstance(outcome, Failure)
        assert outcome.code in {"DATA_LOSS", "OUT_OF_RANGE"}


def test_a_zip_in_a_bucket_is_not_read_whole(gcs_bucket: Place, gcs_proxy: Proxy, home: Path) -> None:
    gcs_bucket.put("a.zip", zipped({f"{number}.dcm": some(number) for number in range(20)}, zipfile.ZIP_STORED))
    store = opened(gcs_bucket, home)
    refs = list(store.list())
    assert len(refs) == 20
    (result,) = store.read(refs[10:11], Record, 1 << 20)
    assert isinstance(result, Found)
    assert sum(request.size for request in gcs_proxy.requests if "Range" in request.headers) < 600_000


def test_a_bucket_that_goes_away_fails_no_member(
    gcs_bucket: Place, gcs_proxy: Proxy, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dicombq.errors import NotAuthenticated
    from tests.proxy import answering

    gcs_bucket.put("a.zip", zipped({"a.dcm": some(1)}))
    store = opened(gcs_bucket, home)
    refs = list(store.list())
    gcs_proxy.fault = lambda _request: answering(401)
    with pytest.raises(NotAuthenticated):
        list(store.read(refs, Record, 1 << 20))
    with pytest.raises(NotAuthenticated):
        list(store.list())
