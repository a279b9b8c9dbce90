"""What tests ask of a DICOMweb store."""

from __future__ import annotations

import io
import json
from typing import Any

from dicombq.names import Parent
from dicombq.rows.record import Record
from dicombq.stores.base import Failure, Found, Result
from dicombq.stores.dicomweb.listing import DicomwebRef
from dicombq.stores.dicomweb.store import DicomwebStore
from dicombq.stores.filters import Filter
from dicombq.table.mapping import MAX_ELEMENT_SIZE
from tests.fakes.dicomweb import DicomwebFake


def store_of(fake: DicomwebFake) -> DicomwebStore:
    return DicomwebStore.open(fake.url, Parent())


def listed(store: DicomwebStore, **how: Any) -> list[DicomwebRef]:
    refs = [entry for entry in store.list(**how) if not isinstance(entry, Failure)]
    assert refs == [store.ref(json.loads(json.dumps(ref))) for ref in refs]
    return refs


def failures(store: DicomwebStore, **how: Any) -> list[tuple[str, str, str]]:
    found = [entry for entry in store.list(**how) if isinstance(entry, Failure)]
    return [(entry.uri.removeprefix(store.base), entry.code, entry.reason) for entry in found]


def names(refs: list[DicomwebRef]) -> set[str]:
    return {"/".join(ref.uids) for ref in refs}


def read(store: DicomwebStore, refs: list[DicomwebRef], record_type: type[Record] = Record) -> list[Result]:
    return [*store.read(refs, record_type, MAX_ELEMENT_SIZE)]


def found_uids(results: list[Result]) -> list[str]:
    return ["/".join(result.row.uids) for result in results if isinstance(result, Found)]


def filtered(*lines: str) -> Filter:
    return Filter("filter.txt", io.BytesIO("\n".join(lines).encode()))
