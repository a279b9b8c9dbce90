"""``projects.locations.datasets.operations``."""

from __future__ import annotations

from typing import Any

from dicombq.datasets import Datasets
from dicombq.errors import NotFound, OperationEnded
from dicombq.operations.state import Operation
from dicombq.operations.store import OperationStore
from dicombq.operations.terms import columns_of, parse_terms
from dicombq.serve.rest.calls import Call, page

_HIGHEST = 10**20


def get(call: Call) -> dict[str, Any]:
    """Give an operation."""
    created = Datasets(call.settings.home).creation(call.parent, call.names["operation"])
    return created.creation() if created else _find(call).to_api()


def list_(call: Call) -> dict[str, Any]:
    """List the operations of a dataset, the newest first."""
    text = call.query.get("filter", "")
    terms = parse_terms(text) if text else ()
    here = (each for each in OperationStore(call.settings.home).list()[0] if each.parent == call.parent)
    columns = (columns_of(operation) for operation in here)
    keyed = (
        (f"{_HIGHEST - int(each['id']):020d}", each["api"])
        for each in columns
        if all(term.holds(each) for term in terms)
    )
    operations, more = page(call, keyed)
    return {"operations": operations, **more}


def cancel(call: Call) -> dict[str, Any]:
    """Ask an operation to end; whoever asks for it then sees whether it did."""
    created = Datasets(call.settings.home).creation(call.parent, call.names["operation"])
    if created:
        raise OperationEnded(f"operation [{created.operation}] has ended already (DONE)")
    OperationStore(call.settings.home).ask_to_end(_find(call).id)
    return {}


def _find(call: Call) -> Operation:
    identity = call.names["operation"]
    if identity.isascii() and identity.isdecimal():
        operation = OperationStore(call.settings.home).get(identity)
        if operation.parent == call.parent:
            return operation
    raise NotFound(f"there is no operation [{call.operation}]")
