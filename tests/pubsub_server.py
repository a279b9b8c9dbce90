"""Google's own emulator of Pub/Sub, a process of its own; fake-gcs-server tells it what happens in its buckets."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import google.cloud.pubsub_v1 as pubsub  # type: ignore[import-untyped]  # it has no types
import pytest

from tests import gcs_server
from tests.gcs_server import GcsBucket
from tests.processes import free_port, running

EXECUTABLE = Path(
    os.environ.get("DICOMBQ_PUBSUB_EMULATOR")
    or "/usr/lib/google-cloud-sdk/platform/pubsub-emulator/bin/cloud-pubsub-emulator"
)
MISSING = (
    f"Google's emulator of Pub/Sub ([{EXECUTABLE}]; DICOMBQ_PUBSUB_EMULATOR names another place) or Java is missing"
)
IS_THERE = EXECUTABLE.exists() and shutil.which("java") is not None

_PROJECT, _TOPIC = "p", "objects"


@dataclass(frozen=True)
class Telling:
    """A server of buckets, and the emulator to which it tells what happens in them.

    Parameters
    ----------
    host
        The emulator's, for PUBSUB_EMULATOR_HOST.
    """

    gcs_url: str
    host: str

    def create(self, name: str) -> GcsBucket:
        """Make an empty bucket, and a subscription of a name."""
        with pubsub.SubscriberClient() as client:
            topic = f"projects/{_PROJECT}/topics/{_TOPIC}"
            client.create_subscription(name=name, topic=topic)
        return GcsBucket.create(self.gcs_url)


@contextlib.contextmanager
def serve(folder: Path) -> Iterator[Telling]:
    """Run both until the end of the block."""
    host = f"127.0.0.1:{free_port()}"
    command = [str(EXECUTABLE), "--host=127.0.0.1", f"--port={host.rpartition(':')[2]}"]
    told = {
        "event.pubsub-project-id": _PROJECT,
        "event.pubsub-topic": _TOPIC,
        "event.list": "finalize,delete,metadataUpdate",
    }
    with running(command, f"http://{host}", folder / "pubsub.log"), pytest.MonkeyPatch.context() as patch:
        patch.setenv("PUBSUB_EMULATOR_HOST", host)  # which the clients and fake-gcs-server read
        with pubsub.PublisherClient() as publisher:
            publisher.create_topic(name=f"projects/{_PROJECT}/topics/{_TOPIC}")
        with gcs_server.serve(gcs_server.EXECUTABLE, folder, told) as url:
            yield Telling(url, host)
