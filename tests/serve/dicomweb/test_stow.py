"""STOW-RS: what is stored, what is refused, and that nothing half-done is left."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dicombq.names import Parent, StoreName
from dicombq.stores.filing import UNFILED
from dicombq.stores.registry import RegisteredStore, StoreRegistry
from tests.dicom_bytes import SERIES, SOP, STUDY, element, ordered, part10
from tests.instances import CT_IMAGE, ROOT
from tests.serve.conftest import Serve
from tests.serve.dicomweb.conftest import BASE, DICOM, MULTIPART, Web, message, reasons, sop_uids

STORED, FAILED, OTHERS = "00081199", "00081198", "0008119A"
NOT_READABLE, WRONG, THERE_ALREADY, NO_ROOM = 0xC000, 0xA900, 0x0111, 0xA700


def is_clean(web: Web) -> bool:
    """Tell whether nothing is left of what was not stored."""
    return not any((web.folder / UNFILED).glob("*"))


def test_instances_lie_under_their_uids_byte_for_byte_and_private(web: Web) -> None:
    files = [web.instance(number) for number in (1, 2)]
    answer = web.post(message(*files))
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/dicom+json")
    assert sop_uids(answer, STORED) == [f"{ROOT}.1.1.1", f"{ROOT}.1.1.2"]
    item = answer.json()[STORED]["Value"][0]
    assert item["00081150"]["Value"] == [CT_IMAGE]
    assert web.client.get(item["00081190"]["Value"][0]).status_code == 200
    assert answer.json()["00081190"]["Value"][0].endswith(f"{BASE}/studies/{ROOT}.1")
    for number, data in enumerate(files, 1):
        path = web.folder / f"{ROOT}.1" / f"{ROOT}.1.1" / f"{ROOT}.1.1.{number}.dcm"
        assert path.read_bytes() == data
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert is_clean(web)


def test_a_body_may_be_a_single_instance(web: Web) -> None:
    assert web.post(web.instance(), DICOM).status_code == 200
    assert web.post(web.instance(2), DICOM, f"/studies/{ROOT}.1").status_code == 200
    assert len(web.files) == 2


def test_an_instance_that_is_there_is_left_alone_and_that_is_said(web: Web) -> None:
    before = web.store(1, StudyDescription="first")
    answer = web.post(message(web.instance(1, StudyDescription="second"), web.instance(2), web.instance(2)))
    assert answer.status_code == 202
    assert sop_uids(answer, STORED) == [f"{ROOT}.1.1.2"]
    assert sop_uids(answer, FAILED) == [f"{ROOT}.1.1.1", f"{ROOT}.1.1.2"]
    assert reasons(answer) == [THERE_ALREADY, THERE_ALREADY]
    assert web.get(f"/studies/{ROOT}.1/series/{ROOT}.1.1/instances/{ROOT}.1.1.1", accept=DICOM).content == before
    again = web.post(message(before))
    assert (again.status_code, reasons(again)) == (409, [THERE_ALREADY])


def test_an_instance_that_lies_elsewhere_in_a_folder_is_there_too(web: Web) -> None:
    (web.folder / "IM0001").write_bytes(web.instance())
    assert reasons(web.post(message(web.instance()))) == [THERE_ALREADY]
    assert web.files == ["IM0001"]


def test_what_is_no_instance_is_refused_alone(web: Web) -> None:
    whole = web.instance()
    answer = web.post(message(whole[:-3], b"", b"DICM", whole[132:], b"\0" * 200, whole))
    assert (answer.status_code, sop_uids(answer, STORED)) == (202, [f"{ROOT}.1.1.1"])
    assert reasons(answer, OTHERS) == [NOT_READABLE] * 5
    assert is_clean(web)


def test_an_instance_of_another_study_than_the_path_names_is_refused(web: Web) -> None:
    answer = web.post(message(web.instance()), path="/studies/1.2.3")
    assert (answer.status_code, reasons(answer), web.files) == (409, [WRONG], [])


@pytest.mark.parametrize("uid", ["../../../etc/x", "/etc/passwd", "..", "", "1.2\\1.3", "a.b", "1" * 65, "1.2/3"])
@pytest.mark.parametrize("tag", [STUDY, SERIES, SOP])
def test_what_is_no_uid_never_becomes_a_path(web: Web, tag: int, uid: str) -> None:
    others = [element(other, "UI", "1.2.3") for other in (STUDY, SERIES, SOP) if other != tag]
    answer = web.post(message(part10(b"".join(ordered([*others, element(tag, "UI", uid)])))))
    assert (answer.status_code, reasons(answer, OTHERS)) == (409, [WRONG])
    assert {path.relative_to(web.base).parts[:2] for path in web.base.rglob("*") if path.is_file()} <= {
        ("home", "stores"),
        ("home", "streams"),
    }
    assert is_clean(web)


@pytest.mark.parametrize("path", ["/studies/..%2f..%2fx", "/studies/1.2/series/%2e%2e", "/studies/a"])
def test_what_is_no_uid_in_a_path_is_refused(web: Web, path: str) -> None:
    for answer in (web.get(f"{path}/metadata"), web.delete(path), web.post(message(web.instance()), path=path)):
        assert answer.status_code in (400, 404, 405)


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"", MULTIPART, 400),
        (b"--the-boundary--\r\n", MULTIPART, 400),
        (b"--another\r\n\r\nx\r\n--another--\r\n", MULTIPART, 400),
        (message(b"x")[:-6], MULTIPART, 400),
        (message(b"x"), 'multipart/related; type="application/dicom"', 400),
        (message(b"x"), f"multipart/related; boundary={'b' * 71}", 400),
        (message(b"x", headers=b"X: " + b"a" * 9000 + b"\r\n"), MULTIPART, 400),
        (message(b"x", headers=b"X: a\r\n" * 40), MULTIPART, 400),
        (message(b"x", headers=b"no header at all\r\n"), MULTIPART, 400),
        (b"[{}]", "application/dicom+json", 415),
        (message(b"[{}]"), 'multipart/related; type="application/dicom+json"; boundary=the-boundary', 415),
        (b"x", "text/plain", 415),
        (b"x", "", 415),
        (b"x", ";;;=;", 415),
    ],
)
def test_a_request_that_is_no_message_is_refused_as_a_whole(web: Web, body: bytes, kind: str, status: int) -> None:
    answer = web.post(body, kind)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["message"].endswith(".")
    assert web.files == []
    assert is_clean(web)


def test_parts_of_another_type_are_refused_and_the_others_stored(web: Web) -> None:
    image = message(b"GIF", headers=b"Content-Type: image/gif\r\n").removesuffix(b"--the-boundary--\r\n")
    answer = web.post(image + message(web.instance(), headers=b"content-type: Application/DICOM; x=y\r\nX-Y: z\r\n"))
    assert (answer.status_code, reasons(answer, OTHERS)) == (202, [NOT_READABLE])
    assert len(web.files) == 1


def test_parts_without_headers_are_instances(web: Web) -> None:
    assert web.post(message(web.instance(), headers=b"")).status_code == 200


def test_an_upload_that_breaks_off_leaves_nothing(web: Web) -> None:
    def broken() -> Iterator[bytes]:
        yield message(web.instance())[:-4]
        raise ConnectionResetError

    assert web.post(broken()).status_code == 500
    assert web.files == []
    assert is_clean(web)
    assert web.get("/studies").status_code == 204


def test_a_request_that_is_too_large_is_refused_and_leaves_nothing(serve: Serve, web: Web) -> None:
    web.client = serve(max_upload=5000)
    body = message(web.instance(1, StudyDescription="x"), web.instance(2), web.instance(3), b"x" * 5000)

    def piecewise() -> Iterator[bytes]:
        yield from (body[at : at + 1000] for at in range(0, len(body), 1000))

    assert web.post(body).status_code == 413
    assert web.post(piecewise()).status_code == 413
    assert web.files == []
    assert is_clean(web)


def test_a_server_that_is_read_only_stores_and_deletes_nothing(serve: Serve, web: Web) -> None:
    web.store()
    web.client = serve(read_only=True)
    assert web.post(message(web.instance(2))).status_code == 403
    assert web.delete(f"/studies/{ROOT}.1").status_code == 403
    assert web.get("/studies").status_code == 200
    assert len(web.files) == 1


def test_a_store_that_is_no_folder_takes_nothing(web: Web, home: Path) -> None:
    file = web.base / "one.dcm"
    file.write_bytes(web.instance())
    StoreRegistry(home).create(RegisteredStore(StoreName(Parent(), "file"), str(file)))
    base = f"/v1/{StoreName(Parent(), 'file')}/dicomWeb/studies"
    assert web.client.get(base).status_code == 200
    answer = web.client.post(base, content=message(web.instance(2)), headers={"Content-Type": MULTIPART})
    assert answer.status_code == 501
    assert web.client.delete(f"{base}/{ROOT}.1").status_code == 501
    assert file.exists()


def test_a_disk_that_is_full_is_told(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    assert web.get("/studies").status_code == 204
    with monkeypatch.context() as patch:
        patch.setattr(os, "link", full)
        answer = web.post(message(web.instance()))
    assert (answer.status_code, reasons(answer)) == (409, [NO_ROOM])
    assert is_clean(web)
    assert web.post(message(web.instance())).status_code == 200


def test_what_a_killed_server_left_is_deleted_by_the_next_one(web: Web) -> None:
    (web.folder / UNFILED).mkdir()
    half = web.folder / UNFILED / "half"
    half.write_text("half an instance")
    os.utime(half, (1_700_000_000, 1_700_000_000))
    assert web.get("/studies").status_code == 204
    assert is_clean(web)


def test_no_value_of_an_instance_is_in_an_error_or_a_log(web: Web, caplog: pytest.LogCaptureFixture) -> None:
    secret = "Geheim^Patient"
    data = web.instance(1, PatientName=secret, PatientID="Geheim")
    caplog.set_level(0)
    answers = [
        web.post(message(data)),
        web.post(message(data[:-3])),
        web.post(message(data)),
        web.post(secret.encode()),
        web.post(message(data, headers=b"Geheim\r\n")),
        web.get("/studies", **{secret: secret}),
        web.get("/studies", limit=secret),
    ]
    assert [answer.status_code for answer in answers] == [200, 409, 409, 400, 400, 400, 400]
    assert not any("Geheim" in answer.text for answer in answers)
    for record in caplog.records:
        if record.name.startswith(("dicombq", "python_multipart", "uvicorn", "starlette")):
            assert "Geheim" not in record.getMessage()
