"""How much a store holds (``rest_api.md``, DicomStoreMetrics)."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dicombq.rows.record import Record
from dicombq.stores.base import Failure, Found, Outcome, Store
from dicombq.stores.filters import digest
from dicombq.table.mapping import MAX_ELEMENT_SIZE

_AT_ONCE = 1000


@dataclass(frozen=True)
class StoreMetrics:
    """The counts of a store; an instance that lies there more than once is counted once.

    Parameters
    ----------
    size
        Bytes of all instances; None where the store does not tell.
    """

    name: str
    studies: int
    series: int
    instances: int
    size: int | None
    failures: int

    def to_api(self) -> dict[str, Any]:
        """Print them as the API does: numbers of 64 bits are text."""
        size = {} if self.size is None else {"blobStorageSizeBytes": str(self.size)}
        return {
            "name": self.name,
            "studyCount": str(self.studies),
            "seriesCount": str(self.series),
            "instanceCount": str(self.instances),
            **size,
        }


def measure(store: Store[Any], count: Callable[[int], None]) -> StoreMetrics:
    """Read all headers of a store.

    Parameters
    ----------
    count
        Is told how many instances were read, again and again.
    """
    levels: tuple[set[bytes], ...] = (set(), set(), set())
    failures, nameless = 0, 0
    size: int | None = 0
    listed = store.list()
    while some := list(itertools.islice(listed, _AT_ONCE)):
        failures += sum(isinstance(entry, Failure) for entry in some)
        refs = [entry for entry in some if not isinstance(entry, Outcome)]
        for result in store.read(refs, Record, MAX_ELEMENT_SIZE):
            failures += isinstance(result, Failure)
            if not isinstance(result, Found) or digest(result.row.uids) in levels[2]:
                continue
            size = None if size is None or result.size is None else size + result.size
            if not result.row.uids[2]:  # nobody's duplicate
                nameless += 1
                continue
            for level, seen in enumerate(levels, start=1):
                seen.add(digest(result.row.uids[:level]))
        count(len(levels[2]) + nameless)
    studies, series, instances = map(len, levels)
    return StoreMetrics(str(store.name), studies, series, instances + nameless, size, failures)
