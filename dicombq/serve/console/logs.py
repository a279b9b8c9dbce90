"""The log of an operation or of a stream: searched, and read page by page.

What is searched for is sent in the body of a request, never in its address: a file's name may hold a patient's.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

from starlette.responses import Response

from dicombq.names import OperationName, StoreName
from dicombq.operations.log import grouped, read_log
from dicombq.operations.store import OperationStore
from dicombq.serve.console import operations
from dicombq.serve.console.pages import Visit, number
from dicombq.stores.registry import StoreRegistry
from dicombq.streaming.inventory import stream_folder

SEVERITIES = ("ERROR", "NOTICE", "INFO", "DEBUG")
_PAGE = 100


def of_operation(visit: Visit) -> Response:
    """Show the log of an operation."""
    operation = operations.find(visit)
    entries = OperationStore(visit.settings.home).logs(operation.id, _severities(visit), text=_text(visit))
    return _show(visit, operation.name, entries)


def of_stream(visit: Visit) -> Response:
    """Show the log of a store's stream."""
    home = visit.settings.home
    name = StoreRegistry(home).get(visit.store).name
    entries = read_log(stream_folder(home, name) / "log.jsonl", _severities(visit), text=_text(visit))
    return _show(visit, name, entries)


def _show(visit: Visit, name: OperationName | StoreName, entries: Iterator[dict[str, str]]) -> Response:
    each = visit.form.get("view") == "each"
    first = number(visit.form.get("first"))
    shown = entries if each else iter(sorted(grouped(entries), key=_rank))
    found = list(itertools.islice(shown, first, first + _PAGE + 1))
    return visit.page(
        "log.html",
        name=name,
        entries=found[:_PAGE],
        has_more=len(found) > _PAGE,
        first=first,
        size=_PAGE,
        each=each,
        severity=visit.form.get("severity", ""),
        severities=SEVERITIES,
        text=visit.form.get("text", ""),
    )


def _rank(entry: Mapping[str, str]) -> int:
    """Put the worst first; severities that nobody knows, last."""
    severity = entry["severity"]
    return SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES)


def _severities(visit: Visit) -> tuple[str, ...]:
    severity = visit.form.get("severity")
    return (severity,) if severity else ()


def _text(visit: Visit) -> str | None:
    return visit.form.get("text", "").strip() or None
