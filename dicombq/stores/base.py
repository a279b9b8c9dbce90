"""What every kind of store does: list instances, and read them into rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from dicombq.names import StoreName
from dicombq.rows.base import Row
from dicombq.rows.record import Record


@dataclass(frozen=True)
class InstanceRef:
    """Something in a store that may be an instance.

    Parameters
    ----------
    uri
        Where it is; bytes of a path that are no text are lone surrogates, as `os.fsdecode` has them.
    """

    uri: str


@dataclass(frozen=True)
class Found:
    """An instance that was read.

    Parameters
    ----------
    updated
        When it was put in the store: UTC, as `dicombq.dicom.values.timestamp` writes it.
    storage_class
        The class of the object; ``STANDARD`` for files.
    size
        Its bytes.
    """

    uri: str
    row: Row
    updated: str
    storage_class: str
    size: int


@dataclass(frozen=True)
class Failure:
    """An instance that could not be read, with a ``google.rpc.Code`` by name and a reason without values."""

    uri: str
    code: str
    reason: str


@dataclass(frozen=True)
class Skipped:
    """Something that is no instance, and the reason why it was left out."""

    uri: str
    reason: str


Listed = InstanceRef | Failure | Skipped
Result = Found | Failure | Skipped


class Store(Protocol):
    """A source of instances; picklable, because shards are read in other processes."""

    @property
    def name(self) -> StoreName:
        """The store's resource name."""
        ...

    @property
    def source(self) -> str:
        """Where the instances lie: what the store can be opened by again."""
        ...

    def has(self, ref: InstanceRef) -> bool:
        """Tell whether something that was listed is still there."""
        ...

    def list(self) -> Iterator[Listed]:
        """Stream what may be an instance, in no order; what cannot be looked at is a `Failure`."""
        ...

    def read(self, refs: Iterable[InstanceRef], record_type: type[Record], max_element_size: int) -> Iterator[Result]:
        """Read each reference; no fault of an instance ends the iteration."""
        ...
