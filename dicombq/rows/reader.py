"""The row of an instance: by the fast reader, or by the reference what that hands over."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

from dicombq.rows import walker
from dicombq.rows.base import HandOver, NotAnInstance, Row, Unreadable
from dicombq.rows.metadata import MetadataRecord
from dicombq.rows.record import Record
from dicombq.table.mapping import MAX_ELEMENT_SIZE

try:
    from dicombq.rows import native
except ImportError:  # installed where there is no C compiler
    native = None  # type: ignore[assignment]  # a module that is not there


def fast_reader(record_type: type[Record]) -> Callable[..., Row]:
    """Give the fast reader for a type of record; the native one knows those of the exports."""
    return native.read_row if native and record_type in (Record, MetadataRecord) else walker.read_row


def active_reader() -> str:
    """Name the fast reader that runs: ``native``, or ``python`` where nothing was compiled."""
    return "native" if native else "python"


def read_row(
    file: BinaryIO,
    size: int,
    *,
    claims: bool = True,
    record_type: type[Record] = Record,
    max_element_size: int = MAX_ELEMENT_SIZE,
) -> Row:
    """Read an instance's row; parameters and errors are those of `dicombq.rows.reference.read_row`.

    Returns
    -------
    Row
        With the reason in `handed_over` where the reference read it.
    """
    read = fast_reader(record_type)
    try:
        return read(file, size, claims=claims, record_type=record_type, max_element_size=max_element_size)
    except (NotAnInstance, Unreadable, OSError):
        raise
    except HandOver as over:
        reason = over.reason
    except Exception as error:  # noqa: BLE001 - a defect of the fast reader costs time, not an instance
        reason = f"a defect of the fast reader ({type(error).__name__})"
    from dicombq.rows import reference  # noqa: PLC0415 - most exports never need it

    file.seek(0)
    row = reference.read_row(file, size, claims=claims, record_type=record_type, max_element_size=max_element_size)
    row.handed_over = reason
    return row
