"""A folder of files, or a single file, as a store."""

from __future__ import annotations

import contextlib
import datetime as dt
import math
import os
import stat
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from dicombq.dicom.values import timestamp
from dicombq.errors import Failed, InvalidArgument, NotFound, NotPermitted
from dicombq.names import Parent, StoreName
from dicombq.rows.base import Unreadable
from dicombq.rows.record import Record
from dicombq.stores.base import (
    NOTHING_KNOWN,
    PLAIN,
    Changes,
    Failure,
    InstanceRef,
    Known,
    Outcome,
    Place,
    Result,
    Skipped,
    StoreOptions,
    Versioned,
)
from dicombq.stores.filters import Filter
from dicombq.stores.reading import Contents, Reading
from dicombq.system.files import printable

UNFINISHED = ".dicombq-"
"""How the name of a folder begins that holds files which are not whole yet; it is no part of a store."""

QUIET = 1.0
"""Seconds for which a file must stay as it is to be looked at, and a deletion wait for the other half of a move."""

_PIECE = 1 << 20
"""Bytes of a file that are read at once where all of it is."""


class FileRef(NamedTuple):
    """A file by its path."""

    uri: str


@dataclass(frozen=True)
class FolderStore:
    """All files below a folder, links followed once; or a single file.

    Parameters
    ----------
    name
        The store's resource name.
    root
        The folder or the file, absolute.
    """

    name: StoreName
    root: Path
    options: StoreOptions = PLAIN

    @classmethod
    def open(cls, folder: str, parent: Parent, options: StoreOptions = PLAIN) -> FolderStore:
        """Use a folder, or a file, as a store; its ID is its last path component.

        Raises
        ------
        InvalidArgument
            Where an option is for buckets.
        NotFound
            Where there is none.
        NotPermitted
            Where it cannot be listed, or read.
        """
        shown = printable(folder)
        if options.anonymous or options.billing_project:
            raise InvalidArgument(f"--anonymous and --billing-project are for buckets; [{shown}] is none")
        try:
            root = Path(folder).expanduser().absolute()
            mode = root.stat().st_mode if folder else 0
        except PermissionError:
            raise NotPermitted(f"the folder [{shown}] cannot be listed", "Run as a user who may read it.") from None
        except (OSError, RuntimeError, ValueError):  # a home that nobody has, a name that no file system takes
            mode = 0
        if not mode:
            raise NotFound(f"there is no folder [{shown}]", "Check the path, or `dicombq export bq --help`.")
        if stat.S_ISREG(mode):
            if not os.access(root, os.R_OK):
                raise NotPermitted(f"the file [{shown}] cannot be read", "Run as a user who may read it.")
        elif not stat.S_ISDIR(mode):
            raise NotFound(f"[{shown}] is neither a folder nor a file", "Give the folder that holds the instances.")
        elif not os.access(root, os.R_OK | os.X_OK):
            raise NotPermitted(f"the folder [{shown}] cannot be listed", "Run as a user who may read it.")
        return cls(StoreName(parent, printable(root.resolve().name) or "root"), root, options)

    @property
    def source(self) -> str:
        """The folder or the file."""
        return os.fspath(self.root)

    def ref(self, noted: list[Any]) -> FileRef:
        """Make a reference of its fields."""
        return FileRef(*noted)

    def has(self, ref: FileRef) -> bool:
        """Tell whether a file is still there."""
        return os.path.exists(ref.uri)

    def list(self, prefix: str = "", wanted: Filter | None = None) -> Iterator[FileRef | Failure | Skipped]:
        """Stream every regular file; folders that are reached through a link are listed once.

        Parameters
        ----------
        prefix
            A folder or a file below the root, as ``2026/11``.
        wanted
            Leaves out nothing: only a header tells which instance a file holds.

        Raises
        ------
        InvalidArgument
            Where the prefix leads out of the root.
        Failed
            Where the folder itself can no longer be listed.
        """
        del wanted
        if os.path.isabs(prefix) or os.pardir in Path(prefix).parts:
            raise InvalidArgument(f"[{printable(prefix)}] is not below [{printable(self.source)}]")
        if any(part.startswith(UNFINISHED) for part in Path(prefix).parts):
            return
        top = os.fspath(self.root / prefix)
        if os.path.isfile(top):
            yield FileRef(top)
            return
        yield from self._listed(_Walk(os.path.realpath(self.root), [(top, False)]))

    @property
    def whole(self) -> Place:
        """The root."""
        return Place(self.source)

    def list_part(self, place: Place, most: int) -> Iterator[FileRef | Failure | Skipped | Place]:
        """Stream what is below a folder, links to other folders apart; errors are those of `list`."""
        if os.path.isfile(place.start):
            yield FileRef(place.start)
            return
        walk = _Walk(os.path.realpath(self.root), [(place.start, False)], leaves_links=True)
        yield from self._listed(walk, most)
        yield from (Place(folder) for folder, _ in walk.folders)
        yield from (Place(link, apart=True) for link in walk.links)

    def list_apart(self, places: Iterable[Place]) -> Iterator[FileRef | Failure | Skipped]:
        """Stream what is in folders that links lead to."""
        walk = _Walk(os.path.realpath(self.root), [])
        for place in places:
            yield from walk.enter(place.start)
        yield from self._listed(walk)

    def _listed(self, walk: _Walk, most: float = math.inf) -> Iterator[FileRef | Failure | Skipped]:
        """Go through folders, until there are none, or so many entries were seen."""
        seen = 0
        while walk.folders and seen < most:
            folder, linked = walk.folders.pop()
            try:
                with os.scandir(folder) as entries:
                    for entry in entries:
                        seen += 1
                        yield from walk.look_at(entry, linked=linked)
            except OSError as error:
                if folder == self.source:  # an empty table must not replace a good one for this
                    raise Failed(f"the folder [{printable(folder)}] {_reason(error)[1]}", "Look at its disk.") from None
                yield Failure(FileRef(folder), *_reason(error))

    @property
    def folder(self) -> str | None:
        """The folder, which tells of what happens in it; None for a single file."""
        return self.source if self.root.is_dir() else None

    def changes(self, position: str) -> Changes:
        """None: a folder keeps no log."""
        del position
        return Changes()

    def versions(self, known: Known = NOTHING_KNOWN) -> Iterator[Versioned]:
        """Stream every regular file with its version; errors are those of `list`.

        A file has another version where size, time or inode are others: one that was renamed over it with the time of
        the old one is another, one whose permissions were changed is not.
        """
        del known
        return self._versions("")

    def look(self, places: Iterable[str]) -> Iterator[tuple[str, Iterator[Versioned] | None]]:
        """Tell what is at some paths below the root: files, folders, or what is no longer there.

        Of a folder, what changed just now is left out: an event of its own tells of it.
        """
        for place in places:
            path = os.path.join(self.source, place)
            there = self._versions(place, only_quiet=os.path.isdir(path)) if os.path.lexists(path) else None
            yield path, there

    def _versions(self, prefix: str, *, only_quiet: bool = False) -> Iterator[Versioned]:
        for entry in self.list(prefix):
            if isinstance(entry, Outcome):
                yield entry
                continue
            try:
                status = os.stat(entry.uri)
            except FileNotFoundError:
                continue
            except OSError as error:
                yield Failure(entry, *_reason(error))
            else:
                if not only_quiet or time.time() - status.st_mtime >= QUIET:
                    yield entry, f"{status.st_size}.{status.st_mtime_ns}.{status.st_ino}"

    @contextlib.contextmanager
    def original(self, ref: FileRef, updated: str) -> Iterator[Iterator[bytes]]:
        """Open a file; parameters and errors are those of `dicombq.stores.base.Store`."""
        with contextlib.ExitStack() as stack:
            with _unreadable():
                file = stack.enter_context(open(ref.uri, "rb", opener=_open))
                before = os.fstat(file.fileno())
            if not stat.S_ISREG(before.st_mode) or _time(before) not in (None, updated):
                raise Unreadable("ABORTED", "the file changed since its header was read")
            yield _pieces(file)
            if _state(os.fstat(file.fileno())) != _state(before):
                raise Unreadable("ABORTED", "the file changed while it was read")

    def read(self, refs: Iterable[FileRef], record_type: type[Record], max_element_size: int) -> Iterator[Result]:
        """Read each file's header; a file that changes meanwhile is read once more, then it is a failure."""
        reading = Reading(record_type, max_element_size)
        for ref in refs:
            result = _read(ref, reading) or _read(ref, reading)
            yield result or Failure(ref, "ABORTED", "the file changed while it was read")

    @contextlib.contextmanager
    def contents(self, ref: FileRef) -> Iterator[Contents]:
        """Open a file; OSErrors are for `failure`."""
        with open(ref.uri, "rb", opener=_open) as file:
            status = os.fstat(file.fileno())
            yield Contents(file, status.st_size, _updated(status))

    def failure(self, ref: InstanceRef, error: OSError) -> Failure:
        """Tell why a file cannot be opened or read."""
        return Failure(ref, *_reason(error))


@dataclass
class _Walk:
    """The way through a folder.

    Parameters
    ----------
    folders
        Folders to list yet; for each, whether a link leads there.
    reached
        Real paths of folders outside of the root: several links may lead to the same one.
    leaves_links
        Whether links to folders are noted in `links`, not followed.
    """

    real_root: str
    folders: list[tuple[str, bool]]
    leaves_links: bool = False
    reached: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)

    def look_at(self, entry: os.DirEntry[str], *, linked: bool) -> Iterator[FileRef | Failure | Skipped]:
        if entry.is_symlink():
            yield from self._follow(entry.path)
        elif entry.is_file(follow_symlinks=False):
            yield FileRef(entry.path)
        elif not entry.is_dir(follow_symlinks=False):
            yield Skipped(FileRef(entry.path), "not a regular file")
        elif entry.name.startswith(UNFINISHED):
            return
        elif linked:
            yield from self.enter(entry.path)
        else:
            self.folders.append((entry.path, False))

    def _follow(self, path: str) -> Iterator[FileRef | Failure | Skipped]:
        try:
            mode = os.stat(path).st_mode
        except OSError as error:
            yield Failure(FileRef(path), "NOT_FOUND", f"a link that leads nowhere ({error.strerror})")
            return
        if stat.S_ISREG(mode):
            yield FileRef(path)
        elif stat.S_ISDIR(mode) and self.leaves_links:
            self.links.append(path)
        elif stat.S_ISDIR(mode):
            yield from self.enter(path)
        else:
            yield Skipped(FileRef(path), "not a regular file")

    def enter(self, path: str) -> Iterator[FileRef | Failure | Skipped]:
        target = os.path.realpath(path)
        if target in self.reached or os.path.commonpath((target, self.real_root)) == self.real_root:
            yield Skipped(FileRef(path), "a folder that is listed anyway")
        else:
            self.reached.add(target)
            self.folders.append((path, True))


def _open(path: str, flags: int) -> int:
    """Open a file that may have become a pipe: without waiting for its other end."""
    return os.open(path, flags | os.O_NONBLOCK)


def _read(ref: FileRef, reading: Reading) -> Result | None:
    """Read a file's header; None where the file changed meanwhile."""
    try:
        with open(ref.uri, "rb", opener=_open) as file:
            before = os.fstat(file.fileno())
            if not stat.S_ISREG(before.st_mode):
                return Skipped(ref, "not a regular file")
            result = reading.outcome(ref, Contents(file, before.st_size, _updated(before)))
            after = os.fstat(file.fileno())
    except OSError as error:
        return Failure(ref, *_reason(error))
    return result if _state(before) == _state(after) else None


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    with _unreadable():
        while piece := file.read(_PIECE):
            yield piece


@contextlib.contextmanager
def _unreadable() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unreadable(*_reason(error)) from None


def _state(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, status.st_mtime_ns


def _updated(status: os.stat_result) -> str:
    return _time(status) or timestamp(dt.datetime.now(dt.timezone.utc))


def _time(status: os.stat_result) -> str | None:
    """Tell when a file was written; None where no calendar has that time."""
    try:
        return timestamp(dt.datetime.fromtimestamp(status.st_mtime, dt.timezone.utc))
    except (OverflowError, ValueError, OSError):
        return None


def _reason(error: OSError) -> tuple[str, str]:
    if isinstance(error, PermissionError):
        return "PERMISSION_DENIED", "not permitted to read it"
    if isinstance(error, FileNotFoundError):
        return "NOT_FOUND", "gone before it could be read"
    return "UNAVAILABLE", f"cannot be read ({error.strerror})"
