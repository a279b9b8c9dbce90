"""What goes wrong with BigQuery, and what becomes of the table then."""

from __future__ import annotations

import dataclasses
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dicombq.errors import (
    CancelledElsewhere,
    DicombqError,
    Failed,
    FailedPrecondition,
    LoadUnsettled,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    TableExists,
    TableNotEmpty,
    Temporary,
)
from dicombq.names import BigQueryTable
from dicombq.table.disposition import Disposition
from dicombq.table.fields import Field
from dicombq.table.view import view_query
from dicombq.warehouses.base import LoadResult, Parameter
from dicombq.warehouses.bigquery import BigQueryWarehouse
from tests.fakes.bigquery import BigQueryFake, Fault
from tests.gcs_server import GcsBucket
from tests.tables import ID, NAME, make_load, record

TABLE = BigQueryTable("p", "d", "t")
ROLES = ("roles/bigquery.dataEditor", "roles/bigquery.jobUser")
PASSING = [Fault.RATE_LIMIT, Fault.INTERNAL, Fault.UNAVAILABLE, Fault.DROP, Fault.LOSE_ANSWER]
CANARY = "DOE^JANE"
METHODS = [
    *("tables.get", "datasets.get", "jobs.get", "tables.insert", "tables.patch"),
    *("jobs.insert", "jobs.upload.start", "jobs.upload.chunk"),
]


class Exporter:
    """The calls of an export, in their order."""

    def __init__(self, folder: Path) -> None:
        self.warehouse = BigQueryWarehouse("p", patience=10)
        self.folder = folder

    def load(self, *, rows: int = 2, job_id: str = "job", **more: Any) -> LoadResult:
        """Load rows with a column that the table may not have."""
        load = make_load(self.folder, [{"Id": n} for n in range(rows)], [ID, NAME], job_id=job_id, **more)
        return self.warehouse.load(TABLE, load)

    def export(self) -> None:
        """Look, load, and make the view twice, so that it is made and updated."""
        self.warehouse.state(TABLE)
        self.load(disposition=Disposition.WRITE_EMPTY)
        for _ in range(2):
            self.warehouse.replace_view(TABLE, (ID, NAME))


@pytest.fixture
def exporter(bigquery: BigQueryFake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Exporter:
    """Export without waiting long between attempts; how many there are is as ever."""
    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: sleep(min(seconds, 0.01)))
    return Exporter(tmp_path)


def uploading_by(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let uploads of few bytes be resumable ones, where a method of those is asked for."""
    if method.startswith("jobs.upload."):
        monkeypatch.setattr("google.cloud.bigquery.client._MAX_MULTIPART_SIZE", 0)


def printed(error: BaseException) -> str:
    hint = error.hint if isinstance(error, DicombqError) else ""
    return "".join(traceback.format_exception(error)) + hint


def test_a_missing_dataset_is_not_found(exporter: Exporter) -> None:
    table = BigQueryTable("p", "none", "t")
    for call in (
        lambda: exporter.warehouse.state(table),
        lambda: exporter.warehouse.load(table, make_load(exporter.folder, [], [ID])),
    ):
        with pytest.raises(NotFound, match=r"\[p\.none\]") as failure:
            call()
        assert failure.value.exit_code == 7
        assert "bq mk --dataset p:none" in failure.value.hint


def test_a_missing_dataset_has_no_view(exporter: Exporter) -> None:
    with pytest.raises(NotFound):
        exporter.warehouse.replace_view(BigQueryTable("p", "none", "t"), [ID])


def test_a_wrong_token_is_not_authenticated(bigquery: BigQueryFake, exporter: Exporter) -> None:
    bigquery.require_token = "secret"
    with pytest.raises(NotAuthenticated) as failure:
        exporter.warehouse.state(TABLE)
    assert failure.value.exit_code == 6
    assert "gcloud auth application-default login" in failure.value.hint


def test_no_credentials_are_not_authenticated(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_CONFIG"):
        monkeypatch.setenv(name, str(home / "none"))
    with pytest.raises(NotAuthenticated) as failure:
        BigQueryWarehouse("p").state(TABLE)
    assert failure.value.exit_code == 6
    assert all(role in failure.value.hint for role in ROLES)


@pytest.mark.parametrize("method", ["tables.get", "datasets.get", "jobs.get", "jobs.insert", "tables.insert"])
def test_a_denied_method_names_the_roles_to_grant(bigquery: BigQueryFake, exporter: Exporter, method: str) -> None:
    bigquery.forbidden = {method}
    with pytest.raises(NotPermitted) as failure:
        exporter.export()
    assert failure.value.exit_code == 6
    assert not isinstance(failure.value, NotAuthenticated)
    assert all(role in failure.value.hint for role in ROLES)


def test_a_view_that_may_not_be_changed_names_the_roles_to_grant(bigquery: BigQueryFake, exporter: Exporter) -> None:
    bigquery.forbidden = {"tables.patch"}
    with pytest.raises(NotPermitted) as failure:
        exporter.export()
    assert all(role in failure.value.hint for role in ROLES)


@pytest.mark.parametrize("fault", PASSING)
@pytest.mark.parametrize("method", METHODS)
def test_an_export_outlasts_a_passing_fault_and_loads_once(
    bigquery: BigQueryFake, exporter: Exporter, monkeypatch: pytest.MonkeyPatch, method: str, fault: Fault
) -> None:
    bigquery.job_polls = 1
    uploading_by(method, monkeypatch)
    bigquery.fail(method, fault)
    exporter.export()
    assert len(bigquery.called(method)) > 1
    assert bigquery.rows("p.d.t") == [{"Id": 0}, {"Id": 1}]
    assert len(bigquery.jobs) == 1


@pytest.mark.parametrize("fault", PASSING)
def test_columns_are_added_to_an_empty_table_despite_a_passing_fault(
    bigquery: BigQueryFake, exporter: Exporter, fault: Fault
) -> None:
    exporter.warehouse.load(TABLE, make_load(exporter.folder, [], [ID, record("R", ID)]))
    bigquery.fail("tables.patch", fault)
    exporter.load(disposition=Disposition.WRITE_EMPTY)
    assert [field["name"] for field in bigquery.schema("p.d.t")] == ["Id", "R", "Name"]
    assert bigquery.rows("p.d.t") == [{"Id": 0}, {"Id": 1}]


@pytest.mark.parametrize("after", range(12))
def test_an_export_outlasts_a_lost_answer_to_any_of_its_calls(
    bigquery: BigQueryFake, exporter: Exporter, after: int
) -> None:
    bigquery.job_polls = 1
    bigquery.fail("*", Fault.LOSE_ANSWER, after=after)
    exporter.export()
    assert [request.status for request in bigquery.requests].count(None) == 1
    assert bigquery.rows("p.d.t") == [{"Id": 0}, {"Id": 1}]
    assert len(bigquery.jobs) == 1


@pytest.mark.parametrize("fault", [fault for fault in PASSING if fault is not Fault.LOSE_ANSWER])
@pytest.mark.parametrize("method", METHODS)
def test_a_fault_that_stays_is_temporary(
    bigquery: BigQueryFake, exporter: Exporter, monkeypatch: pytest.MonkeyPatch, method: str, fault: Fault
) -> None:
    uploading_by(method, monkeypatch)
    bigquery.fail(method, fault, times=1000)
    with pytest.raises(Temporary) as failure:
        exporter.export()
    assert failure.value.exit_code == 5
    assert len(bigquery.jobs) == (1 if method in {"tables.insert", "tables.patch"} else 0)


@pytest.mark.parametrize("fault", [Fault.RATE_LIMIT, Fault.UNAVAILABLE, Fault.DROP])
def test_a_job_that_cannot_be_followed_is_temporary_and_is_found_again(
    bigquery: BigQueryFake, exporter: Exporter, fault: Fault
) -> None:
    bigquery.job_polls = 1
    bigquery.fail("jobs.get", fault, times=1000, after=1)
    with pytest.raises(LoadUnsettled, match=r"job \[job\] was sent") as failure:
        exporter.load()
    assert "Resume the operation" in failure.value.hint
    assert len(bigquery.jobs) == 1
    bigquery._plans.clear()
    assert exporter.load().rows == 2
    assert bigquery.rows("p.d.t") == [{"Id": 0}, {"Id": 1}]


@pytest.mark.parametrize("method", METHODS)
def test_a_used_up_quota_is_temporary(
    bigquery: BigQueryFake, exporter: Exporter, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    uploading_by(method, monkeypatch)
    bigquery.fail(method, Fault.QUOTA)
    with pytest.raises(Temporary, match="quota") as failure:
        exporter.export()
    assert failure.value.exit_code == 5


def test_no_connection_is_temporary(bigquery: BigQueryFake, exporter: Exporter) -> None:
    bigquery.close()
    with pytest.raises(Temporary):
        exporter.warehouse.state(TABLE)


@pytest.mark.parametrize(
    ("reason", "disposition", "kind"),
    [
        ("invalid", Disposition.NONE, Failed),
        ("invalidQuery", Disposition.NONE, Failed),
        ("duplicate", Disposition.NONE, TableExists),
        ("duplicate", Disposition.WRITE_EMPTY, TableNotEmpty),
        ("accessDenied", Disposition.NONE, NotPermitted),
        ("notFound", Disposition.NONE, NotFound),
        ("stopped", Disposition.NONE, CancelledElsewhere),
        ("backendError", Disposition.NONE, Temporary),
        ("internalError", Disposition.NONE, Temporary),
        ("quotaExceeded", Disposition.NONE, Temporary),
        ("rateLimitExceeded", Disposition.NONE, Temporary),
        ("tableUnavailable", Disposition.NONE, Temporary),
        ("timeout", Disposition.NONE, Temporary),
    ],
)
@pytest.mark.parametrize("polls", [0, 1])
def test_a_failed_job_tells_its_reason_and_no_value(
    bigquery: BigQueryFake,
    exporter: Exporter,
    reason: str,
    disposition: Disposition,
    kind: type[DicombqError],
    polls: int,
) -> None:
    bigquery.job_polls = polls
    bigquery.job_error = {"reason": reason, "message": f"Could not parse '{CANARY}' as INT64", "location": CANARY}
    with pytest.raises(kind) as failure:
        exporter.load(disposition=disposition)
    assert type(failure.value) is kind
    assert ("bq show -j p:job" in failure.value.hint) == (reason in {"invalid", "invalidQuery", "notFound"})
    assert CANARY not in printed(failure.value)
    assert bigquery.datasets["p", "d"].tables == {}
    assert exporter.load(disposition=disposition).rows == 2
    assert bigquery.rows("p.d.t") == [{"Id": 0}, {"Id": 1}]


@pytest.mark.parametrize("at_insert", [False, True])
def test_a_value_that_does_not_fit_is_not_told(bigquery: BigQueryFake, exporter: Exporter, at_insert: bool) -> None:
    bigquery.errors_at_insert = at_insert
    load = make_load(exporter.folder, [{"Id": CANARY}], [ID])
    with pytest.raises(Failed) as failure:
        exporter.warehouse.load(TABLE, load)
    assert "invalid" in failure.value.message
    assert CANARY not in printed(failure.value)


def test_more_objects_than_one_job_reads_are_refused(exporter: Exporter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dicombq.warehouses.bigquery_limits.MAX_SOURCES", 1)
    load = dataclasses.replace(make_load(exporter.folder, [], [ID]), uris=["gs://b/1", "gs://b/2"])
    with pytest.raises(FailedPrecondition, match="from 2 objects; a load job of BigQuery takes 1"):
        exporter.warehouse.load(TABLE, load)


@pytest.mark.parametrize("fault", [Fault.LOSE_ANSWER, Fault.UNAVAILABLE, Fault.DROP])
def test_objects_are_loaded_once_whatever_becomes_of_the_answer(
    exporter: Exporter, bigquery: BigQueryFake, gcs_bucket: GcsBucket, fault: Fault
) -> None:
    load = make_load(exporter.folder, [{"Id": 1}, {"Id": 2}], [ID])
    gcs_bucket.put("rows.ndjson.gz", load.files[0].read_bytes())
    bigquery.fail("jobs.insert", fault)
    uri = f"{gcs_bucket.uri}/rows.ndjson.gz"
    assert exporter.warehouse.load(TABLE, dataclasses.replace(load, files=[], uris=[uri])).rows == 2
    assert len(bigquery.jobs) == 1


@pytest.fixture
def overtaken(exporter: Exporter, monkeypatch: pytest.MonkeyPatch) -> Exporter:
    """Let somebody else fill the table after the exporter looked at it."""
    insert: Callable[..., Any] = exporter.warehouse._insert

    def filled_first(*arguments: Any) -> Any:
        other = make_load(exporter.folder, [{"Id": 7}], [ID, NAME], job_id="other")
        BigQueryWarehouse("p").load(TABLE, other)
        return insert(*arguments)

    monkeypatch.setattr(exporter.warehouse, "_insert", filled_first)
    return exporter


@pytest.mark.parametrize(
    ("disposition", "kind"), [(Disposition.NONE, TableExists), (Disposition.WRITE_EMPTY, TableNotEmpty)]
)
def test_a_table_filled_meanwhile_is_not_touched(
    bigquery: BigQueryFake, overtaken: Exporter, disposition: Disposition, kind: type[DicombqError]
) -> None:
    with pytest.raises(kind, match="meanwhile"):
        overtaken.load(disposition=disposition)
    assert bigquery.rows("p.d.t") == [{"Id": 7}]


@pytest.mark.parametrize(
    ("disposition", "rows"), [(Disposition.WRITE_TRUNCATE, [0, 1]), (Disposition.WRITE_APPEND, [7, 0, 1])]
)
def test_a_table_made_meanwhile_is_replaced_or_added_to_as_asked(
    bigquery: BigQueryFake, overtaken: Exporter, disposition: Disposition, rows: list[int]
) -> None:
    overtaken.load(disposition=disposition)
    assert [row["Id"] for row in bigquery.rows("p.d.t")] == rows


def test_rows_in_the_streaming_buffer_are_rows(bigquery: BigQueryFake, exporter: Exporter) -> None:
    exporter.load(rows=0)
    bigquery.set_streaming_buffer("p.d.t", 3)
    with pytest.raises(TableNotEmpty):
        exporter.load(job_id="second", disposition=Disposition.WRITE_EMPTY)


def test_descriptions_of_columns_outlive_an_append(bigquery: BigQueryFake, exporter: Exporter) -> None:
    exporter.warehouse.load(TABLE, make_load(exporter.folder, [{"Id": 7}], [ID]))
    bigquery.find_table("p", "d", "t").schema[0]["description"] = "a number"
    exporter.load(disposition=Disposition.WRITE_APPEND)
    assert bigquery.schema("p.d.t")[0]["description"] == "a number"
    assert len(bigquery.rows("p.d.t")) == 3


def test_the_view_is_standard_sql_over_the_table(bigquery: BigQueryFake, exporter: Exporter) -> None:
    exporter.export()
    view = bigquery.find_table("p", "d", "tView").settings["view"]
    assert view["query"] == view_query("`p.d.t`", (ID, NAME), lambda name: f"`{name}`")
    assert view["useLegacySql"] is False


def test_an_interrupt_cancels_the_job_though_it_left_the_connections_locked(
    bigquery: BigQueryFake, exporter: Exporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wait_for_ever(*arguments: Any, **more: Any) -> None:
        raise AssertionError("nobody unlocks them")

    def interrupt(*arguments: Any, **more: Any) -> None:
        monkeypatch.setattr(exporter.warehouse._client, "_call_api", wait_for_ever)
        raise KeyboardInterrupt

    bigquery.job_polls = 1
    monkeypatch.setattr("google.cloud.bigquery.LoadJob.result", interrupt)
    with pytest.raises(KeyboardInterrupt) as interruption:
        exporter.load()
    assert interruption.value.__cause__ is None
    assert len(bigquery.called("jobs.cancel")) == 1
    assert bigquery.datasets["p", "d"].tables == {}


@pytest.mark.parametrize(
    ("interrupted", "polls", "fault"),
    [
        ("Client.load_table_from_file", 0, None),  # there is no such job yet
        ("LoadJob.result", 0, None),  # it has succeeded
        ("LoadJob.result", 10**6, Fault.UNAVAILABLE),
        ("LoadJob.result", 10**6, Fault.LOSE_ANSWER),
    ],
)
def test_an_interrupt_leaves_a_load_unsettled_unless_its_job_is_known_to_have_failed(
    bigquery: BigQueryFake,
    exporter: Exporter,
    monkeypatch: pytest.MonkeyPatch,
    interrupted: str,
    polls: int,
    fault: Fault | None,
) -> None:
    def interrupt(*arguments: Any, **more: Any) -> None:
        raise KeyboardInterrupt

    bigquery.job_polls = polls
    if fault:
        bigquery.fail("jobs.cancel", fault)
    with monkeypatch.context() as patch:
        patch.setattr(f"google.cloud.bigquery.{interrupted}", interrupt)
        with pytest.raises(KeyboardInterrupt) as interruption:
            exporter.load()
    assert isinstance(interruption.value.__cause__, LoadUnsettled)
    bigquery.job_polls = 0
    for job in bigquery.jobs.values():
        job.polls = 0
    assert exporter.load().rows == 2
    assert bigquery.rows("p.d.t") == [{"Id": 0}, {"Id": 1}]


def test_a_job_that_goes_on_after_its_cancel_leaves_the_load_unsettled(
    bigquery: BigQueryFake, exporter: Exporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*arguments: Any, **more: Any) -> None:
        raise KeyboardInterrupt

    bigquery.job_polls = 10**6
    monkeypatch.setattr("google.cloud.bigquery.LoadJob.result", interrupt)
    monkeypatch.setattr(bigquery, "jobs_cancel", lambda call: {"job": bigquery.jobs_get(call)})
    with pytest.raises(KeyboardInterrupt) as failure:
        exporter.load()
    assert isinstance(failure.value.__cause__, LoadUnsettled)


def test_nothing_of_the_upload_is_left_behind(bigquery: BigQueryFake, exporter: Exporter) -> None:
    exporter.load()
    assert not (exporter.folder / "upload").exists()
    bigquery.job_error = {"reason": "invalid", "message": ""}
    with pytest.raises(Failed):
        exporter.load(job_id="second", disposition=Disposition.WRITE_APPEND)
    assert not (exporter.folder / "upload").exists()


def test_a_query_is_estimated_with_its_parameters(bigquery: BigQueryFake) -> None:
    bigquery.query_bytes = 12345
    given = [Parameter("id", "INT64", "1"), Parameter("of", "STRING", ["a", "b"]), Parameter("none", "DATE", None)]
    assert BigQueryWarehouse("p").estimate("SELECT * FROM [p:d.t] WHERE Id = @id", given) == 12345
    [sent] = bigquery.queries
    assert sent["query"] == "SELECT * FROM `p.d.t` WHERE Id = @id"
    assert [(each["name"], each["parameterType"]["type"]) for each in sent["queryParameters"]] == [
        ("id", "INT64"),
        ("of", "ARRAY"),
        ("none", "DATE"),
    ]
    assert sent["queryParameters"][1]["parameterValue"] == {"arrayValues": [{"value": "a"}, {"value": "b"}]}


def test_a_query_over_the_limit_of_bytes_is_refused(bigquery: BigQueryFake) -> None:
    bigquery.query_bytes = 2000
    with pytest.raises(FailedPrecondition, match="billed for more bytes than the limit") as error:
        BigQueryWarehouse("p").query("SELECT 1", maximum_bytes_billed=1000)
    assert "--dry-run" in error.value.hint
    assert bigquery.queries[0]["maximumBytesBilled"] == "1000"


def test_columns_are_those_of_the_table_with_their_descriptions(bigquery: BigQueryFake, exporter: Exporter) -> None:
    exporter.warehouse.load(TABLE, make_load(exporter.folder, [], [Field("PatientID", "STRING")]))
    [found] = exporter.warehouse.fields(TABLE)
    assert (found.name, found.description) == ("PatientID", "Patient ID (0010,0020) LO")
    with pytest.raises(NotFound):
        exporter.warehouse.fields(BigQueryTable("p", "d", "missing"))
