"""A DuckDB file as a warehouse: embedded, without a server."""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb

from dicombq.errors import (
    DicombqError,
    Failed,
    FailedPrecondition,
    Locked,
    NotAWarehouse,
    NotFound,
    NotPermitted,
    StorageFull,
    WarehouseFailed,
)
from dicombq.names import DuckdbTable
from dicombq.system.files import open_private
from dicombq.table.disposition import TableState
from dicombq.table.fields import Field, quote
from dicombq.table.view import view_name, view_query
from dicombq.warehouses.base import (
    IDENTITY,
    Check,
    Load,
    LoadResult,
    Parameter,
    QueryResult,
    Table,
    TableRow,
    table_text,
)
from dicombq.warehouses.duckdb_errors import interrupts, is_full, sql_error
from dicombq.warehouses.duckdb_loads import append, change, run
from dicombq.warehouses.duckdb_results import as_on_bigquery, check_names
from dicombq.warehouses.duckdb_tables import (
    CATALOG,
    OWN_DATASET,
    datasets_of,
    fields_of,
    kind_of,
    literal,
    quoted,
    state_of,
    tables_of,
)

ROW_GROUP_SIZE = 2048
"""Rows that a table writes together; with DuckDB's 122,880 each thread of a load would hold them all in memory.

One size for all that write: DuckDB puts smaller groups together when it closes a file, and writes all rows again.
"""

_IN_USE: dict[str, threading.Lock] = defaultdict(threading.Lock)
"""For each file, by its real path, the lock of the thread that has it open."""

_DUCKDBS_DATASETS = ("information_schema", "pg_catalog")
_LOCK_HOLDER = re.compile(r"held in (.+) \(PID (\d+)\)")
_OF_THE_FILE = (duckdb.IOException, duckdb.TransactionException, duckdb.InternalException, duckdb.FatalException)
_NO_WAREHOUSE = ("not a valid DuckDB", "Is a directory", "database file with version")


class DuckdbWarehouse:
    """Tables in one DuckDB file, opened late and closed early: an open writer locks everybody else out.

    Parameters
    ----------
    file
        Made where it is missing, with mode 0600.
    patience
        Seconds to wait for another process's lock.
    """

    def __init__(self, file: Path, patience: float = 10.0) -> None:
        self._file = file.absolute()  # DuckDB takes `md:x` for a service and `:memory:` for no file
        self._patience = patience
        self._idle: duckdb.DuckDBPyConnection | None = None
        """A connection to use again, with no file attached: making one takes 12 ms."""
        self._has_loaded = False

    def datasets(self) -> list[str]:
        """Name the datasets."""
        self._expect_file()
        with self._connect(read_only=True) as connection:
            return datasets_of(connection)

    def tables(self, dataset: str) -> list[str]:
        """Name the tables of one of the datasets."""
        with self._connect(read_only=True) as connection:
            return tables_of(connection, dataset)

    def state(self, table: DuckdbTable) -> Table:
        """Look at a destination; a missing file is a missing table.

        Raises
        ------
        NotPermitted
            Where it cannot be loaded into.
        FailedPrecondition
            Where it is in the schema that notes the loads, or in one of DuckDB's own.
        """
        if table.dataset.lower() == OWN_DATASET:
            raise FailedPrecondition(f"[{table}] is where dicombq notes its loads", "Name another dataset.")
        if table.dataset.lower() in _DUCKDBS_DATASETS:
            raise FailedPrecondition(f"[{table}] is in a dataset of DuckDB's own", "Name another dataset.")
        for path in (self._file.parent, self._file):
            if os.path.exists(path) and not os.access(path, os.W_OK):
                raise self._not_permitted()
        if not os.path.exists(self._file):
            if not os.path.isdir(self._file.parent):
                raise self._no_folder()
            return Table(TableState.MISSING)
        with self._connect(read_only=True) as connection:
            return state_of(connection, table)

    def load(self, table: DuckdbTable, load: Load) -> LoadResult:
        """Load rows in one transaction, which also notes the load's ID."""
        with self._connect(fresh=self._has_loaded) as connection:  # its temp_directory can be set only once
            self._has_loaded = True
            return run(connection, table, load, append)

    def insert(self, table: DuckdbTable, load: Load) -> LoadResult:
        """Load: no way is sooner."""
        return self.load(table, load)

    def change(self, table: DuckdbTable, load: Load) -> LoadResult:
        """Replace and delete rows in one transaction, as `load` does."""
        with self._connect(fresh=True, kept=False) as connection:
            return run(connection, table, load, change)

    def instances(self, table: DuckdbTable) -> Iterator[TableRow]:
        """Stream which instances the rows of a table are; the file stays open until the end."""
        if not os.path.exists(self._file):
            return
        with self._connect(read_only=True) as connection:
            present = {f.name.lower() for f in state_of(connection, table).fields}
            if not present:
                return
            columns = (quote(name) if name.lower() in present else "NULL" for name in IDENTITY)
            study, series, sop, updated, kind, source = columns
            connection.execute(
                f"SELECT {study}, {series}, {sop}, epoch_us({updated}::TIMESTAMPTZ), {kind}, {source} "
                f"FROM {quoted(table)}"
            )
            while rows := connection.fetchmany(1000):
                for row in rows:
                    uids = (row[0] or "", row[1] or "", row[2] or "")
                    yield TableRow(uids, row[3], row[4] == "DELETE", row[5])

    def replace_view(self, table: DuckdbTable, fields: Sequence[Field]) -> None:
        """Make the generated view, or make it anew."""
        view = DuckdbTable(table.file, table.dataset, view_name(table.table))
        with self._connect() as connection:
            if kind_of(connection, view) == "BASE TABLE":
                raise FailedPrecondition(f"[{view}] is a table, so that the generated view cannot have its name")
            query = view_query(quote(table.table), fields, quote)  # found beside the view, whatever the file's name
            connection.execute(f"USE {quote(CATALOG)}.{quote(table.dataset)}")
            connection.execute(f"CREATE OR REPLACE VIEW {quoted(view)} AS {query}")

    def fields(self, table: DuckdbTable) -> tuple[Field, ...]:
        """Give the columns of a table or a view, with the comments on them."""
        self._expect_file()
        with self._connect(read_only=True) as connection:
            return fields_of(connection, table)

    def checks(self, table: DuckdbTable | None) -> list[Check]:
        """List what can be looked at before an export."""
        return [
            Check("warehouse", self._file_text),
            *([Check("table", lambda: table_text(self.state(table)))] if table else []),
        ]

    def _file_text(self) -> str:
        if not os.path.exists(self._file):
            return f"{self._file}, to be made"
        with self._connect(read_only=True):
            return f"{self._file}, {os.path.getsize(self._file):,} bytes"

    def query(
        self,
        sql: str,
        parameters: Sequence[Parameter] = (),
        maximum_bytes_billed: int | None = None,  # noqa: ARG002 - nothing is billed
    ) -> QueryResult:
        """Answer a query in GoogleSQL; the file is opened read-only and nothing outside it can be read."""
        translated = _translate(sql, parameters)
        with contextlib.ExitStack() as stack:
            connection = stack.enter_context(self._reading())
            with _sql_errors(connection):
                connection.execute(translated)
            columns = tuple(column[0] for column in connection.description)
            check_names(columns)
            return QueryResult(columns, as_on_bigquery(connection.description, _stream(connection, stack.pop_all())))

    def estimate(self, sql: str, parameters: Sequence[Parameter] = ()) -> int:
        """Check a query without running it; nothing is billed."""
        translated = _translate(sql, parameters)
        with self._reading() as connection, _sql_errors(connection):
            connection.execute(f"EXPLAIN {translated}")
        return 0

    @contextlib.contextmanager
    def _reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open the file for a query, which cannot reach anything else."""
        self._expect_file()
        with self._connect(read_only=True, fresh=True, kept=False) as connection:
            connection.execute(f"SET temp_directory = {literal(f'{self._file}.tmp')}")
            connection.execute("SET enable_external_access = false")
            connection.execute("SET ieee_floating_point_ops = false")  # SQRT(-1) and LN(0) are errors, as on BigQuery
            connection.execute("SET lock_configuration = true")
            yield connection

    def _expect_file(self) -> None:
        if not os.path.exists(self._file):
            raise NotFound(f"there is no warehouse [{self._file}] yet", "`dicombq export bq FOLDER` makes it.")

    @contextlib.contextmanager
    def _connect(
        self, *, read_only: bool = False, fresh: bool = False, kept: bool = True
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open the file; keep the connection for the next time where nothing goes wrong."""
        with self._alone():
            connection, self._idle = None if fresh else self._idle, None
            connection = connection or duckdb.connect()
            try:
                with self._named_errors():
                    self._attach(connection, read_only=read_only)
                    with contextlib.nullcontext() if read_only else self._private_log():
                        yield connection
                    if kept:
                        connection.execute("USE memory.main")
                        connection.execute(f"DETACH {quote(CATALOG)}")
                        self._idle = connection
            finally:
                if self._idle is None:
                    with contextlib.suppress(duckdb.Error):
                        connection.close()

    @contextlib.contextmanager
    def _private_log(self) -> Iterator[None]:
        """Make the log that DuckDB writes rows to, for their owner alone, while the file is locked; unused, it goes."""
        log = self._file.with_name(f"{self._file.name}.wal")
        with contextlib.suppress(OSError):  # DuckDB meets it too, and names it
            open_private(log, "ab").close()
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                if not log.stat().st_size:
                    log.unlink()

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other threads of this process out: DuckDB's own lock is against other processes only."""
        lock = _IN_USE[os.path.realpath(self._file)]
        if not lock.acquire(timeout=self._patience):
            raise Locked(f"the warehouse [{self._file}] is in use by another thread of this process")
        try:
            yield
        finally:
            lock.release()

    @contextlib.contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            with interrupts():
                yield
        except duckdb.Error as error:
            raise self._named(error) from None

    def _create(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Make an empty file that appears whole: what a crash or a full disk cut off, DuckDB does not open again."""
        temporary = self._file.with_name(f".{self._file.name}.{os.getpid()}.tmp")
        try:
            connection.execute(f"ATTACH {literal(str(temporary))} AS new (TYPE duckdb)")
            connection.execute("DETACH new")
            temporary.chmod(0o600)
            with contextlib.suppress(FileExistsError):  # somebody else made it
                os.link(temporary, self._file)
        finally:
            temporary.unlink(missing_ok=True)

    def _attach(self, connection: duckdb.DuckDBPyConnection, *, read_only: bool) -> None:
        if not (read_only or os.path.exists(self._file)):
            self._create(connection)
        # named, the type of a SQLite file is not guessed, and no extension for it fetched from the internet
        mode = "READ_ONLY" if read_only else f"READ_WRITE, ROW_GROUP_SIZE {ROW_GROUP_SIZE}"
        options = f"TYPE duckdb, {mode}"
        deadline = time.monotonic() + self._patience
        while True:
            try:
                connection.execute(f"ATTACH {literal(str(self._file))} AS {quote(CATALOG)} ({options})")
            except duckdb.Error as error:
                if "Could not set lock" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                break
        connection.execute(f"USE {quote(CATALOG)}")
        connection.execute("SET TimeZone = 'UTC'")

    def _no_folder(self) -> NotFound:
        return NotFound(f"there is no folder for the warehouse [{self._file}]", "Make the folder first.")

    def _not_permitted(self) -> NotPermitted:
        is_unreadable = os.path.exists(self._file) and not os.access(self._file, os.R_OK)
        what = "read" if is_unreadable else "written"
        return NotPermitted(f"the warehouse [{self._file}] cannot be {what}", "Check file and folder permissions.")

    def _named(self, error: duckdb.Error) -> DicombqError:
        """Name what went wrong; DuckDB's own message may hold a value."""
        text = str(error)
        if holder := _LOCK_HOLDER.search(text):
            return Locked(
                f"the warehouse [{self._file}] is locked by {Path(holder[1]).name} (PID {holder[2]} on this host)",
                "Close that program, or wait longer with --lock-timeout.",
            )
        if "Could not set lock" in text:
            return Locked(f"the warehouse [{self._file}] is locked by another process")
        if any(sign in text for sign in _NO_WAREHOUSE):
            return NotAWarehouse(
                f"[{self._file}] is not a DuckDB file that this version reads", "Name another file in --bq-table."
            )
        if is_full(error):
            return StorageFull(f"the disk that holds [{self._file}] is full", "Make room, and run the command again.")
        if "Permission denied" in text or "read-only" in text.lower():
            return self._not_permitted()
        if "No such file" in text and not os.path.isdir(self._file.parent):
            return self._no_folder()
        if isinstance(error, duckdb.ConstraintException):
            return Failed(
                "a row breaks a constraint of the table's columns, such as NOT NULL or UNIQUE",
                "Drop the constraint, or name another table in --bq-table.",
            )
        kind = WarehouseFailed if isinstance(error, _OF_THE_FILE) else Failed
        return kind(f"the warehouse [{self._file}] failed ({type(error).__name__})")


def _translate(sql: str, parameters: Sequence[Parameter]) -> str:
    from dicombq.warehouses.googlesql.queries import to_duckdb  # noqa: PLC0415 - exports do not need sqlglot

    return to_duckdb(sql, catalog=CATALOG, parameters=parameters)


def _stream(connection: duckdb.DuckDBPyConnection, stack: contextlib.ExitStack) -> Iterator[tuple[Any, ...]]:
    with stack:
        while True:
            with _sql_errors(connection):  # rows are computed as they are fetched
                rows = connection.fetchmany(1000)
            if not rows:
                return
            yield from rows


@contextlib.contextmanager
def _sql_errors(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    try:
        yield
    except duckdb.InterruptException:
        raise
    except duckdb.Error as error:
        schemas = "SELECT DISTINCT schema_name FROM duckdb_schemas() WHERE NOT internal AND schema_name <> ?"
        datasets = [name for (name,) in connection.execute(schemas, [OWN_DATASET]).fetchall()]
        raise sql_error(error, datasets) from None
