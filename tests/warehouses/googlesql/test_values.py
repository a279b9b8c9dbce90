"""Results are worked out by hand from BigQuery's documentation, and computed by a real DuckDB."""

import math
from datetime import date, datetime, time, timezone
from decimal import Decimal

import duckdb
import pytest

from dicombq.errors import SqlError
from dicombq.warehouses.googlesql.queries import to_duckdb
from tests.warehouses.googlesql.tables import Run, database, run

__all__ = ["database", "run"]  # fixtures


# --- what is refused ---


@pytest.mark.parametrize(
    "expression",
    [
        "read_text('x')",
        "getenv('HOME')",
        "current_setting('x')",
        "d.f(1)",
        "FARM_FINGERPRINT('a')",
        "UNNEST([1])",
        "@parameter",
        "?",
        "BIGNUMERIC '1'",
        "FORMAT_DATE('%e', StudyDate)",
        "FORMAT_TIMESTAMP('%E3S', LastUpdated)",
        "FORMAT_DATE(PatientID, StudyDate)",
        "PARSE_TIMESTAMP('%F', 'x', 'UTC')",
        "FORMAT('%t', 1)",
        "FORMAT(PatientID, 1)",
        "CAST(StudyDate AS STRING FORMAT 'YYYY')",
        "EXTRACT(CENTURY FROM StudyDate)",
        "TIMESTAMP_DIFF(LastUpdated, LastUpdated, MONTH)",
        "CURRENT_DATETIME('America/New_York')",
        "TO_JSON_STRING(PatientID, TRUE)",
        "STRING_AGG(PatientID LIMIT 1)",
        "Metadata['00100020']",
        r"PatientID LIKE ANY (r'a\_%')",
        "INSTR('abcabc', 'c', 1, 2)",
        "APPROX_TOP_COUNT(Rows, 2)",
        "SUBSTR(PatientID)",
        "DATE_ADD(StudyDate)",
        "CONTAINS_SUBSTR(PatientID, 'a')",
        "INSTR(PatientID, 'a', -1)",
        "CORR(Rows, Rows) OVER ()",
        "APPROX_QUANTILES(Rows, Rows)",
    ],
)
def test_what_has_no_equal_in_duckdb_is_refused(expression: str) -> None:
    with pytest.raises(SqlError):
        to_duckdb(f"SELECT {expression} FROM dicom.chest")


# --- subscripts and arrays ---


@pytest.mark.parametrize("subscript", ["OFFSET(2)", "ORDINAL(3)", "ORDINAL(0)", "OFFSET(-1)", "2", "OFFSET(n)"])
def test_a_subscript_out_of_range_is_an_error(run: Run, subscript: str) -> None:
    with pytest.raises(duckdb.Error, match="Array index is out of bounds"):
        run(f"SELECT a[{subscript}] FROM (SELECT ['x', 'y'] AS a, 5 AS n)")


@pytest.mark.parametrize("subscript", ["OFFSET", "ORDINAL"])
def test_a_safe_subscript_out_of_range_gives_null(run: Run, subscript: str) -> None:
    for index in ("2 + 1", "-1", "n", "NULL"):
        assert run(f"SELECT a[SAFE_{subscript}({index})] FROM (SELECT ['x', 'y'] AS a, 5 AS n)") == [(None,)]


def test_subscripts_find_their_items(run: Run) -> None:
    sql = """SELECT a[OFFSET(0)], a[ORDINAL(1)], a[1], a[SAFE_OFFSET(1)], a[SAFE_ORDINAL(2)], a[OFFSET(n)]
        FROM (SELECT ['x', 'y'] AS a, 1 AS n)"""
    assert run(sql) == [("x", "x", "y", "y", "y", "y")]


def test_a_repeated_column_that_was_never_written_is_empty(run: Run) -> None:
    sql = r"SELECT ARRAY_LENGTH(ImageType), ARRAY_TO_STRING(ImageType, '\\') FROM dicom.chest ORDER BY SOPInstanceUID"
    assert run(sql) == [(2, "ORIGINAL\\PRIMARY"), (0, ""), (0, "")]


def test_a_repeated_column_is_never_null_but_by_an_outer_join(run: Run) -> None:
    assert run("SELECT COUNTIF(ImageType IS NULL), COUNTIF(ImageType IS NOT NULL) FROM dicom.chest") == [(0, 3)]
    assert run("SELECT COUNTIF(StudyDate IS NULL), COUNTIF(PatientName IS NULL) FROM dicom.chest") == [(1, 2)]
    assert run("SELECT TO_JSON_STRING(ImageType) FROM dicom.chest WHERE PatientID = 'B'") == [("[]",)]
    joined = "dicom.chest AS a LEFT JOIN dicom.chest AS b ON b.PatientID = 'C'"
    assert run(f"SELECT COUNTIF(b.ImageType IS NULL) FROM {joined}") == [(3,)]


def test_json_of_a_record_with_numbers_that_bigquery_writes_otherwise_is_refused(run: Run) -> None:
    with pytest.raises(duckdb.Error, match="TO_JSON_STRING of a record"):
        run("SELECT TO_JSON_STRING(STRUCT(1.0 AS x))")
    with pytest.raises(duckdb.Error, match="TO_JSON_STRING of a record"):
        run("SELECT TO_JSON_STRING([LastUpdated]) FROM dicom.chest")
    with pytest.raises(duckdb.Error, match="TO_JSON_STRING of a record"):
        run("SELECT TO_JSON_STRING([NUMERIC '1'])")


@pytest.mark.parametrize(
    "array",
    [
        "ANY_VALUE(ImageType)",
        "MAX_BY(ImageType, PatientID)",
        "IF(MAX(PatientID) = 'B', ANY_VALUE(ImageType), ['none'])",
        "COALESCE(ANY_VALUE(ImageType), ['none'])",
        "ANY_VALUE(IFNULL(c.ImageType, ['none']))",
        "ANY_VALUE(CASE WHEN TRUE THEN ImageType END)",
        "ANY_VALUE(STRUCT(ImageType)).ImageType",
        "ANY_VALUE(STRUCT(ImageType AS it)).it",
        "ANY_VALUE(it)",
    ],
)
def test_a_repeated_column_stays_empty_where_it_is_chosen_or_renamed(run: Run, array: str) -> None:
    source = "(SELECT *, ImageType AS it FROM dicom.chest WHERE PatientID = 'B') AS c"
    assert run(f"SELECT {array}, ARRAY_LENGTH({array}) FROM {source}") == [([], 0)]


def test_a_repeated_column_is_counted_in_each_row_but_of_an_outer_join(run: Run) -> None:
    assert run("SELECT COUNT(ImageType), COUNT(OtherElements), COUNT(StudyDate) FROM dicom.chest") == [(3, 3, 2)]
    first = "FIRST_VALUE(ImageType) OVER (ORDER BY PatientID DESC)"
    assert run(f"SELECT {first} FROM dicom.chest LIMIT 1") == [([],)]
    joined = "dicom.chest AS a LEFT JOIN dicom.chest AS b ON b.PatientID = 'C'"
    assert run(f"SELECT COUNT(b.ImageType) FROM {joined}") == [(0,)]


def test_a_column_that_is_called_as_a_repeated_element_but_is_none_stays_as_it_is(run: Run) -> None:
    assert run("SELECT COALESCE(ImageType, 'x') FROM (SELECT CAST(NULL AS STRING) AS ImageType)") == [("x",)]
    assert run("SELECT COUNT(ImageType) FROM (SELECT CAST(NULL AS INT64) AS ImageType)") == [(0,)]


def test_array_agg_orders_limits_and_ignores_nulls(run: Run) -> None:
    def aggregated(arguments: str) -> object:
        return run(f"SELECT ARRAY_AGG({arguments}) FROM dicom.chest")[0][0]

    assert aggregated("Rows ORDER BY Rows") == [None, 256, 512]
    assert aggregated("Rows RESPECT NULLS ORDER BY Rows") == [None, 256, 512]
    assert aggregated("Rows IGNORE NULLS ORDER BY Rows DESC") == [512, 256]
    assert aggregated("Rows ORDER BY Rows DESC LIMIT 1") == [512]
    assert aggregated("Rows IGNORE NULLS ORDER BY Rows LIMIT 1") == [256]
    assert aggregated("DISTINCT StudyInstanceUID ORDER BY StudyInstanceUID LIMIT 1") == ["1.1"]
    latest = "ARRAY_AGG(STRUCT(SOPInstanceUID) ORDER BY LastUpdated DESC LIMIT 1)[OFFSET(0)].SOPInstanceUID"
    assert run(f"SELECT {latest} FROM dicom.chest") == [("1.1.1.1",)]


# --- aggregates and windows ---


def test_countif_of_no_rows_is_0(run: Run) -> None:
    assert run("SELECT COUNTIF(x > 0), COUNTIF(DISTINCT x > 0) FROM UNNEST([1]) AS x WHERE FALSE") == [(0, 0)]
    assert run("SELECT COUNTIF(x > 1), COUNTIF(DISTINCT x > 1) FROM UNNEST([1, 2, 3]) AS x") == [(2, 1)]
    window = "OVER (ORDER BY x ROWS BETWEEN 2 PRECEDING AND 1 PRECEDING)"
    assert run(f"SELECT COUNTIF(x > 1) {window} FROM UNNEST([1, 2, 3]) AS x") == [(0,), (0,), (1,)]


def test_quantiles_are_values_that_occur(run: Run) -> None:
    sql = """SELECT APPROX_QUANTILES(x, 2), APPROX_QUANTILES(DISTINCT x, 2), APPROX_QUANTILES(x, 2 IGNORE NULLS),
        APPROX_QUANTILES(x, 4)[OFFSET(3)] FROM UNNEST([NULL, 1, 1, 1, 4, 5, 6, 7, 8, 9, 10]) AS x"""
    assert run(sql) == [([1, 5, 10], [1, 6, 10], [1, 5, 10], 8)]
    assert run("SELECT APPROX_QUANTILES(x, 2) FROM UNNEST([1, 10]) AS x") == [([1, 1, 10],)]
    assert run("SELECT APPROX_QUANTILES(PatientID, 1) FROM dicom.chest") == [(["A", "B"],)]


def test_aggregates_count_as_on_bigquery(run: Run) -> None:
    sql = """SELECT COUNTIF(Rows > 300), COUNT(DISTINCT PatientID), SUM(Rows), AVG(Rows), MAX_BY(SOPInstanceUID, Rows),
        STRING_AGG(SOPInstanceUID, '|' ORDER BY SOPInstanceUID DESC), STRING_AGG(DISTINCT StudyInstanceUID),
        APPROX_COUNT_DISTINCT(PatientID), ANY_VALUE(StudyDate), LOGICAL_OR(Rows > 300)
        FROM dicom.chest WHERE PatientID = 'A'"""
    assert run(sql) == [(1, 1, 768, 384.0, "1.1.1.1", "1.1.1.2|1.1.1.1", "1.1", 1, date(2020, 2, 3), True)]


def test_windows_count_as_on_bigquery(run: Run) -> None:
    sql = """SELECT LAG(Rows) OVER (ORDER BY Rows), PERCENTILE_CONT(Rows, 0.5) OVER () FROM dicom.chest
        WHERE PatientID = 'A' ORDER BY 1"""
    assert run(sql) == [(None, 384.0), (256, 384.0)]


# --- values ---


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("LEFT('abc', -n)", "a length is below 0"),
        ("RIGHT('abc', -1)", "a length is below 0"),
        ("REPEAT('a', -n)", "a length is below 0"),
        ("LPAD('a', -n)", "a length is below 0"),
        ("SUBSTR('abc', 1, -n)", "a length is below 0"),
        ("POW(-8, n / 3)", "the result is no number"),
        ("POW(10, 400 * n)", "the result is no number"),
        ("EXP(1000 * n)", "the result is no number"),
        ("SQRT(-n)", "square root of a negative number"),
        ("LN(n - 1)", "logarithm of zero"),
        ("LOG10(-n)", "logarithm of a negative number"),
        ("ACOS(n + 1)", "ACOS is undefined"),
        ("UPPER('ﬁ')", "UPPER of a ligature"),
        ("NUMERIC '1' / 3", "the division of a NUMERIC"),
        ("DIV(NUMERIC '7', 2)", "the division of a NUMERIC"),
        ("n / NUMERIC '3'", "the division of a NUMERIC"),
        ("CAST(INTERVAL n DAY AS STRING)", "an INTERVAL is not written as text"),
    ],
)
def test_what_has_no_value_is_an_error(run: Run, expression: str, message: str) -> None:
    with pytest.raises(duckdb.Error, match=message):
        run(f"SELECT {expression} FROM (SELECT 1 AS n)")


def test_an_infinite_number_stays_one(run: Run) -> None:
    assert run("SELECT POW(x, 2), EXP(x) FROM (SELECT CAST('inf' AS FLOAT64) AS x)") == [(math.inf, math.inf)]


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("CONCAT('a', NULL)", None),
        ("UPPER('straße é')", "STRASSE É"),
        ("LOWER('ΓΕΩΡΓΙΟΣ ΣΟΦΟΣ ÄÖ')", "γεωργιος σοφος äö"),
        ("LOWER('İ')", "i\u0307"),
        ("CONCAT('a', DATE '2020-01-02', ' ', TIME '07:59:11.25')", "a2020-01-02 07:59:11.250"),
        ("CONCAT('a', 1, 1.0)", "a11"),
        ("CAST(TIME '07:59:11' AS STRING)", "07:59:11"),
        ("CAST(TIME '07:59:11.1234' AS STRING)", "07:59:11.123400"),
        ("CAST(TIMESTAMP '2024-01-02 03:04:05.5+00' AS STRING)", "2024-01-02 03:04:05.500+00"),
        ("CAST(TIMESTAMP '2024-01-02 03:04:05+01' AS STRING)", "2024-01-02 02:04:05+00"),
        ("CAST(DATE '2024-01-02' AS STRING)", "2024-01-02"),
        ("CAST(2.50 AS STRING)", "2.5"),
        ("CAST(1.0 AS STRING)", "1"),
        ("CAST(10 AS STRING)", "10"),
        ("CAST(NUMERIC '1.50' AS STRING)", "1.5"),
        ("CAST(TRUE AS STRING)", "true"),
        ("CAST(1e15 AS STRING)", "1e+15"),
        ("CAST(1234567890123456.0 AS STRING)", "1234567890123456"),
        ("CAST(12345678901234568.0 AS STRING)", "12345678901234568"),
        ("CAST(1 / 3 AS STRING)", "0.33333333333333331"),
        ("CAST(0.1 AS STRING)", "0.1"),
        ("CAST(0.00001 AS STRING)", "1e-05"),
        ("TO_JSON_STRING(1.0)", "1"),
        ("TO_JSON_STRING(CAST('-inf' AS FLOAT64))", '"-Infinity"'),
        ("TO_JSON_STRING(CAST('nan' AS FLOAT64))", '"NaN"'),
        ("TO_JSON_STRING(9007199254740992)", "9007199254740992"),
        ("TO_JSON_STRING(-9007199254740993)", '"-9007199254740993"'),
        ("TO_JSON_STRING(TIMESTAMP '2024-01-02 03:04:05.5+01')", '"2024-01-02T02:04:05.5Z"'),
        ("TO_JSON_STRING(DATETIME '2024-01-02 03:04:05')", '"2024-01-02T03:04:05"'),
        ("TO_JSON_STRING(NUMERIC '1.50')", '"1.5"'),
        ("TO_JSON_STRING(NUMERIC '2')", "2"),
        ("TO_JSON_STRING(NUMERIC '9007199254740993')", '"9007199254740993"'),
        ("TO_JSON_STRING(CAST(NULL AS FLOAT64))", "null"),
        ("TO_JSON_STRING(b'ab')", '"YWI="'),
        ("TO_JSON_STRING(CAST(NULL AS BYTES))", "null"),
        ("TO_JSON_STRING(STRUCT('a' AS x, 1 AS y))", '{"x":"a","y":1}'),
        ("CAST('x' AS STRING)", "x"),
        ("CAST(2.5 AS INT64)", 3),
        ("CAST(-2.5 AS INT64)", -3),
        ("CAST(' 12 ' AS INT64)", 12),
        ("CAST(TRUE AS INT64)", 1),
        ("CAST('1.5' AS FLOAT64)", 1.5),
        ("CAST('.0004942' AS NUMERIC)", Decimal("0.000494200")),
        ("SAFE_CAST('2.0' AS INT64)", None),
        ("SAFE_CAST('x' AS INT64)", None),
        ("SAFE_CAST('12' AS INT64)", 12),
        ("SAFE_CAST('2020-13-01' AS DATE)", None),
        ("SAFE_CAST(1.0 AS STRING)", "1"),
        ("1 / 2", 0.5),
        ("0.1 + 0.2", 0.30000000000000004),
        ("DIV(-7, 2)", -3),
        ("MOD(-7, 2)", -1),
        ("SAFE_DIVIDE(1, 0)", None),
        ("SAFE.DIV(1, 0)", None),
        ("SAFE.MOD(1, 0)", None),
        ("SAFE_DIVIDE(1, 2)", 0.5),
        ("SAFE.PARSE_DATE('%Y%m%d', 'x')", None),
        ("SAFE.SUBSTR('abc', 2)", "bc"),
        ("ROUND(-2.5)", -3),
        ("LOG(8, 2)", 3),
        ("LEAST(1, NULL)", None),
        ("IFNULL(NULL, 2)", 2),
        ("IF(NULL, 1, 2)", 2),
        ("NULLIF(1, 1)", None),
        ("1 = 1.0", True),
        ("'a' = 'A'", False),
        ("'abc' LIKE 'A%'", False),
        (r"'a_b' LIKE r'a\_b'", True),
        (r"'axb' LIKE r'a\_b'", False),
        (r"'axb' NOT LIKE r'a\_b'", True),
        ("'axb' LIKE 'a_b'", True),
        ("'abc' LIKE ANY ('x%', 'a%')", True),
        ("'it\\'s'", "it's"),
        ('"text"', "text"),
        ("STARTS_WITH('abc', 'ab')", True),
        ("SPLIT('a,b')", ["a", "b"]),
        ("SPLIT('a^b', '^')[SAFE_OFFSET(1)]", "b"),
        (r"REGEXP_CONTAINS('ab12', r'\d+$')", True),
        (r"REGEXP_EXTRACT('ab12', r'\d+')", "12"),
        (r"REGEXP_EXTRACT('ab12', r'b(\d)')", "1"),
        (r"REGEXP_EXTRACT('ab', r'\d')", None),
        (r"REGEXP_REPLACE('a1b2', r'(\d)', r'<\1>')", "a<1>b<2>"),
        ("SUBSTR('apple', 2, 2)", "pp"),
        ("SUBSTR('apple', 0, 2)", "ap"),
        ("SUBSTR('apple', -2)", "le"),
        ("SUBSTR('apple', -10, 2)", "ap"),
        (r"TRIM(' \t\n\x0b\u00a0\u2003a\u3000 ')", "a"),
        (r"CONCAT(LTRIM('\n a '), RTRIM(' b\n'))", "a  b"),
        (r"TRIM('\nxax', 'x')", "\nxa"),
        ("LENGTH('é')", 1),
        ("BYTE_LENGTH('é')", 2),
        ("LPAD('7', 3, '0')", "007"),
        ("FORMAT('%05d %s %.2f', 42, 'a', 1.5)", "00042 a 1.50"),
        ("TO_HEX(MD5('a'))", "0cc175b9c0f1b6a831c399e269772661"),
        ("ARRAY_LENGTH([1, 2])", 2),
        ("ARRAY_TO_STRING(['a', NULL, 'b'], ',')", "a,b"),
        ("ARRAY_TO_STRING(['a', NULL, 'b'], ',', '-')", "a,-,b"),
        ("ARRAY_REVERSE([1, 2])", [2, 1]),
        ("ARRAY_CONCAT([1], [2])", [1, 2]),
        ("ARRAY_CONCAT([1], NULL)", None),
        ("ARRAY_CONCAT([1], [2], [3])", [1, 2, 3]),
        ("GENERATE_ARRAY(1, 5, 2)", [1, 3, 5]),
        ("GENERATE_ARRAY(0, 1, 0.5)", [0.0, 0.5, 1.0]),
        ("GENERATE_ARRAY(1.5, 0, -1)", [1.5, 0.5]),
        ("GENERATE_ARRAY(1.5, 0)", []),
        ("EXTRACT(DAY FROM INTERVAL 3 DAY)", 3),
        ("ARRAY(SELECT 1 FROM UNNEST([1]) WHERE FALSE)", []),
        ("STRUCT(1 AS a, 'x' AS b).b", "x"),
        ("DATE_TRUNC(DATE '2024-05-10', MONTH)", date(2024, 5, 1)),
        ("DATE_TRUNC('2024-05-10', QUARTER)", date(2024, 4, 1)),
        ("DATE_TRUNC(DATE '2024-01-10', WEEK)", date(2024, 1, 7)),
        ("DATE_TRUNC(DATE '2024-01-10', WEEK(MONDAY))", date(2024, 1, 8)),
        ("DATE_TRUNC(TIMESTAMP '2024-05-10 10:00:00', MONTH)", datetime(2024, 5, 1, tzinfo=timezone.utc)),
        ("DATE_ADD(DATE '2024-01-31', INTERVAL 1 MONTH)", date(2024, 2, 29)),
        ("DATE_SUB('2024-03-31', INTERVAL 1 MONTH)", date(2024, 2, 29)),
        ("DATE_ADD(DATETIME '2020-01-01 23:00:00', INTERVAL 2 HOUR)", datetime.fromisoformat("2020-01-02 01:00")),
        ("DATE_SUB(TIMESTAMP '2020-01-01 10:00:00', INTERVAL 1 HOUR)", datetime(2020, 1, 1, 9, tzinfo=timezone.utc)),
        ("DATE '2024-01-02' - 1", date(2024, 1, 1)),
        ("10 - (2 - (1 - NUMERIC '0.5'))", Decimal("8.5")),
        ("DATE_DIFF(DATE '2024-03-01', DATE '2024-01-31', MONTH)", 2),
        ("DATE_DIFF(DATE '2024-01-07', DATE '2024-01-06', WEEK)", 1),
        ("DATE_FROM_UNIX_DATE(1)", date(1970, 1, 2)),
        ("DATE(2020, 1, 2)", date(2020, 1, 2)),
        ("DATE(TIMESTAMP '2020-01-02 03:30:00+00', 'America/New_York')", date(2020, 1, 1)),
        ("TIME(TIMESTAMP '2020-01-02 03:30:00+00')", time(3, 30)),
        ("TIMESTAMP('2020-01-02')", datetime(2020, 1, 2, tzinfo=timezone.utc)),
        ("TIMESTAMP_DIFF(TIMESTAMP '2001-02-01 01:00:00', TIMESTAMP '2001-02-01 00:00:01', HOUR)", 0),
        ("TIMESTAMP_DIFF(TIMESTAMP '2001-02-02 00:00:00', TIMESTAMP '2001-02-01 00:00:00', DAY)", 1),
        ("TIMESTAMP_TRUNC(TIMESTAMP '2024-05-10 10:20:00', HOUR)", datetime(2024, 5, 10, 10, tzinfo=timezone.utc)),
        ("TIMESTAMP_ADD(TIMESTAMP '2024-05-10', INTERVAL 1 HOUR)", datetime(2024, 5, 10, 1, tzinfo=timezone.utc)),
        ("TIMESTAMP_MILLIS(86400000)", datetime(1970, 1, 2, tzinfo=timezone.utc)),
        ("UNIX_SECONDS(TIMESTAMP '1970-01-02')", 86400),
        ("EXTRACT(YEAR FROM DATE '2024-05-10')", 2024),
        ("EXTRACT(DAYOFWEEK FROM DATE '2024-01-07')", 1),
        ("EXTRACT(WEEK FROM DATE '2024-01-06')", 0),
        ("EXTRACT(WEEK FROM DATE '2024-01-07')", 1),
        ("EXTRACT(WEEK(MONDAY) FROM DATE '2024-01-08')", 2),
        ("EXTRACT(ISOWEEK FROM DATE '2024-01-07')", 1),
        ("EXTRACT(HOUR FROM TIME '10:20:30')", 10),
        ("EXTRACT(MILLISECOND FROM TIME '10:20:30.5')", 500),
        ("EXTRACT(MICROSECOND FROM TIME '10:20:30.5')", 500000),
        ("EXTRACT(DATE FROM TIMESTAMP '2024-01-10 10:20:30')", date(2024, 1, 10)),
        ("EXTRACT(TIME FROM TIMESTAMP '2024-01-10 10:20:30')", time(10, 20, 30)),
        ("EXTRACT(HOUR FROM TIMESTAMP '2024-01-10 10:20:30' AT TIME ZONE 'America/New_York')", 5),
        ("FORMAT_DATE('%Y%m%d', DATE '2024-02-01')", "20240201"),
        ("FORMAT_TIMESTAMP('%F %T', TIMESTAMP '2024-01-10 10:20:30')", "2024-01-10 10:20:30"),
        ("FORMAT_TIMESTAMP('%F %H', TIMESTAMP '2024-01-10 02:20:30', 'America/New_York')", "2024-01-09 21"),
        ("FORMAT_TIME('%H%M', TIME '10:20:30')", "1020"),
        ("PARSE_DATE('%Y%m%d', '20240201')", date(2024, 2, 1)),
        ("PARSE_TIMESTAMP('%F %T', '2024-02-01 10:20:30')", datetime(2024, 2, 1, 10, 20, 30, tzinfo=timezone.utc)),
        ("PARSE_TIME('%H%M%S', '102030')", time(10, 20, 30)),
        ("CURRENT_DATETIME() > DATETIME '2020-01-01 00:00:00'", True),
        ("CURRENT_TIME() >= TIME '00:00:00'", True),
        ("TO_JSON_STRING(STRUCT(1 AS a, 'x' AS b, ['y'] AS c))", '{"a":1,"b":"x","c":["y"]}'),
        ("TO_JSON_STRING(NULL)", "null"),
        ("""JSON_VALUE('{"a": {"b": "x"}}', '$.a.b')""", "x"),
        ("""JSON_VALUE('{"a": [1]}', '$.a')""", None),
        ("""JSON_VALUE('{"00100020": {"Value": ["A"]}}', '$."00100020".Value[0]')""", "A"),
        ("""JSON_QUERY('{"a": [1]}', '$.a')""", "[1]"),
        ("""JSON_VALUE_ARRAY('{"a": ["x", 1, 1.0, true, null]}', '$.a')""", ["x", "1", "1.0", "true", None]),
        ("""JSON_VALUE_ARRAY('{"a": ["x", {"b": 1}]}', '$.a')""", None),
        ("""JSON_VALUE_ARRAY('{"a": "x"}', '$.a')""", None),
        ("""JSON_EXTRACT_STRING_ARRAY('{"a": 1}')""", None),
        ("""JSON_QUERY_ARRAY('{"a": ["x", {"b": 1}, null]}', '$.a')""", ['"x"', '{"b":1}', "null"]),
        ("""JSON_QUERY_ARRAY('{"a": {"b": 1}}', '$.a')""", None),
        ("JSON_EXTRACT_ARRAY('[]')", []),
    ],
)
def test_an_expression_has_the_value_that_bigquery_gives_it(run: Run, expression: str, value: object) -> None:
    assert run(f"SELECT {expression}") == [(value,)]


@pytest.mark.parametrize(
    "expression",
    ["1 / 0", "Rows / (Rows - 512)", "MOD(1, 0)", "MOD(1, Rows - 512)", "DIV(1, 0)", "CAST('2.0' AS INT64)"],
)
def test_a_value_that_cannot_be_is_an_error(run: Run, expression: str) -> None:
    with pytest.raises(duckdb.Error):
        run(f"SELECT {expression} FROM dicom.chest WHERE Rows = 512")


@pytest.mark.parametrize(
    "difference",
    [
        "StudyDate - DATE '2020-01-01'",
        "CURRENT_DATE() - (MAX(StudyDate) OVER ())",
        "DATE_ADD(StudyDate, INTERVAL 1 DAY) - StudyDate",
        "day - day",
    ],
)
def test_the_difference_of_two_dates_is_an_error_whatever_they_are_called(run: Run, difference: str) -> None:
    with pytest.raises(duckdb.Error, match="the difference of two dates"):
        run(f"SELECT {difference} FROM (SELECT StudyDate, StudyDate AS day FROM dicom.chest)")


def test_the_alias_of_a_difference_may_stand_in_having(run: Run) -> None:
    assert run("SELECT MAX(Rows) - MIN(Rows) AS more FROM dicom.chest HAVING more > 0") == [(256,)]


def test_an_integer_error_does_not_repeat_the_value(run: Run) -> None:
    with pytest.raises(duckdb.Error, match="a text has not the form") as caught:
        run("SELECT CAST(StudyInstanceUID AS INT64) FROM dicom.chest")
    assert "1.1" not in str(caught.value)


def test_a_date_column_compares_with_a_text_literal(run: Run) -> None:
    assert run("SELECT COUNT(*) FROM dicom.chest WHERE StudyDate BETWEEN '2020-01-01' AND DATE '2020-12-31'") == [(2,)]


def test_not_a_number_survives(run: Run) -> None:
    assert math.isnan(run("SELECT CAST('nan' AS FLOAT64)")[0][0])
