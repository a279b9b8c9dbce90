"""A folder whose instances are read when a test says so; executors of Spark import it too."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dicombq.rows.record import Record
from dicombq.stores.base import Result
from dicombq.stores.folder import FileRef, FolderStore


@dataclass(frozen=True)
class SlowFolder(FolderStore):
    """A folder that waits while there is a file ``closed`` in another one, and notes there what is read.

    Parameters
    ----------
    gate
        That one. An attempt at a shard is a file in it: the name of its first instance, the process, a number.
    free
        So many attempts do not wait.
    """

    gate: Path = Path()
    free: int = 0

    def read(self, refs: Iterable[FileRef], record_type: type[Record], max_element_size: int) -> Iterator[Result]:
        """Read each file's header."""
        refs = iter(refs)
        first = next(refs)
        (self.gate / f"{Path(first.uri).stem}-{os.getpid()}-{os.urandom(4).hex()}").touch()
        while len(list(self.gate.iterdir())) > self.free + 1 and (self.gate / "closed").exists():
            time.sleep(0.05)
        return super().read(itertools.chain([first], refs), record_type, max_element_size)


def attempts(gate: Path) -> list[str]:
    """Name the first instance of each attempt at a shard."""
    return [path.name.partition("-")[0] for path in gate.iterdir() if path.name != "closed"]
