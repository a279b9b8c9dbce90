"""Clients against a server that is a process of its own: dicomweb-client, and dicombq's."""

from __future__ import annotations

import hashlib
import io
import os
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pydicom
import pydicom.data
import pytest
import requests
from dicomweb_client.api import DICOMwebClient

from dicombq.names import Parent
from dicombq.rows import part10
from dicombq.rows.base import NotAnInstance, Unreadable
from dicombq.rows.reader import read_row
from dicombq.rows.record import Record
from dicombq.stores.base import Failure, Found
from dicombq.stores.dicomweb.store import DicomwebStore
from dicombq.stores.filters import is_uid
from dicombq.stores.folder import FolderStore
from dicombq.table.mapping import MAX_ELEMENT_SIZE
from tests.comparable import comparable
from tests.corpus.dumps import FOLDER, file_of, table
from tests.instances import ROOT, write_instance
from tests.serve.dicomweb.server import Served, served

SAMPLES = Path(__file__).parents[3] / "samples"
TEST_FILES = Path(pydicom.data.__file__).parent / "test_files"


@pytest.fixture
def server(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with served(home) as running:
        yield running


@pytest.fixture
def client(server: Served) -> Iterator[DICOMwebClient]:
    made = DICOMwebClient(server.url)
    yield made
    made._session.close()


def datasets(folder: Path, count: int) -> list[pydicom.Dataset]:
    """Make instances of two series."""
    return [
        pydicom.dcmread(
            write_instance(
                folder / f"{number}.dcm", number, PatientID="A", SeriesInstanceUID=f"{ROOT}.1.{1 + number % 2}"
            )
        )
        for number in range(1, count + 1)
    ]


def test_dicomweb_client_stores_searches_retrieves_and_deletes(client: DICOMwebClient, tmp_path: Path) -> None:
    stored = client.store_instances(datasets(tmp_path, 6))
    assert len(stored.ReferencedSOPSequence) == 6
    (study,) = client.search_for_studies(search_filters={"PatientID": "A"}, fields=["StudyDescription"])
    assert pydicom.Dataset.from_json(study).NumberOfStudyRelatedInstances == 6
    uid = f"{ROOT}.1"
    assert len(client.search_for_series(uid)) == 2
    assert len(client.search_for_instances(uid, f"{ROOT}.1.1")) == 3
    assert len(client.search_for_instances(limit=2, get_remaining=True)) == 6
    assert client.search_for_studies(search_filters={"PatientID": "nobody"}) == []
    assert len(client.retrieve_study_metadata(uid)) == 6
    assert len(client.retrieve_series_metadata(uid, f"{ROOT}.1.2")) == 3
    metadata = client.retrieve_instance_metadata(uid, f"{ROOT}.1.2", f"{ROOT}.1.1.1")
    assert pydicom.Dataset.from_json(metadata).PatientID == "A"
    assert len(client.retrieve_study(uid)) == 6
    assert [each.SOPInstanceUID for each in client.iter_series(uid, f"{ROOT}.1.1")] == [
        f"{ROOT}.1.1.{number}" for number in (2, 4, 6)
    ]
    explicit = (("application/dicom", "1.2.840.10008.1.2.1"),)
    one = client.retrieve_instance(uid, f"{ROOT}.1.2", f"{ROOT}.1.1.1", media_types=explicit)
    assert one.SOPInstanceUID == f"{ROOT}.1.1.1"
    client.delete_instance(uid, f"{ROOT}.1.2", f"{ROOT}.1.1.1")
    assert len(client.search_for_instances()) == 5
    client.delete_series(uid, f"{ROOT}.1.2")
    assert len(client.search_for_series()) == 1
    client.delete_study(uid)
    assert client.search_for_studies() == []
    with pytest.raises(requests.HTTPError, match="404"):
        client.retrieve_study_metadata(uid)


def test_dicomweb_client_sends_a_large_instance_in_chunks(client: DICOMwebClient, tmp_path: Path) -> None:
    client.set_chunk_size(10_000)
    path = write_instance(tmp_path / "1.dcm", PixelData=bytes(2_000_000), BitsAllocated=8)
    client.store_instances([pydicom.dcmread(path)])
    (found,) = client.retrieve_study(f"{ROOT}.1")
    assert len(found.PixelData) == 2_000_000
    with pytest.raises(requests.HTTPError, match="409"):
        client.store_instances([pydicom.dcmread(path)])


def test_dicomweb_client_tries_again_while_a_store_is_read(
    home: Path, tmp_path: Path, client: DICOMwebClient, server: Served
) -> None:
    server.folder.rmdir()  # as a disk that is not mounted yet
    client.set_http_retry_params(max_attempts=2, wait_exponential_multiplier=10)
    with pytest.raises(Exception, match=r"503|RetryError"):
        client.search_for_studies()
    server.folder.mkdir()
    assert client.search_for_studies() == []


Files = dict[tuple[str, ...], bytes]


def rounds_of(paths: Iterable[Path]) -> tuple[list[Files], list[bytes]]:
    """Sort files into those that can be stored together, each with other UIDs, and those that are no instances."""
    rounds: list[Files] = []
    others = []
    for path in paths:
        data = path.read_bytes()
        try:
            uids = read_row(io.BytesIO(data), len(data)).uids
        except (NotAnInstance, Unreadable):
            uids = ()
        if not uids or not all(map(is_uid, uids)) or data[128 : part10.PREAMBLE] != b"DICM":
            others.append(data)
            continue
        if all(uids in each for each in rounds):
            rounds.append({})
        next(each for each in rounds if uids not in each)[uids] = data
    return rounds, others


def check_round_trip(client: DICOMwebClient, files: Files) -> None:
    """Store instances, some at a time, and hold that each comes back byte for byte."""
    remaining = list(files.values())
    while remaining:
        some, remaining = remaining[:25], remaining[25:]
        answer = client._http_post_multipart_application_dicom(f"{client.base_url}/studies", some)
        assert len(answer.ReferencedSOPSequence) == len(some)
        assert "FailedSOPSequence" not in answer
    for (study, series, instance), data in files.items():
        url = f"{client.base_url}/studies/{study}/series/{series}/instances/{instance}"
        given = client._http_get(url, headers={"Accept": 'multipart/related; type="application/dicom"'})
        (part,) = client._decode_multipart_message(given, stream=False)
        assert hashlib.sha256(part).digest() == hashlib.sha256(data).digest()
    assert len(client.search_for_instances(get_remaining=True)) == len(files)


def rows_of(store: Any) -> dict[tuple[str, ...], Any]:
    """Read a store's rows, but for what only a file has."""
    refs = [entry for entry in store.list() if not isinstance(entry, Failure)]
    results = store.read(refs, Record, MAX_ELEMENT_SIZE)
    return {result.row.uids: comparable(result.row.values) for result in results if isinstance(result, Found)}


def check_rows(server: Served, folders: Iterable[Path]) -> int:
    """Hold that dicombq reads from the server what it reads from the folder."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rows = rows_of(DicomwebStore.open(server.url, Parent()))
    expected: dict[tuple[str, ...], Any] = {}
    for folder in folders:
        expected |= rows_of(FolderStore.open(str(folder), Parent()))
    differing = {uids for uids, row in rows.items() if row != expected[uids]}
    assert differing == set()
    assert rows.keys() == expected.keys()
    return len(rows)


def check_files(client: DICOMwebClient, server: Served, paths: Iterable[Path]) -> tuple[int, int]:
    """Store files, get them back, read their rows; tell how many were stored, and how many are no instances."""
    rounds, others = rounds_of(paths)
    for files in rounds:
        check_round_trip(client, files)
        assert check_rows(server, [server.folder]) == len(files)
        for study in {uids[0] for uids in files}:
            client.delete_study(study)
    for data in others:
        with pytest.raises(requests.HTTPError, match="409"):
            client._http_post_multipart_application_dicom(f"{client.base_url}/studies", [data])
    assert client.search_for_studies() == []
    assert not any(path.is_file() for path in server.folder.rglob("*"))
    return sum(map(len, rounds)), len(others)


@pytest.mark.parametrize("folder", [SAMPLES, TEST_FILES / "dicomdirtests"], ids=["samples", "pydicom's"])
def test_instances_come_back_byte_for_byte_and_give_the_rows_of_their_files(
    client: DICOMwebClient, server: Served, folder: Path
) -> None:
    stored, _ = check_files(client, server, (path for path in sorted(folder.rglob("*")) if path.is_file()))
    assert stored > 5


@pytest.mark.corpus
@pytest.mark.skipif(FOLDER is None, reason="DICOMBQ_CORPUS names no folder")
def test_the_corpus_comes_back_byte_for_byte_and_gives_the_rows_of_its_files(
    client: DICOMwebClient, server: Served
) -> None:
    files = [file_of(line["path"]) for line in table("dicom/MANIFEST.tsv")]
    stored, refused = check_files(client, server, files)
    assert (stored + refused, stored > 220) == (len(files), True)


def test_a_folder_is_served_as_it_lies_there(home: Path) -> None:
    with served(home, source=str(SAMPLES)) as server:
        assert check_rows(server, [SAMPLES]) > 5


def test_an_answer_that_cannot_be_completed_is_cut_off(server: Served, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        path = write_instance(tmp_path / f"{number}.dcm", number, PixelData=bytes(3_000_000), BitsAllocated=8)
        headers = {"Content-Type": "application/dicom"}
        assert requests.post(f"{server.url}/studies", path.read_bytes(), headers=headers, timeout=60).status_code == 200
    (last,) = server.folder.rglob("*.3.dcm")
    with requests.get(f"{server.url}/studies/{ROOT}.1", stream=True, timeout=60) as answer:
        assert answer.status_code == 200
        pieces = answer.iter_content(1000)
        next(pieces)
        os.replace(tmp_path / "1.dcm", last)  # which is another one then
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            list(pieces)
    log = server.log.read_text()
    assert "Traceback" not in log
