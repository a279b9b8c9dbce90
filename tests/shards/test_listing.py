from __future__ import annotations

import os
from pathlib import Path

import pytest

from dicombq import __version__
from dicombq.operations.state import Counters
from dicombq.shards import listing
from dicombq.shards.listing import Listing, list_store, read_listing, read_refs, write_listing
from dicombq.stores.base import Failure, Listed
from tests.export.staged import ListStore, NotedRef, found


def test_a_listing_is_cut_into_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "SHARD_SIZE", 2)
    store = ListStore([found(f"/ü{number}") for number in range(5)])
    told: list[Listed] = []
    shards = list_store(store, None, tmp_path, told.append)
    assert [count for _, count in shards] == [2, 2, 1]
    assert len(told) == 5
    refs = [ref for shard in shards for ref in read_refs(store, tmp_path, *shard)]
    assert refs == [NotedRef(f"/ü{number}") for number in range(5)]


def test_the_later_shards_of_a_long_listing_are_bigger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "SHARD_SIZE", 2)
    store = ListStore([found(f"/{number}") for number in range(42)])
    counts = [count for _, count in list_store(store, None, tmp_path, lambda _entry: None)]
    assert counts == [2] * 16 + [6, 4]


def test_ten_thousand_shards_hold_two_billion_instances() -> None:
    sizes = [listing.SHARD_SIZE * listing._growth(number) for number in range(10_000)]
    assert sizes == sorted(sizes)
    assert sum(sizes) > 2_000_000_000
    assert sum(sizes[:4000]) < 20_000_000


def test_an_empty_listing_has_no_shard(tmp_path: Path) -> None:
    assert list_store(ListStore(), None, tmp_path, lambda _entry: None) == []


def test_a_reference_comes_back_whole(tmp_path: Path) -> None:
    ref = NotedRef(os.fsdecode(b"/\xff"), 17)
    store = ListStore([Failure(ref, "NOT_FOUND", "gone")])
    [shard] = list_store(store, None, tmp_path, lambda _entry: None)
    assert list(read_refs(store, tmp_path, *shard)) == [ref]


def test_a_listing_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert read_listing(tmp_path) is None
    written = Listing([(0, 200), (9999, 1)], Counters(pending=201, skipped=2), 77)
    write_listing(tmp_path, written)
    read = read_listing(tmp_path)
    assert read is not None
    assert ([tuple(shard) for shard in read.shards], read.counters) == (written.shards, written.counters)
    assert (read.log_size, read.version) == (77, __version__)
