"""What it costs to start."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from benchmarks import instances
from benchmarks.measure import run
from benchmarks.table import markdown


def section(repeat: int) -> str:
    """Start the command, and export one file."""
    with tempfile.TemporaryDirectory() as scratch:
        folder, home = Path(scratch, "files"), Path(scratch, "home")
        instances.write(folder, "CT, each of another study", range(1))
        table = f"--bq-table=duckdb://{scratch}/x.duckdb/d.t"
        commands = {
            "`--version`": ["--version"],
            "`--help`": ["--help"],
            "export of one file": ["export", "bq", str(folder), table, "--overwrite-table"],
        }
        rows: list[list[str | float]] = []
        for name, arguments in commands.items():
            costs = [run(["dicombq", *arguments], home) for _ in range(repeat)]
            cpu, wall = (statistics.median(each) for each in ([c.cpu for c in costs], [c.wall for c in costs]))
            rows.append([name, cpu, wall])
    return markdown(["seconds", "CPU", "wall"], rows)
