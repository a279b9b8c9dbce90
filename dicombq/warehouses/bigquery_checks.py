"""What an export to BigQuery needs, looked at before it."""

from __future__ import annotations

import datetime as dt
import email.utils
import os
from collections.abc import Callable
from typing import Any

import google.auth
import requests
from google.cloud import bigquery
from google.cloud.bigquery.retry import DEFAULT_RETRY

from dicombq.errors import Failed, NotPermitted, Temporary
from dicombq.names import BigQueryTable
from dicombq.system.google_errors import google_errors
from dicombq.table.disposition import TableState
from dicombq.warehouses.base import Check, Table, Warehouse, table_text

LOADS_PER_DAY = 1500
"""Load jobs that BigQuery allows for a table in a day, failed ones counted."""

_SERVER = "https://bigquery.googleapis.com"
_MOST_CLOCK_SKEW = 300.0
"""Seconds by which a clock may be wrong: Google takes no token that is older or not yet valid."""

_Client = Callable[[], bigquery.Client]
"""Makes it where it is asked, for there may be no credentials."""

MOST_PATIENCE = 20.0
"""Seconds for which a check is tried again."""

_RETRY = DEFAULT_RETRY.with_timeout(MOST_PATIENCE)
_WRITING = ["bigquery.tables.get", "bigquery.tables.getData", "bigquery.tables.updateData", "bigquery.tables.update"]
_ROLES = "Grant roles/bigquery.dataEditor on the dataset"


def checks(warehouse: Warehouse[Any], client: _Client, project: str, table: BigQueryTable | None) -> list[Check]:
    """List the checks; each asks the server when it is looked at."""
    of_project = [
        Check("clock", _clock),
        Check("credentials", _credentials),
        Check("jobs", lambda: _jobs(warehouse, project)),
    ]
    if table is None:
        return of_project
    return [
        *of_project,
        Check("dataset", lambda: _dataset(client, table)),
        Check("table", lambda: table_text(warehouse.state(table))),
        Check("roles", lambda: _roles(client, table, warehouse.state(table))),
        Check("quota", lambda: _quota(client, table)),
    ]


def _clock() -> str:
    server = os.environ.get("BIGQUERY_EMULATOR_HOST", _SERVER)
    try:
        said = requests.head(server, timeout=MOST_PATIENCE).headers.get("Date", "")
        offset = (dt.datetime.now(dt.timezone.utc) - email.utils.parsedate_to_datetime(said)).total_seconds()
    except (requests.RequestException, ValueError, TypeError):
        raise Temporary(f"[{server}] does not answer", "Check the network: curl -I " + server) from None
    if abs(offset) > _MOST_CLOCK_SKEW:
        raise Failed(f"this machine's clock is {offset:+,.0f} seconds off", "Set it: sudo timedatectl set-ntp true")
    return f"{abs(offset):.0f} seconds off"


def _credentials() -> str:
    if host := os.environ.get("BIGQUERY_EMULATOR_HOST"):
        return f"none are needed for {host}"
    with google_errors("BigQuery", "credentials", ""):
        credentials, _project = google.auth.default()
    return str(getattr(credentials, "service_account_email", "") or "a user's, of gcloud")


def _jobs(warehouse: Warehouse[Any], project: str) -> str:
    warehouse.estimate("SELECT 1")
    return f"may be run in {project}"


def _dataset(client: _Client, table: BigQueryTable) -> str:
    with google_errors("BigQuery", f"the dataset [{table.project}.{table.dataset}]", f"{_ROLES}."):
        return f"in {client().get_dataset(f'{table.project}.{table.dataset}', retry=_RETRY).location}"


def _roles(client: _Client, table: BigQueryTable, state: Table) -> str:
    if state.state is TableState.MISSING:
        return "can be told when the table is there"
    name = f"{table.project}.{table.dataset}.{table.table}"
    with google_errors("BigQuery", f"the table [{table}]", f"{_ROLES}."):
        held = client().test_iam_permissions(name, _WRITING, retry=_RETRY).get("permissions", [])
    lacking = [permission for permission in _WRITING if permission not in held]
    if lacking:
        raise NotPermitted(
            f"{', '.join(lacking)} not granted",
            f"{_ROLES}: bq add-iam-policy-binding --member=user:YOU --role=roles/bigquery.dataEditor "
            f"{table.project}:{table.dataset}",
        )
    return "the table may be written"


def _quota(client: _Client, table: BigQueryTable) -> str:
    midnight = dt.datetime.now(dt.timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
    with google_errors("BigQuery", "the list of jobs", "Grant roles/bigquery.jobUser on the project."):
        jobs = client().list_jobs(min_creation_time=midnight, retry=_RETRY)
        loads = sum(1 for job in jobs if isinstance(job, bigquery.LoadJob) and _is_for(job, table))
    if loads >= LOADS_PER_DAY:
        raise Temporary(f"{loads:,} of {LOADS_PER_DAY:,} loads of a day are used", "Wait until tomorrow.")
    return f"{loads:,} of {LOADS_PER_DAY:,} loads of today used, as far as they are yours"


def _is_for(job: bigquery.LoadJob, table: BigQueryTable) -> bool:
    to = job.destination
    return bool((to.project, to.dataset_id, to.table_id) == (table.project, table.dataset, table.table))
