"""Streams of stores that have to be polled: buckets, archives."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from dicombq.names import DuckdbTable
from tests.stores.conftest import Place
from tests.streaming.conftest import Lab, bytes_of, lab_of
from tests.streaming.tables import check_history

GONE = "--max-delete=100%"


@pytest.fixture(params=["gcs_bucket", "s3_bucket"])
def bucket(request: pytest.FixtureRequest) -> Place:
    place: Place = request.getfixturevalue(request.param)
    return place


def test_a_bucket_is_followed(bucket: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lab = lab_of(bucket, tmp_path, capsys)
    for number in (1, 2, 3):
        bucket.put(f"a/{number}.dcm", bytes_of(tmp_path, number))
    lab.follow()
    assert lab.sync()["created"] == 3
    assert lab.sync()["unchanged"] == 0
    bucket.put("a/1.dcm", bytes_of(tmp_path, 1, "second"))
    bucket.put("b/2.dcm", bytes_of(tmp_path, 2))
    bucket.delete("a/2.dcm")
    bucket.delete("a/3.dcm")
    bucket.put("a/4.dcm", bytes_of(tmp_path, 4))
    lab.sync()
    assert [lab.told(number) for number in (1, 2, 3, 4)] == [
        ["first", "second"],
        ["first"],
        ["first", "DELETE"],
        ["first"],
    ]
    for key in ("a/1.dcm", "b/2.dcm", "a/4.dcm"):
        bucket.delete(key)
    lab.sync()
    assert (lab.code, lab.view()) == (4, [1, 2, 4])
    lab.sync(GONE)
    assert (lab.code, lab.view()) == (0, [])
    check_history(lab.rows())


def test_the_members_of_archives_are_followed(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lab = Lab(tmp_path, tmp_path / "scans", DuckdbTable(tmp_path / "w.duckdb", "d", "t"), capsys, "mine")
    lab.folder.mkdir()
    lab.run("dicom-stores", "create", "mine", f"--source={lab.folder}", "--archives")

    def pack(*numbers: int) -> None:
        with zipfile.ZipFile(lab.base / "new.zip", "w") as archive:
            for number in numbers:
                archive.writestr(f"{number}.dcm", bytes_of(tmp_path, number))
        (lab.base / "new.zip").replace(lab.folder / "a.zip")

    pack(1, 2, 3)
    lab.write(4)
    lab.follow()
    lab.sync()
    pack(2, 3, 5)
    assert (lab.sync()["created"], lab.view()) == (1, [2, 3, 4, 5])
    (lab.folder / "a.zip").write_bytes(b"PK\3\4 damaged")
    lab.sync()
    assert (lab.code, lab.view()) == (3, [2, 3, 4, 5])
    (lab.folder / "a.zip").unlink()
    lab.sync(GONE)
    assert lab.view() == [4]
