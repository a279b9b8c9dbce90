"""Tables for tests: rows written for a load, and read back the same from every warehouse."""

from __future__ import annotations

import datetime as dt
import gzip
import itertools
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import duckdb
import pytest
from google.cloud import bigquery

from dicombq.names import BigQueryTable, DuckdbTable
from dicombq.table.disposition import Disposition
from dicombq.table.fields import Field
from dicombq.table.view import view_name
from dicombq.warehouses.base import Load, LoadResult, Warehouse

Row: TypeAlias = dict[str, Any]

ID = Field("Id", "INTEGER")
NAME = Field("Name", "STRING")

_numbers = itertools.count(1)


def record(name: str, *fields: Field, mode: str = "REPEATED") -> Field:
    """Make a RECORD."""
    return Field(name, "RECORD", mode, fields)


def make_load(
    folder: Path,
    rows: Iterable[Row],
    fields: Sequence[Field],
    disposition: Disposition = Disposition.NONE,
    job_id: str | None = None,
) -> Load:
    """Write rows as a shard, and describe their load."""
    number = next(_numbers)
    lines = [json.dumps(row).encode() + b"\n" for row in rows]
    file = folder / f"{number}.ndjson.gz"
    file.write_bytes(gzip.compress(b"".join(lines)))
    longest = max((len(line) for line in lines), default=0)
    return Load(
        [file] if lines else [], tuple(fields), disposition, job_id or f"job_{folder.name}_{number}", folder, longest
    )


def normalised(value: Any) -> Any:
    """Write a value alike for all warehouses: NULL, an empty array and a record of NULLs are all absent."""
    if isinstance(value, Mapping):
        items = {key: normalised(item) for key, item in value.items()}
        return {key: item for key, item in items.items() if item is not None} or None
    if isinstance(value, list):
        return [normalised(item) for item in value] or None
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.timezone.utc).isoformat()
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def read_duckdb(table: DuckdbTable) -> list[Row]:
    """Read a DuckDB table; JSON comes as text."""
    with duckdb.connect(str(table.file), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        found = connection.sql(f'FROM "{table.dataset}"."{table.table}"')
        kinds = [str(kind) for kind in found.types]
        return [
            {
                name: json.loads(value) if kind == "JSON" and value is not None else value
                for name, kind, value in zip(found.columns, kinds, row, strict=True)
            }
            for row in found.fetchall()
        ]


def list_bigquery(table: BigQueryTable) -> list[Row]:
    """Read a BigQuery table without a query."""
    with anonymous_client() as client:
        return [dict(row.items()) for row in client.list_rows(f"{table.project}.{table.dataset}.{table.table}")]


def query_bigquery(table: BigQueryTable) -> list[Row]:
    """Read a BigQuery table or view by a query."""
    with anonymous_client() as client:
        sql = f"SELECT * FROM `{table.project}.{table.dataset}.{table.table}`"
        return [dict(row.items()) for row in client.query_and_wait(sql)]


def anonymous_client() -> bigquery.Client:
    """Connect to the server that BIGQUERY_EMULATOR_HOST names."""
    from google.auth.credentials import AnonymousCredentials

    anybody = AnonymousCredentials()  # type: ignore[no-untyped-call]  # google-auth has no types
    return bigquery.Client("p", credentials=anybody)


@dataclass
class Place:
    """A warehouse under test, and a destination in it."""

    warehouse: Warehouse[Any]
    table: Any
    folder: Path
    read: Callable[[Any], list[Row]]
    lacks: dict[str, str] = field(default_factory=dict)

    def named(self, name: str) -> Any:
        """Name another table beside the destination."""
        if isinstance(self.table, DuckdbTable):
            return DuckdbTable(self.table.file, self.table.dataset, name)
        return BigQueryTable(self.table.project, self.table.dataset, name)

    def load(
        self,
        rows: Iterable[Row],
        *fields: Field,
        disposition: Disposition = Disposition.NONE,
        job_id: str | None = None,
        table: Any = None,
    ) -> LoadResult:
        """Load rows into the destination."""
        load = make_load(self.folder, rows, fields, disposition, job_id)
        return self.warehouse.load(table or self.table, load)

    def append(self, rows: Iterable[Row], *fields: Field) -> LoadResult:
        """Add rows to the destination."""
        return self.load(rows, *fields, disposition=Disposition.WRITE_APPEND)

    def rows(self) -> list[Row]:
        """Read the destination, in the order of its rows' texts."""
        return self._read(self.table)

    def view(self) -> list[Row]:
        """Read the generated view."""
        self.needs("queries")
        return self._read(self.named(view_name(self.table.table)))

    def needs(self, ability: str) -> None:
        """Skip the test where the server cannot do something."""
        if ability in self.lacks:
            pytest.skip(self.lacks[ability])

    def _read(self, table: Any) -> list[Row]:
        rows = [normalised(row) or {} for row in self.read(table)]
        return sorted(rows, key=lambda row: json.dumps(row, sort_keys=True))
