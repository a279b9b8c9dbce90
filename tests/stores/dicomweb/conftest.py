from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicombq.stores.dicomweb import server
from tests.fakes.dicomweb import DicomwebFake


@pytest.fixture(autouse=True)
def _no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """An environment without credentials, and sessions of the test's own that wait for nothing between attempts."""
    for name in list(os.environ):
        if name.startswith("DICOMBQ_DICOMWEB_") or name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setattr(server, "_DELAYS", (0.0,) * 3)
    server.server_at.cache_clear()
    yield
    server.server_at.cache_clear()


@pytest.fixture
def fake() -> Iterator[DicomwebFake]:
    """A server that does what the test wants."""
    with DicomwebFake() as server:
        yield server
