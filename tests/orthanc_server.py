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
SENDER = shutil.which("storescu")
EXECUTABLE = shutil.which("Orthanc")
COMPILER = shutil.which("cc") or shutil.which("gcc")

MISSING = (
    "Orthanc with its DICOMweb plugin, dcmtk and a C compiler are not there: "
    "apt-get install orthanc orthanc-dicomweb dcmtk gcc"
)
IS_THERE = bool(EXECUTABLE and SENDER and COMPILER and PLUGIN.exists())


@dataclass(frozen=True)
class Orthanc:
    """A running server, by the URL of its own interface and the port at which it takes instances by C-STORE."""

    url: str
    dicom_port: int
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

    def send(self, folder: Path) -> None:
        """Store the files of a folder by C-STORE, in the order of their names."""
        assert SENDER
        files = sorted(str(path) for path in folder.iterdir())
        subprocess.run([SENDER, "-aec", "ORTHANC", "127.0.0.1", str(self.dicom_port), *files], check=True)

    def delete_instances(self, sop_uids: Iterable[str]) -> None:
        """Delete instances by their SOP Instance UIDs, over the REST API."""
        for uid in sop_uids:
            for name in self._call("POST", "/tools/lookup", uid.encode()):
                self._call("DELETE", name["Path"])

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
        "DicomPort": (dicom_port := free_port()),
        "DicomCheckCalledAet": False,
        "DicomAlwaysAllowStore": True,
        "UnknownSopClassAccepted": True,
        "OverwriteInstances": True,
        "Plugins": [str(PLUGIN)],
        "DicomWeb": {"Enable": True, "StudiesMetadata": "Full", "SeriesMetadata": "Full"},
        **configuration,
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with running(
        [EXECUTABLE, str(folder / "orthanc.json")], f"{url}/system", folder / "log", {"LD_PRELOAD": str(shim)}
    ):
        yield Orthanc(url, dicom_port)
