"""The protocol of stores: a store lists references to instances, and reads references into rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

from dicombq.names import StoreName
from dicombq.rows.base import Row
from dicombq.rows.record import Record
from dicombq.stores.filters import Filter
from dicombq.system.files import printable


class InstanceRef(Protocol):
    """Something in a store that may be an instance: a NamedTuple of all that its kind of store needs to read it.

    It is listed once, noted as JSON, and read back by `Store.ref`: its fields are texts and numbers.
    """

    @property
    def uri(self) -> str:
        """Where it is; bytes of a path that are no text are lone surrogates, as `os.fsdecode` has them."""
        ...


RefT = TypeVar("RefT", bound=InstanceRef)


@dataclass(frozen=True)
class Outcome:
    """The outcome of looking at something in a store."""

    ref: InstanceRef

    @property
    def uri(self) -> str:
        """Where it is, as text."""
        return printable(self.ref.uri)


@dataclass(frozen=True)
class Found(Outcome):
    """An instance that was read.

    Parameters
    ----------
    updated
        When it was put in the store: UTC, as `dicombq.dicom.values.timestamp` writes it.
    storage_class
        The class of the object; ``STANDARD`` for files, empty where the store does not tell it.
    size
        Its bytes; None where the store does not tell.
    """

    row: Row
    updated: str
    storage_class: str
    size: int | None


@dataclass(frozen=True)
class Failure(Outcome):
    """An instance that could not be read, with a ``google.rpc.Code`` by name and a reason without values."""

    code: str
    reason: str


@dataclass(frozen=True)
class Skipped(Outcome):
    """Something that is no instance, and the reason why it was left out."""

    reason: str


Versioned = tuple[InstanceRef, str] | Failure | Skipped
"""Something in a store with its version: a text that is another one where the content may be."""

Listed = InstanceRef | Failure | Skipped
Result = Found | Failure | Skipped


@dataclass(frozen=True)
class StoreOptions:
    """How a source is read.

    Parameters
    ----------
    archives
        Whether the members of archives are instances too.
    anonymous
        Whether a bucket is read without credentials.
    billing_project
        Who pays for what is read from a bucket whose requester pays; empty for its owner.
    """

    archives: bool = False
    anonymous: bool = False
    billing_project: str = ""


PLAIN = StoreOptions()
"""What is asked of most sources: nothing."""


class Store(Protocol[RefT]):
    """A source of instances; picklable, because shards are read in other processes."""

    @property
    def name(self) -> StoreName:
        """The store's resource name."""
        ...

    @property
    def source(self) -> str:
        """Where the instances lie: the store can be opened by it again."""
        ...

    @property
    def options(self) -> StoreOptions:
        """How the source is read."""
        ...

    def ref(self, noted: list[Any]) -> RefT:
        """Make a reference of its fields, as JSON gives them back."""
        ...

    def has(self, ref: RefT) -> bool:
        """Tell whether something that was listed is still there."""
        ...

    def list(self, prefix: str = "", wanted: Filter | None = None) -> Iterator[RefT | Failure | Skipped]:
        """Stream all that may be an instance, in no order; a place that cannot be looked at is a `Failure`.

        Parameters
        ----------
        prefix
            Only below this place in the store, so that a listing can be cut into several.
        wanted
            The instances that are asked for. Others may be left out where the store knows the UIDs without reading.
        """
        ...

    def original(self, ref: RefT, updated: str) -> AbstractContextManager[Iterator[bytes]]:
        """Open an instance's bytes as they were put in the store; they come in pieces.

        Parameters
        ----------
        updated
            As `read` told it: what was put there since is another instance.

        Raises
        ------
        Unreadable
            Where they cannot be read, or are no longer the same; also between two pieces, and at the end of the block.
        """
        ...

    def read(self, refs: Iterable[RefT], record_type: type[Record], max_element_size: int) -> Iterator[Result]:
        """Read each reference; no fault of an instance ends the iteration."""
        ...


class Place(NamedTuple):
    """A part of a store that is still to be listed.

    Parameters
    ----------
    start, end
        A folder; or in a bucket the keys behind one, up to another, empty for all that come.
    apart
        Whether only `DivisibleStore.list_apart` lists it.
    """

    start: str
    end: str = ""
    apart: bool = False


@runtime_checkable
class DivisibleStore(Store[RefT], Protocol[RefT]):
    """A store that several machines can list at once."""

    @property
    def whole(self) -> Place:
        """All of it."""
        ...

    def list_part(self, place: Place, most: int) -> Iterator[RefT | Failure | Skipped | Place]:
        """Stream what `list` does of a place; after about `most` of it, places that hold the rest."""
        ...

    def list_apart(self, places: Iterable[Place]) -> Iterator[RefT | Failure | Skipped]:
        """Stream what is in places that have to be known all together, or some of it would be listed twice."""
        ...


@dataclass(frozen=True)
class Known:
    """What was known of a store when it was looked at the last time.

    Parameters
    ----------
    position
        Where its own log of changes ended then; empty where that is not known.
    version
        Tells what version a URI had; None where it was not there, or has to be looked at anew.
    """

    position: str
    version: Callable[[str], str | None]


NOTHING_KNOWN = Known("", lambda _uri: None)


@dataclass(frozen=True)
class Changes:
    """What a store's own log tells.

    Parameters
    ----------
    position
        Where the log ends; empty where the store has none.
    places
        Where something happened, for `FollowedStore.look`.
    """

    position: str = ""
    places: Sequence[str] = ()


class FollowedStore(Store[RefT], Protocol[RefT]):
    """A store that tells what has changed in it."""

    @property
    def folder(self) -> str | None:
        """The local folder whose file-system events tell of changes; None where there are none."""
        ...

    def changes(self, position: str) -> Changes:
        """Read the store's own log of changes from a position on; of an empty one only where the log ends."""
        ...

    def versions(self, known: Known = NOTHING_KNOWN) -> Iterator[Versioned]:
        """Stream what `list` does, each with its version.

        A store with a log of changes asks only about what is not known, or was told of since the known position.
        """
        ...

    def look(self, places: Iterable[str]) -> Iterator[tuple[str, Iterable[Versioned] | None]]:
        """Tell what is in some places now, as `versions` does; None for one where nothing is any more.

        Parameters
        ----------
        places
            As events name them: a path below a folder, the key of an object, what `changes` gives.

        Yields
        ------
        The URI of each place, and what is there.
        """
        ...
