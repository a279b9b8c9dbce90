"""A filter file of what a table holds: the query, and its result as paths."""

from __future__ import annotations

import contextlib
import itertools
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dicombq.errors import Failed, NotAWarehouse, NotFound, NotPermitted, SqlError
from dicombq.names import BigQueryTable, TableUri, is_object_uri, parse_one_object_uri
from dicombq.stores.filters import FilterLine, is_uid
from dicombq.system.files import open_atomic, printable
from dicombq.table.disposition import TableState
from dicombq.warehouses.base import Warehouse

LEVELS = {
    "study": ("StudyInstanceUID",),
    "series": ("StudyInstanceUID", "SeriesInstanceUID"),
    "instance": ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"),
}
"""The columns that name one of each."""


@dataclass
class Selection:
    """The studies, series or instances of the rows of a table, as the lines of a filter file.

    Parameters
    ----------
    where
        A condition in GoogleSQL; empty for all rows.
    level
        Of `LEVELS`.
    written
        Lines so far.
    unfit
        Rows so far whose UIDs are missing, or make no path.
    """

    warehouse: Warehouse[Any]
    table: TableUri
    where: str
    level: str
    written: int = 0
    unfit: int = 0

    def lines(self) -> Iterator[str]:
        """Stream the lines, each once, in order.

        Raises
        ------
        NotFound
            Where there is no such table, or no row fulfils the condition.
        SqlError
            Where the condition is none.
        """
        for *uids, rows in self._rows():
            if all(isinstance(uid, str) and is_uid(uid) for uid in uids):
                self.written += 1
                yield FilterLine(self.written, tuple(uids)).path
            else:
                self.unfit += rows
        if not (self.written or self.unfit):
            raise NotFound(f"no row of [{self.table}] is selected", "Check the condition.")

    @property
    def _sql(self) -> str:
        columns = ", ".join(LEVELS[self.level])
        condition = f"\nWHERE (\n{self.where}\n)" if self.where else ""
        return (
            f"SELECT {columns}, COUNT(*) AS number\nFROM {_quoted(self.table)}{condition}\n"
            f"GROUP BY {columns}\nORDER BY {columns}"
        )

    def _rows(self) -> Iterator[tuple[Any, ...]]:
        try:
            rows = self.warehouse.query(self._sql).rows
            first = list(itertools.islice(rows, 1))
        except SqlError:
            with contextlib.suppress(NotAWarehouse):  # a view is asked as well as a table
                if self.warehouse.state(self.table).state is TableState.MISSING:
                    raise NotFound(f"there is no table [{self.table}]", "Check its name.") from None
            raise
        return itertools.chain(first, rows)


def write_filter(lines: Iterable[str], place: str, scratch: Path) -> None:
    """Write a filter file, which is there as a whole or not at all.

    Parameters
    ----------
    place
        A path, or ``gs://BUCKET/KEY``.
    scratch
        A folder for a file on its way to a bucket.

    Raises
    ------
    InvalidArgument
        Where the place is a bucket.
    NotFound, NotPermitted, Failed
        Where the file cannot be written.
    """
    if not is_object_uri(place):
        with _named_errors(place), open_atomic(Path(place)) as file:
            file.writelines(f"{line}\n".encode() for line in lines)
        return
    from dicombq.stores.objects import upload  # noqa: PLC0415 - half a second of imports

    uri = parse_one_object_uri(place)
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        whole = Path(folder) / "filter"
        with open_atomic(whole) as file:
            file.writelines(f"{line}\n".encode() for line in lines)
        upload(whole, uri)


@contextlib.contextmanager
def _named_errors(place: str) -> Iterator[None]:
    """Name the path as it was given, not the file that takes its place at the end."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(
            f"there is no folder for the filter file [{printable(place)}]", "Make the folder first."
        ) from None
    except PermissionError:
        raise NotPermitted(
            f"the filter file [{printable(place)}] may not be written", "Check the permissions of its folder."
        ) from None
    except OSError as error:
        raise Failed(
            f"the filter file [{printable(place)}] cannot be written: {error.strerror}", "Name another one in --output."
        ) from None


def _quoted(table: TableUri) -> str:
    parts = [table.dataset, table.table]
    if isinstance(table, BigQueryTable):
        parts.insert(0, table.project)
    return ".".join(f"`{part}`" for part in parts)
