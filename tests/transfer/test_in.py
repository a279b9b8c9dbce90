"""Imports of files."""

from __future__ import annotations

import zipfile

import pytest

from dicombq.errors import Failed, InvalidArgument, NotFound
from tests.gcs_server import GcsBucket
from tests.instances import write_instance
from tests.transfer.lab import Lab, files_in, lab, name_of

__all__ = ["lab"]  # a fixture


def test_what_is_no_dicom_is_a_failure_and_all_else_is_imported(lab: Lab) -> None:
    lab.fill()
    lab.copies.mkdir()
    operation = lab.run(lab.into(f"{lab.scans}/**"))
    counters = operation.counters
    assert (counters.found, counters.success, counters.failure, counters.duplicates) == (6, 3, 2, 1)
    assert [entry for entry in lab.log(operation) if entry[1] == "notes.txt"] == [
        ("INVALID_ARGUMENT", "notes.txt", "not DICOM")
    ]
    assert set(files_in(lab.copies)) == {name_of(number) for number in (1, 2, 3)}
    assert (operation.store_id, operation.target) == ("copies", f"{lab.scans}/**")
    assert operation.to_api()["response"]["@type"].endswith("ImportDicomDataResponse")


def test_what_is_there_is_left_alone_whatever_it_holds(lab: Lab) -> None:
    lab.fill()
    (lab.copies / name_of(2)).parent.mkdir(parents=True)
    (lab.copies / name_of(2)).write_bytes(b"older")
    counters = lab.run(lab.into(f"{lab.scans}/**.dcm")).counters
    assert (counters.success, counters.existing) == (3, 1)
    assert files_in(lab.copies)[name_of(2)] == b"older"
    counters = lab.run(lab.into(f"{lab.scans}/**.dcm")).counters
    assert (counters.success, counters.existing) == (3, 3)


def test_a_bucket_is_imported_into_and_what_is_there_is_left_alone(lab: Lab, gcs_bucket: GcsBucket) -> None:
    lab.fill()
    gcs_bucket.put(f"in/{name_of(2)}", b"older")
    counters = lab.run(lab.into(f"{lab.scans}/*.dcm", f"{gcs_bucket.uri}/in")).counters
    assert (counters.success, counters.existing) == (3, 1)
    assert gcs_bucket.get(f"in/{name_of(2)}") == b"older"
    assert gcs_bucket.get(f"in/{name_of(3)}") == (lab.scans / "3.dcm").read_bytes()


@pytest.mark.parametrize(
    ("uri", "imported"),
    [
        ("*.dcm", {2, 3}),
        ("?.dcm", {2, 3}),
        ("**", {2, 3, 4}),
        ("**.dcm", {2, 3, 4}),
        ("a/b/**", {4}),
        ("a/*/4.dcm", {4}),
        ("3.dcm", {3}),
    ],
)
def test_wildcards_name_what_is_imported(lab: Lab, uri: str, imported: set[int]) -> None:
    for path, number in (("2.dcm", 2), ("3.dcm", 3), ("a/b/4.dcm", 4)):
        write_instance(lab.scans / path, number)
    lab.copies.mkdir()
    lab.run(lab.into(f"{lab.scans}/{uri}"))
    assert set(files_in(lab.copies)) == {name_of(number) for number in imported}


def test_nothing_that_matches_is_an_error(lab: Lab) -> None:
    lab.fill()
    lab.copies.mkdir()
    with pytest.raises(NotFound, match="nothing matches"):
        lab.run(lab.into(f"{lab.scans}/z*"))
    assert files_in(lab.copies) == {}


def test_a_folder_that_cannot_be_looked_at_is_a_failure_where_all_is_asked_for(lab: Lab) -> None:
    write_instance(lab.scans / "1.dcm")
    (lab.scans / "link").symlink_to("nowhere")
    lab.copies.mkdir()
    assert lab.run(lab.into(f"{lab.scans}/**.dcm")).counters.failure == 1
    assert lab.run(lab.into(f"{lab.scans}/*.dcm")).counters.failure == 0


def test_a_store_does_not_import_itself(lab: Lab) -> None:
    write_instance(lab.scans / "1.dcm")
    with pytest.raises(InvalidArgument, match="already"):
        lab.run(lab.into(f"{lab.scans}/*", str(lab.scans)))


def test_a_single_file_is_no_store_to_import_into(lab: Lab) -> None:
    one = write_instance(lab.path / "one.dcm")
    write_instance(lab.scans / "2.dcm", 2)
    with pytest.raises(Failed, match="Not a directory"):
        lab.run(lab.into(f"{lab.scans}/*", str(one)))


@pytest.mark.parametrize("uri", ["**", "**.zip", "a/*.zip", "a/b.zip", "**.dcm"])
def test_members_of_archives_are_imported(lab: Lab, uri: str) -> None:
    (lab.scans / "a").mkdir()
    expected = {}
    with zipfile.ZipFile(lab.scans / "a" / "b.zip", "w") as archive:
        for number in (1, 2):
            path = write_instance(lab.path / f"{number}.dcm", number)
            archive.write(path, f"x/{number}.dcm")
            expected[name_of(number)] = path.read_bytes()
    lab.copies.mkdir()
    lab.run(lab.into(f"{lab.scans}/{uri}", archives=True))
    assert files_in(lab.copies) == expected
