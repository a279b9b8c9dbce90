"""The console as a person uses it, in Chromium: the numbered steps of the guides, and what goes wrong on the way."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from dicombq.names import Parent, StoreName
from dicombq.operations.state import State
from dicombq.stores.registry import StoreRegistry
from tests import chromium
from tests.instances import write_instance
from tests.serve.console.conftest import DATASET, Console
from tests.serve.console.driving import Page, words

INSTANCES = 18


def rows(console: Console, table: str) -> int:
    with duckdb.connect(str(console.home / "warehouse.duckdb"), read_only=True) as connection:
        found = connection.execute(f"SELECT count(*) FROM dicom.{table}").fetchone()
    return found[0] if found else 0


def open_export(page: Page) -> None:
    page.go("/")
    page.click("dicom")
    page.click("Actions for scans")
    page.click("Export")


def wait_for(page: Page, state: str) -> None:
    """Wait until an operation's page says how it is; without JavaScript by its link."""

    refresh(page, lambda: page.find(".big h3").text == state)


def refresh(page: Page, is_so: Callable[[], bool]) -> None:
    """Wait until a page that moves says something; without JavaScript it is loaded again."""

    def look() -> bool:
        found = is_so()
        if not (found or page.has_scripts):
            page.browser.refresh()
        return found

    page.until(look)


def test_the_steps_of_the_guide_export_a_store_to_a_table(console: Console, any_page: Page) -> None:
    page = any_page
    table = f"guide_{page.unique}"
    page.go("/")  # 1
    assert page.heading == "Datasets"
    page.click("dicom")  # 2
    page.click("Actions for scans")  # 3
    page.click("Export")
    assert page.heading == "Export DICOM store"  # 4
    page.field("BigQuery Table").click()
    assert page.options("Project")[0] == f"Embedded warehouse ({console.home}/warehouse.duckdb)"  # 5
    page.choose("Project", page.options("Project")[0])
    page.choose("Dataset ID", page.options("Dataset ID")[0])  # 6
    page.enter("Table name", table)  # 7
    if not page.has_scripts:
        page.click("Check the choices")
    page.until(lambda: page.check("table") == "A new table")
    assert page.check("project").endswith("made when they are needed")
    assert page.find("#dataset-check .good")
    page.click("Export")  # 8
    wait_for(page, "OK")  # 9
    identity = page.path.rpartition("/")[2]
    assert page.find("section.state h2").text == "Long-running operation status"
    assert page.find(".big h3 + svg.icon.good").is_displayed()
    overview = page.find("section[aria-labelledby=overview-title] tbody tr")
    assert words(overview).startswith(f"{identity} OK Export to a table scans duckdb://")
    assert overview.find_element(By.CSS_SELECTOR, ".status svg.icon.good").is_displayed()
    assert rows(console, table) == INSTANCES
    page.click("dicom")
    page.click("Operations")
    row = page.words("tbody tr")
    assert row.startswith(f"{identity} OK Export to a table scans ")
    assert f" {INSTANCES} 0 " in row


def test_each_choice_is_checked_as_it_is_made(console: Console, page: Page) -> None:
    open_export(page)
    page.enter("Table name", "scans")
    page.until(lambda: "dicom.scans] exists already" in page.find("#table-check .bad").text)
    page.choose("If the table exists", "Overwrite it")
    page.until(lambda: page.check("table").startswith("Exists, rows"))
    page.enter("Table name", "no-name")
    page.until(lambda: "characters other than letters" in page.find("#table-check .bad").text)
    page.choose("Project", "Another project or file…")
    page.enter("Its name", "duckdb:///nowhere/x.duckdb")
    page.until(lambda: "no folder for the warehouse" in page.find("#project-check .bad").text)
    page.enter("Its name", f"duckdb://{console.folder}/other.duckdb")
    page.until(lambda: page.find("#project-check .good"))
    assert page.options("Dataset ID") == ["dicom (new)", "Another dataset…"]
    page.choose("Dataset ID", "Another dataset…")
    page.enter("Its ID", "mine")
    page.until(lambda: page.check("dataset") == "Will be made")
    page.enter("Table name", "ours")
    page.until(lambda: page.find("#table-check .good"))
    page.click("Export")
    wait_for(page, "OK")
    assert (console.folder / "other.duckdb").exists()


def test_a_table_that_exists_and_a_wrong_name_are_refused_on_the_form(console: Console, plain_page: Page) -> None:
    page = plain_page
    before = rows(console, "scans")
    for name, reason in (
        ("no.name", "characters other than letters, digits and underscores"),
        ("", "enter a table name"),
        ("scans", "exists already: choose what to do with it"),
    ):
        open_export(page)
        page.enter("Table name", name)
        page.click("Export")
        problem = page.until(lambda: page.find(".problem"))
        assert reason in problem.text
        assert page.browser.switch_to.active_element == problem
        assert page.value("Table name") == name
    assert rows(console, "scans") == before
    page.choose("If the table exists", "Append to it")
    page.click("Export")
    wait_for(page, "OK")
    assert rows(console, "scans") == before + INSTANCES


def test_an_export_that_fails_leads_to_its_log(console: Console, page: Page) -> None:
    with duckdb.connect(str(console.home / "warehouse.duckdb")) as connection:
        connection.execute("CREATE OR REPLACE TABLE dicom.of_texts (StudyDate VARCHAR)")
    open_export(page)
    page.enter("Table name", "of_texts")
    page.choose("If the table exists", "Append to it")
    page.click("Export")
    wait_for(page, "Failed")
    assert "the column [StudyDate] is STRING" in page.find(".state .error").text.replace("The", "the")
    page.click("Actions")
    page.click("View details in the log")
    assert page.heading == "Log"
    assert page.words("tbody tr").startswith("ERROR the column [StudyDate] is STRING")


def test_instances_that_cannot_be_read_are_found_in_the_log(console: Console, plain_page: Page) -> None:
    page = plain_page
    name = f"broken_{page.unique}"
    folder = console.folder / name
    for number in range(1, 4):
        write_instance(folder / f"{number}.dcm", number)
        cut = (folder / f"{number}.dcm").read_bytes()[:-4]
        (folder / f"cut{number}.dcm").write_bytes(cut)
    page.go(console.create(name, folder))
    page.click("Export")
    page.enter("Table name", name)
    page.click("Export")
    wait_for(page, "OK")
    assert page.find(".tiles .bad").text == "Failed\n3"
    page.click("The log says why, for each")
    assert "3 x " in page.words("tbody tr")
    page.choose("Show", "Every entry")
    page.enter("Search", "cut2")
    page.choose("Severity", "ERROR")
    page.click("Search")
    assert [text.endswith("cut2.dcm") for text in page.texts("tbody td code.uri")] == [True]
    assert "cut2" not in page.path
    page.enter("Search", "nothing is like this")
    page.click("Search")
    assert "No entry is like that." in page.text


def test_counters_move_until_the_end_is_told(console: Console, page: Page) -> None:
    console.gate.close()
    try:
        open_export(page)
        page.enter("Table name", "moving")
        page.click("Export")
        wait_for(page, "Loading")
        page.until(lambda: page.find(".tiles").text.startswith(f"Found\n{INSTANCES}"))
        page.click("dicom")
        page.click("Operations")
        page.browser.execute_script("window.isTheSame = true")
    finally:
        console.gate.open()
    page.until(lambda: " OK " in page.words("tbody tr"))
    assert page.browser.execute_script("return window.isTheSame")


def test_an_operation_is_cancelled(console: Console, plain_page: Page) -> None:
    page = plain_page
    console.gate.close()
    try:
        open_export(page)
        page.enter("Table name", "never")
        page.click("Export")
        console.gate.wait_for(State.LOADING)
        page.click("Actions")
        page.click("Cancel the operation")
        wait_for(page, "Cancelled")
    finally:
        console.gate.open()
    page.click("Actions")
    assert "Cancel the operation" not in page.text


def test_the_steps_of_the_guide_let_a_table_follow_a_store(console: Console, any_page: Page) -> None:
    page = any_page
    name = f"followed_{page.unique}"
    console.create(name, console.folder / "scans")
    page.go("/")  # 1
    page.click("dicom")  # 2
    page.click(name)  # 3
    page.click("Add new streaming configuration")  # 4
    page.click("Browse")  # 5
    assert page.find("#pane h2").text == "Select table"
    page.enter("Or a new table", name)
    page.click("Select")
    table = f"duckdb://{console.home}/warehouse.duckdb/dicom.{name}"
    assert page.value("New streaming configuration") == table
    assert page.field("Also for the instances that the store holds already").is_selected()
    page.click("Done")  # 6
    delivered = re.compile(rf"{table} Following 0 0.0 s 0 \d{{4}}-")
    refresh(page, lambda: bool(delivered.match(page.words("#streaming tbody tr"))))
    assert rows(console, name) == INSTANCES
    assert page.words("#store .tiles").startswith("Studies 11 Series 12 Instances 18 ")
    assert "Doe^Jane P-001 2023-01-05 CHEST CT " in page.words("section[aria-labelledby=studies-title]")
    page.click("Add new streaming configuration")
    page.click("Browse")
    page.until(lambda: page.find(f"input[name=listed][value={name}]")).click()
    page.until(lambda: page.find("input[name=listed]:checked"))
    if page.has_scripts:
        page.until(lambda: "Exists" in page.text)  # while that is fetched, a click is lost
    page.click("Select")
    page.click("Done")
    assert "is named twice" in page.find(".problem").text
    page.click("Cancel")
    page.click(f"Remove {table}")
    page.until(lambda: "No table follows the store." in page.find("#streaming").text)
    assert StoreRegistry(console.home).get(StoreName(Parent(), name)).stream_configs == ()


def test_a_question_is_answered_by_a_table_and_by_a_file(console: Console, any_page: Page) -> None:
    page = any_page
    page.go(f"{DATASET}/operations?first=0")
    page.click(console.first)
    page.click("Actions")
    page.click("Query the table")
    assert "FROM instances" in page.value("Question")
    page.click("Run")
    assert page.texts("thead th") == ["Modality", "Year", "Studies", "Series", "Instances"]
    assert page.texts("tbody tr")[1].startswith("CT 2004 1 1 ")
    page.enter("Question", "SELECT PatientName.Alphabetic.FamilyName AS `<b>` FROM dicom.scans ORDER BY 1 LIMIT 1")
    page.click("Run")
    assert (page.texts("thead th"), page.texts("tbody td")) == (["<b>"], ["Anonymous"])
    assert page.path == "/query"
    page.press("Download CSV")
    downloads = Path(page.browser.capabilities["chrome"]["userDataDir"])
    file = page.until(lambda: list(downloads.glob("result*.csv")))[0]
    assert list(csv.reader(file.read_text().splitlines())) == [["<b>"], ["Anonymous"]]
    file.unlink()
    page.enter("Question", "SELECT nonsense FROM instances")
    page.click("Run")
    assert "there is no column [nonsense]" in page.find(".problem").text.replace("There", "there")


def test_the_keyboard_is_enough(page: Page) -> None:
    page.go(DATASET)
    body = page.find("body")
    body.send_keys(Keys.TAB)
    skip = page.browser.switch_to.active_element
    assert skip.text == "Skip to the content"
    skip.send_keys(Keys.ENTER)
    page.until(lambda: page.browser.switch_to.active_element.get_attribute("id") == "main")
    menu = page.named("Actions for scans")
    menu.send_keys(Keys.ENTER)
    page.browser.switch_to.active_element.send_keys(Keys.TAB)
    assert page.browser.switch_to.active_element.text == "Export"
    page.browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert page.browser.switch_to.active_element == menu
    assert not page.find("a[href$=export]").is_displayed()
    menu.send_keys(Keys.ENTER, Keys.TAB)
    outline = page.browser.switch_to.active_element.value_of_css_property("outline-width")
    assert outline == "3px"
    page.browser.switch_to.active_element.send_keys(Keys.ENTER)
    page.until(lambda: page.heading == "Export DICOM store")


@pytest.fixture
def addresses(console: Console, page: Page) -> list[str]:
    """The address of every page, with something on it."""
    operation = f"{DATASET}/operations/{console.first}"
    store = f"{DATASET}/dicomStores/scans"
    return [
        "/",
        DATASET,
        f"{DATASET}/operations",
        operation,
        f"/logs{operation}",
        store,
        f"/logs{store}",
        f"{store}/export",
        f"{store}/export?table=scans",
        f"{store}/streaming",
        f"{store}/streaming?browse=yes",
        "/query?sample=modalities&table=dicom.scans",
        "/login",
        "/nowhere",
        f"{DATASET}/dicomStores/nowhere",
    ]


def test_all_pages_are_accessible_in_both_schemes(page: Page, addresses: list[str]) -> None:
    for scheme in ("light", "dark"):
        chromium.set_scheme(page.browser, scheme)
        for address in addresses:
            page.go(address)
            assert chromium.violations(page.browser) == [], address


def test_no_page_is_wider_than_a_narrow_window(page: Page, addresses: list[str]) -> None:
    chromium.set_size(page.browser, 320, 900)
    try:
        for address in addresses:
            page.go(address)
            page.browser.execute_script("document.querySelectorAll('details').forEach(menu => menu.open = true)")
            assert page.browser.execute_script("return document.documentElement.scrollWidth") == 320, address
    finally:
        chromium.set_size(page.browser, 1200, 900)


def test_a_store_that_no_table_follows_is_read_when_it_is_asked_for(console: Console, page: Page) -> None:
    page.go(console.create("unread", console.folder / "scans"))
    assert "The store was not read yet" in page.text
    page.click("Read the store")
    page.until(lambda: page.words("#store .tiles").startswith("Studies 11 Series 12 Instances 18 "))
    page.until(lambda: "11 of 11" in page.text)
