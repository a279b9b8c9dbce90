"""The row of an instance: by the walker, or by the reference what the walker hands over."""

from __future__ import annotations

from typing import BinaryIO

from dicombq.rows import walker
from dicombq.rows.base import HandOver, NotAnInstance, Row, Unreadable
from dicombq.rows.record import Record
from dicombq.table.mapping import MAX_ELEMENT_SIZE


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
    try:
        return walker.read_row(file, size, claims=claims, record_type=record_type, max_element_size=max_element_size)
    except (NotAnInstance, Unreadable, OSError):
        raise
    except HandOver as over:
        reason = over.reason
    except Exception as error:  # noqa: BLE001 - a defect of the walker costs time, not an instance
        reason = f"a defect of the walker ({type(error).__name__})"
    from dicombq.rows import reference  # noqa: PLC0415 - most exports never need it

    file.seek(0)
    row = reference.read_row(file, size, claims=claims, record_type=record_type, max_element_size=max_element_size)
    row.handed_over = reason
    return row
