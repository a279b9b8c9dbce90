"""What BigQuery's client raises, and what load jobs end with, as our errors."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from dicombq.errors import (
    CancelledElsewhere,
    DicombqError,
    Failed,
    LoadUnsettled,
    NotFound,
    NotPermitted,
    TableExists,
    TableNotEmpty,
)
from dicombq.names import BigQueryTable
from dicombq.system.google_errors import TEMPORARY_REASONS, google_errors, temporary
from dicombq.table.disposition import Disposition

ROLES = "Grant roles/bigquery.dataEditor on the dataset and roles/bigquery.jobUser on the project."


def errors(what: str) -> contextlib.AbstractContextManager[None]:
    """Turn what the client raises about something into ours."""
    return google_errors("BigQuery", what, ROLES)


def unsettled(job_id: str) -> LoadUnsettled:
    """Say that a load job was sent, and nobody knows what became of it."""
    return LoadUnsettled(
        f"the load job [{job_id}] was sent, but BigQuery does not tell what became of it",
        "The rows may be there, or come yet. Resume the operation: it asks for this job first.",
    )


def job_error(reason: str, job: str, table: BigQueryTable, disposition: Disposition) -> DicombqError:
    """Turn the reason for which a load job failed into an error.

    Parameters
    ----------
    job
        The job, as ``PROJECT:ID``.
    """
    known: dict[str, Callable[[], DicombqError]] = {
        "duplicate": lambda: (TableExists if disposition is Disposition.NONE else TableNotEmpty)(
            f"the table [{table}] was made or filled by somebody else meanwhile", "It was not touched."
        ),
        "accessDenied": lambda: NotPermitted(f"BigQuery does not permit to load [{table}]", ROLES),
        "notFound": lambda: NotFound(
            f"BigQuery does not find what is to be loaded into [{table}], or its dataset",
            f"Check that the dataset and the files in --staging are there. BigQuery says which: bq show -j {job}",
        ),
        "stopped": lambda: CancelledElsewhere(f"the load job for [{table}] was cancelled"),
    }
    if reason in known:
        return known[reason]()
    if reason in TEMPORARY_REASONS:
        return temporary("BigQuery", f"the table [{table}]", reason)
    return Failed(
        f"the load job for [{table}] failed: {reason}", f"The table is as it was. BigQuery says why: bq show -j {job}"
    )
