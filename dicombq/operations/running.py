"""An operation that this process runs."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from dicombq.errors import (
    Cancelled,
    CancelledElsewhere,
    DicombqError,
    Internal,
    LoadUnsettled,
    Locked,
    NotPermitted,
    StorageFull,
    Temporary,
)
from dicombq.operations.log import LogEntry, timed, write_lines
from dicombq.operations.state import CANCEL, Operation, OperationError, State
from dicombq.system.files import open_private, write_atomic
from dicombq.system.locks import FileLock
from dicombq.system.signals import held_back
from dicombq.system.times import now

_PASSING = (Cancelled, Locked, NotPermitted, StorageFull, Temporary)
_LISTENING = 0.2  # seconds between two looks for it


class RunningOperation:
    """An operation that this process runs: its state is written here and nowhere else.

    Use it as a context manager: an error inside ends the operation with it. Without one, a process that has inherited
    the lock runs it on.

    Parameters
    ----------
    lock
        The operation's own; released at the end.
    debug
        Messages of severity DEBUG and how often each was logged.
    also_log_to
        Where each piece of the log goes besides the file.
    listens
        Whether it ends when somebody cancels it.
    """

    WRITE_INTERVAL = 0.5
    """Seconds between two writes of the counters."""

    def __init__(self, operation: Operation, log_path: Path, lock: FileLock) -> None:
        self.operation = operation
        self.lock = lock
        self.log_path = log_path
        self.debug: Counter[str] = Counter()
        self.also_log_to: list[Callable[[list[dict[str, str]]], None]] = []
        self.listens = True
        self._written, self._on_disk = 0.0, operation.state
        self._cancelled = False
        self._ending = threading.Event()
        with contextlib.ExitStack() as files:
            files.enter_context(lock)
            self._log = files.enter_context(open_private(log_path, "ab"))
            self._write()
            self._files = files.pop_all()

    def __enter__(self) -> RunningOperation:  # noqa: PYI034 - typing.Self came with 3.11
        if self.listens:
            with held_back():
                threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> bool:
        self._ending.set()
        is_done = self._on_disk is State.DONE  # nothing can undo that
        told = None if is_done else self._tell(error)
        with contextlib.suppress(OSError), self._files:  # on a full disk the error itself is what counts
            if error is not None and not is_done:
                self._end(_unsettled(error) or told or error)
        if told is not None:
            raise told from None
        return is_done and isinstance(error, KeyboardInterrupt | Cancelled)

    def _tell(self, error: BaseException | None) -> DicombqError | None:
        """Say of an error that goes away how to go on."""
        resume = f"Go on with it: dicombq operations resume {self.operation.id}"
        unsettled = _unsettled(error)
        so_far, hint = (f", and {unsettled.message}", f"{unsettled.hint} {resume}") if unsettled else ("", resume)
        if isinstance(error, KeyboardInterrupt | Cancelled) and self.is_cancelled:
            return CancelledElsewhere(f"the operation was cancelled{so_far}", hint)
        if isinstance(error, KeyboardInterrupt):
            return Cancelled(f"interrupted{so_far}", hint)
        if isinstance(error, _PASSING):
            return type(error)(error.message, f"{error.hint} {resume}".strip())
        return None

    @property
    def is_cancelled(self) -> bool:
        """Whether somebody asked it to end."""
        return self._cancelled

    def enter(self, state: State) -> None:
        """Go on to the next state."""
        self.operation.state = state
        if state is State.LOADING:
            self.operation.load_begun = True
        if state.ended:
            self.operation.end_time = now()
        if state is State.DONE:
            self._sync_log()
        self._write()

    def count(self) -> None:
        """Write the counters, if it is time to."""
        if time.monotonic() - self._written >= self.WRITE_INTERVAL:
            self._write()

    def log(self, entries: Iterable[LogEntry]) -> None:
        """Append to the log."""
        lines = timed(entries)
        self.debug.update(line["message"] for line in lines if line["severity"] == "DEBUG")
        write_lines(self._log, lines)
        for take in self.also_log_to:
            take(lines)

    def log_size(self) -> int:
        """Give the bytes of the log, all of them on disk."""
        self._sync_log()
        return os.fstat(self._log.fileno()).st_size

    def cut_log(self, size: int) -> None:
        """Cut the log back to this size, because the entries behind it are logged again."""
        self._log.truncate(min(size, self.log_size()))

    def discard_staged(self) -> None:
        """Delete the staged files; the state and the log stay."""
        for path in self.operation.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name not in ("state.json", "lock"):
                path.unlink()

    def _listen(self) -> None:
        """Take a request to cancel for a SIGTERM, which ends whatever the main thread waits for, if that handles it."""
        while not self._ending.wait(_LISTENING):
            if (self.operation.folder / CANCEL).exists():
                self._cancelled = True
                if callable(signal.getsignal(signal.SIGTERM)):
                    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
                return

    def _end(self, error: BaseException) -> None:
        if not isinstance(error, DicombqError):
            error = Internal(f"internal error ({type(error).__name__})")
        self.operation.error = OperationError.of(error)
        if isinstance(error, LoadUnsettled):
            self._write()  # without an end: the rows may be there yet
            return
        self.enter(State.CANCELLED if isinstance(error, Cancelled) else State.FAILED)
        self.log([LogEntry("ERROR", error.status, self.operation.target, "", error.message)])

    def _sync_log(self) -> None:
        self._log.flush()
        os.fsync(self._log.fileno())

    def _write(self) -> None:
        write_atomic(self.operation.folder / "state.json", self.operation.to_json())
        self._written, self._on_disk = time.monotonic(), self.operation.state


def _unsettled(error: BaseException | None) -> LoadUnsettled | None:
    """Give what an interrupt left unsettled, as a warehouse tells it by the interrupt's cause."""
    cause = error.__cause__ if isinstance(error, KeyboardInterrupt) else None
    return cause if isinstance(cause, LoadUnsettled) else None
