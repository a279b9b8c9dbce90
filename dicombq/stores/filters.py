"""Filter files: which studies, series and instances of a store are wanted (``cli.md``, Filter files)."""

from __future__ import annotations

import hashlib
import re
import shutil
import sys
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from dicombq.errors import InvalidArgument, NotFound, NotPermitted
from dicombq.names import is_object_uri, parse_one_object_uri
from dicombq.system.files import open_atomic, printable

MAX_LINE = 1000
"""Bytes of a line; the three UIDs of an instance have 64 each at most (PS3.5 9.1)."""

LEVELS = ("studies", "series", "instances")
"""What stands before the UIDs in a path."""

_ADVICE = "Each line is a path: /studies/UID, /studies/UID/series/UID, or /studies/UID/series/UID/instances/UID."
_IN_MEMORY = 1 << 20
_UID = r"[0-9][0-9.]{0,63}"
_ONE_UID = re.compile(_UID)
_PATH = re.compile(rf"/?studies/({_UID})(?:/series/({_UID})(?:/instances/({_UID}))?)?", re.ASCII)


def is_uid(text: str) -> bool:
    """Tell whether a text may be a UID, as a part of a path: digits and dots, 64 at most, the first one a digit."""
    return _ONE_UID.fullmatch(text) is not None


class FilterLine(NamedTuple):
    """A line of a filter file: its number, from 1, and the UIDs of a study, of a series in it, of an instance in it."""

    number: int
    uids: tuple[str, ...]

    @property
    def path(self) -> str:
        """Write it as it stands in a file."""
        return "".join(f"/{level}/{uid}" for level, uid in zip(LEVELS, self.uids, strict=False))


class BadLine(NamedTuple):
    """A line that is no path: its number, from 1, and what is wrong with it."""

    number: int
    fault: str


class Filter:
    """The instances that a filter file names, looked up by their UIDs.

    Each line takes about 140 bytes of memory, whatever its length.

    Parameters
    ----------
    uri
        Where the file was found, as it was given.
    file
        Its bytes, at their start, seekable; read again by `lines` and `save`.
    tolerant
        Whether lines that are no paths are passed over, for somebody who asks for all of them.

    Raises
    ------
    InvalidArgument
        Naming the first line that is no path, or where there is no line at all.
    """

    def __init__(self, uri: str, file: BinaryIO, *, tolerant: bool = False) -> None:
        self.uri = uri
        self._file = file
        weakref.finalize(self, file.close)
        self._numbers: dict[bytes, int] = {}
        is_empty = True
        for line in self.entries():
            is_empty = False
            if isinstance(line, FilterLine):
                self._numbers.setdefault(digest(line.uids), line.number)
            elif not tolerant:
                raise InvalidArgument(
                    f"line {line.number:,} of the filter file [{printable(uri)}] {line.fault}", _ADVICE
                )
        if is_empty:
            raise InvalidArgument(f"the filter file [{printable(uri)}] names no study, series or instance", _ADVICE)

    @classmethod
    def load(cls, uri: str, path: Path) -> Filter:
        """Read what `save` wrote."""
        return cls(uri, path.open("rb"))

    def save(self, path: Path) -> None:
        """Copy the file, so that what comes later reads the same lines."""
        self._file.seek(0)
        with open_atomic(path) as copy:
            shutil.copyfileobj(self._file, copy)

    def lines(self) -> Iterator[FilterLine]:
        """Stream the lines that name something, as they stand in the file."""
        return (line for line in self.entries() if isinstance(line, FilterLine))

    def entries(self) -> Iterator[FilterLine | BadLine]:
        """Stream all lines that are not empty."""
        self._file.seek(0)
        yield from _parse(self._file)

    def number_of(self, uids: tuple[str, ...]) -> int | None:
        """Give the number of the first line that names exactly this study, series or instance."""
        return self._numbers.get(digest(uids))

    def numbers(self) -> Iterable[int]:
        """Give the number of each line; of several equal ones the first."""
        return self._numbers.values()

    def matching(self, uids: tuple[str, ...]) -> list[int]:
        """Give the numbers of the lines that an instance matches; none where it is not wanted.

        Parameters
        ----------
        uids
            Study, Series and SOP Instance UID.
        """
        found = (self.number_of(uids[:level]) for level in (1, 2, 3))
        return [number for number in found if number is not None]


@lru_cache(maxsize=1)
def load_filter(uri: str, path: Path) -> Filter:
    """Read what `Filter.save` wrote; a process that stages many shards of an operation reads it once."""
    return Filter.load(uri, path)


def read_filter(uri: str, *, tolerant: bool = False) -> Filter:
    """Read the filter file at a path or at ``gs://BUCKET/KEY``; ``-`` is standard input.

    Raises
    ------
    InvalidArgument
        As `Filter`.
    NotFound, NotPermitted
        Where there is no such file, or it may not be read.
    DicombqError
        As `dicombq.stores.objects.open_object`.
    """
    if uri == "-":
        if sys.stdin is None:  # closed by whoever started the program
            raise NotFound("there is no standard input to read the filter file from", "Pipe it in, or give a path.")
        return Filter(uri, _spooled(sys.stdin.buffer), tolerant=tolerant)
    if is_object_uri(uri):
        from dicombq.stores.objects import open_object  # noqa: PLC0415 - half a second of imports

        with open_object(parse_one_object_uri(uri)) as file:
            return Filter(uri, _spooled(file), tolerant=tolerant)
    try:
        return Filter(uri, open(uri, "rb"), tolerant=tolerant)
    except PermissionError:
        raise NotPermitted(f"the filter file [{printable(uri)}] may not be read", "Check its permissions.") from None
    except (OSError, ValueError):
        raise NotFound(
            f"there is no filter file [{printable(uri)}]",
            "Give a path, gs://BUCKET/KEY, or - for standard input.",
        ) from None


def _spooled(file: BinaryIO) -> BinaryIO:
    """Keep what can be read only once."""
    spooled = cast("BinaryIO", tempfile.SpooledTemporaryFile(_IN_MEMORY))  # noqa: SIM115 - the filter closes it
    shutil.copyfileobj(file, spooled)
    return spooled


def _parse(file: BinaryIO) -> Iterator[FilterLine | BadLine]:
    number = 0
    while line := file.readline(MAX_LINE + 1):
        number += 1
        text = _bare(line, first=number == 1)
        if not text or (number == 1 and "/" not in text and len(line) <= MAX_LINE):  # a CSV header
            continue
        match = _PATH.fullmatch(text)
        if match is None:
            yield BadLine(number, _fault(line, text))
        else:
            yield FilterLine(number, tuple(uid for uid in match.groups() if uid))
        while len(line) > MAX_LINE and not line.endswith(b"\n"):  # the rest of it
            line = file.readline(MAX_LINE + 1)


def _bare(line: bytes, *, first: bool) -> str:
    """Take off what tools that write such files put around a path."""
    text = line.decode("utf-8-sig" if first else "utf-8", "replace").strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1].strip()
    return text


def _fault(line: bytes, text: str) -> str:
    if len(line) > MAX_LINE:
        return f"has more than {MAX_LINE:,} bytes"
    if re.fullmatch(r"/?studies/[^/]+(/series/[^/]+(/instances/[^/]+)?)?", text):
        return "has a UID that is not made of digits and dots, 64 at most"
    return "is not the path of a study, series or instance"


def digest(uids: tuple[str, ...]) -> bytes:
    """Digest the UIDs of a study, a series in it, an instance in it: 16 bytes in place of up to 200."""
    return hashlib.blake2b("/".join(uids).encode(), digest_size=16).digest()
