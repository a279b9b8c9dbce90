"""SIGKILL at any moment while instances arrive in a server or a bucket, are overwritten and go: nothing is lost."""

from __future__ import annotations

import random
import signal
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pytest

from tests.fakes.bigquery import BigQueryFake
from tests.gcs_server import GcsBucket
from tests.instances import ROOT
from tests.orthanc_server import Orthanc
from tests.pubsub_server import Telling
from tests.streaming.conftest import Lab, bytes_of, lab_of
from tests.streaming.running import KILLS, running, runs, wait_for
from tests.streaming.tables import bigquery_table, check_history, rows_of, view_of

_NUMBERS = 40


class Sender(Protocol):
    """Puts instances into a store, and takes them away."""

    options: tuple[str, ...]

    def send(self, number: int, data: bytes) -> None:
        """Put one there, in place of the one that is there."""

    def delete(self, number: int) -> None:
        """Take one away."""


@dataclass
class Modality:
    """Sends to an Orthanc by C-STORE, and deletes over its REST API."""

    orthanc: Orthanc
    folder: Path
    options: tuple[str, ...] = ()

    def send(self, number: int, data: bytes) -> None:
        """Send one."""
        self.folder.mkdir(exist_ok=True)
        (self.folder / "1.dcm").write_bytes(data)
        self.orthanc.send(self.folder)

    def delete(self, number: int) -> None:
        """Delete one."""
        self.orthanc.delete_instances([f"{ROOT}.1.1.{number}"])


@dataclass
class Uploader:
    """Writes and deletes objects of a bucket."""

    bucket: GcsBucket
    options: tuple[str, ...] = ()

    def send(self, number: int, data: bytes) -> None:
        """Write one."""
        self.bucket.put(f"{number}.dcm", data)

    def delete(self, number: int) -> None:
        """Delete one."""
        self.bucket.delete(f"{number}.dcm")


@dataclass
class Traffic:
    """What goes on in a store.

    Parameters
    ----------
    present
        What each instance there tells.
    """

    sender: Sender
    make: Callable[[int, str], bytes]
    chance: random.Random = field(default_factory=lambda: random.Random(7))
    present: dict[int, str] = field(default_factory=dict)

    def go_on(self) -> None:
        """Let something happen."""
        if self.present and self.chance.random() < 0.3:
            number = self.chance.choice(list(self.present))
            del self.present[number]
            self.sender.delete(number)
            return
        number = self.chance.randrange(1, _NUMBERS)
        self.present[number] = str(time.monotonic_ns())
        self.sender.send(number, self.make(number, self.present[number]))


def run_and_kill(lab: Lab, traffic: Traffic, seconds: float) -> None:
    """Run the stream while things happen, then kill it."""
    with running(lab, "--interval=1s", *traffic.sender.options) as process:
        wait_for(lambda: runs(lab))
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            traffic.go_on()
        process.send_signal(signal.SIGKILL)


def check(lab: Lab, traffic: Traffic) -> None:
    """Kill the stream again and again; in the end each table has told all of it once."""
    tables = (lab.table, bigquery_table())
    lab.follow(tables=tables)
    for _ in range(KILLS if KILLS == 100 else KILLS // 5):  # a sample, if not all are asked for
        run_and_kill(lab, traffic, traffic.chance.uniform(0.0, 2.5))
    lab.sync("--max-delete=100%")
    assert lab.code == 0
    for table in tables:
        check_history(rows_of(table))
        view = view_of(table)
        shown = {int(row["SOPInstanceUID"].rpartition(".")[2]): row["StudyDescription"] for row in view}
        assert shown == traffic.present
    lab.sync()
    assert (lab.code, lab.err) == (0, "")


def traffic_of(sender: Sender, tmp_path: Path) -> Traffic:
    return Traffic(sender, lambda number, text: bytes_of(tmp_path, number, text))


def test_of_an_orthanc_nothing_is_lost(
    orthanc: Orthanc, bigquery: BigQueryFake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    traffic = traffic_of(Modality(orthanc, tmp_path / "outbox"), tmp_path)
    traffic.go_on()
    check(lab_of(orthanc, tmp_path, capsys), traffic)


def test_of_a_bucket_nothing_is_lost(
    gcs_bucket: GcsBucket, bigquery: BigQueryFake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    traffic = traffic_of(Uploader(gcs_bucket), tmp_path)
    traffic.go_on()
    check(lab_of(gcs_bucket, tmp_path, capsys), traffic)


def test_of_a_bucket_with_notifications_nothing_is_lost(
    telling: Telling, bigquery: BigQueryFake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    subscription = f"projects/p/subscriptions/k-{uuid.uuid4().hex}"
    bucket = telling.create(subscription)
    traffic = traffic_of(Uploader(bucket, (f"--subscription={subscription}",)), tmp_path)
    traffic.go_on()
    check(lab_of(bucket, tmp_path, capsys), traffic)
