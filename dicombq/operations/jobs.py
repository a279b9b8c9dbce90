"""Operations from beginning to end: lock the destination, note the operation, run it here or in another process."""

from __future__ import annotations

import contextlib
import hashlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dicombq.errors import Cancelled
from dicombq.names import Parent
from dicombq.operations.kinds import Progress, Settings, Task, task_of
from dicombq.operations.log import LogEntry
from dicombq.operations.running import RunningOperation
from dicombq.operations.state import Operation, State
from dicombq.operations.store import OperationStore
from dicombq.system.files import open_private, storage_errors
from dicombq.system.locks import FileLock, Holder

OUTPUT = "output"
"""The file in the folder of an operation in a process of its own that takes what the process prints."""

# without the current folder in sys.path, where `python -m` has it: what lies there is no part of dicombq
_DICOMBQ = (
    sys.executable,
    "-c",
    "import sys; sys.path = [path for path in sys.path if path]; from dicombq.cli.main import run; run()",
)


@dataclass(frozen=True)
class Job:
    """An operation that this process is to run."""

    task: Task
    running: RunningOperation
    destination_lock: FileLock

    @property
    def operation(self) -> Operation:
        """Its state."""
        return self.running.operation

    def run(self, progress: Progress) -> None:
        """Do its work; errors are those of `Task.run`."""
        self.task.run(self.running, progress)


@contextlib.contextmanager
def begin(task: Task, settings: Settings, *, here: bool = True) -> Iterator[Job]:
    """Begin an operation.

    Parameters
    ----------
    here
        Whether this process runs it, and is what ends where somebody cancels it.

    Raises
    ------
    Locked
        Where another one with the same destination runs.
    DicombqError
        As `Task.check`; there is no operation then.
    """
    with _destination_lock(task, settings) as lock:
        task.check()
        operations = OperationStore(settings.home)
        running = operations.create(task.kind, task.store, task.target, task.request())
        running.listens = here
        with _logged(running, settings):
            with storage_errors(settings.home):
                task.save(running.operation.folder)
                lock.sign(Holder.process(running.operation.id))
            yield Job(task, running, lock)


@contextlib.contextmanager
def resume(identity: str, settings: Settings) -> Iterator[Job]:
    """Go on with an operation that ended before it was done.

    Raises
    ------
    Locked
        Where it runs, or another one with the same destination.
    OperationEnded
        Where it is done, or what it was asked for is not known.
    DicombqError
        As `Task.check`, unless its load was begun; the operation's state stays as it is then.
    """
    operations = OperationStore(settings.home)
    operation = operations.get_unfinished(identity)
    task = task_of(operation, settings)
    with _destination_lock(task, settings, identity) as lock:
        if not operation.load_begun:  # else the table may be there because of this very load, which looks itself
            task.check()
        with _logged(operations.resume(identity), settings) as running:
            yield Job(task, running, lock)


def run_command(settings: Settings) -> list[str]:
    """Name the command for `detach`, which is dicombq's own."""
    flags = {"--workers": settings.workers, "--lock-timeout": settings.lock_timeout}
    given = [f"{flag}={value}" for flag, value in flags.items() if value is not None]
    if settings.log_to_cloud:
        given.append("--log-to-cloud")
    return [*_DICOMBQ, "operations", "_run", *given]


def detach(task: Task, settings: Settings, command: Sequence[str]) -> Operation:
    """Begin an operation in a process of its own, which outlives this one and its terminal.

    Parameters
    ----------
    command
        Calls `adopt`; the operation's ID and the descriptors of two locks are added to it.

    Raises
    ------
    DicombqError
        As `begin`.
    """
    import subprocess  # noqa: PLC0415 - most operations run here

    with begin(task, settings, here=False) as job, open_private(job.operation.folder / OUTPUT) as output:
        locks = (job.running.lock, job.destination_lock)
        descriptors = [lock.descriptor for lock in locks]
        process = subprocess.Popen(  # noqa: S603 - the command is ours
            [*command, job.operation.id, *map(str, descriptors)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
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
    """Take over an operation from `detach`."""
    running = OperationStore(settings.home).adopt(identity, descriptors[0])
    with FileLock(descriptors[1]) as lock, _logged(running, settings):
        with storage_errors(settings.home):
            lock.sign(Holder.process(identity))
        yield Job(task_of(running.operation, settings), running, lock)


def _destination_lock(task: Task, settings: Settings, identity: str = "") -> FileLock:
    """Take the lock of a task's destination."""
    name, what = task.lock
    folder = settings.home / "locks"
    with storage_errors(folder):
        folder.mkdir(mode=0o700, exist_ok=True)
        path = folder / hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
        return FileLock.acquire(path, what, Holder.process(identity), settings.lock_timeout or 0.0)


@contextlib.contextmanager
def _logged(running: RunningOperation, settings: Settings) -> Iterator[RunningOperation]:
    """Run an operation; Cloud Logging gets its log, if that is wanted."""
    if not settings.log_to_cloud:
        with running:
            yield running
        return
    from dicombq.operations import cloud_logging  # noqa: PLC0415 - few log there

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
    with contextlib.suppress(OSError):  # the operation did what it was asked for
        running.log([notice])
        if running.operation.state is State.DONE:
            running.enter(State.DONE)
