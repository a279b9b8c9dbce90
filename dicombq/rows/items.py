"""Sequences of plain elements only, as most functional groups and codes are: without a record, in one short loop."""

from __future__ import annotations

import datetime as dt
from typing import Final

from dicombq.dicom import tags
from dicombq.dicom.values import Json
from dicombq.rows.handlers import DATETIME, MARK, OTHER, SKIP, VALUE, Handlers
from dicombq.rows.record import Instance

_MAX_ELEMENTS: Final = 20_000
"""Elements and items of a sequence; a longer one is the walker's, which counts as it goes."""


def read_plain(  # noqa: C901, PLR0912, PLR0915 - it runs for each element, where a call costs as much as its work
    buffer: bytes,
    position: int,
    end: int,
    handlers: Handlers,
    path: str,
    instance: Instance,
    too_big: int,
    *,
    is_open: bool,
) -> tuple[list[Json], int, int, bool] | None:
    """Read a sequence; None for one that is not plain, in which the walker then finds the same columns once more.

    Parameters
    ----------
    path
        Of its items' columns, with a final dot.
    too_big
        Bytes of an element that is left out.
    is_open
        Whether a delimiter ends it, before `end`, and not `end`.

    Returns
    -------
    tuple or None
        Its items, where it ends, how many elements they have, and whether there is a DT among them.
    """
    find, unpack, unpack_long = handlers.get, handlers.unpack, handlers.unpack_long
    item, sequence_end = handlers.item, handlers.sequence_end
    columns = instance.columns
    is_utc = instance.zone is dt.timezone.utc
    items: list[Json] = []
    elements = 0
    has_datetime = False
    end = min(end, position + too_big, len(buffer)) if is_open else end
    if end > len(buffer):
        return None
    while position + 8 <= end:
        mark = buffer[position : position + 4]
        (length,) = unpack_long(buffer, position + 4)
        position += 8
        if mark != item:
            if is_open and mark == sequence_end and not length:
                return items, position, elements, has_datetime
            return None
        is_open_item = length == tags.UNDEFINED_LENGTH
        limit: int = end if is_open_item else position + length
        if limit > end:
            return None
        values: dict[str, Json] = {}
        other: list[Json] = []
        previous = -1
        while position + 8 <= limit:
            key, length = unpack(buffer, position)
            handler = find(key)
            if handler is None:
                return None
            step, tag, _, wide, _, _, name, plain = handler
            position += 8
            if wide:
                if position + wide - 4 > limit:
                    return None
                (length,) = unpack_long(buffer, position + wide - 8)
                position += wide - 4
            stop: int = position + length
            if tag <= previous or stop > limit or length >= too_big:
                return None
            previous = tag
            if step == DATETIME:
                has_datetime = True
                step = VALUE if is_utc else SKIP
            if step == VALUE and plain:
                if length:
                    value = plain(buffer[position:stop])
                    if value is None:
                        return None
                    values[name] = value
                columns.add(path + name)
            elif step == OTHER and plain:
                value = plain(buffer[position:stop])
                if value is None:
                    return None
                other.append({"Tag": name, "Data": value})
                columns.add(path + "OtherElements")
            elif step == MARK and is_open_item and tag == tags.ITEM_DELIMITATION_ITEM and not length:
                break
            else:
                return None
            position = stop
            elements += 1
        else:
            if is_open_item or position != limit:
                return None
        if other:
            values["OtherElements"] = other
        items.append(values)
        if elements + len(items) > _MAX_ELEMENTS:
            return None
    return None if is_open or position != end else (items, end, elements, has_datetime)
