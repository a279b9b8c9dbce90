"""A standalone cluster of Apache Spark on the loopback interface, its daemons as processes of their own."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.processes import free_port, running

_SPEC = importlib.util.find_spec("pyspark")
MISSING = "pyspark and Java are not there: .ci/spark installs them"
IS_THERE = bool(_SPEC and shutil.which("java"))
_ROOT = Path(__file__).parents[1]
_EXECUTOR = "CoarseGrainedExecutorBackend"
_PATIENCE = 300.0  # seconds


@dataclass
class Cluster:
    """A master and its workers, each with one core."""

    master: str
    page: str
    folder: Path
    environment: Mapping[str, str]
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def add_worker(self) -> subprocess.Popen[bytes]:
        """Start a worker daemon, and wait until the master knows it."""
        known = self._alive()
        work = self.folder / f"worker-{len(self.workers)}"
        options = [
            "--host",
            "127.0.0.1",
            "--cores",
            "1",
            "--memory",
            "1g",
            "--webui-port",
            "0",
            "--work-dir",
            str(work),
        ]
        command = [_spark_class(), "org.apache.spark.deploy.worker.Worker", *options, self.master]
        with (self.folder / f"{work.name}.log").open("wb") as log:
            environment = {**os.environ, **self.environment}
            worker = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        self.workers.append(worker)
        wait_until(lambda: self._alive() > known)
        return worker

    def executors(self, worker: subprocess.Popen[bytes] | None = None) -> list[int]:
        """Name the processes of executors that run now, of one worker or of all."""
        above = [worker] if worker else self.workers
        below = [pid for each in above for pid in descendants(each.pid)]
        return [pid for pid in below if _EXECUTOR in _command(pid)]

    def lose(self, worker: subprocess.Popen[bytes]) -> None:
        """Lose a machine: its daemon and all that it started end at once."""
        for pid in [worker.pid, *descendants(worker.pid)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        worker.wait()

    def stop(self) -> None:
        """End the workers."""
        for worker in self.workers:
            self.lose(worker)

    def _alive(self) -> int:
        with urllib.request.urlopen(f"{self.page}/json/", timeout=30) as answer:
            return int(json.load(answer)["aliveworkers"])


@contextlib.contextmanager
def serve(folder: Path, workers: int = 2, environment: Mapping[str, str] | None = None) -> Iterator[Cluster]:
    """Run a cluster until the end of the block.

    Parameters
    ----------
    environment
        Of the daemons, and so of the executors.
    """
    port, page = free_port(), free_port()
    surroundings = {
        "SPARK_HOME": _home(),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_DAEMON_MEMORY": "256m",
        "SPARK_DAEMON_JAVA_OPTS": "-Dspark.master.rest.enabled=false -Dspark.worker.timeout=20",
        "PYSPARK_PYTHON": sys.executable,
        "PYTHONPATH": str(_ROOT),  # functions of the tests run there too
        **(environment or {}),
    }
    options = ["--host", "127.0.0.1", "--port", str(port), "--webui-port", str(page)]
    command = [_spark_class(), "org.apache.spark.deploy.master.Master", *options]
    with running(command, f"http://127.0.0.1:{page}", folder / "master.log", surroundings) as url:
        cluster = Cluster(f"spark://127.0.0.1:{port}", url, folder, surroundings)
        try:
            for _ in range(workers):
                cluster.add_worker()
            yield cluster
        finally:
            cluster.stop()


def wait_until(holds: Callable[[], object], patience: float = _PATIENCE) -> None:
    """Wait for something that happens in other processes."""
    deadline = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.1)


def descendants(pid: int) -> list[int]:
    """Name the processes that a process started, and those that they started."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(path.parent.name))
    found, ahead = [], [pid]
    while ahead:
        below = children.get(ahead.pop(), [])
        found += below
        ahead += below
    return found


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def _home() -> str:
    assert _SPEC
    assert _SPEC.origin
    return os.path.dirname(_SPEC.origin)


def _spark_class() -> str:
    return os.path.join(_home(), "bin", "spark-class")
