"""Bytes to values by VR."""

import datetime as dt
import math
import struct
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicombq.dicom.text import DEFAULT, charset
from dicombq.dicom.values import BULK_VRS, KNOWN_VRS, Unfit, Value, as_text, parse

DETERMINED = settings(derandomize=True, max_examples=200, deadline=None)
UTC = dt.timezone.utc
CET = dt.timezone(dt.timedelta(hours=1))


def parsed(vr: str, data: bytes, *, little_endian: bool = True, terms: bytes = b"ISO_IR 100") -> list[Value]:
    return parse(vr, data, little_endian, charset(terms))[0]


@pytest.mark.parametrize("vr", sorted(KNOWN_VRS - BULK_VRS - {"SQ"}))
def test_no_bytes_are_no_values(vr: str) -> None:
    assert parse(vr, b"", True, DEFAULT) == ([], False)


@pytest.mark.parametrize("vr", ["AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "SH", "TM", "UI"])
def test_leading_and_trailing_padding_goes_from_each_value(vr: str) -> None:
    assert parsed(vr, b"  a b \\ c \0") == ["a b", "c"]


@pytest.mark.parametrize("vr", ["LT", "ST", "UR", "UT"])
def test_long_text_is_one_value_whose_leading_spaces_count(vr: str) -> None:
    assert parsed(vr, b"  a\\b  ") == ["  a\\b"]


@pytest.mark.parametrize("vr", ["PN", "UC"])
def test_names_and_unlimited_characters_are_many_values_whose_leading_spaces_count(vr: str) -> None:
    assert parsed(vr, b"  a \\ b \0") == ["  a", " b"]


def test_a_uid_loses_its_nul() -> None:
    assert parsed("UI", b"1.2.3\0") == ["1.2.3"]
    assert parsed("UI", b"1.2.3\0\\1.2.4\0\0") == ["1.2.3", "1.2.4"]


def test_empty_values_keep_their_positions() -> None:
    assert parsed("CS", b"\\A\\\\B\\") == ["", "A", "", "B", ""]
    assert parsed("LO", b"  ") == [""]


def test_tabs_and_line_ends_are_no_padding() -> None:
    assert parsed("LT", b"\ta\r\n") == ["\ta\r\n"]


@pytest.mark.parametrize("vr", ["LO", "LT", "PN", "SH", "ST", "UC", "UT"])
def test_the_character_set_counts_for_these(vr: str) -> None:
    assert parse(vr, b"\xe9", True, charset(b"ISO_IR 100")) == (["é"], False)


@pytest.mark.parametrize("vr", ["AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI", "UR"])
def test_other_text_is_of_the_default_repertoire(vr: str) -> None:
    assert parse(vr, b"\xe9", True, charset(b"ISO_IR 100")) == (["\\xe9"], True)


def test_a_nul_within_text_is_spelled_out() -> None:
    assert parse("LO", b"a\0b\0", True, DEFAULT) == (["a\\x00b"], True)


@pytest.mark.parametrize(
    ("vr", "code", "values"),
    [
        ("FL", "f", [0.5, -2.0]),
        ("FD", "d", [0.1, 1e300]),
        ("SL", "i", [-(2**31), 2**31 - 1]),
        ("SS", "h", [-(2**15), 2**15 - 1]),
        ("SV", "q", [-(2**63), 2**63 - 1]),
        ("UL", "I", [0, 2**32 - 1]),
        ("US", "H", [0, 2**16 - 1]),
        ("UV", "Q", [0, 2**64 - 1]),
    ],
)
@pytest.mark.parametrize("order", ["<", ">"])
def test_numbers_are_read_in_either_byte_order(vr: str, code: str, values: list[float], order: str) -> None:
    data = struct.pack(f"{order}2{code}", *values)
    assert parsed(vr, data, little_endian=order == "<") == values
    with pytest.raises(Unfit, match="its length is not a multiple of"):
        parsed(vr, data[:-1], little_endian=order == "<")


@pytest.mark.parametrize(("order", "little_endian"), [("<", True), (">", False)])
def test_an_attribute_tag_is_one_number(order: str, little_endian: bool) -> None:
    data = struct.pack(f"{order}4H", 0x0048, 0x021F, 0x0010, 0x0010)
    assert parsed("AT", data, little_endian=little_endian) == [4719135, 0x00100010]


@pytest.mark.parametrize("size", [1, 2, 3, 6])
def test_half_an_attribute_tag_does_not_fit(size: int) -> None:
    with pytest.raises(Unfit, match="multiple of 4"):
        parsed("AT", bytes(size))


@pytest.mark.parametrize(
    ("value", "vr", "text"),
    [
        ("text", "LO", "text"),
        (5, "US", "5"),
        (-5, "SL", "-5"),
        (0.5, "FD", "0.5"),
        (2.0, "FD", "2"),
        (0.1, "FD", "0.1"),
        (struct.unpack("<f", struct.pack("<f", 0.1))[0], "FL", "0.1"),
        (struct.unpack("<f", struct.pack("<f", 16777217.0))[0], "FL", "16777216"),
        (1e22, "FD", "1e+22"),
        (-0.0, "FD", "-0"),
        (math.nan, "FL", "NaN"),
        (math.inf, "FD", "Infinity"),
        (-math.inf, "FL", "-Infinity"),
    ],
)
def test_other_elements_have_text_and_the_shortest_numbers(value: Value, vr: str, text: str) -> None:
    assert as_text(value, vr) == text


@DETERMINED
@given(st.floats(width=32))
def test_the_text_of_a_single_float_is_exact_and_no_shorter_one_is(value: float) -> None:
    text = as_text(value, "FL")
    if math.isfinite(value):
        assert struct.pack("<f", float(text)) == struct.pack("<f", value)
        assert len(Decimal(text).normalize().as_tuple().digits) <= 9
    else:
        assert text in {"NaN", "Infinity", "-Infinity"}


@DETERMINED
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_the_text_of_a_double_is_exact(value: float) -> None:
    assert struct.pack("<d", float(as_text(value, "FD"))) == struct.pack("<d", value)
