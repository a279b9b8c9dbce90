"""QIDO-RS over HTTP; what matches what is in `tests/streaming/test_search.py`."""

from __future__ import annotations

import pytest

from dicombq.serve.dicomweb import search
from tests.instances import ROOT
from tests.serve.dicomweb.conftest import BASE, Web


@pytest.mark.parametrize(
    ("path", "uids"),
    [
        ("/studies", "0020000D"),
        ("/series", "0020000E"),
        (f"/studies/{ROOT}.1/series", "0020000E"),
        ("/instances", "00080018"),
        (f"/studies/{ROOT}.1/instances", "00080018"),
        (f"/studies/{ROOT}.1/series/{ROOT}.1.1/instances", "00080018"),
    ],
)
def test_each_level_is_searched_and_says_where_to_retrieve(web: Web, path: str, uids: str) -> None:
    web.store()
    answer = web.get(path)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/dicom+json")
    (found,) = answer.json()
    assert found[uids]["Value"][0].startswith(ROOT)
    url = found["00081190"]["Value"][0]
    assert url.startswith(f"http://127.0.0.1:8085{BASE}/studies/{ROOT}.1")
    assert web.client.get(url).status_code == 200


def test_what_matches_nothing_is_answered_without_a_body(web: Web) -> None:
    answer = web.get("/studies", PatientID="nobody")
    assert (answer.status_code, answer.content) == (204, b"")
    assert web.get("/studies/1.2.3/series").status_code == 204


def test_pages_follow_one_another(web: Web) -> None:
    for number in range(1, 6):
        web.store(number)
    pages = [web.get("/instances", limit="2", offset=str(at)) for at in (0, 2, 4, 6)]
    assert [page.status_code for page in pages] == [200, 200, 200, 204]
    uids = [item["00080018"]["Value"][0] for page in pages[:3] for item in page.json()]
    assert uids == [f"{ROOT}.1.1.{number}" for number in range(1, 6)]


def test_more_than_an_answer_holds_is_told(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "MOST", 2)
    for number in range(1, 4):
        web.store(number)
    answer = web.get("/instances")
    assert len(answer.json()) == 2
    assert "exceeded the maximum" in answer.headers["Warning"]
    assert len(web.get("/instances", limit="99").json()) == 2
    assert "Warning" not in web.get("/instances", offset="2").headers


def test_fuzzy_matching_is_told_not_to_be_done(web: Web) -> None:
    web.store(1, PatientName="Doe^Jane")
    assert "Warning" not in web.get("/studies", PatientName="doe*", fuzzymatching="false").headers
    assert "fuzzymatching" in web.get("/studies", PatientName="doe*", fuzzymatching="true").headers["Warning"]
    assert web.get("/studies", PatientName="jane", fuzzymatching="true").status_code == 204


@pytest.mark.parametrize(
    "query",
    [{"limit": "x"}, {"limit": "-1"}, {"offset": "1e3"}, {"limit": "²"}, {"Foo": "1"}, {"0020000E": "1.2"}],
)
def test_what_cannot_be_searched_for_is_refused(web: Web, query: dict[str, str]) -> None:
    assert web.get("/studies", **query).status_code == 400


def test_attributes_are_named_by_tag_too_and_more_are_given_when_asked_for(web: Web) -> None:
    web.store(1, PatientID="A", StudyDescription="Head")
    web.store(2, PatientID="B", StudyInstanceUID=f"{ROOT}.2")
    (found,) = web.get("/studies", **{"00100020": "A", "includefield": "00081030"}).json()
    assert found["00081030"]["Value"] == ["Head"]
    assert "00081030" not in web.get("/studies", PatientID="A").json()[0]
    assert "00081030" in web.get("/studies", PatientID="A", includefield="all").json()[0]


@pytest.mark.parametrize(
    "accept", ["*/*", "application/json", "application/dicom+json", "text/html, application/*;q=0.1"]
)
def test_json_is_given_to_those_who_take_it(web: Web, accept: str) -> None:
    web.store()
    assert web.get("/studies", accept=accept).status_code == 200


@pytest.mark.parametrize("accept", ["application/dicom+xml", "application/json;q=0", "nonsense"])
def test_others_are_refused(web: Web, accept: str) -> None:
    assert web.get("/studies", accept=accept).status_code == 406
