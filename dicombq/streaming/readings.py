"""Instances as they were read from the store, in the form in which rows are made of them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from dicombq.operations.log import LogEntry
from dicombq.stores import lines
from dicombq.stores.base import Failure, Found, InstanceRef, Skipped, Store
from dicombq.stores.lines import finish_line, json_body
from dicombq.streaming import catalogue
from dicombq.streaming.inventory import Inventory
from dicombq.streaming.outbox import Form, record_type
from dicombq.system.times import from_microseconds, to_microseconds

_CHUNK = 500
_CHUNK_BYTES = 32 << 20
_TRANSIENT = frozenset({"PERMISSION_DENIED", "UNAVAILABLE", "ABORTED", "NOT_FOUND"})
"""Failures that may go away while the file stays as it is."""


@dataclass(frozen=True)
class Body:
    """An instance's row, without what depends on when and for whom it is written."""

    json: bytes
    columns: frozenset[str]


@dataclass
class Reading:
    """What was read from a place in the store.

    Parameters
    ----------
    failure
        Why there is no row; None where there is one, and where there is no instance.
    uids
        None where there is no instance.
    updated
        When it was put in the store, in microseconds.
    is_dated
        Whether the store tells that; else it is the time of the read.
    bodies
        Its row in each schema that is needed; the key says whether it is the JSON schema.
    """

    ref: InstanceRef
    version: str
    failure: Failure | None = None
    uids: tuple[str, ...] | None = None
    updated: int = 0
    is_dated: bool = True
    bodies: dict[bool, Body] = field(default_factory=dict)
    notices: list[LogEntry] = field(default_factory=list)

    @property
    def uri(self) -> bytes:
        """Where it is, as the inventory has it."""
        return os.fsencode(self.ref.uri)

    @property
    def noted_ref(self) -> str:
        """The reference as JSON."""
        return json.dumps(self.ref)

    @property
    def is_transient(self) -> bool:
        """Whether another look may find more, though nothing was changed."""
        return self.failure is not None and self.failure.code in _TRANSIENT

    @property
    def content(self) -> bytes:
        """A digest of what its row tells; of the flattened one, where both are needed."""
        schema_json = min(self.bodies)
        digest = hashlib.blake2b(self.bodies[schema_json].json, digest_size=16).digest()
        return bytes([schema_json]) + digest

    @property
    def size(self) -> int:
        """Bytes of the rows."""
        return sum(len(body.json) for body in self.bodies.values())

    def note_in_catalogue(self, inventory: Inventory, instance: int) -> None:
        """Note what a search tells of it."""
        schema_json = min(self.bodies)
        catalogue.note(inventory, instance, self.uids or (), self.bodies[schema_json].json, schema_json=schema_json)

    def line(self, form: Form, updated: int) -> bytes:
        """Write its row for a table."""
        return finish_line(self.bodies[form.schema_json].json, from_microseconds(updated), form.source_store)


def chunks(readings: Iterable[Reading]) -> Iterator[list[Reading]]:
    """Cut readings into lists that fit in memory."""
    chunk: list[Reading] = []
    size = 0
    for reading in readings:
        chunk.append(reading)
        size += reading.size
        if len(chunk) == _CHUNK or size > _CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def read(
    store: Store[Any], listed: Sequence[tuple[InstanceRef, str]], schemas: Iterable[bool], max_element_size: int
) -> Iterator[Reading]:
    """Read references, each in all schemas that are needed.

    Something that changes between two reads is left out: its version will be another one the next time. Where the store
    tells no times, only other UIDs show that.
    """
    first, *others = sorted(schemas)
    refs = [ref for ref, _ in listed]
    versions = {ref.uri: version for ref, version in listed}  # what changes is given in another state
    again = {schema: _by_uri(store, refs, schema, max_element_size) for schema in others}
    for result in store.read(refs, record_type(schema_json=first), max_element_size):
        reading = _reading(result, versions[result.ref.uri], first)
        if reading.bodies and not all(_add(reading, schema, again[schema].get(result.ref.uri)) for schema in others):
            continue
        yield reading


def _by_uri(store: Store[Any], refs: Sequence[InstanceRef], schema: bool, max_element_size: int) -> dict[str, Reading]:
    results = store.read(refs, record_type(schema_json=schema), max_element_size)
    return {result.ref.uri: _reading(result, "", schema) for result in results}


def _add(reading: Reading, schema: bool, other: Reading | None) -> bool:
    if other is None or other.uids != reading.uids or (reading.is_dated and other.updated != reading.updated):
        return False
    reading.bodies |= other.bodies
    return schema in reading.bodies


def _reading(result: Found | Failure | Skipped, version: str, schema: bool) -> Reading:
    if isinstance(result, Failure):
        return Reading(result.ref, version, result)
    if isinstance(result, Skipped):
        return Reading(result.ref, version)
    if not result.row.uids[-1]:
        reason = "it has no SOP Instance UID, by which a row could be known"
        return Reading(result.ref, version, Failure(result.ref, "INVALID_ARGUMENT", reason))
    body = Body(json_body(result), result.row.columns)
    if len(body.json) > lines.MAX_ROW_SIZE:
        return Reading(result.ref, version, Failure(result.ref, "OUT_OF_RANGE", "the row has more than 100 MiB"))
    notices = [LogEntry("NOTICE", "", result.uri, notice.tag, notice.reason) for notice in result.row.notices]
    updated = to_microseconds(result.updated)
    is_dated = result.size is not None  # a server that does not tell the one does not tell the other
    return Reading(result.ref, version, None, result.row.uids, updated, is_dated, {schema: body}, notices)
