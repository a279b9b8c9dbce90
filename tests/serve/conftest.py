from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from dicombq.serve.app import build
from dicombq.serve.settings import Settings

Serve = Callable[..., TestClient]


@pytest.fixture
def serve(home: Path) -> Iterator[Serve]:
    """Serve HOME in this process, with some settings."""
    home.mkdir(mode=0o700, exist_ok=True)
    with ExitStack() as stack:

        def make(**settings: Any) -> TestClient:
            app = build(Settings(home, **settings))
            return stack.enter_context(TestClient(app, "http://127.0.0.1:8085", raise_server_exceptions=False))

        yield make


@pytest.fixture
def client(serve: Serve) -> TestClient:
    """A client of a server with the usual settings."""
    return serve()
