from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from dicombq.errors import Failed, StorageFull
from dicombq.system.files import open_private, printable, storage_errors, sync_folder, write_atomic


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    write_atomic(path, b"old")
    with path.open("rb") as reader:
        write_atomic(path, b"new")
        assert reader.read() == b"old"
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["state.json"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state.json"
    write_atomic(path, b"old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["state.json"]


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    fsync, rename = os.fsync, os.replace

    def note_fsync(descriptor: int) -> None:
        steps.append("fsync")
        fsync(descriptor)

    def note_rename(old: Path, new: Path) -> None:
        steps.append("rename")
        rename(old, new)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "replace", note_rename)
    write_atomic(tmp_path / "x", b"x")
    assert steps == ["fsync", "rename", "fsync"]


def test_only_the_owner_may_read_what_is_written(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write_atomic(tmp_path / "a", b"")
        open_private(tmp_path / "b").close()
    finally:
        os.umask(before)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


def test_a_file_can_be_appended_to(tmp_path: Path) -> None:
    for _ in range(2):
        with open_private(tmp_path / "log", "ab") as file:
            file.write(b"line\n")
    assert (tmp_path / "log").read_bytes() == b"line\nline\n"


def test_a_folder_that_is_gone_cannot_be_synced(tmp_path: Path) -> None:
    sync_folder(tmp_path)
    with pytest.raises(FileNotFoundError):
        sync_folder(tmp_path / "gone")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_storage_full(number: int, tmp_path: Path) -> None:
    with pytest.raises(StorageFull, match=f"the disk that holds .{tmp_path}. is full"), storage_errors(tmp_path):
        raise OSError(number, os.strerror(number))


def test_what_else_the_system_says_is_told(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="cannot be used: Permission denied"), storage_errors(tmp_path):
        raise PermissionError(errno.EACCES, "Permission denied", "/secret")


def test_a_pipe_that_nobody_reads_is_no_error_of_the_storage(tmp_path: Path) -> None:
    with pytest.raises(BrokenPipeError), storage_errors(tmp_path):
        raise BrokenPipeError


def test_bytes_of_a_path_that_are_no_text_are_spelled_out() -> None:
    assert printable(os.fsdecode(b"/a/\xff\xc3\xa4")) == "/a/\\xffä"
