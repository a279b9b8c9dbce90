"""What a second worker of Apache Spark brings: ``python -m benchmarks.spark``, where nothing else runs.

The files are headers of enhanced MR in the page cache, so that a shard takes a second; in a large archive it takes
longer still. A standalone cluster with one worker of one core reads them, and then one with two. What is told is the
time of the last third of the receipts: until then Java compiles itself, on the same cores.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import instances
from benchmarks.table import markdown
from tests import spark_cluster

_LOOK = 0.25


def staging_time(folder: Path, workers: int, scratch: Path) -> float:
    """Export on so many workers until all shards are staged; give the seconds that one took."""
    home = scratch / f"home-{workers}"
    (scratch / f"spark-{workers}").mkdir()
    with spark_cluster.serve(scratch / f"spark-{workers}", workers) as cluster:
        command = [sys.executable, "-m", "dicombq", "export", "bq", str(folder), "--engine=spark"]
        environment = {**os.environ, "DICOMBQ_HOME": str(home)}
        seen: list[float] = []
        with subprocess.Popen([*command, f"--engine-master={cluster.master}"], env=environment) as process:
            while process.poll() is None and len(seen) < _shards(home):
                count = len(list(home.glob("operations/*/receipts/*.json")))
                seen += [time.monotonic()] * (count - len(seen))
                time.sleep(_LOOK)
            if process.returncode is not None:
                raise RuntimeError(f"the export ended with {process.returncode}")
            process.terminate()  # what comes then is done by the driver alone
    warm = 2 * len(seen) // 3
    return (seen[-1] - seen[warm - 1]) / (len(seen) - warm)


def _shards(home: Path) -> float:
    """Give how many shards there are, as far as that is known."""
    for state in home.glob("operations/*/state.json"):
        if shards := json.loads(state.read_bytes()).get("shards"):
            return float(shards["total"])
    return float("inf")


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.spark", description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=160_000, metavar="N")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "files")
        made = instances.write(folder, "enhanced MR, 200 frames as scanned", range(400))
        for number, path in enumerate(made * (options.files // 400 - 1)):
            os.link(path, folder / f"again-{number}.dcm")
        times = [staging_time(folder, workers, Path(scratch)) for workers in (1, 2)]
    print(
        markdown(
            ["workers", "seconds a shard", "times as fast"], [[1, times[0], 1], [2, times[1], times[0] / times[1]]]
        )
    )


if __name__ == "__main__":
    main()
