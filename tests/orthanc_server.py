"""Orthanc, a DICOM server that knows nothing of this project, as a process of its own."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.processes import free_port, running

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
EXECUTABLE = shutil.which("Orthanc")
COMPILER = shutil.which("cc") or shutil.which("gcc")

MISSING = (
    "Orthanc with its DICOMweb plugin and a C compiler are not there: apt-get install orthanc orthanc-dicomweb gcc"
)
IS_THERE = bool(EXECUTABLE and COMPILER and PLUGIN.exists())


@dataclass(frozen=True)
class Orthanc:
    """A running server, by the URL of its own interface."""

    url: str
    _names: dict[str, str] = field(default_factory=dict)

    @property
    def dicomweb(self) -> str:
        """The base URL of DICOMweb."""
        return f"{self.url}/dicom-web"

    def load(self, files: Iterable[Path]) -> list[Path]:
        """Store files; give those that it refuses."""
        return [file for file in files if not self._takes(file.read_bytes())]

    @property
    def uri(self) -> str:
        """The source of the store."""
        return self.dicomweb

    def put(self, key: str, data: bytes) -> None:
        """Store an instance; it has a name of its own here."""
        self._names[key] = self._call("POST", "/instances", data)["Path"]

    def delete(self, key: str) -> None:
        """Delete an instance that was put here."""
        self._call("DELETE", self._names.pop(key))

    def _takes(self, data: bytes) -> bool:
        try:
            self._call("POST", "/instances", data)
        except urllib.error.HTTPError:
            return False
        return True

    def clear(self) -> None:
        """Forget all instances."""
        for patient in self._call("GET", "/patients"):
            self._call("DELETE", f"/patients/{patient}")

    def _call(self, method: str, path: str, data: bytes | None = None) -> Any:
        request = urllib.request.Request(f"{self.url}{path}", data, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)


@contextlib.contextmanager
def serve(folder: Path, **configuration: Any) -> Iterator[Orthanc]:
    """Run an empty server until the end of the block."""
    assert EXECUTABLE
    assert COMPILER
    shim, url = folder / "loopback.so", f"http://127.0.0.1:{free_port()}"
    source = Path(__file__).parent / "loopback.c"
    subprocess.run([COMPILER, "-shared", "-fPIC", "-o", shim, source, "-ldl"], check=True)
    settings = {
        "StorageDirectory": str(folder / "db"),
        "IndexDirectory": str(folder / "db"),
        "HttpPort": int(url.rpartition(":")[2]),
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomServerEnabled": False,
        "Plugins": [str(PLUGIN)],
        "DicomWeb": {"Enable": True, "StudiesMetadata": "Full", "SeriesMetadata": "Full"},
        **configuration,
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with running(
        [EXECUTABLE, str(folder / "orthanc.json")], f"{url}/system", folder / "log", {"LD_PRELOAD": str(shim)}
    ):
        yield Orthanc(url)
