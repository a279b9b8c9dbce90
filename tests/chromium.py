"""Chromium without a window, driven through ChromeDriver: Debian's packages chromium and chromium-driver."""

from __future__ import annotations

import contextlib
import importlib.resources
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from selenium.webdriver import Chrome
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

BROWSER = shutil.which("chromium")
DRIVER = shutil.which("chromedriver")
MISSING = "Chromium and ChromeDriver are not there: apt-get install chromium chromium-driver"
IS_THERE = bool(BROWSER and DRIVER)

_FLAGS = [
    "--headless=new",
    "--no-sandbox",  # root has none
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]


@contextlib.contextmanager
def browse(profile: Path, *, scripts: bool = True) -> Iterator[Chrome]:
    """Open a browser that reaches this machine only.

    Parameters
    ----------
    profile
        An empty folder for what it keeps; downloads go there too.
    scripts
        Whether JavaScript runs.
    """
    options = Options()
    options.binary_location = BROWSER or ""
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    javascript = 1 if scripts else 2
    settings = {
        "download.default_directory": str(profile),
        "profile.managed_default_content_settings.javascript": javascript,
    }
    options.add_experimental_option("prefs", settings)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with Chrome(options, Service(DRIVER)) as browser:
        set_size(browser, 1200, 900)
        yield browser


def set_size(browser: Chrome, width: int, height: int) -> None:
    """Give the page a size in pixels."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def set_scheme(browser: Chrome, scheme: str) -> None:
    """Prefer ``light`` or ``dark``."""
    preferred = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [preferred]})


def violations(browser: Chrome) -> list[str]:
    """Name what axe-core holds to be not accessible on a page (WCAG 2.1, A and AA, and its best practices)."""
    axe = importlib.resources.files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    browser.execute_script(axe)
    found: list[dict[str, Any]] = browser.execute_async_script(
        "axe.run().then(results => arguments[arguments.length - 1](results.violations))"
    )
    return [f"{each['id']}: {node['html']}" for each in found for node in each["nodes"]]
