"""Exports on a cluster of Apache Spark: the same table as here, whatever is killed meanwhile."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from benchmarks import instances
from dicombq.engines.registry import EngineChoice
from dicombq.export.request import ExportRequest
from dicombq.export.task import export_task
from dicombq.names import BigQueryTable, DuckdbTable, Parent, StoreName
from dicombq.operations import jobs
from dicombq.operations.kinds import Settings
from dicombq.operations.state import Operation, State
from dicombq.operations.store import OperationStore
from dicombq.shards import listing
from dicombq.table.disposition import Disposition
from dicombq.warehouses.destination import BigQueryDestination
from tests import slow_folder
from tests.cli.conftest import Run, here, run
from tests.instances import ROOT
from tests.slow_folder import SlowFolder
from tests.spark_cluster import Cluster, descendants, wait_until
from tests.tables import list_bigquery

if TYPE_CHECKING:
    from tests.fakes.bigquery import BigQueryFake
    from tests.gcs_server import GcsBucket

__all__ = ["here", "run"]  # fixtures
CORPUS = os.environ.get("DICOMBQ_CORPUS")
COUNT = int(os.environ.get("DICOMBQ_SPARK_INSTANCES", "1000"))
"""20,000 in the long run."""

SLOW = 24
"""Instances where something is killed, in shards of two."""


def table_of(home: Path, name: str) -> tuple[list[str], Counter[str]]:
    """Give the columns of a table in the embedded warehouse, and its rows, in no order."""
    with duckdb.connect(str(home / "warehouse.duckdb"), read_only=True) as connection:
        found = connection.execute(f"SELECT * FROM dicom.{name}")
        columns = [column[0] for column in found.description]
        return columns, Counter(map(repr, found.fetchall()))


def sources() -> list[Any]:
    corpus = pytest.param("corpus", marks=pytest.mark.skipif(not CORPUS, reason="DICOMBQ_CORPUS names no folder"))
    return ["generated", corpus]


@pytest.mark.parametrize("source", sources())
def test_the_table_is_that_of_an_export_here_row_for_row(
    run: Run, home: Path, tmp_path: Path, spark_cluster: Cluster, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "SHARD_SIZE", max(COUNT // 20, 20))
    folder = Path(CORPUS or "", "dicom")
    if source == "generated":
        folder = tmp_path / "generated"
        instances.write(folder, "CT, in series of 100", range(COUNT))
        for number, path in enumerate(sorted(folder.rglob("*.dcm"))[::50]):
            copy = folder / f"again-{number}.dcm"
            copy.write_bytes(path.read_bytes())
            os.utime(copy, (4_000_000_000, 4_000_000_000))
    local = run("export", "bq", str(folder), f"--bq-table=duckdb://{home}/warehouse.duckdb/dicom.local")
    spark = run(
        "export",
        "bq",
        str(folder),
        f"--bq-table=duckdb://{home}/warehouse.duckdb/dicom.spark",
        "--engine=spark",
        f"--engine-master={spark_cluster.master}",
    )
    assert (spark.code, local.code) == (local.code, 0 if source == "generated" else 3)
    here, there = table_of(home, "local"), table_of(home, "spark")
    assert there[0] == here[0]
    assert there[1] == here[1]
    assert here[1].total() >= (COUNT if source == "generated" else 50)
    first, second = OperationStore(home).list()[0]
    assert first.counters == second.counters
    assert first.counters.duplicates >= (COUNT // 50 if source == "generated" else 0)


def test_a_bucket_is_exported_by_executors_that_see_nothing_else(
    run: Run, home: Path, tmp_path: Path, spark_cluster: Cluster, bigquery: BigQueryFake, gcs_bucket: GcsBucket
) -> None:
    for path in instances.write(tmp_path / "made", "CT, in series of 100", range(30)):
        gcs_bucket.put(f"scans/{path.name}", path.read_bytes())
    (tmp_path / "wanted.txt").write_text(f"/studies/{ROOT}.9\n")
    arguments = (f"{gcs_bucket.uri}/scans", "--engine=spark", f"--engine-master={spark_cluster.master}")
    staging = f"--staging={gcs_bucket.uri}/rows"
    result = run("export", "bq", *arguments, staging, "--bq-table=bq://p.d.t")
    assert (result.code, "(30 new rows)" in result.err) == (0, True)
    assert len(list_bigquery(BigQueryTable("p", "d", "t"))) == 30
    assert all(key.startswith("scans/") for key in list(gcs_bucket.keys()))
    [operation] = OperationStore(home).list()[0]
    filtered = run(
        "export",
        "bq",
        *arguments,
        staging,
        "--bq-table=bq://p.d.none",
        f"--filter-config-gcs-uri={tmp_path}/wanted.txt",
    )
    assert "0 new rows" in filtered.err or "no instance" in filtered.err
    assert operation.state is State.DONE


@pytest.fixture
def slow(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SlowFolder:
    """Instances in shards of two, whose reading waits."""
    monkeypatch.setattr(listing, "SHARD_SIZE", 2)
    monkeypatch.setattr(listing, "_SMALL_SHARDS", 1000)
    home.mkdir()
    return slow_folder_in(tmp_path)


def slow_folder_in(folder: Path) -> SlowFolder:
    instances.write(folder / "scans", "CT, in series of 100", range(SLOW))
    (folder / "gate").mkdir()
    (folder / "gate" / "closed").touch()
    return SlowFolder(StoreName(Parent(), "scans"), folder / "scans", gate=folder / "gate")


def begin(store: SlowFolder, home: Path, master: str) -> Operation:
    """Export to a table of the embedded warehouse."""
    table = DuckdbTable(home / "warehouse.duckdb", "dicom", "t")
    destination = BigQueryDestination(table, Disposition.NONE)
    settings = Settings(home)
    request = ExportRequest(store, destination, engine=EngineChoice("spark", master))
    with jobs.begin(export_task(request, settings), settings) as job:
        job.run(lambda _operation: None)
    return job.operation


def meanwhile(store: SlowFolder, attack: Callable[[], None], attempts: int) -> threading.Thread:
    """Attack when two shards run, and let the reading go on when so many attempts were begun."""

    def wait_and_attack() -> None:
        wait_until(lambda: len(slow_folder.attempts(store.gate)) >= 2)
        attack()
        try:
            wait_until(lambda: len(slow_folder.attempts(store.gate)) >= attempts)
        finally:
            (store.gate / "closed").unlink()

    thread = threading.Thread(target=wait_and_attack, daemon=True)
    thread.start()
    return thread


def assert_nothing_is_lost_or_doubled(operation: Operation, store: SlowFolder, home: Path) -> None:
    counters = operation.counters
    assert (counters.found, counters.success, counters.failure, counters.duplicates) == (SLOW, SLOW, 0, 0)
    _, rows = table_of(home, "t")
    assert (len(rows), rows.total()) == (SLOW, SLOW)
    ran = Counter(slow_folder.attempts(store.gate))
    assert len(ran) == SLOW // 2
    assert max(ran.values()) >= 2, "no shard ran twice: nothing was tried"


def test_an_executor_that_is_killed_costs_a_second_attempt_and_nothing_else(
    slow: SlowFolder, home: Path, spark_cluster: Cluster
) -> None:
    # its worker starts another one, to which the shard goes while the other executor is busy
    thread = meanwhile(slow, lambda: os.kill(spark_cluster.executors()[0], signal.SIGKILL), attempts=3)
    operation = begin(slow, home, spark_cluster.master)
    thread.join()
    assert_nothing_is_lost_or_doubled(operation, slow, home)


def test_a_machine_that_is_lost_costs_a_second_attempt_and_nothing_else(
    slow: SlowFolder, home: Path, spark_cluster: Cluster
) -> None:
    thread = meanwhile(slow, lambda: spark_cluster.lose(spark_cluster.workers[0]), attempts=2)
    operation = begin(slow, home, spark_cluster.master)
    thread.join()
    spark_cluster.add_worker()
    assert_nothing_is_lost_or_doubled(operation, slow, home)


@contextlib.contextmanager
def driven(folder: Path, home: Path, master: str) -> Iterator[subprocess.Popen[bytes]]:
    """Export what is in a folder by a process of its own: three shards, and more until the end of the block."""
    command = [sys.executable, "-c", "from tests.proofs.test_spark import drive; drive()"]
    with (
        (folder / "driver.log").open("wb") as log,
        subprocess.Popen(
            [*command, str(folder), str(home), master], cwd=Path(__file__).parents[2], stdout=log, stderr=log
        ) as driver,
    ):
        try:
            wait_until(lambda: len(receipts_in(home)) >= 3 or driver.poll() is not None)
            yield driver
        finally:
            driver.kill()


def receipts_in(home: Path) -> list[Path]:
    return list(home.glob("operations/*/receipts/*.json"))


@pytest.mark.usefixtures("slow")
def test_an_export_that_loses_the_java_beside_it_fails_with_advice(
    home: Path, tmp_path: Path, spark_cluster: Cluster
) -> None:
    with driven(tmp_path, home, spark_cluster.master) as driver:
        os.kill(descendants(driver.pid)[0], signal.SIGKILL)
        driver.wait()
    [found] = OperationStore(home).list()[0]
    assert found.error
    assert "Spark gave up a shard" in found.error.message


def test_an_export_whose_driver_is_killed_is_gone_on_with_elsewhere_and_reads_nothing_twice(
    run: Run, slow: SlowFolder, home: Path, tmp_path: Path, spark_cluster: Cluster
) -> None:
    with driven(tmp_path, home, spark_cluster.master):
        pass
    accepted = len(receipts_in(home))
    assert 3 <= accepted < SLOW // 2
    wait_until(lambda: not spark_cluster.executors())  # whose driver is gone
    (slow.gate / "closed").unlink()
    [found] = OperationStore(home).list()[0]
    assert found.state is State.CRASHED
    listed = listing.read_listing(found.folder)
    assert listed
    for receipt in receipts_in(home):  # what was read need not be there any more
        for ref in listing.read_refs(slow, found.folder, *listed.shards[int(receipt.stem)]):
            Path(ref.uri).unlink()
    result = run("operations", "resume", found.id, "--engine=local")
    assert (result.code, f"({SLOW} new rows)" in result.err) == (0, True)
    _, rows = table_of(home, "t")
    assert (len(rows), rows.total()) == (SLOW, SLOW)


def drive() -> None:
    """Be a driver: export what is in a folder, as the test does."""
    folder, home, master = sys.argv[1:]
    listing.SHARD_SIZE = 2
    listing._SMALL_SHARDS = 1000
    store = SlowFolder(StoreName(Parent(), "scans"), Path(folder, "scans"), gate=Path(folder, "gate"), free=3)
    begin(store, Path(home), master)
