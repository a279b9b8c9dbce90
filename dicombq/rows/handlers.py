"""What the walker does with an element, decided once for its tag and VR."""

from __future__ import annotations

import struct
from typing import NamedTuple

from dicombq.dicom import tags
from dicombq.dicom.dictionary import effective_vr
from dicombq.dicom.values import KNOWN_VRS, Plain, plain
from dicombq.rows import part10
from dicombq.rows.base import HandOver
from dicombq.table.mapping import Column, Kind, column

_CONTEXT_TAGS = frozenset(
    {
        tags.MEDIA_STORAGE_SOP_CLASS_UID,
        tags.TRANSFER_SYNTAX_UID,
        tags.SPECIFIC_CHARACTER_SET,
        tags.SOP_CLASS_UID,
        tags.TIMEZONE_OFFSET_FROM_UTC,
        tags.PIXEL_REPRESENTATION,
    }
)

# What the walker does with an element; plain numbers, because an enum's members cost a look-up each time.
VALUE = 0  # into a column or OtherElements
SPECIAL = 1  # the same, and it changes how others are read
SKIP = 2
DROP = 3
SEQUENCE = 4
MARK = 5  # where items begin and end


class Handler(NamedTuple):
    """All that is known of an element before its length."""

    step: int
    tag: int
    vr: str
    wide: int  # where its length of four bytes stands (PS3.5 7.1.2), 0 where it is that of the first eight bytes
    little_endian: bool
    found: Column
    memory: bytes  # tag, VR and byte order: with the value's bytes the key to what is remembered
    plain: Plain | None


def make_handler(tag: int, written: bytes | None, creator: str, signed: bool, little_endian: bool) -> Handler:
    """Decide what to do with an element.

    Parameters
    ----------
    written
        Its VR as it stands in the file, None under Implicit VR.
    creator, signed
        As for `dicombq.dicom.dictionary.effective_vr`.

    Raises
    ------
    HandOver
        Where the walker does not know how to read it.
    """
    vr = written.decode("latin-1") if written is not None else None
    memory = struct.pack("<L?", tag, little_endian)
    if tag >> 16 == 0xFFFE:
        return Handler(MARK, tag, "", 4, little_endian, Column(Kind.SKIPPED, ""), memory, None)
    if vr is not None and vr not in KNOWN_VRS:
        raise HandOver("a VR that is not known")
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
    order = little_endian or vr == "UN"
    converter = plain(read_by, found.vr, order, found.repeated) if _has_plain_values(found) else None
    return Handler(
        _step(tag, read_by, found),
        tag,
        read_by,
        8 if written in part10.LONG_VRS else 0,
        order,
        found,
        memory + read_by.encode(),
        converter,
    )


def _has_plain_values(found: Column) -> bool:
    return (found.kind is Kind.VALUE and found.vr != "DT") or (found.kind is Kind.OTHER and not found.vr)


def _step(tag: int, vr: str, found: Column) -> int:
    if tag in _CONTEXT_TAGS:
        return SPECIAL
    if vr == "SQ":
        return SEQUENCE
    if found.kind is Kind.SKIPPED:
        return SKIP
    if found.kind is Kind.DROPPED:
        return DROP
    return VALUE
