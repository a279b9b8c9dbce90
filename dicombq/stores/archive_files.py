"""Archives as files: what is in them, and the bytes of a member; whatever they hold, little of it is in memory."""

from __future__ import annotations

import contextlib
import itertools
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO, Any, BinaryIO, NamedTuple, cast

from isal import igzip

from dicombq.stores.base import Failure, Skipped
from dicombq.stores.reading import Contents

MAX_MEMBERS = 1_000_000
"""Members of an archive."""

MAX_DIRECTORY = 64 << 20
"""Bytes of an archive's directory, or of one entry of it, that are read at once."""

MAX_RATIO = 200
"""How many times the size of the archive its members may have, beyond `FREE_SIZE`."""

FREE_SIZE = 1 << 30
"""Bytes that the members of an archive may have in any case."""

PIECE = 1 << 20
SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")
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


class Damaged(OSError):
    """An archive that cannot be read, with a ``google.rpc.Code`` by name and a reason."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(0, reason)
        self.code = code
        self.reason = reason


DAMAGED = ("DATA_LOSS", "the archive is damaged")
_BOMB = ("OUT_OF_RANGE", f"the archive would be more than {MAX_RATIO} times its size, unpacked")


@contextlib.contextmanager
def damages() -> Iterator[None]:
    """Turn what the standard library raises for a damaged archive into `Damaged`."""
    try:
        yield
    except _DAMAGES as error:
        if isinstance(error.__context__, OSError):  # which zipfile takes for damage
            raise error.__context__ from None
        raise Damaged(*DAMAGED) from None


def open_archive(uri: str, contents: Contents) -> Zip | Tar:
    """Read an archive's file as its name says."""
    if uri.lower().endswith(".zip"):
        return Zip(_Bounded(contents.file), contents.size)
    if uri.lower().endswith(".tar"):
        return Tar(_Bounded(contents.file), contents.size)
    inflated = igzip.IGzipFile(fileobj=contents.file)
    return Tar(_Bounded(cast("BinaryIO", inflated), contents.size * MAX_RATIO + FREE_SIZE), contents.size)


class Zip:
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


class Tar:
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
        with damages():
            self._file.seek(self._start + self._position)
            data = self._file.read(left if length < 0 else min(length, left))
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._position = (0, self._position, self._size)[whence] + offset
        return self._position

    def tell(self) -> int:
        return self._position
