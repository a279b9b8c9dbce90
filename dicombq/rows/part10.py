"""The DICOM File Format: preamble, File Meta Information and how the data set is encoded (PS3.10 7, PS3.5 10, A)."""

from __future__ import annotations

import io
import struct
import zlib
from typing import BinaryIO, NamedTuple

from dicombq.dicom import dictionary
from dicombq.dicom.values import KNOWN_VRS
from dicombq.rows.base import NotAnInstance

PREAMBLE = 132
"""Bytes of the preamble and the prefix ``DICM``."""

HEAD = 1024
"""Bytes that tell whether a file is DICOM."""

MAX_INFLATED = 128 << 20
"""Bytes of a deflated data set that are inflated at most; headers end long before, pixel data may not."""

DICOMDIR = "1.2.840.10008.1.3.10"
IMPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_BIG_ENDIAN = "1.2.840.10008.1.2.2"

DEFLATED = frozenset({"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"})
"""Transfer Syntaxes whose data set is deflated; the last two are those of JPIP (PS3.5 A.5, A.7)."""


class Encoding(NamedTuple):
    """How the elements of a data set are written."""

    implicit: bool
    little_endian: bool


def dataset_start(head: bytes, size: int, *, claims: bool) -> int:
    """Find where a file's elements begin: after the preamble, or at once.

    Parameters
    ----------
    head
        The file's first bytes, `HEAD` or all of them.
    size
        The file's size in bytes.
    claims
        Whether the file's name says that it is DICOM.

    Raises
    ------
    NotAnInstance
        Where the content is not DICOM and the name does not say so.
    """
    if head[128:PREAMBLE] == b"DICM":
        return PREAMBLE
    if not claims and not _looks_like_dataset(head, size):
        raise NotAnInstance("not DICOM")
    return 0


def _looks_like_dataset(head: bytes, size: int) -> bool:
    """Tell whether two known elements stand in ascending order at the start."""
    for encoding in (Encoding(True, True), Encoding(False, True), Encoding(False, False)):
        first = _element(head, 0, encoding)
        if first is None:
            continue
        tag, end = first
        if end == size:
            return True
        second = _element(head, end, encoding) if end + 8 <= len(head) else None
        if second is not None and tag < second[0]:
            return True
        if second is None and len(head) < end <= size:
            return True
    return False


def _element(head: bytes, at: int, encoding: Encoding) -> tuple[int, int] | None:
    """Read one element's header: its tag and where it ends, None where it is not a plausible one."""
    if len(head) < at + 8:
        return None
    order = "<" if encoding.little_endian else ">"
    group, element, vr, length = struct.unpack_from(f"{order}HH2sH", head, at)
    tag = group << 16 | element
    entry = dictionary.lookup(tag)
    if not 0x0002 <= group <= 0x0020 or (element != 0 and entry is None):
        return None
    start = at + 8
    if encoding.implicit:
        (length,) = struct.unpack_from(f"{order}L", head, at + 4)
    elif vr.decode("latin-1") not in KNOWN_VRS:
        return None
    elif vr in LONG_VRS:
        if len(head) < at + 12:
            return None
        (length,) = struct.unpack_from(f"{order}L", head, at + 8)
        start += 4
    if encoding.implicit and length > 1 << 16:
        return None
    return tag, start + length


LONG_VRS = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
"""VRs with a length of four bytes (PS3.5 7.1.2)."""


def detect_encoding(transfer_syntax: str | None, head: bytes) -> Encoding:
    """Decide how a data set is written.

    Parameters
    ----------
    transfer_syntax
        Transfer Syntax UID (0002,0010), None where the file has none.
    head
        The data set's first six bytes, inflated; what they show wins over what the file says.
    """
    little_endian = transfer_syntax != EXPLICIT_BIG_ENDIAN
    if len(head) < 6:
        return Encoding(transfer_syntax in (None, IMPLICIT_LITTLE_ENDIAN), little_endian)
    implicit = not is_capitals(head[4:6])
    if transfer_syntax is None and not implicit:
        # a big endian group below 0400 reads as one above when taken for little endian
        little_endian = struct.unpack_from("<H", head)[0] < 0x0400
    return Encoding(implicit, little_endian)


def is_capitals(vr: bytes) -> bool:
    """Tell whether all bytes are capital letters, as those of every VR are (PS3.5 6.2)."""
    return vr.isalpha() and vr.isupper()


def uid(data: bytes) -> str:
    """Read a UID, or another short code, without its padding."""
    return data.decode("ascii", "replace").strip(" \0")


def inflate(file: BinaryIO) -> BinaryIO:
    """Inflate a deflated data set (PS3.5 A.5), at most `MAX_INFLATED` bytes of it.

    Raises
    ------
    zlib.error
        Where the bytes are not deflated, or end early.
    """
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    out = io.BytesIO()
    while out.tell() < MAX_INFLATED and not inflater.eof:
        data = inflater.unconsumed_tail or file.read(1 << 16)
        if not data:
            raise zlib.error("the end is missing")
        out.write(inflater.decompress(data, MAX_INFLATED - out.tell()))
    out.seek(0)
    return out
