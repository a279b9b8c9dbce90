"""Shards that tests stage: from results that they wrote down."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest

from dicombq.export.area import StagingArea
from dicombq.export.staging import Receipt, ShardSpec, receipts_in, stage_shard
from dicombq.names import Parent, StoreName
from dicombq.rows.base import Row
from dicombq.rows.record import Record
from dicombq.shards.duplicates import Duplicate, find_duplicates
from dicombq.shards.receipts import Receipts
from dicombq.stores.base import PLAIN, Found, Result, StoreOptions
from dicombq.stores.filters import Filter

_NAME = StoreName(Parent(), "s")


class NotedRef(NamedTuple):
    """A reference of more than a URI, as other kinds of stores have."""

    uri: str
    generation: int = 0


@dataclass
class ListStore:
    """A store of results that a test wrote down."""

    results: list[Result] = field(default_factory=list)
    name: StoreName = _NAME
    source: str = "nowhere"
    options: StoreOptions = PLAIN

    def ref(self, noted: list[Any]) -> NotedRef:
        return NotedRef(*noted)

    def has(self, ref: NotedRef) -> bool:
        return any(result.ref == ref for result in self.results)

    def list(self, prefix: str = "", wanted: Filter | None = None) -> Iterator[NotedRef]:
        for result in self.results:
            if result.ref.uri.startswith(prefix):
                assert isinstance(result.ref, NotedRef)
                yield result.ref

    def original(self, ref: NotedRef, updated: str) -> AbstractContextManager[Iterator[bytes]]:
        raise NotImplementedError

    def read(self, refs: Iterable[NotedRef], record_type: type[Record], max_element_size: int) -> Iterator[Result]:
        by_ref = {result.ref: result for result in self.results}
        for ref in refs:
            yield by_ref[ref]


def found(
    uri: str,
    sop: str = "",
    updated: str = "2026-01-01T00:00:00Z",
    columns: Iterable[str] = ("Modality",),
    **values: Any,
) -> Found:
    """Write down an instance that was read."""
    row = Row(orjson.dumps({"SOPInstanceUID": sop, **values}), frozenset(columns), ("1", "1.1", sop))
    return Found(NotedRef(uri), row, updated, "STANDARD", 10)


@dataclass(frozen=True)
class Stage:
    """The folder of an operation, and its staging area."""

    folder: Path

    @property
    def area(self) -> StagingArea:
        return StagingArea(self.folder / "shards")

    @property
    def receipts(self) -> Receipts[Receipt]:
        return receipts_in(self.folder)

    def stage(
        self, results: list[Result], number: int = 0, source: str | None = None, wanted: Path | None = None
    ) -> Receipt:
        """Stage a shard, and accept its receipt."""
        refs = [result.ref for result in results]
        filter_file = (str(wanted), wanted) if wanted else None
        spec = ShardSpec(number, refs, ListStore(results), self.area, Record, 1 << 20, source, filter_file)
        receipt = stage_shard(spec)
        self.receipts.write(receipt)
        return receipt

    def duplicates(self) -> Iterator[Duplicate]:
        """Find the rows that give way."""
        return find_duplicates(
            self.area.key_files(receipt.keys for receipt in self.receipts if receipt.rows), self.folder
        )

    def rows_of(self, receipt: Receipt) -> list[dict[str, Any]]:
        with self.area.open_rows(receipt.file) as rows:
            return [json.loads(line) for line in rows]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """An empty one."""
    folder = tmp_path / "operation"
    folder.mkdir()
    stage = Stage(folder)
    stage.area.prepare()
    stage.receipts.prepare()
    return stage
