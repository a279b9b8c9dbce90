"""Locks that the kernel releases when their owner dies, with a note of who holds them."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dicombq.errors import Locked
from dicombq.system.times import now

_LOOK = 0.3
"""Seconds that a lock is tried for at least: somebody may only be looking whether it is held."""

_NOTE = 1.0
"""Seconds that a new owner may take to leave its note."""

_PAUSE = 0.02


@dataclass(frozen=True)
class Holder:
    """Who holds a lock: a process on a host, since when, and for which operation, if it is known yet."""

    operation: str
    pid: int
    host: str
    since: str

    def __str__(self) -> str:
        process = f"process {self.pid} on {self.host}, since {self.since}"
        return f"operation {self.operation} ({process})" if self.operation else process

    @classmethod
    def process(cls, operation: str = "", pid: int | None = None) -> Holder:
        """Describe a process of this host: this one, if no other is named."""
        return cls(operation, pid or os.getpid(), os.uname().nodename, now())

    def is_gone(self) -> bool:
        """Tell whether the note is of a process of this host that has ended."""
        if self.host != os.uname().nodename:
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except OSError:
            pass
        return False


class FileLock:
    """An exclusive lock: of the process that took it, and of those that inherit its descriptor."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    @classmethod
    def acquire(cls, path: Path, what: str, holder: Holder, timeout: float = 0.0) -> FileLock:
        """Take the lock on a file, made with mode 0600 where it is missing.

        Parameters
        ----------
        what
            What it protects, for the error.
        timeout
            Seconds to wait for it.

        Raises
        ------
        Locked
            Naming who holds it.
        """
        lock = cls(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        with contextlib.ExitStack() as stack:
            stack.enter_context(lock)
            if not lock.wait(max(timeout, _LOOK)):
                raise Locked(
                    f"{what} is locked by {_wait_for_note(path) or 'another process'}",
                    "Wait for it to end, or wait here with --lock-timeout=30m.",
                )
            lock.sign(holder)
            stack.pop_all()
        return lock

    def wait(self, timeout: float) -> bool:
        """Wait until it is ours; tell whether it is."""
        deadline = time.monotonic() + timeout
        while not _try(self.descriptor, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                return False
            time.sleep(_PAUSE)
        return True

    def sign(self, holder: Holder) -> None:
        """Leave the note for those who find it locked."""
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, json.dumps(asdict(holder)).encode(), 0)

    def release(self) -> None:
        """Give it up; it stays locked while another process has inherited it."""
        os.close(self.descriptor)

    def __enter__(self) -> FileLock:  # noqa: PYI034 - typing.Self came with 3.11
        return self

    def __exit__(self, *_error: object) -> None:
        self.release()


def is_locked(path: Path) -> bool:
    """Tell whether somebody holds the lock on a file."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        return not _try(file.fileno(), fcntl.LOCK_SH)
    return False


def holder_of(path: Path) -> Holder | None:
    """Read who signed a lock last; None where nobody did."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        note: dict[str, Any] = json.loads(path.read_bytes())
        return Holder(**note)
    return None


def _wait_for_note(path: Path) -> Holder | None:
    """Give the owner the time to sign: until then the note is of the one before."""
    deadline = time.monotonic() + _NOTE
    while (owner := holder_of(path)) is None or owner.is_gone():
        if time.monotonic() > deadline:
            return None
        time.sleep(_PAUSE)
    return owner


def _try(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
