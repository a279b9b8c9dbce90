"""Which texts a cast takes is worked out by hand from BigQuery's documentation, and computed by a real DuckDB."""

import datetime as dt
from decimal import Decimal

import duckdb
import pytest

from tests.warehouses.googlesql.tables import Run, database, run

__all__ = ["database", "run"]  # fixtures

UTC = dt.timezone.utc


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("true", "BOOL", True),
        ("FALSE", "BOOL", False),
        ("2024-1-5", "DATE", dt.date(2024, 1, 5)),
        ("1:02:03", "TIME", dt.time(1, 2, 3)),
        ("01:02:03.25", "TIME", dt.time(1, 2, 3, 250000)),
        ("2024-01-05", "DATETIME", dt.datetime.fromisoformat("2024-01-05")),
        ("2024-01-05T10:11:12", "DATETIME", dt.datetime.fromisoformat("2024-01-05 10:11:12")),
        ("2024-01-05 10:11:12+01:00", "TIMESTAMP", dt.datetime(2024, 1, 5, 9, 11, 12, tzinfo=UTC)),
        ("2024-01-05 10:11:12 America/New_York", "TIMESTAMP", dt.datetime(2024, 1, 5, 15, 11, 12, tzinfo=UTC)),
        ("2024-01-05T10:11:12Z", "TIMESTAMP", dt.datetime(2024, 1, 5, 10, 11, 12, tzinfo=UTC)),
        (" 2.50 ", "FLOAT64", 2.5),
        ("-.5e-1", "FLOAT64", -0.05),
        ("5.", "FLOAT64", 5.0),
        ("1e5", "FLOAT64", 1e5),
        (" -1.5e1 ", "NUMERIC", Decimal(-15)),
        ("-Infinity", "FLOAT64", float("-inf")),
        ("12", "INT64", 12),
    ],
)
def test_a_text_in_the_form_of_its_type_is_cast(run: Run, text: str, kind: str, value: object) -> None:
    query = f"SELECT CAST('{text}' AS {kind}), SAFE_CAST(s AS {kind}) FROM (SELECT '{text}' AS s)"
    assert run(query) == [(value, value)]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        *(("t", "BOOL"), ("1", "BOOL"), ("yes", "BOOL"), ("", "BOOL")),
        *(("2024/01/05", "DATE"), ("24-01-05", "DATE"), ("2024-01-05 10:11:12", "DATE"), ("20240105", "DATE")),
        *(("10:11", "TIME"), ("101112", "TIME"), ("24:00:00", "TIME")),
        *(("2024-01-05 10:11", "DATETIME"), ("2024-01-05 10:11", "TIMESTAMP"), ("2024/01/05", "TIMESTAMP")),
        *(("1_0.5", "FLOAT64"), ("1,5", "FLOAT64"), ("5f", "FLOAT64"), ("", "FLOAT64")),
        *(("1e400", "FLOAT64"), ("-1e400", "FLOAT64"), ("1_0", "NUMERIC")),
        *(("1_000", "INT64"), ("1.5", "INT64")),
    ],
)
def test_another_text_is_an_error_or_null(run: Run, text: str, kind: str) -> None:
    source = f"FROM (SELECT '{text}' AS s)"
    assert run(f"SELECT SAFE_CAST('{text}' AS {kind}), SAFE_CAST(s AS {kind}) {source}") == [(None, None)]
    for value in ("s", f"'{text}'"):
        with pytest.raises(duckdb.Error, match="a text has not the form"):
            run(f"SELECT CAST({value} AS {kind}) {source}")


def test_what_is_no_text_is_cast_as_ever(run: Run) -> None:
    query = "SELECT CAST(1 AS FLOAT64), CAST(0 AS BOOL), CAST(NULL AS DATE), CAST(LastUpdated AS DATE) FROM dicom.chest"
    assert run(f"{query} ORDER BY LastUpdated DESC LIMIT 1") == [(1.0, False, None, dt.date(2024, 1, 2))]
