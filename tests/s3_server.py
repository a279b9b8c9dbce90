"""moto, an S3 that knows nothing of this project, as a process of its own."""

from __future__ import annotations

import contextlib
import sys
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import obstore
from obstore.store import S3Store

from tests.processes import free_port, running

ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}


@contextlib.contextmanager
def serve(folder: Path) -> Iterator[str]:
    """Run the server until the end of the block; give its URL."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with running(command, f"http://127.0.0.1:{port}/moto-api/", folder / "log"):
        yield f"http://127.0.0.1:{port}"


@dataclass(frozen=True)
class S3Bucket:
    """A bucket, as somebody else fills it."""

    name: str
    store: S3Store

    @classmethod
    def create(cls, url: str) -> S3Bucket:
        """Make an empty bucket."""
        name = f"scans-{uuid.uuid4().hex}"
        urllib.request.urlopen(urllib.request.Request(f"{url}/{name}", method="PUT")).close()
        config = {"endpoint": url, "access_key_id": "test", "secret_access_key": "test", "region": "us-east-1"}
        return cls(name, S3Store(name, config=config, client_options={"allow_http": True}))  # type: ignore[arg-type]  # literals

    @property
    def uri(self) -> str:
        """The bucket's, without a slash at its end."""
        return f"s3://{self.name}"

    def put(self, key: str, data: bytes) -> None:
        """Write an object, in place of the one that is there."""
        obstore.put(self.store, key, data)

    def delete(self, key: str) -> None:
        """Delete an object."""
        obstore.delete(self.store, key)
