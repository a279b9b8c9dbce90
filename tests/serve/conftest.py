from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from dicombq.names import Parent, StoreName
from dicombq.serve.app import build
from dicombq.serve.settings import Settings
from dicombq.stores.registry import RegisteredStore, StoreRegistry
from dicombq.streaming.keeper import keepers
from tests.cli.gate import Gate
from tests.instances import write_instance
from tests.serve.processes import Server, let_end, server

Serve = Callable[..., TestClient]

PARENT = Parent("my-project", "us-central1", "my-dataset")
"""The dataset of what tests make."""


@pytest.fixture
def served(home: Path) -> Path:
    """A HOME that is there; operations that were begun in it end before the test does."""
    home.mkdir(mode=0o700)
    return home


@pytest.fixture
def gate(served: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """Where exports stop until it is opened; a server of its own process is to be started after it."""
    gate = Gate(tmp_path, served, monkeypatch)
    yield gate
    gate.open()


@pytest.fixture
def serve(served: Path) -> Iterator[Serve]:
    """Serve HOME in this process, with some settings."""
    with ExitStack() as stack:

        def make(**settings: Any) -> TestClient:
            app = build(Settings(served, **settings))
            return stack.enter_context(TestClient(app, "http://127.0.0.1:8085", raise_server_exceptions=False))

        yield make
    keepers(served).close()
    let_end()


@pytest.fixture
def client(serve: Serve) -> TestClient:
    """A client of a server with the usual settings."""
    return serve()


@pytest.fixture
def real_server(served: Path, tmp_path: Path) -> Iterator[Server]:
    """A server in a process of its own."""
    with server(tmp_path / "serve.log") as running:
        yield running
        let_end()


@pytest.fixture
def scans(served: Path, tmp_path: Path) -> Path:
    """A folder with three instances of two series, which is the store [my-store]."""
    for number in (1, 2):
        write_instance(tmp_path / "scans" / f"{number}.dcm", number)
    write_instance(tmp_path / "scans" / "3.dcm", 3, SeriesInstanceUID="1.2.3")
    StoreRegistry(served).create(RegisteredStore(StoreName(PARENT, "my-store"), str(tmp_path / "scans")))
    return tmp_path / "scans"
