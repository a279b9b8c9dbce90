"""Writing files that survive a crash and that nobody else can read."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import BinaryIO, cast

_PRIVATE = 0o600


def write_atomic(path: Path, data: bytes) -> None:
    """Write a whole file so that readers and crashes see the old one or the new one: write, fsync, rename."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open_private(temporary) as file:
            file.write(data)
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


def sync_folder(folder: Path) -> None:
    """Make a folder's new names survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def printable(path: str) -> str:
    """Write a path with bytes that are no text spelled out."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
