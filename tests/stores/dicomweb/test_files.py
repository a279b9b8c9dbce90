from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from dicombq.errors import DicombqError, Failed, NotFound, Temporary
from dicombq.stores.dicomweb.files import Stored, retrieve, store
from dicombq.stores.dicomweb.server import Server
from tests.fakes.dicomweb import Answer, DicomwebFake, Handler, break_off, reply, reset
from tests.instances import ROOT, write_instance
from tests.orthanc_server import Orthanc

PATH = f"/studies/{ROOT}.1/series/{ROOT}.1.1/instances/{ROOT}.1.1.1"
PART = b"--x\r\nContent-Type: application/dicom\r\n\r\n"
MULTIPART = 'multipart/related; type="application/dicom"; boundary=x'


def read(url: str, path: str = PATH) -> bytes:
    with retrieve(Server(url), path) as pieces:
        return b"".join(pieces)


def test_an_instance_comes_back_from_orthanc_as_it_was_stored(orthanc: Orthanc, tmp_path: Path) -> None:
    file = write_instance(tmp_path / "1.dcm", PatientID="A", PatientName="Näme")
    with file.open("rb") as content:
        assert store(Server(orthanc.dicomweb), content) is Stored.NEW
    assert read(orthanc.dicomweb) == file.read_bytes()
    with pytest.raises(NotFound):
        read(orthanc.dicomweb, f"{PATH}.2")


def test_orthanc_refuses_what_is_no_instance(orthanc: Orthanc) -> None:
    with pytest.raises(Failed, match="answered 400"):
        store(Server(orthanc.dicomweb), io.BytesIO(b"notes"))


def test_an_answer_without_parts_is_the_instance(fake: DicomwebFake) -> None:
    fake.always = reply(200, b"bytes", "application/dicom; transfer-syntax=1.2.840.10008.1.2.1")
    assert read(fake.url) == b"bytes"


def test_bytes_that_look_like_a_boundary_are_kept(fake: DicomwebFake) -> None:
    body = b"\r\n--\r\n-x" * 30_000
    fake.always = reply(200, PART + body + b"\r\n--x--\r\nepilogue", MULTIPART)
    assert read(fake.url) == body


def test_an_answer_of_two_parts_gives_the_first(fake: DicomwebFake) -> None:
    fake.always = reply(200, PART + b"one\r\n" + PART + b"two\r\n--x--", MULTIPART)
    assert read(fake.url) == b"one"


def half_an_instance(handler: Handler) -> None:
    break_off(handler, "application/dicom")


@pytest.mark.parametrize("answer", [reply(200, PART + b"half of it", MULTIPART), half_an_instance])
def test_an_answer_that_breaks_off_is_temporary(fake: DicomwebFake, answer: Answer) -> None:
    fake.always = answer
    with pytest.raises(Temporary):
        read(fake.url)


def test_an_error_of_whoever_takes_the_bytes_stays_what_it_is(fake: DicomwebFake) -> None:
    fake.always = reply(200, b"bytes", "application/dicom")
    with pytest.raises(OSError, match="disk full"), retrieve(Server(fake.url), PATH):
        raise OSError("disk full")


@pytest.mark.parametrize(
    "answer", [reply(200, b"<html>", "text/html"), reply(200, b"no boundary, Doe^Jane", MULTIPART)]
)
def test_an_answer_that_is_no_instance_is_an_error_without_its_text(fake: DicomwebFake, answer: Answer) -> None:
    fake.always = answer
    with pytest.raises(Failed) as error:
        read(fake.url)
    assert "Doe" not in str(error.value)


def test_an_instance_is_sent_again_where_the_connection_dies(fake: DicomwebFake) -> None:
    fake.faults += [reset, reply(503)]
    assert store(Server(fake.url), io.BytesIO(b"instance" * 20_000)) is Stored.NEW
    assert len(set(fake.bodies)) == 1
    assert b"instance" * 20_000 in fake.bodies[0]


def refusal(*reasons: int) -> bytes:
    items = [{"00081197": {"vr": "US", "Value": [reason]}} for reason in reasons]
    return json.dumps({"00081198": {"vr": "SQ", "Value": items}}).encode()


def test_a_server_that_has_an_instance_leaves_it_alone(fake: DicomwebFake) -> None:
    fake.always = reply(409, refusal(0x0111))
    assert store(Server(fake.url), io.BytesIO(b"instance")) is Stored.THERE_ALREADY


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (reply(409, refusal(0xA700)), "A700"),
        (reply(202, b"[" + refusal(0xC000) + b"]"), "C000"),
        (reply(409, b'{"00081198": {"Value": "odd"}}'), "refuses the instance"),
        (reply(409, b'"odd"'), "refuses the instance"),
    ],
)
def test_an_instance_that_a_server_refuses_fails_with_the_reason(fake: DicomwebFake, answer: Answer, said: str) -> None:
    fake.always = answer
    with pytest.raises(DicombqError, match=said):
        store(Server(fake.url), io.BytesIO(b"instance"))
