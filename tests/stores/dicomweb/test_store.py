from __future__ import annotations

import io
import json
import pickle
from pathlib import Path
from typing import Any

import pydicom
import pydicom.data
import pytest

from dicombq.errors import Failed, InvalidArgument, NotAuthenticated, NotPermitted, Temporary
from dicombq.names import Parent
from dicombq.rows.metadata import MetadataRecord
from dicombq.rows.record import Record
from dicombq.stores.base import Failure, Found, Result, StoreOptions
from dicombq.stores.dicomweb import search
from dicombq.stores.dicomweb.listing import DicomwebRef
from dicombq.stores.dicomweb.server import Server
from dicombq.stores.dicomweb.store import DicomwebStore
from dicombq.stores.filters import Filter
from dicombq.stores.folder import FileRef, FolderStore
from dicombq.table.mapping import MAX_ELEMENT_SIZE
from tests.comparable import comparable, without
from tests.corpus.dumps import FOLDER, file_of, table
from tests.fakes.dicomweb import DicomwebFake, Handler, break_off, model, reply, reset
from tests.instances import ROOT, write_instance
from tests.orthanc_server import Orthanc
from tests.row_checker import problems

SAMPLES = Path(__file__).parents[3] / "samples"
PYDICOMS = Path(pydicom.data.__file__).parent / "test_files"
GOOGLE = "projects/p/locations/l/datasets/d/dicomStores/s"


def store_of(fake: DicomwebFake) -> DicomwebStore:
    return DicomwebStore.open(fake.url, Parent())


def listed(store: DicomwebStore, **how: Any) -> list[DicomwebRef]:
    refs = [entry for entry in store.list(**how) if not isinstance(entry, Failure)]
    assert refs == [store.ref(json.loads(json.dumps(ref))) for ref in refs]
    return refs


def failures(store: DicomwebStore, **how: Any) -> list[tuple[str, str, str]]:
    found = [entry for entry in store.list(**how) if isinstance(entry, Failure)]
    return [(entry.uri.removeprefix(store.base), entry.code, entry.reason) for entry in found]


def names(refs: list[DicomwebRef]) -> set[str]:
    return {"/".join(ref.uids) for ref in refs}


def read(store: DicomwebStore, refs: list[DicomwebRef], record_type: type[Record] = Record) -> list[Result]:
    return [*store.read(refs, record_type, MAX_ELEMENT_SIZE)]


def found_uids(results: list[Result]) -> list[str]:
    return ["/".join(result.row.uids) for result in results if isinstance(result, Found)]


# an Orthanc


def rows_of(store: Any, record_type: type[Record]) -> dict[tuple[str, ...], Any]:
    refs = [entry for entry in store.list() if not isinstance(entry, Failure)]
    rows = {}
    for result in store.read(refs, record_type, MAX_ELEMENT_SIZE):
        if isinstance(result, Found):
            assert problems(result.row, record_type) == []
            rows[result.row.uids] = without(comparable(result.row.values), *REWRITTEN)
    return rows


REWRITTEN = {
    "DroppedTags": "compressed Pixel Data is not in its metadata; private elements that it does not know are bulk data",
    "OtherElements": "the same",
    "SpecificCharacterSet": "the empty first value of several is left out, or written as ISO 2022 IR 6",
}
"""What an Orthanc writes anew: see `docs/how-to/dicomweb.md`."""


@pytest.mark.parametrize("files", [SAMPLES, PYDICOMS / "dicomdirtests"], ids=["samples", "pydicom's"])
def test_an_orthanc_gives_the_rows_of_the_files_in_it(orthanc: Orthanc, files: Path) -> None:
    refused = orthanc.load(file for file in files.rglob("*") if file.is_file() and file.name != "LICENSE")
    rows = rows_of(DicomwebStore.open(orthanc.dicomweb, Parent()), Record)
    expected = rows_of(FolderStore.open(str(files), Parent()), Record)
    assert len(rows) >= len(expected) - len(refused) > 0
    assert rows == {uids: expected[uids] for uids in rows}


ODD = {
    "CTDIPhantomTypeCodeSequence": "stored as UN",
    "CalciumScoringMassFactorDevice": "stored as UN",
    "RedPaletteColorLookupTableDescriptor": "stored as UN",
    "GreenPaletteColorLookupTableDescriptor": "stored as UN",
    "BluePaletteColorLookupTableDescriptor": "stored as UN",
    "ImageOrientationPatient": "a number near 0 is written as 0",
    "PerformedProtocolCodeSequence": "an empty item at the end is left out",
    "PatientName": "escape sequences of a character set that is not declared",
    "OtherPatientNames": "escape sequences of a character set that is not declared",
    "AdditionalPatientHistory": "escape sequences of a character set that is not declared",
}
"""Columns in which a few real files differ, and what Orthanc does to them."""

SPLIT_AT_NO_YEN = "J2K_pixelrep_mismatch.dcm"
"""In ISO IR 13 a backslash is a yen sign, and Orthanc leaves several values in one."""


@pytest.mark.corpus
@pytest.mark.skipif(FOLDER is None, reason="DICOMBQ_CORPUS names no folder")
def test_an_orthanc_gives_the_rows_of_the_corpus(orthanc: Orthanc) -> None:
    paths = {str(file_of(line["path"])) for line in table("dicom/MANIFEST.tsv")}
    found = FolderStore.open(str(FOLDER), Parent()).read(map(FileRef, sorted(paths)), Record, MAX_ELEMENT_SIZE)
    files: dict[tuple[str, ...], list[Found]] = {}
    for result in found:
        if isinstance(result, Found):
            files.setdefault(result.row.uids, []).append(result)
    once = {uids: results[0] for uids, results in files.items() if len(results) == 1}
    refused = orthanc.load(Path(result.uri) for result in once.values())
    rows = rows_of(DicomwebStore.open(orthanc.dicomweb, Parent()), Record)
    assert len(rows) >= len(once) - len(refused) > 100
    differing = {
        column: result.uri
        for uids, result in once.items()
        for column, value in without(comparable(result.row.values), *REWRITTEN).items()
        if uids in rows and rows[uids].get(column) != value and Path(result.uri).name != SPLIT_AT_NO_YEN
    }
    assert differing.keys() <= ODD.keys(), differing


def test_an_orthanc_gives_the_metadata_of_the_files_in_it(orthanc: Orthanc, tmp_path: Path) -> None:
    write_instance(tmp_path / "1.dcm", PatientID="A", PatientName="Doe^Jane", SliceThickness="1.50", Rows=512)
    orthanc.load([tmp_path / "1.dcm"])
    store = DicomwebStore.open(orthanc.dicomweb, Parent())
    (result,) = read(store, listed(store), MetadataRecord)
    assert isinstance(result, Found)
    (expected,) = FolderStore.open(str(tmp_path), Parent()).read(
        [FileRef(str(tmp_path / "1.dcm"))], MetadataRecord, MAX_ELEMENT_SIZE
    )
    assert isinstance(expected, Found)
    model = result.row.values["Metadata"]
    assert model == expected.row.values["Metadata"]


def test_an_instance_of_an_orthanc_has_the_time_of_the_read_and_no_size(orthanc: Orthanc, tmp_path: Path) -> None:
    orthanc.load([write_instance(tmp_path / "1.dcm", PatientID="A")])
    store = DicomwebStore.open(orthanc.dicomweb, Parent())
    (result,) = read(store, listed(store))
    assert isinstance(result, Found)
    assert result.storage_class == "STANDARD"
    assert result.size is None
    assert result.updated > "2026"
    assert result.uri == f"{orthanc.dicomweb}/studies/{ROOT}.1/series/{ROOT}.1.1/instances/{ROOT}.1.1.1"


def test_an_orthanc_is_listed_page_by_page(orthanc: Orthanc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "PAGE", 3)
    for study in range(5):
        for number in range(4):
            file = tmp_path / f"{study}{number}.dcm"
            series = f"1.2.{study}.{number % 2}"
            uids: dict[str, Any] = {"StudyInstanceUID": f"1.2.{study}", "SeriesInstanceUID": series}
            orthanc.load([write_instance(file, PatientID="A", **uids, SOPInstanceUID=f"{series}.{number}")])
    store = DicomwebStore.open(orthanc.dicomweb, Parent())
    refs = listed(store)
    assert len(names(refs)) == len(refs) == 20
    assert failures(store) == []
    assert {ref.siblings for ref in refs} == {2}
    assert found_uids(read(store, refs)) == ["/".join(ref.uids) for ref in refs]
    assert len(listed(store, prefix="studies/1.2.3")) == 4
    assert len(listed(store, prefix="/studies/1.2.3/series/1.2.3.1")) == 2
    wanted = filtered(
        "/studies/1.2.1", "/studies/1.2.3/series/1.2.3.1", "/studies/1.2.4/series/1.2.4.0/instances/1.2.4.0.2"
    )
    assert len(listed(store, wanted=wanted)) == 4 + 2 + 1
    assert listed(store, wanted=filtered("/studies/9.9", "/studies/1.2.1/series/9.9")) == []


def test_instances_that_an_orthanc_has_twice_are_failures_with_a_reason(orthanc: Orthanc, tmp_path: Path) -> None:
    orthanc.load([write_instance(tmp_path / f"{patient}.dcm", PatientID=patient) for patient in ("A", "B")])
    store = DicomwebStore.open(orthanc.dicomweb, Parent())
    refs = listed(store)
    assert len(refs) == 2
    assert [result.reason for result in read(store, refs) if isinstance(result, Failure)] == [
        "listed, but the server does not have it, or several with the same UIDs"
    ] * 2


def test_an_instance_that_is_deleted_after_the_listing_is_a_failure(orthanc: Orthanc, tmp_path: Path) -> None:
    orthanc.load([write_instance(tmp_path / f"{number}.dcm", number, PatientID="A") for number in (1, 2)])
    store = DicomwebStore.open(orthanc.dicomweb, Parent())
    refs = listed(store)
    assert all(map(store.has, refs))
    orthanc.clear()
    orthanc.load([tmp_path / "1.dcm"])
    outcomes = {ref.instance[-1]: type(result) for ref, result in zip(refs, read(store, refs), strict=True)}
    assert outcomes == {"1": Found, "2": Failure}
    assert {ref.instance[-1]: store.has(ref) for ref in refs} == {"1": True, "2": False}


def test_uids_that_are_none_are_read_or_failures(orthanc: Orthanc, tmp_path: Path) -> None:
    for number, study in enumerate([b"05fa52f0", b"1/../2.3"]):
        file = write_instance(tmp_path / f"{number}.dcm", number, PatientID="A", StudyInstanceUID="1.2.3.45")
        file.write_bytes(file.read_bytes().replace(b"1.2.3.45", study))
        assert orthanc.load([file]) == []
    store = DicomwebStore.open(orthanc.dicomweb, Parent())
    (ref,) = listed(store)
    assert [found.split("/")[0] for found in found_uids(read(store, [ref]))] == ["05fa52f0"]
    assert failures(store) == [
        ("/studies/1%2F..%2F2.3", "UNAVAILABLE", "the server counts 1 instances here, and lists 0")
    ]


# a server with bad manners


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


def filtered(*lines: str) -> Filter:
    return Filter("filter.txt", io.BytesIO("\n".join(lines).encode()))


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
