from __future__ import annotations

import os
import random
import shutil
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from dicombq.engines.local import LocalEngine
from dicombq.errors import Cancelled, Failed
from dicombq.names import Parent
from dicombq.shards import spread
from dicombq.shards.listing import read_refs
from dicombq.shards.spread import PartSpec, list_part, list_spread
from dicombq.stores.base import PLAIN, DivisibleStore, Failure, Outcome, Place, Skipped, StoreOptions
from dicombq.stores.registry import open_store
from tests.stores.conftest import Place as Anywhere
from tests.stores.conftest import folder, place

__all__ = ["folder", "place"]  # fixtures


@dataclass
class Spread:
    """A listing by parts, and what was told of it."""

    found: list[str]
    counted: int
    others: list[Failure | Skipped]


def listed(store: DivisibleStore[Any], folder: Path, shard_size: int = 7) -> Spread:
    """List by parts, which come back in pieces."""
    folder.mkdir(exist_ok=True)
    told: list[tuple[int, Sequence[Failure | Skipped]]] = []

    def tell(count: int, others: Sequence[Failure | Skipped]) -> None:
        told.append((count, others))

    shards = list_spread(store, LocalEngine(1), folder, tell, lambda: False, shard_size)
    refs = [ref.uri for shard in shards for ref in read_refs(store, folder, *shard)]
    return Spread(sorted(refs), sum(count for count, _ in told), [other for _, others in told for other in others])


def opened(source: str, home: Path, options: StoreOptions = PLAIN) -> DivisibleStore[Any]:
    store = open_store(source, Parent(), home, pytest.fail, options)
    assert isinstance(store, DivisibleStore)
    return store


def at_once(store: DivisibleStore[Any]) -> list[str]:
    return sorted(entry.uri for entry in store.list() if not isinstance(entry, Outcome))


@pytest.mark.parametrize("size", [1, 4, 50_000])
def test_a_store_listed_by_parts_is_the_store(
    place: Anywhere, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(spread, "PART_SIZE", size)
    monkeypatch.setattr(spread, "_PIECES", 3)
    chance = random.Random(size)
    names = {f"{chance.choice('ab')}/1.2.{chance.randrange(30)}/{chance.choice('xyü~ #')}{n % 4}" for n in range(60)}
    for name in {*names, "a.dcm", "b-1", "z/y/x/w"}:
        place.put(name, b"")
    store = opened(place.uri, home)
    found = listed(store, tmp_path / "operation")
    assert found.found == at_once(store)
    assert (found.counted, found.others) == (len(names) + 3, [])


def test_a_part_of_a_bucket_gives_what_it_may_and_ranges_for_the_rest(gcs_bucket: Any, home: Path) -> None:
    for number in range(40):
        gcs_bucket.put(f"scans/1.2.840.{number // 10}/{number % 10}", b"")
    store = opened(f"{gcs_bucket.uri}/scans", home)
    part = list_part(PartSpec(store, [store.whole], 15))
    assert part.count == 15
    bounds = [(place.start.removeprefix("scans/1.2.840."), place.end) for place in part.places]
    assert bounds[:2] == [("1/4", "scans/1.2.840.2"), ("2", "scans/1.2.840.3")]
    assert bounds[-1][1] == ""
    rest = [list_part(PartSpec(store, [place], 50)).count for place in part.places]
    assert (rest[:3], sum(rest)) == ([5, 10, 10], 25)


def test_a_single_object_or_file_is_listed(place: Anywhere, home: Path, tmp_path: Path) -> None:
    place.put("a/b.dcm", b"x")
    store = opened(f"{place.uri}/a/b.dcm", home)
    assert listed(store, tmp_path / "operation").found == [f"{place.uri}/a/b.dcm"]


def test_members_of_archives_are_listed_by_parts(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spread, "PART_SIZE", 1)
    for name in ("a", "b"):
        (tmp_path / "scans" / name).mkdir(parents=True)
        with zipfile.ZipFile(tmp_path / "scans" / name / "c.zip", "w") as archive:
            for member in range(3):
                archive.writestr(str(member), b"x")
    store = opened(str(tmp_path / "scans"), home, replace(PLAIN, archives=True))
    found = listed(store, tmp_path / "operation")
    assert found.found == at_once(store)
    assert len(found.found) == 6


def test_what_several_links_lead_to_is_listed_once(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spread, "PART_SIZE", 1)
    scans, outside = tmp_path / "scans", tmp_path / "outside"
    for each in (scans / "a", scans / "b", outside / "sub"):
        each.mkdir(parents=True)
        (each / "1.dcm").touch()
    for name in ("a", "b"):
        (scans / name / "link").symlink_to(outside)
        (scans / name / "inner").symlink_to(scans / "b")
    (outside / "sub" / "deep").symlink_to(outside)
    (scans / "b" / "nowhere").symlink_to("nothing")
    os.mkfifo(scans / "pipe")
    store = opened(str(scans), home)
    found = listed(store, tmp_path / "operation")
    assert len(found.found) == found.counted == 3
    assert [Path(uri).name for uri in found.found] == ["1.dcm"] * 3
    whole = [entry for entry in store.list() if isinstance(entry, Failure | Skipped)]
    assert sorted(map(reason, found.others)) == sorted(map(reason, whole))


def reason(entry: Failure | Skipped) -> str:
    return entry.reason


def test_a_folder_that_a_machine_lacks_is_no_failure_of_instances(home: Path, tmp_path: Path) -> None:
    (tmp_path / "scans" / "a").mkdir(parents=True)
    store = opened(str(tmp_path / "scans"), home)
    shutil.rmtree(tmp_path / "scans")
    with pytest.raises(Failed, match=r"none is there on \[") as error:
        list_part(PartSpec(store, [Place(str(tmp_path / "scans" / "a"))], 10))
    assert "Mount it at the same path" in error.value.hint


def test_a_listing_by_parts_can_be_cancelled(home: Path, tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    store = opened(str(tmp_path / "scans"), home)
    with pytest.raises(Cancelled):
        list_spread(store, LocalEngine(1), tmp_path, lambda _count, _others: None, lambda: True)
