"""What a load does to its destination: the table of ``cli.md`` as one pure function."""

from __future__ import annotations

from enum import Enum

from dicombq.errors import TableExists, TableNotEmpty


class TableState(Enum):
    """What is there."""

    MISSING = "missing"
    EMPTY = "exists, empty"
    ROWS = "exists, rows"


class Disposition(Enum):
    """What was asked for; NONE is the API's ``force=false``."""

    NONE = "none"
    WRITE_EMPTY = "write-empty"
    WRITE_TRUNCATE = "write-truncate"
    WRITE_APPEND = "write-append"


class Action(Enum):
    """What the load does."""

    CREATE = "create"
    LOAD = "load"
    REPLACE = "replace"
    APPEND = "append"


def decide(table: str, state: TableState, disposition: Disposition) -> Action:
    """Decide what a load does, or refuse it.

    Raises
    ------
    TableExists
        Where the request does not say what to do with an existing table.
    TableNotEmpty
        Where only an empty one will do.
    """
    if state is TableState.MISSING:
        return Action.CREATE
    if disposition is Disposition.WRITE_TRUNCATE:
        return Action.REPLACE
    if disposition is Disposition.WRITE_APPEND:
        return Action.APPEND
    if disposition is Disposition.NONE:
        raise TableExists(
            f"the table [{table}] exists already",
            "Use --overwrite-table to replace it, or --write-disposition=write-append to add to it.",
        )
    if state is TableState.ROWS:
        raise TableNotEmpty(
            f"the table [{table}] is not empty",
            "Use --write-disposition=write-truncate to replace it, or write-append to add to it.",
        )
    return Action.LOAD
