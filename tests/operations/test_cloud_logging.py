from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from dicombq.errors import NotAuthenticated, NotPermitted, Temporary
from dicombq.operations import cloud_logging
from dicombq.operations.cloud_logging import CloudLog
from tests.fakes.cloud_logging import CloudLoggingFake, write_key
from tests.fakes.cloud_logging import cloud_logging as serve

LABELS = {"store": "projects/p/x", "target": "bq://p.d.t"}
ENOUGH = 60.0
"""Seconds that no test needs."""


@pytest.fixture
def fake(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CloudLoggingFake]:
    with serve(tmp_path, monkeypatch) as server:
        yield server


def line(uri: str = "/a", second: int = 1, **other: str) -> dict[str, str]:
    entry = {"severity": "ERROR", "code": "DATA_LOSS", "uri": uri, "tag": "00100010", "message": "cut"}
    return {"time": f"2026-01-02T03:04:{second:02}.000001Z", **entry, **other}


def lines(number: int) -> list[dict[str, str]]:
    return [line(f"/{index}") for index in range(number)]


def open_log(tmp_path: Path, project: str | None = "p") -> CloudLog:
    return CloudLog(project, "17", LABELS, tmp_path / "noted")


def send(tmp_path: Path, *entries: dict[str, str], project: str | None = "p") -> tuple[int, CloudLog]:
    """Log all, and count what was not taken."""
    with open_log(tmp_path, project) as log:
        log.write(entries)
        return log.flush(ENOUGH), log


def test_an_entry_is_as_in_the_log_of_the_operation(fake: CloudLoggingFake, tmp_path: Path) -> None:
    assert send(tmp_path, line())[0] == 0
    [entry] = fake.entries
    assert entry.pop("insertId").startswith("17-")
    assert entry == {
        "logName": "projects/p/logs/dicombq",
        "resource": {"type": "global", "labels": {"project_id": "p"}},
        "labels": {"operation": "17", **LABELS},
        "timestamp": "2026-01-02T03:04:01.000001Z",
        "severity": "ERROR",
        "jsonPayload": line(),
    }


def test_without_a_project_it_is_that_of_the_credentials(fake: CloudLoggingFake, tmp_path: Path) -> None:
    assert send(tmp_path, line(), project=None)[0] == 0
    assert fake.entries[0]["logName"] == "projects/default-project/logs/dicombq"
    assert fake.entries[0]["resource"]["labels"] == {"project_id": "default-project"}


def test_credentials_without_a_project_are_a_reason(fake: CloudLoggingFake, tmp_path: Path) -> None:
    write_key(tmp_path / "key.json", None)
    missing, log = send(tmp_path, line(), project=None)
    assert missing == 1
    assert log.error.message == "the credentials name no project: give --project"


def test_where_nothing_is_logged_nothing_is_asked_for(fake: CloudLoggingFake, tmp_path: Path) -> None:
    assert send(tmp_path)[0] == 0
    assert fake.requests == []
    assert not (tmp_path / "noted").exists()


def test_what_is_logged_again_is_not_sent_again(fake: CloudLoggingFake, tmp_path: Path) -> None:
    send(tmp_path, line("/a", 1), line("/b", 2), line("/c", 3))
    missing, _ = send(tmp_path, line("/c", 7), line("/a", 7), line("/d", 8), line("/b", 9), line("/a", 9, tag="x"))
    assert missing == 0
    assert [(said["uri"], said["time"][-10:-8]) for said in fake.payloads] == [
        ("/a", "01"),
        ("/b", "02"),
        ("/c", "03"),
        ("/d", "08"),
        ("/a", "09"),
    ]
    before = len(fake.requests)
    assert send(tmp_path, line("/b", 12))[0] == 0
    assert len(fake.requests) == before


def test_an_operation_that_ends_twice_in_the_same_way_says_so_twice(fake: CloudLoggingFake, tmp_path: Path) -> None:
    send(tmp_path, line(LABELS["target"], 1))
    send(tmp_path, line(LABELS["target"], 2))
    assert len(fake.entries) == 2


def test_what_was_not_taken_is_sent_when_it_is_logged_again(fake: CloudLoggingFake, tmp_path: Path) -> None:
    fake.faults.always = 400
    assert send(tmp_path, line("/a"))[0] == 1
    fake.faults.always = 0
    assert send(tmp_path, line("/a"))[0] == 0
    assert len(fake.entries) == 1


@pytest.mark.parametrize("answer", [None, 429, 503])
def test_a_request_is_tried_again_and_its_entries_are_there_once(
    fake: CloudLoggingFake, tmp_path: Path, answer: int | None
) -> None:
    fake.faults.answers.append(answer)
    assert send(tmp_path, line("/a"), line("/b"))[0] == 0
    assert len(fake.requests) >= 2
    assert sorted(said["uri"] for said in fake.payloads) == ["/a", "/b"]


def test_a_request_has_at_most_a_thousand_entries(fake: CloudLoggingFake, tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.write(lines(2500))
    with log:
        assert log.flush(ENOUGH) == 0
    assert [len(request["entries"]) for request in fake.requests] == [1000, 1000, 500]
    assert len(fake.entries) == 2500


def test_a_request_and_an_entry_stay_below_their_limits(fake: CloudLoggingFake, tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.write([line(f"/{number}/" + "\N{GRINNING FACE}" * 50_000, message="x" * 50_000) for number in range(200)])
    with log:
        assert log.flush(ENOUGH) == 0
    assert len(fake.entries) == 200
    assert len(fake.requests) > 1
    assert {len(said["uri"]) for said in fake.payloads} == {10_000}


def test_without_a_permission_nobody_asks_again(fake: CloudLoggingFake, tmp_path: Path) -> None:
    fake.faults.always = 403
    with open_log(tmp_path) as log:
        log.write([line("/a")])
        assert log.flush(ENOUGH) == 1
        log.write([line("/b")])
        assert log.flush(ENOUGH) == 2
    assert isinstance(log.error, NotPermitted)
    assert log.error.message == "it is not permitted: grant roles/logging.logWriter on the project"
    assert len(fake.requests) == 1


def test_without_credentials_nothing_is_sent(
    fake: CloudLoggingFake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS")
    missing, log = send(tmp_path, line("/a"), line("/b"))
    assert missing == 2
    assert isinstance(log.error, NotAuthenticated)
    assert log.error.message == "there are no usable Google Cloud credentials"


@pytest.mark.parametrize("status", [400, 401])
def test_a_refusal_is_counted_and_the_next_request_is_made(fake: CloudLoggingFake, tmp_path: Path, status: int) -> None:
    fake.faults.always = status
    missing, log = send(tmp_path, line("/a"))
    assert missing == 1
    assert log.error.message == (
        "the server answered 400" if status == 400 else "there are no usable Google Cloud credentials"
    )


def test_a_server_that_recovers_gets_what_comes_then(
    fake: CloudLoggingFake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloud_logging, "RETRY", 0.1)
    fake.faults.always = 503
    with open_log(tmp_path) as log:
        log.write([line("/a")])
        assert log.flush(ENOUGH) == 1
        assert log.error.message == "the server answered 503"
        fake.faults.always = 0
        log.write([line("/b")])
        assert log.flush(ENOUGH) == 1
    assert [said["uri"] for said in fake.payloads] == ["/b"]


def test_a_network_that_is_down_is_a_reason(
    fake: CloudLoggingFake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloud_logging, "RETRY", 0.1)
    monkeypatch.setenv(cloud_logging.ENDPOINT, "http://127.0.0.1:1")
    missing, log = send(tmp_path, line("/a"))
    assert missing == 1
    assert isinstance(log.error, Temporary)
    assert log.error.message == "no connection (ConnectionError)"


def test_the_reason_is_known_while_a_request_is_tried_again(
    fake: CloudLoggingFake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(cloud_logging.ENDPOINT, "http://127.0.0.1:1")
    with open_log(tmp_path) as log:
        log.write([line("/a")])
        while log.error.message == "it did not answer in time":
            assert log.flush(0.01) == 1
    assert log.error.message == "no connection (ConnectionError)"


def test_a_server_that_does_not_answer_is_not_waited_for(
    fake: CloudLoggingFake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloud_logging, "RETRY", 0.1)
    fake.faults.stalled = True
    with open_log(tmp_path) as log:
        log.write(lines(3))
        assert log.flush(0.01) == 3
        assert log.error.message == "it did not answer in time"
        fake.close()


def test_ctrl_c_ends_the_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_event: object, _timeout: float) -> None:
        raise KeyboardInterrupt

    log = open_log(tmp_path)
    log.write(lines(3))
    with monkeypatch.context() as patch:
        patch.setattr("threading.Event.wait", interrupt)
        assert log.flush(ENOUGH) == 3


def test_more_than_a_slow_server_takes_is_counted_and_not_kept(
    fake: CloudLoggingFake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloud_logging, "MAX_WAITING", 2)
    log = open_log(tmp_path)
    log.write(lines(5))
    with log:
        assert log.flush(ENOUGH) == 3
    assert len(fake.entries) == 2


def test_what_was_taken_before_does_not_wait(
    fake: CloudLoggingFake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(tmp_path, *lines(5))
    monkeypatch.setattr(cloud_logging, "MAX_WAITING", 1)
    log = open_log(tmp_path)
    log.write([*lines(5), line("/new")])
    with log:
        assert log.flush(ENOUGH) == 0
    assert len(fake.entries) == 6


def test_a_full_disk_does_not_keep_entries_from_being_sent(
    fake: CloudLoggingFake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_path: Path, mode: str) -> IO[Any]:
        return Path("/dev/full").open(mode)

    (tmp_path / "noted").touch()
    monkeypatch.setattr(cloud_logging, "open_private", full)
    assert send(tmp_path, line())[0] == 0
    assert len(fake.entries) == 1


def test_a_folder_that_is_gone_is_a_reason(fake: CloudLoggingFake, tmp_path: Path) -> None:
    missing, log = send(tmp_path / "gone", line())
    assert missing == 1
    assert log.error.message == "it could not be used (FileNotFoundError)"


def test_a_name_that_is_no_text_is_spelled_out(fake: CloudLoggingFake, tmp_path: Path) -> None:
    with CloudLog("p", "17", {"store": "s\udcff"}, tmp_path / "noted") as log:
        log.write([line()])
        assert log.flush(ENOUGH) == 0
    assert fake.entries[0]["labels"]["store"] == "s\\xff"


@pytest.mark.parametrize("module", ["google.cloud.logging_v2", "google.cloud"])
def test_it_is_known_whether_the_client_is_installed(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    assert cloud_logging.is_installed()
    monkeypatch.delitem(sys.modules, "google.cloud.logging_v2", raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    assert not cloud_logging.is_installed()
