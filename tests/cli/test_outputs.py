from __future__ import annotations

import csv
import io
import json
import os
import shlex
from pathlib import Path

import click
import duckdb
import pytest
import yaml
from sqlglot.dialects.bigquery import BigQuery

from dicombq.cli import dicom_stores, ending, export
from dicombq.warehouses.googlesql.queries import to_duckdb
from tests.cli.conftest import Run
from tests.cli.golden import assert_golden, masked
from tests.instances import write_instance

STORE = "projects/local/locations/local/datasets/dicom/dicomStores/scans"
OPERATIONS = "projects/local/locations/local/datasets/dicom/operations"


@pytest.mark.parametrize("spelling", [("export", "bq"), ("dicom-stores", "export", "bq")])
def test_an_export_prints_what_gcloud_prints(run: Run, scans: Path, home: Path, spelling: tuple[str, ...]) -> None:
    result = run(*spelling, "scans")
    assert result.code == 0
    assert result.out == f"name: {STORE}\n"
    assert masked(result.err, home).splitlines() == [
        "Request issued for: [scans]",
        f"Waiting for operation [{OPERATIONS}/OPERATION_ID] to complete...done.",
        "Table: duckdb:///HOME/warehouse.duckdb/dicom.scans (2 new rows)",
        "Look at it: dicombq query 'SELECT * FROM dicom.scans LIMIT 10'",
    ]


def test_the_two_spellings_are_the_same_command() -> None:
    context = click.Context(dicom_stores.group)
    assert dicom_stores.group.get_command(context, "export") is export.group


@pytest.mark.parametrize(
    ("format_", "out"),
    [
        ("yaml", f"name: {STORE}\n"),
        ("json", f'{{\n  "name": "{STORE}"\n}}\n'),
        ("value(name)", f"{STORE}\n"),
        ("value(nothing)", "\n"),
        ("csv", f"name\n{STORE}\n"),
        ("table", f"name\n{STORE}\n"),
    ],
)
def test_the_resource_is_printed_as_asked_for(run: Run, scans: Path, format_: str, out: str) -> None:
    assert run("export", "bq", "scans", f"--format={format_}").out == out


@pytest.mark.parametrize(("number", "words"), [(1, "1 instance failed"), (2, "2 instances failed")])
def test_failed_instances_are_counted_and_the_log_is_named(run: Run, broken: Path, number: int, words: str) -> None:
    if number == 2:
        (broken / "empty.dcm").write_bytes(b"")
    result = run("export", "bq", "scans")
    assert result.code == 3
    last = result.err.splitlines()[-1]
    assert last.startswith(f"{words}; see them: dicombq operations logs ")
    assert run(*last.partition("dicombq ")[2].split()).out.count("ERROR") == number


@pytest.mark.parametrize(
    "table",
    ["x.duckdb/d.t", "it's my file.duckdb/d.t", "x.duckdb/d.2026_scans", "x.duckdb/d.select", "x.duckdb/Order.t"],
)
def test_the_hint_to_look_at_the_table_works(run: Run, scans: Path, table: str) -> None:
    err = run("export", "bq", "scans", f"--bq-table=duckdb://{table}").err
    hint = next(line for line in err.splitlines() if line.startswith("Look at it"))
    result = run(*shlex.split(hint.partition("dicombq ")[2]), "--format=csv")
    assert result.code == 0
    assert len(result.out.splitlines()) == 3


def test_the_hint_names_a_table_that_is_called_as_a_keyword(home: Path) -> None:
    words = {word for word in BigQuery.Tokenizer.KEYWORDS if word.isidentifier()} - {"JSON"}  # taken for a file
    for dataset, table in [*((word, "t") for word in words), *(("d", word) for word in words)]:
        hint = ending._query_hint(f"duckdb:///x.duckdb/{dataset}.{table}")
        assert f'"{dataset}"."{table}"' in to_duckdb(shlex.split(hint)[-1], catalog="c")


def test_there_is_no_hint_for_a_path_with_a_line_end(run: Run, scans: Path) -> None:
    (scans.parent / "a\nb").mkdir()
    result = run("export", "bq", "scans", "--bq-table=duckdb://a\nb/x.duckdb/d.t")
    assert (result.code, "Look at it" in result.err) == (0, False)


def test_describe_prints_yaml_as_gcloud_does(run: Run, broken: Path, home: Path) -> None:
    run("export", "bq", "scans")
    identity = run("operations", "list", "--format=value(name)").out.strip().rpartition("/")[2]
    result = run("operations", "describe", identity)
    assert result.code == 0
    assert result.err == ""
    assert_golden("operations_describe.txt", masked(result.out, home))
    assert yaml.safe_load(result.out)["metadata"]["counter"] == {"pending": "0", "success": "2", "failure": "1"}


def test_describe_takes_a_full_name_and_any_place(run: Run, scans: Path) -> None:
    run("export", "bq", "scans", "--project=a", "--location=b", "--dataset=c")
    name = run("operations", "list", "--format=value(name)").out.strip()
    assert name.startswith("projects/a/locations/b/datasets/c/operations/")
    assert run("operations", "describe", name, "--format=value(done)").out == "True\n"
    identity = name.rpartition("/")[2]
    result = run("operations", "describe", identity, "--dataset=other", "--format=value(done,name)")
    assert result.out == f"True\t{name}\n"


def test_describe_prints_json_with_sorted_keys(run: Run, scans: Path) -> None:
    run("export", "bq", "scans")
    name = run("operations", "list", "--format=value(name)").out.strip()
    text = run("operations", "describe", name, "--format=json").out
    operation = json.loads(text)
    assert list(operation) == ["done", "metadata", "name", "response"]
    assert text == json.dumps(operation, indent=2, sort_keys=True) + "\n"
    assert json.loads(run("operations", "list", "--format=json").out) == [operation]
    assert list(json.loads(run("operations", "list", "--format=json").out)[0]) == list(operation)


def test_a_failed_operation_has_an_error_in_place_of_a_response(run: Run, scans: Path, home: Path) -> None:
    (scans / "1.dcm").unlink()
    run("export", "bq", "scans", "--bq-table=duckdb://x.duckdb/d.t")
    with duckdb.connect("x.duckdb") as connection:
        connection.execute("ALTER TABLE d.t ALTER Modality TYPE BIGINT USING 0")
    result = run("export", "bq", "scans", "--bq-table=duckdb://x.duckdb/d.t", "--write-disposition=write-append")
    assert result.code == 4
    waiting, error, hint = result.err.splitlines()[-3:]
    assert waiting.endswith("to complete...failed.")
    assert error.startswith("ERROR: (dicombq.export.bq) the column [Modality] is INTEGER in the table [duckdb:///")
    assert hint.startswith("Export to another table")
    newest = run("operations", "list", "--format=value(name)").out.splitlines()[0]
    assert_golden("operations_describe_failed.txt", masked(run("operations", "describe", newest).out, home))


def test_operations_are_listed_as_a_table_the_newest_first(run: Run, scans: Path, home: Path) -> None:
    run("export", "bq", "scans")
    run("export", "bq", "scans", "--bq-table=duckdb://x.duckdb/d.t")
    result = run("operations", "list")
    assert_golden("operations_list.txt", masked(result.out, home).replace("OPERATION_ID", "OPERATION_ID       "))
    rows = list(csv.DictReader(io.StringIO(run("operations", "list", "--format=csv").out)))
    assert [row["TARGET"] for row in rows] == [
        f"duckdb://{Path.cwd()}/x.duckdb/d.t",
        f"duckdb://{home}/warehouse.duckdb/dicom.scans",
    ]
    assert list(rows[0]) == ["ID", "LOCATION", "DONE", "STATE", "CREATED", "STORE", "TARGET"]
    documents = list(yaml.safe_load_all(run("operations", "list", "--format=yaml").out))
    assert [document["done"] for document in documents] == [True, True]


def test_without_operations_nothing_is_listed(run: Run) -> None:
    result = run("operations", "list")
    assert (result.code, result.err) == (0, "Listed 0 items.\n")
    assert run("operations", "list", "--format=json").out == "[]\n"


def test_a_damaged_operation_is_a_warning_and_the_others_are_listed(run: Run, scans: Path, home: Path) -> None:
    run("export", "bq", "scans")
    (home / "operations" / "5").mkdir()
    (home / "operations" / "5" / "state.json").write_text("{")
    result = run("operations", "list", "--format=value(done)")
    assert (result.code, result.out) == (0, "True\n")
    assert result.err.startswith("WARNING: the state of operation [5] cannot be read. It was set aside in [")


def test_the_log_is_a_table_or_json(run: Run, broken: Path, home: Path) -> None:
    write_instance(broken / "noted.dcm", 3)
    (broken / "notes.txt").write_text("notes")
    run("export", "bq", "scans")
    name = run("operations", "list", "--format=value(name)").out.strip()
    table = run("operations", "logs", name).out.splitlines()
    assert table[0].split() == ["TIME", "SEVERITY", "CODE", "URI", "TAG", "MESSAGE"]
    assert len(table) == 3
    entries = json.loads(run("operations", "logs", name, "--format=json").out)
    assert [list(entry) for entry in entries] == [["time", "severity", "code", "uri", "tag", "message"]] * 2
    assert {(entry["severity"], Path(entry["uri"]).name) for entry in entries} == {
        ("ERROR", "broken.dcm"),
        ("INFO", "notes.txt"),
    }
    assert run("operations", "logs", name, "--format=csv").out.startswith("TIME,SEVERITY,CODE,URI,TAG,MESSAGE\n")


def test_control_characters_of_a_path_do_not_reach_the_terminal(run: Run, scans: Path) -> None:
    (scans / "a\n\x1b[31mb.txt").write_text("")
    run("export", "bq", "scans")
    name = run("operations", "list", "--format=value(name)").out.strip()
    result = run("operations", "logs", name)
    assert "\x1b" not in result.out
    assert "a\\n\\x1b[31mb.txt" in result.out
    error = run("export", "bq", "no\nsuch\x1bfolder").err.splitlines()
    assert error[0] == "ERROR: (dicombq.export.bq) there is no folder [no\\nsuch\\x1bfolder]."


def test_a_path_that_is_no_text_is_printed(run: Run, here: Path) -> None:
    folder = os.fsdecode(b"sc\xff")
    write_instance(here / folder / os.fsdecode(b"\xfe.dcm"), 1)
    result = run("export", "bq", folder)
    assert result.code == 0
    assert "Request issued for: [sc\\" in result.err
    assert run("operations", "list").out.count("\n") == 2


def test_a_dry_run_prints_the_plan_with_an_estimate_and_does_nothing(run: Run, scans: Path, home: Path) -> None:
    (scans / "notes.txt").write_text("no instance")
    result = run("export", "bq", "scans", "--dry-run")
    assert (result.code, result.err) == (0, "Looking at [scans]; nothing is written.\n")
    size = sum(file.stat().st_size for file in scans.iterdir())
    found = yaml.safe_load(result.out)
    assert found.pop("estimatedLoadBytes") > 500
    assert found == {
        "action": "create",
        "bytes": size,
        "columns": 17,
        "estimatedRows": 2,
        "files": 3,
        "newColumns": [],
        "sampled": 3,
        "schema": "flattened",
        "store": STORE,
        "table": f"duckdb://{home}/warehouse.duckdb/dicom.scans",
        "tableState": "missing",
    }
    assert list(home.iterdir()) == []


def test_a_query_is_a_table_with_null_and_lists(run: Run, scans: Path) -> None:
    write_instance(scans / "1.dcm", 1, PatientID="A", ImageType=["ORIGINAL", "PRIMARY"], Rows=5)
    run("export", "bq", "scans")
    sql = "SELECT PatientID, `Rows`, ImageType FROM dicom.scans ORDER BY SOPInstanceUID"
    assert run("query", sql).out.splitlines() == [
        "PatientID  Rows  ImageType",
        'A          5     ["ORIGINAL", "PRIMARY"]',
        "NULL       NULL  []",
    ]
    assert run("query", sql, "--format=csv").out.splitlines()[2] == ",,[]"
    [first, second] = json.loads(run("query", sql, "--format=json").out)
    assert first == {"PatientID": "A", "Rows": "5", "ImageType": ["ORIGINAL", "PRIMARY"]}
    assert second["PatientID"] is None
    assert run("query", sql, "--format=value(PatientID)").out == "A\n\n"
    assert run("query", "SELECT 1 AS b, 2 AS a", "--format=json").out == '[\n  {\n    "b": "1",\n    "a": "2"\n  }\n]\n'


def test_a_query_prints_values_as_bq_does(run: Run, scans: Path) -> None:
    run("export", "bq", "scans")
    sql = (
        "SELECT 1.5 AS f, TRUE AS b, DATE '2026-01-02' AS d, TIMESTAMP '2026-01-02 03:04:05+00' AS t, "
        "DATETIME '2026-01-02 03:04:05' AS dt, CAST('inf' AS FLOAT64) AS i, STRUCT(1 AS x) AS s, "
        "CAST(NULL AS INT64) AS n"
    )
    [row] = json.loads(run("query", sql, "--format=json").out)
    assert row == {
        "f": 1.5,
        "b": True,
        "d": "2026-01-02",
        "t": "2026-01-02 03:04:05 UTC",
        "dt": "2026-01-02T03:04:05",
        "i": "Infinity",
        "s": {"x": "1"},
        "n": None,
    }
    assert run("query", "SELECT * FROM dicom.scans WHERE FALSE", "--format=json").out == "[]\n"
    assert run("query", "SELECT 1 AS x FROM dicom.scans WHERE FALSE").out == "x\n"


def test_a_table_of_the_log_groups_what_has_the_same_reason(run: Run, scans: Path) -> None:
    for number in range(3):
        (scans / f"{number}.txt").write_text("notes")
    (scans / "copy.dcm").write_bytes((scans / "1.dcm").read_bytes())
    run("export", "bq", "scans")
    identity = run("operations", "list", "--format=value(id)").out.strip()
    messages = [line.split("  ")[-1].strip() for line in run("operations", "logs", identity).out.splitlines()[1:]]
    skipped, duplicate = sorted(messages)
    assert skipped == "3 x skipped: not DICOM"
    assert duplicate.startswith("duplicate: [")
    assert len(run("operations", "logs", identity, "--all").out.splitlines()) == 5
    assert len(json.loads(run("operations", "logs", identity, "--format=json").out)) == 4


def test_a_list_holds_the_operations_of_the_place_that_is_named(
    run: Run, scans: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, place in enumerate(("--project=p", "--location=l", "--dataset=d")):
        run("export", "bq", "scans", place, f"--bq-table=duckdb://x.duckdb/d.t{number}")

    def listed(*flags: str) -> int:
        return len(run("operations", "list", "--format=value(id)", *flags).out.split())

    assert listed() == 3
    assert [listed(flag) for flag in ("--project=p", "--location=l", "--dataset=d", "--project=local")] == [1, 1, 1, 2]
    assert listed("--project=p", "--dataset=d") == 0
    monkeypatch.setenv("DICOMBQ_LOCATION", "l")
    assert (listed(), listed("--location=local")) == (1, 2)
