"""How much a store holds (``rest_api.md``, DicomStoreMetrics)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dicombq.stores.base import Failure, Found, Store
from dicombq.stores.filters import Filter, digest
from dicombq.stores.reading import read_store

_TOLD = 1000


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


def measure(store: Store[Any], count: Callable[[int], None], wanted: Filter | None = None) -> StoreMetrics:
    """Read all headers of a store.

    Parameters
    ----------
    count
        Is told how many instances were read, again and again.
    wanted
        Which instances count; None for all.
    """
    levels: tuple[set[bytes], ...] = (set(), set(), set())
    failures, nameless = 0, 0
    size: int | None = 0
    for number, result in enumerate(read_store(store, wanted), start=1):
        failures += isinstance(result, Failure)
        if isinstance(result, Found) and wanted and not wanted.matching(result.row.uids):
            continue
        if isinstance(result, Found) and digest(result.row.uids) not in levels[2]:
            size = None if size is None or result.size is None else size + result.size
            if result.row.uids[2]:
                for level, seen in enumerate(levels, start=1):
                    seen.add(digest(result.row.uids[:level]))
            else:  # nobody's duplicate
                nameless += 1
        if number % _TOLD == 0:
            count(len(levels[2]) + nameless)
    count(len(levels[2]) + nameless)
    studies, series, instances = map(len, levels)
    return StoreMetrics(str(store.name), studies, series, instances + nameless, size, failures)
