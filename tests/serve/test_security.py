from __future__ import annotations

import asyncio
import logging
from contextlib import nullcontext
from pathlib import Path

import pytest
from starlette.requests import ClientDisconnect
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from dicombq.serve.problems import answer
from dicombq.serve.security import SESSION, Guard, session_value
from dicombq.serve.settings import Settings
from tests.serve.conftest import Serve

TOKEN = "0123456789abcdef"


@pytest.mark.parametrize("host", ["127.0.0.1:8085", "localhost", "LOCALHOST:1", "[::1]:8085", "192.0.2.7:80"])
def test_this_machine_is_asked_by_its_names_and_by_addresses(client: TestClient, host: str) -> None:
    assert client.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil:8085", "", "[::1", "a@b"])
def test_another_host_is_refused(client: TestClient, host: str) -> None:
    refused = client.get("/healthz", headers={"Host": host})
    assert refused.status_code == 421
    assert refused.json()["error"]["code"] == 421


def test_the_machine_is_asked_by_its_name_and_with_a_token_by_its_domain_too(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "Archive")
    assert serve().get("/healthz", headers={"Host": "archive:8085"}).status_code == 200
    assert serve().get("/healthz", headers={"Host": "archive.example.org"}).status_code == 421
    assert serve(token=TOKEN).get("/healthz", headers={"Host": "archive.example.org"}).status_code == 200
    assert serve(token=TOKEN).get("/healthz", headers={"Host": "other.example.org"}).status_code == 421


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://[::1"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:8085"},
    ],
    ids=str,
)
def test_a_page_of_another_site_may_change_nothing(client: TestClient, headers: dict[str, str]) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert client.request(method, "/healthz", headers=headers).status_code == 403
    assert client.get("/healthz", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers", [{}, {"Sec-Fetch-Site": "same-origin", "Origin": "http://127.0.0.1:8085"}, {"Sec-Fetch-Site": "none"}]
)
def test_the_servers_own_pages_and_programs_may_change_things(client: TestClient, headers: dict[str, str]) -> None:
    assert client.post("/healthz", headers=headers).status_code == 405


def test_a_token_is_asked_for(serve: Serve) -> None:
    client = serve(token=TOKEN)
    for given in (None, "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer \xe4"):
        headers = {} if given is None else {"Authorization": given.encode("latin-1")}
        refused = client.get("/v1/projects", headers=headers)  # type: ignore[arg-type]  # bytes are what goes out
        assert refused.status_code == 401
        assert refused.headers["WWW-Authenticate"] == "Bearer"
        assert refused.json()["error"]["status"] == "UNAUTHENTICATED"
    assert client.get("/v1/projects", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 404
    assert client.get("/healthz").status_code == 200


def test_a_browser_may_keep_a_cookie_that_does_not_tell_the_token(serve: Serve) -> None:
    client = serve(token=TOKEN)
    assert TOKEN not in session_value(TOKEN)
    client.cookies.set(SESSION, "wrong")
    assert client.get("/v1/projects").status_code == 401
    assert client.get("/v1/projects", headers={"Cookie": "a b=c; ]="}).status_code == 401
    client.cookies.clear()
    client.cookies.set(SESSION, session_value(TOKEN))
    assert client.get("/v1/projects").status_code == 404


def test_without_a_token_none_is_looked_at(client: TestClient) -> None:
    assert client.get("/healthz", headers={"Authorization": "Bearer of-gcloud"}).status_code == 200


def test_a_server_that_is_read_only_changes_nothing(serve: Serve) -> None:
    client = serve(read_only=True)
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert client.request(method, "/healthz").status_code == 403
    assert client.get("/healthz").status_code == 200


def test_browsers_are_told_to_run_and_load_only_what_is_here(client: TestClient) -> None:
    for path in ("/healthz", "/nowhere"):
        headers = client.get(path).headers
        policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
        assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
        assert policy["script-src"] == "'self'"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"


def test_what_is_asked_for_is_logged_without_queries(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "dicombq.serve")
    client.get("/healthz?PatientName=DOE^JANE", headers={"X-Name": "DOE^JANE"})
    assert [record.getMessage().rpartition(" 200 ")[0] for record in caplog.records] == ["GET /healthz"]
    assert "DOE" not in caplog.text


@pytest.mark.parametrize("error", [KeyError("DOE^JANE"), ClientDisconnect()], ids=["defect", "gone"])
def test_an_answer_that_breaks_off_is_cut_and_logged_without_values(
    home: Path, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    sent: list[Message] = []

    async def half(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise error

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/x", "headers": [(b"host", b"localhost")]}
    is_defect = isinstance(error, KeyError)
    with pytest.raises(ConnectionAbortedError) if is_defect else nullcontext():
        asyncio.run(Guard(half, Settings(home), answer)(scope, receive, send))
    assert [message["type"] for message in sent] == ["http.response.start"]
    assert ("internal error: KeyError" in caplog.text) is is_defect
    assert "DOE" not in caplog.text


def test_a_request_that_turns_out_too_large_is_refused_while_it_comes(serve: Serve) -> None:
    client = serve(max_upload=1000)
    path = "/v1/projects/p/locations/l/datasets"
    headers = {"Content-Type": "application/json"}
    assert client.post(path, content=iter([b" " * 600] * 2), headers=headers).status_code == 413
    assert client.post(path, content=b" " * 1001, headers=headers).status_code == 413
    assert client.post(path, content=iter([b" " * 500] * 2), headers=headers).status_code == 400
