from __future__ import annotations

import io
import json
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import requests
from google.api_core import exceptions
from google.api_core.retry import Retry
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.cloud.bigquery import SchemaField
from google.oauth2.credentials import Credentials

from tests.fakes.bigquery import BigQueryFake, Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK = 256 * 1024
LOADED = {
    "destinationTable": {"projectId": "p", "datasetId": "d", "tableId": "t"},
    "sourceFormat": "NEWLINE_DELIMITED_JSON",
    "schema": {"fields": [{"name": "id", "type": "INTEGER"}]},
}
JOB = {"jobReference": {"projectId": "p", "jobId": "j"}, "configuration": {"load": LOADED}}
NEVER = Retry(predicate=lambda error: False)
QUICK = Retry(predicate=lambda error: True, initial=0.001, maximum=0.001, timeout=10)


@pytest.fixture
def fake() -> Iterator[BigQueryFake]:
    with BigQueryFake() as server:
        server.create_dataset("p.d")
        yield server


@pytest.fixture
def client(fake: BigQueryFake, monkeypatch: pytest.MonkeyPatch) -> Iterator[bigquery.Client]:
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", fake.url)
    anybody = AnonymousCredentials()  # type: ignore[no-untyped-call]  # google-auth has no types
    with bigquery.Client("p", credentials=anybody) as result:
        yield result


def load(client: bigquery.Client, body: bytes, *, job_id: str = "j", resumable: bool = False) -> Any:
    config = bigquery.LoadJobConfig(source_format="NEWLINE_DELIMITED_JSON", schema=[SchemaField("id", "INTEGER")])
    size = None if resumable else len(body)
    return client.load_table_from_file(
        io.BytesIO(body), "p.d.t", size=size, num_retries=0, job_id=job_id, job_config=config
    )


def send(method: str, url: str, body: bytes = b"", **headers: str) -> tuple[int, dict[str, str], bytes]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, body, named, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read()


def start_upload(fake: BigQueryFake) -> str:
    url = f"{fake.url}/upload/bigquery/v2/projects/p/jobs?uploadType=resumable"
    status, headers, _ = send("POST", url, json.dumps(JOB).encode())
    assert status == 200
    return headers["Location"]


@pytest.mark.parametrize("resumable", [False, True])
def test_uploads_load_rows(fake: BigQueryFake, client: bigquery.Client, *, resumable: bool) -> None:
    job = load(client, b'{"id": 1}\n', resumable=resumable).result(retry=NEVER)
    assert (job.state, job.output_rows, job.job_id) == ("DONE", 1, "j")
    assert fake.rows("p.d.t") == [{"id": 1}]
    methods = [request.method for request in fake.requests]
    assert methods == (["jobs.upload.start", "jobs.upload.chunk"] if resumable else ["jobs.insert"])
    assert fake.requests[0].body["configuration"]["load"]["schema"]["fields"][0]["name"] == "id"


def test_a_resumable_upload_may_be_empty(fake: BigQueryFake, client: bigquery.Client) -> None:
    load(client, b"", resumable=True).result(retry=NEVER)
    assert fake.rows("p.d.t") == []
    assert fake.requests[-1].method == "jobs.upload.chunk"


def test_a_resumable_upload_goes_on_after_a_lost_chunk(fake: BigQueryFake) -> None:
    url = start_upload(fake)
    data = b'{"id": 1}\n' * 60_000
    size = len(data)
    status, headers, _ = send("PUT", url, Content_Range="bytes */*")
    assert (status, "Range" in headers) == (308, False)
    status, headers, _ = send("PUT", url, data[:300_000], Content_Range="bytes 0-299999/*")
    assert (status, headers["Range"]) == (308, f"bytes=0-{CHUNK - 1}")
    fake.fail("jobs.upload.chunk", Fault.LOSE_ANSWER)
    with pytest.raises(ConnectionError):
        send("PUT", url, data[CHUNK : 2 * CHUNK], Content_Range=f"bytes {CHUNK}-{2 * CHUNK - 1}/{size}")
    status, headers, _ = send("PUT", url, Content_Range=f"bytes */{size}")
    assert (status, headers["Range"]) == (308, f"bytes=0-{2 * CHUNK - 1}")
    status, _, body = send("PUT", url, data[2 * CHUNK :], Content_Range=f"bytes {2 * CHUNK}-{size - 1}/{size}")
    assert (status, json.loads(body)["status"]) == (200, {"state": "DONE"})
    assert len(fake.rows("p.d.t")) == 60_000
    assert json.loads(send("PUT", url, Content_Range="bytes */*")[2])["jobReference"]["jobId"] == "j"
    assert [request.method for request in fake.requests].count("jobs.upload.status") == 3


def test_a_lost_answer_of_the_last_chunk_leaves_the_job_done(fake: BigQueryFake) -> None:
    url = start_upload(fake)
    fake.fail("jobs.upload.chunk", Fault.LOSE_ANSWER)
    with pytest.raises(ConnectionError):
        send("PUT", url, b'{"id": 1}', Content_Range="bytes 0-8/9")
    status, _, body = send("PUT", url, Content_Range="bytes */9")
    assert (status, json.loads(body)["status"]["state"]) == (200, "DONE")
    assert fake.rows("p.d.t") == [{"id": 1}]


@pytest.mark.parametrize("content_range", ["bytes 5-9/10", "bytes 0-4/3", "bytes 0-9/10", "bytes x"])
def test_chunks_that_do_not_fit_are_invalid(fake: BigQueryFake, content_range: str) -> None:
    url = start_upload(fake)
    assert send("PUT", url, b"12345", Content_Range=content_range)[0] == 400
    assert send("PUT", f"{url}0", b"12345")[0] == 404


@pytest.mark.parametrize("resumable", [False, True])
def test_a_job_id_is_used_once(fake: BigQueryFake, client: bigquery.Client, *, resumable: bool) -> None:
    load(client, b'{"id": 1}')
    with pytest.raises(exceptions.Conflict, match=r"Already Exists: Job p:US\.j") as conflict:
        load(client, b'{"id": 1}', resumable=resumable)
    assert conflict.value.errors[0]["reason"] == "duplicate"
    assert fake.rows("p.d.t") == [{"id": 1}]


def test_a_job_runs_while_it_is_polled(fake: BigQueryFake, client: bigquery.Client) -> None:
    fake.job_polls = 2
    job = load(client, b'{"id": 1}')
    states = [job.state]
    while job.state != "DONE":
        with pytest.raises(exceptions.NotFound):
            client.get_table("p.d.t", retry=NEVER)
        job.reload(retry=NEVER)
        states.append(job.state)
    assert states == ["RUNNING", "RUNNING", "RUNNING", "DONE"]
    assert client.get_table("p.d.t").num_rows == 1


def test_jobs_are_found_listed_and_cancelled(fake: BigQueryFake, client: bigquery.Client) -> None:
    load(client, b"", job_id="first")
    fake.job_polls = 5
    job = load(client, b'{"id": 1}', job_id="second")
    assert [item.job_id for item in client.list_jobs()] == ["second", "first"]
    assert [item.job_id for item in client.list_jobs(state_filter="running")] == ["second"]
    assert job.cancel(retry=NEVER)
    assert job.error_result["reason"] == "stopped"
    assert client.get_job("second", location="US").state == "DONE"
    assert fake.rows("p.d.t") == []
    with pytest.raises(exceptions.NotFound, match="Not found: Job p:none"):
        client.get_job("none", retry=NEVER)
    with pytest.raises(exceptions.NotFound):
        client.get_job("second", location="EU", retry=NEVER)


def test_the_next_job_ends_with_a_given_error(fake: BigQueryFake, client: bigquery.Client) -> None:
    fake.job_error = {"reason": "backendError", "message": "Try again"}
    with pytest.raises(exceptions.GoogleAPICallError, match="Try again"):
        load(client, b'{"id": 1}').result(retry=NEVER)
    load(client, b'{"id": 1}', job_id="again").result(retry=NEVER)
    assert fake.rows("p.d.t") == [{"id": 1}]


def test_queries_are_not_simulated(client: bigquery.Client) -> None:
    with pytest.raises(exceptions.BadRequest, match="load jobs only") as refused:
        client.query("SELECT 1", retry=NEVER, job_retry=NEVER)
    assert refused.value.errors[0]["reason"] == "notImplemented"
    with pytest.raises(exceptions.BadRequest, match=r"jobs\.query"):
        client.query_and_wait("SELECT 1", retry=NEVER, job_retry=NEVER)


def test_a_table_is_replaced_by_put(fake: BigQueryFake, client: bigquery.Client) -> None:
    table = bigquery.Table("p.d.t", [SchemaField("id", "INTEGER")])
    table.description = "old"
    client.create_table(table)
    url = f"{fake.url}/bigquery/v2/projects/p/datasets/d/tables/t"
    status, _, body = send("PUT", url, b'{"friendlyName": "new"}', Content_Type="application/json")
    assert status == 200
    assert "description" not in json.loads(body)
    assert (client.get_table("p.d.t").friendly_name, len(fake.schema("p.d.t"))) == ("new", 1)
    assert json.loads(send("PUT", url, b"{")[2])["error"]["errors"][0]["reason"] == "parseError"


def test_timestamps_are_seconds_unless_asked_for_in_microseconds(fake: BigQueryFake, client: bigquery.Client) -> None:
    config = bigquery.LoadJobConfig(source_format="NEWLINE_DELIMITED_JSON", schema=[SchemaField("x", "TIMESTAMP")])
    body = io.BytesIO(b'{"x": "1970-01-01T00:00:01.5Z"}')
    client.load_table_from_file(body, "p.d.t", job_config=config, size=31).result(retry=NEVER)
    url = f"{fake.url}/bigquery/v2/projects/p/datasets/d/tables/t/data"
    for query, text in [("", "1.5"), ("?formatOptions.useInt64Timestamp=True", "1500000")]:
        assert json.loads(send("GET", url + query)[2])["rows"] == [{"f": [{"v": text}]}]


def test_a_token_may_be_required(fake: BigQueryFake, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.require_token = "secret"
    token = Credentials("secret")  # type: ignore[no-untyped-call]  # google-auth has no types
    url = f"{fake.url}/bigquery/v2/projects/p/datasets/d"
    status, _, body = send("GET", url)
    assert (status, json.loads(body)["error"]["status"]) == (401, "UNAUTHENTICATED")
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", fake.url)
    with bigquery.Client("p", credentials=token) as client:
        assert client.get_dataset("d").dataset_id == "d"


def test_methods_may_be_forbidden(fake: BigQueryFake, client: bigquery.Client) -> None:
    fake.forbidden = {"datasets.get", "jobs.insert"}
    with pytest.raises(exceptions.Forbidden, match="Access Denied") as refused:
        client.get_dataset("d", retry=NEVER)
    assert refused.value.errors[0]["reason"] == "accessDenied"
    for resumable in (False, True):
        with pytest.raises(exceptions.Forbidden):
            load(client, b"", resumable=resumable)
    assert [item.dataset_id for item in client.list_datasets()] == ["d"]


@pytest.mark.parametrize(
    ("fault", "code", "reason"),
    [
        (Fault.RATE_LIMIT, 429, "rateLimitExceeded"),
        (Fault.QUOTA, 403, "quotaExceeded"),
        (Fault.INTERNAL, 500, "internalError"),
        (Fault.UNAVAILABLE, 503, "backendError"),
    ],
)
def test_a_fault_is_answered_and_recorded(
    fake: BigQueryFake, client: bigquery.Client, fault: Fault, code: int, reason: str
) -> None:
    fake.fail("tables.insert", fault)
    with pytest.raises(exceptions.GoogleAPICallError) as failed:
        client.create_table("p.d.t", retry=NEVER)
    assert (failed.value.code, failed.value.errors[0]["reason"]) == (code, reason)
    client.create_table("p.d.t", retry=NEVER)
    assert [request.status for request in fake.called("tables.insert")] == [code, 200]


@pytest.mark.parametrize(("fault", "second"), [(Fault.DROP, 200), (Fault.LOSE_ANSWER, 409)])
def test_a_connection_closes_before_or_after_the_work(
    fake: BigQueryFake, client: bigquery.Client, fault: Fault, second: int
) -> None:
    fake.fail("tables.insert", fault)
    with pytest.raises(requests.exceptions.ConnectionError):
        client.create_table("p.d.t", retry=NEVER)
    client.create_table("p.d.t", exists_ok=True, retry=NEVER)
    assert [request.status for request in fake.called("tables.insert")] == [None, second]


@pytest.mark.parametrize("method", ["jobs.insert", "jobs.upload.start", "jobs.upload.chunk"])
def test_uploads_fail_where_they_are_told_to(fake: BigQueryFake, client: bigquery.Client, method: str) -> None:
    fake.fail(method, Fault.INTERNAL)
    with pytest.raises(exceptions.InternalServerError):
        load(client, b'{"id": 1}', resumable=method != "jobs.insert")
    assert fake.requests[-1].method == method
    load(client, b'{"id": 1}').result(retry=NEVER)
    assert fake.rows("p.d.t") == [{"id": 1}]


def test_faults_take_their_turns(fake: BigQueryFake, client: bigquery.Client) -> None:
    fake.fail("datasets.get", Fault.UNAVAILABLE, times=2, after=1)
    fake.fail("*", Fault.RATE_LIMIT, after=1)
    for _ in range(3):
        client.get_dataset("d", retry=QUICK)
    statuses = [request.status for request in fake.called("datasets.get")]
    assert statuses == [200, 503, 503, 200, 429, 200]


def test_a_stalled_request_is_carried_out_in_the_end(fake: BigQueryFake, client: bigquery.Client) -> None:
    fake.fail("tables.insert", Fault.STALL, seconds=0.01)
    client.create_table("p.d.t", retry=NEVER)
    assert [item.table_id for item in client.list_tables("p.d")] == ["t"]


def test_closing_does_not_wait_for_a_stalled_request(fake: BigQueryFake) -> None:
    fake.fail("datasets.get", Fault.STALL, seconds=3600)
    url = f"{fake.url}/bigquery/v2/projects/p/datasets/d"
    with requests.Session() as session, pytest.raises(requests.exceptions.ReadTimeout):
        session.get(url, timeout=0.2)
    fake.close()
    assert fake.called("datasets.get")


def test_many_loads_at_once_are_kept_whole(fake: BigQueryFake) -> None:
    url = f"{fake.url}/upload/bigquery/v2/projects/p/jobs?uploadType=resumable"

    def one(number: int) -> int:
        body = {"configuration": {"load": LOADED}, "jobReference": {"jobId": f"j{number}"}}
        session = send("POST", url, json.dumps(body).encode())[1]["Location"]
        return send("PUT", session, b'{"id": %d}\n' % number * 10)[0]

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(one, range(40))) == {200}
    ids = [row["id"] for row in fake.rows("p.d.t")]
    assert len(ids) == 400
    assert all(len(set(ids[start : start + 10])) == 1 for start in range(0, 400, 10))
