"""What one load job of BigQuery takes (https://cloud.google.com/bigquery/quotas#load_jobs)."""

from __future__ import annotations

from dicombq.errors import FailedPrecondition
from dicombq.names import BigQueryTable

MAX_SOURCES = 10_000
"""Objects that are named to a job; 10 million with wildcards, which would match those of lost attempts too."""

MAX_JOB_SIZE = 15_000_000_000_000
"""Bytes of all objects of a job, as they lie in the bucket."""

MAX_UPLOAD_SIZE = 5_000_000_000_000
"""Bytes of a file that is sent with a job, not compressed; a compressed one may have 4 GB."""


def check_sources(table: BigQueryTable, count: int) -> None:
    """Refuse more objects than a job takes.

    Raises
    ------
    FailedPrecondition
        With both figures.
    """
    if count > MAX_SOURCES:
        raise FailedPrecondition(
            f"[{table}] would be loaded from {count:,} objects; a load job of BigQuery takes {MAX_SOURCES:,}", _PARTS
        )


def check_size(table: BigQueryTable, size: int, packed: int, *, staged: bool) -> None:
    """Refuse more bytes than a job takes.

    Parameters
    ----------
    size, packed
        An estimate of the rows' bytes, and of what is left of them compressed.
    staged
        Whether they are loaded from a bucket.

    Raises
    ------
    FailedPrecondition
        With both figures.
    """
    if staged and packed > MAX_JOB_SIZE:
        raise FailedPrecondition(
            f"[{table}] would be loaded from about {packed / 1e12:,.1f} TB in a bucket; "
            f"a load job of BigQuery takes {MAX_JOB_SIZE / 1e12:,.0f} TB",
            _PARTS,
        )
    if not staged and size > MAX_UPLOAD_SIZE:
        raise FailedPrecondition(
            f"about {size / 1e12:,.1f} TB would be sent to [{table}]; "
            f"BigQuery takes {MAX_UPLOAD_SIZE / 1e12:,.0f} TB in one upload",
            "Let it load from a bucket: --staging=gs://BUCKET/FOLDER.",
        )


_PARTS = "Export a part at a time: each with a filter or of a folder, and --write-disposition=write-append."
