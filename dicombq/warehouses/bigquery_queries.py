"""Queries on BigQuery: what they are asked with, what they answer, how they fail."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from google.api_core import exceptions as api
from google.api_core.exceptions import GoogleAPICallError
from google.api_core.retry import Retry
from google.cloud import bigquery

from dicombq.errors import FailedPrecondition, SqlError
from dicombq.warehouses.base import Parameter, QueryResult
from dicombq.warehouses.bigquery_errors import errors
from dicombq.warehouses.googlesql.names import standard_names

_PLACE = re.compile(r"\[\d+:\d+\]|Not found: ")


def query(
    client: Callable[[], bigquery.Client],
    retry: Retry,
    sql: str,
    parameters: Sequence[Parameter],
    maximum_bytes_billed: int | None,
) -> QueryResult:
    """Answer a query in GoogleSQL; other parameters and errors are those of `dicombq.warehouses.base.Warehouse`.

    Parameters
    ----------
    client
        Gives the client, or raises what keeps it from being made.
    """
    config = bigquery.QueryJobConfig(query_parameters=[_parameter(each) for each in parameters])
    if maximum_bytes_billed is not None:
        config.maximum_bytes_billed = maximum_bytes_billed
    with _query_errors():
        rows = client().query(standard_names(sql), config, retry=retry, job_retry=None).result(retry=retry)
    return QueryResult(tuple(field.name for field in rows.schema), _stream(rows))


def estimate(client: Callable[[], bigquery.Client], retry: Retry, sql: str, parameters: Sequence[Parameter]) -> int:
    """Check a query without running it; give the bytes that it would be billed for. Parameters are those of `query`."""
    config = bigquery.QueryJobConfig(
        query_parameters=[_parameter(each) for each in parameters], dry_run=True, use_query_cache=False
    )
    with _query_errors():
        job = client().query(standard_names(sql), config, retry=retry, job_retry=None)
        return int(job.total_bytes_processed or 0)


def _stream(rows: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
    with _query_errors():
        for row in rows:
            yield tuple(row.values())


@contextlib.contextmanager
def _query_errors() -> Iterator[None]:
    with errors("the query"):
        try:
            yield
        except GoogleAPICallError as error:
            if any(
                detail.get("reason") == "bytesBilledLimitExceeded" for detail in error.errors
            ):  # the client says 500
                raise FailedPrecondition(
                    "the query would be billed for more bytes than the limit allows",
                    "See how many with --dry-run; ask for fewer columns, or raise --maximum-bytes-billed.",
                ) from None
            if not isinstance(error, api.BadRequest | api.NotFound):
                raise
            # with a place in the query it was refused before any row was read, so it holds no patient's value
            known = _PLACE.search(error.message)
            raise SqlError(error.message.split("\n")[0] if known else "the query failed on a value") from None


def _parameter(given: Parameter) -> bigquery.ScalarQueryParameter | bigquery.ArrayQueryParameter:
    name = given.name or None
    if given.value is None or isinstance(given.value, str):
        return bigquery.ScalarQueryParameter(name, given.type, given.value)
    return bigquery.ArrayQueryParameter(name, given.type, list(given.value))
