from __future__ import annotations

import datetime as dt

import pytest

from dicombq.system.times import from_microseconds, microseconds, now, to_microseconds


@pytest.mark.parametrize(
    "text", ["2026-11-26T20:00:00.000001Z", "1969-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"]
)
def test_a_moment_comes_back_from_its_microseconds(text: str) -> None:
    assert from_microseconds(to_microseconds(text)) == text


def test_microseconds_are_counted_in_utc() -> None:
    zone = dt.timezone(dt.timedelta(hours=2))
    assert microseconds(dt.datetime(1970, 1, 1, 2, 0, 0, 7, zone)) == 7


def test_now_is_read_back() -> None:
    text = now()
    assert from_microseconds(to_microseconds(text)) == text
