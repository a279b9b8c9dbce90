"""The operations of a dataset, and one of them: how far it is, how it ended."""

from __future__ import annotations

from starlette.responses import Response

from dicombq.errors import NotFound, StillRunning
from dicombq.names import operation_id
from dicombq.operations.state import Operation
from dicombq.operations.store import OperationStore
from dicombq.serve.console.pages import Visit, number, path_of

_PAGE = 50
_PATIENCE = 3.0
"""Seconds that a page waits for an operation to take note that it is to end."""


def list_operations(visit: Visit) -> Response:
    """Show the operations of a dataset, the newest first."""
    parent = visit.parent
    operations, damaged = OperationStore(visit.settings.home).list()
    here = [operation for operation in operations if operation.parent == parent]
    first = number(visit.form.get("first"))
    return visit.page(
        "operations.html",
        parent=parent,
        operations=here[first : first + _PAGE],
        damaged=damaged,
        first=first,
        total=len(here),
        size=_PAGE,
    )


def show(visit: Visit) -> Response:
    """Show an operation."""
    operation = find(visit)
    return visit.page("operation.html", operation=operation, ending=visit.form.get("ending") == "yes")


def cancel(visit: Visit) -> Response:
    """End an operation; where that takes a while, its page goes on showing how far it is."""
    operation = find(visit)
    path = path_of(operation.name)
    try:
        OperationStore(visit.settings.home).cancel(operation.id, _PATIENCE)
    except StillRunning:
        return visit.go(f"{path}?ending=yes")
    return visit.go(path)


def find(visit: Visit) -> Operation:
    """Give the operation in the address."""
    operation = OperationStore(visit.settings.home).get(operation_id(visit.request.path_params["operation"]))
    if operation.parent != visit.parent:
        raise NotFound(f"there is no operation [{operation.id}] in [{visit.parent}]")
    return operation
