"""The operations of a HOME: a folder for each, with a JSON file, a lock and a log.

::

    HOME/operations/ID/state.json   version, request, state, counters; replaced as a whole
    HOME/operations/ID/lock         held by the process that runs the operation
    HOME/operations/ID/cancel       somebody wants it to end
    HOME/operations/ID/output       what a process of its own prints
    HOME/operations/ID/...          what the operation stages
    HOME/logs/ID.jsonl              its log: time severity code uri tag message
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import secrets
import shutil
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from dicombq.errors import DicombqError, Failed, NewerState, NotFound, OperationEnded, StateDamaged, StillRunning
from dicombq.names import StoreName
from dicombq.operations.kinds import Kind, discard
from dicombq.operations.log import read_log
from dicombq.operations.running import RunningOperation
from dicombq.operations.state import CANCEL, Operation, State
from dicombq.system.files import open_private, storage_errors
from dicombq.system.locks import FileLock, Holder, is_locked
from dicombq.system.times import now

_POLL = 0.1
_DAMAGED = "state.json.damaged"


def new_identity() -> str:
    """Make an operation's ID: ordered by time, and unlike any other's, because load jobs are named after it."""
    return f"{time.time_ns() // 1000}{secrets.randbelow(1000):03d}"


class OperationStore:
    """The operations of a HOME."""

    def __init__(self, home: Path) -> None:
        self._operations = home / "operations"
        self._logs = home / "logs"

    def create(self, kind: Kind, store: StoreName, target: str, request: dict[str, Any]) -> RunningOperation:
        """Begin an operation that this process runs."""
        with storage_errors(self._operations):
            for folder in (self._operations, self._logs):
                folder.mkdir(mode=0o700, exist_ok=True)
            identity = self._new_identity()
            operation = Operation(
                identity,
                kind.name,
                kind.method,
                store.parent,
                str(store),
                target,
                self._operations / identity,
                self._log_path(identity).as_uri(),
                now(),
                api_version="v1beta1" if "filterConfig" in request else "v1",  # as the guide's
                request=request,
            )
            return RunningOperation(operation, self._log_path(identity), self._acquire(identity))

    def get(self, identity: str) -> Operation:
        """Read an operation's state.

        Raises
        ------
        NotFound
            Where there is none of that ID.
        StateDamaged
            Where its state file is damaged; it is set aside then.
        NewerState
            Where a newer dicombq wrote it.
        """
        operation = self._read(identity)
        if operation.state.ended or is_locked(self._lock_path(identity)):
            return operation
        operation = self._read(identity)  # it may have ended just before its lock was looked at
        if not operation.state.ended:
            operation.mark_crashed()
        return operation

    def list(self) -> tuple[list[Operation], list[DicombqError]]:
        """Read all operations, the newest first, and tell of those that cannot be read."""
        operations: list[Operation] = []
        damaged: list[DicombqError] = []
        for identity in self._identities():
            try:
                operations.append(self.get(identity))
            except NotFound:  # its process was killed before it wrote anything
                continue
            except DicombqError as error:
                damaged.append(error)
        return operations, damaged

    def logs(
        self, identity: str, severities: Collection[str] = (), reason: str | None = None, text: str | None = None
    ) -> Iterator[dict[str, str]]:
        """Stream an operation's log, as `read_log`."""
        self.get(identity)
        return read_log(self._log_path(identity), severities, reason, text)

    def resume(self, identity: str) -> RunningOperation:
        """Go on with an operation in this process.

        Raises
        ------
        Locked
            Where it runs already.
        OperationEnded
            Where it is done.
        """
        self.get_unfinished(identity)
        with storage_errors(self._operations), contextlib.ExitStack() as stack:
            lock = stack.enter_context(self._acquire(identity))
            operation = _unfinished(self._read(identity))
            stack.pop_all()
            (operation.folder / CANCEL).unlink(missing_ok=True)
            operation.state, operation.error, operation.end_time = State.QUEUED, None, None
            return RunningOperation(operation, self._log_path(identity), lock)

    def adopt(self, identity: str, descriptor: int) -> RunningOperation:
        """Take over an operation from the process that began it, with the lock inherited from it."""
        with storage_errors(self._operations):
            lock = FileLock(descriptor)
            lock.sign(Holder.process(identity))
            return RunningOperation(self._read(identity), self._log_path(identity), lock)

    def get_unfinished(self, identity: str) -> Operation:
        """Read the state of an operation that may be gone on with.

        Raises
        ------
        OperationEnded
            Where it is done.
        """
        return _unfinished(self.get(identity))

    def get_running(self, identity: str) -> Operation:
        """Read the state of an operation that runs.

        Raises
        ------
        OperationEnded
            Where it does not.
        """
        operation = self.get(identity)
        if operation.state.ended:
            raise OperationEnded(f"operation [{identity}] has ended already ({operation.state.value})")
        return operation

    def ask_to_end(self, identity: str) -> None:
        """Ask the process that runs an operation to end it.

        Raises
        ------
        OperationEnded
            Where it had ended before.
        """
        operation = self.get_running(identity)
        with storage_errors(operation.folder):
            open_private(operation.folder / CANCEL).close()

    def cancel(self, identity: str, patience: float) -> None:
        """Ask the process that runs an operation to end it, and wait until it has.

        Parameters
        ----------
        patience
            Seconds to wait.

        Raises
        ------
        OperationEnded
            Where it had ended before.
        StillRunning
            Where it has not ended in time; it will when it can.
        """
        self.ask_to_end(identity)
        for _ in self.follow(identity, patience):
            pass

    def follow(self, identity: str, timeout: float | None) -> Iterator[Operation]:
        """Give an operation's state again and again until it has ended.

        Raises
        ------
        StillRunning
            Where it has not ended after `timeout` seconds.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            operation = self.get(identity)
            yield operation
            if operation.state.ended:
                return
            if deadline is not None and time.monotonic() >= deadline:
                raise StillRunning(
                    f"operation [{identity}] still runs ({operation.state.value})",
                    f"Wait longer: dicombq operations wait {identity}",
                )
            time.sleep(_POLL)

    def prunable(self, older_than: float) -> Sequence[str]:
        """Name the operations that ended, or were left behind, more than so many seconds ago."""
        limit = time.time() - older_than
        return [identity for identity in self._identities() if self._ended_at(identity) < limit]

    def prune(self, identity: str) -> None:
        """Delete an operation's state, log and staged files, wherever they are.

        Raises
        ------
        Locked
            Where it runs.
        DicombqError
            Where what it staged elsewhere cannot be deleted; nothing is deleted then.
        """
        with storage_errors(self._operations), self._acquire(identity):
            with contextlib.suppress(NotFound, StateDamaged, NewerState):
                discard(self._read(identity))
            self._log_path(identity).unlink(missing_ok=True)
            shutil.rmtree(self._operations / identity)

    def _ended_at(self, identity: str) -> float:
        begun = int(identity) / 1e9
        try:
            operation = self.get(identity)
        except (NotFound, StateDamaged):
            return begun
        except DicombqError:
            return float("inf")
        if not operation.state.ended:
            return float("inf")
        if operation.end_time is None:
            return begun
        return dt.datetime.fromisoformat(operation.end_time.removesuffix("Z") + "+00:00").timestamp()

    def _identities(self) -> Sequence[str]:
        """Name all operations, the newest first."""
        with storage_errors(self._operations), contextlib.suppress(FileNotFoundError):
            return sorted((name for name in os.listdir(self._operations) if name.isdecimal()), key=int, reverse=True)
        return []

    def _acquire(self, identity: str) -> FileLock:
        holder = Holder.process(identity)
        return FileLock.acquire(self._lock_path(identity), f"operation [{identity}]", holder)

    def _read(self, identity: str) -> Operation:
        path = self._operations / identity / "state.json"
        try:
            return Operation.from_json(path.read_bytes(), path.parent)
        except FileNotFoundError:
            if (path.parent / _DAMAGED).exists():
                raise self._damaged(path.parent) from None
            raise NotFound(
                f"there is no operation [{identity}]", "See `dicombq operations list` for those there are."
            ) from None
        except OSError as error:
            raise Failed(f"the file [{path}] cannot be read: {error.strerror}", "Check its permissions.") from None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            with contextlib.suppress(OSError):
                if not is_locked(self._lock_path(identity)):
                    os.replace(path, path.parent / _DAMAGED)
            raise self._damaged(path.parent) from None

    def _damaged(self, folder: Path) -> StateDamaged:
        return StateDamaged(
            f"the state of operation [{folder.name}] cannot be read",
            f"It was set aside in [{folder}]; its table is as it was, or as it was to be. Run the export again.",
        )

    def _new_identity(self) -> str:
        while True:
            identity = new_identity()
            with contextlib.suppress(FileExistsError):
                (self._operations / identity).mkdir(mode=0o700)
                return identity

    def _log_path(self, identity: str) -> Path:
        return self._logs / f"{identity}.jsonl"

    def _lock_path(self, identity: str) -> Path:
        return self._operations / identity / "lock"


def _unfinished(operation: Operation) -> Operation:
    if operation.state is State.DONE:
        raise OperationEnded(f"operation [{operation.id}] is done", "Run the export again for what came since.")
    return operation
