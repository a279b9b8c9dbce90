"""Files to and from a DICOMweb server."""

from __future__ import annotations

import io

import pytest

from dicombq.errors import InvalidArgument, Temporary
from dicombq.names import Parent
from dicombq.rows.base import Unreadable
from dicombq.stores.dicomweb import server
from dicombq.stores.registry import open_store
from dicombq.transfer.places import DicomwebPlace
from dicombq.transfer.tasks import FilesOut
from tests.orthanc_server import Orthanc
from tests.transfer.lab import Lab, files_in, lab, name_of

__all__ = ["lab"]  # a fixture


def test_files_go_to_a_server_and_come_from_one(lab: Lab, orthanc: Orthanc) -> None:
    lab.fill()
    counters = lab.run(lab.into(f"{lab.scans}/**.dcm", orthanc.uri)).counters
    assert (counters.found, counters.success, counters.failure, counters.duplicates) == (5, 3, 1, 1)
    assert counters.existing == 0
    counters = lab.run(lab.into(f"{lab.scans}/**.dcm", orthanc.uri)).counters
    assert (counters.success, counters.existing) == (3, 3)
    store = open_store(orthanc.uri, Parent(), lab.home, pytest.fail)
    for existing in (0, 3):
        counters = lab.run(FilesOut.to(str(lab.copies), store, None, lab.settings())).counters
        assert (counters.success, counters.existing) == (3, existing)
    sources = {1: "copy/1.dcm", 2: "2.dcm", 3: "3.dcm"}
    assert files_in(lab.copies) == {name_of(n): (lab.scans / path).read_bytes() for n, path in sources.items()}


def test_a_server_that_does_not_answer_ends_the_operation(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_DELAYS", ())
    store = DicomwebPlace("http://127.0.0.1:1/dicom-web", lab.path)._store
    with pytest.raises(Temporary):
        store.store(("1", "2", "3"), io.BytesIO())


def test_an_instance_that_a_server_refuses_is_a_failure(lab: Lab, orthanc: Orthanc) -> None:
    store = DicomwebPlace(orthanc.uri, lab.path)._store
    with pytest.raises(Unreadable) as raised:
        store.store(("1", "2", "3"), io.BytesIO(b"not DICOM"))
    assert raised.value.code == "UNAVAILABLE"


def test_a_url_is_no_prefix_for_files(lab: Lab) -> None:
    with pytest.raises(InvalidArgument, match="neither a bucket nor a folder"):
        lab.out("https://host/dicom-web")
