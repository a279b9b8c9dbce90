"""What the readers of rows have in common: the row, and why there is none."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson


class Notice(NamedTuple):
    """Something that a user may want to know of an element; never its value.

    Parameters
    ----------
    tag
        ``GGGGEEEE``, after the path of the items around it: ``OtherPatientIDsSequence[0].00100020``.
    reason
        Why the value is not in its column, or not as it was stored.
    """

    tag: str
    reason: str


@dataclass
class Row:
    """An instance as it is staged for the load.

    Parameters
    ----------
    json
        Column to value, as a JSON object in bytes; NULL columns are absent.
    columns
        Paths of the leaf columns of its elements, those that are NULL too.
    notices
        Values that did not fit their column, text that could not be decoded.
    uids
        Study, Series and SOP Instance UID, empty where there is none.
    handed_over
        Why the fast reader left the instance to the reference; empty where it did not.
    """

    json: bytes
    columns: frozenset[str]
    uids: tuple[str, ...]
    notices: list[Notice] = field(default_factory=list)
    handed_over: str = ""

    @property
    def values(self) -> dict[str, Any]:
        """Column to value, read from the JSON each time."""
        values: dict[str, Any] = orjson.loads(self.json)
        return values


def join(elements: bytes, more: dict[str, Any]) -> bytes:
    """Add columns behind those of a JSON object."""
    separator = b"," if len(elements) > len(b"{}") else b""
    return b"".join((elements[:-1], separator, orjson.dumps(more)[1:]))


class Unreadable(Exception):
    """A file that should hold an instance, but cannot be read as one.

    Parameters
    ----------
    code
        A ``google.rpc.Code`` by name.
    reason
        One sentence without any value.
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class NotAnInstance(Exception):
    """A file that is no DICOM instance and does not claim to be one."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class HandOver(Exception):
    """Something that a fast reader leaves to the reference; the reason names no value."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class FarFile(io.BufferedReader):
    """A file whose every piece is asked for over a network: what need not be looked at is not."""
