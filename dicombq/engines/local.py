"""Shards on this machine: in this process, or in several."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from dicombq.engines.base import Outcome, Shard, Watch
from dicombq.errors import Failed
from dicombq.system.signals import held_back

if TYPE_CHECKING:
    from concurrent.futures import Future

_PAUSE = 0.2  # seconds
_LONG = 1.0  # seconds


def usable_cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class LocalEngine:
    """Processes on this machine.

    Parameters
    ----------
    workers
        How many, with this process.
    few
        Up to so many shards are run in this process alone, for a second: another takes a quarter of that to start.
    """

    workers: int
    few: int = 1
    distributes: ClassVar[bool] = False

    @classmethod
    def fitting(cls) -> LocalEngine:
        """Use all cores where the work is worth it."""
        return cls(usable_cores(), few=8)

    def map_shards(
        self,
        function: Callable[[Shard], Outcome],
        shards: Iterable[Shard],
        watch: Watch[Outcome],
    ) -> None:
        """Call `function` for each shard, with two shards waiting for each of the other processes.

        Raises
        ------
        Failed
            Where a worker was killed.
        Cancelled
            Where the watch said to stop.
        """
        begin = time.monotonic()
        remaining = iter(shards)
        first = list(itertools.islice(remaining, self.few + 1))
        remaining = itertools.chain(first, remaining)
        for shard in remaining:
            is_long = len(first) > self.few or time.monotonic() - begin > _LONG
            if self.workers > 1 and is_long:
                self._map_in_processes(function, itertools.chain([shard], remaining), watch)
            else:
                watch.look(running=1)
                watch.take(function(shard))

    def close(self) -> None:
        """Nothing: processes end with their shards."""

    def _map_in_processes(
        self,
        function: Callable[[Shard], Outcome],
        shards: Iterable[Shard],
        watch: Watch[Outcome],
    ) -> None:
        """Be one of the workers: the others take a while to start."""
        import multiprocessing  # noqa: PLC0415 - a small export needs no other process
        from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait  # noqa: PLC0415 - see above
        from concurrent.futures.process import BrokenProcessPool  # noqa: PLC0415 - see above
        from multiprocessing import resource_tracker  # noqa: PLC0415 - see above

        others = self.workers - 1
        # spawned, not forked: threads of the client libraries do not survive a fork
        pool = ProcessPoolExecutor(others, multiprocessing.get_context("spawn"), initializer=_start_worker)
        pending: set[Future[Outcome]] = set()
        remaining = iter(shards)
        resource_tracker.ensure_running()  # it would lift the mask when it is started inside
        try:
            while True:
                own = list(itertools.islice(remaining, 1))
                with held_back():
                    for shard in itertools.islice(remaining, 2 * others - len(pending)):
                        pending.add(pool.submit(function, shard))
                watch.look(running=len(own) + min(others, len(pending)))
                for shard in own:
                    watch.take(function(shard))
                if not pending:
                    break
                finished, pending = wait(pending, timeout=0 if own else _PAUSE, return_when=FIRST_COMPLETED)
                for future in finished:
                    watch.take(future.result())
        except BrokenProcessPool:
            time.sleep(_PAUSE)  # for a signal that killed the worker and is meant for this process too
            raise Failed(
                "a worker process was killed", "The machine may be short of memory: try --workers=1."
            ) from None
        except BaseException:
            for process in list(pool._processes.values()):  # noqa: SLF001 - there is no public way to kill a worker
                process.kill()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    """Leave Ctrl-C to the parent, which ends its workers; SIGTERM is how the executor ends them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    import multiprocessing  # noqa: PLC0415 - see LocalEngine

    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)
