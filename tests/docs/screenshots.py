"""The pictures of the console: made in Chromium by ``python -m tests.docs.screenshots``."""

from __future__ import annotations

import base64
import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from tests import chromium
from tests.archive import write_archive
from tests.docs.pages import DOCS
from tests.processes import free_port, running
from tests.serve.console.driving import Page

PICTURES = DOCS / "screenshots"
_WIDE, _NARROW = 1200, 390
_TALLEST = 1300
_STORE = "/projects/local/locations/local/datasets/dicom/dicomStores/scans"
_QUESTION = """SELECT Modality, COUNT(DISTINCT StudyInstanceUID) AS Studies, COUNT(*) AS Instances
FROM instances
GROUP BY Modality
ORDER BY Instances DESC"""


def take() -> None:
    """Make all pictures anew."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, _console(Path(folder)) as page:
        page.go(f"{_STORE}/export")
        page.enter("Table name", "scans")
        page.until(lambda: page.find("#table-check .bad"))
        _save(page, "export")
        page.enter("Table name", "january")
        page.until(lambda: page.find("#table-check .good"))
        page.click("Export")
        page.until(lambda: page.find(".big h3").text == "OK")
        _save(page, "operation", dark=True)
        page.go(_STORE)
        page.until(lambda: page.find("#streaming .status.good"))
        page.until(lambda: page.find("#streaming td.moment").text.startswith("20"))
        _save(page, "store")
        page.go("/query?table=dicom.scans")
        page.enter("Question", _QUESTION)
        page.click("Run")
        page.until(lambda: page.find("#result-title"))
        _save(page, "query", width=_NARROW, dark=True)


@contextlib.contextmanager
def _console(folder: Path) -> Iterator[Page]:
    """Serve an archive that was exported, and that a table follows."""
    home = folder / "home"
    environment = {"HOME": str(folder), "DICOMBQ_HOME": str(home), "TZ": "UTC"}
    write_archive(folder / "scans")
    table = f"duckdb://{home}/warehouse.duckdb/dicom.latest"
    for arguments in (
        ["dicom-stores", "create", "scans", f"--source={folder}/scans"],
        ["export", "bq", "scans"],
        ["stream", "configure", "scans", f"--bq-table={table}"],
        ["stream", "sync", "scans"],
    ):
        command = [sys.executable, "-m", "dicombq", *arguments]
        subprocess.run(command, env={**os.environ, **environment}, check=True, capture_output=True)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    served = [sys.executable, "-m", "dicombq", "serve", f"--port={port}"]
    profile = folder / "browser"
    profile.mkdir()
    with running(served, f"{url}/healthz", folder / "log", environment), chromium.browse(profile) as browser:
        yield Page(browser, url)


def _save(page: Page, name: str, *, width: int = _WIDE, dark: bool = False) -> None:
    """Save a picture of a page from its top, with the usual folders in place of those that were made for it."""
    browser = page.browser
    chromium.set_scheme(browser, "dark" if dark else "light")
    chromium.set_size(browser, width, 600)
    _rename(browser)
    height = browser.execute_script("return document.documentElement.scrollHeight")
    chromium.set_size(browser, width, min(height, _TALLEST))
    shot = browser.execute_cdp_cmd("Page.captureScreenshot", {"format": "png", "optimizeForSpeed": False})
    (PICTURES / f"{name}.png").write_bytes(base64.b64decode(shot["data"]))
    chromium.set_scheme(browser, "light")
    chromium.set_size(browser, _WIDE, 900)


def _rename(browser: Chrome) -> None:
    home = browser.find_element(By.CSS_SELECTOR, "footer code").get_attribute("textContent") or ""
    names = [[home, "/home/me/.local/share/dicombq"], [str(Path(home).parent / "scans"), "/archive/scans"]]
    names.append([browser.current_url.split("/")[2], "127.0.0.1:8085"])
    browser.execute_script(
        """
        document.activeElement.blur();
        const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
        while (walker.nextNode())
          for (const [made, usual] of arguments[0])
            walker.currentNode.textContent = walker.currentNode.textContent.replaceAll(made, usual);
        """,
        names,
    )


if __name__ == "__main__":
    take()
