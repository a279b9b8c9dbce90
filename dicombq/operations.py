"""The state of long-running operations: a folder for each in HOME, with a JSON file, a lock and a log.

::

    HOME/operations/ID/state.json   version, request, state, counters; replaced as a whole
    HOME/operations/ID/lock         held by the process that runs the operation
    HOME/operations/ID/...          what the operation stages
    HOME/logs/ID.jsonl              its log: time severity code uri tag message
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import json
import os
import secrets
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import Enum
from pathlib import Path
from typing import Any

from dicombq.errors import Cancelled, DicombqError, Failed, FailedPrecondition, NotFound
from dicombq.files import open_private, storage_errors, write_atomic
from dicombq.names import OperationName, Parent

STATE_VERSION = 1
"""Of state.json; a newer one is refused."""

_TYPE = "type.googleapis.com/google.cloud.healthcare"


class State(Enum):
    """Where an operation stands."""

    QUEUED = "QUEUED"
    LISTING = "LISTING"
    STAGING = "STAGING"
    LOADING = "LOADING"
    DONE = "DONE"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    CRASHED = "CRASHED"

    @property
    def ended(self) -> bool:
        """Whether nothing more happens by itself."""
        return self in (State.DONE, State.FAILED, State.CANCELLED, State.CRASHED)


@dataclass
class Counters:
    """What became of what was listed; found = success + failure + duplicates once `pending` is 0."""

    pending: int = 0
    found: int = 0
    success: int = 0
    failure: int = 0
    duplicates: int = 0
    skipped: int = 0
    notices: int = 0


@dataclass(frozen=True)
class LogEntry:
    """A line of an operation's log; it never holds an element's value."""

    severity: str
    code: str
    uri: str
    tag: str
    message: str


@dataclass
class Operation:
    """An operation as it is in its state file.

    Parameters
    ----------
    api_version
        ``v1``, or ``v1beta1`` where a filter is used.
    store, target
        What is exported, and where to.
    error
        ``code`` and ``message`` of a failed or cancelled one.
    process
        Who runs it: ``pid`` and ``host``.
    """

    id: str
    parent: Parent
    store: str
    target: str
    folder: Path
    logs_url: str
    create_time: str
    api_version: str = "v1"
    state: State = State.QUEUED
    end_time: str | None = None
    counters: Counters = field(default_factory=Counters)
    error: dict[str, Any] | None = None
    process: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> OperationName:
        """The resource name."""
        return OperationName(self.parent, self.id)

    def to_api(self) -> dict[str, Any]:
        """Print the operation as the API does (``cli.md``, operations describe)."""
        counters = self.counters
        metadata: dict[str, Any] = {
            "@type": f"{_TYPE}.{self.api_version}.OperationMetadata",
            "apiMethodName": f"google.cloud.healthcare.{self.api_version}.dicom.DicomService.ExportDicomData",
            "counter": {name: str(getattr(counters, name)) for name in ("pending", "success", "failure")},
            "createTime": self.create_time,
            "logsUrl": self.logs_url,
            "dicombq": {
                "state": self.state.value,
                **{name: str(getattr(counters, name)) for name in ("found", "duplicates", "skipped", "notices")},
            },
        }
        if self.end_time:
            metadata["endTime"] = self.end_time
        result: dict[str, Any] = {"name": str(self.name), "metadata": metadata}
        if self.state.ended:
            result["done"] = True
        if self.error:
            result["error"] = self.error
        elif self.state is State.DONE:
            result["response"] = {"@type": f"{_TYPE}.{self.api_version}.dicom.ExportDicomDataResponse"}
        return result


def now() -> str:
    """Tell the time as the API writes it: RFC 3339, UTC, microseconds."""
    return dt.datetime.now(dt.timezone.utc).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


class OperationStore:
    """The operations of a HOME."""

    def __init__(self, home: Path) -> None:
        self._operations = home / "operations"
        self._logs = home / "logs"

    def create(self, parent: Parent, store: str, target: str) -> RunningOperation:
        """Begin an operation that this process runs."""
        with storage_errors(self._operations):
            for folder in (self._operations, self._logs):
                folder.mkdir(mode=0o700, exist_ok=True)
            identity = self._new_identity()
            folder = self._operations / identity
            operation = Operation(identity, parent, store, target, folder, self._log_path(identity).as_uri(), now())
            operation.process = {"pid": os.getpid(), "host": os.uname().nodename}
            return RunningOperation(operation, self._log_path(identity))

    def get(self, identity: str) -> Operation:
        """Read an operation's state.

        Raises
        ------
        NotFound
            Where there is none of that ID.
        Failed
            Where its state file is damaged.
        FailedPrecondition
            Where a newer dicombq wrote it.
        """
        operation = self._read(identity)
        if operation.state.ended or _is_locked(operation.folder):
            return operation
        operation = self._read(identity)  # it may have ended just before its lock was looked at
        if not operation.state.ended:
            operation.state = State.CRASHED
            operation.error = {"code": 10, "message": "the process that ran the operation is gone"}
        return operation

    def _read(self, identity: str) -> Operation:
        path = self._operations / identity / "state.json"
        try:
            return self._parse(json.loads(path.read_bytes()), path.parent)
        except FileNotFoundError:
            raise NotFound(
                f"there is no operation [{identity}]", "See `dicombq operations list` for those there are."
            ) from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise Failed(
                f"the state of operation [{identity}] cannot be read",
                f"Its file is [{path}]; the table is not affected.",
            ) from None

    def list(self) -> tuple[list[Operation], list[DicombqError]]:
        """Read all operations, the newest first, and tell of those that cannot be read."""
        operations: list[Operation] = []
        damaged: list[DicombqError] = []
        if not self._operations.is_dir():
            return operations, damaged
        with storage_errors(self._operations):
            identities = sorted(path.parent.name for path in self._operations.glob("*/state.json"))
        for identity in reversed(identities):
            try:
                operations.append(self.get(identity))
            except DicombqError as error:
                damaged.append(error)
        return operations, damaged

    def logs(self, identity: str) -> Iterator[dict[str, str]]:
        """Stream an operation's log; a line that a crash cut off is left out."""
        self.get(identity)
        with contextlib.suppress(FileNotFoundError), self._log_path(identity).open("rb") as file:
            for line in file:
                with contextlib.suppress(ValueError):
                    entry = json.loads(line)
                    if isinstance(entry, dict):
                        yield entry

    def _new_identity(self) -> str:
        while True:
            # ordered by time, and unlike any other's: load jobs are named after it
            identity = f"{time.time_ns() // 1000}{secrets.randbelow(1000):03d}"
            with contextlib.suppress(FileExistsError):
                (self._operations / identity).mkdir(mode=0o700)
                return identity

    def _log_path(self, identity: str) -> Path:
        return self._logs / f"{identity}.jsonl"

    def _parse(self, state: Mapping[str, Any], folder: Path) -> Operation:
        if state["version"] > STATE_VERSION:
            raise FailedPrecondition(
                f"operation [{state['id']}] was written by a newer dicombq", "Upgrade dicombq to read it."
            )
        known = {f.name for f in fields(Operation)}
        values = {name: value for name, value in state.items() if name in known}
        values |= {
            "parent": Parent(**state["parent"]),
            "counters": Counters(**state["counters"]),
            "state": State(state["state"]),
            "folder": folder,
        }
        return Operation(**values)


class RunningOperation:
    """An operation that this process runs: its state is written here and nowhere else.

    Use it as a context manager: an error inside ends the operation with it.

    Parameters
    ----------
    debug
        Messages of severity DEBUG and how often each was logged.
    """

    WRITE_INTERVAL = 0.5
    """Seconds between two writes of the counters."""

    def __init__(self, operation: Operation, log_path: Path) -> None:
        self.operation = operation
        self.debug: Counter[str] = Counter()
        self._written = 0.0
        with contextlib.ExitStack() as files:
            self._lock = files.enter_context(open_private(operation.folder / "lock"))
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            self._log = files.enter_context(open_private(log_path, "ab"))
            self._write()
            self._files = files.pop_all()

    def __enter__(self) -> RunningOperation:  # noqa: PYI034 - typing.Self came with 3.11
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        with contextlib.suppress(OSError), self._files:  # on a full disk the error itself is what counts
            if error is not None:
                self._end(error)

    def enter(self, state: State) -> None:
        """Go on to the next state."""
        self.operation.state = state
        if state.ended:
            self.operation.end_time = now()
        self._write()

    def count(self) -> None:
        """Write the counters, if it is time to."""
        if time.monotonic() - self._written >= self.WRITE_INTERVAL:
            self._write()

    def log(self, entries: Iterable[LogEntry]) -> None:
        """Append to the log."""
        moment = now()
        for entry in entries:
            if entry.severity == "DEBUG":
                self.debug[entry.message] += 1
            self._log.write(json.dumps({"time": moment, **asdict(entry)}, ensure_ascii=False).encode() + b"\n")
        self._log.flush()

    def discard_staged(self) -> None:
        """Delete what was staged; the state and the log stay."""
        for path in self.operation.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name not in ("state.json", "lock"):
                path.unlink()

    def _end(self, error: BaseException) -> None:
        if isinstance(error, DicombqError):
            self.operation.error = {"code": error.code, "message": error.message}
        elif isinstance(error, KeyboardInterrupt):
            self.operation.error = {"code": Cancelled.code, "message": "interrupted"}
        else:
            self.operation.error = {"code": 13, "message": f"internal error ({type(error).__name__})"}
        cancelled = self.operation.error["code"] == Cancelled.code
        self.enter(State.CANCELLED if cancelled else State.FAILED)

    def _write(self) -> None:
        state = asdict(self.operation) | {"version": STATE_VERSION, "state": self.operation.state.value}
        del state["folder"]
        write_atomic(self.operation.folder / "state.json", json.dumps(state, indent=1).encode())
        self._written = time.monotonic()


def _is_locked(folder: Path) -> bool:
    with contextlib.suppress(OSError), (folder / "lock").open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
