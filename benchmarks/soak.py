"""A stream under load: ``python -m benchmarks.soak``.

Instances arrive in a folder, an Orthanc or a bucket of fake-gcs-server, and go from it, while `stream run` brings them
to a table of DuckDB. Every ten seconds a line tells how far the table is behind, and how much memory the stream takes;
at the end the view has to be the store.

Somebody also asks the table every second, waits while it is written, and notes how long after its arrival each instance
has a row there.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from benchmarks import instances
from tests import gcs_server, orthanc_server
from tests.stores.conftest import Folder, Place

_REPORT, _ASK = 10.0, 1.0
_POLL = 5


class Traffic:
    """What arrives in a store and goes from it, at steady rates.

    Parameters
    ----------
    arrivals, departures
        Instances a second.
    arrived
        When each instance was there.
    """

    def __init__(self, place: Place, arrivals: float, departures: float) -> None:
        self.place = place
        self.arrived: list[float] = []
        self.gone = 0
        self.present: deque[str] = deque()
        self._arrivals, self._departures = arrivals, departures
        self._headers = instances.endless()
        self._chance = random.Random(1)
        self._begun = time.monotonic()

    def go_on(self) -> None:
        """Do what is due by now, as far as a second goes: a server may be slower than that."""
        passed = time.monotonic() - self._begun
        while len(self.arrived) < int(passed * self._arrivals) and time.monotonic() - self._begun < passed + 1:
            number = len(self.arrived)
            key = f"{number // 1000}/{number}.dcm"
            self.place.put(key, next(self._headers))
            self.present.append(key)
            self.arrived.append(time.monotonic())
        while self.gone < int(passed * self._departures) and len(self.present) > 1:
            self.present.rotate(self._chance.randrange(len(self.present)))
            self.place.delete(self.present.popleft())
            self.gone += 1


@dataclass
class Reader:
    """Somebody who asks the table for what is new; its file is free between two deliveries.

    Parameters
    ----------
    waited
        Seconds from the arrival of each instance to its row, as this reader saw it.
    """

    file: Path
    waited: list[float] = field(default_factory=list)
    _last: int = -1

    def look(self, arrived: Sequence[float]) -> bool:
        """Ask once; False while rows are written, when nobody is let in."""
        with contextlib.suppress(duckdb.IOException), duckdb.connect(str(self.file), read_only=True) as connection:
            rows = connection.execute(
                "SELECT rowid, SOPInstanceUID FROM d.t WHERE rowid > ? AND Type = 'CREATE'", [self._last]
            ).fetchall()
            present = time.monotonic()
            self.waited += [present - arrived[instances.number_of(uid)] for _, uid in rows]
            self._last = max([self._last, *(row for row, _ in rows)])
            return True
        return False

    def line(self) -> str:
        """Tell the percentiles."""
        if len(self.waited) < 2:
            return "no rows seen"
        cuts = statistics.quantiles(self.waited, n=100)
        return f"from arrival to row p50 {cuts[49]:.1f} s, p95 {cuts[94]:.1f} s, p99 {cuts[98]:.1f} s"


def soak(source: str, minutes: float, arrivals: float, departures: float) -> bool:
    """Run it; tell whether the view is the store in the end."""
    with tempfile.TemporaryDirectory() as scratch, _PLACES[source](Path(scratch)) as place:
        os.environ["DICOMBQ_HOME"] = f"{scratch}/home"
        _dicombq("stream", "configure", place.uri, f"--bq-table=duckdb://{scratch}/w.duckdb/d.t")
        command = [sys.executable, "-m", "dicombq", "stream", "run", place.uri]
        if source == "gcs":  # it is polled
            command.append(f"--interval={_POLL}s")
        with subprocess.Popen(command) as stream:
            traffic, reader = Traffic(place, arrivals, departures), Reader(Path(scratch, "w.duckdb"))
            whole = Reader(reader.file)
            begun = reported = asked = time.monotonic()
            while time.monotonic() - begun < minutes * 60:
                traffic.go_on()
                if time.monotonic() - asked >= _ASK and reader.look(traffic.arrived):
                    asked = time.monotonic()
                if time.monotonic() - reported >= _REPORT:
                    reported += _REPORT
                    _report(time.monotonic() - begun, traffic, stream.pid)
                    print(f"{'':10}{reader.line()}", flush=True)
                    whole.waited += reader.waited
                    reader.waited.clear()
                time.sleep(0.05)
            print("no more arrive", flush=True)
            deadline = time.monotonic() + 120
            while (table := _table(place.uri))["instances"] != len(traffic.present) or table["pending"]:
                if time.monotonic() > deadline:
                    break
                time.sleep(1)
            _report(time.monotonic() - begun, traffic, stream.pid)
            stream.terminate()
        print(f"all: {whole.line()}; longest {max(whole.waited, default=0.0):.1f} s")
        shown = _shown(Path(scratch, "w.duckdb"))
        print(f"in the store {len(traffic.present):,}, in the view {shown:,}, stream ended with {stream.returncode}")
        return (shown, stream.returncode) == (len(traffic.present), 0)


@contextlib.contextmanager
def _folder(scratch: Path) -> Iterator[Place]:
    (scratch / "scans").mkdir()
    yield Folder(scratch / "scans")


@contextlib.contextmanager
def _orthanc(scratch: Path) -> Iterator[Place]:
    with orthanc_server.serve(scratch) as orthanc:
        yield Modality(orthanc, scratch / "sent")


@contextlib.contextmanager
def _gcs(scratch: Path) -> Iterator[Place]:
    with gcs_server.serve(gcs_server.EXECUTABLE, scratch) as url:
        os.environ["STORAGE_EMULATOR_HOST"] = url
        yield gcs_server.GcsBucket.create(url)


@dataclass
class Modality:
    """Sends to an Orthanc by C-STORE, and deletes over its REST API."""

    orthanc: orthanc_server.Orthanc
    folder: Path
    _uids: dict[str, str] = field(default_factory=dict)

    @property
    def uri(self) -> str:
        """The source of the store."""
        return self.orthanc.uri

    def put(self, key: str, data: bytes) -> None:
        """Send one."""
        self.folder.mkdir(exist_ok=True)
        (self.folder / "1.dcm").write_bytes(data)
        self.orthanc.send(self.folder)
        self._uids[key] = instances.uid_of(len(self._uids))

    def delete(self, key: str) -> None:
        """Delete one."""
        self.orthanc.delete_instances([self._uids[key]])


_PLACES: dict[str, Callable[[Path], contextlib.AbstractContextManager[Place]]] = {
    "folder": _folder,
    "orthanc": _orthanc,
    "gcs": _gcs,
}


def _report(seconds: float, traffic: Traffic, pid: int) -> None:
    table = _table(traffic.place.uri)
    memory = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    cpu = (int(ticks[11]) + int(ticks[12])) / os.sysconf("SC_CLK_TCK")
    print(
        f"{seconds:6.0f} s: {len(traffic.arrived):7,} arrived, {traffic.gone:6,} gone, {table['instances']:7,} known, "
        f"{table['pending']:5,} rows pending, lag {table['lagSeconds']:5.1f} s, "
        f"{int(memory.split()[1]) >> 10:4} MiB, CPU {cpu / seconds:.0%}",
        flush=True,
    )


def _table(store: str) -> dict[str, Any]:
    own = json.loads(_dicombq("stream", "describe", store, "--format=json"))["dicombq"]
    table: dict[str, Any] = {"pending": 0, "lagSeconds": 0.0} | own["tables"][0]
    return table | {"instances": own["instances"]}


def _shown(file: Path) -> int:
    with duckdb.connect(str(file), read_only=True) as connection:
        row = connection.execute("SELECT count(*) FROM d.tView").fetchone()
    return int(row[0]) if row else 0


def _dicombq(*arguments: str) -> bytes:
    return subprocess.run(
        [sys.executable, "-m", "dicombq", *arguments], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ).stdout


def main() -> int:
    """Soak, and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description="Keep a stream busy.")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--arrivals", type=float, default=200.0, metavar="N", help="instances a second")
    parser.add_argument("--departures", type=float, default=20.0, metavar="N", help="instances a second")
    parser.add_argument("--source", choices=_PLACES, default="folder")
    options = parser.parse_args()
    return 0 if soak(options.source, options.minutes, options.arrivals, options.departures) else 1


if __name__ == "__main__":
    sys.exit(main())
