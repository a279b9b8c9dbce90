from __future__ import annotations

from typing import Any

import pytest

from dicombq.operations.terms import parse_terms

RESOURCE: dict[str, Any] = {
    "id": "1763756640123456789",
    "state": "FAILED",
    "done": True,
    "store": "My scans",
    "failure": "10",
    "rate": 1.5,
    "created": "2026-01-02T03:04:05.000001Z",
    "metadata": {"@type": "type.googleapis.com/x", "counter": {"failure": "10"}},
}


def holds(expression: str) -> bool:
    return all(term.holds(RESOURCE) for term in parse_terms(expression))


@pytest.mark.parametrize(
    "expression",
    [
        "state=FAILED",
        "state = failed",
        "  state=FAILED  ",
        "state!=DONE",
        "done=true",
        "store:scan",
        "store:SCANS",
        'store="My scans"',
        "store='my scans'",
        'store:"y s"',
        "failure=10",
        "failure>9",
        "failure>=10",
        "failure<=10",
        "failure<10.5",
        "failure<1e2",
        "rate>1",
        "created>2026",
        "created<2026-01-03",
        "created>=2026-01-02T03:04:05Z",
        "created<=2026-01-02T03:05",
        "metadata.counter.failure>9",
        "metadata.@type:googleapis",
        "state=FAILED AND failure>9 AND store:scans",
        'state=FAILED AND store="My scans"',
        "state=FAILED  AND\tfailure>9",
        "nothing!=x",
        "metadata.nothing.more!=x",
    ],
)
def test_a_filter_holds_for_a_resource(expression: str) -> None:
    assert holds(expression)


@pytest.mark.parametrize(
    "expression",
    [
        "state=DONE",
        "state!=FAILED",
        "state=FAIL",
        "store:other",
        "failure=10.0",
        "failure>10",
        "failure<10",
        "failure<9",
        "created<2026",
        "created>2026-01-03",
        "metadata.counter.failure>10",
        "metadata.counter.failure.more=10",
        "state=FAILED AND failure>10",
        "failure>10 AND state=FAILED",
        "nothing=x",
        "nothing:x",
        "nothing<x",
        "nothing>=0",
    ],
)
def test_a_filter_does_not_hold_for_a_resource(expression: str) -> None:
    assert not holds(expression)
