"""The delivery of rows to one table, by load jobs whose names are noted before they begin: each row comes once."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson
from isal import igzip

from dicombq.errors import DestinationChanged, DicombqError, Failed, NotFound, TooManyColumns
from dicombq.operations.log import LogEntry
from dicombq.streaming.adoption import adopt
from dicombq.streaming.changes import Log
from dicombq.streaming.configs import make_table, stream_conflict, write_nothing
from dicombq.streaming.destinations import Destination
from dicombq.streaming.inventory import Inventory
from dicombq.streaming.outbox import Outbox
from dicombq.system.files import printable
from dicombq.system.times import from_microseconds, now
from dicombq.table.disposition import Disposition, TableState
from dicombq.table.fields import Field, to_bigquery
from dicombq.table.mapping import UID_COLUMNS
from dicombq.table.view import view_name
from dicombq.warehouses.base import FieldConflict, Load, LoadResult, Warehouse

_MOST_ROWS = 100_000
"""Rows in a load, so that one does not take for ever."""


@dataclass(frozen=True)
class _Part:
    """A batch of a load."""

    id: int
    file: str
    rows: int
    longest: int
    column_sets: list[list[str]]
    keys: list[list[int]]
    created: int

    @property
    def paths(self) -> set[str]:
        return {path for columns in self.column_sets for path in columns}


@dataclass
class Delivery:
    """Brings rows to one table.

    Parameters
    ----------
    inventory
        Of the thread that delivers.
    """

    inventory: Inventory
    destination: Destination
    warehouse: Warehouse[Any]
    log: Log
    delivered: int = 0
    parked: int = 0

    def prepare(self) -> None:
        """Finish the load that was begun, and take up a table that is new, or that somebody else wrote to."""
        self._deliver_begun()
        config = self.destination.config
        if self.has_to_adopt():
            make_table(config, self.warehouse, self._scratch())
            adopt(self.inventory, self.destination, self.warehouse)
        elif self._lacks_view():
            self.warehouse.replace_view(config.table, self.warehouse.fields(config.table))

    def has_to_adopt(self) -> bool:
        """Tell whether the table is new, or somebody else wrote to it."""
        return not self._is_adopted() or self._is_changed()

    def deliver(self) -> None:
        """Finish the load that was begun, and make one of what the table has still to get by now."""
        self._deliver_begun()
        if self._begin():
            self._deliver_begun()

    def has_work(self) -> bool:
        """Tell whether the table has still to get rows."""
        return bool(self.inventory.one("SELECT 1 FROM deliveries WHERE destination = ? LIMIT 1", [self.destination.id]))

    def _scratch(self) -> Path:
        folder = self.inventory.folder / f"scratch-{self.destination.id}"
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def _is_adopted(self) -> bool:
        return bool(self._noted("adopted"))

    def _is_changed(self) -> bool:
        table = self.warehouse.state(self.destination.config.table)
        if self.destination.config.is_counted_late:
            return table.state is TableState.MISSING
        total, writer = self._noted("total"), self._noted("writer")
        return (total is not None and table.rows != total) or (writer is not None and table.writer != writer)

    def _lacks_view(self) -> bool:
        config = self.destination.config
        if config.captures:
            return False
        try:
            self.warehouse.fields(replace(config.table, table=view_name(config.table.table)))
        except NotFound:
            return True
        return False

    def _noted(self, column: str) -> Any:
        return self.inventory.one(f"SELECT {column} FROM destinations WHERE id = ?", [self.destination.id])[0]

    def note_error(self, error: DicombqError | None) -> None:
        """Note why the table gets nothing, or that it does again; log what is new."""
        before = self._noted("error")
        message = error.message if error else None
        if message != before:
            self.inventory.execute(
                "UPDATE destinations SET error = ?, error_at = ? WHERE id = ?",
                [message, now() if error else None, self.destination.id],
            )
            if error:
                uri = printable(str(self.destination.config.table))
                self.log([LogEntry("ERROR", error.status, uri, "", error.message)])

    def _begin(self) -> bool:
        """Put the next batches into a load; its number is never used again."""
        with self.inventory.transaction():
            batches: list[int] = []
            rows = 0
            for batch, number in self.inventory.execute(
                "SELECT batch, rows FROM deliveries JOIN batches ON id = batch WHERE destination = ? ORDER BY batch",
                [self.destination.id],
            ):
                rows += number
                if batches and rows > _MOST_ROWS:
                    break
                batches.append(batch)
            if batches:
                self._assign(batches)
        return bool(batches)

    def _assign(self, batches: Sequence[int]) -> None:
        load = int(self.inventory.meta("loads") or "0") + 1
        self.inventory.set_meta("loads", str(load))
        self.inventory.executemany(
            "UPDATE deliveries SET load = ? WHERE destination = ? AND batch = ?",
            [(load, self.destination.id, batch) for batch in batches],
        )

    def _deliver_begun(self) -> None:
        """Finish every load that was begun, the oldest first: nobody knows how far a crash let it come."""
        while begun := self.inventory.one(
            "SELECT min(load) FROM deliveries WHERE destination = ? AND load IS NOT NULL", [self.destination.id]
        )[0]:
            self._load(begun, self._parts(begun))

    def _parts(self, load: int) -> list[_Part]:
        rows = self.inventory.execute(
            "SELECT id, file, rows, longest, column_sets, keys, created FROM deliveries JOIN batches ON id = batch "
            "WHERE destination = ? AND load = ? ORDER BY id",
            [self.destination.id, load],
        )
        return [
            _Part(part, file, number, longest, json.loads(sets), json.loads(keys), created)
            for part, file, number, longest, sets, keys, created in rows
        ]

    def _load(self, load: int, parts: Sequence[_Part]) -> None:
        try:
            result = self._way()(self.destination.config.table, self._request(load, parts))
        except FieldConflict as conflict:
            self._park_conflicting(parts, conflict)
        except TooManyColumns as error:
            self._park_or_halve(parts, error)
        except DestinationChanged:  # it was loaded, and the table is gone: it is taken up anew
            self._done(parts, None)
        except Failed as error:
            if type(error) is not Failed:
                raise
            self._check_table(parts, error)
            self._park_or_halve(parts, error)
        else:
            self._done(parts, result)

    def _way(self) -> Callable[[Any, Load], LoadResult]:
        config = self.destination.config
        if config.captures:
            return self.warehouse.change
        return self.warehouse.insert if config.insert else self.warehouse.load

    def _request(self, load: int, parts: Sequence[_Part]) -> Load:
        stream = self.inventory.meta("stream")
        return Load(
            [self.inventory.batches / part.file for part in parts],
            self._fields(parts),
            Disposition.WRITE_APPEND,
            f"dicombq_stream_{stream}_{self.destination.id}_{load}",
            self._scratch(),
            max(part.longest for part in parts),
        )

    def _fields(self, parts: Sequence[_Part]) -> tuple[Field, ...]:
        return self.destination.config.destination.fields({path for part in parts for path in part.paths})

    def _done(self, parts: Sequence[_Part], result: LoadResult | None) -> None:
        if result and not self.destination.config.captures:
            self._replace_view(result.fields)
        entries: list[LogEntry] = []
        with self.inventory.transaction():
            is_ours = result is not None and self._is_ours(result)
            if result and result.refused:
                entries = self._park_refused(parts, result.refused)
            self.inventory.executemany(
                "DELETE FROM deliveries WHERE destination = ? AND batch = ?",
                [(self.destination.id, part.id) for part in parts],
            )
            self.inventory.execute(
                "UPDATE destinations SET total = ?, writer = ?, adopted = adopted AND ?, delivered_at = ? WHERE id = ?",
                [result and result.total, result and result.writer, is_ours, now(), self.destination.id],
            )
        self.log(entries)
        self.parked += len(entries)
        self.delivered += sum(part.rows for part in parts)
        self._discard(parts)

    def _is_ours(self, result: LoadResult) -> bool:
        """Tell whether a load found the table as the last one left it."""
        if self.destination.config.is_counted_late:
            return True
        before = self._noted("total") in (None, result.total - result.rows)
        return before and self._noted("writer") in (None, result.follows)

    def _replace_view(self, fields: tuple[Field, ...]) -> None:
        made_for = json.dumps(to_bigquery(fields))
        if self._noted("viewed") == made_for:
            return
        self.warehouse.replace_view(self.destination.config.table, fields)
        self.inventory.execute("UPDATE destinations SET viewed = ? WHERE id = ?", [made_for, self.destination.id])

    def _discard(self, parts: Sequence[_Part]) -> None:
        """Delete the batches that no table has to get any more."""
        for part in parts:
            with self.inventory.transaction():
                if self.inventory.one("SELECT 1 FROM deliveries WHERE batch = ?", [part.id]):
                    continue
                self.inventory.execute("DELETE FROM batches WHERE id = ?", [part.id])
            (self.inventory.batches / part.file).unlink(missing_ok=True)

    def _check_table(self, parts: Sequence[_Part], error: Failed) -> None:
        """Raise the error of a table at fault: the same load without rows fails too. If it succeeds, it is the rows."""
        try:
            write_nothing(self.destination.config, self.warehouse, self._fields(parts), self._scratch())
        except FieldConflict:
            raise error from None

    def _park_conflicting(self, parts: Sequence[_Part], conflict: FieldConflict) -> None:
        """Park the rows that have a column of another type than the table, and go on with the others."""
        paths = [each.path for each in conflict.conflicts]
        error = stream_conflict(self.destination.config.table, conflict)

        def is_at_fault(part: _Part, columns: int) -> bool:
            return any(f"{column}.".startswith(f"{path}.") for column in part.column_sets[columns] for path in paths)

        if not any(is_at_fault(part, columns) for part in parts for _, columns in part.keys):
            raise error from None  # a column that every row has
        self._rewrite(parts, lambda _, part, columns: None if is_at_fault(part, columns) else 0, error)

    def _park_or_halve(self, parts: Sequence[_Part], error: DicombqError) -> None:
        """Look for the rows at fault by halves; a single one is parked."""
        rows = sum(part.rows for part in parts)
        self._rewrite(parts, lambda at, _, __: None if rows == 1 else int(at >= rows // 2), error)

    def _rewrite(
        self, parts: Sequence[_Part], group_of: Callable[[int, _Part, int], int | None], error: DicombqError
    ) -> None:
        """Write the rows of a load that failed anew, for one load or two; those of no group are parked."""
        entries: list[LogEntry] = []
        position = 0
        with Outbox(self.inventory) as first, Outbox(self.inventory) as second, self.inventory.transaction():
            for part in parts:
                with igzip.open(self.inventory.batches / part.file) as lines:
                    for line, (instance, columns) in zip(lines, part.keys, strict=True):
                        group = group_of(position, part, columns)
                        position += 1
                        if group is None:
                            entries.append(self._park(instance, line, error))
                        else:
                            row = ((self.destination.id,), line, instance, frozenset(part.column_sets[columns]))
                            (first, second)[group].add(*row)
                self.inventory.execute(
                    "DELETE FROM deliveries WHERE destination = ? AND batch = ?", [self.destination.id, part.id]
                )
            for outbox in (first, second):
                if batches := outbox.note(parts[0].created):
                    self._assign(batches)
        self.parked += len(entries)
        self.log(entries)
        self._discard(parts)

    def _park_refused(self, parts: Sequence[_Part], refused: Mapping[int, str]) -> list[LogEntry]:
        entries = []
        position = 0
        for part in parts:
            with igzip.open(self.inventory.batches / part.file) as lines:
                for line, (instance, _) in zip(lines, part.keys, strict=True):
                    if position in refused:
                        entries.append(self._park(instance, line, Failed(refused[position])))
                    position += 1
        return entries

    def _park(self, instance: int, line: bytes, error: DicombqError) -> LogEntry:
        row = orjson.loads(line)
        (last,) = self.inventory.one("SELECT last FROM instances WHERE id = ?", [instance])
        if row["LastUpdated"] == from_microseconds(last):  # else a newer one is on its way
            self.inventory.execute(
                "INSERT OR REPLACE INTO parked VALUES (?, ?, ?)", [self.destination.id, instance, error.message]
            )
        path = "/studies/{}/series/{}/instances/{}".format(*(row.get(name, "") for name in UID_COLUMNS))
        return LogEntry("ERROR", error.status, path, "", f"parked: {error.message}")
