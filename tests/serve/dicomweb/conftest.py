from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.testclient import TestClient

from dicombq.names import Parent, StoreName
from dicombq.stores.registry import RegisteredStore, StoreRegistry
from dicombq.streaming.keeper import keepers
from tests.instances import write_instance
from tests.serve.conftest import Serve

NAME = StoreName(Parent(), "scans")
BASE = f"/v1/{NAME}/dicomWeb"
DICOM = "application/dicom"
MULTIPART = 'multipart/related; type="application/dicom"; boundary=the-boundary'

Answer = httpx2.Response


def message(*parts: bytes, headers: bytes = b"Content-Type: application/dicom\r\n") -> bytes:
    """Write a multipart message."""
    body = b"".join(b"--the-boundary\r\n" + headers + b"\r\n" + part + b"\r\n" for part in parts)
    return body + b"--the-boundary--\r\n"


def sop_uids(answer: Answer, sequence: str) -> list[str]:
    """Read which instances a sequence of an answer names."""
    return [item["00081155"]["Value"][0] for item in answer.json().get(sequence, {}).get("Value", [])]


def reasons(answer: Answer, sequence: str = "00081198") -> list[int]:
    """Read why instances were not stored."""
    return [item["00081197"]["Value"][0] for item in answer.json().get(sequence, {}).get("Value", [])]


@dataclass
class Web:
    """The DICOMweb of a store.

    Parameters
    ----------
    folder
        Where its instances lie.
    """

    client: TestClient
    folder: Path
    base: Path

    def get(self, path: str, accept: str = "", **query: str) -> Answer:
        """Ask for something below the store's DICOMweb."""
        return self.client.get(BASE + path, params=query, headers={"Accept": accept} if accept else {})

    def post(self, body: Any, kind: str = MULTIPART, path: str = "/studies") -> Answer:
        """Store something."""
        return self.client.post(BASE + path, content=body, headers={"Content-Type": kind})

    def delete(self, path: str) -> Answer:
        """Delete something."""
        return self.client.delete(BASE + path)

    def instance(self, number: int = 1, **attributes: Any) -> bytes:
        """Make an instance's file."""
        return write_instance(self.base / "new.dcm", number, **attributes).read_bytes()

    def store(self, number: int = 1, **attributes: Any) -> bytes:
        """Store an instance; give its file."""
        data = self.instance(number, **attributes)
        assert self.post(message(data)).status_code == 200
        return data

    @property
    def files(self) -> list[str]:
        """The files in the folder."""
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file())


@pytest.fixture
def web(serve: Serve, home: Path, tmp_path: Path) -> Iterator[Web]:
    """A managed store."""
    client = serve()
    store = StoreRegistry(home).create(RegisteredStore(NAME, ""))
    yield Web(client, Path(store.source), tmp_path)
    keepers(home).close()
