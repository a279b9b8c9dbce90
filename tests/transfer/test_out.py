"""Exports of files."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dicombq.errors import (
    Cancelled,
    DicombqError,
    Failed,
    InvalidArgument,
    NotFound,
    NotPermitted,
    SourceChanged,
    StorageFull,
)
from dicombq.operations.state import Operation, State
from dicombq.transfer import places, run
from dicombq.transfer.tasks import check_mime_type
from tests.dicom_bytes import SERIES, SOP, STUDY, element, part10
from tests.gcs_server import GcsBucket
from tests.instances import ROOT, write_instance
from tests.transfer.lab import Lab, Progress, files_in, lab, name_of

__all__ = ["lab"]  # a fixture


@pytest.mark.parametrize("workers", [1, 2])
def test_each_instance_is_copied_once_to_the_place_of_its_uids(
    lab: Lab, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "SHARD_SIZE", 2)
    lab.fill()
    counters = lab.run(lab.out(workers=workers)).counters
    assert (counters.found, counters.success, counters.failure, counters.duplicates) == (5, 3, 1, 1)
    assert (counters.skipped, counters.pending, counters.existing) == (1, 0, 0)
    sources = {1: "copy/1.dcm", 2: "2.dcm", 3: "3.dcm"}
    assert files_in(lab.copies) == {
        name_of(number): (lab.scans / path).read_bytes() for number, path in sources.items()
    }
    assert sorted(os.listdir(lab.copies)) == [f"{ROOT}.1"]
    for path in lab.copies.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


def test_a_file_with_the_same_bytes_is_left_alone_and_one_with_others_is_replaced(lab: Lab) -> None:
    lab.fill()
    lab.run(lab.out())
    same, shorter, other = (lab.copies / name_of(number) for number in (1, 2, 3))
    os.utime(same, (1, 1))
    shorter.write_bytes(b"short")
    other.write_bytes(bytes(other.stat().st_size))
    operation = lab.run(lab.out())
    assert (operation.counters.success, operation.counters.existing) == (3, 1)
    assert same.stat().st_mtime == 1
    assert shorter.read_bytes() == (lab.scans / "2.dcm").read_bytes()
    assert other.read_bytes() == (lab.scans / "3.dcm").read_bytes()
    assert operation.to_api()["metadata"]["dicombq"]["existing"] == "1"


@pytest.mark.parametrize(
    ("study", "series", "instance", "name"),
    [
        ("1", "2", "../../../escaped", "SOP Instance UID"),
        ("..", "2", "3", "Study Instance UID"),
        ("1", "/tmp", "3", "Series Instance UID"),
        ("1", "2", "", "SOP Instance UID"),
        ("1", "2", "3" * 65, "SOP Instance UID"),
        ("1\\2", "2", "3", "Study Instance UID"),
    ],
)
def test_what_is_no_uid_never_becomes_a_path(lab: Lab, study: str, series: str, instance: str, name: str) -> None:
    uids = [(SOP, instance), (STUDY, study), (SERIES, series)]
    content = b"".join(element(tag, "UI", uid) for tag, uid in uids)
    (lab.scans / "a.dcm").write_bytes(part10(content))
    before = files_in(lab.path)
    operation = lab.run(lab.out())
    assert lab.log(operation) == [("INVALID_ARGUMENT", "a.dcm", f"its {name} is missing or no UID, so it has no place")]
    assert {path for path in files_in(lab.path).keys() - before.keys() if not path.startswith("home/")} == set()


def test_only_what_a_filter_names_is_copied(lab: Lab) -> None:
    lab.fill()
    wanted = lab.path / "wanted"
    wanted.write_text(f"/studies/{ROOT}.1/series/{ROOT}.1.1/instances/{ROOT}.1.1.2\n/studies/9.9\n")
    operation = lab.run(lab.out(wanted=wanted))
    assert list(files_in(lab.copies)) == [name_of(2)]
    assert (operation.api_version, operation.counters.notices) == ("v1beta1", 1)
    assert lab.log(operation, "NOTICE") == [
        ("NOT_FOUND", "wanted", "line [2] of the filter names nothing in the store")
    ]


def at_copying(change: Callable[[], object]) -> Progress:
    """Do something between the reading of the headers and the copying."""

    def progress(operation: Operation) -> None:
        if operation.state is State.LOADING and operation.counters.pending:
            change()

    return progress


@pytest.mark.parametrize(
    ("change", "code", "reason"),
    [
        (lambda path: path.write_bytes(b"other"), "ABORTED", "the file changed since its header was read"),
        (lambda path: path.unlink(missing_ok=True), "NOT_FOUND", "gone before it could be read"),
    ],
)
def test_a_file_that_changes_before_it_is_copied_is_a_failure(
    lab: Lab, change: Callable[[Path], object], code: str, reason: str
) -> None:
    path = write_instance(lab.scans / "1.dcm")
    operation = lab.run(lab.out(), at_copying(lambda: change(path)))
    assert lab.log(operation) == [(code, "1.dcm", reason)]
    assert files_in(lab.copies) == {}


def test_a_file_that_grows_while_it_is_copied_is_a_failure(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_instance(lab.scans / "1.dcm")
    monkeypatch.setattr("dicombq.stores.folder._PIECE", 100)
    checked = places.Original.checked

    def grow(original: places.Original, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for number, piece in enumerate(checked(original, pieces)):
            if number == 1:
                with path.open("ab") as file:
                    file.write(b"more")
            yield piece

    monkeypatch.setattr(places.Original, "checked", grow)
    operation = lab.run(lab.out())
    assert [code for code, *_ in lab.log(operation)] == ["ABORTED"]
    assert files_in(lab.copies) == {}


def test_a_place_in_the_store_itself_is_refused(lab: Lab) -> None:
    (lab.path / "link").symlink_to(lab.scans)
    for place in (lab.scans, lab.scans / "x", lab.path / "link" / "x"):
        with pytest.raises(InvalidArgument, match="is in the store"):
            lab.run(lab.out(str(place)))
    assert lab.operations.list() == ([], [])


def test_a_place_that_is_a_file_is_refused(lab: Lab) -> None:
    lab.copies.write_text("")
    with pytest.raises(Failed, match=r"cannot be written: Not a directory"):
        lab.run(lab.out(f"{lab.copies}/x"))


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_place_that_may_not_be_written_is_refused(lab: Lab) -> None:
    lab.copies.mkdir(mode=0o500)
    with pytest.raises(NotPermitted, match="cannot be written"):
        lab.run(lab.out())


@pytest.mark.parametrize(
    ("number", "error", "message"),
    [
        (errno.ENOSPC, StorageFull, "copies] is full"),
        (errno.EIO, Failed, "copies] cannot be written: Input/output error"),
        (errno.EROFS, Failed, "Read-only file system"),
        (errno.EACCES, NotPermitted, "copies] cannot be written"),
    ],
)
def test_a_place_that_fails_ends_the_operation_which_can_be_resumed(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, number: int, error: type[DicombqError], message: str
) -> None:
    lab.fill()
    with monkeypatch.context() as broken:
        replace = os.replace

        def fail(source: Path, target: Path) -> None:
            if str(target).endswith(name_of(2)):
                raise OSError(number, os.strerror(number))
            replace(source, target)

        broken.setattr("dicombq.transfer.places.os.replace", fail)
        with pytest.raises(error, match=message):
            lab.run(lab.out())
    assert files_in(lab.copies).keys() <= {name_of(1), name_of(3)}
    operation = lab.resume()
    assert (operation.counters.success, operation.counters.pending) == (3, 0)
    assert set(files_in(lab.copies)) == {name_of(number) for number in (1, 2, 3)}


def test_a_place_that_cannot_be_tidied_hides_no_other_error(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.fill()

    def interrupt(operation: Operation) -> None:
        if operation.counters.success:
            raise KeyboardInterrupt

    def fail(_place: places.FolderPlace) -> None:
        raise Failed("not empty")

    monkeypatch.setattr(places.FolderPlace, "finish", fail)
    with pytest.raises(Cancelled):
        lab.run(lab.out(), interrupt)
    with pytest.raises(Failed, match="not empty"):
        lab.resume()


def test_what_was_copied_is_not_read_again(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "SHARD_SIZE", 1)
    lab.fill()

    def stop(operation: Operation) -> None:
        if operation.counters.success == 2:
            raise Failed("stop")

    with pytest.raises(Failed, match="stop"):
        lab.run(lab.out(), stop)
    copied = files_in(lab.copies)
    for name in copied:
        (lab.copies / name).unlink()
    operation = lab.resume()
    assert (len(copied), operation.counters.success, operation.counters.existing) == (2, 3, 0)
    assert set(files_in(lab.copies)) == {name_of(number) for number in (1, 2, 3)} - set(copied)


def test_a_store_that_is_gone_is_not_gone_on_with(lab: Lab) -> None:
    lab.fill()

    def stop(operation: Operation) -> None:
        if operation.state is State.STAGING:
            raise Failed("stop")

    with pytest.raises(Failed):
        lab.run(lab.out(), stop)
    lab.scans.rename(lab.path / "elsewhere")
    with pytest.raises(SourceChanged, match="none is there any more"):
        lab.resume()


def test_what_is_not_whole_goes_when_the_operation_is_pruned(lab: Lab) -> None:
    lab.fill()
    operation = lab.run(lab.out())
    half_done = lab.copies / f".dicombq-{operation.id}"
    half_done.mkdir()
    (half_done / "1.2.3-abcd").write_bytes(b"half")
    lab.operations.prune(operation.id)
    assert not half_done.exists()
    assert len(files_in(lab.copies)) == 3


@pytest.mark.parametrize(
    "mime_type", [None, "application/dicom; transfer-syntax=*", "Application/DICOM;transfer-syntax=*"]
)
def test_files_may_be_asked_for_as_they_are_stored(mime_type: str | None) -> None:
    check_mime_type(mime_type)


@pytest.mark.parametrize("mime_type", ["", "image/png", "application/dicom; transfer-syntax=1.2.840.10008.1.2"])
def test_files_are_not_converted(mime_type: str) -> None:
    with pytest.raises(InvalidArgument, match="is not supported"):
        check_mime_type(mime_type)


def test_files_go_to_a_bucket_and_come_from_one(lab: Lab, gcs_bucket: GcsBucket) -> None:
    lab.fill()
    lab.run(lab.out(f"{gcs_bucket.uri}/a b/"))
    assert sorted(gcs_bucket.keys()) == [f"a b/{name_of(number)}" for number in (1, 2, 3)]
    assert gcs_bucket.get(f"a b/{name_of(1)}") == (lab.scans / "copy" / "1.dcm").read_bytes()
    gcs_bucket.put(f"a b/{name_of(2)}", b"other")
    counters = lab.run(lab.out(f"{gcs_bucket.uri}/a b")).counters
    assert (counters.success, counters.existing) == (3, 2)
    assert gcs_bucket.get(f"a b/{name_of(2)}") == (lab.scans / "2.dcm").read_bytes()
    lab.copies.mkdir()
    lab.run(lab.into(f"{gcs_bucket.uri}/a b/**.dcm"))
    assert files_in(lab.copies)[name_of(1)] == (lab.scans / "copy" / "1.dcm").read_bytes()
    lab.run(lab.into(str(lab.copies / "**"), gcs_bucket.uri))
    assert gcs_bucket.get(name_of(3)) == (lab.scans / "3.dcm").read_bytes()


def test_a_folder_whose_name_begins_with_a_slash_is_the_place_that_is_told(lab: Lab, gcs_bucket: GcsBucket) -> None:
    write_instance(lab.scans / "1.dcm", 1)
    operation = lab.run(lab.out(f"{gcs_bucket.uri}//dbl/"))
    assert operation.target == f"{gcs_bucket.uri}//dbl"
    assert [*gcs_bucket.keys()] == [f"/dbl/{name_of(1)}"]


def test_an_object_that_changes_before_it_is_copied_is_a_failure(lab: Lab, gcs_bucket: GcsBucket) -> None:
    gcs_bucket.put("1.dcm", write_instance(lab.scans / "1.dcm").read_bytes())
    lab.copies.mkdir()
    operation = lab.run(
        lab.into(f"{gcs_bucket.uri}/**"),
        at_copying(lambda: gcs_bucket.put("1.dcm", b"other")),
    )
    assert lab.log(operation) == [("ABORTED", "1.dcm", "the object changed since its header was read")]


def test_a_bucket_that_is_not_there_is_refused(lab: Lab, gcs_bucket: GcsBucket) -> None:
    with pytest.raises(NotFound, match="Cloud Storage does not find"):
        lab.run(lab.out("gs://no-such-bucket/x"))
    with pytest.raises(InvalidArgument, match="is not in Google Cloud Storage"):
        lab.run(lab.out("s3://bucket/x"))


def test_a_bucket_takes_large_files(lab: Lab, gcs_bucket: GcsBucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "_IN_MEMORY", 1000)
    path = write_instance(lab.scans / "1.dcm", EncapsulatedDocument=os.urandom(9 << 20))
    lab.run(lab.out(gcs_bucket.uri))
    assert gcs_bucket.get(name_of(1)) == path.read_bytes()


@pytest.mark.parametrize(("meanwhile", "copied"), [("ours", True), ("theirs", False)])
def test_an_object_that_was_written_meanwhile_is_looked_at(
    lab: Lab, gcs_bucket: GcsBucket, monkeypatch: pytest.MonkeyPatch, meanwhile: str, *, copied: bool
) -> None:
    """As when the answer to an upload was lost, and it was sent again."""
    path = write_instance(lab.scans / "1.dcm")
    gcs_bucket.put(name_of(1), path.read_bytes() if meanwhile == "ours" else b"theirs")
    found = [None, gcs_bucket.client.get_blob(name_of(1))]
    monkeypatch.setattr("dicombq.stores.objects.find", lambda _uri, _options: found.pop(0))
    if copied:
        assert lab.run(lab.out(gcs_bucket.uri)).counters.success == 1
    else:
        with pytest.raises(DicombqError, match="was written by somebody else"):
            lab.run(lab.out(gcs_bucket.uri))
