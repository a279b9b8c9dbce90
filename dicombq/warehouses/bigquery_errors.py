"""BigQuery's errors, for the person who ran a command: their kind, never a value."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator

import google.auth.exceptions
import requests.exceptions
from google.api_core import exceptions as api
from google.api_core.exceptions import GoogleAPICallError, RetryError

from dicombq.errors import (
    CancelledElsewhere,
    DicombqError,
    Failed,
    FailedPrecondition,
    LoadUnsettled,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    SqlError,
    TableExists,
    TableNotEmpty,
    Temporary,
)
from dicombq.names import BigQueryTable
from dicombq.table.disposition import Disposition

_ROLES = "Grant roles/bigquery.dataEditor on the dataset and roles/bigquery.jobUser on the project."
_TEMPORARY_REASONS = frozenset(
    {
        "backendError",
        "internalError",
        "jobBackendError",
        "jobInternalError",
        "jobRateLimitExceeded",
        "quotaExceeded",
        "rateLimitExceeded",
        "tableUnavailable",
        "timeout",
    }
)
NETWORK = (requests.exceptions.RequestException, ConnectionError, google.auth.exceptions.TransportError)
_PLACE = re.compile(r"\[\d+:\d+\]|Not found: ")


@contextlib.contextmanager
def errors(what: str) -> Iterator[None]:
    """Turn the client's errors into ours; their messages may hold values, so only their kind is told."""
    try:
        yield
    except NETWORK as error:
        raise temporary(what, f"no connection ({type(error).__name__})") from None
    except (google.auth.exceptions.GoogleAuthError, api.Unauthorized):
        raise NotAuthenticated(
            "there are no usable Google Cloud credentials",
            f"Run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS. {_ROLES}",
        ) from None
    except api.Forbidden as error:
        if first_reason(error) in _TEMPORARY_REASONS:
            raise temporary(what, "a quota is used up") from None
        raise NotPermitted(f"BigQuery does not permit to use {what}", _ROLES) from None
    except RetryError:
        raise temporary(what, "it still fails after retries") from None
    except (api.TooManyRequests, api.ServerError) as error:
        raise temporary(what, f"the server answered {error.code}") from None
    except api.NotFound:
        raise NotFound(f"BigQuery does not find {what}") from None
    except GoogleAPICallError as error:
        raise Failed(f"BigQuery refuses {what}: {first_reason(error) or error.code}") from None


def unsettled(job_id: str) -> LoadUnsettled:
    return LoadUnsettled(
        f"the load job [{job_id}] was sent, but BigQuery does not tell what became of it",
        "The rows may be there, or come yet. Resume the operation: it asks for this job first.",
    )


def temporary(what: str, why: str) -> Temporary:
    return Temporary(f"BigQuery could not be used for {what}: {why}", "Run the command again later.")


def first_reason(error: GoogleAPICallError) -> str:
    return next((str(detail.get("reason", "")) for detail in error.errors if isinstance(detail, dict)), "")


def job_error(reason: str, table: BigQueryTable, disposition: Disposition) -> DicombqError:
    errors: dict[str, Callable[[], DicombqError]] = {
        "duplicate": lambda: (TableExists if disposition is Disposition.NONE else TableNotEmpty)(
            f"the table [{table}] was made or filled by somebody else meanwhile", "It was not touched."
        ),
        "accessDenied": lambda: NotPermitted(f"BigQuery does not permit to load [{table}]", _ROLES),
        "notFound": lambda: NotFound(f"BigQuery does not find the dataset of [{table}]"),
        "stopped": lambda: CancelledElsewhere(f"the load job for [{table}] was cancelled"),
    }
    if reason in errors:
        return errors[reason]()
    if reason in _TEMPORARY_REASONS:
        return temporary(f"the table [{table}]", reason)
    return Failed(f"the load job for [{table}] failed: {reason}", "The table is as it was.")


@contextlib.contextmanager
def query_errors() -> Iterator[None]:
    with errors("the query"):
        try:
            yield
        except (api.BadRequest, api.NotFound) as error:
            if first_reason(error) == "bytesBilledLimitExceeded":
                raise FailedPrecondition(
                    "the query would be billed for more bytes than the limit allows",
                    "See how many with --dry-run; ask for fewer columns, or raise --maximum-bytes-billed.",
                ) from None
            # with a place in the query it was refused before any row was read, so it holds no patient's value
            known = _PLACE.search(error.message)
            raise SqlError(error.message.split("\n")[0] if known else "the query failed on a value") from None
