"""Commands on DICOMweb servers."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from dicombq.stores.dicomweb import server
from tests.cli.conftest import Run
from tests.fakes.dicomweb import Answer, DicomwebFake, Handler, model, reply, reset
from tests.instances import ROOT, write_instance
from tests.orthanc_server import Orthanc

CANARY = "CANARY7f3a"
PERSON = {"t00100010": {"vr": "PN", "Value": [{"Alphabetic": CANARY}]}, "t00100020": {"vr": "DA", "Value": [CANARY]}}


@pytest.fixture
def fake(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DicomwebFake]:
    """A server with three instances of two studies, and a command line that waits for nothing between attempts."""
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setattr(server, "_DELAYS", (0.0,) * 3)
    server.server_at.cache_clear()
    with DicomwebFake([model("1.1", "1.2", f"1.3.{number}", **PERSON) for number in range(2)]) as started:
        started.instances.append(model("2.1", "2.2", "2.3", **PERSON))
        yield started
    server.server_at.cache_clear()


def test_an_orthanc_is_exported(run: Run, orthanc: Orthanc, tmp_path: Path, here: Path) -> None:
    for number in range(3):
        orthanc.load([write_instance(tmp_path / f"{number}.dcm", number, PatientID="A", PatientName="Doe^Jane")])
    (here / "filter.txt").write_text(f"/studies/{ROOT}.1/series/{ROOT}.1.1/instances/{ROOT}.1.1.1\n/studies/9.9\n")
    result = run("export", "bq", orthanc.dicomweb)
    assert (result.code, "(3 new rows)" in result.err) == (0, True)
    sql = "SELECT PatientName.Alphabetic.GivenName AS name, BlobStorageSize AS size FROM dicom.dicom_webView"
    assert json.loads(run("query", sql, "--format=json").out) == [{"name": "Jane", "size": None}] * 3
    result = run("export", "bq", orthanc.dicomweb, "--overwrite-table", "--filter-config-gcs-uri=filter.txt")
    assert (result.code, "(1 new row)" in result.err, "1 notice; see them" in result.err) == (0, True, True)
    metrics = yaml.safe_load(run("dicom-stores", "metrics", orthanc.dicomweb).out)
    assert metrics["instanceCount"] == "3"
    assert "blobStorageSizeBytes" not in metrics


def test_a_server_may_have_a_name(run: Run, fake: DicomwebFake) -> None:
    assert run("dicom-stores", "create", "pacs", f"--source={fake.url}/").code == 0
    assert yaml.safe_load(run("dicom-stores", "describe", "pacs").out)["dicombq"]["source"] == fake.url
    result = run("export", "bq", "pacs", "--schema=json", "--include-source-store")
    assert (result.code, "/dicom.pacs (3 new rows)" in result.err) == (0, True)


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        (reply(401), 6, "DICOMBQ_DICOMWEB_USERNAME"),
        (reply(403), 6, "role"),
        (reply(404), 7, "https://host/dicom-web"),
        (reply(200, b"<html>", "text/html"), 1, "text/html"),
        (reply(302, Location="https://sign-in.example.org/?x"), 1, "[https://sign-in.example.org], which is refused"),
        (reply(503), 5, "answered 503"),
        (reset, 5, "cannot be reached"),
    ],
)
def test_a_server_that_refuses_is_told_before_an_operation_begins(
    run: Run, home: Path, fake: DicomwebFake, answer: Answer, code: int, said: str
) -> None:
    fake.always = answer
    result = run("export", "bq", fake.url)
    assert (result.code, said in result.err) == (code, True), result.err
    assert not (home / "operations").exists()


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://127.0.0.1:1/dicom-web", 5),
        (f"https://jane:{CANARY}@127.0.0.1/dicom-web", 2),
        (f"https://127.0.0.1/dicom-web?token={CANARY}", 2),
    ],
)
def test_a_wrong_url_is_told_without_its_secrets(run: Run, fake: DicomwebFake, url: str, code: int) -> None:
    result = run("export", "bq", url)
    assert result.code == code
    assert CANARY not in result.err + result.out


@pytest.mark.parametrize("when", ["listing", "reading"])
def test_an_export_goes_on_where_the_server_went_away(run: Run, fake: DicomwebFake, when: str) -> None:
    def go_away(handler: Handler) -> None:
        if handler.path.endswith("/metadata") or (when == "listing" and "/2.1/" in handler.path):
            fake.always = reset
        (fake.always or Handler.answer)(handler) if fake.always is not go_away else handler.answer()

    fake.always = go_away
    result = run("export", "bq", fake.url, "--workers=1")
    assert (result.code, "cannot be reached" in result.err) == (5, True), result.err
    operation = result.err.split("operations resume ")[1].split()[0]
    assert run("operations", "resume", operation).code == 5
    fake.always = None
    result = run("operations", "resume", operation)
    assert (result.code, "(3 new rows)" in result.err) == (0, True), result.err


def test_what_the_server_does_not_give_fails_alone(run: Run, fake: DicomwebFake) -> None:
    fake.manners.gone = {"2.3"}
    fake.manners.hidden = {"1.3.1"}
    result = run("export", "bq", fake.url)
    assert (result.code, "(1 new row)" in result.err, "2 instances failed" in result.err) == (3, True, True)


def test_no_value_and_no_secret_is_logged(
    run: Run, fake: DicomwebFake, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text(f"{CANARY}.token\n")
    monkeypatch.setenv("DICOMBQ_DICOMWEB_TOKEN_FILE", str(tmp_path / "token"))
    fake.faults += [reply(500, CANARY.encode()), None, reset]
    handlers = logging.getLogger("urllib3.connectionpool").handlers
    before = [*handlers]
    result = run("export", "bq", fake.url, "--log-http", "--verbosity=debug")
    handlers[:] = before
    assert result.code == 0, result.err
    assert "GET /dicom-web/studies?... HTTP" in result.err
    assert {headers["Authorization"] for _, _, headers in fake.requests} == {f"Bearer {CANARY}.token"}
    operation = result.err.split("/operations/")[1].split("]")[0]
    kept = [path.read_text() for path in home.rglob("*") if path.suffix in (".json", ".jsonl")]
    for text in (result.out, result.err, run("operations", "logs", operation).out, *kept):
        assert CANARY not in text
        assert "limit=" not in text
