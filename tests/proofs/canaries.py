"""Files full of values that must not be seen outside of a table, and the places where they must not be."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator
from pathlib import Path

from pydicom._dicom_dict import DicomDictionary

from tests import dicom_bytes as dicom

TEXT = "Canary"
NUMBER = 31415926
CANARIES = tuple(
    text.lower().encode()
    for text in (
        TEXT,
        str(NUMBER),
        base64.b64encode(TEXT.encode()).decode(),
        TEXT.encode().hex(),
        TEXT.encode("utf-16-le").hex(),
    )
)
"""As they stand, as numbers, and as bytes are written; looked for regardless of case."""

_TEXTS = ("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT")
_OTHERS = ("AS", "DA", "DS", "DT", "IS", "TM", "UI")
_NUMBERS = {"FD": "d", "SL": "l", "UL": "L", "SV": "q", "UV": "Q", "FL": "f"}
_BYTES = ("OB", "OW", "UN", "OF", "OD", "OL", "OV")
_UIDS = {dicom.SOP, dicom.STUDY, dicom.SERIES}
_EACH = 4


def _tags(vr: str) -> list[int]:
    """Name a few tags of the standard that have a VR."""
    found = [
        tag
        for tag, entry in DicomDictionary.items()
        if entry[0] == vr and 0x00080060 < tag < 0x7FE00000 and tag not in _UIDS and tag & 0xFFFF
    ]
    return found[:: max(1, len(found) // _EACH)][:_EACH]


def _private(vr: str, number: int, value: bytes) -> bytes:
    return dicom.element(0x00091000 + number, vr, value)


def _elements(*, fit: bool) -> Iterator[bytes]:
    """Write an element for each VR, and a private one; values that fit it, or that do not."""
    text = TEXT.encode()
    number = 0
    for vr in (*_TEXTS, *_OTHERS, *_BYTES):
        value = text if fit or vr not in _OTHERS else text * 3
        for tag in _tags(vr):
            yield dicom.element(tag, vr, value + b"\x81\x00" * (not fit and vr in _TEXTS))
        yield _private(vr, number := number + 1, value)
    for vr, code in _NUMBERS.items():
        data = struct.pack(f"<{code}", NUMBER) if fit else text[:5]
        for tag in _tags(vr):
            yield dicom.element(tag, vr, data)
        yield _private(vr, number := number + 1, data)
    inner = dicom.element(0x00100010, "PN", TEXT) + dicom.element(0x00100020, "LO", TEXT)
    yield dicom.sequence(0x00081140, inner, undefined=fit)
    yield dicom.element(0x00090010, "LO", f"{TEXT} creator")


def _unique(elements: Iterator[bytes]) -> bytes:
    by_tag = {each[:4]: each for each in elements}
    return dicom.dataset(*by_tag.values())


def fill(folder: Path) -> None:
    """Write instances that are well, broken in many ways or of values that do not fit, and other files."""
    folder.mkdir(parents=True)
    person = [dicom.element(0x00100010, "PN", f"{TEXT}^Jane"), dicom.element(0x00100020, "LO", TEXT)]
    good = dicom.part10(_unique(_elements(fit=True)))
    unfit = dicom.part10(_unique(_elements(fit=False)))
    small = dicom.instance(*person, dicom.element(0x00104000, "LT", TEXT * 10))
    files = {
        "good.dcm": good,
        "again.dcm": good,
        "unfit.dcm": unfit.replace(b"1.2.24.1", b"1.2.24.2"),
        "person.dcm": small.replace(b"1.2.24.1", b"1.2.24.3"),
        "cut.dcm": small[:-7],
        "cut_in_value.dcm": good[: good.rindex(TEXT.encode()) + 3],
        "length.dcm": small.replace(b"LT" + struct.pack("<H", len(TEXT) * 10), b"LT\xfe\xff"),
        "vr.dcm": small.replace(b"LO\x06\x00", b"ZZ\x06\x00").replace(b"1.2.24.1", b"1.2.24.4"),
        "date.dcm": small.replace(b"LO\x06\x00", b"DA\x06\x00").replace(b"1.2.24.1", b"1.2.24.5"),
        "syntax.dcm": small.replace(b"1.2.840.10008.1.2.1", b"1.2.840.10008.1.2.5").replace(b"1.2.24.1", b"1.2.24.7"),
        "no_preamble.dcm": small[132:].replace(b"1.2.24.1", b"1.2.24.6"),
        "text.dcm": TEXT.encode() * 100,
        "notes.txt": TEXT.encode() * 100,
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)


def found_in(data: bytes) -> list[bytes]:
    """Name the canaries in some bytes."""
    lower = data.lower()
    return [canary for canary in CANARIES if canary in lower]


def check_none_seen(home: Path, *texts: str) -> None:
    """Assert that no canary is in what was said, nor in HOME but for the staged rows."""
    for text in texts:
        assert found_in(text.encode()) == [], text
    for path in home.rglob("*"):
        if path.is_file() and "shards" not in path.parts:
            assert found_in(path.read_bytes()) == [], path.name
            assert found_in(str(path).encode()) == []


def staged(home: Path) -> bool:
    """Tell whether rows with canaries lie in HOME."""
    return any(path.stat().st_size for path in home.glob("operations/*/shards/*.ndjson.gz"))
