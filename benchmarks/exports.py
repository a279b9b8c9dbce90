"""What a whole export costs per instance, from the command to the table, next to the obvious script."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from benchmarks import instances
from benchmarks.measure import Cost, run
from benchmarks.table import markdown

_OBVIOUS, _ONE, _TWO = "the obvious script", "dicombq, 1 worker", "dicombq, 2 workers"


def section(files: int, repeat: int) -> str:
    """Export first-seen CT files: one run of each command after the other, `repeat` times."""
    costs: dict[str, list[Cost]] = {name: [] for name in (_OBVIOUS, _ONE, _TWO)}
    for turn in range(repeat):
        with tempfile.TemporaryDirectory() as scratch:
            folder, home = Path(scratch, "files"), Path(scratch, "home")
            instances.write(folder, "CT", range(turn * files, (turn + 1) * files))
            costs[_OBVIOUS].append(run(["benchmarks.obvious", str(folder), str(Path(scratch, "x.duckdb"))], home))
            for name, workers in ((_ONE, 1), (_TWO, 2)):
                table = f"duckdb://{scratch}/{workers}.duckdb/d.t"
                command = ["dicombq", "export", "bq", str(folder), f"--workers={workers}", f"--bq-table={table}"]
                costs[name].append(run(command, home))
    wall = {name: statistics.median(cost.wall for cost in each) / files for name, each in costs.items()}
    cpu = {name: statistics.median(cost.cpu for cost in each) / files for name, each in costs.items()}
    rows: list[list[str | float]] = [
        [name, wall[name] * 1e6, cpu[name] * 1e6, wall[_OBVIOUS] / wall[name], cpu[_OBVIOUS] / cpu[name]]
        for name in costs
    ]
    table = markdown(["µs an instance", "wall", "CPU", "script : this, wall", "script : this, CPU"], rows)
    return f"{table}\n\n{files:,} CT files; 2 workers are {wall[_ONE] / wall[_TWO]:.2f} times as fast as one."
