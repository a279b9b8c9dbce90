"""A bucket of Google Cloud Storage or S3, or a part of one, as a store."""

from __future__ import annotations

import bisect
import contextlib
import functools
import io
import itertools
import re
import string
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, NamedTuple

from dicombq.errors import InvalidArgument, NotFound
from dicombq.names import ObjectUri, Parent, StoreName, parse_object_uri
from dicombq.rows import part10
from dicombq.rows.base import FarFile, Unreadable
from dicombq.rows.record import Record
from dicombq.stores.base import (
    NOTHING_KNOWN,
    PLAIN,
    Changes,
    Failure,
    InstanceRef,
    Known,
    Place,
    Result,
    StoreOptions,
    Versioned,
)
from dicombq.stores.filters import Filter
from dicombq.stores.object_client import Changed, ObjectClient, ObjectRef, Refused, Unreachable, Unread
from dicombq.stores.reading import Contents, Reading
from dicombq.system.threads import Threads, in_threads, interruptible

THREADS = 32
"""Requests of one process at a time; with 30 ms for each that is about what a core can read."""

PREFIX = 32 << 10
"""Bytes of the first request for a header; a series of longer ones is asked for more."""

MAX_PREFIX = 512 << 10
"""Bytes of a first request at most: twice as many of them as threads may wait in memory."""

MAX_ASKED = 256 << 20
"""Bytes that are asked for to read one header at most."""

TAIL = 4 << 10
"""Bytes of a second request, for the end of compressed pixel data and what stands behind it."""

_BOUNDS = f"-{string.digits}{string.ascii_uppercase}_{string.ascii_lowercase}"
"""Characters between which ranges of keys are cut; keys may have others."""

_LAST = "~"
"""A character that few keys have, and behind those that others have."""

_MAX_READ_AHEAD = 4 << 20
_ENCAPSULATED = re.compile(rb"1\.2\.840\.10008\.1\.2\.[45]")
"""How Transfer Syntax UIDs of encapsulated pixel data begin (PS3.5 A.4)."""


@dataclass(frozen=True)
class BucketStore:
    """All objects of a bucket below a folder, or a single object.

    Parameters
    ----------
    name
        The store's resource name.
    root
        The folder or the object, without a slash at its end.
    """

    name: StoreName
    root: ObjectUri
    options: StoreOptions = PLAIN

    @classmethod
    def open(cls, uri: str, parent: Parent, options: StoreOptions = PLAIN) -> BucketStore:
        """Use a bucket, or a part of it, as a store; its ID is the last part of the URI.

        Raises
        ------
        InvalidArgument
            Where the URI is none, or an option is not for its kind of bucket.
        NotFound
            Where there is no such bucket, or nothing in that part of it.
        NotPermitted
            Where it cannot be listed, or read.
        Temporary
            Where the server does not answer.
        """
        root = parse_object_uri(uri)
        if options.billing_project and root.scheme != "gs":
            raise InvalidArgument(
                f"--billing-project is for gs://; [{uri}] is none", "Set AWS_REQUEST_PAYER=true, if you are to pay."
            )
        root = root.with_key(root.key.rstrip("/"))
        store = cls(StoreName(parent, root.key.rpartition("/")[2] or root.bucket), root, options)
        store._check()
        return store

    @property
    def source(self) -> str:
        """The URI of the bucket, the folder or the object."""
        return str(self.root).removesuffix("/")

    @property
    def _client(self) -> ObjectClient:
        return ObjectClient(self.root, self.options)

    def _check(self) -> None:
        """Refuse what cannot be listed or read, before an operation begins."""
        first = next(self.list(), None)
        if first is None and self.root.key:
            raise NotFound(f"there is nothing in [{self.source}]", "Check the bucket and the folder.")
        if first is not None and first.size:
            try:
                interruptible(lambda: self._client.part(first, 0, 1))
            except Unreachable as fault:
                raise fault.error from None
            except Refused as fault:
                if fault.code == "PERMISSION_DENIED":
                    raise self._client.not_permitted() from None
            except Changed:
                pass

    def ref(self, noted: list[Any]) -> ObjectRef:
        """Make a reference of its fields."""
        return ObjectRef(*noted)

    def has(self, ref: ObjectRef) -> bool:
        """Tell whether an object is still there."""
        return interruptible(lambda: self._client.state(ref.uri)) is not None

    def list(self, prefix: str = "", wanted: Filter | None = None) -> Iterator[ObjectRef]:
        """Stream every object, page by page; errors are those of `open`.

        Parameters
        ----------
        prefix
            A folder or an object below the root, as ``2026/11``.
        wanted
            Leaves out nothing: only a header tells which instance an object holds.
        """
        del wanted
        key = "/".join(filter(None, (self.root.key, prefix)))
        is_empty = True
        for ref in self._client.list(f"{key}/" if key else ""):
            is_empty = False
            yield ref
        if is_empty and key and (single := interruptible(lambda: self._client.state(str(self.root.with_key(key))))):
            yield single

    @property
    def whole(self) -> Place:
        """All keys."""
        return Place("")

    def list_part(self, place: Place, most: int) -> Iterator[ObjectRef | Place]:
        """Stream the objects of a range of keys; errors are those of `open`."""
        last = place.start
        for count, ref in enumerate(self.list() if place == self.whole else self._behind(place.start)):
            key = parse_object_uri(ref.uri).key
            if place.end and key > place.end:
                return
            if count == most:
                yield from self._cut(Place(last, place.end))
                return
            yield ref
            last = key

    def list_apart(self, places: Iterable[Place]) -> Iterator[ObjectRef]:
        """Nothing: ranges of keys have nothing in common."""
        del places
        return iter(())

    def _behind(self, key: str) -> Iterator[ObjectRef]:
        return self._client.list(f"{self.root.key}/" if self.root.key else "", key)

    def _cut(self, place: Place) -> Iterator[Place]:
        """Cut a range by the first character in which its keys differ from the one before it."""
        last = place.start

        def is_behind_alike(index: int) -> bool:
            first = next(self._behind(f"{last[: index + 1]}{_LAST}"), None)
            return first is not None and not (place.end and parse_object_uri(first.uri).key > place.end)

        index = bisect.bisect_left(range(len(last)), True, key=is_behind_alike)
        bounds = [last[:index] + character for character in _BOUNDS if character > last[index:]]
        within = [bound for bound in bounds if not place.end or bound < place.end] if index < len(last) else []
        for start, end in itertools.pairwise([last, *within, place.end]):
            yield Place(start, end)

    @property
    def folder(self) -> None:
        """None: a bucket has to be polled."""
        return

    def changes(self, position: str) -> Changes:
        """None: a bucket keeps no log."""
        del position
        return Changes()

    def versions(self, known: Known = NOTHING_KNOWN) -> Iterator[tuple[ObjectRef, str]]:
        """Stream every object with its version: its generation or ETag, and its class."""
        del known
        for ref in self.list():
            yield ref, _version(ref)

    def look(self, places: Iterable[str]) -> Iterator[tuple[str, Iterable[Versioned] | None]]:
        """Tell what is under some keys of the bucket; those that are not below the root are left out."""
        folder = f"{self.root.key}/" if self.root.key else ""
        uris = [str(self.root.with_key(key)) for key in places if key == self.root.key or key.startswith(folder)]
        states = in_threads((functools.partial(self._client.state, uri) for uri in uris), THREADS)
        for uri, state in zip(uris, states, strict=True):
            yield uri, [(state, _version(state))] if state else None

    @contextlib.contextmanager
    def original(self, ref: ObjectRef, updated: str) -> Iterator[Iterator[bytes]]:
        """Open an object, in the state in which it was listed; errors are those of `read`, and of the protocol."""
        del updated
        yield _pieces(self._client, ref)

    def read(self, refs: Iterable[ObjectRef], record_type: type[Record], max_element_size: int) -> Iterator[Result]:
        """Read each object's header; one that changes meanwhile is read once more, then it is a failure.

        The requests for the headers run ahead in threads; headers are parsed here.

        Raises
        ------
        Temporary, NotPermitted
            Where nothing can be read any more: that is no fault of an object.
        """
        with Threads(THREADS) as threads, Threads(1) as urgent:
            reader = _Reader(self, self._client, urgent, Reading(record_type, max_element_size))
            ahead: deque[tuple[ObjectRef, Future[_Ends]]] = deque()
            for ref in refs:
                ahead.append((ref, threads.submit(functools.partial(reader.ends, ref))))
                if len(ahead) == 2 * THREADS:
                    yield reader.result(*ahead.popleft())
            while ahead:
                yield reader.result(*ahead.popleft())

    @contextlib.contextmanager
    def contents(self, ref: ObjectRef) -> Iterator[Contents]:
        """Open an object in the state that is still there; OSErrors, also of what is read then, are for `failure`."""
        with Threads(1) as urgent:
            file = _ObjectFile(self._client, urgent, ref, _Ends(b""))
            yield Contents(FarFile(file, PREFIX), ref.size, ref.updated, ref.storage_class)

    def failure(self, ref: InstanceRef, error: OSError) -> Failure:
        """Tell why an object cannot be read; raise what is no fault of it."""
        if isinstance(error, Unreachable):
            raise error.error from None
        if isinstance(error, Refused):
            return Failure(ref, error.code, error.reason)
        return Failure(ref, "ABORTED", "the object changed while it was read")


def _version(ref: ObjectRef) -> str:
    return f"{ref.version} {ref.storage_class}"


def _pieces(client: ObjectClient, ref: ObjectRef) -> Iterator[bytes]:
    try:
        for start in range(0, ref.size, _MAX_READ_AHEAD):
            yield client.part(ref, start, min(start + _MAX_READ_AHEAD, ref.size))
    except Changed:
        raise Unreadable("ABORTED", "the object changed since its header was read") from None
    except Refused as fault:
        raise Unreadable(fault.code, fault.reason) from None
    except Unreachable as fault:
        raise fault.error from None


class _Ends(NamedTuple):
    """The first bytes of an object, and where its pixel data is compressed its last ones."""

    head: bytes
    tail: bytes = b""


@dataclass
class _Reader:
    """Reads objects, one after the other.

    Parameters
    ----------
    urgent
        For what the reading of a header waits for.
    prefix
        Bytes that the next objects are asked for first. It follows what those before needed, for neighbours are alike.
    """

    store: BucketStore
    client: ObjectClient
    urgent: Threads
    reading: Reading
    prefix: int = PREFIX

    def ends(self, ref: ObjectRef) -> _Ends:
        """Ask for the bytes of an object that are surely needed; for none where it has none: servers refuse that."""
        if not ref.size:
            return _Ends(b"")
        head = self.client.part(ref, 0, min(self.prefix, ref.size))
        if len(head) == ref.size or not _ENCAPSULATED.search(head[: part10.HEAD]):
            return _Ends(head)
        return _Ends(head, self.client.part(ref, max(ref.size - TAIL, len(head)), ref.size))

    def result(self, ref: ObjectRef, ends: Future[_Ends]) -> Result:
        """Read an object whose first bytes were asked for."""
        try:
            try:
                return self._read(ref, ends.result())
            except Changed:
                again = self.urgent.submit(lambda: self.client.state(ref.uri)).result()
                if again is None:
                    return Failure(ref, "NOT_FOUND", "gone before it could be read")
                return self._read(again, self.urgent.submit(lambda: self.ends(again)).result())
        except Unread as fault:
            return self.store.failure(ref, fault)

    def _read(self, ref: ObjectRef, ends: _Ends) -> Result:
        file = _ObjectFile(self.client, self.urgent, ref, ends)
        contents = Contents(FarFile(file, PREFIX), ref.size, ref.updated, ref.storage_class)
        result = self.reading.outcome(ref, contents)
        self.prefix = min(max(file.reach, self.prefix * 7 // 8, PREFIX), MAX_PREFIX)
        return result


class _ObjectFile(io.RawIOBase):
    """An object of which only what is read is asked for; reading on without a gap asks for more each time."""

    def __init__(self, client: ObjectClient, urgent: Threads, ref: ObjectRef, ends: _Ends) -> None:
        self._client = client
        self._urgent = urgent
        self._ref = ref
        self._blocks = [
            _Block(0, ends.head),
            _Block(ref.size - len(ends.tail), ends.tail),
            _Block(0, b""),  # the last one that was asked for
        ]
        self._position = 0
        self._asked = 0
        self.reach = 0
        """Bytes from its start that were read without a gap."""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = (0, self._position, self._ref.size)[whence] + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        position, length = self._position, min(len(buffer), self._ref.size - self._position)
        if length <= 0:
            return 0
        block = next((block for block in self._blocks if block.start <= position < block.end), None)
        if block is None:
            block = self._blocks[-1] = self._fetch(position, length)
        data = block.data[position - block.start : position - block.start + length]
        buffer[: len(data)] = data
        self._position += len(data)
        if position <= self.reach:
            self.reach = max(self.reach, self._position)
        return len(data)

    def _fetch(self, position: int, length: int) -> _Block:
        before = next((block for block in self._blocks if block.end == position), _Block(0, b""))
        length = max(length, min(2 * len(before.data), _MAX_READ_AHEAD))
        end = min(position + length, self._ref.size)
        self._asked += end - position
        if self._asked > MAX_ASKED:
            raise Refused("OUT_OF_RANGE", f"more than {MAX_ASKED >> 20} MiB of it would have to be read")
        return _Block(position, self._urgent.submit(lambda: self._client.part(self._ref, position, end)).result())


class _Block(NamedTuple):
    """Bytes of an object."""

    start: int
    data: bytes

    @property
    def end(self) -> int:
        return self.start + len(self.data)
