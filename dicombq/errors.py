"""The tree of errors.

::

    DicombqError                  code                      exit
    ├── InvalidArgument           INVALID_ARGUMENT (3)      2
    ├── Failed                    UNKNOWN (2)               1
    │   ├── SqlError              INVALID_ARGUMENT (3)      1
    │   ├── HomeUnusable          FAILED_PRECONDITION (9)   1
    │   ├── NotConfirmed          FAILED_PRECONDITION (9)   1
    │   ├── StorageFull           RESOURCE_EXHAUSTED (8)    1
    │   ├── WarehouseFailed       UNKNOWN (2)               1
    │   ├── Crashed               ABORTED (10)              1
    │   └── StateDamaged          DATA_LOSS (15)            1
    ├── FailedPrecondition        FAILED_PRECONDITION (9)   4
    │   ├── TableExists
    │   ├── TableNotEmpty
    │   ├── StoreExists           ALREADY_EXISTS (6)        4
    │   ├── DatasetExists         ALREADY_EXISTS (6)        4
    │   ├── SchemaConflict
    │   ├── TooManyColumns
    │   ├── TooManyGone
    │   ├── NotAWarehouse
    │   ├── OperationEnded
    │   ├── NewerState
    │   ├── SourceChanged
    │   └── DestinationChanged
    ├── Temporary                 UNAVAILABLE (14)          5
    │   ├── LoadUnsettled         UNAVAILABLE (14)          5
    │   └── StillRunning          DEADLINE_EXCEEDED (4)     5
    ├── NotPermitted              PERMISSION_DENIED (7)     6
    │   └── NotAuthenticated      UNAUTHENTICATED (16)      6
    ├── NotFound                  NOT_FOUND (5)             7
    ├── Locked                    ABORTED (10)              11
    ├── Cancelled                 CANCELLED (1)             130
    │   ├── Terminated            CANCELLED (1)             143
    │   └── CancelledElsewhere    CANCELLED (1)             1
    └── Internal                  INTERNAL (13)             1

Codes are those of ``google.rpc.Code``; exit codes those of ``cli.md``. A message names tags, paths and
columns, never an element's value: it may be a patient's.
"""

from __future__ import annotations

STATUS = {
    1: "CANCELLED",
    2: "UNKNOWN",
    3: "INVALID_ARGUMENT",
    4: "DEADLINE_EXCEEDED",
    5: "NOT_FOUND",
    6: "ALREADY_EXISTS",
    7: "PERMISSION_DENIED",
    8: "RESOURCE_EXHAUSTED",
    9: "FAILED_PRECONDITION",
    10: "ABORTED",
    12: "UNIMPLEMENTED",
    13: "INTERNAL",
    14: "UNAVAILABLE",
    15: "DATA_LOSS",
    16: "UNAUTHENTICATED",
}
"""``google.rpc.Code`` by name."""


class DicombqError(Exception):
    """An error that a user can act on.

    Parameters
    ----------
    message
        One sentence, without a final full stop.
    hint
        The way out, a sentence or two; may be empty.
    """

    code = 2
    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    @property
    def status(self) -> str:
        """The code by name."""
        return STATUS[self.code]


class InvalidArgument(DicombqError):
    """The request cannot be meant; nothing was touched."""

    code = 3
    exit_code = 2


class Failed(DicombqError):
    """The work could not be done, and doing it again will not help by itself."""


class SqlError(Failed):
    """A query that is not GoogleSQL, or that the warehouse refuses."""

    code = 3


class HomeUnusable(Failed):
    """The folder for operations and the embedded warehouse cannot be used."""

    code = 9


class StorageFull(Failed):
    """A disk or a quota of disk space is used up."""

    code = 8


class WarehouseFailed(Failed):
    """The file of a warehouse could not be read or written, whatever the rows are."""


class NotConfirmed(Failed):
    """Something would be lost, and nobody is there to agree to it."""

    code = 9


class Crashed(Failed):
    """The process that ran an operation is gone; the operation can be resumed."""

    code = 10


class StateDamaged(Failed):
    """An operation's state file cannot be read."""

    code = 15


class FailedPrecondition(DicombqError):
    """The destination or the operation is not in the state that the command needs."""

    code = 9
    exit_code = 4


class TableExists(FailedPrecondition):
    """The destination table exists, and the request says neither replace nor append."""


class TableNotEmpty(FailedPrecondition):
    """The destination table has rows, and the request allows an empty one only."""


class StoreExists(FailedPrecondition):
    """A store of that name is registered."""

    code = 6


class DatasetExists(FailedPrecondition):
    """A healthcare dataset of that name was created before."""

    code = 6


class SchemaConflict(FailedPrecondition):
    """A column exists in the table with another type or mode."""


class TooManyColumns(FailedPrecondition):
    """The table would have more columns than BigQuery allows."""


class TooManyGone(FailedPrecondition):
    """So many instances are gone from a store that it may not be there itself."""


class NotAWarehouse(FailedPrecondition):
    """The destination is a file of another kind, or a view where a table is needed."""


class OperationEnded(FailedPrecondition):
    """The operation has ended, and the command needs one that has not."""


class NewerState(FailedPrecondition):
    """A newer dicombq wrote the operation's state."""


class SourceChanged(FailedPrecondition):
    """The listed instances can no longer be read as they were listed."""


class DestinationChanged(FailedPrecondition):
    """The loaded rows are no longer at their destination."""


class Temporary(DicombqError):
    """A quota, the network or a server failed after all retries; the same command may succeed later."""

    code = 14
    exit_code = 5


class LoadUnsettled(Temporary):
    """A load job was sent, and nobody knows yet what became of it; the operation asks when it is resumed."""


class StillRunning(Temporary):
    """The time to wait is over, and the operation goes on."""

    code = 4


class NotPermitted(DicombqError):
    """The credentials lack a role, or the file system refuses."""

    code = 7
    exit_code = 6


class NotAuthenticated(NotPermitted):
    """There are no usable credentials."""

    code = 16


class NotFound(DicombqError):
    """A store, source, operation, dataset or table does not exist."""

    code = 5
    exit_code = 7


class Locked(DicombqError):
    """Another process holds the table, its file or the operation."""

    code = 10
    exit_code = 11


class Cancelled(DicombqError):
    """The operation was interrupted (Ctrl-C)."""

    code = 1
    exit_code = 130


class Terminated(Cancelled):
    """The operation was told to end (SIGTERM)."""

    exit_code = 143


class CancelledElsewhere(Cancelled):
    """The operation was cancelled by `operations cancel`."""

    exit_code = 1


class Internal(DicombqError):
    """A defect of dicombq."""

    code = 13


def error_named(name: str, message: str, hint: str) -> DicombqError:
    """Make the error of a class that is named, as an operation's state does."""
    kind = globals().get(name)
    if isinstance(kind, type) and issubclass(kind, DicombqError):
        return kind(message, hint)
    return DicombqError(message, hint)
