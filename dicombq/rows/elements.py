"""Where the elements of a data set begin and end, for the reference: its own headers, pydicom's items and fragments."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import TYPE_CHECKING, BinaryIO, TypeAlias, cast

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.fileutil import read_undefined_length_value
from pydicom.tag import SequenceDelimiterTag

from dicombq.dicom import tags
from dicombq.dicom.dictionary import lookup
from dicombq.dicom.values import KNOWN_VRS
from dicombq.rows import part10
from dicombq.rows.base import Unreadable

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

MAX_HEADER = 128 << 20
"""Bytes that are read of one instance at most, big values and pixel data not counted."""

MAX_READS = 3_000_000
"""Pieces that are read of one instance at most: two or three for each element, those in sequences too."""

AGAIN = 1 << 32
"""Added to the tag of an element that the same data set or item has had before."""

_ITEM = b"\xfe\xff\x00\xe0"
_BIG_ENDIAN_ITEM = b"\xff\xfe\xe0\x00"

# lengths of pydicom's own look-aheads: what VR comes next, is it an item, where is the delimiter
_LOOK_AHEADS = frozenset({2, 4, 8192})

Raw: TypeAlias = RawDataElement | DataElement


class BoundedFile:
    """A file whose reads never ask for more than is there, and that knows when somebody tried."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._size = size
        self._read = 0
        self._reads = 0
        self.at_boundary = False
        self.counts = True
        self.goes_on = False
        self.overrun = False
        self.rest = b""

    def read(self, length: int) -> bytes:
        left = self.left()
        boundary, self.at_boundary = self.at_boundary, False
        self._read += min(length, left) if self.counts else 0
        self._reads += 1 if self.counts else 0
        if self._read > MAX_HEADER or self._reads > MAX_READS:
            raise Unreadable("OUT_OF_RANGE", f"the header has more than {MAX_HEADER >> 20} MiB or a million elements")
        data = self._file.read(min(length, left))
        if len(data) < length and length not in _LOOK_AHEADS and not boundary:
            self.overrun = True
        if boundary and len(data) < length:
            self.rest = data
            return b""
        return data

    def seek(self, position: int, whence: int = 0) -> int:
        position = self._file.seek(position, whence)
        self.overrun = self.overrun or position > self._size
        return position

    def tell(self) -> int:
        return self._file.tell()

    def left(self) -> int:
        """Give how many bytes follow."""
        return max(self._size - self._file.tell(), 0)

    def has_rest(self) -> bool:
        """Tell whether something but padding follows the last element."""
        return bool(self.rest.strip(b"\0\r\n")) or self.left() > 0

    def parsed(self) -> BinaryIO:
        return cast("BinaryIO", self)


def _pydicoms_reader() -> ModuleType:
    """Load pydicom's reader of sequences once more, for elements as `raw_elements` finds them.

    It converts no character set then: one that it cannot convert would cost the instance, though text is decoded here.
    """
    spec = find_spec("pydicom.filereader")
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError("pydicom.filereader")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    vars(module).update(
        convert_encodings=lambda _terms: "iso8859",
        convert_raw_data_element=lambda raw: raw,
        data_element_generator=raw_elements,
        _is_implicit_vr=_is_implicit,
    )
    return module


def raw_elements(
    file: BoundedFile,
    implicit: bool,
    little_endian: bool,
    stop_when: Callable[[int, str | None, int], bool] | None = None,
    defer_size: int | None = None,
    *_: object,
) -> Iterator[Raw]:
    """Find elements as pydicom's `data_element_generator` does, and those with a VR that is none, too."""
    order = "<" if little_endian else ">"
    seen: set[int] = set()
    while len(head := file.read(8)) == 8:
        start = file.tell() - len(head)
        group, number, length = struct.unpack(f"{order}HHL", head)
        tag = group << 16 | number
        if tag == tags.ITEM_DELIMITATION_ITEM and stop_when is None:
            return
        vr = None if implicit or group == 0xFFFE else _written_vr(tag, head[4:])
        if vr is not None:
            length = _explicit_length(file, vr, head[6:], order)
        if stop_when and stop_when(tag, vr, length):
            file.seek(start)
            return
        if group == 0xFFFE:  # no element, and here no mark either
            if length > file.left():
                raise EOFError
            file.seek(length, 1)
            file.at_boundary = stop_when is not None
            continue
        element = _raw_element(file, tag, vr, length, implicit, little_endian, defer_size)
        if number and tag in seen:
            element = RawDataElement(cast("BaseTag", tag | AGAIN), "UN", 0, b"", start, implicit, little_endian)
        seen.add(tag)
        yield element


def _is_implicit(file: BoundedFile, assumed: bool, little_endian: bool, *_: object, **__: object) -> bool:
    """Tell by an item's first element whether it is written with Implicit VR, as in sequences that are stored as UN."""
    head = file.read(4) + file.read(4)
    if assumed or len(head) < 8:
        return assumed
    length: int = struct.unpack_from("<L" if little_endian else ">L", head, 4)[0]
    return not part10.is_capitals(head[4:6]) and (length <= file.left() or length == tags.UNDEFINED_LENGTH)


def _written_vr(tag: int, head: bytes) -> str | None:
    """Read a VR, and what takes its place; None where it is the length of an element under Implicit VR.

    Some writers change to Implicit VR within a data set. Two zeros are a VR that was left out, unless they may begin a
    length of four bytes.
    """
    vr, rest = head[:2], head[2:]
    may_be_length = min(vr) < 0x20 and (any(vr) or not any(rest) or tag in tags.PIXEL_DATA)
    return None if may_be_length else vr.decode("latin-1")


def _explicit_length(file: BoundedFile, vr: str, short: bytes, order: str) -> int:
    """Read a length by its VR (PS3.5 7.1.2); that of an unknown one has four bytes where they fit."""
    written = vr.encode("latin-1")
    if written in part10.LONG_VRS:
        return int(struct.unpack(f"{order}L", file.read(4))[0])
    if vr not in KNOWN_VRS and part10.is_capitals(written) and not any(short):
        long = file.read(4)
        if len(long) == 4:
            length: int = struct.unpack(f"{order}L", long)[0]
            if length <= file.left():
                return length
        file.seek(-len(long), 1)
    return int(struct.unpack(f"{order}H", short)[0])


def _raw_element(
    file: BoundedFile,
    tag: int,
    vr: str | None,
    length: int,
    implicit: bool,
    little_endian: bool,
    defer_size: int | None,
) -> Raw:
    """Read a value."""
    position = file.tell()
    if length != tags.UNDEFINED_LENGTH:
        value: bytes | None = None
        if defer_size is None or length <= defer_size or tag == tags.SPECIFIC_CHARACTER_SET:
            value = file.read(length)
        else:
            file.seek(length, 1)
    else:
        start = file.read(4)
        file.seek(position)
        if vr == "UN" and start == _ITEM:  # Implicit VR Little Endian (PS3.5 6.2.2)
            little_endian = True
        if _is_open_sequence(tag, vr, start, little_endian):
            items = _reader.read_sequence(file, implicit, little_endian, length, "")
            return DataElement(tag, "SQ", items, position, is_undefined_length=True)
        value = read_undefined_length_value(file.parsed(), little_endian, SequenceDelimiterTag, defer_size)
    return RawDataElement(cast("BaseTag", tag), vr, length, value, position, implicit, little_endian)


def _is_open_sequence(tag: int, vr: str | None, start: bytes, little_endian: bool) -> bool:
    """Tell whether a value of undefined length is a sequence."""
    entry = lookup(tag)
    if vr == "UN":
        return entry is None or not entry.vr.startswith("O")  # else it is encapsulated
    if vr is None and entry is None:
        return start == (_ITEM if little_endian else _BIG_ENDIAN_ITEM)
    return (vr or (entry and entry.vr)) == "SQ"


_reader = _pydicoms_reader()


def read_item(file: BoundedFile, implicit: bool, little_endian: bool) -> Dataset | None:
    """Read an item; None for the end of its sequence."""
    item: Dataset | None = _reader.read_sequence_item(file, implicit, little_endian, "")
    return item
