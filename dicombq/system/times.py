"""The time as the API writes it."""

from __future__ import annotations

import datetime as dt

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)
_MICROSECOND = dt.timedelta(microseconds=1)


def now() -> str:
    """Tell the time: RFC 3339, UTC, microseconds."""
    return _text(dt.datetime.now(dt.timezone.utc))


def microseconds(moment: dt.datetime) -> int:
    """Count the microseconds from 1970 to an aware moment, exactly."""
    return (moment - _EPOCH) // _MICROSECOND


def from_microseconds(count: int) -> str:
    """Write a moment that `microseconds` counted as `now` does."""
    return _text(_EPOCH + count * _MICROSECOND)


def to_microseconds(text: str) -> int:
    """Count the microseconds from 1970 to a moment that `now` wrote."""
    return microseconds(dt.datetime.fromisoformat(text.removesuffix("Z") + "+00:00"))


def _text(moment: dt.datetime) -> str:
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
