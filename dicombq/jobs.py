"""Exports from beginning to end: lock the table, note the operation, and run it here or leave it to another process."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dicombq import export
from dicombq.engines.local import LocalEngine
from dicombq.errors import Cancelled, OperationEnded
from dicombq.export import ExportRequest, Progress
from dicombq.names import DuckdbTable, Parent, StoreName, TableUri
from dicombq.operations import cloud_logging
from dicombq.operations.running import RunningOperation
from dicombq.operations.state import LogEntry, Operation, State
from dicombq.operations.store import OperationStore
from dicombq.stores.registry import reopen_store
from dicombq.system.files import open_private, printable, storage_errors
from dicombq.system.locks import FileLock, Holder
from dicombq.warehouses.base import Warehouse
from dicombq.warehouses.registry import open_warehouse


@dataclass(frozen=True)
class Settings:
    """How exports are run on this machine.

    Parameters
    ----------
    workers
        Processes that read headers; None for as many as are worth it.
    lock_timeout
        Seconds to wait for another export to the same table, and for another program that holds its file; None for
        not at all and 10.
    log_to_cloud
        Whether Cloud Logging gets what operations log.
    warn
        Is told what a user should know of an export that does not fail for it.
    """

    home: Path
    workers: int | None = None
    lock_timeout: float | None = None
    log_to_cloud: bool = False
    warn: Callable[[str], None] = lambda _text: None


@dataclass(frozen=True)
class Job:
    """An export that this process is to run."""

    request: ExportRequest
    warehouse: Warehouse[Any]
    running: RunningOperation
    table_lock: FileLock
    settings: Settings

    @property
    def operation(self) -> Operation:
        """Its operation."""
        return self.running.operation

    def run(self, progress: Progress) -> None:
        """Export; errors are those of `dicombq.export.run`."""
        workers = self.settings.workers
        engine = LocalEngine(workers) if workers else LocalEngine.fitting()
        export.run(self.request, self.warehouse, self.running, engine, progress)


@contextlib.contextmanager
def begin(request: ExportRequest, settings: Settings) -> Iterator[Job]:
    """Begin an export.

    Raises
    ------
    Locked
        Where another one to the same table runs.
    DicombqError
        As `dicombq.export.plan`; there is no operation then.
    """
    with _table_lock(request.destination.table, settings) as lock:
        warehouse = open_warehouse(request.destination.table, settings.lock_timeout)
        export.plan(request, warehouse)
        with _logged(_create(request, settings), settings) as running:
            with storage_errors(settings.home):
                lock.sign(Holder.process(running.operation.id))
            yield Job(request, warehouse, running, lock, settings)


@contextlib.contextmanager
def resume(identity: str, settings: Settings) -> Iterator[Job]:
    """Go on with an export that ended before it was done.

    Raises
    ------
    Locked
        Where it runs, or another one to the same table.
    OperationEnded
        Where it is done, or what it was asked for is not known.
    DicombqError
        As `dicombq.export.plan`, unless its load was begun; the operation's state stays as it is then.
    """
    operations = OperationStore(settings.home)
    operation = operations.get_unfinished(identity)
    request = _request(operation)
    with _table_lock(request.destination.table, settings, identity) as lock:
        warehouse = open_warehouse(request.destination.table, settings.lock_timeout)
        if not operation.load_begun:  # else the table may be there because of this very load, which looks itself
            export.plan(request, warehouse)
        with _logged(operations.resume(identity), settings) as running:
            yield Job(request, warehouse, running, lock, settings)


def detach(request: ExportRequest, settings: Settings, command: Sequence[str]) -> Operation:
    """Begin an export in a process of its own, which outlives this one and its terminal.

    Parameters
    ----------
    command
        What calls `adopt`; the operation's ID and the descriptors of two locks are added to it.

    Raises
    ------
    DicombqError
        As `begin`.
    """
    with begin(request, settings) as job, open_private(job.running.log_path, "ab") as log:
        locks = (job.running.lock, job.table_lock)
        descriptors = [lock.descriptor for lock in locks]
        process = subprocess.Popen(  # noqa: S603 - the command is ours
            [*command, job.operation.id, *map(str, descriptors)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=descriptors,
        )
        process.returncode = 0  # nobody here waits for it
        with storage_errors(settings.home):
            for lock in locks:
                lock.sign(Holder.process(job.operation.id, process.pid))
    return job.operation


@contextlib.contextmanager
def adopt(identity: str, descriptors: Sequence[int], settings: Settings) -> Iterator[Job]:
    """Take over what `detach` began."""
    running = OperationStore(settings.home).adopt(identity, descriptors[0])
    with FileLock(descriptors[1]) as table_lock, _logged(running, settings):
        with storage_errors(settings.home):
            table_lock.sign(Holder.process(identity))
        request = _request(running.operation)
        warehouse = open_warehouse(request.destination.table, settings.lock_timeout)
        yield Job(request, warehouse, running, table_lock, settings)


@contextlib.contextmanager
def _logged(running: RunningOperation, settings: Settings) -> Iterator[RunningOperation]:
    """Run an operation; Cloud Logging gets its log, if that is wanted."""
    if not settings.log_to_cloud:
        with running:
            yield running
        return
    operation = running.operation
    project = None if operation.parent.project == Parent().project else operation.parent.project
    labels = {"store": operation.store, "target": operation.target}
    noted = operation.folder / "cloud_log"
    with cloud_logging.CloudLog(project, operation.id, labels, noted) as log, contextlib.ExitStack() as afterwards:
        running.also_log_to.append(log.write)
        patience = cloud_logging.PATIENCE
        with running:
            try:
                yield running
            except (KeyboardInterrupt, Cancelled):
                patience = cloud_logging.HURRY
                raise
            finally:
                if missing := log.flush(patience):
                    text = f"{missing:,} entries of the log are not in Cloud Logging: {log.error.message}"
                    afterwards.callback(settings.warn, f"{text}.")
                    _note(running, LogEntry("NOTICE", log.error.status, operation.target, "", text))
    if operation.state is State.DONE:  # nothing of it is logged again
        with contextlib.suppress(OSError):
            noted.unlink(missing_ok=True)


def _note(running: RunningOperation, notice: LogEntry) -> None:
    """Log a notice about an operation that may be done."""
    running.operation.counters.notices += 1
    with contextlib.suppress(OSError):  # the export did what it was asked for
        running.log([notice])
        if running.operation.state is State.DONE:
            running.enter(State.DONE)


def _request(operation: Operation) -> ExportRequest:
    if operation.request is None:
        raise OperationEnded(
            f"operation [{operation.id}] was begun by a dicombq that did not note what it was asked for",
            "Run the export again.",
        )
    store = reopen_store(StoreName(operation.parent, operation.store_id), operation.request["dicombq"]["source"])
    return ExportRequest.from_api(store, operation.request)


def _create(request: ExportRequest, settings: Settings) -> RunningOperation:
    name = request.store.name
    target = printable(str(request.destination.table))
    return OperationStore(settings.home).create(name.parent, str(name), target, request.to_api())


def _table_lock(table: TableUri, settings: Settings, identity: str = "") -> FileLock:
    """Take the lock of a table, by whatever path and case it is named."""
    name = str(table)
    if isinstance(table, DuckdbTable):
        name = f"{os.path.realpath(table.file)}/{table.dataset.lower()}.{table.table.lower()}"
    folder = settings.home / "locks"
    with storage_errors(folder):
        folder.mkdir(mode=0o700, exist_ok=True)
        path = folder / hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
        what = f"the table [{printable(str(table))}]"
        return FileLock.acquire(path, what, Holder.process(identity), settings.lock_timeout or 0.0)
