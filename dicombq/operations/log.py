"""An operation's log: JSON lines of ``time severity code uri tag message``."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from dicombq.system.times import now

_NAMES = re.compile(r"\[[^\]]*\]")
_MAX_GROUPS = 10_000


@dataclass(frozen=True)
class LogEntry:
    """A line of an operation's log; it never holds an element's value."""

    severity: str
    code: str
    uri: str
    tag: str
    message: str


def timed(entries: Iterable[LogEntry]) -> list[dict[str, str]]:
    """Give the lines of entries that are logged now."""
    moment = now()
    return [{"time": moment, **asdict(entry)} for entry in entries]


def write_lines(file: IO[bytes], lines: Iterable[Mapping[str, str]]) -> None:
    """Append lines to a log."""
    for line in lines:
        file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
    file.flush()


def read_log(
    path: Path, severities: Collection[str] = (), reason: str | None = None, text: str | None = None
) -> Iterator[dict[str, str]]:
    """Stream a log; a line that a crash cut off is left out.

    Parameters
    ----------
    severities
        Only entries of these; empty for all.
    reason
        Only entries with this code, or with this text in their message.
    text
        Only entries with this text in any of their parts.
    """
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        for entry in _entries(file):
            if severities and entry["severity"] not in severities:
                continue
            if text is not None and not any(text.casefold() in part.casefold() for part in entry.values()):
                continue
            if reason is None or reason == entry["code"] or reason.casefold() in entry["message"].casefold():
                yield entry


def grouped(entries: Iterable[Mapping[str, str]]) -> Iterator[dict[str, str]]:
    """Give one entry for each reason: the first, which says how many there are.

    Entries have the same reason where severity, code and tag are the same, and the message but for names in brackets
    and numbers of items. Of a log with very many reasons the groups are several.
    """
    numbers: dict[tuple[str, ...], int] = {}
    firsts: dict[tuple[str, ...], Mapping[str, str]] = {}
    for entry in entries:
        reason = (entry["severity"], entry["code"], *(_NAMES.sub("[]", entry[part]) for part in ("tag", "message")))
        firsts.setdefault(reason, entry)
        numbers[reason] = numbers.get(reason, 0) + 1
        if len(firsts) == _MAX_GROUPS:
            yield from _groups(firsts, numbers)
            firsts, numbers = {}, {}
    yield from _groups(firsts, numbers)


def _groups(
    firsts: Mapping[tuple[str, ...], Mapping[str, str]], numbers: Mapping[tuple[str, ...], int]
) -> Iterator[dict[str, str]]:
    for reason, first in firsts.items():
        if numbers[reason] > 1:
            yield {**first, "uri": f"{first['uri']}, ...", "message": f"{numbers[reason]:,} x {first['message']}"}
        else:
            yield dict(first)


def _entries(lines: IO[bytes]) -> Iterator[dict[str, str]]:
    for line in lines:
        with contextlib.suppress(ValueError, RecursionError):
            entry = json.loads(line)
            if isinstance(entry, dict):
                yield entry
