"""No value of a patient's is seen outside of tables and staged rows, whatever is exported, and whatever goes wrong."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

from tests.fakes.bigquery import BigQueryFake, Fault
from tests.proofs.canaries import NUMBER, TEXT, check_none_seen, fill, staged
from tests.proofs.kills import LOADING, moment_of
from tests.proofs.scenes import LONG, NEW, Arena
from tests.proofs.signals import wait_until
from tests.proofs.zygote import Ended, Zygote, names_file

LOUD = ("--verbosity=debug", "--log-http")
_numbers = iter(range(10**6))


@pytest.fixture(scope="module")
def patients(fast_folder: Path) -> Path:
    folder = fast_folder / "patients"
    fill(folder)
    return folder


def new_arena(folder: Path) -> Arena:
    """Make a place to export to."""
    made = Arena(folder / f"arena-{next(_numbers)}", NEW)
    for inner in (made.home, made.table.file.parent):
        inner.mkdir(parents=True)
    return made


@pytest.fixture
def arena(fast_folder: Path) -> Arena:
    return new_arena(fast_folder)


def look(process: Zygote, arena: Arena) -> list[str]:
    """Ask for all that can be asked about the operations; give what was said."""
    said: list[str] = []
    listed = process.run(arena.home, "operations", "list", "--format=json", *LOUD)
    for resource in json.loads(listed.out):
        name = resource["name"]
        for command in ("describe", "logs"):
            for kind in ("json", "yaml"):
                ended = process.run(arena.home, "operations", command, name, f"--format={kind}", *LOUD)
                assert ended.code == 0
                said += [ended.out, ended.err]
    return [*said, listed.out, listed.err]


def check_private(process: Zygote, arena: Arena, *ends: Ended) -> None:
    """Assert that no canary is in what commands said, in what they left, or in what can be asked afterwards."""
    said = [text for ended in ends for text in (ended.out, ended.err)]
    check_none_seen(arena.home, *said, *look(process, arena))


def check_is_in_table(arena: Arena) -> None:
    """Assert that the canaries were there to be seen."""
    rows = " ".join(arena.rows() or ())
    assert TEXT in rows
    assert str(NUMBER) in rows


@pytest.mark.parametrize("schema", ["flattened", "json"])
@pytest.mark.parametrize("flag", ["--workers=1", "--workers=2"])
def test_an_export_that_succeeds_shows_no_value(
    process: Zygote, arena: Arena, patients: Path, schema: str, flag: str
) -> None:
    ended = process.run(arena.home, *arena.export(patients, f"--schema={schema}", flag, *LOUD), shard_size=3)
    assert ended.code == 3, ended.err
    operation = arena.operation()
    assert operation is not None
    assert operation.counters.failure > 2
    assert operation.counters.notices or schema == "json"
    check_is_in_table(arena)
    check_private(process, arena, ended)


def test_a_disk_that_fails_and_a_process_that_is_killed_show_no_value(
    process: Zygote, fast_folder: Path, arena: Arena, patients: Path
) -> None:
    flags = ("--workers=1", *LOUD)
    assert process.run(arena.home, *arena.export(patients, *flags), shard_size=5, points={}).code == 3
    steps, _ = json.loads(names_file(arena.home).read_text())
    with_rows = 0
    for number, step in enumerate(range(3, len(steps), 5 if LONG else 29)):
        broken = new_arena(fast_folder)
        points = {"at": step, "action": ("ENOSPC", "kill", "EIO", "SIGTERM")[number % 4], "lasting": number % 8 < 4}
        ended = process.run(broken.home, *broken.export(patients, *flags), shard_size=5, points=points)
        with_rows += staged(broken.home)
        check_private(process, broken, ended)
        operation = broken.operation()
        if operation is not None and number % 2:
            resumed = process.run(broken.home, "operations", "resume", operation.id, *flags)
            check_private(process, broken, resumed)
    assert with_rows


@pytest.mark.parametrize(
    ("columns", "code"),
    [
        ("PatientID BIGINT", 4),
        ("PatientName VARCHAR", 4),
        (f"PatientID VARCHAR CHECK (PatientID <> '{TEXT}')", 1),
        ("PatientID VARCHAR UNIQUE", 1),
        ("Mine INTEGER NOT NULL", 1),
        ("Mine INTEGER DEFAULT 1", 3),
    ],
)
def test_a_table_that_does_not_take_the_rows_shows_no_value(
    process: Zygote, arena: Arena, patients: Path, columns: str, code: int
) -> None:
    with duckdb.connect(str(arena.table.file)) as connection:
        connection.execute(f"CREATE SCHEMA d; CREATE TABLE d.t ({columns})")
    command = arena.export(patients, "--write-disposition=write-append", *LOUD)
    ended = process.run(arena.home, *command)
    assert ended.code == code, ended.err
    check_private(process, arena, ended)
    operation = arena.operation()
    if operation is not None and code != 3:
        assert staged(arena.home)
        check_private(process, arena, process.run(arena.home, "operations", "resume", operation.id, *LOUD))


@pytest.mark.parametrize("method", ["tables.get", "jobs.insert", "jobs.get", "tables.insert"])
@pytest.mark.parametrize("fault", [Fault.QUOTA, Fault.LOSE_ANSWER])
def test_a_server_that_fails_shows_no_value(
    process: Zygote, arena: Arena, patients: Path, bigquery: BigQueryFake, method: str, fault: Fault
) -> None:
    bigquery.job_polls = 1
    bigquery.fail(method, fault, after=int(method == "tables.get"))
    ended = process.run(
        arena.home, "export", "bq", str(patients), "--bq-table=bq://p.d.t", *LOUD, environment=server(bigquery)
    )
    assert "GET /bigquery" in ended.err
    assert ended.code in {3, 5}
    check_private(process, arena, ended)


@pytest.mark.parametrize("at_insert", [False, True])
def test_a_job_that_fails_on_a_value_shows_none(
    process: Zygote, arena: Arena, patients: Path, bigquery: BigQueryFake, at_insert: bool
) -> None:
    message = f"Could not parse '{TEXT}' as DATE for field StudyDate; value {NUMBER}"
    bigquery.job_error = {"reason": "invalid", "message": message, "location": TEXT}
    bigquery.errors_at_insert = at_insert
    command = ("export", "bq", str(patients), "--bq-table=bq://p.d.t", *LOUD)
    ended = process.run(arena.home, *command, environment=server(bigquery))
    assert ended.code == 1
    check_private(process, arena, ended)
    operation = arena.operation()
    assert operation is not None
    assert staged(arena.home)
    resumed = process.run(arena.home, "operations", "resume", operation.id, *LOUD, environment=server(bigquery))
    assert resumed.code == 3, resumed.err
    assert TEXT in str(bigquery.rows("p.d.t"))
    check_private(process, arena, resumed)


def server(fake: BigQueryFake) -> dict[str, str]:
    """Name the server in the environment."""
    return {"BIGQUERY_EMULATOR_HOST": fake.url}


def test_an_export_in_a_process_of_its_own_shows_no_value(
    process: Zygote, arena: Arena, patients: Path, bigquery: BigQueryFake
) -> None:
    bigquery.job_polls = 10**6
    command = ("export", "bq", str(patients), "--bq-table=bq://p.d.t", *LOUD)
    begun = process.run(arena.home, *command, "--async", environment=server(bigquery))
    assert begun.code == 0, begun.err
    wait_until(lambda: len(bigquery.called("jobs.get")) > 2, "the job is waited for")
    assert moment_of(arena) == LOADING
    assert staged(arena.home)
    check_private(process, arena, begun)
    operation = arena.operation()
    assert operation is not None
    cancelled = process.run(arena.home, "operations", "cancel", operation.id, "--quiet", *LOUD)
    assert cancelled.code == 0, cancelled.err
    waited = process.run(arena.home, "operations", "wait", operation.id, *LOUD)
    assert waited.code == 1
    bigquery.job_polls = 0
    resumed = process.run(arena.home, "operations", "resume", operation.id, *LOUD, environment=server(bigquery))
    assert resumed.code == 3, resumed.err
    check_private(process, arena, begun, cancelled, waited, resumed)
