"""A stream under load: ``python -m benchmarks.soak``.

Instances arrive in a folder and go from it while `stream run` brings them to a table of DuckDB. Every ten seconds a
line tells how far the table is behind, and how much memory the stream takes; at the end the view has to be the folder.

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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from benchmarks import instances

_REPORT, _ASK = 10.0, 1.0


class Folder:
    """The folder, and what arrives and goes there at steady rates.

    Parameters
    ----------
    arrivals, departures
        Instances a second.
    """

    def __init__(self, root: Path, arrivals: float, departures: float) -> None:
        self.root = root
        self.arrived = self.gone = 0
        self.present: deque[Path] = deque()
        self._arrivals, self._departures = arrivals, departures
        self._headers = instances.endless()
        self._chance = random.Random(1)
        self._begun = time.monotonic()

    def go_on(self) -> None:
        """Do what is due by now."""
        passed = time.monotonic() - self._begun
        while self.arrived < int(passed * self._arrivals):
            path = self.root / f"{self.arrived // 1000}" / f"{self.arrived}.dcm"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(next(self._headers))
            self.present.append(path)
            self.arrived += 1
        while self.gone < int(passed * self._departures) and len(self.present) > 1:
            self.present.rotate(self._chance.randrange(len(self.present)))
            self.present.popleft().unlink()
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

    def look(self) -> bool:
        """Ask once; False while rows are written, when nobody is let in."""
        with contextlib.suppress(duckdb.IOException), duckdb.connect(str(self.file), read_only=True) as connection:
            rows = connection.execute(
                "SELECT rowid, epoch(LastUpdated) FROM d.t WHERE rowid > ? AND Type = 'CREATE'", [self._last]
            ).fetchall()
            present = time.time()
            self.waited += [present - arrived for _, arrived in rows]
            self._last = max([self._last, *(row for row, _ in rows)])
            return True
        return False

    def line(self) -> str:
        """Tell the percentiles."""
        if len(self.waited) < 2:
            return "no rows seen"
        cuts = statistics.quantiles(self.waited, n=100)
        return f"from arrival to row p50 {cuts[49]:.1f} s, p95 {cuts[94]:.1f} s, p99 {cuts[98]:.1f} s"


def soak(minutes: float, arrivals: float, departures: float) -> bool:
    """Run it; tell whether the view is the folder in the end."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch, "scans")
        root.mkdir()
        os.environ["DICOMBQ_HOME"] = f"{scratch}/home"
        _dicombq("stream", "configure", str(root), f"--bq-table=duckdb://{scratch}/w.duckdb/d.t")
        command = [sys.executable, "-m", "dicombq", "stream", "run", str(root)]
        with subprocess.Popen(command) as stream:
            folder, reader = Folder(root, arrivals, departures), Reader(Path(scratch, "w.duckdb"))
            whole = Reader(reader.file)
            begun = reported = asked = time.monotonic()
            while time.monotonic() - begun < minutes * 60:
                folder.go_on()
                if time.monotonic() - asked >= _ASK and reader.look():
                    asked = time.monotonic()
                if time.monotonic() - reported >= _REPORT:
                    reported += _REPORT
                    _report(time.monotonic() - begun, folder, stream.pid)
                    print(f"{'':10}{reader.line()}", flush=True)
                    whole.waited += reader.waited
                    reader.waited.clear()
                time.sleep(0.05)
            print("no more arrive", flush=True)
            deadline = time.monotonic() + 120
            while _table(root)["instances"] != len(folder.present) or _table(root)["pending"]:
                if time.monotonic() > deadline:
                    break
                time.sleep(1)
            _report(time.monotonic() - begun, folder, stream.pid)
            stream.terminate()
        print(f"all: {whole.line()}; longest {max(whole.waited, default=0.0):.1f} s")
        shown = _shown(Path(scratch, "w.duckdb"))
        print(f"in the folder {len(folder.present):,}, in the view {shown:,}, stream ended with {stream.returncode}")
        return (shown, stream.returncode) == (len(folder.present), 0)


def _report(seconds: float, folder: Folder, pid: int) -> None:
    table = _table(folder.root)
    memory = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    cpu = (int(ticks[11]) + int(ticks[12])) / os.sysconf("SC_CLK_TCK")
    print(
        f"{seconds:6.0f} s: {folder.arrived:7,} arrived, {folder.gone:6,} gone, {table['instances']:7,} known, "
        f"{table['pending']:5,} rows pending, lag {table['lagSeconds']:5.1f} s, "
        f"{int(memory.split()[1]) >> 10:4} MiB, CPU {cpu / seconds:.0%}",
        flush=True,
    )


def _table(root: Path) -> dict[str, Any]:
    own = json.loads(_dicombq("stream", "describe", str(root), "--format=json"))["dicombq"]
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
    options = parser.parse_args()
    return 0 if soak(options.minutes, options.arrivals, options.departures) else 1


if __name__ == "__main__":
    sys.exit(main())
