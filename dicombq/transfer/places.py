"""Where files go: each instance has one place there, named by its UIDs."""

from __future__ import annotations

import base64
import contextlib
import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol, cast

from dicombq.errors import Failed, NotPermitted, StorageFull, Temporary
from dicombq.names import ObjectUri, Parent, StoreName
from dicombq.rows.base import Unreadable
from dicombq.stores.base import PLAIN, StoreOptions
from dicombq.stores.folder import UNFINISHED
from dicombq.system.files import make_folders, open_private, printable, sync_folder

if TYPE_CHECKING:
    from dicombq.stores.dicomweb.store import DicomwebStore

_PIECE = 1 << 20
_IN_MEMORY = 8 << 20
"""Bytes of a file that is kept in memory on its way to a bucket; longer ones are on disk."""


class Put(Enum):
    """What became of a file."""

    COPIED = "copied"
    THERE_ALREADY = "there already"


@dataclass(frozen=True)
class Original:
    """An instance whose file is to be copied.

    Parameters
    ----------
    uids
        Study, Series and SOP Instance UID: digits and dots.
    size
        Bytes of the file; None where its store does not tell.
    open
        Opens its bytes, in pieces, as `dicombq.stores.base.Store.original`; may be called again.
    """

    uids: tuple[str, str, str]
    size: int | None
    open: Callable[[], AbstractContextManager[Iterator[bytes]]]

    @property
    def name(self) -> str:
        """Its path: ``STUDY/SERIES/INSTANCE.dcm`` (``rest_api.md``, GoogleCloudHealthcareV1DicomGcsDestination)."""
        return f"{'/'.join(self.uids)}.dcm"

    def checked(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Pass the pieces on, as long as they are no more and no less than the file has.

        Raises
        ------
        Unreadable
            Where they are.
        """
        taken = 0
        for piece in pieces:
            taken += len(piece)
            if self.size is not None and taken > self.size:
                break
            yield piece
        if self.size not in (None, taken):
            raise Unreadable("ABORTED", "its size is not that with which it was identified")


class Place(Protocol):
    """A place for files; picklable, for files are copied by several processes."""

    @property
    def at_once(self) -> int:
        """How many files one process may copy at the same time."""
        ...

    def check(self) -> None:
        """Refuse, before an operation begins, what can be refused then; errors are those of `put`."""
        ...

    def prepare(self) -> None:
        """Make what is needed, and delete what an earlier try left half-done."""
        ...

    def put(self, original: Original) -> Put:
        """Copy a file: it is there as a whole, or not at all.

        Raises
        ------
        Unreadable
            Where the file could not be read.
        DicombqError
            Where the place cannot be written to.
        """
        ...

    def finish(self) -> None:
        """Leave nothing but the files."""
        ...


@dataclass(frozen=True)
class FolderPlace:
    """A folder.

    Parameters
    ----------
    replaces
        Whether a file with other bytes gives way; else whatever has the name of an instance is left alone, unread.
    operation
        Names the folder of files that are not whole yet: no other operation writes to it.
    """

    root: Path
    replaces: bool
    operation: str
    at_once: int = 4

    @property
    def _unfinished(self) -> Path:
        return self.root / f"{UNFINISHED}{self.operation}"

    def check(self) -> None:
        """Refuse what is no folder, or cannot be written."""
        with self._errors():
            above = next(folder for folder in (self.root, *self.root.parents) if os.path.lexists(folder))
            if not above.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
            if not os.access(above, os.W_OK | os.X_OK):
                raise PermissionError

    def prepare(self) -> None:
        """Make the folder."""
        with self._errors():
            make_folders(self.root)
            self._discard()
            self._unfinished.mkdir(mode=0o700)

    def put(self, original: Original) -> Put:
        """Copy a file: under another name, on disk, then renamed."""
        target = self.root / original.name
        with self._errors():
            if self._is_there(target, original):
                return Put.THERE_ALREADY
            unfinished = self._unfinished / f"{original.uids[-1]}-{os.urandom(4).hex()}"
            try:
                with original.open() as pieces, open_private(unfinished) as file:
                    for piece in original.checked(pieces):
                        file.write(piece)
                    file.flush()
                    os.fsync(file.fileno())
                make_folders(target.parent)
                os.replace(unfinished, target)
            except BaseException:
                unfinished.unlink(missing_ok=True)
                raise
            sync_folder(target.parent)
        return Put.COPIED

    def finish(self) -> None:
        """Delete the folder of unfinished files."""
        with self._errors():
            self._discard()

    def _is_there(self, target: Path, original: Original) -> bool:
        try:
            status = os.lstat(target)
        except FileNotFoundError:
            return False
        if not self.replaces:
            return True
        same_size = original.size in (None, status.st_size)
        return stat.S_ISREG(status.st_mode) and same_size and _holds(target, original)

    def _discard(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self._unfinished)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn what the system says about the folder into an error for a user."""
        shown = printable(os.fspath(self.root))
        try:
            yield
        except PermissionError:
            raise NotPermitted(f"the folder [{shown}] cannot be written", "Run as a user who may write it.") from None
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StorageFull(f"the disk that holds [{shown}] is full", "Make room there.") from None
            reason = error.strerror or type(error).__name__
            raise Failed(f"the folder [{shown}] cannot be written: {reason}", "Look at its disk.") from None


def _holds(file: Path, original: Original) -> bool:
    """Tell whether a file has the bytes of an instance."""
    with original.open() as pieces, file.open("rb") as there:
        same = all(there.read(len(piece)) == piece for piece in original.checked(pieces))
        return same and not there.read(1)


@dataclass(frozen=True)
class BucketPlace:
    """A bucket of Cloud Storage, or a folder in one.

    Parameters
    ----------
    replaces
        As in `FolderPlace`.
    scratch
        A folder for files on their way: a file is sent when all of it has come.
    options
        How the bucket is used.
    """

    root: ObjectUri
    replaces: bool
    scratch: Path
    options: StoreOptions = PLAIN
    at_once: int = 8

    def check(self) -> None:
        """Refuse a bucket that is not there, or that may not be used."""
        from dicombq.stores.objects import check_bucket  # noqa: PLC0415 - half a second of imports

        check_bucket(self.root, self.options)

    def prepare(self) -> None:
        """Nothing: objects appear when they are whole."""

    def put(self, original: Original) -> Put:
        """Send a file; what the bucket says that it holds is compared with what was read."""
        from google_crc32c import Checksum  # noqa: PLC0415 - only buckets need it

        from dicombq.stores.objects import find  # noqa: PLC0415 - half a second of imports

        uri = self.root.with_key(f"{self.root.key}/{original.name}" if self.root.key else original.name)
        there = find(uri, self.options)
        if there is not None and not self.replaces:
            return Put.THERE_ALREADY
        with _spooled(original, self.scratch) as file:
            checksum = Checksum()
            file.seek(0)
            while piece := file.read(_PIECE):
                checksum.update(piece)
            crc32c = base64.b64encode(checksum.digest()).decode()
            if there is not None and (there.size, there.crc32c) == (file.tell(), crc32c):
                return Put.THERE_ALREADY
            return self._send(uri, file, there.generation if there else 0, crc32c)

    def finish(self) -> None:
        """Nothing: there is nothing else."""

    def _send(self, uri: ObjectUri, file: BinaryIO, generation: int, crc32c: str) -> Put:
        """Send a file in place of a generation of its object, 0 for none."""
        from google.api_core.exceptions import PreconditionFailed  # noqa: PLC0415 - half a second of imports

        from dicombq.stores.objects import WRITER, errors, find, open_bucket  # noqa: PLC0415 - half a second of imports

        size = file.tell()
        blob = open_bucket(uri, self.options).blob(uri.key)
        with errors(uri, WRITER):
            try:
                blob.upload_from_file(
                    file,
                    rewind=True,
                    size=size,
                    content_type="application/dicom",
                    checksum="crc32c",
                    if_generation_match=generation,
                )
            except PreconditionFailed:  # by this very request, whose answer was lost, or by somebody else
                blob = find(uri, self.options)
                if not self.replaces:
                    return Put.THERE_ALREADY
        if blob is None or blob.crc32c != crc32c:
            raise Temporary(f"[{uri}] was written by somebody else at the same time", "Run the command again.")
        return Put.COPIED


@dataclass(frozen=True)
class DicomwebPlace:
    """A DICOMweb server; what it lists already is left alone.

    Parameters
    ----------
    base
        Its URL.
    scratch
        As in `BucketPlace`.
    """

    base: str
    scratch: Path
    at_once: int = 4

    @property
    def _store(self) -> DicomwebStore:
        from dicombq.stores.dicomweb.store import DicomwebStore  # noqa: PLC0415 - requests is slow to import

        return DicomwebStore(StoreName(Parent(), ""), self.base)

    def check(self) -> None:
        """Nothing: the server answered when its store was opened."""

    def prepare(self) -> None:
        """Nothing: a server takes an instance as a whole."""

    def put(self, original: Original) -> Put:
        """Store an instance, unless the server lists it."""
        from dicombq.stores.dicomweb.files import Stored  # noqa: PLC0415 - requests is slow to import
        from dicombq.stores.dicomweb.listing import DicomwebRef  # noqa: PLC0415 - requests is slow to import

        if self._store.has(DicomwebRef(self.base, *original.uids)):
            return Put.THERE_ALREADY
        with _spooled(original, self.scratch) as file:
            stored = self._store.store(original.uids, file)
        return Put.THERE_ALREADY if stored is Stored.THERE_ALREADY else Put.COPIED

    def finish(self) -> None:
        """Nothing: there is nothing else."""


@contextlib.contextmanager
def _spooled(original: Original, scratch: Path) -> Iterator[BinaryIO]:
    """Fetch a file whole, into memory, or on disk where it is long."""
    with tempfile.SpooledTemporaryFile(_IN_MEMORY, dir=os.fspath(scratch)) as file:
        with original.open() as pieces:
            file.writelines(original.checked(pieces))
        yield cast("BinaryIO", file)
