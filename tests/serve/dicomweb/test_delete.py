"""DELETE: what is gone then, and what stays."""

from __future__ import annotations

import shutil
import tarfile

import pytest

from dicombq.stores.base import StoreOptions
from dicombq.stores.registry import RegisteredStore, StoreRegistry
from dicombq.streaming.keeper import keepers
from tests.instances import ROOT, write_instance
from tests.serve.dicomweb.conftest import NAME, Web

SERIES = f"/studies/{ROOT}.1/series/{ROOT}.1.1"


@pytest.mark.parametrize(
    ("path", "left"),
    [
        (f"/studies/{ROOT}.1", 1),
        (SERIES, 2),
        (f"{SERIES}/instances/{ROOT}.1.1.2", 3),
    ],
)
def test_a_study_a_series_or_an_instance_is_deleted_and_no_empty_folder_is_left(web: Web, path: str, left: int) -> None:
    for number in (1, 2):
        web.store(number)
    web.store(3, SeriesInstanceUID=f"{ROOT}.1.2")
    web.store(4, StudyInstanceUID=f"{ROOT}.2")
    answer = web.delete(path)
    assert (answer.status_code, answer.json()) == (200, {})
    assert len(web.files) == left
    assert len(web.get("/instances").json()) == left
    assert web.get(f"{path}/metadata").status_code == 404
    assert web.delete(path).status_code == 404
    assert [folder for folder in web.folder.rglob("*") if folder.is_dir() and not any(folder.iterdir())] in (
        [],
        [web.folder / ".dicombq-arrivals"],
    )


def test_all_copies_of_an_instance_are_deleted(web: Web) -> None:
    (web.folder / "a").write_bytes(web.instance(1, StudyDescription="older"))
    (web.folder / "b").write_bytes(web.instance(1, StudyDescription="newer"))
    (web.folder / "c").write_bytes(web.instance(2))
    assert web.delete(f"{SERIES}/instances/{ROOT}.1.1.1").status_code == 200
    assert web.files == ["c"]


def test_a_file_that_holds_another_instance_by_now_is_not_deleted(web: Web) -> None:
    path = web.folder / "a"
    path.write_bytes(web.instance(1))
    assert len(web.get("/instances").json()) == 1
    path.write_bytes(web.instance(2, StudyDescription="another"))
    assert web.delete(f"{SERIES}/instances/{ROOT}.1.1.1").status_code == 404
    assert web.files == ["a"]
    assert web.delete(f"{SERIES}/instances/{ROOT}.1.1.2").status_code == 200


def test_an_instance_can_be_stored_again_after_it_was_deleted(web: Web) -> None:
    for _ in range(3):
        web.store()
        assert web.delete(f"/studies/{ROOT}.1").status_code == 200


def test_members_of_archives_are_given_and_not_deleted(web: Web) -> None:
    folder = web.base / "archives"
    folder.mkdir()
    with tarfile.open(folder / "all.tar.gz", "w:gz") as archive:
        archive.add(write_instance(web.base / "1.dcm", 1), "1.dcm")
    keepers(web.base / "home").close()
    registry = StoreRegistry(web.base / "home")
    registry.delete(NAME)
    registry.create(RegisteredStore(NAME, str(folder), StoreOptions(archives=True)))
    given = web.get(f"{SERIES}/instances/{ROOT}.1.1.1", accept="application/dicom")
    assert given.content == (web.base / "1.dcm").read_bytes()
    answer = web.delete(f"/studies/{ROOT}.1")
    assert (answer.status_code, "lies in an archive" in answer.text) == (400, True)
    assert (folder / "all.tar.gz").exists()


def test_a_store_that_is_deleted_and_created_again_is_empty(web: Web, home: object) -> None:
    web.store()
    registry = StoreRegistry(web.base / "home")
    registry.delete(NAME)
    assert web.get("/studies").status_code == 404
    assert not web.folder.exists()
    registry.create(RegisteredStore(NAME, ""))
    assert web.get("/studies").status_code == 204


def test_a_folder_that_is_gone_is_not_taken_for_a_deletion_of_all(web: Web, home: object) -> None:
    folder = web.base / "disk"
    for number in range(1, 5):
        write_instance(folder / f"{number}.dcm", number)
    StoreRegistry(web.base / "home").delete(NAME)
    StoreRegistry(web.base / "home").create(RegisteredStore(NAME, str(folder)))
    assert len(web.get("/instances").json()) == 4
    shutil.move(folder, web.base / "unmounted")
    assert web.delete(f"/studies/{ROOT}.1").status_code == 503
    assert len(web.get("/instances").json()) == 4
