from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import duckdb
import pytest

from tests.archive import write_archive
from tests.cli.conftest import Run
from tests.fakes.bigquery import BigQueryFake
from tests.instances import write_instance


@pytest.fixture
def archive(here: Path) -> Path:
    return write_archive(here / "archive")


def test_a_schema_is_shown_with_what_each_column_holds(run: Run, scans: Path) -> None:
    run("export", "bq", "scans")
    shown = run("schema", "show", "dicom.scans")
    assert shown.code == 0
    lines = [line.split(None, 3) for line in shown.out.splitlines()]
    assert lines[0] == ["COLUMN", "TYPE", "MODE", "DESCRIPTION"]
    assert ["Modality", "STRING", "NULLABLE", "Modality (0008,0060) CS"] in lines
    assert ["LastUpdated", "TIMESTAMP", "NULLABLE", "When the instance was put in the store"] in lines


def test_a_table_shows_fields_in_records_indented_and_csv_by_their_path(run: Run, archive: Path) -> None:
    assert "\n  Alphabetic " in run("schema", "show", "archive").out
    rows = list(csv.DictReader(io.StringIO(run("schema", "show", "archive", "--format=csv").out)))
    [row] = [row for row in rows if row["COLUMN"] == "SegmentSequence.SegmentLabel"]
    assert row["DESCRIPTION"] == "Segment Label (0062,0005) LO"


def test_json_is_a_schema_of_bigquery(run: Run, archive: Path) -> None:
    fields = {field["name"]: field for field in json.loads(run("schema", "show", "archive", "--format=json").out)}
    assert fields["OtherElements"] == {
        "name": "OtherElements",
        "type": "RECORD",
        "mode": "REPEATED",
        "description": "Private elements, unknown ones, and values that do not fit their column",
        "fields": [
            {"name": "Tag", "type": "STRING", "mode": "NULLABLE"},
            {"name": "Data", "type": "STRING", "mode": "REPEATED"},
        ],
    }


def test_descriptions_are_comments_in_duckdb(run: Run, scans: Path, home: Path) -> None:
    run("export", "bq", "scans")
    write_instance(scans / "3.dcm", 3, PatientSex="O")
    run("export", "bq", "scans", "--write-disposition=write-append")
    with duckdb.connect(str(home / "warehouse.duckdb"), read_only=True) as connection:
        rows = connection.execute(
            "SELECT column_name, comment FROM duckdb_columns() WHERE table_name = 'scans'"
        ).fetchall()
    comments = dict(rows)
    assert comments["Modality"] == "Modality (0008,0060) CS"
    assert comments["PatientSex"] == "Patient's Sex (0010,0040) CS"


def test_an_append_leaves_the_comments_of_a_table_that_somebody_else_made(run: Run, scans: Path, home: Path) -> None:
    home.mkdir()
    with duckdb.connect(str(home / "warehouse.duckdb")) as connection:
        connection.execute("CREATE SCHEMA dicom; CREATE TABLE dicom.scans (Modality VARCHAR)")
        connection.execute("COMMENT ON COLUMN dicom.scans.Modality IS 'theirs'")
    assert run("export", "bq", "scans", "--write-disposition=write-append").code == 0
    assert "Modality" in run("schema", "show", "dicom.scans").out
    [line] = [line for line in run("schema", "show", "dicom.scans").out.splitlines() if line.startswith("Modality ")]
    assert line.endswith("theirs")


def test_descriptions_are_in_the_schema_of_bigquery_nested_ones_too(
    run: Run, archive: Path, bigquery: BigQueryFake
) -> None:
    assert run("export", "bq", "archive", "--bq-table=bq://p.d.t").code == 0
    fields = {field["name"]: field for field in bigquery.schema("p.d.t")}
    assert fields["Modality"]["description"] == "Modality (0008,0060) CS"
    labels = [each["description"] for each in fields["SegmentSequence"]["fields"] if each["name"] == "SegmentLabel"]
    assert labels == ["Segment Label (0062,0005) LO"]
    shown = run("schema", "show", "bq://p.d.t")
    assert "Modality (0008,0060) CS" in shown.out


def test_an_append_leaves_the_descriptions_of_bigquery_and_describes_what_it_adds(
    run: Run, scans: Path, bigquery: BigQueryFake
) -> None:
    run("export", "bq", "scans", "--bq-table=bq://p.d.t")
    for field in bigquery.find_table("p", "d", "t").schema:
        field.pop("description", None)
    write_instance(scans / "3.dcm", 3, PatientSex="O")
    assert run("export", "bq", "scans", "--bq-table=bq://p.d.t", "--write-disposition=write-append").code == 0
    described = {field["name"]: field["description"] for field in bigquery.schema("p.d.t") if "description" in field}
    assert described == {"PatientSex": "Patient's Sex (0010,0040) CS"}


def test_a_diff_names_columns_that_are_missing_or_of_another_type(run: Run, scans: Path, here: Path) -> None:
    run("export", "bq", "scans")
    assert run("schema", "diff", "dicom.scans", "./scans").err.endswith("The schemas are equal.\n")
    assert run("schema", "diff", "dicom.scans", "scans", "--format=json").out == "[]\n"
    write_instance(scans / "3.dcm", 3, PatientName="A^B")
    (here / "theirs.json").write_text(
        json.dumps([{"name": "modality", "type": "INT64", "mode": "REPEATED"}, {"name": "Extra", "type": "STRING"}])
    )
    added = run("schema", "diff", "dicom.scans", "scans", "--format=csv")
    assert added.out == "COLUMN,A,B\nPatientName,,RECORD\n"
    other = list(csv.reader(io.StringIO(run("schema", "diff", "dicom.scans", "theirs.json", "--format=csv").out)))
    assert ["Modality", "STRING", "REPEATED INTEGER"] in other
    assert ["Extra", "", "STRING"] in other
    assert ["Type", "STRING", ""] in other


@pytest.mark.parametrize("text", ["x", '{"name": "a"}', '[{"name": "a"}]', "[1]"])
def test_a_file_that_is_no_schema_is_refused(run: Run, scans: Path, here: Path, text: str) -> None:
    (here / "x.json").write_text(text)
    assert run("schema", "diff", "x.json", "scans").code == 2
    assert run("schema", "diff", "missing.json", "scans").code == 7


def test_private_elements_have_their_creators_names(run: Run, archive: Path) -> None:
    found = json.loads(run("schema", "private", "archive", "--format=json").out)
    by_tag = {each["tag"]: each for each in found}
    assert by_tag["(0019,1002)"] == {
        "creator": "GEMS_ACQU_01",
        "tag": "(0019,1002)",
        "vr": "SL",
        "name": "Detector Channel",
        "instances": 1,
    }
    assert by_tag["(0043,1028)"]["vr"] == "OB"  # it was dropped, and is there all the same
    assert by_tag["(1455,1003)"]["name"] == ""  # of a creator that the dictionary does not know


def test_a_private_sequence_is_a_private_element(run: Run, here: Path) -> None:
    from pydicom.dataset import Dataset

    path = write_instance(here / "scans" / "1.dcm")
    import pydicom

    dataset = pydicom.dcmread(path)
    block = dataset.private_block(0x0009, "ACME", create=True)
    block.add_new(0x01, "SQ", [Dataset()])
    dataset[0x00091001].value[0].Modality = "CT"
    dataset.save_as(path)
    [found] = json.loads(run("schema", "private", "scans", "--format=json").out)
    assert (found["creator"], found["tag"], found["vr"]) == ("ACME", "(0009,1001)", "SQ")


def test_a_table_without_private_elements_lists_none(run: Run, scans: Path) -> None:
    assert run("schema", "private", "scans", "--format=json").out == "[]\n"


def test_what_is_not_there_is_not_found(run: Run, scans: Path) -> None:
    assert run("schema", "show", "nowhere").code == 7
    run("export", "bq", "scans")
    assert run("schema", "show", "dicom.nothing").code == 7
