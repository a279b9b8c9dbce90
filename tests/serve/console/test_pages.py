"""What the console's pages answer: to browsers that send what no form of theirs sends, too."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from dicombq.names import DuckdbTable, Parent, StoreName
from dicombq.operations.state import State
from dicombq.operations.store import OperationStore
from dicombq.serve.console.pages import MAX_FORM
from dicombq.serve.security import SESSION
from dicombq.stores.registry import RegisteredStore, StoreRegistry
from dicombq.warehouses.duckdb import DuckdbWarehouse
from tests.fakes.bigquery import BigQueryFake
from tests.instances import write_instance
from tests.serve.conftest import Serve
from tests.tables import NAME, Row, make_load

TOKEN = "0123456789abcdef"
DATASET = f"/{Parent()}"
STORE = f"{DATASET}/dicomStores/scans"
AS_BROWSER = {"Accept": "text/html"}
HOSTILE = "<script>alert('x')</script>"


@pytest.fixture
def scans(home: Path, tmp_path: Path) -> Path:
    """The registered store `scans`, with an instance."""
    folder = tmp_path / "scans"
    write_instance(folder / "1.dcm", 1, PatientName=f"{HOSTILE}^Jane")
    home.mkdir(mode=0o700, exist_ok=True)
    StoreRegistry(home).create(RegisteredStore(StoreName(Parent(), "scans"), str(folder)))
    return folder


@pytest.fixture
def table(home: Path, tmp_path: Path) -> str:
    """The table d.t in the embedded warehouse, with hostile values."""
    home.mkdir(mode=0o700, exist_ok=True)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    file = home / "warehouse.duckdb"
    rows: list[Row] = [{"Name": HOSTILE}, {"Name": None}]
    DuckdbWarehouse(file).load(DuckdbTable(file, "d", "t"), make_load(scratch, rows, [NAME]))
    return "d.t"


def wait_for_end(home: Path) -> State:
    store = OperationStore(home)
    *_, last = store.follow(store.list()[0][0].id, 60)
    return last.state


@pytest.mark.parametrize("path", ["/nowhere", f"{DATASET}x", f"{DATASET}/dicomStores/x", f"{DATASET}/operations/1"])
def test_a_person_who_looks_for_what_is_not_there_is_told_by_a_page(client: TestClient, path: str) -> None:
    answer = client.get(path, headers=AS_BROWSER)
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert "<h1>Not found</h1>" in answer.text


def test_a_program_and_the_api_are_told_in_json(client: TestClient) -> None:
    assert client.get("/nowhere").json()["error"]["code"] == 404
    assert client.get("/v1/nowhere", headers=AS_BROWSER).json()["error"]["code"] == 404


def test_an_empty_home_has_the_usual_dataset(client: TestClient) -> None:
    assert f'href="{DATASET}"' in client.get("/").text
    assert "dicombq dicom-stores create" in client.get(DATASET).text
    assert "No operations yet" in client.get(f"{DATASET}/operations").text


def test_an_operation_is_found_in_its_dataset_only(client: TestClient, scans: Path, home: Path) -> None:
    begun = client.post(f"{STORE}/export", data={"dataset": "d", "table": "t"}, follow_redirects=False)
    assert begun.status_code == 303
    assert wait_for_end(home) is State.DONE
    path = begun.headers["Location"]
    assert client.get(path).status_code == 200
    assert client.get(path.replace("datasets/dicom", "datasets/other")).status_code == 404
    refused = client.post(f"{path}/cancel")
    assert refused.status_code == 400
    assert "has ended already" in refused.text


def test_what_is_shown_is_escaped(client: TestClient, scans: Path, table: str) -> None:
    pages = [
        client.post("/query", data={"sql": f"SELECT '{HOSTILE.replace(chr(39), '')}' AS `a<b>`, Name FROM {table}"}),
        client.post("/query", data={"sql": HOSTILE, "table": HOSTILE}),
        client.post(f"{STORE}/export", data={"table": HOSTILE, "dataset": HOSTILE, "project": HOSTILE}),
        client.post(f"{STORE}/export", data={"to": "files", "prefix": f"ftp://{HOSTILE}"}),
        client.post(f"{STORE}/streaming", data={"uri": HOSTILE}),
        client.get("/login", params={"next": f"/{HOSTILE}"}),
    ]
    for page in pages:
        assert "<script>alert" not in page.text
        assert "&lt;script&gt;" in page.text
        assert not re.search(r"<[^>]*\s(on\w+|style)=", page.text), "no script and no style stands in a page"


def test_a_question_is_answered_with_null_and_with_all_rows_in_the_file(client: TestClient, table: str) -> None:
    sql = f"SELECT Name, 1 AS One FROM {table} ORDER BY Name"
    page = client.post("/query", data={"sql": sql})
    assert '<span class="null">NULL</span>' in page.text
    assert '<td class="number">1</td>' in page.text
    answer = client.post("/query", data={"sql": sql, "csv": "yes"})
    assert answer.headers["Content-Disposition"] == 'attachment; filename="result.csv"'
    assert answer.text == f"Name,One\n,1\n{HOSTILE},1\n"


def test_a_long_result_is_cut_on_the_page_only(client: TestClient, table: str) -> None:
    sql = f"SELECT n FROM {table}, UNNEST(GENERATE_ARRAY(1, 700)) AS n"
    page = client.post("/query", data={"sql": sql})
    assert page.text.count("<tr><td") == 1000
    assert "the first of more" in page.text
    assert client.post("/query", data={"sql": sql, "csv": "yes"}).text.count("\n") == 1401


def test_columns_that_are_null_in_every_row_are_left_out_where_all_are_asked_for(
    client: TestClient, table: str
) -> None:
    page = client.post("/query", data={"sql": f"SELECT *, NULL AS Nothing FROM {table}"})
    assert "1 column is NULL in every row and left out" in page.text
    assert '<th scope="col">Nothing</th>' in client.post("/query", data={"sql": "SELECT NULL AS Nothing"}).text


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"sql": " "}, "No question is asked"),
        ({"sql": "SELECT"}, "problem"),
        ({"sql": "SELECT 1", "csv": "yes", "warehouse": "nonsense"}, "is not a warehouse"),
        ({"sql": "SELECT 1", "table": "./scans"}, "is not a table"),
        ({"sql": "SELECT * FROM nowhere.t", "csv": "yes"}, "there is no"),
        ({"use": "yes", "sample": "modalities"}, "the query names no table"),
    ],
)
def test_a_question_that_cannot_be_answered_is_shown_again(
    client: TestClient, table: str, fields: dict[str, str], reason: str
) -> None:
    if "sample" in fields:
        client.post("/query", data={"sql": "SELECT 1"})
        fields = fields | {"warehouse": "bq://p"}
    answer = client.post("/query", data=fields)
    assert answer.status_code in (400, 404, 500)
    assert reason.lower() in answer.text.lower()


def test_the_log_is_read_page_by_page(client: TestClient, home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    for number in range(250):
        (folder / f"{number:03}.txt").write_text("no DICOM")
    write_instance(folder / "1.dcm", 1)
    home.mkdir(mode=0o700, exist_ok=True)
    StoreRegistry(home).create(RegisteredStore(StoreName(Parent(), "texts"), str(folder)))
    begun = client.post(
        f"{DATASET}/dicomStores/texts/export", data={"dataset": "d", "table": "x"}, follow_redirects=False
    )
    assert wait_for_end(home) is State.DONE
    log = f"/logs{begun.headers['Location']}"
    assert "250 x skipped: not DICOM" in client.get(log).text
    found = [
        re.findall(r"(\d{3})\.txt", client.post(log, data={"view": "each", "first": first}).text)
        for first in (0, 100, 200)
    ]
    assert [len(page) for page in found] == [100, 100, 50]
    assert len({name for page in found for name in page}) == 250
    assert sorted(re.findall(r"(\d{3})\.txt", client.post(log, data={"view": "each", "text": "07.TXT"}).text)) == [
        "007",
        "107",
        "207",
    ]
    assert "No entry is like that" in client.post(log, data={"severity": "ERROR"}).text
    assert client.post(log, data={"first": "-1", "view": "each"}).status_code == 200


def test_files_are_exported_to_a_folder(client: TestClient, scans: Path, home: Path, tmp_path: Path) -> None:
    refused = client.post(f"{STORE}/export", data={"to": "files", "prefix": ""})
    assert refused.status_code == 400
    assert "No destination is named" in refused.text
    fields = {"to": "files", "prefix": str(tmp_path / "copy")}
    assert client.post(f"{STORE}/export", data=fields, follow_redirects=False).status_code == 303
    assert wait_for_end(home) is State.DONE
    assert len(list((tmp_path / "copy").rglob("*.dcm"))) == 1
    assert "1 file went to" in client.get(f"{DATASET}/operations/{OperationStore(home).list()[0][0].id}").text


def test_a_filter_file_is_never_standard_input(client: TestClient, scans: Path) -> None:
    answer = client.post(f"{STORE}/export", data={"dataset": "d", "table": "t", "filter": "-"})
    assert answer.status_code == 400
    assert "A filter file has a name" in answer.text


def test_a_project_on_bigquery_is_chosen_with_its_datasets(
    client: TestClient, scans: Path, bigquery: BigQueryFake
) -> None:
    fields = {"check": "yes", "project": "other", "other_project": "bq://p"}
    page = client.post(f"{STORE}/export", data=fields).text
    assert '<option value="">Select a dataset</option>' in page
    assert '<option value="d">d</option>' in page
    page = client.post(f"{STORE}/export", data=fields | {"dataset": "d", "table": "t"}).text
    assert "A new table" in page
    page = client.post(f"{STORE}/export", data=fields | {"dataset": "other", "other_dataset": "e"}).text
    assert "There is no BigQuery dataset [p.e]. Make it: bq mk --dataset p:e" in page


def test_a_read_only_server_shows_no_form_that_changes_something(serve: Serve, scans: Path, table: str) -> None:
    client = serve(read_only=True)
    for path in ("/", DATASET, STORE, f"{STORE}/export", f"{STORE}/streaming", f"{DATASET}/operations"):
        page = client.get(path).text
        assert "Read-only" in page
        assert not re.search(r"<button[^>]*>(Export|Done|Remove|Read the store)", page), path
    for path in (f"{STORE}/export", f"{STORE}/streaming", f"{STORE}/read"):
        refused = client.post(path, headers=AS_BROWSER, data={"dataset": "d", "table": "u"})
        assert refused.status_code == 403
        assert "This server is read-only." in refused.text
    assert client.post("/query", data={"sql": f"SELECT COUNT(*) FROM {table}"}).status_code == 200
    assert client.post(f"/logs{STORE}", data={"text": "x"}).status_code == 200


def test_a_form_of_another_site_is_refused(client: TestClient, scans: Path) -> None:
    for path in (f"{STORE}/export", f"{STORE}/streaming", "/query", "/login"):
        refused = client.post(path, headers=AS_BROWSER | {"Origin": "http://evil.example"}, data={"sql": "SELECT 1"})
        assert refused.status_code == 403


def test_a_browser_gives_the_token_once(serve: Serve, scans: Path) -> None:
    client = serve(token=TOKEN)
    asked = client.get(STORE, headers=AS_BROWSER)
    assert (asked.url.path, asked.url.query) == ("/login", f"next={STORE}".encode())
    assert str(scans) not in asked.text
    refused = client.post("/login", data={"token": "wrong", "next": STORE})
    assert refused.status_code == 403
    assert "not the token" in refused.text
    entered = client.post("/login", data={"token": f" {TOKEN}\n", "next": STORE}, follow_redirects=False)
    assert (entered.status_code, entered.headers["Location"]) == (303, STORE)
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(entered.headers["Set-Cookie"].split("; "))
    assert TOKEN not in entered.headers["Set-Cookie"]
    assert client.get(STORE, headers=AS_BROWSER).url.path == STORE
    client.post("/login", data={"leave": "yes"})
    assert SESSION not in client.cookies
    assert client.get(STORE, headers=AS_BROWSER).url.path == "/login"
    assert client.get("/static/console.css").status_code == 200


@pytest.mark.parametrize("place", ["http://evil.example", "//evil.example", "/\\evil.example", "", "evil"])
def test_the_login_leads_to_this_server_only(serve: Serve, place: str) -> None:
    client = serve(token=TOKEN)
    entered = client.post("/login", data={"token": TOKEN, "next": place}, follow_redirects=False)
    assert entered.headers["Location"] == "/"


def test_a_script_without_the_token_is_not_sent_to_the_login(serve: Serve) -> None:
    client = serve(token=TOKEN)
    for headers in ({"Accept": "*/*"}, AS_BROWSER | {"Sec-Fetch-Mode": "cors"}):
        assert client.get(DATASET, headers=headers).status_code == 401


def test_without_a_token_there_is_no_login(client: TestClient) -> None:
    assert client.post("/login", data={"token": "x"}, follow_redirects=False).headers["Location"] == "/"


def test_forms_that_no_page_sends_are_refused(client: TestClient) -> None:
    large = client.post("/query", content=b"sql=" + b"x" * MAX_FORM)
    assert large.status_code == 413
    for content in (b"sql=\xff%ff\xfe", b"&".join(b"a%d=1" % number for number in range(200))):
        assert client.post("/query", content=content).status_code == 400


def test_a_stream_config_needs_a_table(client: TestClient, scans: Path) -> None:
    for uri, reason in (("", "No table is named"), ("nonsense", "is not a table URI")):
        refused = client.post(f"{STORE}/streaming", data={"uri": uri})
        assert refused.status_code == 400
        assert reason in refused.text
    page = client.get(f"{STORE}/streaming", params={"browse": "yes", "select": "yes"})
    assert "Choose a table, or enter the name of a new one" in page.text


def test_what_nobody_expected_is_told_without_its_message(
    client: TestClient, scans: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> None:
        raise ValueError(HOSTILE)

    monkeypatch.setattr("dicombq.serve.console.stores.describe", fail)
    answer = client.get(STORE)
    assert answer.status_code == 500
    assert "Internal error: ValueError at test_pages.py" in answer.text
    assert "script&gt;" not in answer.text
