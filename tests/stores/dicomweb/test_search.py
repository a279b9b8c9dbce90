from __future__ import annotations

import json
from typing import Any

import pytest

from dicombq.errors import Failed
from dicombq.stores.dicomweb.search import PAGE, Item, Repeats, Search, can_be_asked_for, path_of, uid_of
from dicombq.stores.dicomweb.server import Server
from tests.fakes.dicomweb import DicomwebFake, model, reply


def search(fake: DicomwebFake) -> Search:
    return Search(Server(fake.url))


def studies(fake: DicomwebFake) -> list[str]:
    return [item.uids[0] for page in search(fake).pages("studies") for item in page]


@pytest.fixture
def many(fake: DicomwebFake) -> DicomwebFake:
    """A server with more studies than stand on a page."""
    fake.instances = [model(str(number), "2", "3") for number in range(2 * PAGE + 7)]
    return fake


def test_a_path_has_the_uids_that_there_are() -> None:
    assert path_of("1.2") == "/studies/1.2"
    assert path_of("1.2", "", "") == "/studies/1.2"
    assert path_of("1", "2", "3") == "/studies/1/series/2/instances/3"


def test_a_uid_that_is_none_stays_in_its_place() -> None:
    assert path_of("1/../2?a#b", "ä") == "/studies/1%2F..%2F2%3Fa%23b/series/%C3%A4"


@pytest.mark.parametrize(
    ("uids", "expected"),
    [
        (("1.2", "05fa52f0"), True),
        (("1/2",), True),
        (("",), False),
        (("1", "."), False),
        (("..", "1"), False),
        (("1\n",), False),
    ],
)
def test_uids_that_no_path_can_name_are_known(uids: tuple[str, ...], expected: bool) -> None:
    assert can_be_asked_for(uids) is expected


@pytest.mark.parametrize(
    "answer", [{}, [], None, {"0020000D": {}}, {"0020000D": {"Value": []}}, {"0020000D": {"Value": [1]}}]
)
def test_a_uid_that_is_not_there_is_empty(answer: Any) -> None:
    assert uid_of(answer, "0020000D") == ""


def test_a_listing_goes_on_until_a_page_is_empty(many: DicomwebFake) -> None:
    assert studies(many) == [str(number) for number in range(2 * PAGE + 7)]
    assert len(many.requests) == 4


@pytest.mark.parametrize("cap", [1, 30, PAGE])
def test_a_server_that_caps_its_pages_is_asked_for_the_rest(fake: DicomwebFake, cap: int) -> None:
    fake.instances = [model(str(number), "2", "3") for number in range(60)]
    fake.manners.cap = cap
    assert len(set(studies(fake))) == 60


def test_a_server_without_pages_gives_all_at_once(many: DicomwebFake) -> None:
    many.manners.ignores_limit = many.manners.ignores_offset = True
    assert len(studies(many)) == 2 * PAGE + 7
    many.instances = many.instances[:20]
    assert len(studies(many)) == 20


def test_a_server_that_ignores_the_limit_alone_gives_all_at_once(many: DicomwebFake) -> None:
    many.manners.ignores_limit = True
    assert len(studies(many)) == 2 * PAGE + 7


@pytest.mark.parametrize("cap", [5, 1_000_000])
def test_a_server_that_repeats_its_first_page_is_found_out(many: DicomwebFake, cap: int) -> None:
    many.manners.ignores_offset = True
    many.manners.cap = cap
    with pytest.raises(Repeats):
        studies(many)
    assert len(many.requests) < 5


def test_a_server_that_goes_round_in_circles_is_found_out(fake: DicomwebFake) -> None:
    pages = [[model("1", "2", "3")], [model("2", "2", "3")]]
    fake.faults += [reply(200, json.dumps(page).encode()) for page in pages * 2]
    with pytest.raises(Repeats):
        studies(fake)


def test_what_moved_to_the_next_page_meanwhile_is_there_once(fake: DicomwebFake) -> None:
    first, second = [model("1", "2", "3")], [model("1", "2", "3"), model("2", "2", "3")]
    fake.faults += [reply(200, json.dumps(page).encode()) for page in (first, second, [])]
    assert studies(fake) == ["1", "2"]


def test_instances_with_the_same_uids_are_both_there(fake: DicomwebFake) -> None:
    fake.always = reply(200, json.dumps([model("1", "2", "3")] * 2).encode())
    assert [*search(fake).pages("instances", "1", total=2)] == [[Item(("1", "2", "3"))] * 2]


def test_a_short_page_is_the_last_one_where_the_count_is_reached(fake: DicomwebFake) -> None:
    fake.instances = [model("1", "2", str(number)) for number in range(3)]
    assert [len(page) for page in search(fake).pages("instances", "1", total=3)] == [3]
    assert len(fake.requests) == 1
    assert [len(page) for page in search(fake).pages("instances", "1", "2", total=4)] == [3]
    assert len(fake.requests) == 3


def test_items_have_their_uids_and_counts(fake: DicomwebFake) -> None:
    fake.instances = [model("1", "2", "3"), model("1", "2", "4"), model("1", "3", "5")]
    assert [*search(fake).pages("studies")] == [[Item(("1",), 3)]]
    assert [*search(fake).pages("series", "1")] == [[Item(("1", "2"), 2), Item(("1", "3"), 1)]]
    assert [*search(fake).pages("instances", "1", "2")] == [[Item(("1", "2", "3")), Item(("1", "2", "4"))]]
    fake.manners.counts = False
    assert [*search(fake).pages("studies")] == [[Item(("1",))]]


def test_a_study_or_series_is_found_by_its_uid(fake: DicomwebFake) -> None:
    fake.instances = [model("1", "2", "3"), model("4", "5", "6")]
    assert search(fake).find("studies", "4") == [Item(("4",), 1)]
    assert search(fake).find("series", "4", "5") == [Item(("4", "5"), 1)]
    assert search(fake).find("series", "4", "2") == []
    assert "StudyInstanceUID=4" in fake.requests[0][1]
    fake.manners.matches = False
    assert search(fake).find("studies", "9") == [Item(("9",))]


@pytest.mark.parametrize("answer", [b"{}", b'"all"', b"7"])
def test_an_answer_that_is_no_list_is_an_error(fake: DicomwebFake, answer: bytes) -> None:
    fake.always = reply(200, answer)
    with pytest.raises(Failed, match="list"):
        studies(fake)


def test_items_that_are_none_have_no_uids(fake: DicomwebFake) -> None:
    fake.faults += [reply(200, b'[7, {"0020000D": {"Value": [{}]}, "00201208": {"Value": ["many"]}}]'), reply(204)]
    assert [*search(fake).pages("studies")] == [[Item(("",)), Item(("",))]]
