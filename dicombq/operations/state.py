"""The state of an operation, in its file and as the API prints it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from enum import Enum
from pathlib import Path
from typing import Any

from dicombq.errors import Cancelled, CancelledElsewhere, Crashed, DicombqError, NewerState, error_named
from dicombq.names import OperationName, Parent, StoreName

STATE_VERSION = 3
"""Of state.json; an older one is migrated, a newer one refused."""

CANCEL = "cancel"
"""The file in an operation's folder that asks it to end."""

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
    """Numbers of instances by their outcome; found = success + failure + duplicates once `pending` is 0.

    Parameters
    ----------
    existing
        Of the successful ones, those that were at their place already: nothing was copied.
    """

    pending: int = 0
    found: int = 0
    success: int = 0
    failure: int = 0
    duplicates: int = 0
    skipped: int = 0
    notices: int = 0
    existing: int = 0


@dataclass(frozen=True)
class Shards:
    """How many shards are done, how many run now, and how many there are."""

    done: int
    running: int
    total: int


@dataclass(frozen=True)
class OperationError:
    """The error that ended an operation.

    Parameters
    ----------
    code, message
        As the API has them (``google.rpc.Status``).
    kind, hint
        The class of `dicombq.errors`, and the way out.
    """

    code: int
    message: str
    kind: str = ""
    hint: str = ""

    @classmethod
    def of(cls, error: DicombqError) -> OperationError:
        """Note an error."""
        return cls(error.code, error.message, type(error).__name__, error.hint)

    def to_exception(self) -> DicombqError:
        """Make the error again."""
        return error_named(self.kind, self.message, self.hint)


@dataclass
class Operation:
    """An operation as it is in its state file.

    Parameters
    ----------
    kind
        The name of its `dicombq.operations.kinds.Kind`.
    method
        Of the API's DicomService.
    api_version
        ``v1``, or ``v1beta1`` where a filter is used.
    store, target
        The store that it began with, and the other end.
    request
        All that is needed to resume it; None where an older dicombq did not note it.
    shards
        How far the staging is; None before it.
    load_begun
        Whether the destination may have been written.
    """

    id: str
    kind: str
    method: str
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
    error: OperationError | None = None
    request: dict[str, Any] | None = None
    load_begun: bool = False
    shards: Shards | None = None

    @property
    def name(self) -> OperationName:
        """The resource name."""
        return OperationName(self.parent, self.id)

    @property
    def store_name(self) -> StoreName:
        """The store's name."""
        return StoreName(self.parent, self.store_id)

    @property
    def store_id(self) -> str:
        """The last part of the store's name."""
        return self.store.rpartition("/")[2]

    def to_api(self) -> dict[str, Any]:
        """Print the operation as the API does (``cli.md``, operations describe)."""
        counters = self.counters
        metadata: dict[str, Any] = {
            "@type": f"{_TYPE}.{self.api_version}.OperationMetadata",
            "apiMethodName": f"google.cloud.healthcare.{self.api_version}.dicom.DicomService.{self.method}",
            "counter": {name: str(getattr(counters, name)) for name in ("pending", "success", "failure")},
            "createTime": self.create_time,
            "logsUrl": self.logs_url,
            "dicombq": {
                "state": self.state.value,
                **{name: str(getattr(counters, name)) for name in ("found", "duplicates", "skipped", "notices")},
            },
        }
        if counters.existing:
            metadata["dicombq"]["existing"] = str(counters.existing)
        if self.shards and self.state is State.STAGING:
            metadata["dicombq"]["shards"] = {name: str(number) for name, number in asdict(self.shards).items()}
        if (self.folder / CANCEL).exists():
            metadata["cancelRequested"] = True
        if self.end_time:
            metadata["endTime"] = self.end_time
        result: dict[str, Any] = {"name": str(self.name), "metadata": metadata}
        if self.state.ended:
            result["done"] = True
        if self.error:
            result["error"] = {"code": self.error.code, "message": self.error.message}
        elif self.state is State.DONE:
            result["response"] = {"@type": f"{_TYPE}.{self.api_version}.dicom.{self.method}Response"}
        return result

    def raise_error(self) -> None:
        """Raise the error that ended it, if one did, for somebody who waits for the operation."""
        if self.error is None:
            return
        error = self.error.to_exception()
        if isinstance(error, Cancelled):  # not by the one who waits
            raise CancelledElsewhere(error.message, error.hint)
        raise error

    def mark_crashed(self) -> None:
        """Take in that its process is gone; an error that it noted, as of an unsettled load, is kept."""
        self.state = State.CRASHED
        self.error = self.error or OperationError.of(
            Crashed("the process that ran the operation is gone", f"Go on with it: dicombq operations resume {self.id}")
        )

    def to_json(self) -> bytes:
        """Write the state file."""
        state = asdict(self) | {"version": STATE_VERSION, "state": self.state.value}
        del state["folder"]
        return json.dumps(state, indent=1).encode()

    @classmethod
    def from_json(cls, text: bytes, folder: Path) -> Operation:
        """Read a state file.

        Raises
        ------
        NewerState
            Where a newer dicombq wrote it.
        ValueError, KeyError, TypeError, AttributeError
            Where it is damaged.
        """
        state: dict[str, Any] = json.loads(text)
        if state["version"] > STATE_VERSION:
            raise NewerState(f"operation [{folder.name}] was written by a newer dicombq", "Upgrade dicombq to read it.")
        for version in range(state["version"], STATE_VERSION):
            _MIGRATIONS[version](state)
        known = {f.name for f in fields(cls)}
        values = {name: value for name, value in state.items() if name in known}
        values |= {
            "parent": Parent(**state["parent"]),
            "counters": Counters(**state["counters"]),
            "error": OperationError(**state["error"]) if state["error"] else None,
            "shards": Shards(**state["shards"]) if state.get("shards") else None,
            "state": State(state["state"]),
            "folder": folder,
        }
        return cls(**values)


def _note_no_request(state: dict[str, Any]) -> None:
    """From version 1, which did not note what was asked for; the lock names the process since version 2."""
    state.pop("process", None)
    state["request"] = None


def _note_kind(state: dict[str, Any]) -> None:
    """From version 2, which knew exports to tables only."""
    state |= {"kind": "export bq", "method": "ExportDicomData"}


_MIGRATIONS: dict[int, Callable[[dict[str, Any]], None]] = {1: _note_no_request, 2: _note_kind}
