"""What the native reader writes itself is what the walker writes, byte for byte; its memory of elements is bounded."""

import io
import math
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicombq.dicom.dictionary import effective_vr
from dicombq.dicom.values import KNOWN_VRS, NUMBER_CODES
from dicombq.rows import reader
from dicombq.rows.base import HandOver, NotAnInstance
from dicombq.rows.metadata import MetadataRecord
from dicombq.rows.record import Record
from tests import differential
from tests.dicom_bytes import BIG, EXPLICIT, Syntax, dataset, element, instance, numbers, part10, sequence
from tests.random_dicom import case

pytestmark = pytest.mark.skipif(reader.active_reader() != "native", reason="the native reader is not compiled")

BOTH = pytest.mark.parametrize("record_type", [Record, MetadataRecord])
NAME = 0x00100010
DETERMINED = settings(derandomize=True, max_examples=2000, deadline=None)

# one of each type and mode of column: a name, dates, times, texts, numbers, and what goes to OtherElements
TAGS = [
    *(0x00080020, 0x00080030, 0x0008002A, NAME, 0x00081048, 0x00080060, 0x00080008, 0x00081155, 0x0040A160, 0x00081030),
    *(0x00280010, 0x00280009, 0x00180050, 0x00200013, 0x00280030, 0x00189087, 0x00189073, 0x00200052, 0x0040A121),
    *(
        0x00189504,
        0x0014407E,
        0x00080082,
        0x00091001,
        0x00090010,
        0x00720082,
        0x00720083,
        0x00720076,
        0x00720074,
        0x0008041B,
    ),
]
TEXTS = st.text('AZ09 .^=\\\0\x1b\n\r\t\x7f"-+é', max_size=20).map(lambda text: text.encode("latin-1"))
CALENDAR = st.builds(
    lambda year, month, day, clock, tail: f"{year:04d}{month:02d}{day:02d}{clock}{tail}".encode(),
    st.sampled_from([0, 1, 1900, 2023, 2024, 9999]),
    st.integers(0, 13),
    st.integers(0, 32),
    st.sampled_from(["", "1200", "235959", "240000", "236000", "120060", "12000", "120000.5", "120000.1234567"]),
    st.sampled_from(["", " ", "+0100", "\\20240131", "."]),
)
CLOCK = st.builds(
    lambda hour, minute, second, tail: f"{hour:02d}{minute:02d}{second:02d}{tail}".encode(),
    st.integers(0, 25),
    st.integers(0, 61),
    st.integers(0, 61),
    st.sampled_from(["", ".", ".1", ".123456", ".1234567", " ", "\\12", "Z"]),
)
DECIMALS = st.from_regex(rb"[+-]?[0-9]{0,17}\.?[0-9]{0,12}( |\\1)?", fullmatch=True)


def read(by: str, data: bytes, record_type: type[Record] = Record) -> str:
    """Give a row as text, or why there is none."""
    try:
        return differential.text_of(differential.FAST[by](io.BytesIO(data), len(data), record_type=record_type))
    except HandOver as over:
        return over.reason


def check_alike(data: bytes, record_type: type[Record] = Record) -> None:
    assert read("native", data, record_type) == read("walker", data, record_type)


@DETERMINED
@given(
    tag=st.sampled_from(TAGS),
    vr=st.sampled_from(["own", *sorted(KNOWN_VRS - {"SQ"})]),
    data=st.one_of(TEXTS, CALENDAR, CLOCK, DECIMALS, st.binary(max_size=24)),
    charset=st.sampled_from(["", "ISO_IR 100", "ISO_IR 192", "\\ISO 2022 IR 87"]),
    record_type=st.sampled_from([Record, MetadataRecord]),
    syntax=st.sampled_from([EXPLICIT, BIG]),
)
def test_an_element_of_any_vr_and_column_is_written_alike(
    tag: int, vr: str, data: bytes, charset: str, record_type: type[Record], syntax: Syntax
) -> None:
    if vr == "own":
        vr = effective_vr(tag, None, "", signed=False)
    elements = element(0x00080005, "CS", charset, syntax), element(tag, vr, data, syntax)
    check_alike(instance(*elements, syntax=syntax), record_type)


@settings(derandomize=True, max_examples=1500, deadline=None)
@given(
    values=st.lists(
        st.one_of(
            st.floats(),
            st.decimals(-10_000, 10_000, places=4).map(float),
            st.decimals(-1, 1, places=9).map(float),
            st.integers(-(2**53), 2**53).map(float),
            st.floats(width=32),
        ),
        min_size=1,
        max_size=20,
    ),
    record_type=st.sampled_from([Record, MetadataRecord]),
)
def test_floats_are_written_in_their_shortest_form(values: list[float], record_type: type[Record]) -> None:
    singles = [value for value in values if abs(value) < 3e38 or not math.isfinite(value)]
    one, several = numbers(0x00189087, "FD", "d", values[0]), numbers(0x00720074, "FD", "d", *values)
    check_alike(instance(one, several, numbers(0x00720076, "FL", "f", *singles)), record_type)


@BOTH
@pytest.mark.parametrize("vr", ["SS", "US", "SL", "UL", "SV", "UV"])
def test_integers_are_written_to_their_ends(vr: str, record_type: type[Record]) -> None:
    size = struct.calcsize(f"<{NUMBER_CODES[vr]}")
    for raw in (bytes(size), b"\xff" * size, b"\x7f" + b"\xff" * (size - 1), b"\x80" + bytes(size - 1), b"\1" * size):
        for value in (raw, raw[::-1], raw * 2, raw[:-1]):
            for tag in (0x00280010, 0x00091001, 0x00189219):
                check_alike(instance(element(tag, vr, value)), record_type)
                check_alike(instance(element(tag, vr, value, BIG), syntax=BIG), record_type)


@BOTH
def test_groups_of_overlays_share_their_columns(record_type: type[Record]) -> None:
    groups = [
        element(tag | group << 16, vr, value)
        for group in (0, 2, 0x20, 0xFE)
        for tag, vr, value in (
            (0x60000010, "US", b"\5\0"),
            (0x60000040, "CS", b"G"),
            (0x60000050, "SS", b"\1\0\2\0"),
            (0x60001500, "LO", b""),
            (0x60003000, "OW", b"ab"),
        )
    ]
    check_alike(instance(*groups, element(0x00280010, "US", b"\1\0")), record_type)


def test_groups_of_overlays_around_another_column_are_handed_over() -> None:
    rows = [element(tag, "US", b"\5\0") for tag in (0x60000010, 0x60020010)]
    between = sequence(0x60011001, element(NAME, "PN", "A"))
    data = instance(rows[0], element(0x60010010, "LO", "A"), between, rows[1])
    assert read("native", data) == "repeating groups around other columns"
    found = reader.read_row(io.BytesIO(data), len(data))
    assert found.handed_over == "repeating groups around other columns"
    assert differential.text_of(replace(found, handed_over="")) == read("walker", data)


def test_rows_with_the_same_columns_share_the_set_of_them() -> None:
    first, second = (
        reader.read_row(io.BytesIO(data), len(data))
        for data in (instance(element(NAME, "PN", name)) for name in ("A", "B"))
    )
    assert first.columns is second.columns


def different(count: int, first: int = 0) -> bytes:
    """Write private elements, each another one."""
    groups = ((0x0021 + number // 0xE000 * 2, 0x1000 + number % 0xE000) for number in range(first, first + count))
    return b"".join(element(group << 16 | number, "LO", "A") for group, number in groups)


def test_what_is_known_of_elements_is_forgotten_where_it_is_much() -> None:
    plain = instance(element(NAME, "PN", "A^B"), sequence(0x00081140, element(0x00081155, "UI", "1.2")))
    for first in range(0, 120_000, 30_000):
        many = part10(dataset() + different(30_000, first))
        found = differential.FAST["native"](io.BytesIO(many), len(many))
        assert len(found.values["OtherElements"]) == 30_000
        check_alike(plain)


def test_more_different_elements_than_are_known_are_handed_over() -> None:
    data = instance(*(sequence(0x00081140 + place, different(52_000)) for place in range(0, 20, 5)))
    with pytest.raises(HandOver, match="more different elements"):
        differential.FAST["native"](io.BytesIO(data), len(data), max_element_size=1 << 30)
    check_alike(instance())


class SlowFile(io.BytesIO):
    """A file whose reads let other threads go on."""

    def read(self, size: int | None = -1) -> bytes:
        time.sleep(0)
        return super().read(size)


def test_threads_read_at_the_same_time() -> None:
    files = [case(3, number).data for number in range(400)]
    expected = [outcome(io.BytesIO(data), len(data)) for data in files]

    def run(_: int) -> list[str]:
        return [outcome(SlowFile(data), len(data)) for data in files]

    with differential.prefix(200), ThreadPoolExecutor(4) as pool:
        assert list(pool.map(run, range(4))) == [expected] * 4


def outcome(file: BinaryIO, size: int) -> str:
    try:
        return differential.text_of(differential.FAST["native"](file, size))
    except (HandOver, NotAnInstance) as answer:
        return answer.reason
