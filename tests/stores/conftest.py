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
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Give each kind of place in turn, with nothing in it."""
    if request.param == "folder":
        (tmp_path / "scans").mkdir()
        return Folder(tmp_path / "scans")
    return _bucket(request)


@pytest.fixture(params=["gcs", "s3"])
def bucket(request: pytest.FixtureRequest) -> Place:
    """Give each kind of bucket in turn, empty."""
    return _bucket(request)


def _bucket(request: pytest.FixtureRequest) -> Place:
    bucket: Place = request.getfixturevalue(f"{request.param}_bucket")
    return bucket
