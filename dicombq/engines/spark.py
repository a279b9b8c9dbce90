"""Shards on a cluster of Apache Spark.

Each shard is a Spark job of one task, a few of them for each core at a time: so the driver holds no more shards than
these, hears of each as soon as it is done, and Spark runs the task again where an executor or its machine is lost.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import pickle
import sys
import zlib
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from dicombq import __version__
from dicombq.engines.base import Outcome, Shard, Watch
from dicombq.engines.local import usable_cores
from dicombq.errors import DicombqError, Failed
from dicombq.system.files import open_private
from dicombq.system.threads import Threads

_PAUSE = 0.2  # seconds
_AHEAD = 2
"""Shards for each core: one runs, one waits."""
_MOST_AHEAD = 256
_GROUP = "dicombq"
_LOOPBACK = "127.0.0.1"
_NO_MODULE = "No module named 'dicombq"


@dataclass
class SparkEngine:
    """A cluster; its context is made when the first shards come, and given up by `close`.

    Parameters
    ----------
    master
        As Spark names it: ``local[2]``, ``spark://HOST:PORT``, ``yarn``; empty for what ``spark-submit`` or the
        environment says.
    log
        Where Spark's own messages go, unless ``spark-submit`` was before.
    """

    master: str
    log: Path
    _context: Any = field(default=None, init=False)
    _is_ours: bool = field(default=True, init=False)

    distributes: ClassVar[bool] = True

    @property
    def workers(self) -> int:
        """All cores of this machine: executors are elsewhere, or done when they are needed."""
        return usable_cores()

    def map_shards(self, function: Callable[[Shard], Outcome], shards: Iterable[Shard], watch: Watch[Outcome]) -> None:
        """Call `function` for each shard.

        Raises
        ------
        Failed
            Where Spark cannot be started, or gave a shard up.
        Cancelled
            Where the watch said to stop.
        """
        remaining = iter(shards)
        first = list(itertools.islice(remaining, 1))
        if not first:
            return
        self._start(watch)
        remaining = itertools.chain(first, remaining)
        pending: set[Future[bytes]] = set()
        with Threads(_MOST_AHEAD) as threads:
            try:
                while True:
                    cores = self._cores()
                    for shard in itertools.islice(remaining, min(_AHEAD * cores, _MOST_AHEAD) - len(pending)):
                        payload = pack((__version__, pickle.dumps((function, shard))))
                        pending.add(threads.submit(functools.partial(self._run, payload)))
                    watch.look(running=min(cores, len(pending)))
                    if not pending:
                        break
                    finished, pending = wait(pending, timeout=_PAUSE, return_when=FIRST_COMPLETED)
                    for future in finished:
                        watch.take(_outcome(future.result()))
            except BaseException:
                with contextlib.suppress(Exception):
                    self._context.cancelJobGroup(_GROUP)
                raise

    def close(self) -> None:
        """Give the executors back."""
        if self._context is not None and self._is_ours:
            with contextlib.suppress(Exception):  # what a lost gateway says helps nobody now
                self._context.stop()
        self._context = None

    def _cores(self) -> int:
        """Tell how many cores the executors have now."""
        try:
            return int(self._context.defaultParallelism)
        except Exception as error:  # noqa: BLE001 - see _run
            raise self._failure(error) from None

    def _run(self, payload: bytes) -> bytes:
        """Run a shard as a job of its own, in a thread."""
        try:
            self._context.setJobGroup(_GROUP, "a shard", interruptOnCancel=True)
            [outcome] = self._context.parallelize([payload], 1).map(_run_shard).collect()
        except Exception as error:  # noqa: BLE001 - Spark's message may hold anything, so only its kind is told
            raise self._failure(error) from None
        else:
            return bytes(outcome)

    def _start(self, watch: Watch[Any]) -> None:
        """Make the context, in a thread: that takes its time, and would take over Ctrl-C in the main one."""
        if self._context is not None:
            return
        with Threads(1) as threads:
            making = threads.submit(self._make_context)
            try:
                while not making.done():
                    watch.look(running=0)
                    wait((making,), timeout=_PAUSE)
            except BaseException:
                making.add_done_callback(lambda made: None if made.exception() else made.result().stop())
                raise
            self._context = making.result()

    def _make_context(self) -> Any:
        from pyspark import SparkConf, SparkContext  # noqa: PLC0415 - it is an extra
        from pyspark.java_gateway import launch_gateway  # noqa: PLC0415 - see above

        with SparkContext._lock:  # noqa: SLF001 - there is no public way to ask whether there is one
            active = SparkContext._active_spark_context  # noqa: SLF001 - see above
        if active is not None:
            self._is_ours = False
            return active
        if is_here(self.master):
            os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        try:
            gateway = None
            if SparkContext._gateway is None:  # noqa: SLF001 - see above
                with open_private(self.log, "ab") as log:
                    to_log = {"stdout": log, "stderr": log, "start_new_session": True}
                    gateway = launch_gateway(SparkConf().setAll(self._settings()), to_log)
            return SparkContext(conf=SparkConf().setAll(self._settings()), gateway=gateway)
        except Exception as error:  # noqa: BLE001 - see _run
            raise self._failure(error) from None

    def _settings(self) -> list[tuple[str, str]]:
        settings = {"spark.app.name": "dicombq", "spark.ui.showConsoleProgress": "false"}
        if self.master:
            settings["spark.master"] = self.master
        if is_here(self.master):  # nobody else is to reach it
            settings |= {
                "spark.ui.enabled": "false",
                "spark.driver.host": _LOOPBACK,
                "spark.driver.bindAddress": _LOOPBACK,
            }
        return list(settings.items())

    def _failure(self, error: Exception) -> DicombqError:
        """Say what went wrong of what Spark says."""
        if _NO_MODULE in str(error):
            return Failed(
                "the executors of Spark cannot import dicombq",
                "Install this version of it where they run: see docs/how-to/spark.md.",
            )
        kind = type(error).__name__
        if self._context is None:
            return Failed(
                f"Spark could not be started ({kind})",
                f"It needs Java 17, and its master has to be reached; it says more in [{self.log}].",
            )
        return Failed(
            f"Spark gave up a shard ({kind})",
            f"Its executors may be short of memory; it says more in [{self.log}], and in their own logs.",
        )


def is_here(master: str) -> bool:
    """Tell whether executors see the folders of this machine: they run on it, or no other machine reaches their master.

    A master that is not named may be anywhere.
    """
    return master.startswith(("local", f"spark://{_LOOPBACK}:", "spark://localhost:"))


def _run_shard(payload: bytes) -> bytes:
    """Run a shard, on an executor; an error that comes from it is its outcome: Spark need not try it again."""
    version, packed = _unpack(payload)
    if version != __version__:
        error = Failed(
            f"the executors of Spark have dicombq {__version__}, this is {version}",
            "Install the same version everywhere: see docs/how-to/spark.md.",
        )
        return pack((False, error))
    function, shard = pickle.loads(packed)  # noqa: S301 - the driver wrote it
    try:
        return pack((True, function(shard)))
    except Exception as error:  # noqa: BLE001 - it is raised where the shard came from
        return pack((False, error))


def _outcome(result: bytes) -> Any:
    succeeded, outcome = _unpack(result)
    if not succeeded:
        raise outcome
    return outcome


def pack(value: Any) -> bytes:
    """Pickle what travels; references of a shard are alike, and become a tenth."""
    return zlib.compress(pickle.dumps(value), 1)


def _unpack(data: bytes) -> Any:
    return pickle.loads(zlib.decompress(data))  # noqa: S301 - the other end is ours
