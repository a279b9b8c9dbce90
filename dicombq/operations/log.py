"""An operation's log: JSON lines of ``time severity code uri tag message``."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO


@dataclass(frozen=True)
class LogEntry:
    """A line of an operation's log; it never holds an element's value."""

    severity: str
    code: str
    uri: str
    tag: str
    message: str


def read_log(path: Path, severities: Collection[str] = (), reason: str | None = None) -> Iterator[dict[str, str]]:
    """Stream a log; a line that a crash cut off is left out.

    Parameters
    ----------
    severities
        Only entries of these; empty for all.
    reason
        Only entries with this code, or with this text in their message.
    """
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        for entry in _entries(file):
            if severities and entry["severity"] not in severities:
                continue
            if reason is None or reason == entry["code"] or reason.casefold() in entry["message"].casefold():
                yield entry


def _entries(lines: IO[bytes]) -> Iterator[dict[str, str]]:
    for line in lines:
        with contextlib.suppress(ValueError, RecursionError):
            entry = json.loads(line)
            if isinstance(entry, dict):
                yield entry
