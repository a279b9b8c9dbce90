"""Results are worked out by hand from BigQuery's documentation, and computed by a real DuckDB."""

from datetime import date
from pathlib import Path

import duckdb
import pytest

from dicombq.errors import SqlError
from dicombq.warehouses.googlesql.queries import to_duckdb
from tests.warehouses.googlesql.tables import TABLE, Columns, Run, columns, database, run

__all__ = ["columns", "database", "run"]  # fixtures


# --- the guide ---


def test_the_guides_search_for_a_patient_runs(run: Run) -> None:
    rows = run("""#standardSQL
        SELECT CONCAT('/dicomWeb/studies/', StudyInstanceUID, '/series/', SeriesInstanceUID, '/instances/',
            SOPInstanceUID) as DICOMwebPath
        FROM `chc-nih-chest-xray.dicom.chest`
        WHERE PatientID = 'B';
    """)
    assert rows == [("/dicomWeb/studies/1.2/series/1.2.1/instances/1.2.1.1",)]


def test_the_guides_worklist_of_the_latest_studies_runs(run: Run) -> None:
    rows = run("""#standardSQL
        SELECT MIN(CONCAT(StudyDate, ' ', StudyTime)) as StudyDateTime, MIN(PatientID) as PatientID,
            StudyInstanceUID, COUNT(*) as InstanceCount
        FROM `chc-tcia.dicom.chest`
        GROUP BY StudyInstanceUID
        ORDER BY StudyDateTime DESC
        LIMIT 20;
    """)
    assert rows == [("2020-02-03 07:59:11", "A", "1.1", 2), (None, "B", "1.2", 1)]


def test_the_guides_query_for_a_filter_file_runs_and_its_column_is_f0(run: Run, columns: Columns) -> None:
    sql = """
    SELECT CONCAT
        ('/studies/', StudyInstanceUID, '/series/', SeriesInstanceUID, '/instances/', SOPInstanceUID)
    FROM
        [PROJECT_ID:dicom.chest] WHERE PatientID = 'B'
    """
    assert columns(sql) == ["f0_"]
    assert run(sql) == [("/studies/1.2/series/1.2.1/instances/1.2.1.1",)]


# --- tables ---


@pytest.mark.parametrize(
    "name",
    [
        "`my-project.dicom.chest`",
        "`my-project`.`dicom`.`chest`",
        "`my-project`.dicom.chest",
        "`my-project.dicom`.chest",
        "my-project.dicom.chest",
        "my-project-1.dicom.chest",
        "`example.com:project.dicom.chest`",
        "dicom.chest",
        "`dicom.chest`",
        "[my-project:dicom.chest]",
        "[my-project.dicom.chest]",
        "[example.com:project:dicom.chest]",
        "[dicom.chest]",
        "(dicom.chest)",
    ],
)
def test_the_project_of_a_table_is_left_out(run: Run, name: str) -> None:
    assert run(f"SELECT COUNT(*) FROM {name}") == [(3,)]
    assert run(f"SELECT COUNT(*) FROM dicom.chest JOIN {name} AS other USING (SOPInstanceUID)") == [(3,)]


def test_a_table_in_brackets_is_a_table(run: Run) -> None:
    assert run("SELECT Tag FROM ((`p.dicom.chest`)), chest.OtherElements ORDER BY Tag LIMIT 1") == [("Tag_00090010",)]
    assert run("SELECT COUNT(*) FROM (dicom.chest) AS c WHERE c.Rows > 300") == [(1,)]
    joined = "((dicom.chest) AS a JOIN (dicom.chest) AS b USING (SOPInstanceUID))"
    assert run(f"SELECT COUNT(*) FROM {joined} WHERE a.Rows = b.Rows") == [(2,)]


def test_a_table_is_known_by_its_own_name_in_the_query(run: Run) -> None:
    assert run("SELECT chest.Rows FROM `p.dicom.chest` WHERE chest.Rows > 300") == [(512,)]


def test_a_bare_table_and_a_common_table_expression_keep_their_names() -> None:
    assert to_duckdb("WITH x AS (SELECT 1 AS a) SELECT a FROM x, T") == (
        'WITH "x" AS (SELECT 1 AS "a") SELECT "a" FROM "x" CROSS JOIN "T"'
    )


def test_a_catalog_is_put_before_datasets_only() -> None:
    sql = to_duckdb("SELECT 1 AS a FROM `p.dicom.chest` JOIN T USING (x)", catalog="dicom")
    assert sql == 'SELECT 1 AS "a" FROM "dicom"."dicom"."chest" JOIN "T" USING ("x")'


def test_array_literals_stay_arrays(run: Run) -> None:
    assert run("SELECT [1, 2] AS a, x FROM UNNEST([3]) AS x") == [([1, 2], 3)]


def test_the_information_schema_lists_tables(run: Run) -> None:
    for name in (
        "`p.dicom.INFORMATION_SCHEMA.TABLES`",
        "dicom.INFORMATION_SCHEMA.TABLES",
        "`p`.dicom.information_schema.tables",
    ):
        assert run(f"SELECT table_schema, table_name, table_type FROM {name}") == [("dicom", "chest", "BASE TABLE")]
    assert run("SELECT TABLES.table_name FROM `region-us`.INFORMATION_SCHEMA.TABLES") == [("chest",)]
    assert run("SELECT table_name FROM other.INFORMATION_SCHEMA.TABLES") == []


def test_the_information_schema_lists_columns_with_bigquerys_types(run: Run) -> None:
    rows = run("""SELECT c.column_name, c.data_type FROM `p.dicom.INFORMATION_SCHEMA.COLUMNS` AS c
        WHERE table_name = 'chest' AND column_name IN
            ('PatientID', 'Rows', 'SliceThickness', 'ImageType', 'LastUpdated') ORDER BY column_name""")
    assert rows == [
        ("ImageType", "ARRAY<STRING>"),
        ("LastUpdated", "TIMESTAMP"),
        ("PatientID", "STRING"),
        ("Rows", "INT64"),
        ("SliceThickness", "FLOAT64"),
    ]


def test_the_information_schema_is_that_of_the_catalog() -> None:
    sql = to_duckdb("SELECT table_name FROM d.INFORMATION_SCHEMA.TABLES", catalog="warehouse")
    assert "'warehouse'" in sql


# --- what is refused ---


@pytest.mark.parametrize(
    "sql",
    [
        "DROP TABLE dicom.chest",
        "INSERT INTO dicom.chest (PatientID) VALUES ('x')",
        "UPDATE dicom.chest SET PatientID = 'x' WHERE TRUE",
        "DELETE FROM dicom.chest WHERE TRUE",
        "TRUNCATE TABLE dicom.chest",
        "MERGE d.t USING d.s ON t.a = s.a WHEN MATCHED THEN DELETE",
        "CREATE TABLE d.x AS SELECT 1",
        "CREATE OR REPLACE VIEW d.v AS SELECT 1",
        "ALTER TABLE d.t ADD COLUMN x INT64",
        "EXPORT DATA OPTIONS (uri = 'x') AS SELECT 1",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET x = 1",
        "PRAGMA database_list",
        "COPY t TO 'x'",
        "ATTACH 'x' AS y",
        "CALL f()",
        "EXPLAIN SELECT 1",
        "DESCRIBE t",
        "SHOW TABLES",
        "DECLARE x INT64",
        "BEGIN",
        "VALUES (1)",
        "chest",
        "WITH a AS (DELETE FROM t) SELECT 1",
        "SELECT * INTO x FROM t",
        "SELECT 1; SELECT 2",
        "SELECT 1; DROP TABLE dicom.chest",
        "",
        " ; ",
        "-- nothing",
        "#legacySQL\nSELECT 1",
    ],
)
def test_anything_but_one_query_is_refused(sql: str, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(SqlError) as caught:
        to_duckdb(sql)
    assert "\n" not in str(caught.value)
    assert not caplog.records


@pytest.mark.parametrize(
    "source",
    [
        "'file.csv'",
        '"x.parquet"',
        "r'file'",
        "`x.parquet`",
        "x.json",
        "`/etc/passwd`",
        "`d`.`../x`",
        "dicom.chest, 'file.csv'",
        "dicom.chest JOIN 'file.csv' USING (a)",
        "(SELECT * FROM 'file.csv')",
        "read_csv('x')",
        "read_parquet('x')",
        "read_text('x')",
        "glob('*')",
        "duckdb_settings()",
        "query('SELECT 1')",
        "ML.PREDICT(MODEL m, TABLE t)",
        "EXTERNAL_QUERY('x', 'y')",
        "d.t_*",
        "`d.t*`",
        "(VALUES (1))",
        "d.INFORMATION_SCHEMA.JOBS",
        "t FOR SYSTEM_TIME AS OF CURRENT_TIMESTAMP()",
        "t PIVOT(SUM(a) FOR b IN ('x', 'y'))",
        "UNNEST([1], [2])",
    ],
)
def test_files_and_table_functions_are_refused(source: str) -> None:
    with pytest.raises(SqlError):
        to_duckdb(f"SELECT * FROM {source}")


def test_too_deep_a_query_is_refused() -> None:
    with pytest.raises(SqlError, match="nested too deeply"):
        to_duckdb("SELECT " + "(" * 5000 + "1" + ")" * 5000)


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELEC a FROM t", "line 1, column 9: FROM is not expected here"),
        ("SELECT (a FROM t", "line 1, column 11: expected ), found FROM"),
        ("SELECT a\nFROM [p:d.t]\nWHERE b ~ 1", "line 3, column 9: ~ is not expected here"),
        ("SELECT a FROM t WHERE a =", "line 1, column 25: expected an expression after ="),
        ("SELECT a FROM\n", "line 1, column 10: expected table name, found FROM"),
        ("SELECT a\nFROM `t", "line 2, column 6: expected a closing `"),
        ("SELECT 'a", "line 1, column 8: expected a closing '"),
        ("SELECT 1 /* a", "a comment or a literal does not end"),
        ("SELECT FROM t", "expected columns after SELECT"),
    ],
)
def test_a_mistake_is_told_with_its_place_on_one_line(sql: str, message: str) -> None:
    with pytest.raises(SqlError) as caught:
        to_duckdb(sql)
    assert str(caught.value) == message


def test_an_error_does_not_repeat_a_value_of_the_query() -> None:
    with pytest.raises(SqlError) as caught:
        to_duckdb("SELECT a FROM t WHERE (PatientID 'Doe^John')")
    assert "Doe" not in str(caught.value)


# --- columns ---


def test_columns_without_a_name_are_numbered(columns: Columns) -> None:
    assert columns("SELECT COUNT(*), 1 AS a, 2, MAX(Rows) FROM dicom.chest") == ["f0_", "a", "f1_", "f2_"]
    assert columns("SELECT 1 UNION ALL SELECT 2") == ["f0_"]


def test_a_field_is_reached_through_its_record_and_gives_the_column_its_name(run: Run, columns: Columns) -> None:
    sql = """SELECT PatientName.Alphabetic.FamilyName, chest.PatientName.Alphabetic.GivenName
        FROM dicom.chest WHERE Rows = 512"""
    assert run(sql) == [("Doe", "Jo")]
    assert columns(sql) == ["FamilyName", "GivenName"]
    assert columns("SELECT OtherElements[SAFE_OFFSET(0)].Tag FROM dicom.chest") == ["Tag"]


def test_except_and_replace_change_a_star(run: Run, columns: Columns) -> None:
    sql = "SELECT * EXCEPT (a) REPLACE (c + 1 AS c) FROM (SELECT 1 AS a, 2 AS b, 3 AS c)"
    assert (columns(sql), run(sql)) == (["b", "c"], [(2, 4)])


def test_a_struct_at_the_top_gives_its_columns(columns: Columns) -> None:
    assert columns("SELECT AS STRUCT 1 AS a, 2 AS b") == ["a", "b"]


def test_group_by_takes_an_alias_before_a_column(run: Run) -> None:
    assert run("""SELECT DATE_TRUNC(StudyDate, YEAR) AS StudyDate, COUNT(*) AS n FROM dicom.chest
        GROUP BY StudyDate ORDER BY StudyDate""") == [(None, 1), (date(2020, 1, 1), 2)]
    assert run("SELECT IF(Rows > 0, 'x', 'x') AS PatientID, COUNT(*) FROM dicom.chest GROUP BY PatientID") == [("x", 3)]
    assert run("SELECT PatientID, COUNT(*) FROM dicom.chest GROUP BY PatientID ORDER BY 1") == [("A", 2), ("B", 1)]
    assert run("SELECT *, 'x' AS b FROM (SELECT 1 AS a) GROUP BY a, b") == [(1, "x")]


def test_order_by_takes_an_alias_before_a_column_in_expressions_too(run: Run) -> None:
    numbers = "FROM UNNEST([1, 2, 3]) AS x"
    assert run(f"SELECT 10 - x AS x {numbers} ORDER BY ABS(x) DESC LIMIT 1") == [(9,)]
    assert run(f"SELECT DISTINCT IF(x = 2, 5, x) AS x {numbers} ORDER BY x = 5 DESC, x DESC") == [(5,), (3,), (1,)]
    assert run(f"SELECT -x AS x, COUNT(*) AS n {numbers} GROUP BY 1 ORDER BY n, MAX(x)") == [(-3, 1), (-2, 1), (-1, 1)]
    assert run(f"SELECT SUM(x) AS x {numbers} ORDER BY MAX(x), RANK() OVER (ORDER BY x)") == [(6,)]
    assert run(f"SELECT 1 / x AS part {numbers} ORDER BY ABS(part) LIMIT 1") == [(1 / 3,)]


LATEST = "ARRAY_AGG(t ORDER BY SOPInstanceUID DESC LIMIT 1)[OFFSET(0)]"


def test_a_star_after_a_record_gives_its_fields(run: Run, columns: Columns) -> None:
    source = "(SELECT PatientID, SOPInstanceUID FROM dicom.chest) AS t"
    sql = f"SELECT {LATEST}.* FROM {source} GROUP BY PatientID"
    assert columns(sql) == ["PatientID", "SOPInstanceUID"]
    assert sorted(run(sql)) == [("A", "1.1.1.2"), ("B", "1.2.1.1")]
    with pytest.raises(SqlError, match="EXCEPT and REPLACE after a record's star"):
        to_duckdb("SELECT ARRAY_AGG(t)[OFFSET(0)].* EXCEPT (a) FROM t")


def test_select_as_in_from_gives_the_columns_of_a_row(run: Run, columns: Columns) -> None:
    value = f"SELECT AS VALUE {LATEST} FROM dicom.chest AS t GROUP BY PatientID"
    assert run(f"SELECT SOPInstanceUID FROM ({value}) ORDER BY 1") == [("1.1.1.2",), ("1.2.1.1",)]
    assert run(f"WITH last AS ({value}) SELECT last.Rows FROM last ORDER BY 1") == [(None,), (256,)]
    assert run("SELECT a FROM (SELECT AS VALUE STRUCT(1 AS a, 2 AS b))") == [(1,)]
    assert run("SELECT a, t.b FROM (SELECT AS STRUCT 1 AS a, 2 AS b) AS t") == [(1, 2)]
    assert run("SELECT ARRAY(SELECT AS STRUCT 1 AS a)") == [([{"a": 1}],)]
    assert run("SELECT ARRAY(SELECT AS VALUE x FROM UNNEST([1, 2]) AS x)") == [([1, 2],)]
    with pytest.raises(SqlError, match="SELECT AS VALUE is understood in FROM where"):
        to_duckdb("SELECT * FROM (SELECT AS VALUE x FROM UNNEST([1]) AS x)")


# --- arrays ---


def test_fields_of_an_unnest_without_alias_can_be_named(run: Run) -> None:
    assert run("SELECT Data FROM dicom.chest, UNNEST(OtherElements) WHERE Tag = 'Tag_00431039'") == [(["800", "8"],)]
    assert run("SELECT Rows FROM dicom.chest, UNNEST(chest.OtherElements) WHERE Tag = 'Tag_00431039'") == [(512,)]


def test_fields_of_an_unnest_can_be_named_in_inner_queries(run: Run) -> None:
    exists = "EXISTS (SELECT 1 FROM UNNEST(OtherElements) WHERE Tag = 'Tag_00431039')"
    assert run(f"SELECT SOPInstanceUID FROM dicom.chest WHERE {exists}") == [("1.1.1.1",)]
    scalar = "(SELECT Data[SAFE_OFFSET(0)] FROM UNNEST(OtherElements) WHERE Tag = 'Tag_00431039')"
    assert run(f"SELECT {scalar} FROM dicom.chest ORDER BY SOPInstanceUID") == [("800",), (None,), (None,)]
    array = "ARRAY(SELECT Tag FROM UNNEST(OtherElements) ORDER BY Tag)"
    tags = ["Tag_00090010", "Tag_00431039"]
    assert run(f"SELECT {array} FROM dicom.chest ORDER BY SOPInstanceUID") == [(tags,), ([],), ([],)]


def test_an_alias_of_an_unnest_is_its_row(run: Run, columns: Columns) -> None:
    sql = "SELECT o.Tag, Tag, o FROM dicom.chest, UNNEST(OtherElements) AS o WHERE o.Tag LIKE '%1039'"
    assert run(sql) == [("Tag_00431039", "Tag_00431039", {"Tag": "Tag_00431039", "Data": ["800", "8"]})]
    assert columns("SELECT * FROM UNNEST([STRUCT(1 AS a, 2 AS b)]) AS o") == ["a", "b"]
    assert columns("SELECT * FROM UNNEST([1]) AS o") == ["o"]


def test_a_left_join_keeps_rows_without_items(run: Run) -> None:
    sql = "SELECT SOPInstanceUID, o.Tag FROM dicom.chest LEFT JOIN UNNEST(OtherElements) o ORDER BY 1, 2"
    assert run(sql) == [
        ("1.1.1.1", "Tag_00090010"),
        ("1.1.1.1", "Tag_00431039"),
        ("1.1.1.2", None),
        ("1.2.1.1", None),
    ]


def test_offsets_start_at_zero(run: Run) -> None:
    assert run("SELECT x, n FROM UNNEST(['a', 'b']) AS x WITH OFFSET AS n ORDER BY n") == [("a", 0), ("b", 1)]
    assert run("SELECT x, offset FROM UNNEST(['a']) AS x WITH OFFSET") == [("a", 0)]
    assert run("SELECT o.Tag FROM dicom.chest, UNNEST(OtherElements) AS o WITH OFFSET AS n WHERE n = 1") == [
        ("Tag_00090010",)
    ]
    whole = "SELECT o, o.Tag, n FROM dicom.chest, UNNEST(OtherElements) AS o WITH OFFSET AS n WHERE n = 1"
    assert run(whole) == [({"Tag": "Tag_00090010", "Data": ["GEMS"]}, "Tag_00090010", 1)]


def test_an_alias_hides_the_array_of_its_name(run: Run, columns: Columns) -> None:
    for source in ("UNNEST(ImageType) AS ImageType", "UNNEST(chest.ImageType) ImageType", "chest.ImageType"):
        sql = f"SELECT ImageType FROM dicom.chest, {source} ORDER BY ImageType"
        assert (columns(sql), run(sql)) == (["ImageType"], [("ORIGINAL",), ("PRIMARY",)])
    sql = """SELECT OtherElements FROM dicom.chest, UNNEST(OtherElements) AS OtherElements
        WHERE OtherElements.Tag LIKE '%39'"""
    assert run(sql) == [({"Tag": "Tag_00431039", "Data": ["800", "8"]},)]
    inner = "SELECT 1 FROM UNNEST([x + 1]) AS x WHERE x = 2"
    assert run(f"SELECT x FROM UNNEST([1]) AS x WHERE EXISTS ({inner})") == [(1,)]


def test_arrays_in_arrays_are_unnested(run: Run) -> None:
    by_word = "UNNEST(RequestAttributesSequence) AS r, UNNEST(r.ScheduledProtocolCodeSequence) AS c"
    by_path = "chest.RequestAttributesSequence r, r.ScheduledProtocolCodeSequence c"
    for source in (by_word, by_path):
        sql = f"SELECT r.RequestedProcedureID, c.CodeValue FROM dicom.chest, {source} ORDER BY 2"
        assert run(sql) == [("R1", "C1"), ("R1", "C2")]
    by_field = "UNNEST(RequestAttributesSequence), UNNEST(ScheduledProtocolCodeSequence)"
    assert run(f"SELECT CodeValue FROM dicom.chest, {by_field} ORDER BY 1") == [("C1",), ("C2",)]
    inner = "SELECT 1 FROM c.RequestAttributesSequence r, r.ScheduledProtocolCodeSequence s WHERE s.CodeValue = 'C2'"
    assert run(f"SELECT Rows FROM dicom.chest AS c WHERE EXISTS ({inner})") == [(512,)]
    sql = """SELECT RequestedProcedureID, CodeValue FROM dicom.chest
        CROSS JOIN UNNEST(RequestAttributesSequence) AS r LEFT JOIN UNNEST(r.ScheduledProtocolCodeSequence) AS c"""
    assert sorted(run(sql), key=str) == [("R1", "C1"), ("R1", "C2"), ("R2", None)]


def test_in_unnest_looks_into_an_array(run: Run) -> None:
    assert run("SELECT Rows FROM dicom.chest WHERE 'PRIMARY' IN UNNEST(ImageType)") == [(512,)]
    assert run("SELECT COUNT(*) FROM dicom.chest WHERE 'PRIMARY' NOT IN UNNEST(ImageType)") == [(2,)]


# --- order and sets ---


def test_nulls_are_smallest(run: Run) -> None:
    assert run("SELECT Rows FROM dicom.chest ORDER BY Rows") == [(None,), (256,), (512,)]
    assert run("SELECT Rows FROM dicom.chest ORDER BY Rows DESC") == [(512,), (256,), (None,)]
    assert run("SELECT Rows FROM dicom.chest ORDER BY Rows NULLS LAST LIMIT 1 OFFSET 1") == [(512,)]
    assert run("SELECT Rows FROM dicom.chest QUALIFY ROW_NUMBER() OVER (ORDER BY Rows) = 1") == [(None,)]


def test_qualify_keeps_the_latest_instance_of_each_study(run: Run) -> None:
    sql = """SELECT SOPInstanceUID FROM dicom.chest WHERE TRUE
        QUALIFY ROW_NUMBER() OVER (PARTITION BY StudyInstanceUID ORDER BY LastUpdated DESC) = 1 ORDER BY 1"""
    assert run(sql) == [("1.1.1.1",), ("1.2.1.1",)]


def test_set_operations_are_queries(run: Run) -> None:
    assert run("SELECT 1 AS a UNION ALL (SELECT 2) ORDER BY a DESC") == [(2,), (1,)]
    assert run("SELECT PatientID FROM dicom.chest EXCEPT DISTINCT SELECT 'A'") == [("B",)]
    assert run("(SELECT 1 UNION DISTINCT SELECT 1)") == [(1,)]


def test_reserved_words_of_duckdb_are_names(run: Run) -> None:
    assert run("SELECT t.end, t.table FROM (SELECT 1 AS `end`, 2 AS `table`) AS t") == [(1, 2)]


def test_a_translated_query_runs_on_a_closed_read_only_file(tmp_path: Path) -> None:
    file = tmp_path / "dicom.duckdb"
    with duckdb.connect(file) as connection:
        connection.execute(TABLE.replace("dicom", "dicom.dicom", 2).replace("INTO dicom", "INTO dicom.dicom"))
    with duckdb.connect(file, read_only=True) as connection:
        connection.execute("SET enable_external_access = false")
        sql = to_duckdb("SELECT COUNT(*) FROM `p.dicom.chest`", catalog="dicom")
        assert connection.execute(sql).fetchall() == [(3,)]
