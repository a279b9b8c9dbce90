"""The stores that one contract holds for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest


class Place(Protocol):
    """Somewhere that instances lie, as somebody else fills it."""

    @property
    def uri(self) -> str:
        """The source of the store, without a slash at its end."""
        ...

    def put(self, key: str, data: bytes) -> None:
        """Put something there, in place of what has that name."""
        ...

    def delete(self, key: str) -> None:
        """Take it away."""
        ...


@dataclass(frozen=True)
class Folder:
    """A folder."""

    root: Path

    @property
    def uri(self) -> str:
        """The path."""
        return str(self.root)

    def put(self, key: str, data: bytes) -> None:
        """Write a file."""
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def delete(self, key: str) -> None:
        """Delete a file."""
        (self.root / key).unlink()


@pytest.fixture(params=["folder", "gcs", "s3"])
def place(request: pytest.FixtureRequest) -> Place:
    """Give each kind of place in turn, with nothing in it."""
    return _place(request)


@pytest.fixture(params=["folder", "gcs", "s3", "orthanc"])
def anywhere(request: pytest.FixtureRequest) -> Place:
    """Give each kind of place in turn, those too that hold nothing but instances, by their UIDs."""
    return _place(request)


@pytest.fixture(params=["gcs", "s3"])
def bucket(request: pytest.FixtureRequest) -> Place:
    """Give each kind of bucket in turn, empty."""
    return _place(request)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Give a folder with nothing in it."""
    (tmp_path / "scans").mkdir()
    return Folder(tmp_path / "scans")


def _place(request: pytest.FixtureRequest) -> Place:
    fixtures = {"folder": "folder", "gcs": "gcs_bucket", "s3": "s3_bucket", "orthanc": "orthanc"}
    place: Place = request.getfixturevalue(fixtures[request.param])
    return place
