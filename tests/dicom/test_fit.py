"""Values to what a column holds."""

import datetime as dt
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicombq.dicom.text import charset
from dicombq.dicom.values import BULK_VRS, KNOWN_VRS, Unfit, Value, fit, parse, timestamp, utc_offset

DETERMINED = settings(derandomize=True, max_examples=200, deadline=None)
UTC = dt.timezone.utc
CET = dt.timezone(dt.timedelta(hours=1))


@pytest.mark.parametrize(
    ("text", "date"),
    [("20240229", "2024-02-29"), ("2024.02.29", "2024-02-29"), ("00010101", "0001-01-01"), ("99991231", "9999-12-31")],
)
def test_a_date_is_read_in_its_form_and_the_old_one(text: str, date: str) -> None:
    assert fit(text, "DA", UTC) == date


@pytest.mark.parametrize(
    ("vr", "text", "reason"),
    [
        ("DA", "tomorrow", "not a date of the form YYYYMMDD"),
        ("DA", "20230229", "a date that the calendar does not have"),
        ("DA", "00000101", "a date of the year 0"),
        ("DA", "20240101-20240131", "a range, not a date of the form YYYYMMDD"),
        ("DA", "", "an empty value among others"),
        ("TM", "235960", "a leap second, which no column holds"),
        ("TM", "240000", "a time that the clock does not have"),
        ("TM", "0800-1200", "a range, not a time of the form HHMMSS.FFFFFF"),
        ("DT", "20230229", "a date that the calendar does not have"),
        ("DT", "0000", "a date of the year 0"),
        ("DT", "20230101235960", "a leap second, which no column holds"),
        ("DT", "2023010124", "a time that the clock does not have"),
        ("DT", "20230101-20240101", "a range, not a date and time of the form YYYYMMDDHHMMSS.FFFFFF&ZZXX"),
        ("DT", "2023+1500", "an offset from UTC beyond -1200 and +1400"),
        ("DT", "00010101+0100", "a date and time that is in no year from 1 to 9999 in UTC"),
        ("US", "1e5", "a decimal number where an integer is expected"),
        ("US", "many", "not an integer"),
        ("FD", "1e999", "a number beyond the range of FLOAT"),
        ("FD", "many", "not a number"),
    ],
)
def test_a_value_that_does_not_fit_has_its_reason(vr: str, text: str, reason: str) -> None:
    with pytest.raises(Unfit) as unfit:
        fit(text, vr, dt.timezone.utc)
    assert unfit.value.reason == reason


@pytest.mark.parametrize("text", ["-0", "0", "1e5", "2.0", ".0004942"])
def test_a_number_in_text_stays_as_it_was_stored(text: str) -> None:
    assert [fit(text, vr, dt.timezone.utc) for vr in ("IS", "DS")] == [text, text]


@pytest.mark.parametrize(
    "text",
    [
        "20230229",
        "20241301",
        "20240100",
        "00000101",
        "2024",
        "202402",
        "2024-02-29",
        "2024.0229",
        "20240229-",
        "-20240229",
        "20240101-20240131",
        "2024022",
        "202402299",
        "٢٠٢٤٠٢٢٩",
        "20240229\n",
        "",
    ],
)  # fmt: skip - a list of texts
def test_what_is_no_date_does_not_fit(text: str) -> None:
    with pytest.raises(Unfit):
        fit(text, "DA", UTC)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("12", "12:00:00"),
        ("1230", "12:30:00"),
        ("123059", "12:30:59"),
        ("123059.5", "12:30:59.5"),
        ("123059.123456", "12:30:59.123456"),
        ("12:30:59", "12:30:59"),
        ("12:30:59.25", "12:30:59.25"),
        ("12:30", "12:30:00"),
        ("000000", "00:00:00"),
    ],
)
def test_a_times_missing_parts_are_zero(text: str, time: str) -> None:
    assert fit(text, "TM", UTC) == time


@pytest.mark.parametrize(
    "text",
    [
        "24",
        "1260",
        "235960",
        "1",
        "123",
        "12345",
        "12.5",
        "1230.5",
        "123059.",
        "123059.1234567",
        "12:3059",
        "1230:59",
        "10-12",
        "noon",
        "",
    ],
)  # fmt: skip - a list of texts
def test_what_is_no_time_does_not_fit(text: str) -> None:
    with pytest.raises(Unfit):
        fit(text, "TM", UTC)


@pytest.mark.parametrize(
    ("text", "zone", "moment"),
    [
        ("2024", UTC, "2024-01-01T00:00:00.000000Z"),
        ("202403", UTC, "2024-03-01T00:00:00.000000Z"),
        ("20240305", UTC, "2024-03-05T00:00:00.000000Z"),
        ("2024030512", UTC, "2024-03-05T12:00:00.000000Z"),
        ("202403051234", UTC, "2024-03-05T12:34:00.000000Z"),
        ("20240305123456", UTC, "2024-03-05T12:34:56.000000Z"),
        ("20240305123456.7", UTC, "2024-03-05T12:34:56.700000Z"),
        ("20240305123456.123456", UTC, "2024-03-05T12:34:56.123456Z"),
        ("20240305003456", CET, "2024-03-04T23:34:56.000000Z"),
        ("20240305003456+0000", CET, "2024-03-05T00:34:56.000000Z"),
        ("20240305123456-0330", CET, "2024-03-05T16:04:56.000000Z"),
        ("20240305123456.5+1400", UTC, "2024-03-04T22:34:56.500000Z"),
        ("2024+0100", UTC, "2023-12-31T23:00:00.000000Z"),
        ("0001", UTC, "0001-01-01T00:00:00.000000Z"),
    ],
)
def test_a_date_and_time_is_in_utc_by_its_own_offset_or_the_instances(
    text: str, zone: dt.timezone, moment: str
) -> None:
    assert fit(text, "DT", zone) == moment


@pytest.mark.parametrize(
    "text",
    [
        "20240230",
        "202413",
        "20240305126060",
        "20240305235960",
        "20240305123456.1234567",
        "20240305123456+1500",
        "20240305123456+0160",
        "20240305123456Z",
        "202",
        "2024-2025",
        "00010101+0100",
        "99991231235959-0100",
        "0000",
        "",
    ],
)  # fmt: skip - a list of texts
def test_what_is_no_date_and_time_does_not_fit(text: str) -> None:
    with pytest.raises(Unfit):
        fit(text, "DT", UTC)


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("+0000", 0), ("-0000", 0), ("+0100", 60), ("-0330", -210), ("+1400", 840), ("-1200", -720), ("+0545", 345)],
)
def test_an_offset_is_read(text: str, minutes: int) -> None:
    assert utc_offset(text) == dt.timezone(dt.timedelta(minutes=minutes))


@pytest.mark.parametrize("text", ["", "0100", "+01", "+1401", "-1201", "+0160", "+01:00", "CET", "+0100 "])
def test_what_is_no_offset_is_none(text: str) -> None:
    assert utc_offset(text) is None


@DETERMINED
@given(st.datetimes(min_value=dt.datetime(2, 1, 1), max_value=dt.datetime(9998, 12, 31)), st.integers(-720, 840))  # noqa: DTZ001 - the offset is the test
def test_any_moment_with_any_offset_is_that_moment_in_utc(moment: dt.datetime, minutes: int) -> None:
    sign, (hours, rest) = "-" if minutes < 0 else "+", divmod(abs(minutes), 60)
    text = f"{moment.year:04}{moment:%m%d%H%M%S.%f}{sign}{hours:02}{rest:02}"
    utc = (moment - dt.timedelta(minutes=minutes)).replace(tzinfo=UTC)
    assert fit(text, "DT", CET) == timestamp(utc)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Doe", {"Alphabetic": {"FamilyName": "Doe"}}),
        (
            "Adams^John Robert Quincy^X^Rev.^B.A. M.Div.",
            {
                "Alphabetic": {
                    "FamilyName": "Adams",
                    "GivenName": "John Robert Quincy",
                    "MiddleName": "X",
                    "NamePrefix": "Rev.",
                    "NameSuffix": "B.A. M.Div.",
                }
            },
        ),
        ("^^^Dr.^", {"Alphabetic": {"NamePrefix": "Dr."}}),
        (
            "Yamada^Tarou=山田^太郎=やまだ^たろう",
            {
                "Alphabetic": {"FamilyName": "Yamada", "GivenName": "Tarou"},
                "Ideographic": {"FamilyName": "山田", "GivenName": "太郎"},
                "Phonetic": {"FamilyName": "やまだ", "GivenName": "たろう"},
            },
        ),
        ("=山田", {"Ideographic": {"FamilyName": "山田"}}),
        ("==x", {"Phonetic": {"FamilyName": "x"}}),
    ],
)
def test_a_person_name_is_split_into_groups_and_components(text: str, name: object) -> None:
    assert fit(text, "PN", UTC) == name


@pytest.mark.parametrize("text", ["", "^^^^", "==", "^=^", "a^b^c^d^e^f", "a=b=c=d", "====", 5])
def test_a_name_without_a_component_or_with_too_many_does_not_fit(text: Value) -> None:
    with pytest.raises(Unfit):
        fit(text, "PN", UTC)


def test_a_text_is_no_tag() -> None:
    with pytest.raises(Unfit, match="a text where a tag is expected"):
        fit("00280008", "AT", UTC)


@pytest.mark.parametrize("vr", ["SL", "SS", "SV", "UL", "US", "UV", "US or SS", "US or OW", "US or SS or OW"])
@pytest.mark.parametrize(
    ("value", "number"), [(5, 5), ("5", 5), ("-5", -5), ("+05", 5), (5.0, 5), (2**63 - 1, 2**63 - 1)]
)
def test_an_integer_column_holds_what_is_whole(vr: str, value: Value, number: int) -> None:
    found = fit(value, vr, UTC)
    assert found == number
    assert type(found) is int


@pytest.mark.parametrize(
    "value",
    [2**63, -(2**63) - 1, "9" * 19, "9" * 5000, "5.0", "0x10", "", "5 6", "\u0665", 5.5, math.nan, math.inf, 1e300],
)
def test_what_is_no_integer_of_64_bits_does_not_fit(value: Value) -> None:
    with pytest.raises(Unfit, match="integer"):
        fit(value, "SV", UTC)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (0.1, 0.1),
        (5, 5.0),
        ("1.5", 1.5),
        ("-.5e3", -500.0),
        ("5.", 5.0),
        (math.nan, "NaN"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
    ],
)  # fmt: skip - a table
def test_a_float_column_holds_numbers_and_the_special_ones_by_name(value: Value, number: float | str) -> None:
    found = fit(value, "FD", UTC)
    assert found == number
    assert type(found) is type(number)


@pytest.mark.parametrize("value", ["", "NaN", "inf", "1e999", "1_0", "0x1p3", "1,5", ".", "\u0665"])
def test_text_that_is_no_finite_number_does_not_fit_a_float_column(value: str) -> None:
    with pytest.raises(Unfit, match="a number"):
        fit(value, "FL", UTC)


@pytest.mark.parametrize("vr", ["DA", "TM", "DT", "PN"])
def test_a_number_does_not_fit_where_text_is_structured(vr: str) -> None:
    with pytest.raises(Unfit, match=f"a number where {vr} is expected"):
        fit(20240101, vr, UTC)


@pytest.mark.parametrize(
    ("value", "vr", "text"), [(".0004942", "DS", ".0004942"), ("2.0", "IS", "2.0"), (5, "LO", "5"), (0.5, "DS", "0.5")]
)
def test_a_text_column_holds_text_as_stored_and_numbers_as_text(value: Value, vr: str, text: str) -> None:
    assert fit(value, vr, UTC) == text


@DETERMINED
@given(
    st.sampled_from(sorted(KNOWN_VRS - BULK_VRS - {"SQ"})),
    st.sampled_from(sorted((KNOWN_VRS - BULK_VRS - {"SQ"}) | {"US or SS"})),
    st.binary(max_size=64),
)
def test_any_bytes_fit_or_are_unfit_for_a_reason_without_them(vr: str, column_vr: str, data: bytes) -> None:
    reason = ""
    try:
        for value in parse(vr, data, True, charset(b"ISO_IR 192"))[0]:
            fit(value, column_vr, UTC)
    except Unfit as unfit:
        reason = unfit.reason
    known = (
        "its length is not a multiple of",
        "not a date",
        "not a time",
        "not a number",
        "not an integer",
        "a number",
        "a decimal number",
        "a date",
        "a time",
        "a range",
        "a text where a tag",
        "a leap second",
        "an empty value among others",
        "an integer beyond",
        "an offset from UTC beyond",
        "more component groups or components",
        "a PN without any component",
    )
    assert not reason or reason.startswith(known)
