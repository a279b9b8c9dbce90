"""A store that is a server with bad manners."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest

from dicombq.errors import Failed, InvalidArgument, NotAuthenticated, NotPermitted, Temporary
from dicombq.names import Parent
from dicombq.stores.base import Failure, Found, StoreOptions
from dicombq.stores.dicomweb import search
from dicombq.stores.dicomweb.server import Server
from dicombq.stores.dicomweb.store import DicomwebStore
from tests.fakes.dicomweb import DicomwebFake, Handler, break_off, model, reply, reset
from tests.stores.dicomweb.asking import failures, filtered, found_uids, listed, names, read, store_of

GOOGLE = "projects/p/locations/l/datasets/d/dicomStores/s"


def test_a_store_is_named_after_the_last_part_of_its_url(fake: DicomwebFake) -> None:
    store = store_of(fake)
    assert str(store.name) == "projects/local/locations/local/datasets/dicom/dicomStores/dicom-web"
    assert store.source == fake.url
    assert store_of(fake) == pickle.loads(pickle.dumps(store))


def test_a_store_of_google_has_its_own_name(fake: DicomwebFake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dicombq.stores.dicomweb.store.server_at", lambda _: Server(fake.url))
    store = DicomwebStore.open(f"https://healthcare.googleapis.com/v1/{GOOGLE}/dicomWeb", Parent())
    assert str(store.name) == GOOGLE


def test_options_of_other_stores_are_refused(fake: DicomwebFake) -> None:
    with pytest.raises(InvalidArgument, match="--archives"):
        DicomwebStore.open(fake.url, Parent(), StoreOptions(archives=True))


def test_a_server_of_another_kind_is_refused(fake: DicomwebFake) -> None:
    fake.always = reply(200, b'{"version": 1}', "application/json")
    with pytest.raises(Failed, match="list"):
        store_of(fake)


def test_a_study_is_listed_at_once(fake: DicomwebFake) -> None:
    fake.instances = [model("1", str(series), f"{series}.{number}") for series in (2, 3) for number in (1, 2)]
    store = store_of(fake)
    fake.requests.clear()
    assert [ref.siblings for ref in listed(store)] == [2] * 4
    assert sorted(fake.paths) == ["/studies", "/studies", "/studies/1/instances"]


def not_by_study(handler: Handler) -> None:
    is_by_study = handler.path.split("?")[0].endswith("/studies/1/instances")
    handler.send(501, b"") if is_by_study else handler.answer()


def test_a_study_is_listed_by_series_where_a_server_does_not_list_it_at_once(fake: DicomwebFake) -> None:
    fake.instances = [model("1", str(series), f"{series}.{number}") for series in (2, 3) for number in (1, 2)]
    store = store_of(fake)
    fake.always = not_by_study
    assert names(listed(store)) == {"1/2/2.1", "1/2/2.2", "1/3/3.1", "1/3/3.2"}
    assert failures(store) == []


def test_a_server_that_lists_less_than_it_counts_says_where(fake: DicomwebFake) -> None:
    fake.instances = [model("1", str(series), f"{series}.{number}") for series in (2, 3) for number in (1, 2)]
    fake.manners.hidden = {"3.2"}
    store = store_of(fake)
    assert len(listed(store)) == 3
    reason = "the server counts 2 instances here, and lists 1"
    assert failures(store) == [("/studies/1/series/3", "UNAVAILABLE", reason)]


def test_a_server_that_counts_studies_alone_says_where_it_lists_less(fake: DicomwebFake) -> None:
    fake.instances = [model("1", "2", str(number)) for number in range(5)]
    fake.manners.hidden = {"3", "4"}

    def counts_studies(handler: Handler) -> None:
        fake.manners.counts = "/series" not in handler.path
        handler.answer()

    fake.always = counts_studies
    reason = "the server counts 5 instances here, and lists 3"
    assert failures(store_of(fake)) == [("/studies/1", "UNAVAILABLE", reason)]


def test_a_server_that_repeats_the_instances_of_a_series_says_so(
    fake: DicomwebFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "PAGE", 3)
    fake.instances = [model("1", "2", str(number)) for number in range(5)]
    store = store_of(fake)

    def repeats(handler: Handler) -> None:
        fake.manners.ignores_offset = "/instances" in handler.path
        handler.answer()

    fake.always = repeats
    assert len(listed(store)) == 3
    assert [failure[:2] for failure in failures(store)] == [("/studies/1/series/2", "UNAVAILABLE")]
    fake.manners.counts = False
    assert [failure[:2] for failure in failures(store)] == [("/studies/1/series/2", "UNAVAILABLE")]

    def repeats_series(handler: Handler) -> None:
        fake.manners.ignores_offset = handler.path.split("?")[0] != "/dicom-web/studies"
        handler.answer()

    fake.always = repeats_series
    fake.instances = [model("1", str(number), str(number)) for number in range(5)]
    assert [failure[:2] for failure in failures(store)] == [("/studies/1", "UNAVAILABLE")]


def test_a_server_that_repeats_its_studies_ends_the_listing(
    fake: DicomwebFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "PAGE", 3)
    fake.instances = [model(str(number), "2", "3") for number in range(5)]
    fake.manners.ignores_offset = True
    store = store_of(fake)
    with pytest.raises(Failed, match="lists 3 studies") as error:
        listed(store)
    assert "--filter-config-gcs-uri" in error.value.hint
    assert len(listed(store, wanted=filtered("/studies/1", "/studies/4"))) == 2


def test_what_cannot_be_asked_for_is_a_failure(fake: DicomwebFake) -> None:
    fake.instances = [model("..", "1", "1"), model("1", "..", "1"), model("1", "2", ""), model("1", "2", "3")]
    store = store_of(fake)
    assert names(listed(store)) == {"1/2/3"}
    assert {failure[1] for failure in failures(store)} == {"INVALID_ARGUMENT"}
    assert len(failures(store)) == 3
    fake.manners.hidden = {"3"}
    assert ("/studies/1/series/..", "INVALID_ARGUMENT", "listed without UIDs to ask for it by") in failures(store)


@pytest.mark.parametrize(
    ("status", "code"), [(404, "NOT_FOUND"), (403, "PERMISSION_DENIED"), (400, "UNAVAILABLE"), (500, "UNAVAILABLE")]
)
def test_a_study_that_cannot_be_listed_is_a_failure(fake: DicomwebFake, status: int, code: str) -> None:
    fake.instances = [model("1", "2", "3"), model("2", "2", "3")]
    store = store_of(fake)

    def refuse(handler: Handler) -> None:
        handler.send(status, b"") if "/studies/1" in handler.path else handler.answer()

    fake.always = refuse
    assert names(listed(store)) == {"2/2/3"}
    assert [failure[:2] for failure in failures(store)] == [("/studies/1", code)]


def test_a_series_that_cannot_be_listed_is_a_failure(fake: DicomwebFake) -> None:
    fake.instances = [model("1", "2", "3"), model("1", "3", "4")]
    store = store_of(fake)

    def refuse(handler: Handler) -> None:
        handler.send(403, b"") if "/series/3/instances" in handler.path else not_by_study(handler)

    fake.always = refuse
    assert names(listed(store)) == {"1/2/3"}
    assert [failure[:2] for failure in failures(store)] == [("/studies/1/series/3", "PERMISSION_DENIED")]


def test_a_server_that_goes_away_ends_the_listing(fake: DicomwebFake) -> None:
    fake.instances = [model("1", "2", "3")]
    store = store_of(fake)
    fake.faults += [None]
    fake.always = reply(503)
    with pytest.raises(Temporary):
        listed(store)


def test_only_what_a_filter_names_is_asked_for(fake: DicomwebFake) -> None:
    fake.instances = [
        model(str(study), f"{study}.{series}", f"{study}.{series}.{number}")
        for study in range(4)
        for series in range(2)
        for number in range(2)
    ]
    store = store_of(fake)
    fake.requests.clear()
    wanted = filtered(
        "/studies/1",
        "/studies/1/series/1.1",
        "/studies/2/series/2.1/instances/2.1.0",
        "/studies/2/series/2.1/instances/2.1.7",
        "/studies/9",
    )
    assert names(listed(store, wanted=wanted)) == {
        *("1/1.0/1.0.0", "1/1.0/1.0.1", "1/1.1/1.1.0", "1/1.1/1.1.1"),
        "2/2.1/2.1.0",
    }
    assert sorted(fake.paths) == [
        *("/studies", "/studies", "/studies/1/instances"),
        *("/studies/2/series", "/studies/2/series/2.1/instances"),
    ]
    assert names(listed(store, prefix="studies/2", wanted=wanted)) == {"2/2.1/2.1.0"}


@pytest.mark.parametrize(("status", "expected"), [(404, []), (403, [("/studies/1", "PERMISSION_DENIED")])])
def test_a_place_that_a_filter_names_may_be_missing(
    fake: DicomwebFake, status: int, expected: list[tuple[str, str]]
) -> None:
    store = store_of(fake)
    fake.always = reply(status)
    assert [failure[:2] for failure in failures(store, wanted=filtered("/studies/1"))] == expected


@pytest.mark.parametrize("prefix", ["patients/1", "studies", "studies/1/instances/2", "/studies/1/series/2/3"])
def test_a_prefix_is_a_study_or_a_series(fake: DicomwebFake, prefix: str) -> None:
    with pytest.raises(InvalidArgument):
        listed(store_of(fake), prefix=prefix)


def series_of(count: int) -> list[dict[str, Any]]:
    return [model("1", "2", str(number)) for number in range(count)]


def test_a_series_is_read_at_once(fake: DicomwebFake) -> None:
    fake.instances = series_of(8)
    store = store_of(fake)
    refs = listed(store)
    fake.requests.clear()
    assert len(found_uids(read(store, refs))) == 8
    assert fake.paths == ["/studies/1/series/2/metadata"]


def test_a_few_instances_of_a_long_series_are_read_one_by_one(fake: DicomwebFake) -> None:
    fake.instances = series_of(9)
    store = store_of(fake)
    refs = listed(store)[:2]
    fake.requests.clear()
    assert found_uids(read(store, refs)) == ["1/2/0", "1/2/1"]
    assert fake.paths == [f"/studies/1/series/2/instances/{number}/metadata" for number in range(2)]


@pytest.mark.parametrize("bad", [reply(404), reply(500), reply(200, b"[]"), reply(200, b"{}"), reply(200, b"[7]")])
def test_what_a_series_does_not_give_is_read_one_by_one(fake: DicomwebFake, bad: Any) -> None:
    fake.instances = series_of(3)
    store = store_of(fake)
    refs = listed(store)

    def not_at_once(handler: Handler) -> None:
        bad(handler) if handler.path.endswith("/series/2/metadata") else handler.answer()

    fake.always = not_at_once
    assert found_uids(read(store, refs)) == ["1/2/0", "1/2/1", "1/2/2"]


def test_a_series_whose_metadata_is_too_long_is_read_one_by_one(
    fake: DicomwebFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.instances = series_of(50)
    store = store_of(fake)
    refs = listed(store)
    monkeypatch.setattr("dicombq.stores.dicomweb.server.MAX_ANSWER", 1000)
    assert len(found_uids(read(store, refs))) == 50


def test_an_instance_that_is_gone_is_a_failure_and_no_other_is(fake: DicomwebFake) -> None:
    fake.instances = series_of(3)
    fake.manners.gone = {"1"}
    store = store_of(fake)
    results = read(store, listed(store))
    assert [type(result) for result in results] == [Found, Failure, Found]
    assert isinstance(results[1], Failure)
    assert results[1].code == "NOT_FOUND"
    assert "Doe" not in results[1].reason


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (reply(200, b"[]"), "UNAVAILABLE"),
        (reply(200, json.dumps([model("1", "2", "9")]).encode()), "UNAVAILABLE"),
        (reply(204), "UNAVAILABLE"),
        (reply(403), "PERMISSION_DENIED"),
        (reply(500), "UNAVAILABLE"),
        (break_off, "UNAVAILABLE"),
        (reset, "UNAVAILABLE"),
        (reply(200, json.dumps([model("1", "2", "0", t00100020=7)]).encode()), "INVALID_ARGUMENT"),
        (reply(200, b"<html>", "text/html"), "UNAVAILABLE"),
    ],
)
def test_metadata_that_are_none_are_a_failure(fake: DicomwebFake, answer: Any, code: str) -> None:
    fake.instances = series_of(1)
    store = store_of(fake)
    refs = listed(store)

    def bad(handler: Handler) -> None:
        answer(handler) if handler.path.endswith("/metadata") else handler.answer()

    fake.always = bad
    (result,) = read(store, refs)
    assert isinstance(result, Failure)
    assert result.code == code


def test_metadata_may_come_without_a_list(fake: DicomwebFake) -> None:
    fake.instances = series_of(1)
    store = store_of(fake)
    refs = listed(store)
    fake.always = reply(200, json.dumps(fake.instances[0]).encode())
    assert found_uids(read(store, refs)) == ["1/2/0"]


@pytest.mark.parametrize(
    ("answer", "error"), [(reply(503), Temporary), (reset, Temporary), (reply(401), NotAuthenticated)]
)
def test_a_server_that_goes_away_ends_the_reading(fake: DicomwebFake, answer: Any, error: type[Exception]) -> None:
    fake.instances = series_of(3)
    store = store_of(fake)
    refs = listed(store)
    fake.always = answer
    with pytest.raises(error):
        read(store, refs)


def test_nothing_is_lost_where_connections_die_now_and_then(
    fake: DicomwebFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicombq.stores.dicomweb.server._DELAYS", (0.0,) * 100)  # whichever request meets the faults
    fake.instances = [model(str(study), "2", str(number)) for study in range(4) for number in range(3)]
    faults = [reset, None, break_off, reply(503), None, reply(429, Retry_After="0"), None, None] * 9
    store = store_of(fake)
    fake.faults += faults
    refs = listed(store)
    assert len(found_uids(read(store, refs))) == 12


def test_an_instance_is_there_or_not(fake: DicomwebFake) -> None:
    fake.instances = series_of(1)
    store = store_of(fake)
    (ref,) = listed(store)
    assert store.has(ref)
    fake.always = reply(404)
    assert not store.has(ref)
    fake.always = reply(403)
    with pytest.raises(NotPermitted):
        store.has(ref)


def test_an_instance_can_be_retrieved_as_a_file(fake: DicomwebFake) -> None:
    fake.instances = series_of(1)
    store = store_of(fake)
    (ref,) = listed(store)
    fake.always = reply(200, b"bytes", "application/dicom")
    with store.original(ref, "") as pieces:
        assert b"".join(pieces) == b"bytes"
