"""DuckDB's errors: whose they are, and those about a query for the person who wrote it, without a value."""

from __future__ import annotations

import contextlib
import difflib
import re
from collections.abc import Iterator, Sequence

import duckdb

from dicombq.dicom import dictionary
from dicombq.errors import SqlError

_MISSING = {
    "column": re.compile(r"Referenced column \"(.+?)\" not found|does not have a column named \"(.+?)\""),
    "field": re.compile(r"Could not find key \"(.+?)\" in struct"),
    "dataset": re.compile(r"because schema \"(.+?)\" does not exist"),
    "table": re.compile(r"Table with name \"?([^\s\"]+)\"? does not exist|Referenced table \"(.+?)\" not found"),
}
_CATALOG = re.compile(r"\"[\w-]+\.(\w+\.\w+)\"")
_PROPOSED = re.compile(r"(?:Candidate \w+|Did you mean):?(.+)")


@contextlib.contextmanager
def interrupts() -> Iterator[None]:
    """Raise the KeyboardInterrupt of a signal's handler: DuckDB swallows it, and ends with an error of its own."""
    try:
        yield
    except (duckdb.InterruptException, RuntimeError) as error:
        if isinstance(error, RuntimeError) and str(error) != "Query interrupted":
            raise
        raise KeyboardInterrupt from None


def is_full(error: duckdb.Error) -> bool:
    """Tell whether DuckDB found no room on a disk."""
    return "No space left" in str(error) or "Disk quota" in str(error)


def sql_error(error: duckdb.Error, datasets: Sequence[str]) -> SqlError:
    """Say why a query failed.

    Parameters
    ----------
    datasets
        Those that there are, of which one may be meant.
    """
    from dicombq.warehouses.googlesql.templates import HINTS  # noqa: PLC0415 - exports do not need sqlglot

    text = _CATALOG.sub(r'"\1"', str(error))
    for message, hint in HINTS.items():
        if message in text:
            return SqlError(message, hint)
    if not isinstance(error, (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException)):
        # the message of a conversion holds the value
        return SqlError(f"the query failed ({type(error).__name__})", "A value may not have the type it is cast to.")
    for what, pattern in _MISSING.items():
        if match := pattern.search(text):
            name = match[1] or match[2]
            proposed = _PROPOSED.search(text)
            known = list(datasets) if what == "dataset" else re.findall(r"\"(.+?)\"", proposed[1] if proposed else "")
            return SqlError(f"there is no {what} [{name}]", _proposal(name, known) or _absent(what, name))
    first = text.split("\n", 1)[0].removeprefix("Binder Error: ").removeprefix("Catalog Error: ")
    return SqlError(first.rstrip("!."))


def _proposal(name: str, known: Sequence[str]) -> str:
    by_last_part = {each.rpartition(".")[2].casefold(): each for each in known}
    nearest = difflib.get_close_matches(name.rpartition(".")[2].casefold(), by_last_part, 1)
    return f"Did you mean [{by_last_part[nearest[0]]}]?" if nearest else ""


def _absent(what: str, name: str) -> str:
    is_element = what == "column" and dictionary.tag_of(name) is not None
    return "An element that no instance has is no column." if is_element else ""
