"""A store that is a real server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pydicom
import pydicom.data
import pytest

from dicombq.names import Parent
from dicombq.rows.metadata import MetadataRecord
from dicombq.rows.record import Record
from dicombq.stores.base import Failure, Found
from dicombq.stores.dicomweb import search
from dicombq.stores.dicomweb.store import DicomwebStore
from dicombq.stores.folder import FileRef, FolderStore
from dicombq.table.mapping import MAX_ELEMENT_SIZE
from tests.comparable import comparable, without
from tests.corpus.dumps import FOLDER, file_of, table
from tests.instances import ROOT, write_instance
from tests.orthanc_server import Orthanc
from tests.row_checker import problems
from tests.stores.dicomweb.asking import failures, filtered, found_uids, listed, names, read

SAMPLES = Path(__file__).parents[3] / "samples"
PYDICOMS = Path(pydicom.data.__file__).parent / "test_files"


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
