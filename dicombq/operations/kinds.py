"""Kinds of operations: the API method that begins one, and the task that it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from dicombq.errors import NewerState, OperationEnded
from dicombq.names import StoreName
from dicombq.operations.running import RunningOperation
from dicombq.operations.state import Operation

Progress = Callable[[Operation], None]


@dataclass(frozen=True)
class Settings:
    """How operations are run on this machine.

    Parameters
    ----------
    workers
        Processes that read headers; None for as many as are worth it.
    lock_timeout
        Seconds to wait for another operation with the same destination, and for another program that holds its file;
        None for not at all and 10.
    log_to_cloud
        Whether the log of an operation goes to Cloud Logging too.
    engine, engine_master, shared_folders
        What an operation that is gone on with is to change of its engine; None for nothing.
    warn
        Prints a warning: a trouble that a user should know, and that the operation does not fail for.
    """

    home: Path
    workers: int | None = None
    lock_timeout: float | None = None
    log_to_cloud: bool = False
    warn: Callable[[str], None] = lambda _text: None
    engine: str | None = None
    engine_master: str | None = None
    shared_folders: bool = False


class Task(Protocol):
    """The work of one operation: a request, and all that is needed to fulfil it here."""

    @property
    def kind(self) -> Kind:
        """Its kind."""
        ...

    @property
    def store(self) -> StoreName:
        """The store that is read, or written to."""
        ...

    @property
    def target(self) -> str:
        """The other end, as it is printed."""
        ...

    @property
    def lock(self) -> tuple[str, str]:
        """The resource that only one operation at a time may use: its name, whatever it was called, and its kind."""
        ...

    def request(self) -> dict[str, Any]:
        """Print the request, so that `Kind.reopen` can read it."""
        ...

    def check(self) -> None:
        """Refuse, before the operation begins, all that can be refused then."""
        ...

    def save(self, folder: Path) -> None:
        """Write to the operation's folder what the request does not hold."""
        ...

    def run(self, running: RunningOperation, progress: Progress) -> None:
        """Do the work, or go on where it ended; on return the operation is done."""
        ...


@dataclass(frozen=True)
class Kind:
    """A kind of operation.

    Parameters
    ----------
    name
        By which an operation's state names it.
    method
        Of the API's DicomService; the response of an operation is named after it too.
    reopen
        Makes the task of an operation that was begun, of its request as `Task.request` printed it.
    discard
        Deletes what an operation that was given up left half-done outside of HOME, by its request too.
    """

    name: str
    method: str
    reopen: Callable[[Operation, dict[str, Any], Settings], Task]
    discard: Callable[[Operation, dict[str, Any]], None] = lambda _operation, _request: None


_KINDS: dict[str, Kind] = {}


def register(kind: Kind) -> Kind:
    """Let operations of a kind be gone on with."""
    _KINDS[kind.name] = kind
    return kind


def discard(operation: Operation) -> None:
    """Delete what an operation that was given up left half-done outside of HOME."""
    kind = _KINDS.get(operation.kind)
    if kind is not None and operation.request is not None:
        kind.discard(operation, operation.request)


def task_of(operation: Operation, settings: Settings) -> Task:
    """Make the task of an operation that was begun before.

    Raises
    ------
    OperationEnded
        Where its request is not known.
    NewerState
        Where its kind is not known.
    """
    if operation.request is None:
        raise OperationEnded(
            f"operation [{operation.id}] was begun by a dicombq that did not note what it was asked for",
            "Begin it again.",
        )
    kind = _KINDS.get(operation.kind)
    if kind is None:
        raise NewerState(
            f"operation [{operation.id}] is of a kind that this dicombq does not know",
            "Upgrade dicombq to go on with it.",
        )
    return kind.reopen(operation, operation.request, settings)
