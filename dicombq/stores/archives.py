"""Members of archives as instances: ``.zip``, ``.tar``, ``.tar.gz`` and ``.tgz``, in whatever store they lie.

A member is a reference of its own, ``ARCHIVE!/NAME``: its name is only a name, nothing is unpacked to a disk, and an
archive in an archive is a member like others. A zip is listed by the directory at its end, so that one in a bucket is
not read whole.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol, cast

from dicombq.names import StoreName
from dicombq.rows.base import Unreadable
from dicombq.rows.record import Record
from dicombq.stores.archive_files import DAMAGED, PIECE, SUFFIXES, Damaged, MemberRef, Tar, Zip, damages, open_archive
from dicombq.stores.base import (
    NOTHING_KNOWN,
    Changes,
    DivisibleStore,
    Failure,
    FollowedStore,
    InstanceRef,
    Known,
    Place,
    Result,
    Skipped,
    StoreOptions,
    Versioned,
)
from dicombq.stores.filters import Filter
from dicombq.stores.reading import Contents, Reading


class Openable(FollowedStore[Any], DivisibleStore[Any], Protocol):
    """A store that gives the bytes of what it lists."""

    def contents(self, ref: Any) -> contextlib.AbstractContextManager[Contents]:
        """Open something; OSErrors, also of what is read then, are for `failure`."""
        ...

    def failure(self, ref: Any, error: OSError) -> Failure:
        """Tell why something cannot be opened or read; raises what is no fault of one object."""
        ...


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
            if isinstance(entry, Failure | Skipped | Place) or not entry.uri.lower().endswith(SUFFIXES):
                yield entry
            else:
                yield from self._members(entry)

    def _members(self, ref: Any) -> Iterator[MemberRef | Failure | Skipped]:
        try:
            with self.inner.contents(ref) as contents, damages():
                yield from open_archive(ref.uri, contents).members(ref, _state(contents))
        except Damaged as fault:
            yield Failure(ref, fault.code, fault.reason)
        except OSError as error:
            yield self.inner.failure(ref, error)

    @property
    def folder(self) -> str | None:
        """The store's."""
        return self.inner.folder

    def changes(self, position: str) -> Changes:
        """Read the store's."""
        return self.inner.changes(position)

    def versions(self, known: Known = NOTHING_KNOWN) -> Iterator[Versioned]:
        """Stream what the store does, archives by their members, which have another version where the archive has."""
        return self._unpacked(self.inner.versions(known))

    def look(self, places: Iterable[str]) -> Iterator[tuple[str, Iterator[Versioned] | None]]:
        """Tell what is in some places of the store, archives by their members."""
        for uri, entries in self.inner.look(places):
            yield uri, None if entries is None else self._unpacked(entries)

    def _unpacked(self, entries: Iterable[Versioned]) -> Iterator[Versioned]:
        for entry in entries:
            if isinstance(entry, Failure | Skipped) or not entry[0].uri.lower().endswith(SUFFIXES):
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
            with damages():
                contents = stack.enter_context(self.inner.contents(container))
                if _state(contents) != ref.state:
                    raise Unreadable("ABORTED", "the archive changed after it was listed")
                member = stack.enter_context(open_archive(container.uri, contents).open(ref))
                left = ref.size
                while piece := member.read(PIECE):
                    left -= len(piece)
                    yield piece
        except Damaged as fault:
            raise Unreadable(fault.code, fault.reason) from None
        except OSError as error:
            failure = self.inner.failure(ref, error)
            raise Unreadable(failure.code, failure.reason) from None
        if left:
            raise Unreadable(*DAMAGED)

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
            with self.inner.contents(container) as contents, damages():
                state, archive = _state(contents), open_archive(container.uri, contents)
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

    def _read_member(self, archive: Zip | Tar, ref: MemberRef, contents: Contents, reading: Reading) -> Result:
        try:
            with damages(), archive.open(ref) as file:
                member = Contents(cast("BinaryIO", file), ref.size, contents.updated, contents.storage_class)
                return reading.outcome(ref, member)
        except Damaged as fault:
            return Failure(ref, fault.code, fault.reason)
        except OSError as error:
            reason = self.inner.failure(ref, error)
            return Failure(ref, reason.code, reason.reason)


def _state(contents: Contents) -> str:
    return f"{contents.size} {contents.updated}"
