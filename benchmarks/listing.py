"""What it costs to list a folder of many files."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks.table import markdown
from dicombq.names import Parent
from dicombq.shards.listing import list_store
from dicombq.stores.folder import FolderStore

_FOLDERS = 200


def section(files: int, repeat: int) -> str:
    """List empty files in 200 folders."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch, "files")
        for number in range(files):
            folder = root / f"{number % _FOLDERS:03d}"
            if number < _FOLDERS:
                folder.mkdir(parents=True)
            (folder / f"{number}.dcm").touch()
        store = FolderStore.open(str(root), Parent())
        costs = []
        for _ in range(repeat):
            wall, cpu = time.monotonic(), time.process_time()
            list_store(store, None, Path(scratch), lambda _entry: None)
            costs.append((time.monotonic() - wall, time.process_time() - cpu))
    wall, cpu = min(costs)
    return markdown(["files", "wall, µs a file", "CPU, µs a file"], [[files, wall / files * 1e6, cpu / files * 1e6]])
