"""What the fast readers do with an element, decided once for its tag and VR; and what items inherit."""

from __future__ import annotations

from enum import Enum, auto
from functools import lru_cache
from typing import NamedTuple

from dicombq.dicom import tags
from dicombq.dicom.dictionary import AMBIGUOUS_SIGN, effective_vr, is_known_creator, is_private, lookup, private_vr
from dicombq.dicom.text import DEFAULT, Charset, charset
from dicombq.dicom.values import KNOWN_VRS
from dicombq.rows import part10
from dicombq.rows.base import HandOver
from dicombq.table.mapping import Column, Kind, column

NOTED = frozenset(
    {
        tags.MEDIA_STORAGE_SOP_CLASS_UID,
        tags.TRANSFER_SYNTAX_UID,
        tags.SPECIFIC_CHARACTER_SET,
        tags.SOP_CLASS_UID,
        tags.TIMEZONE_OFFSET_FROM_UTC,
        tags.PIXEL_REPRESENTATION,
    }
)
"""Elements that say how others are to be read."""


class Context(NamedTuple):
    """What an item inherits from the data set around it.

    Parameters
    ----------
    signed
        Whether Pixel Representation (0028,0103) is 1.
    settled
        Whether Pixel Representation, if there is any, was seen in all data sets around it.
    """

    charset: Charset = DEFAULT
    signed: bool = False
    settled: bool = True

    def inside(self, tag: int) -> Context:
        """Give the context of the items of a sequence."""
        return self if tag > tags.PIXEL_REPRESENTATION else self._replace(settled=False)

    def after(self, tag: int, data: bytes) -> Context:
        """Give the context behind an element.

        Raises
        ------
        HandOver
            For a character set that is not known.
        """
        if tag == tags.SPECIFIC_CHARACTER_SET:
            own = charset(data)
            if not own.known or b"\0" in data.rstrip(b" \0"):
                raise HandOver("a character set that is not known")
            return self._replace(charset=own)
        if tag == tags.PIXEL_REPRESENTATION and len(data) == 2:
            return self._replace(signed=1 in data)
        return self


class Step(Enum):
    """What becomes of an element."""

    ADD = auto()
    SKIP = auto()
    DROP = auto()
    SEQUENCE = auto()
    MARK = auto()
    """It tells where items begin and end."""


class Handler(NamedTuple):
    """All that is known of an element before its length.

    Parameters
    ----------
    vr
        By which it is read.
    little_endian
        How its value is written.
    """

    step: Step
    tag: int
    vr: str
    little_endian: bool
    found: Column


def is_ambiguous(tag: int, written: bytes | None) -> bool:
    """Tell whether the sign of an element follows Pixel Representation (PS3.5 A.1)."""
    entry = lookup(tag)
    return entry is not None and entry.vr == AMBIGUOUS_SIGN and written in (None, b"UN")


def check_sign(tag: int, context: Context, previous: int) -> None:
    """Hand over where Pixel Representation may yet come, behind the element that follows it."""
    if not (context.settled and max(previous, tag) > tags.PIXEL_REPRESENTATION):
        raise HandOver("a sign that Pixel Representation may decide later")


def depends_on_creator(tag: int, written: bytes | None) -> bool:
    """Tell whether an element's VR is that of a private dictionary."""
    return written is None and is_private(tag) and bool(tag & 0xFF00)


def find(
    tag: int, written: bytes | None, creators: dict[int, str], context: Context, previous: int, little_endian: bool
) -> Handler:
    """Decide what to do with an element where it stands.

    Parameters
    ----------
    written
        Its VR as it stands in the file, None under Implicit VR.
    creators
        The private creators of the blocks that were seen in the same data set.
    previous
        The tag of the element before it.

    Raises
    ------
    HandOver
        Where it is not known how to read it.
    """
    ambiguous = is_ambiguous(tag, written)
    if ambiguous:
        check_sign(tag, context, previous)
    creator = creators.get(tag >> 8, "") if depends_on_creator(tag, written) else ""
    known = creator if is_known_creator(creator) else ""
    return handler(tag, written, known, ambiguous and context.signed, little_endian)


@lru_cache(maxsize=1 << 14)
def handler(tag: int, written: bytes | None, creator: str, signed: bool, little_endian: bool) -> Handler:
    """Decide what to do with an element, as `find` does, of which the creator and the sign are known."""
    if tag >> 16 == 0xFFFE:
        return Handler(Step.MARK, tag, "", little_endian, Column(Kind.SKIPPED, ""))
    vr = written.decode("latin-1") if written is not None else None
    if vr is not None and vr not in KNOWN_VRS:
        raise HandOver("a VR that is not known")
    if creator and private_vr(tag, creator) == AMBIGUOUS_SIGN:
        raise HandOver("a private element of either sign")
    read_by = effective_vr(tag, vr, creator, signed)
    if vr == "UN" and (read_by == "SQ" or tag in tags.PIXEL_DATA):
        raise HandOver("a sequence or pixel data stored as UN")
    if tag == tags.SPECIFIC_CHARACTER_SET and vr not in (None, "CS", "UN"):
        raise HandOver("a character set that is no CS")
    if tag >> 16 == 0x0000:
        raise HandOver("elements of a command")
    if tag == tags.DIRECTORY_RECORD_SEQUENCE:
        raise HandOver("a DICOMDIR")
    found = column(tag, read_by)
    return Handler(_step(tag, read_by, found), tag, read_by, little_endian or vr == "UN", found)


def _step(tag: int, vr: str, found: Column) -> Step:
    if tag in NOTED:
        return Step.ADD
    if vr == "SQ":
        return Step.SEQUENCE
    return {Kind.SKIPPED: Step.SKIP, Kind.DROPPED: Step.DROP}.get(found.kind, Step.ADD)


def has_long_length(tag: int, written: bytes | None) -> bool:
    """Tell whether a length of four bytes stands behind two reserved ones (PS3.5 7.1.2)."""
    return written in part10.LONG_VRS and tag >> 16 != 0xFFFE
