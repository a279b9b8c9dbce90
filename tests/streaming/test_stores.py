"""Streams of stores that have to be polled: a bucket, a DICOMweb server."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from dicombq.names import DuckdbTable
from tests.instances import write_instance
from tests.stores.conftest import Place
from tests.streaming.conftest import Lab
from tests.streaming.tables import check_history

GONE = "--max-delete=100%"


@pytest.fixture(params=["gcs_bucket", "s3_bucket"])
def bucket(request: pytest.FixtureRequest) -> Place:
    place: Place = request.getfixturevalue(request.param)
    return place


def lab_of(place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Lab:
    return Lab(tmp_path, tmp_path, DuckdbTable(tmp_path / "w.duckdb", "d", "t"), capsys, place.uri)


def bytes_of(tmp_path: Path, number: int, text: str = "first") -> bytes:
    path = write_instance(tmp_path / "new", number, StudyDescription=text, PatientID="1")
    return path.read_bytes()


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


def test_a_server_is_followed(orthanc: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lab = lab_of(orthanc, tmp_path, capsys)
    for number in (1, 2, 3):
        orthanc.put(f"{number}.dcm", bytes_of(tmp_path, number))
    lab.run("export", "bq", orthanc.uri, f"--bq-table={lab.table}")
    lab.follow()
    orthanc.put("4.dcm", bytes_of(tmp_path, 4))
    orthanc.delete("2.dcm")
    lab.sync("--reconcile")
    assert lab.view() == [1, 3, 4]
    assert len(lab.rows()) == 5  # the export's were adopted
    orthanc.delete("3.dcm")
    orthanc.put("2.dcm", bytes_of(tmp_path, 2, "again"))
    lab.sync()
    assert lab.view() == [1, 2, 4]
    assert lab.told(2) == ["first", "DELETE", "again"]
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
