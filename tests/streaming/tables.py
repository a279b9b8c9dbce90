"""What the tables of a stream say, read back."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from dicombq.names import BigQueryTable, DuckdbTable
from dicombq.stores.registry import StoreRegistry
from dicombq.streaming.configs import StreamConfig, configs_of, prepare, with_configs
from dicombq.table.view import view_name
from dicombq.warehouses.destination import BigQueryDestination
from tests.tables import Row, list_bigquery, read_duckdb


def rows_of(table: Any) -> list[Row]:
    """Read a table's rows, in the order of LastUpdated."""
    rows = read_duckdb(table) if isinstance(table, DuckdbTable) else list_bigquery(table)
    return sorted(rows, key=lambda row: (row["LastUpdated"] is not None, row["LastUpdated"]))


def view_of(table: Any) -> list[Row]:
    """Read the generated view; of the fake, which runs no queries, what it would say."""
    if isinstance(table, DuckdbTable):
        return read_duckdb(DuckdbTable(table.file, table.dataset, view_name(table.table)))
    newest = {_identity(row): row for row in rows_of(table)}
    return [row for row in newest.values() if row["Type"] != "DELETE"]


def numbers(rows: Iterable[Row]) -> list[int]:
    """Give the ends of the SOP Instance UIDs, which number instances of `tests.instances`."""
    return sorted(int(row["SOPInstanceUID"].rpartition(".")[2]) for row in rows)


def told(rows: Iterable[Row], number: int) -> list[str]:
    """Give what a table was told of an instance: DELETE, or the Study Description."""
    own = [row for row in rows if row["SOPInstanceUID"].endswith(f".{number}")]
    return ["DELETE" if row["Type"] == "DELETE" else row["StudyDescription"] for row in own]


def latest_of(table: Any) -> dict[int, str]:
    """Read a table of the latest versions: the Study Description of each instance."""
    rows = read_duckdb(table) if isinstance(table, DuckdbTable) else list_bigquery(table)
    latest = {numbers([row])[0]: row["Metadata"]["00081030"]["Value"][0] for row in rows}
    assert len(latest) == len(rows)
    return latest


def check_history(rows: Sequence[Row]) -> None:
    """Hold: of each instance LastUpdated ascends strictly, and no row says what the one before said."""
    by_instance = itertools.groupby(sorted(rows, key=_identity), key=_identity)
    for _, own in by_instance:
        ordered = sorted(own, key=lambda row: row["LastUpdated"])
        for before, after in itertools.pairwise(ordered):
            assert before["LastUpdated"] < after["LastUpdated"]
            assert _content(before) != _content(after)
        assert ordered[0]["Type"] == "CREATE"


def _identity(row: Row) -> tuple[str, ...]:
    return row["StudyInstanceUID"], row["SeriesInstanceUID"], row["SOPInstanceUID"]


def _content(row: Row) -> str:
    return repr(sorted((key, repr(value)) for key, value in row.items() if key != "LastUpdated"))


def let_follow(home: Path, *tables: Any) -> None:
    """Let tables of the latest versions follow the only store, beside those that follow it; a command has one form."""
    registry = StoreRegistry(home)
    (store,) = registry.list({})
    more = [StreamConfig(BigQueryDestination(table, schema_json=True, change_data_capture=True)) for table in tables]
    configs = [*configs_of(store), *more]
    prepare(configs)
    registry.update(store.name, lambda before: with_configs(before, configs))


def bigquery_table(name: str = "t") -> BigQueryTable:
    """Name a table of the fake."""
    return BigQueryTable("p", "d", name)
