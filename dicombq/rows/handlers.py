"""What the walker does with an element, decided once for its tag and VR."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Final, NamedTuple

from dicombq.dicom import tags
from dicombq.dicom.dictionary import AMBIGUOUS_SIGN, effective_vr, is_private, is_private_creator, lookup
from dicombq.dicom.plain import Plain, plain
from dicombq.dicom.text import DEFAULT, Charset
from dicombq.dicom.values import KNOWN_VRS
from dicombq.rows import part10
from dicombq.rows.base import HandOver
from dicombq.rows.part10 import Encoding
from dicombq.table.mapping import Column, Kind, column

_MAX_HANDLERS = 1 << 16
_MAX_KEY = 64
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
VALUE: Final = 0  # into a column of its own
OTHER: Final = 1  # into OtherElements
DATETIME: Final = 2  # as VALUE, but it follows the time zone, and is plain in UTC alone
SPECIAL: Final = 3  # one of the first two, but it has to do with others
SKIP: Final = 4
DROP: Final = 5
SEQUENCE: Final = 6
MARK: Final = 7  # where items begin and end


class Context(NamedTuple):
    """What an item inherits from the data set around it.

    Parameters
    ----------
    unsettled
        The same context where Pixel Representation may yet come in a data set around it; None in that one.
    """

    charset: Charset = DEFAULT
    signed: bool = False
    unsettled: Context | None = None

    @property
    def settled(self) -> bool:
        """Whether Pixel Representation, if there is any, was seen in all data sets around it."""
        return self.unsettled is not None


@lru_cache(maxsize=256)
def make_context(charset: Charset, signed: bool, settled: bool) -> Context:
    """Make a context; the same one for the same arguments, so that a run knows its own by identity."""
    return Context(charset, signed, make_context(charset, signed, settled=False) if settled else None)


def inside(context: Context, tag: int) -> Context:
    """Give the context of the items of a sequence."""
    return context.unsettled if context.unsettled and tag < tags.PIXEL_REPRESENTATION else context


class Handler(NamedTuple):
    """All that is known of an element before its length."""

    step: int
    tag: int
    vr: str
    wide: int  # where its length of four bytes stands (PS3.5 7.1.2), 0 where it is that of the first eight bytes
    little_endian: bool
    found: Column
    name: str  # of the column
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
    if tag >> 16 == 0xFFFE:
        return Handler(MARK, tag, "", 4, little_endian, Column(Kind.SKIPPED, ""), "", None)
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
        _step(tag, read_by, found, is_implicit=vr is None),
        tag,
        read_by,
        8 if written in part10.LONG_VRS else 0,
        order,
        found,
        found.name,
        converter,
    )


def _has_plain_values(found: Column) -> bool:
    return found.kind is Kind.VALUE or (found.kind is Kind.OTHER and not found.vr)


def _step(tag: int, vr: str, found: Column, *, is_implicit: bool) -> int:
    if tag in _CONTEXT_TAGS:
        return SPECIAL
    if vr == "SQ":
        return SEQUENCE
    if found.kind is Kind.SKIPPED:
        return SKIP
    if found.kind is Kind.DROPPED:
        return DROP
    if found.vr == vr == "DT" and found.kind is Kind.VALUE:
        return DATETIME
    # a DT follows the time zone, overlays share a column, creators say what private elements are
    if found.vr == "DT" or found.kind is Kind.REPEATING or (is_implicit and is_private_creator(tag)):
        return SPECIAL
    return OTHER if found.kind is Kind.OTHER else VALUE


class Handlers(dict[bytes, Handler]):
    """What is known of the elements in an encoding, by tag and VR as they stand in the file.

    Parameters
    ----------
    encoding
        It also says how their lengths are read: `unpack` gives the key and the short length of the first eight bytes
        (under Implicit VR the tag and the length), `unpack_long` a length of four bytes. `item` and `sequence_end` are
        tags as they stand in the file.
    """

    unpack: Callable[[bytes, int], tuple[bytes, int]]
    unpack_long: Callable[[bytes, int], tuple[int]]

    def __init__(self, encoding: Encoding) -> None:
        super().__init__()
        self._implicit, self._little_endian = encoding
        self._order = order = "<" if encoding.little_endian else ">"
        self.unpack = struct.Struct(order + ("4sL" if encoding.implicit else "6sH")).unpack_from
        self.unpack_long = struct.Struct(order + "L").unpack_from
        self.item, self.sequence_end = (
            struct.pack(f"{order}HH", tag >> 16, tag & 0xFFFF) for tag in (tags.ITEM, tags.SEQUENCE_DELIMITATION_ITEM)
        )

    def tag_at(self, buffer: bytes, position: int) -> int:
        """Read a tag."""
        group, element = struct.unpack_from(f"{self._order}HH", buffer, position)
        return int(group << 16 | element)

    def find(self, key: bytes, creators: dict[int, str], context: Context, previous: int) -> Handler:
        """Decide what to do with an element that stands here for the first time, or is not always the same."""
        tag = self.tag_at(key, 0)
        creator = creators.get(tag >> 8, "") if is_private(tag) else ""
        entry = lookup(tag)
        ambiguous = entry is not None and entry.vr == AMBIGUOUS_SIGN and (self._implicit or key[4:] == b"UN")
        if ambiguous and not (context.settled and max(previous, tag) > tags.PIXEL_REPRESENTATION):
            raise HandOver("a sign that Pixel Representation may decide later")
        if self._implicit and is_private(tag) and tag & 0xFF00:  # its creator decides
            key += b" " + creator.encode()
            if key in self:
                return self[key]
        handler = make_handler(tag, None if self._implicit else key[4:], creator, context.signed, self._little_endian)
        if not (ambiguous or len(key) > _MAX_KEY):
            if len(self) > _MAX_HANDLERS:
                self.clear()
            self[key] = handler
        return handler


@cache
def handlers_of(encoding: Encoding) -> Handlers:
    """Give what is known of the elements in an encoding."""
    return Handlers(encoding)
