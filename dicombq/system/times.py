"""The time as the API writes it."""

from __future__ import annotations

import datetime as dt


def now() -> str:
    """Tell the time: RFC 3339, UTC, microseconds."""
    return dt.datetime.now(dt.timezone.utc).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
