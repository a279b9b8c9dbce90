"""What a second worker of Apache Spark brings: ``python -m benchmarks.spark``, where nothing else runs.

The files are CT headers in the page cache. Shards take tenths of a second and more. A standalone cluster with
one worker of one core reads them, and then one with two; what is told is the time from the first receipt to the last,
without the start of the cluster and its executors.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import instances
from benchmarks.table import markdown
from tests import spark_cluster

_LOOK = 0.05


def staging_time(folder: Path, workers: int, scratch: Path) -> float:
    """Export on so many workers; give the seconds between the first shards and the last."""
    home = scratch / f"home-{workers}"
    (scratch / f"spark-{workers}").mkdir()
    with spark_cluster.serve(scratch / f"spark-{workers}", workers) as cluster:
        command = [sys.executable, "-m", "dicombq", "export", "bq", str(folder), "--engine=spark"]
        environment = {**os.environ, "DICOMBQ_HOME": str(home)}
        seen: list[float] = []
        with subprocess.Popen([*command, f"--engine-master={cluster.master}"], env=environment) as process:
            while process.poll() is None:
                count = len(list(home.glob("operations/*/receipts/*.json")))
                seen += [time.monotonic()] * (count - len(seen))
                time.sleep(_LOOK)
    if process.returncode:
        raise RuntimeError(f"the export ended with {process.returncode}")
    warm = 2 * workers  # the first ones wait for Python to start
    return (seen[-1] - seen[warm - 1]) / (len(seen) - warm)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.spark", description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=40_000, metavar="N")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "files")
        made = instances.write(folder, "CT, in series of 100", range(1000))
        for number, path in enumerate(made * (options.files // 1000 - 1)):
            os.link(path, folder / f"again-{number}.dcm")
        times = [staging_time(folder, workers, Path(scratch)) for workers in (1, 2)]
    print(
        markdown(
            ["workers", "seconds a shard", "times as fast"], [[1, times[0], 1], [2, times[1], times[0] / times[1]]]
        )
    )


if __name__ == "__main__":
    main()
