"""local-bigquery, a server that knows nothing of this project, as a process of its own."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.processes import free_port, running

EXECUTABLE = os.environ.get("DICOMBQ_LOCAL_BIGQUERY")
"""Read early: the fixture `home` hides it."""

MISSING = "DICOMBQ_LOCAL_BIGQUERY does not name local-bigquery's executable"


class LocalBigQuery(NamedTuple):
    """A server that runs; `address` is of the Storage Write API, by gRPC."""

    url: str
    address: str


@contextlib.contextmanager
def serve(executable: str, folder: Path, gcs_url: str) -> Iterator[LocalBigQuery]:
    """Run the server until the end of the block.

    Parameters
    ----------
    gcs_url
        Of the server that it takes for Cloud Storage; it wants one, used or not.
    """
    url, grpc_port = f"http://127.0.0.1:{free_port()}", free_port()
    ports = ["--port", url.rpartition(":")[2], "--grpc-port", str(grpc_port)]
    command = [executable, "serve", "--host", "127.0.0.1", *ports, "--data-dir", str(folder / "data")]
    emulator = {"STORAGE_EMULATOR_HOST": gcs_url}
    with running(command, f"{url}/bigquery/v2/projects/p/datasets", folder / "log", emulator):
        yield LocalBigQuery(url, f"127.0.0.1:{grpc_port}")
