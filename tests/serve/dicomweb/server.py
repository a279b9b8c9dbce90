"""``dicombq serve`` as a process of its own, with a store in it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dicombq.names import Parent, StoreName
from dicombq.stores.registry import RegisteredStore, StoreRegistry
from tests.processes import free_port, running, wait_until_it_answers

NAME = StoreName(Parent(), "scans")


@dataclass(frozen=True)
class Served:
    """A store that a server serves.

    Parameters
    ----------
    url
        Of its DICOMweb.
    """

    url: str
    folder: Path
    log: Path


@contextlib.contextmanager
def served(home: Path, *flags: str, source: str = "") -> Iterator[Served]:
    """Serve a store; a managed one, unless a source is named."""
    home.mkdir(mode=0o700, exist_ok=True)
    registry = StoreRegistry(home)
    store = registry.find(NAME) or registry.create(RegisteredStore(NAME, source))
    port = free_port()
    command = [sys.executable, "-m", "dicombq", "serve", f"--port={port}", *flags]
    log = home.parent / f"serve-{port}.log"
    with running(command, f"http://127.0.0.1:{port}/healthz", log, {"DICOMBQ_HOME": str(home)}):
        yield Served(f"http://127.0.0.1:{port}/v1/{NAME}/dicomWeb", Path(store.source), log)


@contextlib.contextmanager
def killable(home: Path) -> Iterator[tuple[Served, subprocess.Popen[bytes]]]:
    """Serve a managed store by a process that may be killed."""
    home.mkdir(mode=0o700, exist_ok=True)
    registry = StoreRegistry(home)
    store = registry.find(NAME) or registry.create(RegisteredStore(NAME, ""))
    port = free_port()
    command = [sys.executable, "-m", "dicombq", "serve", f"--port={port}"]
    log = home.parent / "serve.log"
    environment = {**os.environ, "DICOMBQ_HOME": str(home)}
    with log.open("ab") as out, subprocess.Popen(command, env=environment, stderr=out) as process:
        try:
            wait_until_it_answers(f"http://127.0.0.1:{port}/healthz", process)
            yield Served(f"http://127.0.0.1:{port}/v1/{NAME}/dicomWeb", Path(store.source), log), process
        finally:
            process.kill()
