"""The shorter way through `plain` leads where `parse` and `fit` lead, or nowhere."""

from __future__ import annotations

import datetime as dt
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicombq.dicom.plain import plain
from dicombq.dicom.text import DEFAULT
from dicombq.dicom.values import KNOWN_VRS, Unfit, as_text, fit, parse

VRS = sorted(KNOWN_VRS - {"SQ"})
TEXTS = st.text("AZ09 .^=\\\0\x1b\n-+é", max_size=20).map(lambda text: text.encode("latin-1"))
DATES = st.sampled_from(
    [b"20260230", b"20260228", b"2026.02.28 ", b"235959.5", b"12", b"240000", b"1\\2", b" A^B ", b"20260228235959.5 "]
)
FLOATS = st.sampled_from([struct.pack("<d", value) for value in (0.1, -0.0, float("nan"), float("inf"))])


def the_long_way(vr: str, column_vr: str, data: bytes, *, little_endian: bool, repeated: bool) -> Any:
    """What the values become where nothing is unfit; None where something is."""
    try:
        values, undecodable = parse(vr, data, little_endian, DEFAULT)
        if undecodable or not values or (values == [""] and column_vr):
            return None
        if not column_vr:
            return [as_text(value, vr) for value in values]
        if not repeated and len(values) > 1:
            return None
        fitted = [fit(value, column_vr, dt.timezone.utc) for value in values]
    except Unfit:
        return None
    return fitted if repeated else fitted[0]


@settings(max_examples=3000, deadline=None, derandomize=True)
@given(
    vr=st.sampled_from(VRS),
    column_vr=st.sampled_from(["", "same", *VRS]),
    data=st.one_of(TEXTS, DATES, FLOATS, st.binary(max_size=24)),
    little_endian=st.booleans(),
    repeated=st.booleans(),
)
def test_the_short_way_and_the_long_way_meet(
    vr: str, column_vr: str, data: bytes, little_endian: bool, repeated: bool
) -> None:
    column_vr = vr if column_vr == "same" else column_vr
    convert = plain(vr, column_vr, little_endian, repeated)
    short = convert(data) if convert and data else None
    if short is not None:
        expected = the_long_way(vr, column_vr, data, little_endian=little_endian, repeated=repeated)
        assert repr(short) == repr(expected)


@pytest.mark.parametrize(
    ("vr", "data", "value"),
    [
        ("LO", b" A b ", "A b"),
        ("LT", b" A\\b ", " A\\b"),
        ("UI", b"1.2\0", "1.2"),
        ("DA", b"20260228", "2026-02-28"),
        ("TM", b"0102 ", "01:02:00"),
        ("DT", b"20260228010203.5 ", "2026-02-28T01:02:03.500000Z"),
        ("DT", b"20260228010203", "2026-02-28T01:02:03.000000Z"),
        ("DT", b"20260228010203+0100", "2026-02-28T00:02:03.000000Z"),
        ("PN", b"A^B ", {"Alphabetic": {"FamilyName": "A", "GivenName": "B"}}),
        ("US", b"\x01\x00", 1),
        ("FL", struct.pack("<f", 0.5), 0.5),
    ],
)
def test_what_is_plain_takes_the_short_way(vr: str, data: bytes, value: object) -> None:
    convert = plain(vr, vr, True, False)
    assert convert
    assert convert(data) == value


@pytest.mark.parametrize(
    ("vr", "data"),
    [
        ("LO", b"A\\B"),
        ("LO", b"\xe9"),
        ("LO", b"  "),
        ("DA", b"20260230"),
        ("DT", b"20260230010203"),
        ("DT", b"20260228010260"),
        ("US", b"\x01"),
        ("FL", struct.pack("<f", float("nan"))),
        ("UV", b"\xff" * 8),
    ],
)
def test_what_is_not_plain_takes_the_long_way(vr: str, data: bytes) -> None:
    convert = plain(vr, vr, True, False)
    assert convert
    assert convert(data) is None
