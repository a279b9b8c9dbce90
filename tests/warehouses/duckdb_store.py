"""A DuckDB file for tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dicombq.names import DuckdbTable
from dicombq.table.disposition import Disposition, TableState
from dicombq.table.fields import Field
from dicombq.warehouses.duckdb import DuckdbWarehouse
from tests.tables import ID, Row, make_load

OLD: list[Row] = [{"Id": 1}]


class Store:
    """A DuckDB file with the table d.t."""

    def __init__(self, file: Path, scratch: Path, patience: float = 0.0) -> None:
        self.file = file
        self.scratch = scratch
        self.table = DuckdbTable(file, "d", "t")
        self.warehouse = DuckdbWarehouse(file, patience)

    def state(self) -> TableState:
        return self.warehouse.state(self.table).state

    def load(self, rows: Sequence[Row] = OLD, disposition: Disposition = Disposition.WRITE_APPEND) -> int:
        return self.warehouse.load(self.table, make_load(self.scratch, rows, [ID], disposition)).rows

    def view(self) -> None:
        self.warehouse.replace_view(self.table, [ID, Field("Type", "STRING")])

    def query(self, sql: str = "SELECT 1") -> list[tuple[Any, ...]]:
        return list(self.warehouse.query(sql).rows)

    def calls(self) -> list[Callable[[], Any]]:
        return [self.state, self.load, self.view, self.query]
