"""What is known of a store, and what its tables have still to be told; in SQLite.

::

    HOME/streams/DIGEST/inventory.sqlite  the inventory; DIGEST is of the store's name
    HOME/streams/DIGEST/batches/          rows that a table has still to get: a file is there before a batch names it
    HOME/streams/DIGEST/lock              held by the stream that runs

A change, the rows that tell of it and the tables that have to get them are noted in one transaction. What is noted is
delivered; what is not noted is found again by the next pass.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import sqlite3
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dicombq.errors import NewerState, StateDamaged
from dicombq.names import StoreName
from dicombq.streaming.catalogue import CATALOGUE
from dicombq.system.files import storage_errors, sync_folder

_PATIENCE = 60.0  # seconds that another thread may take for its transaction
_SCHEMA = """
-- stream: a name for the jobs; registration: of the store; complete: whether all that it held was looked at once;
-- catalogued: the same since the inventory has a catalogue; changes only: keys of tables that are not backfilled
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- An instance that the store holds or held, or that a table holds.
-- alive: NULL where only a table is known to hold it. content: digest of what its last row tells; NULL where deleted.
-- last: LastUpdated of its last row; next: the least that the next one may have. Both in microseconds.
CREATE TABLE instances (
    id INTEGER PRIMARY KEY, study TEXT NOT NULL, series TEXT NOT NULL, sop TEXT NOT NULL,
    alive INTEGER, content BLOB, last INTEGER, next INTEGER NOT NULL DEFAULT -9223372036854775808,
    UNIQUE (study, series, sop));

-- Something in the store; instance is NULL where it holds none. ref is the reference as JSON. No id is used again: a
-- pass marks those that it saw, while others add and delete.
CREATE TABLE copies (
    id INTEGER PRIMARY KEY AUTOINCREMENT, uri BLOB NOT NULL UNIQUE, ref TEXT NOT NULL, version TEXT NOT NULL,
    instance INTEGER REFERENCES instances, content BLOB, updated INTEGER);
CREATE INDEX copies_of_instance ON copies (instance) WHERE instance IS NOT NULL;

-- Instances of which copies are gone or hold another one; the end of a pass looks at them.
CREATE TABLE suspects (instance INTEGER PRIMARY KEY) WITHOUT ROWID;

CREATE TABLE failures (uri BLOB PRIMARY KEY, code TEXT NOT NULL, reason TEXT NOT NULL) WITHOUT ROWID;

-- A table that follows. since: when it began to follow, microseconds.
-- adopted: whether its rows were read. backfill_next..backfill_last: the instances that it has still to be told of.
-- total: how many rows it has, as the last delivery left it. viewed: the fields that its view was made for.
CREATE TABLE destinations (
    id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, since INTEGER NOT NULL,
    adopted INTEGER NOT NULL DEFAULT 0,
    backfill_next INTEGER NOT NULL DEFAULT 1, backfill_last INTEGER NOT NULL DEFAULT 0,
    total INTEGER, viewed TEXT, delivered_at TEXT, error TEXT, error_at TEXT);

-- Instances that a table had a row of when it was adopted; LastUpdated is NULL for rows older than that column.
CREATE TABLE adopted (
    destination INTEGER NOT NULL, instance INTEGER NOT NULL, updated INTEGER,
    PRIMARY KEY (destination, instance)) WITHOUT ROWID;

-- Rows in a file. keys: for each its instance and the index of its set of column paths.
CREATE TABLE batches (
    id INTEGER PRIMARY KEY AUTOINCREMENT, file TEXT NOT NULL, rows INTEGER NOT NULL, longest INTEGER NOT NULL,
    column_sets TEXT NOT NULL, keys TEXT NOT NULL, created INTEGER NOT NULL);

-- What a table has still to get. load: the load job that it was put into; the same batches go with the same job.
CREATE TABLE deliveries (
    destination INTEGER NOT NULL, batch INTEGER NOT NULL, load INTEGER,
    PRIMARY KEY (destination, batch)) WITHOUT ROWID;
CREATE INDEX deliveries_of_batch ON deliveries (batch);

CREATE TABLE parked (
    destination INTEGER NOT NULL, instance INTEGER NOT NULL, reason TEXT NOT NULL,
    PRIMARY KEY (destination, instance)) WITHOUT ROWID;
"""

_WRITER = """
-- The last load that gave the table rows, as the last delivery left it; NULL where the warehouse does not note that.
ALTER TABLE destinations ADD COLUMN writer TEXT;
"""
_UPGRADES = (CATALOGUE, _WRITER)
"""What an inventory of version 1 lacks, version by version."""

STALE = "?"
"""The version of what has to be read again, whatever its version is now."""

_VERSION = 1 + len(_UPGRADES)

NEWEST = "updated DESC, uri DESC"
"""The order of an instance's copies: the first one counts (schema.md)."""


@contextlib.contextmanager
def inventory_errors(folder: Path) -> Iterator[None]:
    """Turn what the system and SQLite say about a stream's files into an error for a user, as `storage_errors` does."""
    with storage_errors(folder):
        try:
            yield
        except sqlite3.OperationalError as error:
            code = errno.ENOSPC if "full" in str(error) else errno.EIO
            raise OSError(code, os.strerror(code)) from None


def stream_folder(home: Path, store: StoreName) -> Path:
    """Name the folder of a store's stream."""
    return home / "streams" / hashlib.sha256(str(store).encode()).hexdigest()[:32]


class Inventory:
    """An inventory that one thread has open.

    Parameters
    ----------
    folder
        Of the stream; it exists.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.batches = folder / "batches"
        self.batches.mkdir(mode=0o700, exist_ok=True)
        path = folder / "inventory.sqlite"
        if not path.exists():
            _create(path)
        self._connection = _connect(path)
        self.execute = self._connection.execute
        self.executemany = self._connection.executemany
        try:
            _set_up(self._connection)
            version = self._upgrade()
        except sqlite3.DatabaseError as error:
            self.close()
            if isinstance(error, sqlite3.OperationalError):
                raise
            raise StateDamaged(
                f"the inventory [{path}] cannot be read",
                "Delete its folder; the next pass adopts what the tables hold.",
            ) from None
        if version > _VERSION:
            self.close()
            raise NewerState(f"a newer dicombq wrote the inventory [{path}]", "Use that one.")

    def _upgrade(self) -> int:
        """Bring an older one up to date, whoever else may be doing so; give the version that it has then."""
        (version,) = self.one("PRAGMA user_version")
        if version < _VERSION:
            with self.transaction():
                (version,) = self.one("PRAGMA user_version")
                for upgrade in _UPGRADES[version - 1 :]:
                    _run(self._connection, upgrade)
                version = max(version, _VERSION)
                self.execute(f"PRAGMA user_version = {version}")
        return int(version)

    def close(self) -> None:
        """Close it; what is not committed is undone."""
        self._connection.close()

    def __enter__(self) -> Inventory:  # noqa: PYI034 - typing.Self came with 3.11
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def one(self, sql: str, parameters: list[Any] | tuple[Any, ...] = ()) -> Any:
        """Give the first row of a query; None where there is none."""
        return self.execute(sql, parameters).fetchone()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Do all of a block, or nothing; a transaction inside another one is part of it."""
        if self._connection.in_transaction:
            yield
            return
        self.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.execute("ROLLBACK")
            raise
        self.execute("COMMIT")

    @contextlib.contextmanager
    def undone(self) -> Iterator[None]:
        """Do a block, and undo all of it at its end."""
        self.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            self.execute("ROLLBACK")

    def version(self, uri: str) -> str | None:
        """Tell what version something in the store had; None where it is unknown, or has to be read again."""
        row = self.one("SELECT version FROM copies WHERE uri = ?", [os.fsencode(uri)])
        return row[0] if row and row[0] != STALE else None

    def belong_to(self, registration: str) -> None:
        """Forget all that it holds of an earlier store of the same name; one without an ID is taken for the same."""
        if registration in ("", self.meta("registration")):
            return
        with self.transaction():
            tables = self.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
            for (table,) in tables.fetchall():
                but = (
                    " WHERE key NOT IN ('stream', 'loads')" if table == "meta" else ""
                )  # no name of a job is used again
                self.execute(f"DELETE FROM {table}{but}")
            self.set_meta("registration", registration)

    def meta(self, key: str) -> str | None:
        """Read a value that is noted once for the stream."""
        row = self.one("SELECT value FROM meta WHERE key = ?", [key])
        return row[0] if row else None

    def set_meta(self, key: str, value: str) -> None:
        """Note a value once for the stream."""
        self.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", [key, value])


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)


def _set_up(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA synchronous = FULL")  # a power cut must not undo what a table was told
    connection.execute("PRAGMA temp_store = FILE")


def _run(connection: sqlite3.Connection, script: str) -> None:
    """Run a script inside a transaction; `executescript` would commit it."""
    for statement in script.split(";\n"):
        connection.execute(statement)


def _create(path: Path) -> None:
    """Make an inventory that appears whole."""
    temporary = path.with_name(f"{os.urandom(8).hex()}.sqlite")
    os.close(os.open(temporary, os.O_RDWR | os.O_CREAT, 0o600))
    try:
        with contextlib.closing(_connect(temporary)) as connection:
            _set_up(connection)
            connection.execute("PRAGMA journal_mode = WAL")
            for script in (_SCHEMA, *_UPGRADES):
                connection.executescript(script)
            connection.execute("INSERT INTO meta VALUES ('stream', ?)", [uuid.uuid4().hex])
            connection.execute(f"PRAGMA user_version = {_VERSION}")
        with contextlib.suppress(FileExistsError):  # somebody else made it
            os.link(temporary, path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)
