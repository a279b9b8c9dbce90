"""local-bigquery, a server that knows nothing of this project, as a process of its own."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.processes import free_port, wait_until_it_answers

EXECUTABLE = os.environ.get("DICOMBQ_LOCAL_BIGQUERY")
"""Read early: the fixture `home` hides it."""

MISSING = "DICOMBQ_LOCAL_BIGQUERY does not name local-bigquery's executable"


@contextlib.contextmanager
def serve(executable: str, folder: Path) -> Iterator[str]:
    """Run the server until the end of the block; give its URL."""
    port, grpc_port = free_port(), free_port()
    ports = ["--port", str(port), "--grpc-port", str(grpc_port)]
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(
            [executable, "serve", "--host", "127.0.0.1", *ports, "--data-dir", str(folder / "data")],
            env={**os.environ, "STORAGE_EMULATOR_HOST": "http://127.0.0.1:4443"},  # it wants one, used or not
            stdout=log,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        url = f"http://127.0.0.1:{port}"
        try:
            wait_until_it_answers(f"{url}/bigquery/v2/projects/p/datasets", process)
            yield url
        finally:
            process.terminate()
