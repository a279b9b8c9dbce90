"""Cloud Logging: what an operation logs goes there too, from a thread of its own, and never holds the operation up.

An operation that is resumed logs again what its shards hold, at another time and in another order. Cloud Logging takes
two entries for one only where ``insertId`` and ``timestamp`` are both the same (LogEntry, ``insertId``). So an entry is
named by what it says, what was taken is noted in the operation's folder, and is not sent again. The times stay true.

The client's own `BackgroundThreadTransport` cannot be used for that. It drops the entries of a request that fails, and
tells nobody which: of 20,000 entries 3,000 were gone when the first three requests of 1,000 failed. Its queue has no
bound, and it prints to stderr.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from dicombq.errors import DicombqError, NotAuthenticated, NotPermitted, Temporary
from dicombq.system.files import open_private, printable
from dicombq.system.signals import held_back

ENDPOINT = "CLOUDSDK_API_ENDPOINT_OVERRIDES_LOGGING"
"""The environment variable by which gcloud is sent to another server; the client has none."""

PATIENCE = 10.0
"""Seconds to wait for what is still to be sent, when the operation has ended."""

HURRY = 0.5
"""The same where somebody ended it, and for the entry that says how it ended."""

RETRY = 30.0
"""Seconds for which one request is tried."""

MAX_ENTRIES = 1000
"""In a request."""

MAX_SIZE = 8_000_000
"""Bytes of entries in a request, which may have 10 MB (logging/quotas)."""

MAX_WAITING = 20_000
"""Entries that wait for a slow server; those that come then are not sent."""

_LONGEST_TEXT = 10_000  # characters: an entry has six texts and may have 256 KB

_Entry: TypeAlias = "dict[str, Any]"


def is_installed() -> bool:
    """Tell whether google-cloud-logging is there, which is an extra."""
    try:
        return importlib.util.find_spec("google.cloud.logging_v2") is not None
    except ModuleNotFoundError:  # of google.cloud
        return False


class CloudLog:
    """The log of an operation in Cloud Logging, under the name ``dicombq``.

    Use it as a context manager.

    Parameters
    ----------
    project
        Whose log it is; None for the one of the credentials.
    operation
        Its ID.
    labels
        Of each entry, besides ``operation``. Entries about ``target`` are events, and never taken for one.
    noted
        The file that names what was taken, so that it is not sent again.

    Attributes
    ----------
    error
        Why an entry was not taken.
    """

    def __init__(self, project: str | None, operation: str, labels: Mapping[str, str], noted: Path) -> None:
        self._project = project
        self._labels = {name: printable(text) for name, text in labels.items()} | {"operation": operation}
        self._noted = noted
        self._taken_before: frozenset[str] = frozenset()
        with contextlib.suppress(OSError):
            self._taken_before = frozenset(noted.read_text(errors="replace").splitlines())
        self._waiting: queue.SimpleQueue[_Entry | threading.Event] = queue.SimpleQueue()
        self._logged = 0
        self._taken = 0
        self._ended = False
        self.error: DicombqError = Temporary("it did not answer in time")

    def __enter__(self) -> CloudLog:  # noqa: PYI034 - typing.Self came with 3.11
        with held_back():
            threading.Thread(target=self._run, daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended = True
        self.flush(HURRY)

    def write(self, lines: Sequence[Mapping[str, str]]) -> None:
        """Send lines of the operation's log, soon."""
        for entry in map(self._entry, lines):
            if entry["insertId"] in self._taken_before:
                continue
            self._logged += 1
            if self._waiting.qsize() < MAX_WAITING:
                self._waiting.put(entry)

    def flush(self, patience: float) -> int:
        """Wait until everything was sent, or for so many seconds, or for Ctrl-C; count what was not taken."""
        reached = threading.Event()
        self._waiting.put(reached)
        with contextlib.suppress(KeyboardInterrupt):
            reached.wait(patience)
        return self._logged - self._taken

    def _entry(self, line: Mapping[str, str]) -> _Entry:
        is_event = line["uri"] == self._labels.get("target")  # it ended, again: about no file, so never logged again
        said = json.dumps([text for name, text in line.items() if name != "time" or is_event])
        return {
            "insertId": f"{self._labels['operation']}-{hashlib.sha256(said.encode()).hexdigest()[:32]}",
            "timestamp": line["time"],
            "severity": line["severity"],
            "jsonPayload": {name: text[:_LONGEST_TEXT] for name, text in line.items()},
        }

    def _run(self) -> None:
        with contextlib.ExitStack() as stack:
            writer: _Writer | None = None
            while True:
                batch, reached = self._next_batch()
                # without a permission it does not help to ask again
                if batch and not isinstance(self.error, NotPermitted):
                    try:
                        writer = writer or stack.enter_context(self._connect())
                        writer.write(batch)
                        self._taken += len(batch)
                    except Exception as error:  # noqa: BLE001 - whatever it is, the export goes on
                        self._fail(error)
                if reached:
                    reached.set()
                    if self._ended:
                        return

    def _fail(self, error: Exception) -> None:
        self.error = _reason(error)

    @contextlib.contextmanager
    def _connect(self) -> Iterator[_Writer]:
        import google.auth  # noqa: PLC0415 - an extra, and slow to import
        from google.cloud.logging_v2 import Client  # noqa: PLC0415 - slow to import

        credentials, default_project = google.auth.default(scopes=Client.SCOPE)
        if not (self._project or default_project):
            raise NotAuthenticated("the credentials name no project: give --project")
        endpoint = os.environ.get(ENDPOINT)
        client = Client(  # type: ignore[no-untyped-call]  # it has no types
            project=self._project or default_project,
            credentials=credentials,
            client_options={"api_endpoint": endpoint.rstrip("/")} if endpoint else None,
            _use_grpc=False,  # threads of gRPC do not go with the processes that an export starts
        )
        with contextlib.closing(client), _Writer(client, self._labels, self._noted, self._fail) as writer:
            yield writer

    def _next_batch(self) -> tuple[list[_Entry], threading.Event | None]:
        """Wait for entries, and take those that came while the last ones were sent."""
        batch: list[_Entry] = []
        size = 0
        item = self._waiting.get()
        while not isinstance(item, threading.Event):
            batch.append(item)
            size += len(json.dumps(item))
            if len(batch) == MAX_ENTRIES or size > MAX_SIZE or self._waiting.empty():
                return batch, None
            item = self._waiting.get()
        return batch, item


class _Writer:
    """Writes entries, and notes those that were taken."""

    def __init__(
        self, client: Any, labels: Mapping[str, str], noted: Path, on_error: Callable[[Exception], None]
    ) -> None:
        from google.api_core import exceptions, retry  # noqa: PLC0415 - slow to import

        self._note = open_private(noted, "ab")
        self._retry = retry.Retry(
            retry.if_exception_type(exceptions.TooManyRequests, exceptions.ServerError, *_network()),
            timeout=RETRY,
            on_error=on_error,
        )
        self._api = client.logging_api
        self._target = {
            "logger_name": f"projects/{client.project}/logs/dicombq",
            "resource": {"type": "global", "labels": {"project_id": client.project}},
            "labels": labels,
            "partial_success": False,  # all or none: what was taken is known
        }

    def __enter__(self) -> _Writer:  # noqa: PYI034 - typing.Self came with 3.11
        return self

    def __exit__(self, *_error: object) -> None:
        with contextlib.suppress(OSError):
            self._note.close()

    def write(self, batch: Sequence[_Entry]) -> None:
        """Write the entries of one request."""
        self._retry(self._api.write_entries)(batch, **self._target)
        with contextlib.suppress(OSError):  # on a full disk they may be sent twice
            self._note.write("".join(f"{entry['insertId']}\n" for entry in batch).encode())
            self._note.flush()


def _network() -> tuple[type[Exception], ...]:
    import google.auth.exceptions  # noqa: PLC0415 - slow to import
    import requests.exceptions  # noqa: PLC0415 - slow to import

    return (requests.exceptions.RequestException, ConnectionError, google.auth.exceptions.TransportError)


def _reason(error: Exception) -> DicombqError:
    import google.auth.exceptions  # noqa: PLC0415 - slow to import
    from google.api_core import exceptions as api  # noqa: PLC0415 - slow to import

    if isinstance(error, DicombqError):
        return error
    if isinstance(error, api.RetryError):
        error = error.cause
    if isinstance(error, api.Forbidden):
        return NotPermitted("it is not permitted: grant roles/logging.logWriter on the project")
    if isinstance(error, _network()):
        return Temporary(f"no connection ({type(error).__name__})")
    if isinstance(error, (google.auth.exceptions.GoogleAuthError, api.Unauthorized)):
        return NotAuthenticated("there are no usable Google Cloud credentials")
    if isinstance(error, api.GoogleAPICallError):
        return Temporary(f"the server answered {error.code}")
    return Temporary(f"it could not be used ({type(error).__name__})")
