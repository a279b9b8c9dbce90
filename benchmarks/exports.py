"""What a whole export costs per instance, from the command to the table, next to the obvious script."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks import instances
from benchmarks.measure import Cost, run
from benchmarks.table import markdown

_FLOOR, _OBVIOUS, _ONE, _TWO = "open and read", "the obvious script", "dicombq, 1 worker", "dicombq, 2 workers"
_HALVES = "two exports at once, of half the files each, 1 worker"
_TARGETS = (
    "20,000 files of other studies on 1 worker: script : this ≥ 40, this : floor ≤ 20, in CPU time; "
    "1 worker : 2 workers ≥ 1.8 in wall time."
)
_KINDS = ("CT, each of another study", "CT, in series of 100")


def section(repeats: Mapping[int, int]) -> str:
    """Export first-seen CT files: one run of each command after the other, so often for each number of files."""
    rows: list[list[str | float]] = []
    notes = []
    for files, repeat in sorted(repeats.items()):
        for kind in _KINDS:
            what = f"{kind}, {files:,} files"
            turns = [_measure(kind, range(turn * files, (turn + 1) * files)) for turn in range(repeat)]
            wall = {name: statistics.median(turn[name].wall for turn in turns) / files for name in turns[0]}
            cpu = {name: statistics.median(turn[name].cpu for turn in turns) / files for name in turns[0]}
            rows += [
                [
                    f"{what}: {name}",
                    wall[name] * 1e6,
                    cpu[name] * 1e6,
                    wall[_OBVIOUS] / wall[name],
                    cpu[_OBVIOUS] / cpu[name],
                    cpu[name] / cpu[_FLOOR],
                ]
                for name in wall
            ]
            notes.append(
                f"{what}: 2 workers are {wall[_ONE] / wall[_TWO]:.2f} times as fast as one, two exports at once "
                f"{wall[_ONE] / wall[_HALVES]:.2f} times."
            )
    headings = ["µs an instance", "wall", "CPU", "script : this, wall", "script : this, CPU", "this : floor, CPU"]
    return "\n".join([markdown(headings, rows), "", *notes, "", f"Targets: {_TARGETS}"])


def _measure(kind: str, seeds: range) -> dict[str, Cost]:
    with tempfile.TemporaryDirectory() as scratch:
        folder, home = Path(scratch, "files"), Path(scratch, "home")
        half = len(seeds) // 2
        halves = {folder / "a": seeds[:half], folder / "b": seeds[half:]}
        for each, own in halves.items():
            instances.write(each, kind, own)
        _warm(folder)
        costs = {_FLOOR: _warm(folder)}
        costs[_OBVIOUS] = run(["benchmarks.obvious", str(folder), str(Path(scratch, "x.duckdb"))], home)
        for name, workers in ((_ONE, 1), (_TWO, 2)):
            _warm(folder)
            costs[name] = _export(folder, workers, home)
        _warm(folder)
        with ThreadPoolExecutor() as threads:
            both = list(threads.map(lambda each: _export(each, 1, home), halves))
        costs[_HALVES] = Cost(max(each.wall for each in both), sum(each.cpu for each in both))
        return costs


def _export(folder: Path, workers: int, home: Path) -> Cost:
    table = f"duckdb://{home.parent}/{folder.name}{workers}.duckdb/d.t"
    return run(["dicombq", "export", "bq", str(folder), f"--workers={workers}", f"--bq-table={table}"], home)


def _warm(folder: Path) -> Cost:
    """Read the headers, for all commands to find them in memory."""
    wall, cpu = time.monotonic(), time.process_time()
    for path in folder.glob("*/*/*"):
        with path.open("rb") as file:
            file.read(16 << 10)
    return Cost(time.monotonic() - wall, time.process_time() - cpu)
