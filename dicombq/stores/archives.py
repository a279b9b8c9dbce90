"""Members of archives as instances: ``.zip``, ``.tar``, ``.tar.gz`` and ``.tgz``, in whatever store they lie.

A member is a reference of its own, ``ARCHIVE!/NAME``: its name is only a name, nothing is unpacked to a disk, and an
archive in an archive is a member like others. A zip is listed by the directory at its end, so that one in a bucket is
not read whole.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO, Any, BinaryIO, NamedTuple, Protocol, cast

from isal import igzip

from dicombq.names import StoreName
from dicombq.rows.base import Unreadable
from dicombq.rows.record import Record
from dicombq.stores.base import (
    DivisibleStore,
    Failure,
    FollowedStore,
    InstanceRef,
    Place,
    Result,
    Skipped,
    StoreOptions,
)
from dicombq.stores.filters import Filter
from dicombq.stores.reading import Contents, Reading

MAX_MEMBERS = 1_000_000
"""Members of an archive."""

MAX_DIRECTORY = 64 << 20
"""Bytes of an archive's directory, or of one entry of it, that are read at once."""

MAX_RATIO = 200
"""How many times the size of the archive its members may have, beyond `FREE_SIZE`."""

FREE_SIZE = 1 << 30
"""Bytes that the members of an archive may have in any case."""

_PIECE = 1 << 20
_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")
_DAMAGES = (
    zipfile.BadZipFile,
    tarfile.TarError,
    igzip.BadGzipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    ValueError,
    OverflowError,
)
"""What the standard library raises for archives that are none."""


class MemberRef(NamedTuple):
    """A member of an archive.

    Parameters
    ----------
    container
        The fields of the archive's reference.
    state
        Of the archive, when it was listed.
    position
        Of its entry in a zip, of its first byte in a tar.
    size
        Its bytes, unpacked.
    """

    uri: str
    container: list[Any]
    state: str
    position: int
    size: int


class Openable(FollowedStore[Any], DivisibleStore[Any], Protocol):
    """A store that gives the bytes of what it lists."""

    def contents(self, ref: Any) -> contextlib.AbstractContextManager[Contents]:
        """Open something; OSErrors, also of what is read then, are for `failure`."""
        ...

    def failure(self, ref: Any, error: OSError) -> Failure:
        """Tell why something cannot be opened or read; raises what is no fault of one object."""
        ...


class Damaged(OSError):
    """An archive that cannot be read, with a ``google.rpc.Code`` by name and a reason."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(0, reason)
        self.code = code
        self.reason = reason


_DAMAGED = ("DATA_LOSS", "the archive is damaged")
_BOMB = ("OUT_OF_RANGE", f"the archive would be more than {MAX_RATIO} times its size, unpacked")


@dataclass(frozen=True)
class ArchiveStore:
    """A store, with the members of its archives in place of the archives.

    Parameters
    ----------
    inner
        Lists and opens the archives, and reads all else.
    """

    inner: Openable

    @property
    def name(self) -> StoreName:
        """The store's."""
        return self.inner.name

    @property
    def source(self) -> str:
        """The store's."""
        return self.inner.source

    @property
    def options(self) -> StoreOptions:
        """The store's."""
        return self.inner.options

    def ref(self, noted: list[Any]) -> InstanceRef:
        """Make a reference of its fields."""
        if len(noted) > 1 and isinstance(noted[1], list):
            return MemberRef(*noted)
        ref: InstanceRef = self.inner.ref(noted)
        return ref

    def has(self, ref: InstanceRef) -> bool:
        """Tell whether something is still there, or the archive that holds it."""
        return self.inner.has(self.inner.ref(ref.container) if isinstance(ref, MemberRef) else ref)

    def list(self, prefix: str = "", wanted: Filter | None = None) -> Iterator[InstanceRef | Failure | Skipped]:
        """Stream what the store lists, archives by their members; parameters and errors are the store's."""
        return self._opened(self.inner.list(prefix, wanted))

    @property
    def whole(self) -> Place:
        """The store's."""
        return self.inner.whole

    def list_part(self, place: Place, most: int) -> Iterator[InstanceRef | Failure | Skipped | Place]:
        """Stream what the store does of a place, archives by their members."""
        return self._opened(self.inner.list_part(place, most))

    def list_apart(self, places: Iterable[Place]) -> Iterator[InstanceRef | Failure | Skipped]:
        """Stream what the store does of such places, archives by their members."""
        return self._opened(self.inner.list_apart(places))

    def _opened(self, entries: Iterable[Any]) -> Iterator[Any]:
        for entry in entries:
            if isinstance(entry, Failure | Skipped | Place) or not entry.uri.lower().endswith(_SUFFIXES):
                yield entry
            else:
                yield from self._members(entry)

    def _members(self, ref: Any) -> Iterator[MemberRef | Failure | Skipped]:
        try:
            with self.inner.contents(ref) as contents, _damages():
                yield from _open_archive(ref.uri, contents).members(ref, _state(contents))
        except Damaged as fault:
            yield Failure(ref, fault.code, fault.reason)
        except OSError as error:
            yield self.inner.failure(ref, error)

    @property
    def folder(self) -> str | None:
        """The store's."""
        return self.inner.folder

    def versions(self, prefix: str = "") -> Iterator[tuple[InstanceRef, str] | Failure | Skipped]:
        """Stream what the store does, archives by their members, which have another version where the archive has."""
        for entry in self.inner.versions(prefix):
            if isinstance(entry, Failure | Skipped) or not entry[0].uri.lower().endswith(_SUFFIXES):
                yield entry
            else:
                for member in self._members(entry[0]):
                    yield (member, entry[1]) if isinstance(member, MemberRef) else member

    @contextlib.contextmanager
    def original(self, ref: InstanceRef, updated: str) -> Iterator[Iterator[bytes]]:
        """Open an instance's bytes, those of a member unpacked; parameters and errors are those of the protocol."""
        with contextlib.ExitStack() as stack:
            if isinstance(ref, MemberRef):
                yield self._pieces(ref, stack)
            else:
                yield stack.enter_context(self.inner.original(ref, updated))

    def _pieces(self, ref: MemberRef, stack: contextlib.ExitStack) -> Iterator[bytes]:
        container = self.inner.ref(ref.container)
        try:
            with _damages():
                contents = stack.enter_context(self.inner.contents(container))
                if _state(contents) != ref.state:
                    raise Unreadable("ABORTED", "the archive changed after it was listed")
                member = stack.enter_context(_open_archive(container.uri, contents).open(ref))
                left = ref.size
                while piece := member.read(_PIECE):
                    left -= len(piece)
                    yield piece
        except Damaged as fault:
            raise Unreadable(fault.code, fault.reason) from None
        except OSError as error:
            failure = self.inner.failure(ref, error)
            raise Unreadable(failure.code, failure.reason) from None
        if left:
            raise Unreadable(*_DAMAGED)

    def read(self, refs: Iterable[InstanceRef], record_type: type[Record], max_element_size: int) -> Iterator[Result]:
        """Read each reference; members that follow one another are read from an archive that is opened once."""
        reading = Reading(record_type, max_element_size)
        for container, some in itertools.groupby(refs, lambda ref: getattr(ref, "container", None)):
            if container is None:
                yield from self.inner.read(some, record_type, max_element_size)
            else:
                yield from self._read_members(self.inner.ref(container), cast("Iterator[MemberRef]", some), reading)

    def _read_members(self, container: Any, refs: Iterator[MemberRef], reading: Reading) -> Iterator[Result]:
        try:
            with self.inner.contents(container) as contents, _damages():
                state, archive = _state(contents), _open_archive(container.uri, contents)
                for ref in refs:
                    if state != ref.state:
                        yield Failure(ref, "ABORTED", "the archive changed after it was listed")
                        continue
                    yield self._read_member(archive, ref, contents, reading)
        except Damaged as fault:
            yield from (Failure(ref, fault.code, fault.reason) for ref in refs)
        except OSError as error:
            reason = self.inner.failure(container, error)
            yield from (Failure(ref, reason.code, reason.reason) for ref in refs)

    def _read_member(self, archive: _Zip | _Tar, ref: MemberRef, contents: Contents, reading: Reading) -> Result:
        try:
            with _damages(), archive.open(ref) as file:
                member = Contents(cast("BinaryIO", file), ref.size, contents.updated, contents.storage_class)
                return reading.outcome(ref, member)
        except Damaged as fault:
            return Failure(ref, fault.code, fault.reason)
        except OSError as error:
            reason = self.inner.failure(ref, error)
            return Failure(ref, reason.code, reason.reason)


def _state(contents: Contents) -> str:
    return f"{contents.size} {contents.updated}"


@contextlib.contextmanager
def _damages() -> Iterator[None]:
    try:
        yield
    except _DAMAGES as error:
        if isinstance(error.__context__, OSError):  # which zipfile takes for damage
            raise error.__context__ from None
        raise Damaged(*_DAMAGED) from None


def _open_archive(uri: str, contents: Contents) -> _Zip | _Tar:
    if uri.lower().endswith(".zip"):
        return _Zip(_Bounded(contents.file), contents.size)
    if uri.lower().endswith(".tar"):
        return _Tar(_Bounded(contents.file), contents.size)
    inflated = igzip.IGzipFile(fileobj=contents.file)
    return _Tar(_Bounded(cast("BinaryIO", inflated), contents.size * MAX_RATIO + FREE_SIZE), contents.size)


class _Zip:
    """A zip archive."""

    def __init__(self, file: _Bounded, size: int) -> None:
        self._archive = zipfile.ZipFile(cast("IO[bytes]", file))
        self._size = size

    def members(self, ref: Any, state: str) -> Iterator[MemberRef | Failure]:
        """List it."""
        entries = self._archive.infolist()
        _check_count(len(entries))
        if sum(entry.file_size for entry in entries) > self._size * MAX_RATIO + FREE_SIZE:
            raise Damaged(*_BOMB)
        for number, entry in enumerate(entries):
            if entry.is_dir():
                continue
            member = MemberRef(f"{ref.uri}!/{entry.filename}", list(ref), state, number, entry.file_size)
            if entry.flag_bits & 1:
                yield Failure(member, "PERMISSION_DENIED", "it is encrypted")
            elif entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                yield Failure(member, "INVALID_ARGUMENT", "it is compressed by another method than deflate")
            else:
                yield member

    @contextlib.contextmanager
    def open(self, ref: MemberRef) -> Iterator[_Member]:
        """Open a member."""
        with self._archive.open(self._archive.infolist()[ref.position]) as file:
            yield _Member(cast("BinaryIO", file), 0, ref.size)


class _Tar:
    """A tar archive, inflated where it is compressed."""

    def __init__(self, file: _Bounded, size: int) -> None:
        self._file = file
        self._size = size

    def members(self, ref: Any, state: str) -> Iterator[MemberRef | Skipped]:
        """List it."""
        with tarfile.open(fileobj=cast("IO[bytes]", self._file), mode="r:", errorlevel=2) as archive:
            for number in itertools.count(1):
                entry = archive.next()
                if entry is None:
                    return
                _check_count(number)
                archive.members = []  # type: ignore[attr-defined]  # else it keeps them all
                if entry.isdir():
                    continue
                member = MemberRef(f"{ref.uri}!/{entry.name}", list(ref), state, entry.offset_data, entry.size)
                if entry.isreg() and not entry.issparse():
                    yield member
                else:
                    yield Skipped(member, "not a regular file")

    @contextlib.contextmanager
    def open(self, ref: MemberRef) -> Iterator[_Member]:
        """Open a member."""
        yield _Member(cast("BinaryIO", self._file), ref.position, ref.size)


def _check_count(count: int) -> None:
    if count > MAX_MEMBERS:
        raise Damaged("OUT_OF_RANGE", f"the archive has more than {MAX_MEMBERS:,} members")


class _Bounded:
    """An archive's file, which gives no more at once than a directory has, and no more than `limit` in all."""

    def __init__(self, file: BinaryIO, limit: int | None = None) -> None:
        self._file = file
        self._limit = limit

    def read(self, length: int = -1) -> bytes:
        if length > MAX_DIRECTORY:
            raise Damaged("OUT_OF_RANGE", f"the archive has an entry of more than {MAX_DIRECTORY >> 20} MiB")
        self._check(self.tell() + length)
        return self._file.read(length if length >= 0 else MAX_DIRECTORY)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._check(offset)
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True

    def _check(self, end: int) -> None:
        if self._limit is not None and end > self._limit:
            raise Damaged(*_BOMB)


class _Member:
    """A part of an archive's file, or of a zip's member: all of it."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self._file = file
        self._start = start
        self._size = size
        self._position = 0

    def read(self, length: int = -1) -> bytes:
        left = max(self._size - self._position, 0)
        with _damages():
            self._file.seek(self._start + self._position)
            data = self._file.read(left if length < 0 else min(length, left))
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._position = (0, self._position, self._size)[whence] + offset
        return self._position

    def tell(self) -> int:
        return self._position
