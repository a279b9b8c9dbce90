"""Receipts: the outcomes of shards, each written when all that it tells of is there.

A shard may be gone through more than once, by whatever process; its first receipt counts.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from dicombq.operations.log import LogEntry
from dicombq.system.files import write_atomic


class ShardReceipt(Protocol):
    """A dataclass of what JSON knows, and of entries for the operation's log."""

    __dataclass_fields__: ClassVar[dict[str, Any]]
    shard: int
    log: list[LogEntry]


ReceiptT = TypeVar("ReceiptT", bound=ShardReceipt)


@dataclass(frozen=True)
class Receipts(Generic[ReceiptT]):
    """A folder with a receipt for each shard that is done.

    Parameters
    ----------
    kind
        The dataclass that they are of.
    """

    folder: Path
    kind: type[ReceiptT]

    def prepare(self) -> None:
        """Make the folder where it is missing."""
        self.folder.mkdir(mode=0o700, exist_ok=True)

    def write(self, receipt: ReceiptT) -> None:
        """Accept a shard: from here on its outcome counts."""
        write_atomic(self._path(receipt.shard), json.dumps(asdict(receipt)).encode())

    def discard(self, shards: Collection[int]) -> None:
        """Have shards gone through again."""
        for shard in shards:
            self._path(shard).unlink()

    def accepted(self) -> set[int]:
        """Tell which shards have a receipt."""
        return {int(path.stem) for path in self.folder.iterdir() if path.suffix == ".json"}

    def read(self, shard: int) -> ReceiptT:
        """Read a shard's receipt."""
        state = json.loads(self._path(shard).read_bytes())
        return self.kind(**state | {"log": [LogEntry(**entry) for entry in state["log"]]})

    def __iter__(self) -> Iterator[ReceiptT]:
        """Stream them in the order of their shards."""
        return map(self.read, sorted(self.accepted()))

    def _path(self, shard: int) -> Path:
        return self.folder / f"{shard:08d}.json"
