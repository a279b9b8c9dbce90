"""The reader of the exports: a fast reader's row, or the reference's with the reason."""

import importlib.util
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from dicombq.rows import reader, reference, walker
from dicombq.rows.base import HandOver, NotAnInstance, Row, Unreadable
from dicombq.rows.metadata import MetadataRecord
from dicombq.rows.record import Record
from tests import differential
from tests.dicom_bytes import element, instance, numbers, sequence

BOTH = pytest.mark.parametrize("record_type", [Record, MetadataRecord])
FILE = instance(
    element(0x00080008, "CS", "ORIGINAL\\PRIMARY"),
    sequence(0x00081140, element(0x00081155, "UI", "1.2.3"), element(0x00081155, "UI", "1.2.4")),
    element(0x00080020, "DA", "nonsense"),
    element(0x00090010, "LO", "SOMEBODY"),
    element(0x00100010, "PN", "A^B=C^D"),
    element(0x00081048, "PN", "A^B\\C^D"),
    numbers(0x00280009, "AT", "H", 1, 2),
    numbers(0x60000010, "US", "H", 5),
    numbers(0x60000050, "SS", "h", 1, 1),
    element(0x00420011, "OB", b"ab"),
)


def read(data: bytes, read_row: Callable[..., Row] = reader.read_row, **how: Any) -> Row:
    return read_row(io.BytesIO(data), len(data), **how)


def hand_over(file: BinaryIO, *_: object, **__: object) -> Row:
    file.read(50)  # the reference begins at the start again
    raise HandOver("something odd")


@BOTH
def test_a_file_that_is_plain_is_not_handed_over(record_type: type[Record]) -> None:
    found = read(FILE, record_type=record_type)
    assert found.handed_over == ""
    assert differential.text_of(found) == differential.text_of(read(FILE, reference.read_row, record_type=record_type))


@BOTH
def test_what_a_fast_reader_hands_over_has_the_row_of_the_reference_and_the_reason(
    record_type: type[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "fast_reader", lambda _: hand_over)
    found = read(FILE, record_type=record_type, max_element_size=15)
    assert found.handed_over == "something odd"
    expected = read(FILE, reference.read_row, record_type=record_type, max_element_size=15)
    assert (found.values, found.columns, found.uids) == (expected.values, expected.columns, expected.uids)
    assert found.notices == expected.notices
    assert "DroppedTags" in found.values


def test_a_file_that_nobody_reads_is_refused_after_a_hand_over_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "fast_reader", lambda _: hand_over)
    with pytest.raises(Unreadable):
        read(FILE[:-1])
    with pytest.raises(NotAnInstance):
        read(b"a text", claims=False)


def test_a_defect_of_a_fast_reader_costs_no_instance(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> Row:
        raise LookupError("a value")

    monkeypatch.setattr(reader, "fast_reader", lambda _: fail)
    found = read(FILE)
    assert found.handed_over == "a defect of the fast reader (LookupError)"
    assert found.values == read(FILE, reference.read_row).values


def test_an_error_of_the_file_system_is_not_handed_over() -> None:
    class Broken(io.BytesIO):
        def read(self, _size: int | None = -1) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input/output error"):
        reader.read_row(Broken(FILE), len(FILE))


def test_a_file_that_says_it_is_longer_than_it_is_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes(FILE[:-10])
    with path.open("rb") as file, pytest.raises(Unreadable):
        reader.read_row(file, len(FILE))


def test_each_type_of_record_has_its_fast_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    class Own(Record):
        __slots__ = ()

    assert reader.fast_reader(Own) is walker.read_row
    monkeypatch.setattr(reader, "native", None)
    assert reader.fast_reader(Record) is walker.read_row
    assert reader.active_reader() == "python"


def test_the_reader_that_was_compiled_runs() -> None:
    is_compiled = importlib.util.find_spec("dicombq.rows.native") is not None
    assert reader.active_reader() == ("native" if is_compiled else "python")
    assert (reader.fast_reader(MetadataRecord) is walker.read_row) is not is_compiled
