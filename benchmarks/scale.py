"""What a hundred million instances cost the machine that drives an export: ``python -m benchmarks.scale``.

No header is read. A store makes up references, and an engine in this process lists its parts and answers each shard
with keys and a receipt of the sizes that real ones have. All else is what an export does: plan, listing, shards, their
packing for executors, receipts, duplicates, and the load up to the call of the warehouse. What the store and the engine
do in its place is measured apart, and taken off.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

import orjson
from pydicom._dicom_dict import DicomDictionary

from benchmarks.table import markdown
from dicombq.engines.base import Watch
from dicombq.engines.spark import pack
from dicombq.export.area import StagingArea
from dicombq.export.plan import plan
from dicombq.export.request import ExportRequest
from dicombq.export.run import Export
from dicombq.export.staging import Key, Receipt, ShardSpec
from dicombq.export.task import EXPORT_BQ
from dicombq.names import BigQueryTable, Parent, StoreName
from dicombq.operations.log import LogEntry
from dicombq.operations.state import Operation, State
from dicombq.operations.store import OperationStore
from dicombq.shards.spread import PartSpec, list_part
from dicombq.stores.base import PLAIN, Place, StoreOptions
from dicombq.stores.bucket import BucketStore
from dicombq.stores.object_client import ObjectRef
from dicombq.table.disposition import Disposition, TableState
from dicombq.warehouses.base import Load, LoadResult, Table
from dicombq.warehouses.destination import BigQueryDestination

_SERIES = 300
"""Instances of a series."""

_STEP = 7919
"""Between the UIDs of two series."""

_TWICE = 100_000
"""One of so many instances lies there twice."""

_NOTICED = 1000
"""One of so many has a value that does not fit."""

_COLUMNS = [
    [keyword for vr, _, _, _, keyword in itertools.islice(DicomDictionary.values(), 1000, 1400 + more) if vr != "SQ"]
    for more in (0, 20, 40)
]
_ROOM = 40_000_000_000
_UPDATED = "2026-01-01T00:00:00.000000Z"


@dataclass(frozen=True)
class MadeUpStore:
    """A bucket of so many objects, in series, with names as archives have them."""

    count: int
    name: StoreName = StoreName(Parent(), "made-up")  # noqa: RUF009 - it is frozen
    source: str = "gs://made-up/archive"
    options: StoreOptions = PLAIN
    whole: ClassVar[Place] = Place("0")

    def ref(self, noted: list[Any]) -> ObjectRef:
        """Make a reference of its fields."""
        return ObjectRef(*noted)

    def list_part(self, place: Place, most: int) -> Iterator[ObjectRef | Place]:
        """Stream some references, and a place for each fourth of the rest."""
        start, end = int(place.start), int(place.end or self.count)
        stop = min(start + most, end)
        for number in range(start, stop):
            series = number // _SERIES
            uri = (
                f"gs://made-up/archive/2026/{series // 3:08d}/1.2.840.113619.2.55.3.{series * _STEP:012d}/"
                f"1.2.840.113619.2.55.3.{series * _STEP:012d}.{number % _SERIES}.dcm"
            )
            yield ObjectRef(uri, 526_336, f"{1_700_000_000_000_000 + number}", _UPDATED, "STANDARD")
        step = -(-(end - stop) // 4) or 1
        for at in range(stop, end, step):
            yield Place(str(at), str(min(at + step, end)))

    def list_apart(self, places: Iterable[Place]) -> Iterator[ObjectRef]:
        """Nothing."""
        return iter(())

    list = original = read = has = BucketStore.has  # not called


@dataclass
class AnsweringEngine:
    """An engine whose shards nobody reads.

    Parameters
    ----------
    aside
        CPU seconds of what is not the driver's.
    """

    aside: float = 0.0
    sent: Counter[str] = field(default_factory=Counter)
    distributes: ClassVar[bool] = True
    workers: ClassVar[int] = 1

    def map_shards(self, function: Callable[[Any], Any], shards: Iterable[Any], watch: Watch[Any]) -> None:
        """Answer each shard."""
        for shard in shards:
            watch.look(running=1)
            self.sent[function.__name__] += len(pack(shard))
            begin = time.process_time()
            outcome = list_part(shard) if isinstance(shard, PartSpec) else answer(shard)
            self.aside += time.process_time() - begin
            watch.take(outcome)

    def close(self) -> None:
        """Nothing."""


def answer(spec: ShardSpec) -> Receipt:
    """Stage the keys of a shard, and no rows."""
    with spec.area.attempt(spec.number) as attempt:
        receipt = Receipt(spec.number, attempt.rows_name, attempt.keys_name, longest_row=9000, column_sets=_COLUMNS)
        for ref in spec.refs:
            number = int(ref.uri.rpartition("/")[0][-12:]) // _STEP * _SERIES + int(ref.uri.split(".")[-2])
            name = number - 1 if number % _TWICE == 1 else number
            digest = blake2b(b"%d" % name, digest_size=16).hexdigest()
            key = Key(spec.number, receipt.rows, digest, _UPDATED, ref.uri, number % 3)
            attempt.keys.write(orjson.dumps(key, option=orjson.OPT_APPEND_NEWLINE))
            if number % _NOTICED == 0:
                receipt.log.append(LogEntry("NOTICE", "", ref.uri, "00280010", "not a number"))
                receipt.notices += 1
            receipt.rows += 1
    return receipt


@dataclass(frozen=True)
class NamingArea(StagingArea):
    """A folder whose rows are named as those in a bucket."""

    def elsewhere(self, filter_copy: Path | None) -> StagingArea:
        """Give itself."""
        return self

    def row_uris(self, names: Iterable[str]) -> Sequence[str]:  # type: ignore[override]  # no list is needed
        """Name them."""
        return [f"gs://staging/dicombq-1/{name}" for name in names]


class MeasuredExport(Export):
    """An export into such a folder."""

    @property
    def area(self) -> StagingArea:
        """The operation's."""
        return NamingArea(self.folder / "shards")


@dataclass
class CountingWarehouse:
    """A table that takes a load, and says so."""

    operation: Operation | None = None
    uris: int = 0

    def state(self, table: BigQueryTable) -> Table:
        """Nothing is there."""
        return Table(TableState.MISSING)

    def load(self, table: BigQueryTable, load: Load) -> LoadResult:
        """Take it."""
        assert self.operation
        self.uris = len(load.uris)
        return LoadResult(self.operation.counters.success, load.fields, self.operation.counters.success)

    def replace_view(self, table: BigQueryTable, fields: Sequence[Any]) -> None:
        """Nothing."""


def measure(count: int, home: Path) -> list[object]:
    """Export so many instances that nobody has; give the row of the table."""
    engine, warehouse = AnsweringEngine(), CountingWarehouse()
    destination = BigQueryDestination(BigQueryTable("p", "d", "t"), Disposition.NONE)
    store: Any = MadeUpStore(count)
    request = ExportRequest(store, destination, staging="gs://staging")
    begun: dict[State, float] = {}

    def note(operation: Operation) -> None:
        begun.setdefault(operation.state, time.process_time() - engine.aside)

    used = [0, 0]
    ended = threading.Event()
    watcher = threading.Thread(target=lambda: _watch_disk(home, used, ended), daemon=True)
    watcher.start()
    plan(request, warehouse)  # type: ignore[arg-type]  # it is asked for nothing else
    running = OperationStore(home).create(EXPORT_BQ, store.name, "bq://p.d.t", request.to_api())
    warehouse.operation = running.operation
    export = MeasuredExport(request, warehouse, engine, running, note)  # type: ignore[arg-type]  # see above
    duplicates = mock.Mock()
    with (
        running,
        mock.patch("dicombq.export.run.without_rows", duplicates),
        mock.patch("dicombq.export.run.check_listing"),  # which reads some headers
    ):
        export.run()
    ended.set()
    watcher.join()
    counters = running.operation.counters
    assert counters.success + counters.duplicates == counters.found == count
    assert counters.pending == 0
    times = [begun[state] for state in (State.LISTING, State.STAGING, State.LOADING, State.DONE)]
    parts = [later - earlier for earlier, later in itertools.pairwise(times)]
    total = time.process_time() - engine.aside
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sent = sum(engine.sent.values())
    return [count, warehouse.uris, total, *parts, peak, used[0] / 1e9, used[1] / 1e9, sent / 1e9, counters.duplicates]


HEADINGS = [
    "instances",
    "staged files",
    "CPU, s",
    "listing",
    "receipts, duplicates",
    "load",
    "peak MiB",
    "disk, GB",
    "of it keys",
    "sent to executors, GB",
    "duplicates",
]


def _watch_disk(home: Path, used: list[int], ended: threading.Event) -> None:
    """Note the most that lies in a folder, and how much of it are keys."""
    while not ended.wait(2):
        sizes: Counter[bool] = Counter()
        for path in home.rglob("*"):
            with contextlib.suppress(OSError):
                sizes[".keys." in path.name] += path.stat().st_blocks * 512
        used[0], used[1] = max(used[0], sizes.total()), max(used[1], sizes[True])
        if used[0] > _ROOM:
            sys.exit("it takes too much room")


def main() -> None:
    """Measure each number in a process of its own, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__.partition("\n")[0])
    parser.add_argument("counts", type=int, nargs="*", default=[1_000_000, 10_000_000, 100_000_000], metavar="N")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help="where the operations' folders are for the while")
    options = parser.parse_args()
    if options.one:
        with tempfile.TemporaryDirectory(dir=options.folder) as home:
            print(orjson.dumps(measure(options.counts[0], Path(home))).decode())
        return
    rows = []
    for count in options.counts:
        command = [sys.executable, "-m", "benchmarks.scale", "--one", str(count)]
        command += [f"--folder={options.folder}"] if options.folder else []
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
        rows.append(orjson.loads(done.stdout))
        print(rows[-1], file=sys.stderr, flush=True)
    print(markdown(HEADINGS, rows))


if __name__ == "__main__":
    main()
