"""The server under load: ``python -m benchmarks.serve``.

It stores, searches and retrieves with 16 clients at a time, searches a store of many instances, and takes and gives an
instance of two gigabytes. What it prints are latencies as the clients saw them, on the machine that ran both sides.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks import instances
from benchmarks.measure import peak
from benchmarks.table import markdown
from dicombq.names import Parent, StoreName
from dicombq.stores.registry import RegisteredStore, StoreRegistry
from tests.dicom_bytes import EXPLICIT, element, ordered, part10
from tests.processes import free_port

CLIENTS = 16
_NAME = StoreName(Parent(), "load")
_BASE = f"/v1/{_NAME}/dicomWeb"
_MULTIPART = 'multipart/related; type="application/dicom"; boundary=b'
_GIGABYTES = 2 * 1000**3
_PIECE = 1 << 20


@dataclass(frozen=True)
class Server:
    """A server that runs, and where its memory is told."""

    port: int
    pid: int

    def connect(self) -> closing[http.client.HTTPConnection]:
        """Open a connection, for a block."""
        return closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=300))

    @property
    def memory(self) -> float:
        """Resident MiB."""
        with open(f"/proc/{self.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


@dataclass
class Load:
    """What clients saw.

    Parameters
    ----------
    seconds
        Of each request.
    """

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    wall: float = 0.0

    def row(self) -> list[str | float]:
        """Print it: requests, errors of the server, requests a second, and percentiles in milliseconds."""
        ordered_seconds = sorted(self.seconds)
        percentiles = [1000 * ordered_seconds[int((len(ordered_seconds) - 1) * share)] for share in (0.5, 0.9, 0.99, 1)]
        errors = sum(count for status, count in self.statuses.items() if status >= 500)
        return [len(self.seconds), errors, len(self.seconds) / self.wall, *percentiles]


HEADINGS = ["requests", "5xx", "a second", "p50, ms", "p90, ms", "p99, ms", "longest, ms"]


@contextmanager
def served(scratch: Path, source: str = "") -> Iterator[Server]:
    """Serve a store: a managed one, or a folder."""
    home = scratch / "home"
    home.mkdir(mode=0o700)
    StoreRegistry(home).create(RegisteredStore(_NAME, source))
    port = free_port()
    command = [sys.executable, "-m", "dicombq", "serve", f"--port={port}"]
    environment = {**os.environ, "DICOMBQ_HOME": str(home)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            server = Server(port, process.pid)
            _wait_for(server)
            yield server
        finally:
            process.kill()


def _wait_for(server: Server) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            with server.connect() as connection:
                connection.connect()
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def ask(server: Server, requests: Iterable[tuple[str, str, bytes]], clients: int = CLIENTS) -> Load:
    """Send requests by several clients, each with a connection of its own."""
    load, lock, waiting = Load(), threading.Lock(), iter(requests)

    def client() -> None:
        with server.connect() as connection:
            while True:
                with lock:
                    request = next(waiting, None)
                if request is None:
                    return
                method, path, body = request
                begun = time.monotonic()
                connection.request(method, path, body or None, {"Content-Type": _MULTIPART} if body else {})
                answer = connection.getresponse()
                answer.read()
                with lock:
                    load.seconds.append(time.monotonic() - begun)
                    load.statuses[answer.status] += 1

    threads = [threading.Thread(target=client) for _ in range(clients)]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    load.wall = time.monotonic() - begun
    return load


def message(data: bytes) -> bytes:
    """Write a multipart message of one instance."""
    return b"--b\r\nContent-Type: application/dicom\r\n\r\n" + data + b"\r\n--b--\r\n"


def small(number: int, *, per_series: int = 100, per_study: int = 400) -> bytes:
    """Make a header of half a kilobyte."""
    study, series = number // per_study, number // per_series
    values = {
        0x00080016: ("UI", "1.2.840.10008.5.1.4.1.1.2"),
        0x00080018: ("UI", f"1.2.826.0.1.{study}.{series}.{number}"),
        0x00080020: ("DA", f"20{study % 30:02}{study % 12 + 1:02}{study % 28 + 1:02}"),
        0x00080030: ("TM", "101500"),
        0x00080050: ("SH", f"ACC{study}"),
        0x00080060: ("CS", ("CT", "MR", "US")[study % 3]),
        0x00081030: ("LO", "ROUTINE"),
        0x00100010: ("PN", f"Family{study % 500}^Given{study}"),
        0x00100020: ("LO", f"PID{study}"),
        0x0020000D: ("UI", f"1.2.826.0.1.{study}"),
        0x0020000E: ("UI", f"1.2.826.0.1.{study}.{series}"),
        0x00200011: ("IS", str(series)),
        0x00200013: ("IS", str(number)),
    }
    elements = [element(tag, vr, value) for tag, (vr, value) in values.items()]
    return part10(b"".join(ordered(elements)), EXPLICIT)


def searches(instances_there: int) -> Iterator[tuple[str, str, bytes]]:
    """Ask in turn what viewers and scripts ask."""
    studies = max(instances_there // 400, 1)
    for number in itertools.count():
        study = number * 7919 % studies
        uid = f"1.2.826.0.1.{study}"
        for query in (
            "/studies?limit=100",
            f"/studies?PatientID=PID{study}",
            f"/studies?PatientName=family{study % 500}*&limit=20",
            "/studies?StudyDate=20100101-20151231&ModalitiesInStudy=MR&limit=50",
            f"/studies/{uid}/series",
            f"/studies/{uid}/series/{uid}.{study * 4}/instances?limit=100",
            f"/instances?limit=100&offset={number * 97 % instances_there}",
        ):
            yield "GET", _BASE + query, b""


def load_section(stores: int, finds: int) -> str:
    """Store and search with 16 clients; tell the server's memory at quarters of the searches."""
    with tempfile.TemporaryDirectory() as scratch, served(Path(scratch)) as server:
        headers = instances.endless()
        bodies = [message(next(headers)) for _ in range(stores)]
        rows: list[list[str | float]] = []
        before = server.memory
        load = ask(server, (("POST", f"{_BASE}/studies", body) for body in bodies))
        rows.append(["store", *load.row(), before, server.memory])
        if load.statuses[200] != stores:
            raise RuntimeError(f"not all were stored: {dict(load.statuses)}")
        for number in range(1, 5):
            before = server.memory
            load = ask(server, itertools.islice(searches(stores), finds // 4))
            rows.append([f"search, quarter {number}", *load.row(), before, server.memory])
        load = ask(server, _retrievals(server, min(stores, 500)))
        rows.append(["retrieve", *load.row(), before, server.memory])
    return markdown(["", *HEADINGS, "MiB before", "MiB after"], rows)


def _retrievals(server: Server, count: int) -> list[tuple[str, str, bytes]]:
    with server.connect() as connection:
        connection.request("GET", f"{_BASE}/instances?limit={count}")
        found = json.loads(connection.getresponse().read())
    return [("GET", urlsplit(item["00081190"]["Value"][0]).path, b"") for item in found]


def big_store_section(files: int, finds: int) -> str:
    """Search a store of many instances, one client after the other and 16 at a time."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "files")
        for number in range(files):
            path = folder / str(number // 1000) / f"{number}.dcm"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(small(number))
        with served(Path(scratch), str(folder)) as server:
            begun = time.monotonic()
            while ask(server, [("GET", f"{_BASE}/studies?limit=1", b"")], 1).statuses[200] != 1:
                time.sleep(1)
            read = time.monotonic() - begun
            asked = list(itertools.islice(searches(files), finds))
            rows = [[kind, *ask(server, asked[at :: len(_KINDS)], 1).row()] for at, kind in enumerate(_KINDS)]
            rows.append([f"all, {CLIENTS} clients", *ask(server, asked).row()])
            return markdown([f"{files:,} instances, read in {read:.0f} s", *HEADINGS], rows)


_KINDS = (
    "studies, first page",
    "studies by PatientID",
    "studies by PatientName",
    "studies by date and modality",
    "series of a study",
    "instances of a series",
    "instances, any page",
)


def big_instance_section(size: int) -> str:
    """Store an instance and retrieve it, in pieces; tell the server's greatest memory."""
    with tempfile.TemporaryDirectory() as scratch, served(Path(scratch)) as server:
        rows: list[list[str | float]] = [["start", 0.0, peak(server.pid) / 1024]]
        seconds = _timed(lambda: _store_big(server, size))
        rows.append([f"store {size / 1e9:.1f} GB", seconds, peak(server.pid) / 1024])
        seconds = _timed(lambda: _retrieve_big(server, size))
        rows.append([f"retrieve {size / 1e9:.1f} GB", seconds, peak(server.pid) / 1024])
    return markdown(["", "wall, s", "peak MiB"], rows)


def _timed(work: Callable[[], None]) -> float:
    begun = time.monotonic()
    work()
    return time.monotonic() - begun


def _store_big(server: Server, size: int) -> None:
    header = small(1) + element(0x7FE00010, "OW", b"", length=size)
    piece = os.urandom(_PIECE)

    def body() -> Iterator[bytes]:
        yield b"--b\r\nContent-Type: application/dicom\r\n\r\n" + header
        for at in range(0, size, _PIECE):
            yield piece[: size - at]
        yield b"\r\n--b--\r\n"

    with server.connect() as connection:
        connection.request("POST", f"{_BASE}/studies", body(), {"Content-Type": _MULTIPART}, encode_chunked=True)
        answer = connection.getresponse()
        if answer.status != 200:
            raise RuntimeError(f"not stored: {answer.status}")


def _retrieve_big(server: Server, size: int) -> None:
    got = 0
    with server.connect() as connection:
        connection.request("GET", f"{_BASE}/studies/1.2.826.0.1.0")
        answer = connection.getresponse()
        while piece := answer.read(_PIECE):
            got += len(piece)
    if got < size:
        raise RuntimeError(f"{got} of {size} bytes came")


def main() -> None:
    """Print all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stores", type=int, default=1000)
    parser.add_argument("--searches", type=int, default=10_000)
    parser.add_argument("--instances", type=int, default=100_000)
    parser.add_argument("--size", type=int, default=_GIGABYTES)
    flags = parser.parse_args()
    print(load_section(flags.stores, flags.searches), flush=True)
    print(big_store_section(flags.instances, 700), flush=True)
    print(big_instance_section(flags.size), flush=True)


if __name__ == "__main__":
    main()
