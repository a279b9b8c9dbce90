"""Streams of an Orthanc, which tells more than DICOMweb does, and of one that lets nobody ask for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dicombq.names import Parent
from dicombq.stores.base import NOTHING_KNOWN, Failure, Known
from dicombq.stores.dicomweb.orthanc import OrthancStore, orthanc_of
from dicombq.stores.dicomweb.store import DicomwebStore
from tests import proxy
from tests.orthanc_server import Orthanc
from tests.proxy import Proxy, answering
from tests.streaming.conftest import Lab, bytes_of, lab_of
from tests.streaming.running import running, shows, wait_for
from tests.streaming.tables import check_history

REST = ("/system", "/changes", "/instances", "/series/", "/studies/")


@pytest.fixture
def lab(orthanc: Orthanc, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Lab:
    return lab_of(orthanc, tmp_path, capsys)


@pytest.fixture
def between(orthanc: Orthanc) -> Iterator[Proxy]:
    """A proxy before the Orthanc; nothing is known yet of the server that it is."""
    with proxy.serve(orthanc.url) as server:
        yield server


def lab_behind(between: Proxy, lab: Lab) -> Lab:
    return Lab(lab.base, lab.folder, lab.table, lab.capsys, f"{between.url}/dicom-web")


def test_it_is_followed_and_what_an_export_wrote_is_adopted(orthanc: Orthanc, lab: Lab, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        orthanc.put(f"{number}.dcm", bytes_of(tmp_path, number))
    lab.run("export", "bq", orthanc.uri, f"--bq-table={lab.table}")
    lab.follow()
    orthanc.put("4.dcm", bytes_of(tmp_path, 4))
    orthanc.delete("2.dcm")
    lab.sync("--reconcile")
    assert lab.view() == [1, 3, 4]
    assert len(lab.rows()) == 5  # the export's were adopted
    orthanc.delete("3.dcm")
    orthanc.put("2.dcm", bytes_of(tmp_path, 2, "again"))
    lab.sync()
    assert lab.view() == [1, 2, 4]
    assert lab.told(2) == ["first", "DELETE", "again"]
    check_history(lab.rows())


def test_an_instance_that_is_stored_in_place_of_another_is_a_new_row(
    orthanc: Orthanc, lab: Lab, tmp_path: Path
) -> None:
    for number in (1, 2):
        orthanc.put(f"{number}.dcm", bytes_of(tmp_path, number))
    lab.follow()
    lab.sync()
    orthanc.put("1.dcm", bytes_of(tmp_path, 1, "second"))
    orthanc.put("2.dcm", bytes_of(tmp_path, 2))
    synced = lab.sync()
    assert (synced["changed"], synced["unchanged"]) == (1, 1)
    orthanc.put("1.dcm", bytes_of(tmp_path, 1, "third"))
    lab.sync()
    assert (lab.told(1), lab.told(2)) == (["first", "second", "third"], ["first"])
    check_history(lab.rows())


def test_deletions_make_the_log_shorter_and_nothing_is_missed(orthanc: Orthanc, lab: Lab, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        orthanc.put(f"{number}.dcm", bytes_of(tmp_path, number))
    lab.follow()
    lab.sync()
    orthanc.delete("3.dcm")
    lab.sync()
    orthanc.put("1.dcm", bytes_of(tmp_path, 1, "second"))
    orthanc.delete("2.dcm")
    lab.sync()
    assert (lab.told(1), lab.told(3), lab.view()) == (["first", "second"], ["first", "DELETE"], [1])


def test_of_an_unchanged_one_nothing_is_asked_but_its_lists(
    orthanc: Orthanc, between: Proxy, lab: Lab, tmp_path: Path
) -> None:
    lab = lab_behind(between, lab)
    for number in (1, 2):
        orthanc.put(f"{number}.dcm", bytes_of(tmp_path, number))
    lab.follow()
    lab.sync()
    between.requests.clear()
    lab.sync()
    assert {request.path.partition("?")[0] for request in between.requests} == {
        "/dicom-web/studies",  # whether it answers
        "/changes",
        "/instances",
    }


def test_one_whose_rest_api_is_closed_is_polled(orthanc: Orthanc, between: Proxy, lab: Lab, tmp_path: Path) -> None:
    between.fault = lambda request: answering(403) if request.path.startswith(REST) else None
    lab = lab_behind(between, lab)
    orthanc.put("1.dcm", bytes_of(tmp_path, 1))
    orthanc.put("2.dcm", bytes_of(tmp_path, 2))
    lab.follow()
    lab.sync()
    orthanc.delete("1.dcm")
    orthanc.put("3.dcm", bytes_of(tmp_path, 3))
    lab.sync()
    assert (lab.view(), lab.told(1)) == ([2, 3], ["first", "DELETE"])
    between.fault = lambda _request: None  # it is opened: all is looked at anew, and no row is written
    synced = lab.sync()
    assert [synced[what] for what in ("created", "changed", "deleted")] == [0, 0, 0]
    assert len(lab.rows()) == 4


def test_what_cannot_be_read_keeps_its_row_and_is_read_later(
    orthanc: Orthanc, between: Proxy, lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = lab_behind(between, lab)
    orthanc.put("1.dcm", bytes_of(tmp_path, 1))
    lab.follow()
    lab.sync()
    orthanc.put("1.dcm", bytes_of(tmp_path, 1, "second"))
    between.fault = lambda request: answering(403) if "/metadata" in request.path else None
    lab.sync()
    assert (lab.code, lab.told(1)) == (3, ["first"])
    between.fault = lambda _request: None
    lab.sync()
    assert (lab.code, lab.told(1)) == (0, ["first", "second"])


def test_what_the_rest_api_refuses_is_a_failure_and_not_gone(
    orthanc: Orthanc, between: Proxy, lab: Lab, tmp_path: Path
) -> None:
    lab = lab_behind(between, lab)
    for number in (1, 2):
        orthanc.put(f"{number}.dcm", bytes_of(tmp_path, number))
    lab.follow()
    lab.sync()
    orthanc.put("1.dcm", bytes_of(tmp_path, 1, "second"))
    between.fault = lambda request: answering(403) if request.path.startswith("/instances/") else None
    lab.sync("--max-delete=100%")
    assert (lab.code, lab.view()) == (3, [1, 2])
    between.fault = lambda _request: None
    lab.sync()
    assert lab.told(1) == ["first", "second"]


def test_an_instance_that_two_patients_have_is_deleted_with_the_last(
    orthanc: Orthanc, lab: Lab, tmp_path: Path
) -> None:
    orthanc.put("a.dcm", bytes_of(tmp_path, 1, PatientID="a"))
    lab.follow()
    lab.sync()
    orthanc.put("b.dcm", bytes_of(tmp_path, 1, PatientID="b"))
    lab.sync()
    orthanc.delete("a.dcm")
    lab.sync("--max-delete=100%")
    assert lab.view() == [1]
    orthanc.delete("b.dcm")
    lab.sync("--max-delete=100%")
    assert lab.view() == []


def test_what_is_sent_comes_to_the_table_while_the_stream_runs(orthanc: Orthanc, lab: Lab, tmp_path: Path) -> None:
    orthanc.put("1.dcm", bytes_of(tmp_path, 1))
    lab.follow()
    with running(lab, "--interval=1h"):
        wait_for(shows(lab, 1))
        outbox = tmp_path / "outbox"
        outbox.mkdir()
        for number in (2, 3):
            (outbox / f"{number}.dcm").write_bytes(bytes_of(tmp_path, number))
        orthanc.send(outbox)
        wait_for(shows(lab, 1, 2, 3))
        orthanc.put("1.dcm", bytes_of(tmp_path, 1, "second"))
        wait_for(lambda: shows(lab, 1, 2, 3)() and lab.told(1) == ["first", "second"])
    assert lab.told(2) == ["first"]


def test_what_is_deleted_is_seen_by_a_sweep(orthanc: Orthanc, lab: Lab, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        orthanc.put(f"{number}.dcm", bytes_of(tmp_path, number))
    lab.follow()
    with running(lab, "--interval=1s"):
        wait_for(shows(lab, 1, 2, 3))
        orthanc.delete("2.dcm")
        wait_for(shows(lab, 1, 3))


def test_a_server_that_is_no_orthanc_is_left_as_it_is(between: Proxy) -> None:
    between.fault = lambda request: answering(200, b"<html>", "text/html") if request.path == "/system" else None
    store = DicomwebStore.open(f"{between.url}/dicom-web", Parent())
    assert orthanc_of(store) is store


ODD = [b"{}", b"[]", b'{"Changes": [{"ID": "../x", "ResourceType": "Instance"}], "Done": true, "Last": 9}', b"null"]


@pytest.mark.parametrize("answer", ODD)
def test_odd_answers_are_an_error(between: Proxy, answer: bytes) -> None:
    store = orthanc_of(DicomwebStore.open(f"{between.url}/dicom-web", Parent()))
    assert isinstance(store, OrthancStore)
    between.fault = lambda request: answering(200, answer, "application/json") if "since" in request.path else None
    with pytest.raises(Exception, match="REST API"):
        store.changes("1")


def test_an_instance_whose_description_is_odd_is_a_failure(orthanc: Orthanc, between: Proxy, tmp_path: Path) -> None:
    orthanc.put("1.dcm", bytes_of(tmp_path, 1))
    store = orthanc_of(DicomwebStore.open(f"{between.url}/dicom-web", Parent()))
    between.fault = lambda request: (
        answering(200, b'{"ParentSeries": "x"}', "application/json") if "/instances/" in request.path else None
    )
    assert [type(entry) for entry in store.versions(NOTHING_KNOWN)] == [Failure]
    assert [type(entry) for entry in store.versions(Known("0", lambda _uri: "known"))] == [Failure]
