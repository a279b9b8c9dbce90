"""``filter create`` and ``filter check``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.gcs_server import GcsBucket
from tests.instances import ROOT, write_instance
from tests.tables import anonymous_client

STUDY = f"/studies/{ROOT}.1"
SERIES = f"{STUDY}/series/{ROOT}.1.1"


def instance(number: int) -> str:
    return f"{SERIES}/instances/{ROOT}.1.1.{number}"


@pytest.fixture
def table(run: Run, scans: Path) -> str:
    """A table of four instances, two of them MR."""
    for number in (3, 4):
        write_instance(scans / f"{number}.dcm", number, Modality="MR")
    uri = "duckdb://x.duckdb/d.t"
    run("export", "bq", "scans", f"--bq-table={uri}")
    return uri


@pytest.mark.parametrize(
    ("level", "lines"), [("study", [STUDY]), ("series", [SERIES]), ("instance", [instance(3), instance(4)])]
)
def test_each_line_names_what_rows_select(run: Run, table: str, level: str, lines: list[str]) -> None:
    result = run("filter", "create", f"--bq-table={table}", "--where=Modality = 'MR' -- only", f"--level={level}")
    assert (result.code, result.out.splitlines(), result.err) == (0, lines, "")


def test_an_export_with_the_filter_has_the_rows_that_the_condition_selects(run: Run, table: str) -> None:
    made = run("filter", "create", f"--bq-table={table}", "--where=Modality = 'MR'", "--output=wanted.txt")
    assert (made.code, made.out, made.err) == (0, "", "Filter: wanted.txt (2 lines)\n")
    assert run("filter", "check", "wanted.txt", "scans").err == "2 line(s): nothing to tell\n"
    run("export", "bq", "scans", "--bq-table=duckdb://y.duckdb/d.t", "--filter-config-gcs-uri=wanted.txt")
    sql = "SELECT Modality, COUNT(*) AS n FROM d.t GROUP BY Modality"
    asked = run("query", "--warehouse=duckdb://y.duckdb", sql, "--format=json")
    assert json.loads(asked.out) == [{"Modality": "MR", "n": "2"}]


def test_a_view_is_asked_as_well(run: Run, table: str) -> None:
    assert run("filter", "create", f"--bq-table={table}View").out.splitlines() == [instance(n) for n in (1, 2, 3, 4)]


@pytest.mark.parametrize(
    ("place", "code", "message"),
    [
        ("no/wanted.txt", 7, "there is no folder for the filter file [no/wanted.txt]."),
        ("scans", 1, "the filter file [scans] cannot be written: Is a directory."),
    ],
)
def test_a_filter_that_cannot_be_written_is_named_as_typed(
    run: Run, table: str, place: str, code: int, message: str
) -> None:
    result = run("filter", "create", f"--bq-table={table}", f"--output={place}")
    error, hint = result.err.splitlines()
    assert (result.code, error) == (code, f"ERROR: (dicombq.filter.create) {message}")
    assert hint


def test_a_bucket_is_no_filter_file(run: Run, table: str) -> None:
    for arguments in (
        ["create", f"--bq-table={table}", "--output=gs://my-bucket"],
        ["check", "gs://my-bucket/"],
    ):
        result = run("filter", *arguments)
        assert (result.code, "names a bucket and no object in it" in result.err) == (2, True)


def test_a_filter_that_may_not_be_written_is_not_permitted(
    run: Run, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("dicombq.selection.create.open_atomic", refuse)
    result = run("filter", "create", f"--bq-table={table}", "--output=wanted.txt")
    assert (result.code, "[wanted.txt] may not be written" in result.err) == (6, True)


def test_a_filter_is_written_to_a_bucket_and_checked_there(run: Run, table: str, gcs_bucket: GcsBucket) -> None:
    uri = f"{gcs_bucket.uri}/wanted.txt"
    assert run("filter", "create", f"--bq-table={table}", "--level=series", f"--output={uri}").code == 0
    assert gcs_bucket.get("wanted.txt") == f"{SERIES}\n".encode()
    assert run("filter", "check", uri).err == "1 line(s): nothing to tell\n"


def test_a_table_of_bigquery_is_asked(run: Run, local_bigquery: None, scans: Path, tmp_path: Path) -> None:
    dataset = f"d_{tmp_path.name}"
    with anonymous_client() as client:
        client.create_dataset(dataset, exists_ok=True)
    table = f"--bq-table=bq://p.{dataset}.t"
    assert run("filter", "create", table).code == 7
    run("export", "bq", "scans", table)
    assert run("filter", "create", table, "--where=Modality = 'CT'").out.splitlines() == [instance(1), instance(2)]


def test_rows_whose_uids_make_no_path_are_told(run: Run, scans: Path, home: Path) -> None:
    write_instance(scans / "nameless.dcm", None)
    run("export", "bq", "scans")
    table = f"--bq-table=duckdb://{home}/warehouse.duckdb/dicom.scans"
    result = run("filter", "create", table)
    assert (result.code, result.out.splitlines()) == (3, [instance(1), instance(2)])
    assert result.err == "WARNING: 1 row(s) are left out: their UIDs are missing, or make no path.\n"
    assert run("filter", "create", table, "--level=series").code == 0


@pytest.mark.parametrize(
    ("table", "where", "code", "message"),
    [
        ("duckdb://x.duckdb/d.t", "FALSE", 7, "no row of [duckdb://x.duckdb/d.t] is selected"),
        ("duckdb://x.duckdb/d.none", "TRUE", 7, "there is no table [duckdb://x.duckdb/d.none]"),
        ("duckdb://none.duckdb/d.t", "TRUE", 7, "there is no warehouse"),
        ("duckdb://x.duckdb/d.t", "Nothing = 1", 1, "Nothing"),
        ("duckdb://x.duckdb/d.t", "1 = ", 1, ""),
        ("duckdb://x.duckdb/d.t", " ", 2, "the condition of --where is empty"),
        ("x", "TRUE", 2, "[x] is not a table URI"),
    ],
)
def test_what_selects_nothing_writes_nothing(
    run: Run, scans: Path, here: Path, table: str, where: str, code: int, message: str
) -> None:
    run("export", "bq", "scans", "--bq-table=duckdb://x.duckdb/d.t")
    result = run("filter", "create", f"--bq-table={table}", f"--where={where}", "--output=wanted.txt")
    assert (result.code, message in result.err) == (code, True)
    assert not (here / "wanted.txt").exists()


@pytest.fixture
def write(here: Path) -> Callable[[str], int]:
    """Write a filter file."""
    return (here / "wanted.txt").write_text


def test_all_wrong_and_needless_lines_are_named(run: Run, write: Callable[[str], int]) -> None:
    write(f"{instance(1)}\nbad\n{SERIES}\n\n/studies/x\n{SERIES[1:]}\n{instance(1)}\n")
    result = run("filter", "check", "wanted.txt", "--format=csv")
    assert result.code == 2
    assert result.out.splitlines() == [
        "LINE,PROBLEM,MESSAGE",
        "1,covered,is covered by line 3",
        '2,wrong,"is not the path of a study, series or instance"',
        '5,wrong,"has a UID that is not made of digits and dots, 64 at most"',
        "6,duplicate,is the same as line 3",
        "7,duplicate,is the same as line 1",
    ]
    assert result.err == "6 line(s): 2 wrong, 2 duplicate, 1 covered\n"


def test_lines_that_name_nothing_in_a_store_are_named(run: Run, broken: Path, write: Callable[[str], int]) -> None:
    write(f"{instance(1)}\n{instance(7)}\n/studies/9\n")
    result = run("filter", "check", "wanted.txt", "scans", "--format=value(line)")
    assert (result.code, result.out.split()) == (3, ["2", "3"])
    assert result.err.splitlines() == [
        "3 line(s): 2 unmatched",
        "WARNING: 1 of the store could not be read; a line may name one of them.",
    ]
    (broken / "broken.dcm").unlink()
    assert run("filter", "check", "wanted.txt", "scans").code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["none.txt"], 7, "there is no filter file [none.txt]"),
        (["empty.txt"], 2, "names no study, series or instance"),
        (["wanted.txt", "none"], 7, "there is no folder [none]"),
    ],
)
def test_what_cannot_be_checked_is_told(
    run: Run, here: Path, write: Callable[[str], int], arguments: list[str], code: int, message: str
) -> None:
    write(SERIES)
    (here / "empty.txt").write_text("\n")
    result = run("filter", "check", *arguments)
    assert (result.code, message in result.err) == (code, True)
