"""The lines that end an operation, whoever waited for it: the store, where all went, and what is missing there."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from typing import Any

from dicombq import config
from dicombq.cli.render import Output
from dicombq.names import DuckdbTable, read_table_uri
from dicombq.operations.state import Operation
from dicombq.questions.values import on_one_line
from dicombq.stores.registry import StoreRegistry
from dicombq.system.mappings import value_at

_KEYWORD = re.compile(
    "alter|and|as|asc|between|create|cross|desc|describe|distinct|drop|else|except|fetch|for|from|glob|having|ilike|"
    "inner|insert|intersect|into|join|lateral|like|not|notnull|on|or|outer|partitioned_by|qualify|regexp|returning|"
    "revoke|rlike|rollback|select|tablesample|then|uncache|union|using|when|where|with|xor",
    re.IGNORECASE,
)
"""Words that are the name of a dataset or a table only in backticks."""


def operation_ended(output: Output, operation: Operation, read_otherwise: Counter[str]) -> int:
    """Print how an operation ended; give its exit code.

    Parameters
    ----------
    read_otherwise
        Why instances were not read by the fast reader, and how many.
    """
    try:
        _tell(output, operation, read_otherwise)
    except BrokenPipeError:  # nobody reads how the operation ended
        output.give_up_writing()
    return 3 if operation.counters.failure else 0


def _tell(output: Output, operation: Operation, read_otherwise: Counter[str]) -> None:
    for message, number in read_otherwise.most_common():
        output.debug(f"{number:,} x {message}")
    output.resource(_store(operation))
    counters = operation.counters
    if operation.kind == "export bq":
        _table_ended(output, operation)
    else:
        _files_ended(output, operation)
    if counters.failure or counters.notices:
        failed = [f"{_number(counters.failure, 'instance')} failed"] if counters.failure else []
        noticed = [_number(counters.notices, "notice")] if counters.notices else []
        output.status(f"{', '.join(failed + noticed)}; see them: dicombq operations logs {operation.id}")


def _store(operation: Operation) -> dict[str, Any]:
    """Print the store as gcloud does: all that the API tells of it, where the one that was read is registered."""
    registered = StoreRegistry(config.home_folder()).find(operation.store_name)
    if registered and registered.source == value_at(operation.request or {}, "dicombq.source"):
        return registered.to_api()
    return {"name": operation.store}


def _table_ended(output: Output, operation: Operation) -> None:
    rows = operation.counters.success
    if not rows:
        output.warning(f"no instance in [{operation.store_id}] could be exported; the table is empty.")
    output.status(f"Table: {operation.target} ({_number(rows, 'new row')})")
    if hint := _query_hint(operation.target):
        output.status(f"Look at it: {hint}")


def _files_ended(output: Output, operation: Operation) -> None:
    counters = operation.counters
    if not counters.success:
        output.warning(f"nothing could be copied: [{operation.target}].")
    there = f", {counters.existing:,} there already" if counters.existing else ""
    output.status(f"Files: {operation.target} ({counters.success - counters.existing:,} copied{there})")


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _query_hint(target: str) -> str:
    table = read_table_uri(target)
    if not isinstance(table, DuckdbTable):
        return ""
    sql = f"SELECT * FROM {_quoted(table.dataset)}.{_quoted(table.table)} LIMIT 10"
    default = table.warehouse == config.warehouse()
    warehouse = "" if default else f"--warehouse={shlex.quote(str(table.warehouse))} "
    hint = f"dicombq query {warehouse}{shlex.quote(sql)}"
    return hint if hint == on_one_line(hint) else ""


def _quoted(name: str) -> str:
    return name if name.isidentifier() and not _KEYWORD.fullmatch(name) else f"`{name}`"
