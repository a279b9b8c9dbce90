"""DICOM files byte by byte, the malformed ones too (PS3.5 7, PS3.10 7)."""

import io
import struct
import zlib
from typing import Any, NamedTuple

from dicombq.rows.base import Row
from dicombq.rows.record import Record
from dicombq.rows.reference import read_row

UNDEFINED = 0xFFFFFFFF
LONG_VRS = {"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"}

STUDY, SERIES, SOP = 0x0020000D, 0x0020000E, 0x00080018


class Syntax(NamedTuple):
    uid: str
    implicit: bool = False
    order: str = "<"


IMPLICIT = Syntax("1.2.840.10008.1.2", implicit=True)
EXPLICIT = Syntax("1.2.840.10008.1.2.1")
DEFLATED = Syntax("1.2.840.10008.1.2.1.99")
JPIP_DEFLATED = Syntax("1.2.840.10008.1.2.4.95")
BIG = Syntax("1.2.840.10008.1.2.2", order=">")
JPEG = Syntax("1.2.840.10008.1.2.4.50")


def tag_bytes(tag: int, syntax: Syntax = EXPLICIT) -> bytes:
    return struct.pack(f"{syntax.order}HH", tag >> 16, tag & 0xFFFF)


def element(tag: int, vr: str, value: bytes | str = b"", syntax: Syntax = EXPLICIT, length: int | None = None) -> bytes:
    """Write an element, padded to even length; `length` is what its header says instead of the truth."""
    data = value.encode("latin-1") if isinstance(value, str) else value
    if length is None:
        data += (b"\0" if vr in {"UI", "OB", "UN"} else b" ") * (len(data) % 2)
        length = len(data)
    head = tag_bytes(tag, syntax)
    if syntax.implicit:
        return head + struct.pack(f"{syntax.order}L", length) + data
    if vr in LONG_VRS:
        return head + vr.encode() + b"\0\0" + struct.pack(f"{syntax.order}L", length) + data
    return head + vr.encode() + struct.pack(f"{syntax.order}H", length) + data


def numbers(tag: int, vr: str, code: str, *values: float, syntax: Syntax = EXPLICIT) -> bytes:
    return element(tag, vr, struct.pack(f"{syntax.order}{len(values)}{code}", *values), syntax)


def delimiter(tag: int, syntax: Syntax = EXPLICIT) -> bytes:
    return tag_bytes(tag, syntax) + bytes(4)


def item(content: bytes, syntax: Syntax = EXPLICIT, *, undefined: bool = False) -> bytes:
    length = UNDEFINED if undefined else len(content)
    end = delimiter(0xFFFEE00D, syntax) if undefined else b""
    return tag_bytes(0xFFFEE000, syntax) + struct.pack(f"{syntax.order}L", length) + content + end


def sequence(
    tag: int,
    *items: bytes,
    syntax: Syntax = EXPLICIT,
    undefined: bool = False,
    vr: str = "SQ",
    inner: Syntax | None = None,
) -> bytes:
    """Write a sequence of items of these contents, each with a delimiter where the sequence has one."""
    content = b"".join(item(each, inner or syntax, undefined=undefined) for each in items)
    if not undefined:
        return element(tag, vr, content, syntax)
    return element(tag, vr, content, syntax, UNDEFINED) + delimiter(0xFFFEE0DD, inner or syntax)


def nested(levels: int, tag: int = 0x00081140, leaf: bytes = b"", *, undefined: bool = True) -> bytes:
    """Put sequences into each other, `leaf` into the innermost."""
    for _ in range(levels):
        leaf = sequence(tag, leaf, undefined=undefined)
    return leaf


def uids(syntax: Syntax = EXPLICIT, number: int = 1) -> list[bytes]:
    """Write the three UIDs of an instance, SOP Instance UID first."""
    return [element(tag, "UI", f"1.2.{tag & 0xFF}.{number}", syntax) for tag in (SOP, STUDY, SERIES)]


def ordered(elements: list[bytes], syntax: Syntax = EXPLICIT) -> list[bytes]:
    return sorted(elements, key=lambda each: (*struct.unpack_from(f"{syntax.order}HH", each),))


def dataset(*elements: bytes, syntax: Syntax = EXPLICIT) -> bytes:
    """Order the elements by tag, the UIDs among them."""
    return b"".join(ordered([*elements, *uids(syntax)], syntax))


def meta(syntax_uid: str | None = EXPLICIT.uid, *more: bytes, group_length: int | None = None) -> bytes:
    elements = [element(0x00020001, "OB", b"\0\1")]
    if syntax_uid is not None:
        elements.append(element(0x00020010, "UI", syntax_uid))
    content = b"".join(sorted([*elements, *more]))
    return numbers(0x00020000, "UL", "L", len(content) if group_length is None else group_length) + content


def part10(content: bytes, syntax: Syntax = EXPLICIT, *more_meta: bytes) -> bytes:
    """Write a file: preamble, File Meta Information, the data set."""
    if syntax in (DEFLATED, JPIP_DEFLATED):
        content = deflated(content)
    return bytes(128) + b"DICM" + meta(syntax.uid, *more_meta) + content


def deflated(content: bytes) -> bytes:
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return deflater.compress(content) + deflater.flush()


def instance(*elements: bytes, syntax: Syntax = EXPLICIT) -> bytes:
    """Write a whole file with these elements and the UIDs."""
    return part10(dataset(*elements, syntax=syntax), syntax)


def read(
    data: bytes, record_type: type[Record] = Record, *, claims: bool = True, max_element_size: int = 1 << 20
) -> Row:
    return read_row(
        io.BytesIO(data), len(data), claims=claims, record_type=record_type, max_element_size=max_element_size
    )


def row(*elements: bytes, syntax: Syntax = EXPLICIT) -> Row:
    return read(instance(*elements, syntax=syntax))


def other(tag: int, *data: str) -> dict[str, object]:
    return {"Tag": f"Tag_{tag:08X}", "Data": list(data)}


def reasons(found: Row) -> dict[str, str]:
    return {notice.tag: notice.reason for notice in found.notices}


def dropped(found: Row) -> list[Any]:
    """Give the names in DroppedTags, whichever type of record they are of."""
    entries: Any = found.values.get("DroppedTags", [])
    return [entry["TagName"] if isinstance(entry, dict) else entry for entry in entries]
