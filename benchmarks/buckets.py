"""What it costs to read headers from Cloud Storage, next to the loop that one writes around its official client."""

from __future__ import annotations

import io
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pydicom import dcmread

from benchmarks import instances
from benchmarks.table import markdown
from dicombq.names import Parent
from dicombq.rows.reader import active_reader, read_row
from dicombq.rows.record import Record
from dicombq.stores.base import Found
from dicombq.stores.bucket import PREFIX, BucketStore
from dicombq.table.mapping import MAX_ELEMENT_SIZE
from tests import gcs_server, proxy
from tests.gcs_server import GcsBucket

_THREADS = 16
_KIND = "CT, in series of 100"


def section(files: int, repeat: int) -> str:
    """Read the headers of a bucket of fake-gcs-server in three ways, in turns, in one process each time."""
    if not gcs_server.EXECUTABLE:
        return gcs_server.MISSING
    with tempfile.TemporaryDirectory() as scratch, gcs_server.serve(gcs_server.EXECUTABLE, Path(scratch)) as url:
        os.environ["STORAGE_EMULATOR_HOST"] = url
        bucket = GcsBucket.create(url)
        for path in instances.write(Path(scratch), _KIND, range(files)):
            bucket.put(f"{path.parent.name}/{path.name}", path.read_bytes())
        ways: dict[str, Callable[[], int]] = {
            "google-cloud-storage, 16 threads, pydicom": lambda: _obvious(bucket, _pydicom),
            f"google-cloud-storage, 16 threads, our {active_reader()} reader": lambda: _obvious(bucket, _ours),
            f"dicombq, our {active_reader()} reader": lambda: _dicombq(bucket),
        }
        costs: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for _ in range(repeat):
            for name, read in ways.items():
                costs[name].append(_cost(read, files))
        with proxy.serve(url) as counting:
            os.environ["STORAGE_EMULATOR_HOST"] = counting.url
            _dicombq(bucket)
            # the check whether anything may be read asks for one byte
            parts = [request for request in counting.requests if "Range" in request.headers and request.size > 1]
    rows: list[list[str | float]] = []
    for name, measured in costs.items():
        wall, cpu = (files / statistics.median(column) for column in zip(*measured, strict=True))
        rows.append([name, wall, cpu])
    least = rows[0][2]
    table = [[*row, float(row[2]) / float(least)] for row in rows]
    size = sum(request.size for request in parts)
    each = f"{len(parts) / files:.2f} requests and {size / files / 1024:.1f} KB an instance, besides the listing"
    return f"{markdown(['headers', 'a second', 'a CPU second', 'ratio'], table)}\n\n{each}"


def _cost(read: Callable[[], int], files: int) -> tuple[float, float]:
    wall, cpu = time.monotonic(), time.process_time()
    if read() != files:
        raise RuntimeError("not all headers were read")
    return time.monotonic() - wall, time.process_time() - cpu


def _obvious(bucket: GcsBucket, parse: Callable[[bytes, int], Any]) -> int:
    def one(blob: Any) -> Any:
        return parse(blob.download_as_bytes(start=0, end=PREFIX - 1), blob.size)

    with ThreadPoolExecutor(_THREADS) as pool:
        return sum(1 for _ in pool.map(one, bucket.client.list_blobs()))


def _pydicom(data: bytes, _size: int) -> dict[str, Any]:
    return dcmread(io.BytesIO(data), stop_before_pixels=True).to_json_dict()


def _ours(data: bytes, size: int) -> bytes:
    return read_row(io.BytesIO(data), size).json


def _dicombq(bucket: GcsBucket) -> int:
    store = BucketStore.open(bucket.uri, Parent())
    return sum(isinstance(result, Found) for result in _read(store))


def _read(store: BucketStore) -> Iterator[Any]:
    return store.read(store.list(), Record, MAX_ELEMENT_SIZE)
