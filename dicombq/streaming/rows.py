"""What becomes of an instance: a row for each table that has to be told, and what the inventory notes of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from dicombq.errors import TooManyGone
from dicombq.stores.lines import deletion_line
from dicombq.streaming import catalogue
from dicombq.streaming.destinations import Destination
from dicombq.streaming.inventory import Inventory
from dicombq.streaming.outbox import Outbox
from dicombq.streaming.readings import Reading
from dicombq.system.times import from_microseconds, now, to_microseconds
from dicombq.table.mapping import UID_COLUMNS


@dataclass
class Counts:
    """What a pass found.

    Parameters
    ----------
    created, changed, deleted
        Instances that the tables are told of.
    unchanged
        Instances that were read again, and are what they were: touched, moved, or there twice.
    backfilled
        Rows for tables that follow since now.
    failed
        What could not be read in this pass.
    skipped
        What is new and no instance.
    """

    created: int = 0
    changed: int = 0
    deleted: int = 0
    unchanged: int = 0
    backfilled: int = 0
    failed: int = 0
    skipped: int = 0


@dataclass(frozen=True)
class Teller:
    """Writes rows and notes what they tell; in a transaction of the inventory.

    Parameters
    ----------
    complete
        Whether all that the store held was looked at once, in a pass before.
    """

    inventory: Inventory
    destinations: Sequence[Destination]
    outbox: Outbox
    counts: Counts
    complete: bool

    def created(self, instance: int, reading: Reading) -> None:
        """Tell that an instance is there, or is another one than before."""
        alive, following = self._state_of(instance)
        updated = self._time(following, reading.updated)
        telling = [
            each for each in self._following(instance) if self._has_to_know(each, instance, alive, updated, reading)
        ]
        self._write(telling, instance, reading, updated)
        self.inventory.execute(
            "UPDATE instances SET alive = 1, content = ?, last = ?, next = ? WHERE id = ?",
            [reading.content, updated, updated + 1, instance],
        )
        if alive:
            self.counts.changed += 1
        else:
            self.counts.created += 1

    def deleted(self, instance: int) -> None:
        """Tell that an instance is no longer there."""
        self._delete(self._following(instance), instance)
        catalogue.forget(self.inventory, instance)
        self.counts.deleted += 1

    def deleted_from(self, destination: Destination, instance: int) -> None:
        """Tell one table that an instance which it holds is no longer there."""
        self._delete([destination], instance)
        self.counts.backfilled += 1

    def waiting(self, instance: int) -> list[Destination]:
        """Give the tables that could not be told of an instance, or could not take its row."""
        query = "SELECT 1 FROM parked WHERE destination = ? AND instance = ?"
        return [each for each in self._following(instance) if self.inventory.one(query, [each.id, instance])]

    def caught_up(self, instance: int, reading: Reading) -> None:
        """Tell the tables that wait for an instance of what the others know."""
        for each in self.waiting(instance):
            self.backfilled(each, instance, reading)

    def backfilled(self, destination: Destination, instance: int, reading: Reading) -> bool:
        """Tell one table of an instance that the others know, unless it has the row already.

        False where it is another one than they know: it has changed since it was read, or a pass has still to note it.
        """
        last, following, content = self.inventory.one(
            "SELECT last, next, content FROM instances WHERE id = ?", [instance]
        )
        if content[0] == reading.content[0] and content != reading.content:
            return False
        has = self._adopted(destination, instance)
        if has and (has[0] == last or self._is_the_same(has[0], reading.updated, reading)):
            self._forget([destination], instance)
            return True
        if has and has[0] is not None and has[0] >= last:
            last = self._time(following, reading.updated)
            self.inventory.execute("UPDATE instances SET last = ?, next = ? WHERE id = ?", [last, last + 1, instance])
        self._write([destination], instance, reading, last)
        self.counts.backfilled += 1
        return True

    def _state_of(self, instance: int) -> tuple[int | None, int]:
        alive, following = self.inventory.one("SELECT alive, next FROM instances WHERE id = ?", [instance])
        return alive, following

    def _following(self, instance: int) -> list[Destination]:
        """Give the tables that are told of changes; the others read what there is when they are taken up."""
        ready = dict(
            self.inventory.execute(
                "SELECT id, adopted FROM destinations WHERE NOT ? BETWEEN backfill_next AND backfill_last", [instance]
            ).fetchall()
        )
        return [each for each in self.destinations if each.id in ready and (ready[each.id] or not each.config.backfill)]

    def _has_to_know(
        self, destination: Destination, instance: int, alive: int | None, updated: int, reading: Reading
    ) -> bool:
        adopted = self._adopted(destination, instance)
        if adopted and self._is_the_same(adopted[0], updated, reading):
            return False
        if destination.config.backfill or self.complete or alive is not None:
            return True
        (since,) = self.inventory.one("SELECT since FROM destinations WHERE id = ?", [destination.id])
        return bool(reading.updated > since)

    @staticmethod
    def _is_the_same(adopted: int | None, updated: int, reading: Reading) -> bool:
        """Tell whether a table holds the row; where the store tells no times, one that is there is taken for it."""
        return adopted == updated if reading.is_dated else adopted is not None

    def _adopted(self, destination: Destination, instance: int) -> tuple[int | None] | None:
        row: tuple[int | None] | None = self.inventory.one(
            "SELECT updated FROM adopted WHERE destination = ? AND instance = ?", [destination.id, instance]
        )
        return row

    def _write(self, destinations: Sequence[Destination], instance: int, reading: Reading, updated: int) -> None:
        by_form = defaultdict(list)
        for each in destinations:
            by_form[each.form].append(each.id)
        for form, ids in by_form.items():
            line = reading.line(form, updated)
            self.outbox.add(tuple(ids), line, instance, reading.bodies[form.schema_json].columns)
        self._forget(destinations, instance)

    def _delete(self, destinations: Sequence[Destination], instance: int) -> None:
        *uids, following = self.inventory.one("SELECT study, series, sop, next FROM instances WHERE id = ?", [instance])
        updated = self._time(following, None)
        columns = {name: uid for name, uid in zip(UID_COLUMNS, uids, strict=True) if uid}
        for form in {each.form for each in destinations}:
            ids = tuple(each.id for each in destinations if each.form == form)
            line = deletion_line(columns, from_microseconds(updated), form.source_store)
            self.outbox.add(ids, line, instance, frozenset() if form.schema_json else frozenset(columns))
        self._forget(destinations, instance)
        self.inventory.execute(
            "UPDATE instances SET alive = 0, content = NULL, last = ?, next = ? WHERE id = ?",
            [updated, updated + 1, instance],
        )

    def _forget(self, destinations: Sequence[Destination], instance: int) -> None:
        """Let a newer row take the place of what was adopted or parked."""
        for each in destinations:
            for table in ("adopted", "parked"):
                self.inventory.execute(
                    f"DELETE FROM {table} WHERE destination = ? AND instance = ?", [each.id, instance]
                )

    @staticmethod
    def _time(following: int, updated: int | None) -> int:
        """Tell the next LastUpdated: the source's, or else the present, and later than that of the row before.

        The source's own may be that of a row which a table already had.
        """
        if updated is not None and updated >= following:
            return updated
        return max(to_microseconds(now()), following + 1)


def too_many_gone(gone: int, total: int, source: str) -> TooManyGone:
    """Say that so many deletions are not believed."""
    return TooManyGone(
        f"{gone:,} of {total:,} instances of [{source}] are gone, more than --max-delete allows; none was marked "
        "deleted",
        "Check that its disk is mounted. If they were deleted: --max-delete=100%.",
    )
