"""The protocol of warehouses: the state of a table, a load in one piece, the view, queries."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

from dicombq.errors import DestinationChanged, FailedPrecondition
from dicombq.names import TableUri
from dicombq.table.disposition import Action, Disposition, TableState
from dicombq.table.fields import Conflict, Field, Merge, check_limits, merge
from dicombq.table.mapping import SOURCE_DICOM_STORE, UID_COLUMNS

TableT_contra = TypeVar("TableT_contra", contravariant=True)


@dataclass(frozen=True)
class Table:
    """The state of a destination.

    Parameters
    ----------
    fields
        Empty where there is no table.
    rows
        How many there are.
    key
        The columns of its primary key.
    writer
        The last load that gave it rows, where the warehouse notes that.
    """

    state: TableState
    fields: tuple[Field, ...] = ()
    rows: int = 0
    key: tuple[str, ...] = ()
    writer: str | None = None


def table_text(found: Table) -> str:
    """Say what a destination is, for people."""
    return f"{found.state.value}, {len(found.fields):,} columns" if found.fields else found.state.value


@dataclass(frozen=True)
class Load:
    """Rows to be loaded.

    Parameters
    ----------
    files
        Newline-delimited JSON, one gzip member each; none for a table without rows.
    fields
        Of the rows.
    job_id
        Names the load: the same one twice loads once.
    scratch
        A folder for files that the warehouse writes on the way.
    longest_row
        Bytes of the longest row, as JSON.
    uris
        Objects in Cloud Storage in place of files; only BigQuery reads them.
    workers
        Cores that the load may use; BigQuery has its own.
    """

    files: Sequence[Path]
    fields: tuple[Field, ...]
    disposition: Disposition
    job_id: str
    scratch: Path
    longest_row: int = 0
    uris: Sequence[str] = ()
    workers: int = 1


@dataclass(frozen=True)
class LoadResult:
    """The outcome of a load.

    Parameters
    ----------
    rows
        How many it added.
    fields
        The table's, after it.
    total
        How many rows the table has, after it.
    writer, follows
        The load, and the one that gave the table rows before it, where the warehouse notes that.
    refused
        Rows that were left out, by their position, and why; only of `Warehouse.insert` and `Warehouse.change`.
    """

    rows: int
    fields: tuple[Field, ...]
    total: int
    writer: str | None = None
    follows: str | None = None
    refused: Mapping[int, str] = field(default_factory=dict)


class TableRow(NamedTuple):
    """Which instance a row of a table is.

    Parameters
    ----------
    uids
        Study, Series and SOP Instance UID, empty where there is none.
    updated
        LastUpdated in microseconds since 1970; None for NULL.
    deleted
        Whether its Type is DELETE.
    source_store
        The value of SourceDicomStore; None where there is none.
    """

    uids: tuple[str, str, str]
    updated: int | None
    deleted: bool
    source_store: str | None


IDENTITY = (*UID_COLUMNS, "LastUpdated", "Type", SOURCE_DICOM_STORE.name)
"""The columns that a `TableRow` is made of; a table may lack some."""


TYPE = Field("Type", "STRING")
"""The column that says what a row tells; of `Warehouse.change` the rows have it, and the table has not."""


def key_columns(fields: Sequence[Field]) -> tuple[str, ...]:
    """Give the primary key of a table that holds each instance once, of each store where it names them."""
    return tuple(f.name for f in fields if f.name in (*UID_COLUMNS, SOURCE_DICOM_STORE.name))


def check_key(table: TableUri, found: Table, fields: Sequence[Field]) -> None:
    """Hold that a table can have its rows replaced.

    Raises
    ------
    FailedPrecondition
        Where its primary key is another one.
    """
    key = key_columns(fields)
    if {name.lower() for name in found.key} != {name.lower() for name in key}:
        has = f"has the primary key ({', '.join(found.key)})" if found.key else "has no primary key"
        raise FailedPrecondition(
            f"the table [{table}] {has}; change data capture needs ({', '.join(key)})",
            "Name another table, or delete this one: it is made anew with its key and all rows.",
        )


class FieldConflict(Exception):
    """Columns of the table have another type or mode than those of the rows."""

    def __init__(self, conflicts: Sequence[Conflict]) -> None:
        super().__init__(f"{len(conflicts)} conflicts")
        self.conflicts = conflicts


def fields_after(current: Sequence[Field], load: Load, action: Action) -> Merge:
    """Tell what fields a table has after a load.

    Raises
    ------
    FieldConflict
        Where it has columns of other types.
    TooManyColumns
        Where it would have more than a table can have.
    """
    result = merge(current, load.fields) if action in (Action.LOAD, Action.APPEND) else Merge(load.fields)
    if result.conflicts:
        raise FieldConflict(result.conflicts)
    check_limits(result.fields)
    return result


def is_gone(table: TableUri) -> DestinationChanged:
    """Say that the table of a load that was committed is no longer there."""
    return DestinationChanged(
        f"the rows were loaded, but the table [{table}] has been deleted since", "Run the export again."
    )


@dataclass(frozen=True)
class Parameter:
    """A value that a query takes from outside.

    Parameters
    ----------
    name
        As in ``@name``; empty for the next ``?``.
    type
        One of `PARAMETER_TYPES`, of each value where it is an array.
    value
        As text; None for NULL; several for an array.
    """

    name: str
    type: str
    value: str | Sequence[str] | None


PARAMETER_TYPES = ("BOOL", "DATE", "DATETIME", "FLOAT64", "INT64", "STRING", "TIME", "TIMESTAMP")


@dataclass(frozen=True)
class QueryResult:
    """A query's columns and rows, streamed."""

    columns: tuple[str, ...]
    rows: Iterator[tuple[Any, ...]]


class Check(NamedTuple):
    """Something that an export needs.

    Parameters
    ----------
    look
        Says what is there; raises a `DicombqError`, whose hint mends it, where that will not do.
    """

    name: str
    look: Callable[[], str]


class Warehouse(Protocol[TableT_contra]):
    """A place for tables."""

    def datasets(self) -> list[str]:
        """Name the datasets.

        Raises
        ------
        NotFound
            Where the warehouse is yet to be made.
        """
        ...

    def tables(self, dataset: str) -> list[str]:
        """Name the tables of one of the datasets, without its views."""
        ...

    def state(self, table: TableT_contra) -> Table:
        """Look at a destination."""
        ...

    def load(self, table: TableT_contra, load: Load) -> LoadResult:
        """Load rows in one piece: readers see the table as it was, or as it is to be.

        Raises
        ------
        TableExists, TableNotEmpty
            As `dicombq.table.disposition.decide`.
        FieldConflict
            Where the table has columns of other types.
        TooManyColumns
            Where it would have more than a table can have.
        DestinationChanged
            Where the same load was committed before, and its table is gone.
        LoadUnsettled
            Where its outcome is not known yet: the same load has to be tried again.
        KeyboardInterrupt
            Where it was interrupted; its cause is a `LoadUnsettled` where rows may come yet.
        """
        ...

    def insert(self, table: TableT_contra, load: Load) -> LoadResult:
        """Append rows in the way that brings them soonest; where that is another than `load`, not in one piece.

        Errors are those of `load`. A row that comes again with the same job ID is left out as far as the warehouse can.
        """
        ...

    def change(self, table: TableT_contra, load: Load) -> LoadResult:
        """Let a table hold the latest version of each instance: a row replaces an older one, or deletes it.

        The table is made where it is missing, with the primary key of `key_columns`. Which rows delete says their
        Type. What comes again, or late, does not replace what is newer. Errors are those of `load`.

        Raises
        ------
        FailedPrecondition
            Where the table has another primary key.
        """
        ...

    def instances(self, table: TableT_contra) -> Iterator[TableRow]:
        """Stream which instances the rows of a table are, in no order; nothing of a table that is missing."""
        ...

    def replace_view(self, table: TableT_contra, fields: Sequence[Field]) -> None:
        """Make the generated view, or make it anew.

        Raises
        ------
        FailedPrecondition
            Where something that is no view has its name.
        """
        ...

    def fields(self, table: TableT_contra) -> tuple[Field, ...]:
        """Give the columns of a table or a view, with their descriptions.

        Raises
        ------
        NotFound
            Where there is none.
        """
        ...

    def query(
        self, sql: str, parameters: Sequence[Parameter] = (), maximum_bytes_billed: int | None = None
    ) -> QueryResult:
        """Answer a query in GoogleSQL.

        Parameters
        ----------
        maximum_bytes_billed
            The query is refused where it would be billed for more; nothing is billed on DuckDB.

        Raises
        ------
        SqlError
            Where it is not understood, or fails.
        FailedPrecondition
            Where it would be billed for more than the limit.
        """
        ...

    def checks(self, table: TableT_contra | None) -> list[Check]:
        """List what can be looked at before an export to a table, or to a table yet to be named."""
        ...

    def estimate(self, sql: str, parameters: Sequence[Parameter] = ()) -> int:
        """Check a query without running it; give the bytes that it would be billed for, 0 on DuckDB.

        Raises
        ------
        SqlError
            Where it is not understood.
        """
        ...
