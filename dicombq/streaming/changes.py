"""A pass over a store: what was added, changed or deleted since the last one."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from dicombq.operations.log import LogEntry
from dicombq.stores.base import NOTHING_KNOWN, Failure, FollowedStore, InstanceRef, Known, Skipped, Versioned
from dicombq.streaming.destinations import Destination
from dicombq.streaming.inventory import NEWEST, STALE, Inventory
from dicombq.streaming.outbox import Outbox
from dicombq.streaming.readings import Reading, chunks, read
from dicombq.streaming.rows import Counts, Teller, too_many_gone
from dicombq.system.times import now, to_microseconds
from dicombq.table.mapping import MAX_ELEMENT_SIZE

_AT_ONCE = 500
Log = Callable[[Iterable[LogEntry]], None]
Progress = Callable[[int], None]
_Todo = tuple[str, str, "str | None"]
_Listed = tuple[InstanceRef, str, "str | None"]
"""What has to be read, its version, and the one that the inventory had of it."""

Limit = Callable[[int], int]
"""How many deletions are believed, of so many instances."""


@dataclass
class Pass:
    """One look at a store, whole or at some places.

    Parameters
    ----------
    limit
        More deletions at once are not believed.
    noted
        Is called whenever rows were noted for the tables.
    settling
        Is held while it is decided what is gone, by one pass of an inventory at a time.
    dry
        Whether nothing is written.
    is_told_later
        Tells of a URI whether an event will name it; then it is neither read nor gone now.
    """

    store: FollowedStore[Any]
    inventory: Inventory
    destinations: Sequence[Destination]
    limit: Limit
    log: Log
    noted: Callable[[], None] = lambda: None
    settling: AbstractContextManager[Any] = field(default_factory=nullcontext)
    dry: bool = False
    progress: Progress = lambda _number: None
    is_told_later: Callable[[str], bool] = lambda _uri: False
    counts: Counts = field(default_factory=Counts)
    _failing: set[bytes] = field(default_factory=set)
    _unseen: list[bytes] = field(default_factory=list)
    _last_suspect: int = -1
    _looked_at: int = 0

    def __post_init__(self) -> None:
        self._complete = self.inventory.meta("complete") is not None
        for table in ("todo (ref TEXT, version TEXT, before TEXT)", "gone (id INTEGER PRIMARY KEY, uri BLOB)"):
            self.inventory.execute(f"CREATE TEMP TABLE IF NOT EXISTS {table}")
        self._begin()

    def whole(self, *, reconcile: bool = False) -> None:
        """Look at all of the store.

        Raises
        ------
        TooManyGone
            Where too many instances are gone; all other changes were noted.
        """
        self._begin()
        position = self.store.changes("").position  # taken before: what happens meanwhile is looked at again
        before = NOTHING_KNOWN if reconcile else Known(self.inventory.meta("position") or "", self.inventory.version)
        self._list(self.store.versions(before), self._seen_marks())
        self._read()
        with self.settling:
            self._note_suspects()
            self._settle_suspects()
        if reconcile:
            self._reconcile()
        with self.inventory.transaction():
            transient = "SELECT uri FROM failures WHERE uri NOT IN (SELECT uri FROM copies)"
            over = [(uri,) for (uri,) in self.inventory.execute(transient) if uri not in self._failing]
            self.inventory.executemany("DELETE FROM failures WHERE uri = ?", over)
            known = "SELECT id FROM destinations WHERE adopted AND backfill_next > backfill_last"
            self.inventory.execute(f"DELETE FROM adopted WHERE destination IN ({known})")
            self.inventory.set_meta("complete", now())
            self.inventory.set_meta("position", position)
            self.inventory.set_meta("catalogued", now())

    def places(self, places: Iterable[str]) -> None:
        """Look at some places that events named.

        The limit and its error are those of `whole`: a folder that was renamed is told of as one that was deleted.
        """
        self._begin()
        for uri, entries in self.store.look(places):
            if entries is not None:
                self._list(entries, None)
            else:
                below = os.fsencode(uri)
                self.inventory.execute(
                    "INSERT OR IGNORE INTO gone SELECT id, uri FROM copies "
                    "WHERE uri = ? OR (uri > ? AND uri < ?) OR (uri > ? AND uri < ?)",
                    [below, below + b"/", below + b"0", below + b"!/", below + b"!0"],  # an archive has !/MEMBER
                )
        self._read()
        with self.settling:
            self._note_suspects()
            self._settle_suspects()

    def again(self, instances: Iterable[tuple[Destination, int]]) -> None:
        """Tell tables of instances again, as they are now."""
        for destination, instance in instances:
            self._tell(destination, [instance])

    def backfill(self, destination: Destination) -> None:
        """Tell a table of what the inventory holds, from where that ended the last time."""
        while True:
            following, last = self.inventory.one(
                "SELECT backfill_next, backfill_last FROM destinations WHERE id = ?", [destination.id]
            )
            if following > last:
                return
            until = min(last, following + _AT_ONCE - 1)
            missing = [each for each in range(following, until + 1) if self._is_missing(destination, each)]
            self._tell(destination, missing, until + 1)

    def _begin(self) -> None:
        for table in ("todo", "gone"):
            self.inventory.execute(f"DELETE FROM {table}")

    def _seen_marks(self) -> bytearray:
        (last,) = self.inventory.one("SELECT coalesce(max(id), 0) FROM copies")
        return bytearray(last + 1)

    def _list(self, entries: Iterable[Versioned], marks: bytearray | None) -> None:
        """Find what has another version than the inventory; with marks, what it has and the store has not, too."""
        todo: list[_Todo] = []
        look_up = self.inventory.execute
        for entry in entries:
            if isinstance(entry, Failure):
                uri = os.fsencode(entry.ref.uri)
                self._failed(entry)
                self._unseen.append(uri)
                self.inventory.execute("UPDATE copies SET version = ? WHERE uri = ?", [STALE, uri])
            elif not isinstance(entry, Skipped):
                ref, version = entry
                known = look_up("SELECT id, version FROM copies WHERE uri = ?", (os.fsencode(ref.uri),)).fetchone()
                if known and marks is not None and known[0] < len(marks):
                    marks[known[0]] = 1
                if not known or known[1] != version:
                    todo.append((json.dumps(ref), version, known and known[1]))
                    if len(todo) == _AT_ONCE:
                        self._add_todo(todo)
        self._add_todo(todo)
        if marks is not None:
            self._find_gone(marks)

    def _add_todo(self, todo: list[_Todo]) -> None:
        self.inventory.executemany("INSERT INTO todo VALUES (?, ?, ?)", todo)
        todo.clear()

    def _find_gone(self, marks: bytearray) -> None:
        """Take for gone what was not seen, unless it lies in a place that could not be looked at, or waits for that."""
        copies = self.inventory.execute("SELECT id, uri FROM copies")
        unseen = ((number, uri) for number, uri in copies if number < len(marks) and not marks[number])
        gone = ((number, uri) for number, uri in unseen if not self._is_hidden(uri))
        self.inventory.executemany("INSERT INTO gone VALUES (?, ?)", gone)

    def _is_hidden(self, uri: bytes) -> bool:
        if self.is_told_later(os.fsdecode(uri)):
            return True
        return any(uri == place or uri.startswith((place + b"/", place + b"!/")) for place in self._unseen)

    def _read(self) -> None:
        """Read what is new or changed."""
        last = 0
        while True:
            rows = self.inventory.execute(
                "SELECT rowid, ref, version, before FROM todo WHERE rowid > ? ORDER BY rowid LIMIT ?", [last, _AT_ONCE]
            ).fetchall()
            if not rows:
                return
            last = rows[-1][0]
            listed = [(self.store.ref(json.loads(ref)), version, before) for _, ref, version, before in rows]
            self._take([each for each in listed if not self.is_told_later(each[0].uri)])

    def _take(self, listed: Sequence[_Listed]) -> None:
        schemas = {each.form.schema_json for each in self.destinations} or {False}
        before = {ref.uri: noted for ref, _, noted in listed}
        versions = [(ref, version) for ref, version, _ in listed]
        for chunk in chunks(read(self.store, versions, schemas, MAX_ELEMENT_SIZE)):
            with Outbox(self.inventory, dry=self.dry) as outbox, self.inventory.transaction():
                teller = self._teller(outbox)
                noted = [(self._note(reading, before[reading.ref.uri]), reading) for reading in chunk]
                at_hand = {copy: reading for copy, reading in noted if copy is not None}
                instances = {self._instance_of(copy): None for copy in at_hand}
                for instance in instances:
                    if instance is not None:
                        self._settle(instance, at_hand, teller)
                outbox.note(to_microseconds(now()))
            self.noted()
            self._looked_at += len(chunk)
            self.progress(self._looked_at)

    def _teller(self, outbox: Outbox) -> Teller:
        return Teller(self.inventory, self.destinations, outbox, self.counts, self._complete)

    def _instance_of(self, copy: int) -> int | None:
        number: int | None = self.inventory.one("SELECT instance FROM copies WHERE id = ?", [copy])[0]
        return number

    def _note(self, reading: Reading, before: str | None) -> int | None:
        """Note what a place holds; give the copy's number where it was read.

        Nothing is noted where another pass noted something since the place had the version `before`.
        """
        known = self.inventory.one("SELECT id, instance, version FROM copies WHERE uri = ?", [reading.uri])
        if before != (known and known[2]):
            return None
        if reading.failure:
            self._failed(reading.failure)
            if known:  # its last row stands until it can be read again
                version = STALE if reading.is_transient else reading.version
                self.inventory.execute("UPDATE copies SET version = ? WHERE id = ?", [version, known[0]])
            if known or reading.is_transient:
                return None
        else:
            self.inventory.execute("DELETE FROM failures WHERE uri = ?", [reading.uri])
        if not reading.uids and not reading.failure:
            self.counts.skipped += 1
        self.log(reading.notices)
        instance = self._number_of(reading.uids) if reading.uids else None
        content = reading.content if reading.bodies else None
        if known and known[1] is not None and known[1] != instance:
            self.inventory.execute("INSERT OR IGNORE INTO suspects VALUES (?)", [known[1]])
        self.inventory.execute(
            "INSERT INTO copies (uri, ref, version, instance, content, updated) VALUES (?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (uri) DO UPDATE SET ref = excluded.ref, version = excluded.version, "
            "instance = excluded.instance, content = excluded.content, updated = excluded.updated",
            [reading.uri, reading.noted_ref, reading.version, instance, content, reading.updated],
        )
        number: int = self.inventory.one("SELECT id FROM copies WHERE uri = ?", [reading.uri])[0]
        return number

    def _number_of(self, uids: tuple[str, ...]) -> int:
        self.inventory.execute("INSERT OR IGNORE INTO instances (study, series, sop) VALUES (?, ?, ?)", uids)
        number: int = self.inventory.one("SELECT id FROM instances WHERE study = ? AND series = ? AND sop = ?", uids)[0]
        return number

    def _failed(self, failure: Failure) -> None:
        uri = os.fsencode(failure.ref.uri)
        self.counts.failed += 1
        self._failing.add(uri)
        before = self.inventory.one("SELECT code, reason FROM failures WHERE uri = ?", [uri])
        if before != (failure.code, failure.reason):
            self.inventory.execute(
                "INSERT OR REPLACE INTO failures VALUES (?, ?, ?)", [uri, failure.code, failure.reason]
            )
            self.log([LogEntry("ERROR", failure.code, failure.uri, "", failure.reason)])

    def _winner(self, instance: int) -> Any:
        """Give the copy that counts: the newest, then the greater URI (schema.md)."""
        return self.inventory.one(
            "SELECT id, content, ref, version FROM copies WHERE instance = ? AND id NOT IN (SELECT id FROM gone) "
            f"ORDER BY {NEWEST} LIMIT 1",
            [instance],
        )

    def _settle(self, instance: int, at_hand: dict[int, Reading], teller: Teller) -> None:
        """Tell of an instance if it is not what was told last, or if a table could not be told of it."""
        winner = self._winner(instance)
        alive, content = self.inventory.one("SELECT alive, content FROM instances WHERE id = ?", [instance])
        reading = at_hand.get(winner[0]) if winner else None
        if reading:
            reading.note_in_catalogue(self.inventory, instance)
        is_noted = winner and alive and winner[1] == content
        if is_noted and reading:
            teller.caught_up(instance, reading)
        if is_noted and not teller.waiting(instance):
            self.counts.unchanged += 1
        elif reading:
            teller.created(instance, reading)
        else:
            self.inventory.execute("INSERT OR IGNORE INTO suspects VALUES (?)", [instance])
            return
        self.inventory.execute("DELETE FROM suspects WHERE instance = ?", [instance])

    def _note_suspects(self) -> None:
        """Note the instances of which copies are gone."""
        self.inventory.execute(
            "INSERT OR IGNORE INTO suspects SELECT DISTINCT instance FROM copies "
            "WHERE id IN (SELECT id FROM gone) AND instance IS NOT NULL"
        )

    def _settle_suspects(self) -> None:
        """Tell of the instances that are gone, and of those of which another copy counts now."""
        self._check_limit()
        while suspects := [each for (each,) in self.inventory.execute(_NEXT_SUSPECTS)]:
            self._bury(suspects)
        with self.inventory.transaction():
            self.inventory.execute("DELETE FROM failures WHERE uri IN (SELECT uri FROM gone)")
            self.inventory.execute("DELETE FROM copies WHERE id IN (SELECT id FROM gone)")
        self.inventory.execute("DELETE FROM gone")
        with Outbox(self.inventory) as outbox, self.inventory.transaction():
            for (each,) in self.inventory.execute("SELECT instance FROM suspects").fetchall():
                self._settle(each, {}, self._teller(outbox))
        while refs := self._next_refs():  # another copy counts now, whose row differs
            self._take(refs)

    def _next_refs(self) -> list[_Listed]:
        """Give some of the copies that are still to be read; each one once in a pass."""
        suspects = self.inventory.execute(
            "SELECT instance FROM suspects WHERE instance > ? ORDER BY instance LIMIT ?", [self._last_suspect, _AT_ONCE]
        ).fetchall()
        self._last_suspect = suspects[-1][0] if suspects else self._last_suspect
        winners = [winner for (each,) in suspects if (winner := self._winner(each))]
        return [(self.store.ref(json.loads(ref)), version, version) for _, _, ref, version in winners]

    def _check_limit(self) -> None:
        (deaths,) = self.inventory.one(f"SELECT count(*) FROM {_SUSPECTS} WHERE {_DEAD}")
        most = deaths  # to count all of a large store takes longer than most looks at it
        while deaths > self.limit(alive := self._count_alive(most)):
            if alive < most:
                raise too_many_gone(deaths, alive, self.store.source)
            most *= 2

    def _count_alive(self, most: int) -> int:
        """Count the instances that the store holds, up to a number."""
        query = "SELECT count(*) FROM (SELECT 1 FROM instances WHERE alive LIMIT ?)"
        number: int = self.inventory.one(query, [most])[0]
        return number

    def _bury(self, suspects: Sequence[int]) -> None:
        with Outbox(self.inventory, dry=self.dry) as outbox, self.inventory.transaction():
            teller = self._teller(outbox)
            for instance in suspects:
                (alive,) = self.inventory.one("SELECT alive FROM instances WHERE id = ?", [instance])
                self.inventory.execute(
                    "DELETE FROM copies WHERE instance = ? AND id IN (SELECT id FROM gone)", [instance]
                )
                if alive:
                    teller.deleted(instance)
                self.inventory.execute("DELETE FROM suspects WHERE instance = ?", [instance])
            outbox.note(to_microseconds(now()))
        self.noted()

    def _tell(self, destination: Destination, instances: Sequence[int], following: int | None = None) -> None:
        """Tell one table of some instances as they are now; those that cannot be read are parked."""
        copies = {each: self._winner(each) for each in instances}
        listed = [(self.store.ref(json.loads(copy[2])), each) for each, copy in copies.items() if copy]
        by_uri = {ref.uri: each for ref, each in listed}
        schemas = {each.form.schema_json for each in self.destinations}
        readings = {
            by_uri[reading.ref.uri]: reading
            for reading in read(self.store, [(ref, "") for ref, _ in listed], schemas, MAX_ELEMENT_SIZE)
        }
        with Outbox(self.inventory, dry=self.dry) as outbox, self.inventory.transaction():
            teller = self._teller(outbox)
            for reading in readings.values():
                if reading.failure and following is None:  # else a look at the whole store follows
                    self._failed(reading.failure)
            for each in instances:
                self._tell_of(each, readings.get(each), destination, teller)
            if following is not None:
                self.inventory.execute(
                    "UPDATE destinations SET backfill_next = ? WHERE id = ?", [following, destination.id]
                )
            outbox.note(to_microseconds(now()))
        self.noted()

    def _is_missing(self, destination: Destination, instance: int) -> bool:
        """Tell whether a table lacks an instance's last row, and follows since before that."""
        found = self.inventory.one(
            "SELECT last, since, updated FROM instances JOIN destinations ON destinations.id = ? "
            "LEFT JOIN adopted ON destination = destinations.id AND instance = instances.id WHERE instances.id = ?",
            [destination.id, instance],
        )
        last, since, held = found or (None, None, None)
        return last is not None and held != last and (destination.config.backfill or last >= since)

    def _tell_of(self, instance: int, reading: Reading | None, destination: Destination, teller: Teller) -> None:
        row = self.inventory.one("SELECT alive, study, series, sop FROM instances WHERE id = ?", [instance])
        if not row or row[0] is None:
            return
        if not row[0]:
            key = [destination.id, instance]
            held = (f"SELECT 1 FROM {table} WHERE destination = ? AND instance = ?" for table in ("adopted", "parked"))
            if any(self.inventory.one(query, key) for query in held):
                teller.deleted_from(destination, instance)
        elif not (reading and reading.uids == row[1:] and teller.backfilled(destination, instance, reading)):
            reason = "it could not be read when the table was to be told of it"
            self.inventory.execute("INSERT OR REPLACE INTO parked VALUES (?, ?, ?)", [destination.id, instance, reason])
            self.inventory.execute("INSERT OR IGNORE INTO suspects VALUES (?)", [instance])

    def _reconcile(self) -> None:
        """Tell each table of what it holds and the store does not."""
        for destination in self.destinations:
            missing = [
                each
                for (each,) in self.inventory.execute(
                    "SELECT instance FROM adopted JOIN instances ON id = instance "
                    "WHERE destination = ? AND coalesce(alive, 0) = 0",
                    [destination.id],
                )
            ]
            (alive,) = self.inventory.one("SELECT count(*) FROM instances WHERE alive")
            if len(missing) > self.limit(alive + len(missing)):
                raise too_many_gone(len(missing), alive + len(missing), self.store.source)
            with Outbox(self.inventory, dry=self.dry) as outbox, self.inventory.transaction():
                teller = self._teller(outbox)
                for each in missing:
                    teller.deleted_from(destination, each)
                outbox.note(to_microseconds(now()))
            self.noted()


_REMAINING = "SELECT 1 FROM copies WHERE copies.instance = instances.id AND copies.id NOT IN (SELECT id FROM gone)"
_DEAD = f"alive AND NOT EXISTS ({_REMAINING})"
_SUSPECTS = "suspects CROSS JOIN instances ON id = instance"  # to SQLite, CROSS is to begin with the suspects
_NEXT_SUSPECTS = f"SELECT instance FROM {_SUSPECTS} WHERE NOT EXISTS ({_REMAINING}) LIMIT {_AT_ONCE}"
