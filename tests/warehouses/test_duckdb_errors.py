from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from dicombq.errors import SqlError
from dicombq.warehouses.duckdb import DuckdbWarehouse


@pytest.fixture
def warehouse(tmp_path: Path) -> DuckdbWarehouse:
    file = tmp_path / "x.duckdb"
    with duckdb.connect(str(file)) as connection:
        connection.execute("CREATE SCHEMA dicom; CREATE SCHEMA _dicombq")
        connection.execute(
            "CREATE TABLE dicom.scans (Modality VARCHAR, Rows BIGINT,"
            " PatientName STRUCT(Alphabetic STRUCT(FamilyName VARCHAR)))"
        )
    return DuckdbWarehouse(file, 0)


@pytest.mark.parametrize(
    ("sql", "message", "hint"),
    [
        ("SELECT Modalty FROM dicom.scans", "there is no column [Modalty]", "Did you mean [Modality]?"),
        ("SELECT s.modalty FROM dicom.scans AS s", "there is no column [modalty]", "Did you mean [Modality]?"),
        ("SELECT Xyzzy FROM dicom.scans", "there is no column [Xyzzy]", ""),
        (
            "SELECT PatientName.Alphabetic.FamlyName FROM dicom.scans",
            "there is no field [FamlyName]",
            "Did you mean [FamilyName]?",
        ),
        ("SELECT * FROM dicom.scan", "there is no table [scan]", "Did you mean [scans]?"),
        ("SELECT * FROM p.dicom.scan", "there is no table [scan]", "Did you mean [scans]?"),
        ("SELECT * FROM scans", "there is no table [scans]", "Did you mean [dicom.scans]?"),
        ("SELECT * FROM dicm.scans", "there is no dataset [dicm]", "Did you mean [dicom]?"),
        ("SELECT s.Modality FROM dicom.scans AS scan", "there is no table [s]", ""),
    ],
)
def test_a_name_that_is_misspelt_proposes_the_nearest(
    warehouse: DuckdbWarehouse, sql: str, message: str, hint: str
) -> None:
    with pytest.raises(SqlError) as error:
        warehouse.query(sql)
    assert (error.value.message, error.value.hint) == (message, hint)


@pytest.mark.parametrize(
    ("expression", "message", "hint"),
    [
        ("1 / 0", "division by zero", "SAFE_DIVIDE gives NULL there."),
        ("[1][OFFSET(1)]", "Array index is out of bounds", "SAFE_OFFSET and SAFE_ORDINAL give NULL there."),
        ("CAST('P' AS INT64)", "a text has not the form of the type it is cast to", "SAFE_CAST gives NULL there."),
        (
            "LEAST(CAST('nan' AS FLOAT64), 1)",
            "a NaN is compared in a way that is not understood",
            "Write IF(IS_NAN(value), NULL, value) for it.",
        ),
        (
            "ERROR('Doe^Jane')",
            "the query failed (InvalidInputException)",
            "A value may not have the type it is cast to.",
        ),
    ],
)
def test_an_error_of_a_value_is_named_and_the_value_is_not(
    warehouse: DuckdbWarehouse, expression: str, message: str, hint: str
) -> None:
    with pytest.raises(SqlError) as error:
        list(warehouse.query(f"SELECT {expression} AS x").rows)
    assert (error.value.message, error.value.hint) == (message, hint)
