"""Which instance each file of a store is: its header is read, and a key is noted.

::

    keys/N.jsonl        the keys of shard N
    identified/N.json   the receipt of shard N
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from dicombq.operations.log import LogEntry
from dicombq.rows.record import Record
from dicombq.shards.duplicates import digest
from dicombq.shards.work import log_entry
from dicombq.stores.base import Failure, Found, InstanceRef, Result, Skipped, Store
from dicombq.stores.filters import Filter, is_uid, load_filter
from dicombq.system.files import open_atomic
from dicombq.table.mapping import MAX_ELEMENT_SIZE

_UIDS = ("Study Instance UID", "Series Instance UID", "SOP Instance UID")


@dataclass(frozen=True)
class IdentifySpec:
    """A piece of the listing, and all that a process needs to identify its instances.

    Parameters
    ----------
    folder
        For the keys.
    wanted
        URI and copy of the filter file; None where all instances are asked for.
    all_dicom
        Whether what is no instance is a failure.
    """

    shard: int
    refs: Sequence[InstanceRef]
    store: Store[Any]
    folder: Path
    wanted: tuple[str, Path] | None
    all_dicom: bool


@dataclass(frozen=True)
class Key:
    """Which instance a file is.

    Parameters
    ----------
    digest, updated, uri
        As `dicombq.shards.duplicates.find_duplicates` reads them.
    uids
        Study, Series and SOP Instance UID.
    ref
        The reference, as JSON: a path may be no text.
    """

    shard: int
    row: int
    digest: str | None
    updated: str
    uri: str
    size: int | None
    uids: tuple[str, str, str]
    ref: str


@dataclass
class Identified:
    """The receipt of a shard.

    Parameters
    ----------
    instances
        How many keys it has.
    skipped, unwanted, matched
        As in `dicombq.export.staging.Receipt`.
    """

    shard: int
    instances: int = 0
    failures: int = 0
    skipped: int = 0
    unwanted: int = 0
    matched: list[int] = field(default_factory=list)
    log: list[LogEntry] = field(default_factory=list)


def keys_file(folder: Path, shard: int) -> Path:
    """Name the file of a shard's keys."""
    return folder / "keys" / f"{shard:08d}.jsonl"


def read_keys(file: Path) -> Iterator[Key]:
    """Stream the keys of a shard."""
    with file.open("rb") as lines:
        for line in lines:
            state = orjson.loads(line)
            yield Key(**state | {"uids": tuple(state["uids"])})


def identify_shard(spec: IdentifySpec) -> Identified:
    """Read a shard's headers; a shard may run more than once."""
    receipt = Identified(spec.shard)
    wanted = load_filter(*spec.wanted) if spec.wanted else None
    matched: set[int] = set()
    with open_atomic(keys_file(spec.folder, spec.shard)) as keys:
        for result in spec.store.read(spec.refs, Record, MAX_ELEMENT_SIZE):
            checked = _checked(result, all_dicom=spec.all_dicom)
            if not isinstance(checked, Found):
                receipt.log.append(log_entry(checked))
                receipt.failures += isinstance(checked, Failure)
                receipt.skipped += isinstance(checked, Skipped)
            elif _is_wanted(checked, wanted, matched):
                keys.write(orjson.dumps(_key(receipt, checked), option=orjson.OPT_APPEND_NEWLINE))
                receipt.instances += 1
            else:
                receipt.skipped += 1
                receipt.unwanted += 1
    receipt.matched = sorted(matched)
    return receipt


def _checked(result: Result, *, all_dicom: bool) -> Result:
    """Make a failure of what cannot be copied."""
    if isinstance(result, Skipped) and all_dicom:
        return Failure(result.ref, "INVALID_ARGUMENT", result.reason)
    if isinstance(result, Found):
        for name, uid in zip(_UIDS, result.row.uids, strict=True):
            if not is_uid(uid):  # it would become a part of a path
                return Failure(result.ref, "INVALID_ARGUMENT", f"its {name} is missing or no UID, so it has no place")
    return result


def _is_wanted(found: Found, wanted: Filter | None, matched: set[int]) -> bool:
    if wanted is None:
        return True
    numbers = wanted.matching(found.row.uids)
    matched.update(numbers)
    return bool(numbers)


def _key(receipt: Identified, found: Found) -> Key:
    study, series, instance = uids = found.row.uids
    return Key(
        receipt.shard,
        receipt.instances,
        digest(uids),
        found.updated,
        found.uri,
        found.size,
        (study, series, instance),
        json.dumps(found.ref),
    )
