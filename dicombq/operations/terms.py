"""Filters of lists of operations: terms that one has to meet, all of them."""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from dicombq.errors import InvalidArgument
from dicombq.operations.state import Operation
from dicombq.system.mappings import value_at

_TERM = re.compile(
    r"""\s*([A-Za-z@][\w.@]*)\s*(!=|<=|>=|=|:|<|>)\s*("[^"]*"|'[^']*'|[^\s"'=<>!][^\s"']*)(?:\s+AND\s+(?=\S)|\s*$)"""
)
_COMPARISONS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


class Term(NamedTuple):
    """A condition: the dotted path of a value, how to compare it, and with what."""

    key: str
    comparison: str
    text: str

    def holds(self, resource: Mapping[str, Any]) -> bool:
        """Tell whether a resource meets it; what it does not have is not equal to anything."""
        value = value_at(resource, self.key)
        if value is None:
            return self.comparison == "!="
        found, wanted = str(value).casefold(), self.text.casefold()
        if self.comparison == ":":
            return wanted in found
        if self.comparison in ("=", "!="):
            return (found == wanted) is (self.comparison == "=")
        compare = _COMPARISONS[self.comparison]
        try:
            return bool(compare(float(found), float(wanted)))
        except ValueError:  # times, as the API writes them, are in the order of their text
            return bool(compare(found.removesuffix("z"), wanted.removesuffix("z")))


def parse_terms(text: str) -> tuple[Term, ...]:
    """Read terms joined by AND: ``state=CRASHED AND store:scans``.

    Raises
    ------
    InvalidArgument
        Where it is something else.
    """
    terms: list[Term] = []
    position = 0
    while position < len(text) or not terms:
        match = _TERM.match(text, position)
        if not match:
            raise InvalidArgument(f"'{text}' is not KEY=VALUE, nor several of them joined by AND")
        terms.append(Term(match[1], match[2], match[3][1:-1] if match[3][0] in "\"'" else match[3]))
        position = match.end()
    return tuple(terms)


def columns_of(operation: Operation) -> dict[str, Any]:
    """Give an operation as a filter sees it: what the API prints, columns of lists, counters; ``api`` is the first."""
    api = operation.to_api()
    return {
        **api["metadata"]["counter"],
        **api["metadata"]["dicombq"],
        **api,
        "api": api,
        "id": operation.id,
        "location": operation.parent.location,
        "done": operation.state.ended,
        "state": operation.state.value,
        "created": operation.create_time,
        "store": operation.store_id,
        "target": operation.target,
    }
