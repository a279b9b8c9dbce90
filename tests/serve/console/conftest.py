"""A server as a process of its own, with a HOME of its own, and browsers that look at it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from selenium.webdriver import Chrome

from dicombq.names import Parent, StoreName
from dicombq.stores.registry import RegisteredStore, StoreRegistry
from tests import chromium
from tests.archive import write_archive
from tests.cli.gate import Gate
from tests.processes import free_port, running
from tests.serve.console.driving import Page

DATASET = f"/{Parent()}"


@dataclass(frozen=True)
class Console:
    """A server with its stores.

    Parameters
    ----------
    gate
        Exports stop at it while it is closed.
    """

    url: str
    home: Path
    gate: Gate
    folder: Path

    @property
    def first(self) -> str:
        """The ID of the first operation."""
        return self.gate.store.list()[0][-1].id

    def create(self, name: str, source: Path) -> str:
        """Register a store; give its address."""
        store = StoreName(Parent(), name)
        StoreRegistry(self.home).create(RegisteredStore(store, str(source)))
        return f"/{store}"


@pytest.fixture(scope="session")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """A server with the store `scans`, which was exported to dicom.scans; exports go through at once."""
    if not chromium.IS_THERE:
        pytest.skip(chromium.MISSING)
    folder = tmp_path_factory.mktemp("console")
    home = folder / "home"
    home.mkdir(mode=0o700)
    with pytest.MonkeyPatch.context() as environment:
        for name in list(os.environ):
            if name.startswith(("DICOMBQ_", "GOOGLE_", "BIGQUERY_", "STORAGE_", "AWS_")):
                environment.delenv(name)
        environment.setenv("DICOMBQ_HOME", str(home))
        gate = Gate(folder, home, environment)
        gate.open()
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "dicombq", "serve", f"--port={port}"]
        with running(command, f"{url}/healthz", folder / "log"):
            console = Console(url, home, gate, folder)
            console.create("scans", write_archive(folder / "scans"))
            subprocess.run([sys.executable, "-m", "dicombq", "export", "bq", "scans"], check=True, capture_output=True)
            yield console


@pytest.fixture(scope="session")
def with_scripts(console: Console, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with chromium.browse(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture(scope="session")
def without_scripts(console: Console, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with chromium.browse(tmp_path_factory.mktemp("browser"), scripts=False) as browser:
        yield browser


@pytest.fixture
def page(console: Console, with_scripts: Chrome) -> Iterator[Page]:
    """A page with JavaScript."""
    yield from _page(console, with_scripts)


@pytest.fixture
def plain_page(console: Console, without_scripts: Chrome) -> Iterator[Page]:
    """A page without JavaScript."""
    yield from _page(console, without_scripts)


@pytest.fixture(params=["with_scripts", "without_scripts"])
def any_page(console: Console, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page with JavaScript, and one without."""
    yield from _page(console, request.getfixturevalue(request.param))


def _page(console: Console, browser: Chrome) -> Iterator[Page]:
    page = Page(browser, console.url)
    page.go("/")
    browser.get_log("browser")  # type: ignore[no-untyped-call]  # selenium lacks it
    yield page
    told = [entry["message"] for entry in browser.get_log("browser")]  # type: ignore[no-untyped-call]  # as above
    assert [text for text in told if "status of 4" not in text] == []  # nothing was refused or went wrong
