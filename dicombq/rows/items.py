"""Items of plain elements, and of sequences of such items, as most functional groups, contents and codes are.

They need no record: one short loop reads them.
"""

from __future__ import annotations

import datetime as dt
from typing import Final, TypeAlias

from dicombq.dicom import tags
from dicombq.dicom.values import Json
from dicombq.rows.handlers import DATETIME, MARK, OTHER, SEQUENCE, SKIP, VALUE, Context, Handlers, inside
from dicombq.rows.record import Instance, Record
from dicombq.rows.runs import Place
from dicombq.rows.window import Window
from dicombq.table.mapping import MAX_RECORD_DEPTH, Column, Kind

MAX_PLAIN_DEPTH: Final = MAX_RECORD_DEPTH - 2
"""Of a record in which any plain value has its column; that of a PN needs two levels more."""

_MAX_ELEMENTS = 20_000
"""Elements and items in an item; a longer one is the walker's, which counts as it goes."""

_NO_RUNS = Place()


_Item: TypeAlias = tuple[dict[str, Json], int, bool]
"""An item's values, where it ends, and whether it has any column."""


class PlainItems:
    """Reads items that are plain; all others the walker begins once more, and finds the same columns.

    Parameters
    ----------
    places
        What is remembered of items, by the path of their columns with a final dot.

    Attributes
    ----------
    elements
        How many elements and items were read at the last attempt.
    has_datetime
        Whether a DT was among any.
    """

    def __init__(self, window: Window, handlers: Handlers, instance: Instance, places: dict[str, Place]) -> None:
        self.elements = 0
        self.has_datetime = False
        self._window = window
        self._handlers = handlers
        self._instance = instance
        self._places = places
        self._known: dict[str, tuple[Place, set[str]]] = {}
        """By path, with the names of the columns that were found there; none of them is ever taken back alone."""

    def attempt(
        self, record: Record, found: Column, position: int, end: int, context: Context, *, is_open: bool
    ) -> _Item | None:
        """Read an item of a record's sequence, where the items before it were plain; None for one that is not.

        Parameters
        ----------
        position
            Behind the item's length.
        is_open
            Whether a delimiter ends it, before `end`, and not `end`.
        """
        path = f"{record.path}{found.name}."
        place = self._places.get(path)
        if place is None or record.depth >= MAX_PLAIN_DEPTH or not place.is_quiet():
            return None
        self.elements = 0
        item = self._read(position, end, path, MAX_PLAIN_DEPTH - record.depth - 1, context, is_open=is_open)
        if item is None:
            place.is_not_plain()
        else:
            place.visit()
        return item

    def _read(  # noqa: C901, PLR0912, PLR0915 - it runs for each element, where a call costs as much as its work
        self, position: int, end: int, path: str, levels: int, context: Context, *, is_open: bool
    ) -> _Item | None:
        """Read an item in which `levels` sequences may be in one another."""
        handlers, instance, buffer = self._handlers, self._instance, self._window.buffer
        find, unpack, unpack_long = handlers.get, handlers.unpack, handlers.unpack_long
        columns = instance.columns
        known = self._known.get(path)
        if known is None:
            known = self._known[path] = self._places.get(path, _NO_RUNS), set()
        place, seen = known
        runs = place.runs
        values: dict[str, Json] = {}
        other: list[Json] = []
        is_used = False
        previous = -1
        elements = 1
        if is_open:
            end = min(end, len(buffer))
        if end > len(buffer):
            return None
        while position + 8 <= end:
            key, length = unpack(buffer, position)
            if key in runs:
                run = place.find(key, buffer, position, end, context, {}, previous)
                if run:
                    run.add_to(values, other, instance)
                    is_used = is_used or run.used
                    position += len(run.data)
                    previous = run.last
                    elements += run.elements + run.inner
                    continue
            handler = find(key)
            if handler is None:
                return None
            step, tag, vr, wide, _, found, name, plain = handler
            position += 8
            if wide:
                if position + wide - 4 > end:
                    return None
                (length,) = unpack_long(buffer, position + wide - 8)
                position += wide - 4
            if tag <= previous:
                return None
            previous = tag
            elements += 1
            if step == SEQUENCE and length == tags.UNDEFINED_LENGTH:
                stop = end
            else:
                stop = position + length
                if stop > end:
                    return None
            if step == DATETIME:
                self.has_datetime = True
                step = VALUE if instance.zone is dt.timezone.utc else SKIP
            if step == VALUE and plain:
                if length:
                    value = plain(buffer[position:stop])
                    if value is None:
                        return None
                    values[name] = value
                elif vr == "PN":
                    return None
                if name not in seen:
                    seen.add(name)
                    columns.add(path + name)
                is_used = True
            elif step == OTHER and plain:
                value = plain(buffer[position:stop])
                if value is None:
                    return None
                other.append({"Tag": name, "Data": value})
                columns.add(path + "OtherElements")
                is_used = True
            elif step == SEQUENCE and found.kind is Kind.SEQUENCE and levels:
                is_open_value = length == tags.UNDEFINED_LENGTH
                nested = self._read_sequence(
                    position, stop, f"{path}{name}.", levels - 1, inside(context, tag), is_open=is_open_value
                )
                if nested is None:
                    return None
                items, stop = nested
                if items:
                    values[name] = items
                    is_used = True
            elif step == MARK and is_open and tag == tags.ITEM_DELIMITATION_ITEM and not length:
                position = stop
                break
            else:
                return None
            position = stop
        else:
            if is_open or position != end:
                return None
        if other:
            values["OtherElements"] = other
        self.elements += elements
        return None if self.elements > _MAX_ELEMENTS else (values, position, is_used)

    def _read_sequence(
        self, position: int, end: int, path: str, levels: int, context: Context, *, is_open: bool
    ) -> tuple[list[Json], int] | None:
        """Read a sequence: give its items, none where they have no column, and where it ends."""
        buffer, handlers = self._window.buffer, self._handlers
        items: list[Json] = []
        is_used = False
        while position + 8 <= end:
            mark = buffer[position : position + 4]
            (length,) = handlers.unpack_long(buffer, position + 4)
            position += 8
            if mark != handlers.item:
                is_end = is_open and mark == handlers.sequence_end and not length
                return (items if is_used else [], position) if is_end else None
            is_open_item = length == tags.UNDEFINED_LENGTH
            limit: int = end if is_open_item else position + length
            item = self._read(position, limit, path, levels, context, is_open=is_open_item) if limit <= end else None
            if item is None:
                return None
            values, position, used = item
            items.append(values)
            is_used = is_used or used
        return None if is_open or position != end else (items if is_used else [], position)
