"""Rows that come to a table of BigQuery within seconds, by ``tabledata.insertAll``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
from google.api_core.retry import Retry
from google.cloud import bigquery
from isal import igzip

from dicombq.errors import Temporary
from dicombq.table.fields import Field

MAX_ROW = 10_000_000
"""Bytes of a row (``schema.md``, Limits that BigQuery sets)."""

_REQUEST_ROWS, _REQUEST_BYTES = 500, 9_000_000
_UNKNOWN_FIELD = "no such field"


def insert(
    client: bigquery.Client, table: str, files: Sequence[Path], name: str, fields: Sequence[Field], retry: Retry
) -> tuple[int, dict[int, str]]:
    """Insert the rows of staged files, each with an ID of its own, by which BigQuery leaves out what comes again.

    Parameters
    ----------
    name
        Of the delivery: with the row's position it is the row's ID.

    Returns
    -------
    int, dict
        How many were inserted, and the reason for each of the others by its position.

    Raises
    ------
    Temporary
        Where the table does not know its new columns yet.
    """
    json_columns = [f.name for f in fields if f.type == "JSON"]
    refused: dict[int, str] = {}
    inserted = 0
    for request in _requests(_rows(files, json_columns), refused):
        positions = [position for position, _ in request]
        errors = client.insert_rows_json(
            table,
            [row for _, row in request],
            row_ids=[f"{name}-{position}" for position in positions],
            skip_invalid_rows=True,
            retry=retry,
        )
        if any(_UNKNOWN_FIELD in error.get("message", "").lower() for each in errors for error in each["errors"]):
            raise Temporary(f"the table [{table}] does not know its new columns yet", "They come within minutes.")
        refused |= {positions[each["index"]]: _reason(each["errors"]) for each in errors}
        inserted += len(request) - len(errors)
    return inserted, refused


def _rows(files: Iterable[Path], json_columns: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    position = 0
    for file in files:
        with igzip.open(file) as lines:
            for line in lines:
                row = orjson.loads(line)
                for column in json_columns:
                    if column in row:
                        row[column] = orjson.dumps(row[column]).decode()
                yield position, row
                position += 1


def _requests(
    rows: Iterable[tuple[int, dict[str, Any]]], refused: dict[int, str]
) -> Iterator[list[tuple[int, dict[str, Any]]]]:
    """Cut rows into requests; those that are too long for any are refused."""
    request: list[tuple[int, dict[str, Any]]] = []
    size = 0
    for position, row in rows:
        length = len(orjson.dumps(row))
        if length > MAX_ROW:
            refused[position] = "the row has more than 10 MB, which is too much for --delivery=insert"
            continue
        if request and (len(request) == _REQUEST_ROWS or size + length > _REQUEST_BYTES):
            yield request
            request, size = [], 0
        request.append((position, row))
        size += length
    if request:
        yield request


def _reason(errors: Sequence[dict[str, Any]]) -> str:
    """Say why a row was refused; the message may hold a value."""
    first = errors[0] if errors else {}
    return f"BigQuery refuses the row: {first.get('reason', 'unknown')} {first.get('location', '')}".strip()
