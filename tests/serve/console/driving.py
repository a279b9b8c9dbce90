"""A page as its user sees it: fields by their labels, links and buttons by their words."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from selenium.common.exceptions import NoSuchElementException, WebDriverException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.select import Select

T = TypeVar("T")
_PATIENCE = 60.0


@dataclass(frozen=True)
class Page:
    """The page that a browser shows."""

    browser: Chrome
    url: str

    @property
    def unique(self) -> str:
        """A word that pages of no other browser have."""
        return str(self.browser.session_id)[:8]

    @property
    def has_scripts(self) -> bool:
        """Whether JavaScript runs."""
        return bool(self.browser.find_elements(By.CSS_SELECTOR, "html.has-scripts"))

    def go(self, path: str) -> None:
        self.browser.get(f"{self.url}{path}")

    @property
    def path(self) -> str:
        return self.browser.current_url.removeprefix(self.url)

    @property
    def heading(self) -> str:
        return self.browser.find_element(By.TAG_NAME, "h1").text

    @property
    def text(self) -> str:
        return self.browser.find_element(By.TAG_NAME, "main").text

    def find(self, css: str) -> WebElement:
        return self.browser.find_element(By.CSS_SELECTOR, css)

    def texts(self, css: str) -> list[str]:
        return [element.text for element in self.browser.find_elements(By.CSS_SELECTOR, css)]

    def named(self, words: str) -> WebElement:
        """Find a link, a button or a menu by what it says."""
        path = f"//*[self::a or self::button or self::summary][normalize-space()='{words}']"
        seen = [element for element in self.browser.find_elements(By.XPATH, path) if element.is_displayed()]
        assert len(seen) == 1, f"{len(seen)} of {words!r}"
        return seen[0]

    def click(self, words: str) -> None:
        """Click on a menu, or on a link or a button that leads to another page, and wait for that."""
        before = self.find("html")
        if self.press(words) != "summary":
            self.until(lambda: _is_gone(before))

    def press(self, words: str) -> str:
        """Click on something, even if it is just being replaced; give its tag."""

        def act() -> str:
            element = self.named(words)
            tag = element.tag_name
            element.click()
            return tag

        return self.until(act)

    def words(self, css: str) -> str:
        """Read what an element says, on one line, even if it is just being replaced."""
        return self.until(lambda: [words(self.find(css))])[0]

    def field(self, label: str) -> WebElement:
        """Find a field by its label."""
        path = f"//label[normalize-space()='{label}']"
        for found in self.browser.find_elements(By.XPATH, path):
            if found.is_displayed():
                name = found.get_attribute("for")
                return self.find(f"#{name}") if name else found.find_element(By.TAG_NAME, "input")
        raise NoSuchElementException(label)

    def enter(self, label: str, text: str) -> None:
        """Type into a field, and leave it, as one does."""
        field = self.field(label)
        field.clear()
        field.send_keys(text, "\t")

    def value(self, label: str) -> str:
        return self.field(label).get_attribute("value") or ""

    def check(self, name: str) -> str:
        """Read what is said of a choice, without its mark."""
        return self.find(f"#{name}-check").text.partition("\n")[2]

    def choose(self, label: str, option: str) -> None:
        Select(self.field(label)).select_by_visible_text(option)

    def options(self, label: str) -> list[str]:
        return [option.text for option in Select(self.field(label)).options]

    def until(self, look: Callable[[], T]) -> T:
        """Wait until something is so."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                if found := look():
                    return found
            except (WebDriverException, AssertionError):  # the page that is looked at may just be replaced
                if time.monotonic() > deadline:
                    raise AssertionError(self.text) from None
            assert time.monotonic() < deadline, self.text
            time.sleep(0.05)


def words(element: WebElement) -> str:
    """Read what an element says, on one line."""
    return " ".join(element.text.split())


def _is_gone(element: WebElement) -> bool:
    try:
        element.is_enabled()
    except WebDriverException:  # it is stale, or cannot even be looked up in the page that comes
        return True
    return False
