"""The load jobs of the BigQuery fake."""

from __future__ import annotations

import copy
import hashlib
import os
import re
import urllib.error
import urllib.parse
import urllib.request
import uuid
from dataclasses import dataclass, field

from tests.fakes.bigquery_rows import ROW_LIMIT, read_rows
from tests.fakes.bigquery_schema import (
    ApiError,
    Json,
    check_identifier,
    invalid,
    merge_schemas,
    normalize_schema,
)
from tests.fakes.bigquery_tables import Call, Table, TableStore, now, page

_JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,1024}")
_CREATE = frozenset(["CREATE_IF_NEEDED", "CREATE_NEVER"])
_WRITE = frozenset(["WRITE_EMPTY", "WRITE_TRUNCATE", "WRITE_APPEND"])
_UPDATES = frozenset(["ALLOW_FIELD_ADDITION", "ALLOW_FIELD_RELAXATION"])
_MISPLACED_UPDATES = (
    "Schema update options should only be specified with WRITE_APPEND disposition, or with WRITE_TRUNCATE "
    "disposition on a table partition."
)


@dataclass
class Job:
    """A load job and the bytes it has still to load."""

    project: str
    name: str
    location: str
    configuration: Json
    media: bytes
    polls: int
    forced_error: Json | None
    state: str = "RUNNING"
    error: Json | None = None
    errors: list[Json] = field(default_factory=list)
    created: str = field(default_factory=now)
    ended: str | None = None
    statistics: Json = field(default_factory=dict)

    @property
    def load(self) -> Json:
        result: Json = self.configuration["load"]
        return result

    def end(self, error: Json | None = None, details: list[Json] | None = None) -> None:
        self.state = "DONE"
        self.ended = now()
        self.media = b""
        self.error = error
        self.errors = [error, *(details or [])] if error else []

    def resource(self) -> Json:
        status: Json = {"state": self.state}
        if self.error:
            status.update(errorResult=self.error, errors=self.errors)
        statistics: Json = {"creationTime": self.created, "startTime": self.created}
        if self.ended:
            statistics.update(endTime=self.ended, load=self.statistics)
        return copy.deepcopy(
            {
                "kind": "bigquery#job",
                "etag": hashlib.sha256(f"{self.name} {self.state}".encode()).hexdigest()[:22] + "==",
                "id": f"{self.project}:{self.location}.{self.name}",
                "jobReference": {"projectId": self.project, "jobId": self.name, "location": self.location},
                "configuration": self.configuration,
                "status": status,
                "statistics": statistics,
                "user_email": "somebody@example.com",
            }
        )


class JobStore(TableStore):
    """The API methods of jobs, and the settings that say how jobs end.

    Attributes
    ----------
    job_polls
        How many calls of jobs.get a new job stays RUNNING; with 0 it is DONE in the answer to its insertion.
    job_error
        The error result that the next load ends with, instead of being carried out.
    errors_at_insert
        Whether a load whose schema or options are wrong is answered 400 when it is inserted. BigQuery does
        both; by default the job is made and fails.
    row_limit
        The bytes that a row may have.
    query_bytes
        What a query would read.
    queries
        Those that were sent.
    """

    def __init__(self) -> None:
        super().__init__()
        self.jobs: dict[tuple[str, str], Job] = {}
        self.job_polls = 0
        self.job_error: Json | None = None
        self.errors_at_insert = False
        self.row_limit = ROW_LIMIT
        self.query_bytes = 0
        self.queries: list[Json] = []

    def jobs_insert(self, call: Call) -> Json:
        body = call.resource()
        if "query" in body.get("configuration", {}):
            return self._query_job(call.params["project"], body)
        self.check_load(call.params["project"], body)
        return self.start_load(call.params["project"], body, call.media).resource()

    def jobs_get(self, call: Call) -> Json:
        job = self._job(call)
        if job.state != "DONE":
            if job.polls <= 0:
                self._run(job)
            job.polls -= 1
        return job.resource()

    def jobs_cancel(self, call: Call) -> Json:
        job = self._job(call)
        if job.state != "DONE":
            message = "Job execution was cancelled: User requested cancellation"
            job.end({"reason": "stopped", "message": message})
        return {"kind": "bigquery#jobCancelResponse", "job": job.resource()}

    def jobs_list(self, call: Call) -> Json:
        wanted = {state.strip().upper() for state in call.query.get("stateFilter", "").split(",") if state}
        items = []
        for (project, _), job in reversed(self.jobs.items()):
            if project != call.params["project"] or (wanted and job.state not in wanted):
                continue
            resource = {**job.resource(), "state": job.state}
            items.append({**resource, "errorResult": job.error} if job.error else resource)
        return page(call, items, lambda items: {"kind": "bigquery#jobList", "jobs": items})

    def _query_job(self, project: str, body: Json) -> Json:
        """Answer a dry run, and a query whose bytes are over its limit: others would have to be run."""
        configuration = body["configuration"]
        limit = configuration["query"].get("maximumBytesBilled")
        over = limit is not None and int(limit) < self.query_bytes
        if not (configuration.get("dryRun") or over):
            raise ApiError(400, "notImplemented", "This fake of BigQuery runs load jobs only.")
        self.queries.append(configuration["query"])
        status: Json = {"state": "DONE"}
        if over:
            message = f"Query exceeded limit for bytes billed: {limit}. {self.query_bytes} or higher required."
            status["errorResult"] = {"reason": "bytesBilledLimitExceeded", "message": message}
        return {
            "kind": "bigquery#job",
            "jobReference": {**body.get("jobReference", {}), "projectId": project},
            "configuration": configuration,
            "status": status,
            "statistics": {"query": {"totalBytesProcessed": str(self.query_bytes)}},
        }

    def _job(self, call: Call) -> Job:
        project, name = call.params["project"], call.params["job"]
        job = self.jobs.get((project, name))
        location = call.query.get("location")
        if job is None or (location and location.lower() != job.location.lower()):
            where = f"{location}." if location else ""
            raise ApiError(404, "notFound", f"Not found: Job {project}:{where}{name}")
        return job

    def check_load(self, project: str, body: Json) -> None:
        """Refuse a job that BigQuery would not make."""
        load = _load_of(body)
        reference = body.get("jobReference") or {}
        name = reference.get("jobId")
        if name is not None and not _JOB_ID.fullmatch(str(name)):
            raise invalid(f'Invalid job ID "{name}"')
        _check_options(load)
        destination = load.get("destinationTable") or {}
        owner, dataset_name = str(destination.get("projectId", project)), str(destination.get("datasetId"))
        dataset = self.find_dataset(owner, dataset_name)
        location = reference.get("location")
        if location and location.lower() != dataset.location.lower():
            message = f"Not found: Dataset {owner}:{dataset_name} was not found in location {location}"
            raise ApiError(404, "notFound", message)
        if (project, name) in self.jobs:
            raise ApiError(409, "duplicate", f"Already Exists: Job {project}:{dataset.location}.{name}")
        table = dataset.tables.get(check_identifier("table", destination.get("tableId")))
        if self.errors_at_insert:
            try:
                _planned_schema(load, table)
            except ApiError as error:
                if error.reason == "invalid":
                    raise

    def start_load(self, project: str, body: Json, media: bytes) -> Job:
        """Make a job that passed its check, and end it unless it is to be waited for."""
        configuration = {**copy.deepcopy(body["configuration"]), "jobType": "LOAD"}
        destination = configuration["load"]["destinationTable"]
        destination.setdefault("projectId", project)
        name = (body.get("jobReference") or {}).get("jobId") or f"job_{uuid.uuid4().hex}"
        location = self.find_dataset(destination["projectId"], destination["datasetId"]).location
        job = Job(project, name, location, configuration, media, self.job_polls, self.job_error)
        self.job_error = None
        self.jobs[project, name] = job
        if job.polls <= 0:
            self._run(job)
        return job

    def _run(self, job: Job) -> None:
        if job.forced_error is not None:
            job.end(job.forced_error)
            return
        size = len(job.media)
        try:
            rows = self._carry_out(job)
        except ApiError as error:
            job.end({"reason": error.reason, "message": error.message}, error.details)
        else:
            job.statistics = {
                "inputFiles": "1",
                "inputFileBytes": str(size),
                "outputRows": str(rows),
                "outputBytes": str(size),
                "badRecords": "0",
            }
            job.end()

    def _carry_out(self, job: Job) -> int:
        project, dataset_name, name = (
            job.load["destinationTable"][key] for key in ("projectId", "datasetId", "tableId")
        )
        dataset = self.find_dataset(project, dataset_name)
        table = dataset.tables.get(name)
        if table is None and job.load.get("createDisposition") == "CREATE_NEVER":
            raise ApiError(404, "notFound", f"Not found: Table {project}:{dataset_name}.{name}")
        schema = _planned_schema(job.load, table)
        media = [_object(uri) for uri in job.load.get("sourceUris") or []] or [job.media]
        rows = [row for body in media for row in read_rows(body, schema, self.row_limit)]
        if table is None:
            table = Table(project, dataset_name, name, {}, dataset.location)
            dataset.tables[name] = table
        table.schema = schema
        truncated = job.load.get("writeDisposition") == "WRITE_TRUNCATE"
        table.replace_rows(rows if truncated else [*table.rows, *rows])
        if truncated:
            table.settings.pop("tableConstraints", None)
        table.changed()
        return len(rows)


def _object(uri: str) -> bytes:
    """Read an object from the server that stands for Cloud Storage, as BigQuery does from Cloud Storage."""
    bucket, _, key = uri.removeprefix("gs://").partition("/")
    host = os.environ["STORAGE_EMULATOR_HOST"]
    path = f"/storage/v1/b/{bucket}/o/{urllib.parse.quote(key, safe='')}?alt=media"
    try:
        with urllib.request.urlopen(f"{host}{path}") as answer:
            data: bytes = answer.read()
            return data
    except urllib.error.HTTPError:
        raise ApiError(404, "notFound", f"Not found: URI {uri}") from None


def _load_of(body: Json) -> Json:
    configuration = body.get("configuration")
    if not isinstance(configuration, dict):
        raise invalid("Required parameter is missing: configuration")
    load = configuration.get("load")
    if not isinstance(load, dict):
        kinds = ", ".join(sorted(configuration))
        raise ApiError(400, "notImplemented", f"This fake of BigQuery runs load jobs only, not: {kinds}")
    return load


def _check_options(load: Json) -> None:
    simulated: dict[str, tuple[object, tuple[object, ...]]] = {
        "sourceFormat": (load.get("sourceFormat"), ("NEWLINE_DELIMITED_JSON",)),
        "autodetect": (load.get("autodetect"), (None, False)),
        "maxBadRecords": (int(load.get("maxBadRecords") or 0), (0,)),
        "ignoreUnknownValues": (load.get("ignoreUnknownValues"), (None, False)),
    }
    for option, (value, known) in simulated.items():
        if value not in known:
            message = f"This fake of BigQuery does not simulate a load with {option} {value!r}"
            raise ApiError(400, "notImplemented", message)
    for option, values in (("createDisposition", _CREATE), ("writeDisposition", _WRITE)):
        if load.get(option) is not None and load[option] not in values:
            raise invalid(f"Invalid value for {option}: {load[option]} is not a valid value")
    if not set(load.get("schemaUpdateOptions") or []) <= _UPDATES:
        raise invalid(f"Invalid value for schemaUpdateOptions: {load['schemaUpdateOptions']}")


def _planned_schema(load: Json, table: Table | None) -> list[Json]:
    disposition = load.get("writeDisposition") or "WRITE_APPEND"
    updates = set(load.get("schemaUpdateOptions") or [])
    if updates and disposition != "WRITE_APPEND":
        raise invalid(_MISPLACED_UPDATES)
    if table is not None and table.kind == "VIEW":
        raise invalid(f"{table.id} is not allowed for this operation because it is currently a VIEW.")
    if table is not None and table.rows and disposition == "WRITE_EMPTY":
        raise ApiError(409, "duplicate", f"Already Exists: Table {table.id}")
    old = table.schema if table is not None else []
    given = (load.get("schema") or {}).get("fields")
    new = normalize_schema(given) if given else old
    if not new:
        raise invalid("No schema specified on job or table.")
    if table is None or disposition == "WRITE_TRUNCATE":
        return new
    merged = merge_schemas(
        old,
        new,
        table.id,
        add="ALLOW_FIELD_ADDITION" in updates,
        relax="ALLOW_FIELD_RELAXATION" in updates,
        describe=False,
    )
    return normalize_schema(merged)
