"""What a pass over a store costs in which nothing has changed."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from benchmarks.measure import Cost, run
from benchmarks.table import markdown
from dicombq.names import Parent
from dicombq.stores.base import InstanceRef
from dicombq.stores.folder import FolderStore
from dicombq.streaming.inventory import Inventory, stream_folder
from dicombq.streaming.readings import Reading

_IN_A_FOLDER = 1000


def section(files: int, repeat: int) -> str:
    """Sync a folder of files that the inventory knows, each an instance of its own; the files are never read."""
    with tempfile.TemporaryDirectory() as scratch:
        root, home = Path(scratch, "files"), Path(scratch, "home")
        root.mkdir()
        arguments = ["dicombq", "stream", "sync", str(root)]
        run(["dicombq", "stream", "configure", str(root), f"--bq-table=duckdb://{scratch}/w.duckdb/d.t"], home)
        run(arguments, home)
        for number in range(files):
            folder = root / f"{number // _IN_A_FOLDER}"
            if number % _IN_A_FOLDER == 0:
                folder.mkdir()
            (folder / f"{number}.dcm").touch()
        store = FolderStore.open(str(root), Parent())
        _note(store, stream_folder(home, store.name))
        costs = [run(arguments, home, memory=True) for _ in range(min(repeat, 3))]
        return markdown(
            ["files", "wall, s", "CPU, s", "CPU, µs a file", "peak MiB", "inventory, MiB"],
            [_row(files, min(costs, key=lambda cost: cost.cpu), stream_folder(home, store.name))],
        )


def _note(store: FolderStore, folder: Path) -> None:
    """Note all files as if their headers had been read."""
    with Inventory(folder) as inventory, inventory.transaction():
        for number, entry in enumerate(store.versions()):
            assert isinstance(entry, tuple)
            ref, version = entry
            _note_one(inventory, number, ref, version)


def _note_one(inventory: Inventory, number: int, ref: InstanceRef, version: str) -> None:
    reading = Reading(ref, version)
    content = os.urandom(17)
    uids = (f"1.2.840.{number // 1000}", f"1.2.840.{number // 100}.1", f"1.2.840.{number}.1.1")
    row = inventory.execute(
        "INSERT INTO instances (study, series, sop, alive, content, last, next) VALUES (?, ?, ?, 1, ?, 1, 2)",
        [*uids, content],
    )
    inventory.execute(
        "INSERT INTO copies (uri, ref, version, instance, content, updated) VALUES (?, ?, ?, ?, ?, 1)",
        [reading.uri, reading.noted_ref, version, row.lastrowid, content],
    )


def _row(files: int, cost: Cost, folder: Path) -> list[str | float]:
    size = (folder / "inventory.sqlite").stat().st_size
    peak = max(cost.peaks.values())
    return [files, cost.wall, cost.cpu, cost.cpu / files * 1e6, peak / 1024, size / (1 << 20)]
