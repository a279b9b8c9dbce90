"""Runs of elements that an instance shares with those before it, remembered with what they do to a row.

Instances of a series have the same patient, study and equipment: most of their headers' bytes are the same. A run is
some whole elements that stand next to each other. It is walked over once, alone; where the same bytes stand at the
same place again, its values are added in one go. Nothing depends on whether a run was remembered but the time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple, TypeAlias

import orjson

from dicombq.dicom.values import Json
from dicombq.rows.base import Notice
from dicombq.rows.handlers import Context
from dicombq.rows.part10 import Encoding
from dicombq.rows.record import Instance, Record

MAX_MEMORY = 1 << 20
"""Bytes of runs, and of what leads to them, that are remembered; then all is forgotten. As objects they are more."""

MAX_RUN = 64 << 10
"""Bytes of a run."""

_TOO_LONG = -1  # which no hash is
_MAX_ALIKE = 4  # runs that begin with the same tag and VR
_FIRST = 6  # walks at a place that compare; later two of each period do, unless something is found
_PERIOD = 16
_MANY = 500  # bytes found in runs: where then one is missed, another series may begin
_MIN_ELEMENTS = 3  # of a run, or
_MIN_SIZE = 100  # bytes
_PLACE_SIZE = 500  # bytes that count towards the memory
_MARK_SIZE = 100


class Run(NamedTuple):
    """Elements at one place, and all that they do.

    Parameters
    ----------
    data
        Their bytes.
    context, creators
        How they were read: in this context, behind these private creators.
    first, last
        Their first and last tag.
    elements, inner
        How many they are, and how many elements and items are in them.
    values, other, columns, used
        For the record. What could be changed is there as text that stays as it is in JSON.
    dropped, notices
        For the instance.
    """

    data: bytes
    context: Context
    creators: dict[int, str]
    first: int
    last: int
    elements: int
    inner: int
    values: dict[str, Json]
    other: tuple[Json, ...]
    columns: frozenset[str]
    used: bool
    dropped: tuple[tuple[str, str], ...]
    notices: tuple[Notice, ...]

    def add_to(self, values: dict[str, Json], other: list[Json], instance: Instance) -> None:
        """Do what the elements do to the values and OtherElements of a record, and to its instance."""
        values.update(self.values)
        other.extend(self.other)
        instance.columns.update(self.columns)
        instance.dropped.extend(self.dropped)
        instance.notices.extend(self.notices)


def make_run(
    data: bytes,
    context: Context,
    creators: dict[int, str],
    ends: tuple[int, int],
    elements: tuple[int, int],
    record: Record,
) -> Run:
    """Make a run of what its elements did to a record that had nothing before."""
    instance = record.instance
    return Run(
        data,
        context,
        creators,
        *ends,
        *elements,
        {name: _frozen(value) for name, value in record.values.items()},
        tuple(map(_frozen, record.other)),
        frozenset(instance.columns),
        record.used,
        tuple(instance.dropped),
        tuple(instance.notices),
    )


def _frozen(value: Json) -> Json:
    return orjson.Fragment(orjson.dumps(value)) if isinstance(value, (dict, list)) else value


class Place:
    """What is remembered of the data sets, or of the items of a sequence, of files of one kind."""

    def __init__(self) -> None:
        self.runs: dict[bytes, list[Run]] = {}
        self._marks: dict[bytes, int] = {}  # of each tag and VR, the hash of the element that was last seen
        self.compares = True
        self._plain_from = 0  # the visit from which on items may be plain
        self._visits = 0
        self._found = 0  # bytes, since a run was missed last

    def visit(self) -> None:
        """Begin a walk here; after some visits without finding anything new, it compares in two of sixteen."""
        self._visits += 1
        self.compares = self._visits < _FIRST or self._visits % _PERIOD < 2

    def is_quiet(self) -> bool:
        """Tell whether the next walk learns no run here, and may be over plain elements only."""
        number = self._visits + 1
        return number >= _FIRST and number % _PERIOD >= 2 and number >= self._plain_from

    def is_not_plain(self) -> None:
        """Note that an item has others than plain elements: the next ones may as well."""
        self._plain_from = self._visits + _PERIOD

    def find(
        self,
        key: bytes,
        buffer: bytes,
        position: int,
        limit: int,
        context: Context,
        creators: dict[int, str],
        previous: int,
    ) -> Run | None:
        """Find the run that begins with this tag and VR at a position, if it ends before a limit."""
        for run in self.runs[key]:
            if (
                buffer.startswith(run.data, position)
                and run.context is context
                and run.creators == creators
                and run.first > previous
                and position + len(run.data) <= limit
            ):
                self._found += len(run.data)
                return run
        if self._found > _MANY:  # another series may begin
            self.compares = True
            self._visits = self._found = 0
        return None

    def shared(self, buffer: bytes, starts: Sequence[int], end: int) -> Iterator[tuple[Sequence[int], int]]:
        """Find what elements share with those before them: where each element of a future run begins, and its end.

        Parameters
        ----------
        starts, end
            Of elements next to each other, that no run has.
        """
        if _is_small(starts, end) or memory.is_full:
            return
        first = 0  # of the elements that are shared up to here
        for number, (start, stop) in enumerate(pairwise((*starts, end))):
            key = buffer[start : start + 6]
            mark = hash(buffer[start:stop]) if stop - start <= MAX_RUN else _TOO_LONG
            is_shared = mark != _TOO_LONG and self._marks.get(key) == mark
            if first < number and (not is_shared or stop - starts[first] > MAX_RUN):
                if not _is_small(starts[first:number], start):
                    yield starts[first:number], start
                first = number
            if not is_shared:
                first = number + 1
                if key not in self._marks:
                    if memory.size > MAX_MEMORY:
                        continue
                    memory.size += _MARK_SIZE
                self._marks[key] = mark
        if first < len(starts) and not _is_small(starts[first:], end):
            yield starts[first:], end

    def remember(self, key: bytes, run: Run) -> None:
        """Remember a run by the tag and VR that it begins with."""
        if memory.is_full:
            return
        self._visits = 0
        alike = self.runs.setdefault(key, [])
        alike.insert(0, run)
        del alike[_MAX_ALIKE:]
        memory.size += len(run.data)


def _is_small(starts: Sequence[int], end: int) -> bool:
    return len(starts) < _MIN_ELEMENTS and end - starts[0] < _MIN_SIZE


Kind: TypeAlias = tuple[type[Record], Encoding, int]


class _Memory:
    """The places of all kinds of files, within `MAX_MEMORY`."""

    def __init__(self) -> None:
        self.size = 0
        self._places: dict[Kind, dict[str, Place]] = {}

    @property
    def is_full(self) -> bool:
        """Tell whether nothing more is remembered before the next file."""
        return self.size > MAX_MEMORY

    def places(self, kind: Kind) -> dict[str, Place]:
        """Give the places of a file: of those that are read as this type of record, in this encoding, to this limit."""
        if self.is_full:
            self.forget()
        return self._places.setdefault(kind, {})

    def new_place(self) -> Place:
        """Make a place."""
        self.size += _PLACE_SIZE
        return Place()

    def forget(self) -> None:
        """Forget all."""
        self.size = 0
        self._places.clear()


memory = _Memory()
