from __future__ import annotations

from pathlib import Path

import click
import pytest

from dicombq.cli.terms import read_terms
from tests.cli.conftest import Run


def test_without_a_filter_everything_is_meant() -> None:
    assert read_terms(click.Context(click.Command("list")), click.Option(["--filter"]), None) == ()


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "  ",
        "state",
        "state=",
        "=FAILED",
        "state==FAILED",
        "state=FAILED AND",
        "AND state=FAILED",
        "state=FAILED OR state=DONE",
        "state=FAILED and failure>1",
        "state=FAILED failure>1",
        'store="My scans',
        "store='My scans\"",
        "state=FAILED;failure>1 x",
        "1=1 AND (state=DONE)",
        "NOT state=DONE",
        "state~DONE",
    ],
)
def test_an_expression_that_is_no_filter_is_refused(run: Run, home: Path, expression: str) -> None:
    result = run("operations", "list", f"--filter={expression}")
    assert (result.code, result.out) == (2, "")
    assert result.err.splitlines()[0] == (
        f"ERROR: (dicombq.operations.list) argument --filter: '{expression}' is not KEY=VALUE, "
        "nor several of them joined by AND."
    )
    assert not home.exists()


@pytest.fixture
def three(run: Run, broken: Path) -> list[str]:
    """Operations, the oldest first: two with a failed instance, and one of another store at another location."""
    (broken.parent / "empty").mkdir()
    assert run("export", "bq", "scans").code == 3
    assert run("export", "bq", "scans", "--schema=json", "--bq-table=duckdb://x.duckdb/d.t").code == 3
    assert run("export", "bq", "empty", "--location=there").code == 0
    return list(reversed(run("operations", "list", "--format=value(id)").out.split()))


@pytest.mark.parametrize(
    ("expression", "numbers"),
    [
        ("state=DONE", [2, 1, 0]),
        ("failure>0", [1, 0]),
        ("metadata.counter.failure=0", [2]),
        ("target:x.duckdb", [1]),
        ("location=there", [2]),
        ("store:scan AND target:warehouse", [0]),
        ("name:there", [2]),
        ("done=true AND store=empty", [2]),
        ("metadata.dicombq.found>=3", [1, 0]),
        ("metadata.createTime>2000", [2, 1, 0]),
        ("error:x", []),
        ("state=CRASHED", []),
    ],
)
def test_a_list_is_filtered_by_its_columns_and_by_paths(
    run: Run, three: list[str], expression: str, numbers: list[int]
) -> None:
    result = run("operations", "list", f"--filter={expression}", "--format=value(id)")
    assert (result.code, result.out.split()) == (0, [three[number] for number in numbers])
    assert result.err == ("" if numbers else "Listed 0 items.\n")


def test_a_time_divides_the_operations(run: Run, three: list[str]) -> None:
    created = run("operations", "describe", three[1], "--format=value(metadata.createTime)").out.strip()
    assert run("operations", "list", f"--filter=created<{created}", "--format=value(id)").out.split() == three[:1]
    later = run("operations", "list", f'--filter=created>="{created}"', "--format=value(id)").out.split()
    assert later == [three[2], three[1]]


def test_a_limit_counts_what_the_filter_leaves(run: Run, three: list[str]) -> None:
    newest, second, first = reversed(three)
    assert run("operations", "list", "--limit=1", "--format=value(id)").out.split() == [newest]
    assert run("operations", "list", "--limit=2", "--format=value(id)").out.split() == [newest, second]
    assert run("operations", "list", "--limit=99", "--format=value(id)").out.split() == [newest, second, first]
    filtered = run("operations", "list", "--filter=failure>0", "--limit=1", "--format=value(id)")
    assert filtered.out.split() == [second]
    assert len(run("operations", "list", "--limit=1").out.splitlines()) == 2


@pytest.mark.parametrize("limit", ["0", "-1", "x", "1.5", ""])
def test_a_limit_is_a_positive_number(run: Run, home: Path, limit: str) -> None:
    result = run("operations", "list", f"--limit={limit}")
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("ERROR: (dicombq.operations.list) argument --limit: ")
    assert not home.exists()


def test_a_list_prints_the_values_that_are_asked_for(run: Run, three: list[str]) -> None:
    result = run("operations", "list", "--format=value(id, state, metadata.counter.failure)", "--limit=2")
    assert result.out.splitlines() == [f"{three[2]}\tDONE\t0", f"{three[1]}\tDONE\t1"]
