"""Every exit code of the command line, each by a situation that is real; 0 and 3 are in test_outputs.py."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

from dicombq.export.staging import Receipt, ShardSpec, stage_shard
from dicombq.operations.state import Operation, State
from dicombq.operations.store import OperationStore
from dicombq.warehouses import bigquery as bigquery_warehouse
from tests.cli.conftest import Result, Run
from tests.fakes.bigquery import BigQueryFake, Fault
from tests.instances import write_instance


def error_of(result: Result, code: int) -> str:
    """Check that an export failed with one error line and at most one hint; give the message."""
    assert (result.code, result.out) == (code, "")
    assert "Traceback" not in result.err
    lines = result.err.splitlines()
    [number] = [index for index, line in enumerate(lines) if line.startswith("ERROR: (dicombq.")]
    assert len(lines) - number <= 2
    return lines[number].partition(") ")[2]


def last(home: Path) -> Operation:
    return OperationStore(home).list()[0][0]


@contextmanager
def held_by_another_process(file: Path) -> Iterator[int]:
    script = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", script, str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield holder.pid
        holder.communicate()


def test_1_for_a_file_in_the_place_of_home(run: Run, scans: Path, home: Path) -> None:
    home.write_text("")
    assert error_of(run("export", "bq", "scans"), 1) == f"the folder [{home}] cannot be used: File exists."
    assert run("operations", "list").code == 1


def test_1_for_an_error_in_sql(run: Run, scans: Path) -> None:
    run("export", "bq", "scans")
    assert error_of(run("query", "SELEC 1"), 1)
    assert "Nothing" in error_of(run("query", "SELECT Nothing FROM dicom.scans"), 1)


def stage_or_be_killed(spec: ShardSpec) -> Receipt:
    if multiprocessing.parent_process():
        os.kill(os.getpid(), signal.SIGKILL)
    return stage_shard(spec)


def test_1_for_a_worker_that_was_killed(run: Run, scans: Path, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setattr("dicombq.shards.listing.SHARD_SIZE", 1)
    monkeypatch.setattr("dicombq.export.run.stage_shard", stage_or_be_killed)
    result = run("export", "bq", "scans", "--workers=2")
    assert error_of(result, 1) == "a worker process was killed."
    assert "to complete...failed.\n" in result.err
    assert last(home).state is State.FAILED


def test_1_for_a_defect_without_a_traceback(run: Run, scans: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def defect(*_arguments: object) -> None:
        raise ValueError("Canary^Jane")

    monkeypatch.setattr("dicombq.export.task.plan", defect)
    result = run("export", "bq", "scans")
    assert error_of(result, 1).startswith("internal error: ValueError at test_exit_codes.py:")
    assert "Canary" not in result.err


@pytest.mark.parametrize(
    ("flag", "part"),
    [
        ("--bq-table=bq://p.d.my-table", "the table [my-table]"),
        ("--bq-table=duckdb://x.duckdb/d.t t", "the table [t t]"),
        ("--bq-table=p.d.t", "[p.d.t] is not a table URI"),
        ("--bq-table=bq://p.d." + "t" * 1992, "2001 characters; 2000 are allowed"),
        ("--project=a b", "the project [a b] is not a name"),
    ],
)
def test_2_for_a_name_that_is_none(run: Run, scans: Path, home: Path, flag: str, part: str) -> None:
    assert part in error_of(run("export", "bq", "scans", flag), 2)
    assert not home.exists()


def test_2_for_an_operation_that_is_none(run: Run) -> None:
    assert error_of(run("operations", "describe", "../1"), 2) == "[../1] is not an operation's ID or name."
    assert error_of(run("query", "SELECT 1", "--warehouse=x"), 2) == "[x] is not a warehouse."


def test_4_for_a_table_that_exists(run: Run, scans: Path) -> None:
    run("export", "bq", "scans")
    assert error_of(run("export", "bq", "scans"), 4).endswith("exists already.")
    assert error_of(run("export", "bq", "scans", "--write-disposition=write-empty"), 4).endswith("is not empty.")
    assert run("export", "bq", "scans", "--overwrite-table").code == 0


def test_4_for_the_other_schema(run: Run, scans: Path) -> None:
    run("export", "bq", "scans", "--schema=json")
    message = error_of(run("export", "bq", "scans", "--write-disposition=write-append"), 4)
    assert "the column [DroppedTags] is REPEATED STRING in the table" in message
    assert "but REPEATED RECORD in what is exported" in message


def test_4_for_a_file_that_is_not_duckdb(run: Run, scans: Path, here: Path) -> None:
    (here / "x.duckdb").write_text("Canary" * 1000)
    result = run("export", "bq", "scans", "--bq-table=duckdb://x.duckdb/d.t")
    assert "is not a DuckDB file" in error_of(result, 4)
    assert "Canary" not in result.err
    assert (here / "x.duckdb").read_text() == "Canary" * 1000


def test_4_for_an_operation_of_a_newer_version(run: Run, home: Path) -> None:
    (home / "operations" / "5").mkdir(parents=True)
    (home / "operations" / "5" / "state.json").write_text('{"version": 99, "id": "5"}')
    assert error_of(run("operations", "describe", "5"), 4) == "operation [5] was written by a newer dicombq."


def test_5_for_a_quota(run: Run, scans: Path, bigquery: BigQueryFake, home: Path) -> None:
    bigquery.fail("jobs.upload.start", Fault.QUOTA, times=100)
    bigquery.fail("jobs.insert", Fault.QUOTA, times=100)
    message = error_of(run("export", "bq", "scans", "--bq-table=bq://p.d.t"), 5)
    assert "a quota is used up" in message
    assert last(home).to_api()["error"] == {"code": 14, "message": message[:-1]}


def test_5_for_a_server_that_stays_broken(
    run: Run, scans: Path, bigquery: BigQueryFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bigquery_warehouse, "PATIENCE", 0.1)
    bigquery.fail("tables.get", Fault.UNAVAILABLE, times=1000)
    assert "BigQuery could not be used" in error_of(run("export", "bq", "scans", "--bq-table=bq://p.d.t"), 5)


def test_6_for_a_permission_that_is_missing(run: Run, scans: Path, bigquery: BigQueryFake) -> None:
    bigquery.forbidden.add("tables.get")
    result = run("export", "bq", "scans", "--bq-table=bq://p.d.t")
    assert "does not permit" in error_of(result, 6)
    assert "roles/bigquery.dataEditor" in result.err
    assert "roles/bigquery.jobUser" in result.err


def test_6_for_missing_credentials(run: Run, scans: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(here))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    result = run("export", "bq", "scans", "--bq-table=bq://p.d.t")
    assert "no usable Google Cloud credentials" in error_of(result, 6)
    assert "gcloud auth application-default login" in result.err


def test_6_for_a_folder_that_may_not_be_read(run: Run, scans: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("the superuser may read every folder")
    scans.chmod(0)
    try:
        assert "cannot be listed" in error_of(run("export", "bq", "scans"), 6)
    finally:
        scans.chmod(0o700)


def test_7_for_what_is_not_there(run: Run, scans: Path, bigquery: BigQueryFake) -> None:
    assert error_of(run("export", "bq", "nowhere"), 7) == "there is no folder [nowhere]."
    assert error_of(run("export", "bq", "/dev/null"), 7) == "[/dev/null] is neither a folder nor a file."
    assert "no BigQuery dataset [p.none]" in error_of(run("export", "bq", "scans", "--bq-table=bq://p.none.t"), 7)
    assert "no folder" in error_of(run("export", "bq", "scans", "--bq-table=duckdb://no/x.duckdb/d.t"), 7)
    assert error_of(run("operations", "describe", "5"), 7) == "there is no operation [5]."
    assert error_of(run("operations", "logs", "5"), 7) == "there is no operation [5]."
    assert "there is no warehouse" in error_of(run("query", "SELECT 1"), 7)


def test_11_for_a_file_that_another_process_holds(run: Run, scans: Path, here: Path) -> None:
    with held_by_another_process(here / "x.duckdb") as holder:
        result = run("export", "bq", "scans", "--bq-table=duckdb://x.duckdb/d.t", "--lock-timeout=0")
        assert f"(PID {holder} on this host)" in error_of(result, 11)
        assert "--lock-timeout" in result.err
        assert run("query", "SELECT 1", "--warehouse=duckdb://x.duckdb", "--lock-timeout=0").code == 11
    assert run("export", "bq", "scans", "--bq-table=duckdb://x.duckdb/d.t").code == 0


@pytest.fixture
def many(here: Path) -> Path:
    """A folder of enough files to be interrupted in."""
    first = write_instance(here / "many" / "0.dcm", 1, PatientName="Canary^Jane")
    for number in range(1, 30_000):
        os.link(first, here / "many" / f"{number}.dcm")
    return here / "many"


@pytest.mark.parametrize(
    ("number", "tell", "workers", "code", "message"),
    [
        (signal.SIGINT, os.killpg, 1, 130, "interrupted"),  # as a terminal does
        (signal.SIGINT, os.killpg, 2, 130, "interrupted"),
        (signal.SIGTERM, os.kill, 2, 143, "terminated"),
        (signal.SIGTERM, os.killpg, 2, 143, "terminated"),  # as systemd does
    ],
)
def test_130_and_143_for_an_export_that_is_told_to_end(
    many: Path, home: Path, number: int, tell: Callable[[int, int], None], workers: int, code: int, message: str
) -> None:
    command = [sys.executable, "-m", "dicombq", "export", "bq", "many", f"--workers={workers}"]
    store = OperationStore(home)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        while not any(operation.state is State.STAGING for operation in store.list()[0]):
            assert process.poll() is None
        tell(process.pid, number)
        out, err = process.communicate()  # its workers hold the pipes: they have ended too
    assert (process.returncode, out) == (code, "")
    waiting, error, hint = err.splitlines()[1:]
    assert waiting.endswith("to complete...cancelled.")
    assert error == f"ERROR: (dicombq.export.bq) {message}."
    assert hint == f"Go on with it: dicombq operations resume {last(home).id}"
    assert last(home).state is State.CANCELLED
    assert last(home).to_api()["error"] == {"code": 1, "message": "interrupted"}
    assert not (home / "warehouse.duckdb").exists()


def test_130_for_ctrl_c_while_rows_are_sent(scans: Path, home: Path, bigquery: BigQueryFake) -> None:
    bigquery.fail("jobs.insert", Fault.STALL, seconds=600)
    command = [sys.executable, "-m", "dicombq", "export", "bq", "scans", "--bq-table=bq://p.d.t"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while bigquery._plans[0].times:
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert process.returncode == 130
    identity = last(home).id
    error, hint = err.splitlines()[-2:]
    assert f"interrupted, and the load job [dicombq_export_{identity}] was sent, but" in error
    assert hint.endswith(f"it asks for this job first. Go on with it: dicombq operations resume {identity}")
    assert last(home).state is State.CRASHED  # the rows are on their way


def test_130_for_ctrl_c_in_a_query(run: Run, scans: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dicombq.warehouses.duckdb import DuckdbWarehouse

    def interrupt(self: DuckdbWarehouse, sql: str, *_more: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(DuckdbWarehouse, "query", interrupt)
    assert error_of(run("query", "SELECT 1"), 130) == "interrupted."


def test_0_for_an_export_whose_output_nobody_reads(scans: Path, home: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "dicombq", "export", "bq", "scans"]
    assert subprocess.run(command, stdout=writer, stderr=subprocess.DEVNULL, check=False).returncode == 0
    os.close(writer)
    assert last(home).state is State.DONE


def test_a_reader_that_goes_away_is_no_error_message(run: Run, scans: Path, here: Path) -> None:
    with duckdb.connect(str(here / "x.duckdb")) as connection:
        connection.execute("CREATE SCHEMA d; CREATE TABLE d.t AS SELECT range AS number FROM range(200000)")
    command = [sys.executable, "-m", "dicombq", "query", "SELECT * FROM d.t", "--warehouse=duckdb://x.duckdb"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "number\n"
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1
