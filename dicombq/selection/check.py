"""What is wrong with a filter file, or needless in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from dicombq.stores.base import Failure, Found, Store
from dicombq.stores.filters import BadLine, Filter, FilterLine
from dicombq.stores.reading import read_store

_TOLD = 1000


class Problem(Enum):
    """A kind of finding."""

    WRONG = "wrong"
    DUPLICATE = "duplicate"
    COVERED = "covered"
    UNMATCHED = "unmatched"


@dataclass(frozen=True)
class Finding:
    """Something to be known of a line."""

    line: int
    problem: Problem
    message: str


@dataclass
class Check:
    """A filter file held against itself, and against a store.

    Parameters
    ----------
    filter
        Read tolerantly.
    counts
        How many findings there are of each kind; grows while they are streamed.
    failures
        Instances of the store that could not be read: a line may name one of them.
    """

    filter: Filter
    counts: dict[Problem, int] = field(default_factory=lambda: dict.fromkeys(Problem, 0))
    lines: int = 0
    failures: int = 0
    _matched: set[int] | None = None

    def match(self, store: Store[Any], count: Callable[[int], None]) -> None:
        """Look which lines name something in a store, by reading its headers.

        Parameters
        ----------
        count
            Is told how many were read, again and again.
        """
        self._matched = set()
        for number, result in enumerate(read_store(store, self.filter), start=1):
            self.failures += isinstance(result, Failure)
            if isinstance(result, Found):
                self._matched.update(self.filter.matching(result.row.uids))
            if number % _TOLD == 0:
                count(number)

    def findings(self) -> Iterator[Finding]:
        """Stream the findings in the order of the lines."""
        for line in self.filter.entries():
            self.lines += 1
            finding = self._finding(line)
            if finding is not None:
                self.counts[finding.problem] += 1
                yield finding

    def _finding(self, line: FilterLine | BadLine) -> Finding | None:
        number = line.number
        if isinstance(line, BadLine):
            return Finding(number, Problem.WRONG, line.fault)
        first = self.filter.number_of(line.uids)
        if first != number:
            return Finding(number, Problem.DUPLICATE, f"is the same as line {first}")
        for level in range(1, len(line.uids)):
            above = self.filter.number_of(line.uids[:level])
            if above is not None:
                return Finding(number, Problem.COVERED, f"is covered by line {above}")
        if self._matched is not None and number not in self._matched:
            return Finding(number, Problem.UNMATCHED, "names nothing in the store")
        return None
