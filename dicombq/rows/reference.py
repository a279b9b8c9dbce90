"""The row of an instance, read through pydicom: the oracle of the tests and the fallback of the fast path.

`dicombq.rows.elements` finds the elements; their bytes are converted by `dicombq.dicom.values`, so that no
value reaches pydicom's warnings.
"""

from __future__ import annotations

import datetime as dt
import io
import logging
import struct
import warnings
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, TypeAlias, cast

from pydicom.dataelem import DataElement, RawDataElement

from dicombq.dicom import tags
from dicombq.dicom.dictionary import effective_vr, is_private, is_private_creator, lookup, private_block
from dicombq.dicom.text import DEFAULT, Charset, charset
from dicombq.dicom.values import parse, utc_offset
from dicombq.rows import part10
from dicombq.rows.base import NotAnInstance, Row, Unreadable
from dicombq.rows.elements import AGAIN, BoundedFile, Raw, raw_elements, read_item
from dicombq.rows.part10 import Encoding
from dicombq.rows.record import Instance, Record
from dicombq.table.mapping import MAX_ELEMENT_SIZE, column

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

MAX_ELEMENTS = 100_000
"""Elements of a data set, those in its sequences not counted."""

_TOO_DEEP = "sequences are nested too deeply to be read"

Elements: TypeAlias = dict[int, Raw]


def read_row(
    file: BinaryIO,
    size: int,
    *,
    claims: bool = True,
    record_type: type[Record] = Record,
    max_element_size: int = MAX_ELEMENT_SIZE,
) -> Row:
    """Read an instance's row.

    Parameters
    ----------
    file
        The instance, at its start, seekable.
    size
        Its bytes.
    claims
        Whether its name says that it is DICOM: then content that is not is an error.
    record_type
        What the elements are put into: `Record`, or `MetadataRecord` for ``--schema=json``.
    max_element_size
        Bytes from which on an element is left out and named in DroppedTags.

    Raises
    ------
    NotAnInstance
        For a DICOMDIR, and for content that is not DICOM where the name does not say so.
    Unreadable
        Where the elements cannot be read to their end.
    OSError
        Where the file system fails.
    """
    bounded = BoundedFile(file, size)
    start = part10.dataset_start(bounded.read(part10.HEAD), size, claims=claims)
    bounded.seek(start)
    with _quiet(), _refusals():
        return _read(bounded, record_type(Instance()), max_element_size)


def add_sequence(record: Record, tag: int, data: bytes, charset: Charset, *, signed: bool) -> None:
    """Add a sequence that is stored as UN: with Implicit VR Little Endian (PS3.5 6.2.2).

    Parameters
    ----------
    charset, signed
        What its items inherit: Specific Character Set, and whether Pixel Representation (0028,0103) is 1.

    Raises
    ------
    Unreadable
        Where its elements cannot be read to their end.
    """
    raw = RawDataElement(cast("BaseTag", tag), "UN", len(data), data, 0, True, True)
    with _quiet(), _refusals():
        _add_sequence(record, _Value(tag, "SQ", raw, True), _Context(charset, signed))


@contextmanager
def _refusals() -> Iterator[None]:
    """Say in one sentence, without a value, why elements cannot be read."""
    try:
        yield
    except (NotAnInstance, Unreadable):
        raise
    except RecursionError:
        raise Unreadable("INVALID_ARGUMENT", _TOO_DEEP) from None
    except (OSError, EOFError, struct.error) as error:  # the last: a length of which a part is missing
        if isinstance(error, OSError) and error.errno is not None:  # the file system's, not pydicom's
            raise
        if isinstance(error.__context__, RecursionError):  # pydicom caught it
            raise Unreadable("INVALID_ARGUMENT", _TOO_DEEP) from None
        raise Unreadable("DATA_LOSS", "the data set ends in the middle of an element") from None
    except zlib.error:
        raise Unreadable("DATA_LOSS", "the deflated data set is damaged") from None
    except Exception as error:  # noqa: BLE001 - pydicom raises whatever its parts raise, often with a value in it
        raise Unreadable("INVALID_ARGUMENT", f"not readable as DICOM ({type(error).__name__})") from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep pydicom's warnings and logs away: they print values."""
    logger = logging.getLogger("pydicom")
    logger.addFilter(_nothing)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.removeFilter(_nothing)


def _nothing(_record: logging.LogRecord) -> bool:
    return False


def _read(file: BoundedFile, record: Record, max_element_size: int) -> Row:
    meta = _read_meta(file)
    syntax = _uid(meta, tags.TRANSFER_SYNTAX_UID)
    if _uid(meta, tags.MEDIA_STORAGE_SOP_CLASS_UID) == part10.DICOMDIR:
        raise NotAnInstance("a DICOMDIR")
    if syntax in part10.DEFLATED:
        inflated = part10.inflate(file.parsed())
        file = BoundedFile(inflated, inflated.seek(0, 2))
        file.goes_on = inflated.tell() == part10.MAX_INFLATED  # the rest is not inflated
        inflated.seek(0)
    position = file.tell()
    encoding = part10.detect_encoding(syntax, file.read(6))
    file.seek(position)
    file.overrun = False
    elements = _top_level(file, encoding, max_element_size)
    if tags.DIRECTORY_RECORD_SEQUENCE in elements or _uid(elements, tags.SOP_CLASS_UID) == part10.DICOMDIR:
        raise NotAnInstance("a DICOMDIR")
    if all((tag & ~AGAIN) >> 16 < tags.FIRST_GROUP for tag in elements):  # zeros read as elements of group 0000
        raise Unreadable("INVALID_ARGUMENT", "no data elements found")
    return _to_row(record, _without_big(meta, max_element_size), elements)


def _read_meta(file: BoundedFile) -> Elements:
    """Read group 0002: Explicit VR Little Endian, though some writers use Implicit VR."""
    start = file.tell()
    head = file.read(6)
    file.seek(start)
    file.overrun = False
    if head[:2] != b"\x02\x00":
        return {}
    implicit = not head[4:6].isalpha()
    generator = raw_elements(file, implicit, True, lambda tag, _vr, _length: tag >> 16 != 2)
    return {element.tag: element for element, _ in _checked(file, generator)}


def _without_big(meta: Elements, max_size: int) -> Elements:
    return {
        tag: raw._replace(value=None) if isinstance(raw, RawDataElement) and raw.length >= max_size else raw
        for tag, raw in meta.items()
    }


def _top_level(file: BoundedFile, encoding: Encoding, max_size: int) -> Elements:
    elements: Elements = {}
    number = count(1)

    def note(tag: int, _vr: str | None, _length: int) -> bool:
        if next(number) > MAX_ELEMENTS:
            raise Unreadable("OUT_OF_RANGE", f"the data set has more than {MAX_ELEMENTS:,} elements")
        file.counts = tag not in tags.PIXEL_DATA
        return False

    generator = raw_elements(file, encoding.implicit, encoding.little_endian, note, max_size - 1)
    for element, end in _checked(file, generator):
        if isinstance(element, DataElement) and end - (element.file_tell or 0) >= max_size:
            element = RawDataElement(element.tag, "SQ", max_size, None, 0, False, True)  # noqa: PLW2901 - only its size counts
        elements[element.tag] = element
        if file.overrun:
            break
    if not file.overrun and file.has_rest() and not tags.PIXEL_DATA & elements.keys():
        raise Unreadable("DATA_LOSS", "the data set ends in the middle of an element")
    return elements


def _checked(file: BoundedFile, generator: Iterator[Raw]) -> Iterator[tuple[Raw, int]]:
    """Give each element and where it ends, which is never beyond the file's end."""
    while True:
        file.at_boundary = True
        element = next(generator, None)
        if element is None:
            return
        short = isinstance(element, RawDataElement) and _is_short(element)
        file.overrun = file.overrun or short
        if file.overrun and not (file.goes_on and element.tag in tags.PIXEL_DATA):
            raise Unreadable("DATA_LOSS", f"the file ends within {_named(element.tag)}")
        yield element, file.tell()


def _named(tag: int) -> str:
    """Name an element for a reason; a tag that is not known may be four bytes of a value."""
    return f"element {tag:08X}" if lookup(tag) else "an element"


def _is_short(raw: RawDataElement) -> bool:
    return raw.length != tags.UNDEFINED_LENGTH and raw.value is not None and len(raw.value) < raw.length


def _uid(elements: Mapping[int, Raw], tag: int) -> str | None:
    raw = elements.get(tag)
    if isinstance(raw, RawDataElement) and raw.value:
        return part10.uid(raw.value)
    return None


@dataclass(frozen=True)
class _Context:
    """What an item inherits from the data set around it."""

    charset: Charset = DEFAULT
    signed: bool = False


class _Value(NamedTuple):
    """An element with its VR decided."""

    tag: int
    vr: str
    raw: Raw
    little_endian: bool


def _to_row(record: Record, meta: Elements, elements: Elements) -> Row:
    zone = elements.get(tags.TIMEZONE_OFFSET_FROM_UTC)
    if isinstance(zone, RawDataElement) and zone.value:
        record.instance.zone = utc_offset(part10.uid(zone.value)) or dt.timezone.utc
    context = _Context()
    _add_elements(record, meta.values(), context)
    _add_elements(record, elements.values(), context)
    return record.row()


def _add_elements(record: Record, elements: Iterable[Raw], context: _Context) -> None:
    ordered = sorted(elements, key=lambda element: element.tag)
    while ordered and ordered[-1].tag & AGAIN:
        record.notice(ordered.pop().tag & ~AGAIN, "stored more than once: the first counts")
    context = _own_context(record, ordered, context)
    creators: dict[int, str] = {}
    for value in _decide_vrs(ordered, context.signed, creators):
        raw = value.raw
        if isinstance(raw, RawDataElement) and _is_short(raw):
            raise Unreadable("DATA_LOSS", f"an item ends within {_named(value.tag)}")
        if isinstance(raw, RawDataElement) and raw.value is None and raw.length:
            found = column(value.tag, value.vr)
            record.drop(found.name)
        elif value.vr == "SQ":
            _add_sequence(record, value, context)
        else:
            data = raw.value if isinstance(raw, RawDataElement) else b""
            record.add(value.tag, value.vr, data or b"", value.little_endian, context.charset)


def _own_context(record: Record, elements: list[Raw], context: _Context) -> _Context:
    for raw in elements:
        if not isinstance(raw, RawDataElement) or raw.value is None:
            continue
        data = raw.value
        if raw.tag == tags.SPECIFIC_CHARACTER_SET:
            context = replace(context, charset=charset(data))
            if not context.charset.known:
                record.notice(raw.tag, "a character set that is not known")
        elif raw.tag == tags.PIXEL_REPRESENTATION and len(data) == 2:
            context = replace(context, signed=1 in data)
    return context


def _decide_vrs(elements: list[Raw], signed: bool, creators: dict[int, str]) -> Iterator[_Value]:
    for raw in elements:
        tag = int(raw.tag)
        if isinstance(raw, DataElement):
            yield _Value(tag, "SQ", raw, True)
            continue
        creator = creators.get(tag >> 8, "") if is_private(tag) else ""
        vr = effective_vr(tag, raw.VR, creator, signed)
        if vr == "UN" and raw.length == tags.UNDEFINED_LENGTH and not raw.value:
            vr = "SQ"  # without an item that tells it
        little_endian = raw.is_little_endian or raw.VR == "UN"
        if is_private_creator(tag) and raw.value:
            names, _ = parse("LO", raw.value, True, DEFAULT)
            creators[private_block(tag)] = str(names[0])
        yield _Value(tag, vr, raw, little_endian)


def _add_sequence(record: Record, value: _Value, context: _Context) -> None:
    found = record.place(value.tag, "SQ")
    if found is None:
        return
    if not _holds_items(value):
        record.notice(value.tag, "a sequence that holds something else than items")
        record.drop(found.name)
        return
    items = []
    for position, dataset in enumerate(_datasets(value)):
        item = record.item(found, position)
        _add_elements(item, dataset.values(), context)
        items.append(item)
    record.add_sequence(value.tag, found, [item.close() for item in items], used=any(item.used for item in items))


def _holds_items(value: _Value) -> bool:
    """Tell whether a value begins with an item, or is empty."""
    raw = value.raw
    if isinstance(raw, DataElement) or not raw.value:
        return True
    halves = struct.unpack_from("<HH" if value.little_endian else ">HH", raw.value.ljust(4, b"\0"))
    return halves[0] << 16 | halves[1] in (tags.ITEM, tags.SEQUENCE_DELIMITATION_ITEM)


def _datasets(value: _Value) -> list[Dataset]:
    raw = value.raw
    if isinstance(raw, DataElement):
        return list(raw.value)
    if not raw.value:
        return []
    implicit = raw.is_implicit_VR
    if raw.VR == "UN":  # Implicit VR Little Endian (PS3.5 6.2.2), though some writers leave Explicit VR in it
        implicit = part10.detect_encoding(part10.IMPLICIT_LITTLE_ENDIAN, raw.value[8:14]).implicit
    nested = BoundedFile(io.BytesIO(raw.value), len(raw.value))
    end = len(raw.value.rstrip(b"\0"))  # some writers pad a sequence
    datasets: list[Dataset] = []
    while nested.tell() < end:
        dataset = read_item(nested, implicit, value.little_endian)
        if dataset is None:
            break
        datasets.append(dataset)
    if nested.overrun:
        raise Unreadable("DATA_LOSS", f"an item ends within {_named(raw.tag)}")
    return datasets
