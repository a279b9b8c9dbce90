"""WADO-RS: the bytes that were stored, and metadata."""

from __future__ import annotations

import email
import email.policy
import io
import os

import pydicom
import pytest
from pydicom.uid import UID

from tests.instances import ROOT
from tests.serve.dicomweb.conftest import BASE, DICOM, Answer, Web, message

SERIES = f"/studies/{ROOT}.1/series/{ROOT}.1.1"
INSTANCE = f"{SERIES}/instances/{ROOT}.1.1.1"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
JPEG = "1.2.840.10008.1.2.4.50"


def parts(answer: Answer) -> list[bytes]:
    """Take a multipart answer apart, by the standard library's reader of messages."""
    head = f"Content-Type: {answer.headers['Content-Type']}\r\n\r\n".encode()
    read = email.message_from_bytes(head + answer.content, policy=email.policy.HTTP)
    assert read.get_content_type() == "multipart/related"
    assert read.get_param("type") == DICOM
    boundary = b"--" + read.get_boundary("").encode()
    assert answer.content.endswith(boundary + b"--\r\n")
    pieces = answer.content.split(boundary)[1:-1]
    head, _, _ = pieces[0].partition(b"\r\n\r\n")
    assert head.strip() == b"Content-Type: application/dicom"
    return [piece.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n") for piece in pieces]


@pytest.mark.parametrize("path", [f"/studies/{ROOT}.1", SERIES])
def test_a_study_and_a_series_are_given_as_they_were_stored(web: Web, path: str) -> None:
    files = [web.store(number) for number in (1, 2, 3)]
    assert parts(web.get(path)) == files


def test_an_instance_is_given_in_a_part_or_by_itself(web: Web) -> None:
    data = web.store()
    web.store(2)
    assert parts(web.get(INSTANCE)) == [data]
    assert parts(web.get(INSTANCE, accept='multipart/related; type="application/dicom"; transfer-syntax=*')) == [data]
    alone = web.get(INSTANCE, accept=DICOM)
    assert (alone.headers["Content-Type"], alone.content) == (DICOM, data)
    assert web.get(INSTANCE, accept=f'{DICOM};q=0.2, multipart/related;type="{DICOM}"').headers["Content-Type"] != DICOM


def test_a_file_of_the_folder_is_given_byte_for_byte_whatever_it_is_called(web: Web) -> None:
    data = web.instance(1, StudyDescription="odd \x7f") + b"\xfc\xff\xfc\xffOB\0\0\2\0\0\0\0\0"  # trailing padding
    (web.folder / "sub").mkdir()
    (web.folder / "sub" / os.fsdecode(b"na\xefve \xff")).write_bytes(data)
    assert web.get(INSTANCE, accept=DICOM).content == data


def test_another_transfer_syntax_is_not_made(web: Web) -> None:
    web.store()
    for accept, status in [
        (f"{DICOM}; transfer-syntax={EXPLICIT}", 200),
        (f"{DICOM}; transfer-syntax=1.2.840.10008.1.2.4.50", 406),
        (f'multipart/related; type="{DICOM}"; transfer-syntax=1.2.840.10008.1.2', 406),
        ("image/jpeg", 406),
        ('multipart/related; type="image/jpeg"', 406),
        ('multipart/related; type="application/octet-stream"', 406),
    ]:
        assert web.get(INSTANCE, accept=accept).status_code == status, accept
    assert web.get(f"/studies/{ROOT}.1", accept=DICOM).status_code == 200
    web.store(2)
    assert web.get(f"/studies/{ROOT}.1", accept=DICOM).status_code == 406  # several need parts


@pytest.mark.parametrize(
    ("accepted", "status"),
    [
        ((IMPLICIT, EXPLICIT), 200),
        ((EXPLICIT, IMPLICIT), 200),
        ((JPEG, "*"), 200),
        ((JPEG, IMPLICIT), 406),
        ((JPEG, f"{EXPLICIT}; q=0"), 406),
    ],
)
@pytest.mark.parametrize("kind", [DICOM, f'multipart/related; type="{DICOM}"'])
def test_any_of_the_transfer_syntaxes_that_are_accepted_may_be_the_stored_one(
    web: Web, kind: str, accepted: tuple[str, ...], status: int
) -> None:
    web.store()
    accept = ", ".join(f"{kind}; transfer-syntax={each}" for each in accepted)
    assert web.get(INSTANCE, accept=accept).status_code == status


def test_an_instance_is_given_in_the_form_in_which_its_transfer_syntax_is_accepted(web: Web) -> None:
    data = web.store()
    by_itself, in_parts = f"{DICOM}; transfer-syntax={{}}", f'multipart/related; type="{DICOM}"; transfer-syntax={{}}'
    accept = ", ".join([by_itself.format(JPEG), in_parts.format(EXPLICIT)])
    assert parts(web.get(INSTANCE, accept=accept)) == [data]
    accept = ", ".join([in_parts.format(JPEG), by_itself.format(EXPLICIT)])
    assert web.get(INSTANCE, accept=accept).content == data


def test_instances_of_a_series_may_be_stored_in_several_transfer_syntaxes_that_are_accepted(web: Web) -> None:
    web.store(1)
    other = pydicom.dcmread(io.BytesIO(web.instance(2)))
    other.file_meta.TransferSyntaxUID = UID(IMPLICIT)
    written = io.BytesIO()
    other.save_as(written, implicit_vr=True, little_endian=True)
    assert web.post(message(written.getvalue())).status_code == 200
    each = [f'multipart/related; type="{DICOM}"; transfer-syntax={syntax}' for syntax in (EXPLICIT, IMPLICIT)]
    assert [web.get(SERIES, accept=accept).status_code for accept in (*each, ", ".join(each))] == [406, 406, 200]


@pytest.mark.parametrize("path", ["/studies/1.2", f"/studies/{ROOT}.1/series/1.2", f"{SERIES}/instances/1.2"])
@pytest.mark.parametrize("end", ["", "/metadata"])
def test_what_is_not_there_is_not_found(web: Web, path: str, end: str) -> None:
    web.store()
    assert web.get(path + end).status_code == 404


def test_a_file_that_changed_since_it_was_read_is_not_given_as_what_it_was(web: Web) -> None:
    web.store()
    (path,) = web.folder.rglob("*.dcm")
    path.write_bytes(web.instance(2))
    answer = web.get(INSTANCE)
    assert answer.status_code in (404, 503)
    path.unlink()
    assert web.get(INSTANCE).status_code in (404, 503)


def test_metadata_is_the_json_model_with_references_to_bulk_data(web: Web) -> None:
    web.store(
        1,
        PatientName="Müller^Jürgen=山田",
        SpecificCharacterSet="ISO_IR 192",
        PixelData=b"12",
        BitsAllocated=16,
        Rows=1,
    )
    web.store(2, PatientID="B")
    answer = web.get(f"/studies/{ROOT}.1/metadata")
    assert answer.headers["Content-Type"] == "application/dicom+json"
    first, second = answer.json()
    assert first["00100010"] == {"vr": "PN", "Value": [{"Alphabetic": "Müller^Jürgen", "Ideographic": "山田"}]}
    assert first["00280010"] == {"vr": "US", "Value": [1]}
    assert first["7FE00010"] == {
        "vr": "OW",
        "BulkDataURI": f"http://127.0.0.1:8085{BASE}{INSTANCE}/bulkdata/7FE00010",
    }
    assert second["00100020"]["Value"] == ["B"]
    assert [*first] == sorted(first)
    assert web.client.get(first["7FE00010"]["BulkDataURI"]).status_code == 501


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"{INSTANCE}/frames/1", 501),
        (f"{INSTANCE}/rendered", 501),
        (f"/studies/{ROOT}.1/thumbnail", 501),
        (f"{INSTANCE}/bulkdata/7FE00010", 501),
        ("/workitems", 501),
        ("/nothing", 404),
        ("/", 404),
        (f"{INSTANCE}/x", 405),
    ],
)
def test_what_is_not_built_says_so(web: Web, path: str, status: int) -> None:
    answer = web.get(path)
    assert answer.status_code == status
    assert answer.json()["error"]["message"].endswith(".")


@pytest.mark.parametrize("path", ["/v2/projects/p", "/v1/projects/local"])
def test_a_store_or_a_version_that_is_not_there_is_not_found(web: Web, path: str) -> None:
    rest = "/locations/local/datasets/dicom/dicomStores/other/dicomWeb/studies"
    assert web.client.get(path + rest).status_code == 404


def test_a_store_that_cannot_be_read_says_why(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dicombq.serve.dicomweb.request.PATIENCE", 0.5)
    web.folder.rmdir()
    answer = web.get("/studies")
    assert (answer.status_code, answer.json()["error"]["status"]) == (503, "UNAVAILABLE")


def test_an_instance_larger_than_a_piece_comes_whole(web: Web) -> None:
    data = web.instance(1, PixelData=os.urandom(3_000_001) + b"\0", BitsAllocated=16)
    assert web.post(message(data)).status_code == 200
    assert parts(web.get(INSTANCE)) == [data]
