"""What a whole export costs per instance, from the command to the table, next to the obvious script."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from benchmarks import instances
from benchmarks.measure import Cost, run
from benchmarks.table import markdown

_OBVIOUS, _ONE, _TWO = "the obvious script", "dicombq, 1 worker", "dicombq, 2 workers"
_KINDS = ("CT, each of another study", "CT, in series of 100")


def section(files: int, repeat: int) -> str:
    """Export first-seen CT files: one run of each command after the other, `repeat` times."""
    costs: dict[str, dict[str, list[Cost]]] = {kind: {name: [] for name in (_OBVIOUS, _ONE, _TWO)} for kind in _KINDS}
    for turn in range(repeat):
        for kind in _KINDS:
            _measure(kind, range(turn * files, (turn + 1) * files), costs[kind])
    rows: list[list[str | float]] = []
    notes = [f"{files:,} files."]
    for kind, by_name in costs.items():
        wall = {name: statistics.median(cost.wall for cost in each) / files for name, each in by_name.items()}
        cpu = {name: statistics.median(cost.cpu for cost in each) / files for name, each in by_name.items()}
        rows += [
            [
                f"{kind}: {name}",
                wall[name] * 1e6,
                cpu[name] * 1e6,
                wall[_OBVIOUS] / wall[name],
                cpu[_OBVIOUS] / cpu[name],
            ]
            for name in by_name
        ]
        notes.append(f"{kind}: 2 workers are {wall[_ONE] / wall[_TWO]:.2f} times as fast as one.")
    table = markdown(["µs an instance", "wall", "CPU", "script : this, wall", "script : this, CPU"], rows)
    return "\n".join([table, "", *notes])


def _measure(kind: str, seeds: range, costs: dict[str, list[Cost]]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder, home = Path(scratch, "files"), Path(scratch, "home")
        instances.write(folder, kind, seeds)
        costs[_OBVIOUS].append(run(["benchmarks.obvious", str(folder), str(Path(scratch, "x.duckdb"))], home))
        for name, workers in ((_ONE, 1), (_TWO, 2)):
            table = f"duckdb://{scratch}/{workers}.duckdb/d.t"
            command = ["dicombq", "export", "bq", str(folder), f"--workers={workers}", f"--bq-table={table}"]
            costs[name].append(run(command, home))
