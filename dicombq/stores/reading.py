"""From the bytes of what was listed to its outcome, in whatever store it lies."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from dicombq.rows.base import NotAnInstance, Unreadable
from dicombq.rows.reader import read_row
from dicombq.rows.record import Record
from dicombq.stores.base import Failure, Found, InstanceRef, Result, Skipped, Store
from dicombq.stores.filters import Filter
from dicombq.table.mapping import MAX_ELEMENT_SIZE

_AT_ONCE = 1000
_DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")


@dataclass(frozen=True)
class Contents:
    """What a store holds in one place.

    Parameters
    ----------
    file
        At its start, seekable.
    size
        Its bytes.
    updated
        When it was put there: UTC, as `dicombq.dicom.values.timestamp` writes it.
    """

    file: BinaryIO
    size: int
    updated: str
    storage_class: str = "STANDARD"


@dataclass(frozen=True)
class Reading:
    """How headers are read; parameters are those of `dicombq.rows.reader.read_row`."""

    record_type: type[Record]
    max_element_size: int

    def outcome(self, ref: InstanceRef, contents: Contents) -> Result:
        """Tell what something is (``cli.md``, Found): a name may claim that it is DICOM, the content decides.

        Raises
        ------
        OSError
            Where the store fails.
        """
        try:
            row = read_row(
                contents.file,
                contents.size,
                claims=ref.uri.lower().endswith(_DICOM_SUFFIXES),
                record_type=self.record_type,
                max_element_size=self.max_element_size,
            )
        except NotAnInstance as error:
            return Skipped(ref, error.reason)
        except Unreadable as error:
            return Failure(ref, error.code, error.reason)
        return Found(ref, row, contents.updated, contents.storage_class, contents.size)


def read_store(store: Store[Any], wanted: Filter | None = None) -> Iterator[Result]:
    """Read all headers of a store; what could not be listed is among the outcomes."""
    listed = store.list(wanted=wanted)
    while some := list(itertools.islice(listed, _AT_ONCE)):
        yield from (entry for entry in some if isinstance(entry, Failure | Skipped))
        refs = [entry for entry in some if not isinstance(entry, Failure | Skipped)]
        yield from store.read(refs, Record, MAX_ELEMENT_SIZE)
