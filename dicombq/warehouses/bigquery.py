"""BigQuery as a warehouse, through the official client."""

from __future__ import annotations

import concurrent.futures
import contextlib
import copy
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from google.api_core import exceptions as api
from google.api_core.exceptions import GoogleAPICallError, RetryError
from google.api_core.retry import Retry
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.cloud.bigquery.retry import DEFAULT_RETRY
from isal import igzip

from dicombq.errors import (
    FailedPrecondition,
    NotAWarehouse,
    NotFound,
)
from dicombq.names import BigQueryTable
from dicombq.system.files import open_private
from dicombq.system.google_errors import NETWORK
from dicombq.system.times import microseconds
from dicombq.table.descriptions import described
from dicombq.table.disposition import Action, Disposition, TableState, decide
from dicombq.table.fields import Field, Merge, from_bigquery, to_bigquery
from dicombq.table.mapping import SOURCE_DICOM_STORE, UID_COLUMNS
from dicombq.table.view import view_name, view_query
from dicombq.warehouses.base import (
    IDENTITY,
    Check,
    Load,
    LoadResult,
    Parameter,
    QueryResult,
    Table,
    TableRow,
    check_key,
    fields_after,
    is_gone,
)
from dicombq.warehouses.bigquery_errors import errors, job_error, unsettled
from dicombq.warehouses.bigquery_inserts import insert
from dicombq.warehouses.bigquery_limits import check_sources

PATIENCE = 300.0
"""Seconds for which temporary failures of one call are retried."""

MAX_GZIP_SIZE = 4_000_000_000
"""Bytes of a compressed file in a load job; larger loads are sent uncompressed."""

_SEARCH = 30.0
"""Seconds for which a job is looked for that may have been made: it is not found everywhere at once."""

_UPLOAD_RETRIES = 6
_CANCEL_TIMEOUT = 0.7  # seconds
_CANCEL_POLL = 0.1  # seconds
_NO_RETRY = DEFAULT_RETRY.with_timeout(0)
_WRITE_DISPOSITIONS = {Disposition.WRITE_TRUNCATE: "WRITE_TRUNCATE", Disposition.WRITE_APPEND: "WRITE_APPEND"}
"""Whatever the table's state was when it was looked at: the load checks it again."""


class BigQueryWarehouse:
    """Tables of BigQuery; jobs run in the project that is given.

    Parameters
    ----------
    project
        Pays for the jobs.
    patience
        Seconds for which temporary failures of one call are retried.
    """

    def __init__(self, project: str, patience: float | None = None) -> None:
        self._project = project
        self._patience = patience = PATIENCE if patience is None else patience
        self._retry = DEFAULT_RETRY.with_timeout(patience)
        self._job_retry = self._retry.with_predicate(_may_appear)
        self._search_retry = self._job_retry.with_timeout(min(patience, _SEARCH))
        self._cached: bigquery.Client | None = None

    @property
    def _client(self) -> bigquery.Client:
        if self._cached is None:
            emulated = os.environ.get("BIGQUERY_EMULATOR_HOST")
            credentials = AnonymousCredentials() if emulated else None  # type: ignore[no-untyped-call]  # google-auth has no types
            self._cached = bigquery.Client(self._project, credentials=credentials)
        return self._cached

    def datasets(self) -> list[str]:
        """Name the datasets of the project."""
        with errors(f"the project [{self._project}]"):
            return sorted(dataset.dataset_id for dataset in self._client.list_datasets(retry=self._retry))

    def tables(self, dataset: str) -> list[str]:
        """Name the tables of one of the datasets."""
        with errors(f"the dataset [{self._project}.{dataset}]"):
            found = self._client.list_tables(f"{self._project}.{dataset}", retry=self._retry)
            return sorted(table.table_id for table in found if table.table_type == "TABLE")

    def state(self, table: BigQueryTable) -> Table:
        """Look at a destination.

        Raises
        ------
        NotFound
            Where the dataset does not exist.
        """
        with errors(f"the table [{table}]"):
            found = self._destination(table)
            if found is None:
                self._location(table)
                return Table(TableState.MISSING)
            return _table(found)

    def load(self, table: BigQueryTable, load: Load) -> LoadResult:
        """Load rows by one load job; one of the same ID that exists already is the load, unless it ends in failure."""
        with errors(f"the table [{table}]"):
            location = self._location(table)
            job_id, job = self._last_attempt(load.job_id, location)
            if job is None:
                job = self._run(table, load, job_id, location)
            try:
                with self._passing_on_interrupts(job_id, location):
                    found = self._get_table(table)
            except (GoogleAPICallError, RetryError, *NETWORK):
                raise unsettled(job_id) from None
            if found is None:
                raise is_gone(table)
            return LoadResult(int(job.output_rows or 0), from_bigquery(_schema(found)), _rows(found))

    def insert(self, table: BigQueryTable, load: Load) -> LoadResult:
        """Append rows by insertAll: they are there within seconds, and come once as far as BigQuery remembers them."""
        with errors(f"the table [{table}]"):
            found = self._destination(table)
            if found is None:
                raise NotFound(f"there is no table [{table}]")
            result = fields_after(from_bigquery(_schema(found)), load, Action.APPEND)
            if result.added:
                self._grow(table, _extended(_schema(found), result))
            rows, refused = insert(self._client, _id(table), load.files, load.job_id, load.fields, self._retry)
            return LoadResult(rows, result.fields, _rows(found), refused=refused)

    def change(self, table: BigQueryTable, load: Load) -> LoadResult:
        """Replace and delete rows by the Storage Write API: they are there within seconds."""
        from dicombq.warehouses.bigquery_changes import change, create  # noqa: PLC0415 - few tables need it

        with errors(f"the table [{table}]"):
            self._location(table)
            found = self._destination(table) or create(self._client, _id(table), load.fields, self._retry)
            check_key(table, _table(found), load.fields)
            result = fields_after(from_bigquery(_schema(found)), load, Action.APPEND)
            if result.added:
                self._grow(table, _extended(_schema(found), result))
            rows, refused = change(table, load, self._retry)
            return LoadResult(rows, result.fields, _rows(found), refused=refused)

    def instances(self, table: BigQueryTable) -> Iterator[TableRow]:
        """Stream which instances the rows of a table are, without a query."""
        with errors(f"the table [{table}]"):
            found = self._destination(table)
            if found is None:
                return
            selected = [field for field in found.schema if field.name in IDENTITY]
            for row in self._client.list_rows(found, selected_fields=selected, retry=self._retry):
                uids = (row.get(UID_COLUMNS[0]) or "", row.get(UID_COLUMNS[1]) or "", row.get(UID_COLUMNS[2]) or "")
                updated = row.get("LastUpdated")
                yield TableRow(
                    uids,
                    None if updated is None else microseconds(updated),
                    row.get("Type") == "DELETE",
                    row.get(SOURCE_DICOM_STORE.name),
                )

    def replace_view(self, table: BigQueryTable, fields: Sequence[Field]) -> None:
        """Make the generated view, or make it anew."""
        name = BigQueryTable(table.project, table.dataset, view_name(table.table))
        view = bigquery.Table(_id(name))
        view.view_query = view_query(f"`{_id(table)}`", fields, lambda column: f"`{column}`")
        with errors(f"the view [{name}]"):
            try:
                self._client.create_table(view, retry=self._retry)
            except api.Conflict:
                existing = self._get_table(name)
                if existing is not None and existing.table_type != "VIEW":
                    raise FailedPrecondition(
                        f"[{name}] is a {existing.table_type}, so that the generated view cannot have its name"
                    ) from None
                self._client.update_table(view, ["view_query"], retry=self._retry)

    def fields(self, table: BigQueryTable) -> tuple[Field, ...]:
        """Give the columns of a table or a view, with their descriptions."""
        with errors(f"the table [{table}]"):
            return from_bigquery(_schema(self._client.get_table(_id(table), retry=self._retry)))

    def checks(self, table: BigQueryTable | None) -> list[Check]:
        """List what can be looked at before an export."""
        from dicombq.warehouses.bigquery_checks import MOST_PATIENCE, checks  # noqa: PLC0415 - only `doctor` needs it

        hasty = BigQueryWarehouse(self._project, min(self._patience, MOST_PATIENCE))
        return checks(hasty, lambda: hasty._client, self._project, table)

    def query(
        self, sql: str, parameters: Sequence[Parameter] = (), maximum_bytes_billed: int | None = None
    ) -> QueryResult:
        """Answer a query in GoogleSQL."""
        from dicombq.warehouses import bigquery_queries  # noqa: PLC0415 - exports do not need sqlglot

        return bigquery_queries.query(lambda: self._client, self._retry, sql, parameters, maximum_bytes_billed)

    def estimate(self, sql: str, parameters: Sequence[Parameter] = ()) -> int:
        """Check a query without running it; give the bytes that it would be billed for."""
        from dicombq.warehouses import bigquery_queries  # noqa: PLC0415 - exports do not need sqlglot

        return bigquery_queries.estimate(lambda: self._client, self._retry, sql, parameters)

    def _get_table(self, table: BigQueryTable) -> bigquery.Table | None:
        try:
            return self._client.get_table(_id(table), retry=self._retry)
        except api.NotFound:
            return None

    def _destination(self, table: BigQueryTable) -> bigquery.Table | None:
        found = self._get_table(table)
        if found is not None and found.table_type != "TABLE":
            raise NotAWarehouse(f"[{table}] is a {found.table_type}", "Name a table in --bq-table.")
        return found

    def _location(self, table: BigQueryTable) -> str | None:
        dataset = f"{table.project}.{table.dataset}"
        try:
            location: str | None = self._client.get_dataset(dataset, retry=self._retry).location
        except api.NotFound:
            raise NotFound(
                f"there is no BigQuery dataset [{dataset}]",
                f"Make it: bq mk --dataset {table.project}:{table.dataset}",
            ) from None
        return location

    def _last_attempt(self, job_id: str, location: str | None) -> tuple[str, bigquery.LoadJob | None]:
        """Give the first job that succeeds, or a name for one: a failed job's name cannot be used again."""
        name, attempt = job_id, 1
        while job := self._find_job(name, location, self._retry):
            self._wait(job)
            if not job.error_result:
                break
            attempt += 1
            name = f"{job_id}_{attempt}"
        return name, job

    def _find_job(self, job_id: str, location: str | None, retry: Retry) -> bigquery.LoadJob | None:
        try:
            with self._passing_on_interrupts(job_id, location):
                job = self._client.get_job(job_id, location=location, retry=retry)
        except api.NotFound:
            return None
        return job if isinstance(job, bigquery.LoadJob) else None

    def _run(self, table: BigQueryTable, load: Load, job_id: str, location: str | None) -> bigquery.LoadJob:
        """Run a new job to its end."""
        job = self._start(table, load, job_id, location)
        self._wait(job)
        if job.error_result:
            reason = job.error_result.get("reason", "")
            raise job_error(reason, f"{self._project}:{job_id}", table, load.disposition)
        return job

    def _start(self, table: BigQueryTable, load: Load, job_id: str, location: str | None) -> bigquery.LoadJob:
        found = self._destination(table)
        state = _table_state(found) if found else TableState.MISSING
        action = decide(str(table), state, load.disposition)
        result = fields_after(from_bigquery(_schema(found)) if found else (), load, action)
        schema = to_bigquery(described(load.fields))
        config = bigquery.LoadJobConfig(
            source_format="NEWLINE_DELIMITED_JSON",
            write_disposition=_WRITE_DISPOSITIONS.get(load.disposition, "WRITE_EMPTY"),
            create_disposition="CREATE_IF_NEEDED",
        )
        if found is not None and action in (Action.LOAD, Action.APPEND):
            schema = _extended(_schema(found), result)
            if result.added and action is Action.APPEND:
                config.schema_update_options = ["ALLOW_FIELD_ADDITION"]
            elif result.added:  # a load job adds columns only when it appends
                self._grow(table, schema)
        config.schema = [bigquery.SchemaField.from_api_repr(field) for field in schema]
        return self._insert(table, load, config, job_id, location)

    def _grow(self, table: BigQueryTable, schema: list[dict[str, Any]]) -> None:
        grown = bigquery.Table(_id(table), [bigquery.SchemaField.from_api_repr(field) for field in schema])
        self._client.update_table(grown, ["schema"], retry=self._retry)  # no ETag: it may be sent twice

    def _insert(
        self, table: BigQueryTable, load: Load, config: bigquery.LoadJobConfig, job_id: str, location: str | None
    ) -> bigquery.LoadJob:
        """Make a job, of what lies in a bucket or of what is sent with it."""
        named: Any = {"job_id": job_id, "location": location, "project": self._project, "job_config": config}
        body = load.scratch / "upload"
        try:
            if load.uris:
                check_sources(table, len(load.uris))
                with self._passing_on_interrupts(job_id, location):
                    return self._client.load_table_from_uri(list(load.uris), _id(table), retry=self._retry, **named)
            size = _join(load.files, body)
            with body.open("rb") as file, self._passing_on_interrupts(job_id, location):
                return self._client.load_table_from_file(
                    file, _id(table), size=size, num_retries=_UPLOAD_RETRIES, **named
                )
        except (GoogleAPICallError, RetryError, *NETWORK) as error:
            # the answer may be lost, not the job
            refused = isinstance(error, api.ClientError) and not isinstance(error, api.Conflict | api.TooManyRequests)
            retry = self._retry if refused else self._search_retry
            with contextlib.suppress(GoogleAPICallError, RetryError, *NETWORK):
                if job := self._find_job(job_id, location, retry):
                    return job
            if refused:
                raise
            raise unsettled(job_id) from None
        finally:
            body.unlink(missing_ok=True)

    def _wait(self, job: bigquery.LoadJob) -> None:
        """Wait until a job has ended, well or with its `error_result`."""
        try:
            with self._passing_on_interrupts(str(job.job_id), job.location):
                job.result(retry=self._job_retry)
        except (GoogleAPICallError, RetryError, concurrent.futures.TimeoutError, *NETWORK):
            if job.state != "DONE" or not job.error_result:
                raise unsettled(str(job.job_id)) from None

    @contextlib.contextmanager
    def _passing_on_interrupts(self, job_id: str, location: str | None) -> Iterator[None]:
        """Cancel the job on an interrupt, whose cause is `unsettled` unless it is known that no row comes."""
        try:
            yield
        except KeyboardInterrupt as interrupt:
            self._cached = None  # an interrupt may leave the lock of a client's connections locked
            if self._is_cancelled(job_id, location):
                raise
            raise interrupt from unsettled(job_id)

    def _is_cancelled(self, job_id: str, location: str | None) -> bool:
        """Cancel a job; tell whether it has ended without a row."""
        asked: dict[str, Any] = {"location": location, "retry": _NO_RETRY, "timeout": _CANCEL_TIMEOUT}
        deadline = time.monotonic() + _CANCEL_TIMEOUT
        with contextlib.suppress(GoogleAPICallError, RetryError, *NETWORK):
            job: Any = self._client.cancel_job(job_id, **asked)
            while job.state != "DONE" and time.monotonic() < deadline:
                time.sleep(_CANCEL_POLL)
                job = self._client.get_job(job_id, **asked)
            return job.state == "DONE" and bool(job.error_result)
        return False


def _may_appear(error: Exception) -> bool:
    """Tell whether to ask for a job again: one that was just made is not found everywhere at once."""
    return isinstance(error, api.NotFound) or bool(DEFAULT_RETRY._predicate(error))  # noqa: SLF001 - the client has no public name for it


def _id(table: BigQueryTable) -> str:
    return f"{table.project}.{table.dataset}.{table.table}"


def _schema(table: bigquery.Table) -> list[dict[str, Any]]:
    return [field.to_api_repr() for field in table.schema]


def _table_state(table: bigquery.Table) -> TableState:
    return TableState.ROWS if _rows(table) else TableState.EMPTY


def _table(found: bigquery.Table) -> Table:
    key = found.table_constraints.primary_key if found.table_constraints else None
    return Table(_table_state(found), from_bigquery(_schema(found)), _rows(found), tuple(key.columns) if key else ())


def _rows(table: bigquery.Table) -> int:
    buffered = table.streaming_buffer.estimated_rows if table.streaming_buffer else 0
    return int(table.num_rows or 0) + int(buffered or 0)


def _extended(schema: list[dict[str, Any]], result: Merge) -> list[dict[str, Any]]:
    """Add fields to a table's schema, and leave the rest of it (descriptions, policy tags) as it is."""
    extended = copy.deepcopy(schema)
    for above, added in result.added:
        siblings = extended
        for record in above:
            siblings = next(field for field in siblings if field["name"].lower() == record.name.lower())["fields"]
        siblings.extend(to_bigquery(described([added])))
    return extended


def _join(files: Sequence[Path], body: Path) -> int:
    """Join staged files into one: a single gzip member, for BigQuery documents no several."""
    compress = sum(file.stat().st_size for file in files) < MAX_GZIP_SIZE
    with open_private(body) as raw:
        opened: Any = igzip.IGzipFile("", "wb", fileobj=raw) if compress and files else raw
        with opened as out:
            for file in files:
                with igzip.open(file) as staged:
                    shutil.copyfileobj(staged, out, 1 << 20)
    return body.stat().st_size
