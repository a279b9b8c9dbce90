from __future__ import annotations

import contextlib
import errno
import os
import re
from typing import Any

import duckdb
import pytest

from dicombq.errors import Failed
from dicombq.shards import duplicates
from dicombq.stores.base import Skipped
from tests.export.staged import NotedRef, Stage, found, stage

__all__ = ["stage"]  # a fixture


def losers(stage: Stage) -> list[tuple[str, str]]:
    return [(duplicate.uri, duplicate.winner) for duplicate in stage.duplicates()]


def test_without_rows_there_are_no_duplicates(stage: Stage) -> None:
    assert losers(stage) == []
    stage.stage([Skipped(NotedRef("/a"), "text")])
    assert losers(stage) == []


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("2026-01-01T00:00:00.000001Z", "2026-01-01T00:00:00.100000Z"),
        ("2025-12-31T23:59:59.999999Z", "2026-01-01T00:00:00.000000Z"),
    ],
)
def test_the_newest_copy_wins_over_shards(stage: Stage, older: str, newer: str) -> None:
    stage.stage([found("/z", "1.1", older), found("/other", "1.2")], 0)
    stage.stage([found("/a", "1.1", newer)], 1)
    assert losers(stage) == [("/z", "/a")]


def test_of_copies_of_one_time_the_greater_uri_wins(stage: Stage) -> None:
    stage.stage([found("/b", "1.1"), found("/c", "1.1"), found("/a", "1.1")])
    assert losers(stage) == [("/b", "/c"), ("/a", "/c")]


def test_instances_without_sop_instance_uid_are_nobodys_duplicates(stage: Stage) -> None:
    stage.stage([found("/a"), found("/b")])
    assert losers(stage) == []


def test_duplicates_are_found_in_many_files_of_keys(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "_FILES_AT_ONCE", 2)
    for number in range(5):
        stage.stage([found(f"/{number}", "1.1"), found(f"/other{number}", f"1.2.{number}")], number)
    assert losers(stage) == [(f"/{number}", "/4") for number in range(4)]


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (RuntimeError("Query interrupted"), KeyboardInterrupt),
        (duckdb.InterruptException("interrupted"), KeyboardInterrupt),
        (RuntimeError("something else"), RuntimeError),
    ],
)
def test_an_interrupt_ends_the_search_for_duplicates(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, error: Exception, raised: type[BaseException]
) -> None:
    class Interrupted(contextlib.nullcontext[Any]):
        def __enter__(self) -> Any:
            return self

        def execute(self, sql: str, *_: object) -> None:
            if "SET" not in sql:
                raise error

    stage.stage([found("/a", "1.1")])
    monkeypatch.setattr(duckdb, "connect", Interrupted)
    with pytest.raises(raised):
        losers(stage)


@pytest.mark.parametrize(
    ("error", "number"),
    [
        (duckdb.IOException("IO Error: No space left on device: Canary"), errno.ENOSPC),
        (duckdb.IOException("IO Error: Canary"), errno.EIO),
    ],
)
def test_a_disk_that_fails_the_search_for_duplicates_is_told_as_such(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, error: duckdb.Error, number: int
) -> None:
    def fail(*_arguments: object) -> None:
        raise error

    stage.stage([found("/a", "1.1")])
    monkeypatch.setattr(duckdb, "connect", fail)
    with pytest.raises(OSError, match=re.escape(os.strerror(number))) as raised:
        losers(stage)
    assert raised.value.errno == number


def test_a_search_for_duplicates_without_memory_fails(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> None:
        raise duckdb.OutOfMemoryException("Canary")

    stage.stage([found("/a", "1.1")])
    monkeypatch.setattr(duckdb, "connect", fail)
    with pytest.raises(Failed, match="not enough memory to find the duplicates"):
        losers(stage)
