"""A folder of files as a store: what is listed, followed, skipped and read."""

import errno
import io
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from dicombq.errors import Failed, InvalidArgument, NotFound, NotPermitted
from dicombq.names import Parent, StoreName
from dicombq.rows.record import Record
from dicombq.rows.reference import read_row
from dicombq.stores.base import Failure, Found, Result, Skipped
from dicombq.stores.folder import FileRef, FolderStore
from tests.dicom_bytes import SOP, element, instance, part10
from tests.instances import write_instance

INSTANCE = instance()
needs_denial = pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")


def opened(root: Path) -> FolderStore:
    return FolderStore.open(str(root), Parent())


def listed(root: Path) -> dict[str, FileRef | Failure | Skipped]:
    """List a folder; paths below it as keys."""
    found = list(opened(root).list())
    named = {os.path.relpath(each.uri, root): each for each in found}
    assert len(named) == len(found)
    return named


def reading(path: Path | str, **options: int) -> Result:
    path = os.fspath(path)
    (result,) = opened(Path(path).parent).read([FileRef(path)], Record, options.get("max_element_size", 1 << 20))
    return result


def write(path: Path, data: bytes = INSTANCE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_files_that_are_not_whole_yet_are_no_part_of_it(tmp_path: Path) -> None:
    write_instance(tmp_path / ".dicombq-7" / "1.dcm")
    kept = write_instance(tmp_path / "1" / "1.dcm")
    store = FolderStore.open(str(tmp_path), Parent())
    assert [entry.uri for entry in store.list()] == [str(kept)]
    assert [[*entries] for _, entries in store.look([".dicombq-7/1.dcm"]) if entries is not None] == [[]]


def test_a_store_is_named_after_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "scans").mkdir()
    store = opened(tmp_path / "scans")
    assert store.name == StoreName(Parent(), "scans")
    monkeypatch.chdir(tmp_path / "scans")
    assert FolderStore.open(".", Parent()) == FolderStore(store.name, tmp_path / "scans")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert FolderStore.open("~/scans", Parent()).root == tmp_path / "scans"
    assert FolderStore.open("/", Parent()).name.store == "root"
    assert pickle.loads(pickle.dumps(store)) == store


def test_a_store_must_be_a_folder_that_is_there(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="there is no folder"):
        opened(tmp_path / "none")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NotFound, match="is neither a folder nor a file"):
        opened(tmp_path / "pipe")


def test_a_single_file_is_a_store_of_its_own(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm")
    write(tmp_path / "b.dcm")
    store = opened(path)
    assert store.name.store == "a.dcm"
    assert list(store.list()) == [FileRef(str(path))]
    path.unlink()
    with pytest.raises(Failed, match="gone before it could be read"):
        list(store.list())


def test_a_listing_can_be_cut_by_its_folders(tmp_path: Path) -> None:
    for name in ("1/a.dcm", "1/2/b.dcm", "12/c.dcm", "d.dcm"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        write(tmp_path / name)
    store = opened(tmp_path)
    pieces = [ref for prefix in ("1", "12", "d.dcm") for ref in store.list(prefix)]
    assert sorted(each.uri for each in pieces) == sorted(each.uri for each in store.list())


@pytest.mark.parametrize("prefix", ["..", "1/../../x", "/"])
def test_a_listing_never_leaves_its_folder(tmp_path: Path, prefix: str) -> None:
    with pytest.raises(InvalidArgument, match="is not below"):
        list(opened(tmp_path).list(prefix))


@pytest.mark.parametrize("text", ["", "~nobody_has_this_name/scans", "x" * 5000, "a\0b"])
def test_a_text_that_can_be_no_folder_is_not_found(text: str) -> None:
    with pytest.raises(NotFound, match="there is no folder"):
        FolderStore.open(text, Parent())


def test_a_folder_whose_name_is_no_text_gives_a_store_a_printable_name(tmp_path: Path) -> None:
    name = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")
    try:
        os.mkdir(name)
    except OSError:
        pytest.skip("this file system takes text only as names")
    assert FolderStore.open(name, Parent()).name.store == "caf\\xe9"
    with pytest.raises(NotFound) as raised:
        FolderStore.open(name + "\udce9", Parent())
    assert raised.value.message.encode()


def test_a_folder_within_one_that_may_not_be_searched_is_not_permitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deny(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "stat", deny)
    with pytest.raises(NotPermitted, match="cannot be listed"):
        opened(tmp_path)


def test_a_store_must_be_permitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.dcm")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(NotPermitted, match="cannot be listed"):
        opened(tmp_path)
    with pytest.raises(NotPermitted, match="cannot be read"):
        opened(path)


def test_links_to_files_are_followed_and_broken_ones_are_failures(tmp_path: Path) -> None:
    root = tmp_path / "root"
    write(tmp_path / "outside.dcm")
    root.mkdir()
    (root / "link").symlink_to(tmp_path / "outside.dcm")
    (root / "broken").symlink_to(tmp_path / "none")
    (root / "loop").symlink_to(root / "loop")
    found = listed(root)
    assert found["link"] == FileRef(str(root / "link"))
    for name in ("broken", "loop"):
        failure = found[name]
        assert isinstance(failure, Failure)
        assert failure.code == "NOT_FOUND"
        assert failure.reason.startswith("a link that leads nowhere")


def test_links_to_folders_are_followed_once_and_never_in_a_circle(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    write(root / "inside/a.dcm")
    write(outside / "b.dcm")
    (root / "to_inside").symlink_to(root / "inside")
    (root / "to_root").symlink_to(root)
    (root / "inside/to_parent").symlink_to("..")
    (root / "first").symlink_to(outside)
    (root / "second").symlink_to(outside)
    (outside / "back").symlink_to(outside)
    found = listed(root)
    refs = sorted(os.path.basename(each.uri) for each in found.values() if isinstance(each, FileRef))
    assert refs == ["a.dcm", "b.dcm"]
    skipped = {name for name, each in found.items() if isinstance(each, Skipped)}
    assert {"to_inside", "to_root", "inside/to_parent"} < skipped
    assert len(skipped & {"first", "second"}) == 1
    assert {each.reason for each in found.values() if isinstance(each, Skipped)} == {"a folder that is listed anyway"}


def test_a_folder_that_is_reached_through_two_links_is_listed_once(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    write(outside / "deep/b.dcm")
    root.mkdir()
    (root / "whole").symlink_to(outside)
    (root / "part").symlink_to(outside / "deep")
    refs = [each for each in listed(root).values() if isinstance(each, FileRef)]
    assert len({os.path.realpath(ref.uri) for ref in refs}) == len(refs) == 1


def test_a_link_to_a_folder_around_the_root_lists_the_root_once(tmp_path: Path) -> None:
    root = tmp_path / "around/root"
    write(root / "a.dcm")
    write(tmp_path / "around/b.dcm")
    (root / "up").symlink_to(tmp_path / "around")
    refs = [each.uri for each in listed(root).values() if isinstance(each, FileRef)]
    assert sorted(map(os.path.basename, refs)) == ["a.dcm", "b.dcm"]


def test_the_root_may_be_a_link(tmp_path: Path) -> None:
    write(tmp_path / "real/a.dcm")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert listed(tmp_path / "link") == {"a.dcm": FileRef(str(tmp_path / "link/a.dcm"))}
    assert opened(tmp_path / "link").name.store == "real"


def test_a_pipe_is_skipped_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.dcm")
    (tmp_path / "link").symlink_to(tmp_path / "pipe.dcm")
    for each in listed(tmp_path).values():
        assert isinstance(each, Skipped)
        assert each == Skipped(each.ref, "not a regular file")
    assert reading(tmp_path / "pipe.dcm") == Skipped(FileRef(str(tmp_path / "pipe.dcm")), "not a regular file")


def test_a_name_that_is_no_text_is_read_and_printed(tmp_path: Path) -> None:
    path = os.path.join(os.fsencode(tmp_path), b"caf\xe9.dcm")
    try:
        with open(path, "wb") as file:
            file.write(INSTANCE)
    except OSError:
        pytest.skip("this file system takes text only as names")
    (ref,) = opened(tmp_path).list()
    assert isinstance(ref, FileRef)
    (found,) = opened(tmp_path).read([ref], Record, 1 << 20)
    assert isinstance(found, Found)
    assert found.uri == str(tmp_path / "caf\\xe9.dcm")
    assert found.uri.encode()


def test_an_instance_is_found_with_its_time_class_and_size(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm")
    os.utime(path, ns=(0, 1_700_000_000_123_456_789))
    found = reading(path)
    assert isinstance(found, Found)
    assert found.uri == str(path)
    assert found.updated.startswith("2023-11-14T22:13:20.12345")
    assert (found.storage_class, found.size) == ("STANDARD", len(INSTANCE))
    assert found.row.uids == ("1.2.13.1", "1.2.14.1", "1.2.24.1")


def test_no_fault_ends_the_reading(tmp_path: Path) -> None:
    paths = [write(tmp_path / "a.dcm", b"x"), tmp_path / "none.dcm", tmp_path, write(tmp_path / "b.dcm")]
    results = list(opened(tmp_path).read([FileRef(str(path)) for path in paths], Record, 1 << 20))
    assert [type(result) for result in results] == [Failure, Failure, Failure, Found]
    assert results[1] == Failure(FileRef(str(paths[1])), "NOT_FOUND", "gone before it could be read")


class Growing:
    """Reads a row, and lets the file grow meanwhile as often as it is told."""

    def __init__(self, path: Path, times: int) -> None:
        self.path, self.times, self.reads = path, times, 0
        self.read_row: Any = read_row

    def __call__(self, file: BinaryIO, size: int, **options: Any) -> Any:
        self.reads += 1
        if self.reads <= self.times:
            with self.path.open("ab") as growing:
                growing.write(element(0xFFFCFFFC, "OB", b"more"))
        return self.read_row(file, size, **options)


@pytest.mark.parametrize(("times", "reads"), [(0, 1), (1, 2), (2, 2)])
def test_a_file_that_changes_is_read_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int, reads: int
) -> None:
    path = write(tmp_path / "a.dcm")
    growing = Growing(path, times)
    monkeypatch.setattr("dicombq.stores.reading.read_row", growing)
    result = reading(path)
    assert growing.reads == reads
    if times < 2:
        assert isinstance(result, Found)
        assert result.size == path.stat().st_size
    else:
        assert result == Failure(FileRef(str(path)), "ABORTED", "the file changed while it was read")


@pytest.mark.parametrize("seconds", [-(10**11), 10**12])
def test_a_time_that_no_calendar_has_is_the_time_of_the_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    path = write(tmp_path / "a.dcm")
    status = os.stat(path)
    fields = list(status)
    fields[8] = seconds
    monkeypatch.setattr(
        os, "fstat", lambda _: os.stat_result([*fields, float(seconds), float(seconds), float(seconds)])
    )
    found = reading(path)
    assert isinstance(found, Found)
    assert found.updated > "2024"
    assert found.updated.endswith("Z")


def test_a_time_before_1970_is_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm")
    os.utime(path, (0, -86400))
    found = reading(path)
    assert isinstance(found, Found)
    assert found.updated == "1969-12-31T00:00:00.000000Z"


@needs_denial
def test_what_may_not_be_read_is_a_failure(tmp_path: Path) -> None:
    file, inner = write(tmp_path / "a.dcm"), tmp_path / "inner"
    inner.mkdir()
    file.chmod(0)
    inner.chmod(0)
    try:
        assert reading(file) == Failure(FileRef(str(file)), "PERMISSION_DENIED", "not permitted to read it")
        assert listed(tmp_path)["inner"] == Failure(
            FileRef(str(inner)), "PERMISSION_DENIED", "not permitted to read it"
        )
    finally:
        inner.chmod(0o700)


@pytest.mark.parametrize(
    ("number", "code", "reason"),
    [
        (errno.EACCES, "PERMISSION_DENIED", "not permitted to read it"),
        (errno.ENOENT, "NOT_FOUND", "gone before it could be read"),
        (errno.EIO, "UNAVAILABLE", f"cannot be read ({os.strerror(errno.EIO)})"),
    ],
)
def test_an_error_of_the_file_system_is_a_failure_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: str, reason: str
) -> None:
    path = write(tmp_path / "a.dcm")
    store = opened(tmp_path)

    below = tmp_path / "below"
    below.mkdir()
    scandir = os.scandir

    def fail(*_: object, **__: object) -> Iterator[object]:
        raise OSError(number, os.strerror(number))

    def fail_below(folder: str) -> Any:
        return fail() if folder == str(below) else scandir(folder)

    monkeypatch.setattr(os, "open", fail)
    assert list(store.read([FileRef(str(path))], Record, 1 << 20)) == [Failure(FileRef(str(path)), code, reason)]
    monkeypatch.setattr(os, "scandir", fail_below)
    assert Failure(FileRef(str(below)), code, reason) in list(store.list())
    monkeypatch.setattr(os, "scandir", fail)
    with pytest.raises(Failed, match=reason.partition(" (")[0]):
        list(store.list())


def test_a_disk_that_fails_while_a_file_is_read_is_no_fault_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.dcm")

    class Failing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > 200:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return super().read(size)

    def failing(file: BinaryIO, size: int, **options: Any) -> Any:
        return read_row(Failing(file.read()), size, **options)

    monkeypatch.setattr("dicombq.stores.reading.read_row", failing)
    assert reading(path) == Failure(FileRef(str(path)), "UNAVAILABLE", f"cannot be read ({os.strerror(errno.EIO)})")


def test_an_instance_without_a_sop_instance_uid_is_found(tmp_path: Path) -> None:
    found = reading(write(tmp_path / "a.dcm", part10(element(SOP - 2, "UI", "1.2"))))
    assert isinstance(found, Found)
    assert found.row.uids == ("", "", "")


def test_a_root_that_can_no_longer_be_listed_is_no_empty_store(tmp_path: Path) -> None:
    store = FolderStore.open(str(tmp_path), Parent())
    tmp_path.rmdir()
    with pytest.raises(Failed, match="gone before it could be read"):
        list(store.list())


def test_a_place_that_cannot_be_listed_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    path = write(tmp_path / "a.dcm")
    scan = os.scandir

    def scandir(folder: str) -> Any:
        if folder == str(closed):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return scan(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    seen = [entry for _, entries in opened(tmp_path).look(["closed", "a.dcm"]) for entry in entries or ()]
    assert seen[0] == Failure(FileRef(str(closed)), "PERMISSION_DENIED", "not permitted to read it")
    assert isinstance(seen[1], tuple)
    assert seen[1][0] == FileRef(str(path))


def test_a_look_at_a_folder_leaves_out_what_changed_just_now(tmp_path: Path) -> None:
    for name in ("old", "young"):
        write_instance(tmp_path / "sub" / f"{name}.dcm", 1)
    os.utime(tmp_path / "sub" / "old.dcm", (1e9, 1e9))
    os.utime(tmp_path / "sub" / "young.dcm", (4e9, 4e9))
    store = FolderStore.open(str(tmp_path), Parent())

    def seen(place: str) -> list[str]:
        [(_, entries)] = store.look([place])
        assert entries is not None
        return [os.path.basename(entry[0].uri) for entry in entries if not isinstance(entry, (Failure, Skipped))]

    assert seen("sub") == ["old.dcm"]
    assert seen("sub/young.dcm") == ["young.dcm"]
