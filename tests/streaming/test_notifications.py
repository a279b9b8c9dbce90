"""Streams of a bucket of which Pub/Sub tells, through Google's emulator and client."""

from __future__ import annotations

import contextlib
import threading
import uuid
from pathlib import Path

import pytest

from dicombq.streaming.notifications import notices
from dicombq.streaming.watch import News
from tests.gcs_server import GcsBucket
from tests.pubsub_server import Telling
from tests.streaming.conftest import Lab, bytes_of, lab_of
from tests.streaming.running import LONG, running, shows, wait_for
from tests.streaming.tables import check_history


@pytest.fixture
def subscription() -> str:
    return f"projects/p/subscriptions/s-{uuid.uuid4().hex}"


@pytest.fixture
def bucket(telling: Telling, subscription: str) -> GcsBucket:
    return telling.create(subscription)


@pytest.fixture
def lab(bucket: GcsBucket, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Lab:
    return lab_of(bucket, tmp_path, capsys)


def test_what_happens_in_a_bucket_comes_to_the_table(
    bucket: GcsBucket, subscription: str, lab: Lab, tmp_path: Path
) -> None:
    bucket.put("a/1.dcm", bytes_of(tmp_path, 1))
    bucket.put("a/2.dcm", bytes_of(tmp_path, 2))
    lab.follow()
    with running(lab, "--interval=1h", f"--subscription={subscription}") as process:
        wait_for(shows(lab, 1, 2))
        bucket.put("b/3.dcm", bytes_of(tmp_path, 3))
        wait_for(shows(lab, 1, 2, 3))
        bucket.put("a/1.dcm", bytes_of(tmp_path, 1, "second"))
        bucket.delete("a/2.dcm")
        wait_for(lambda: shows(lab, 1, 3)() and lab.told(1) == ["first", "second"])
        process.terminate()
        assert process.wait() == 0
        assert process.stderr
        assert process.stderr.read() == "Stopped.\n"
    check_history(lab.rows())


def test_what_lies_beside_the_store_is_acknowledged_and_left_alone(
    telling: Telling, bucket: GcsBucket, subscription: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket.put("a/1.dcm", bytes_of(tmp_path, 1))
    lab = lab_of(bucket, tmp_path, capsys)
    lab.elsewhere = f"{bucket.uri}/a"
    lab.follow()
    other = GcsBucket.create(telling.gcs_url)
    with running(lab, "--interval=1h", f"--subscription={subscription}"):
        wait_for(shows(lab, 1))
        other.put("a/4.dcm", bytes_of(tmp_path, 4))
        bucket.put("ab/2.dcm", bytes_of(tmp_path, 2))
        bucket.put("a/3.dcm", bytes_of(tmp_path, 3))
        wait_for(shows(lab, 1, 3))
    assert lab.told(2) == lab.told(4) == []


def test_a_sweep_finds_what_no_message_tells(bucket: GcsBucket, subscription: str, lab: Lab, tmp_path: Path) -> None:
    lab.follow()
    with running(lab, "--interval=1s", f"--subscription={subscription}") as process:
        wait_for(lambda: "FOLLOWING" in str(lab.describe()))
        silent = GcsBucket.create(bucket.client.client._connection.API_BASE_URL)
        process.kill()
    lab = Lab(tmp_path, tmp_path, lab.table, lab.capsys, silent.uri)
    lab.follow()
    with running(lab, "--interval=1s", "--subscription=projects/p/subscriptions/" + subscription.rpartition("/")[2]):
        wait_for(lambda: "FOLLOWING" in str(lab.describe()))
        silent.put("1.dcm", bytes_of(tmp_path, 1))
        wait_for(shows(lab, 1))


def test_what_could_not_be_noted_is_told_again(
    bucket: GcsBucket, subscription: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicombq.streaming.notifications._AGAIN", 0.0)
    bucket.put("1.dcm", b"1")
    with contextlib.closing(notices(subscription, bucket.client.name, threading.Event(), LONG)) as events:
        told: list[News] = []
        for number in (1, 1, 2):
            if number == 2:
                told[-1].noted()
                bucket.put("2.dcm", b"2")
            news = next(events)
            assert news
            told.append(news)
    assert [news.places for news in told] == [["1.dcm"], ["1.dcm"], ["2.dcm"]]


def test_a_subscription_that_is_not_there_ends_the_stream(bucket: GcsBucket, lab: Lab) -> None:
    lab.follow()
    with running(lab, "--subscription=projects/p/subscriptions/nowhere") as process:
        _, said = process.communicate(timeout=LONG)
    assert (process.returncode, said.count("nowhere")) == (7, 1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--subscription=nowhere"], "projects/PROJECT/subscriptions/NAME"),
        (["--subscription=projects/p/subscriptions/sub", "other"], "is for one STORE"),
    ],
)
def test_a_subscription_that_cannot_be_used_is_refused(
    gcs_bucket: GcsBucket, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    lab = lab_of(gcs_bucket, tmp_path, capsys)
    lab.follow()
    lab.run(
        "dicom-stores", "create", "other", f"--source={tmp_path}", f"--stream-configs=duckdb://{tmp_path}/o.duckdb/d.t"
    )
    lab.run("stream", "run", lab.store, *arguments)
    assert (lab.code, said in lab.err) == (2, True)


def test_only_buckets_of_google_have_one(duckdb_lab: Lab) -> None:
    duckdb_lab.follow()
    duckdb_lab.run("stream", "run", duckdb_lab.store, "--subscription=projects/p/subscriptions/sub")
    assert (duckdb_lab.code, "buckets of Google Cloud Storage only" in duckdb_lab.err) == (2, True)


def test_without_the_client_it_says_what_to_install(
    gcs_bucket: GcsBucket, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = lab_of(gcs_bucket, tmp_path, capsys)
    lab.follow()
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    lab.run("stream", "run", lab.store, "--subscription=projects/p/subscriptions/sub")
    assert (lab.code, "pip install 'dicombq[pubsub]'" in lab.err) == (4, True)
