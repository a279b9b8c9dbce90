"""Instances that arrive one by one in a store that is a folder: checked, and then put in their place, whole."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from dicombq.errors import NotPermitted
from dicombq.rows import part10
from dicombq.rows.base import NotAnInstance, Unreadable
from dicombq.rows.reader import read_row
from dicombq.stores.filters import is_uid
from dicombq.stores.folder import UNFINISHED
from dicombq.system.files import make_folders, open_private, printable, storage_errors, sync_folder

UNFILED = f"{UNFINISHED}arrivals"
"""The folder of files that are not checked yet, in the folder of the store."""

_TRIES = 5


class Fault(Enum):
    """Why an instance is not filed."""

    NOT_READABLE = "it cannot be read as an instance"
    NO_UIDS = "its UIDs are not digits and dots, 64 characters at most"
    OF_ANOTHER_STUDY = "it is of another study than that which was named"
    NO_ROOM = "the disk is full"
    THERE_ALREADY = "there is one already, which is left alone"


@dataclass
class Arrival:
    """A file that arrives.

    Parameters
    ----------
    uids
        Study, Series and SOP Instance UID, once it is checked; empty where there are none that can be told.
    sop_class
        SOP Class UID.
    fault
        Why it is not filed.
    """

    path: Path
    file: BinaryIO
    uids: tuple[str, ...] = ()
    sop_class: str = ""
    fault: Fault | None = None

    def check(self) -> None:
        """Look whether it is an instance, after its last byte was written; it is on disk then."""
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()
        with open(self.path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if file.read(part10.PREAMBLE)[128:] != b"DICM":
                self.fault = Fault.NOT_READABLE
                return
            file.seek(0)
            try:
                row = read_row(file, size)
            except (NotAnInstance, Unreadable):
                self.fault = Fault.NOT_READABLE
                return
        if not all(map(is_uid, row.uids)):
            self.fault = Fault.NO_UIDS
            return
        self.uids = row.uids
        self.sop_class = str(row.values.get("SOPClassUID") or "")

    @property
    def name(self) -> str:
        """Its place below the store's folder."""
        study, series, instance = self.uids
        return f"{study}/{series}/{instance}.dcm"


@dataclass
class Filing:
    """Files that arrive together; what was not put in its place at the end of the block is deleted."""

    root: Path
    arrivals: list[Arrival] = field(default_factory=list)

    def __enter__(self) -> Filing:  # noqa: PYI034 - typing.Self came with 3.11
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        for arrival in self.arrivals:
            arrival.file.close()
            with contextlib.suppress(OSError):
                arrival.path.unlink()

    def begin(self) -> Arrival:
        """Open a file for an instance.

        Raises
        ------
        NotPermitted
            Where the store's folder cannot be written.
        """
        folder = self.root / UNFILED
        with self._errors():
            make_folders(folder)
            path = folder / os.urandom(16).hex()
            arrival = Arrival(path, open_private(path, "xb"))
        self.arrivals.append(arrival)
        return arrival

    def put(self, arrival: Arrival) -> None:
        """Put an instance in its place, unless something is there: it appears whole, and is on disk then."""
        target = self.root / arrival.name
        with self._errors():
            try:
                _link(arrival.path, target)
            except FileExistsError:
                arrival.fault = Fault.THERE_ALREADY
            else:
                sync_folder(target.parent)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        with storage_errors(self.root):
            try:
                yield
            except PermissionError:
                raise NotPermitted(
                    f"the folder [{printable(os.fspath(self.root))}] cannot be written",
                    "Run the server as a user who may write it.",
                ) from None


def _link(path: Path, target: Path) -> None:
    for _ in range(_TRIES):
        make_folders(target.parent)
        with contextlib.suppress(FileNotFoundError):  # the last instance in it was deleted just now
            os.link(path, target)
            return
    os.link(path, target)


def discard_unfiled(root: Path, since: float) -> None:
    """Delete what a process that is gone left of arrivals: what was not written to since a time, in seconds."""
    with contextlib.suppress(OSError):
        for path in (root / UNFILED).iterdir():
            if path.stat().st_mtime < since:
                path.unlink()


def remove(root: Path, paths: list[Path]) -> None:
    """Delete files of a store, and the folders below its own that are empty then; all of that survives a power cut.

    Raises
    ------
    NotPermitted
        Where one cannot be deleted.
    """
    for path in paths:
        try:
            with contextlib.suppress(FileNotFoundError):
                if stat.S_ISREG(os.lstat(path).st_mode) or path.is_symlink():
                    path.unlink()
        except PermissionError:
            raise NotPermitted("a file of the store cannot be deleted", "Run the server as its owner.") from None
    for folder in sorted({path.parent for path in paths}, key=lambda folder: -len(folder.parts)):
        _remove_empty(root, folder)


def _remove_empty(root: Path, folder: Path) -> None:
    while folder != root and root in folder.parents:
        try:
            folder.rmdir()
        except FileNotFoundError:
            pass
        except OSError:  # not empty
            break
        folder = folder.parent
    with contextlib.suppress(FileNotFoundError):
        sync_folder(folder)
