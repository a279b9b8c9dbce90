"""How the memory of an export grows with the number of instances, the load into DuckDB included."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks import instances
from benchmarks.measure import run
from benchmarks.table import markdown


def section(files: int) -> str:
    """Export a tenth of the files, then all: CT headers without pixel data, on two workers."""
    peaks = {}
    for count in (files // 10, files):
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch, "files")
            instances.write_many(folder, count)
            table = f"duckdb://{scratch}/x.duckdb/d.t"
            command = ["dicombq", "export", "bq", str(folder), "--workers=2", f"--bq-table={table}"]
            seen = run(command, Path(scratch, "home"), memory=True).peaks
        parent, *others = (peak / 1024 for peak in seen.values())
        peaks[count] = (parent, max(others, default=0.0))
    few, many = peaks.values()
    rows = [
        [name, small, large, f"{large / small - 1:+.0%}" if small else "", "yes" if _is_flat(small, large) else "no"]
        for name, small, large in zip(("the command, load included", "its biggest worker"), few, many, strict=True)
    ]
    headings = ["peak RSS, MiB", *(f"{count:,} instances" for count in peaks), "growth", "within 10 % + 24 MiB"]
    return markdown(headings, rows)


def _is_flat(small: float, large: float) -> bool:
    return large <= small * 1.1 + 24
