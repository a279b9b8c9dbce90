"""What BigQuery bills on demand (cloud.google.com/bigquery/pricing, region US)."""

from __future__ import annotations

QUERY_PRICE = 6.25
"""US dollars for a TiB that queries read; the first one of a month is free."""

STORAGE_PRICE = 0.02
"""US dollars for a GiB of active logical storage in a month; the first 10 are free. Load jobs are free."""

LEAST_BILLED = 10 << 20
"""Bytes that a query is billed for at least, unless it reads nothing."""


def query_cost(size: int) -> str:
    """Tell what a query costs that reads so many bytes, on BigQuery and on demand."""
    if not size:
        return "nothing is billed"
    billed = max(size, LEAST_BILLED)
    return f"{billed / 2**40 * QUERY_PRICE:.6f} USD on demand, at {QUERY_PRICE} USD per TiB"


def storage_cost(size: int) -> str:
    """Tell what a table of so many bytes costs in a month, on BigQuery."""
    return f"{size / 2**30 * STORAGE_PRICE:.6f} USD a month, at {STORAGE_PRICE} USD per GiB; the load is free"
