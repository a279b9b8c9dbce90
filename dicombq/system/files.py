"""Writing files that survive a crash and that nobody else can read."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from dicombq.errors import Failed, StorageFull

_PRIVATE = 0o600


def write_atomic(path: Path, data: bytes) -> None:
    """Write a whole file so that readers and crashes see the old one or the new one."""
    with open_atomic(path) as file:
        file.write(data)


@contextlib.contextmanager
def open_atomic(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing that appears whole, at the end of the block: write, fsync, rename."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open_private(temporary) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    sync_folder(path.parent)


def open_private(path: Path, mode: str = "wb") -> BinaryIO:
    """Open a file for writing that only its owner can read."""
    return cast("BinaryIO", open(path, mode, opener=lambda name, flags: os.open(name, flags, _PRIVATE)))


def make_folders(folder: Path) -> None:
    """Make a folder that only its owner can look into, and those above it, where they are missing; all survive."""
    if not folder.is_dir():
        make_folders(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make a folder's new names survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def storage_errors(folder: Path) -> Iterator[None]:
    """Turn what the system says about files in HOME into an error for a user.

    Raises
    ------
    StorageFull
        Where the disk or the quota is used up.
    Failed
        Where a file cannot be read or written for another reason.
    """
    try:
        yield
    except BrokenPipeError:  # of a terminal or a pipe, not of a file
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull(
                f"the disk that holds [{folder}] is full", "Make room, or set DICOMBQ_HOME to another disk."
            ) from None
        raise Failed(
            f"the folder [{folder}] cannot be used: {error.strerror or type(error).__name__}",
            "Check its permissions, or set DICOMBQ_HOME to another folder.",
        ) from None


def printable(path: str) -> str:
    """Write a path with bytes that are no text spelled out."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
