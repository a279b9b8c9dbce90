"""A table of three instances, and what asks it in GoogleSQL."""

from collections.abc import Callable, Iterator
from typing import Any

import duckdb
import pytest

from dicombq.warehouses.googlesql.queries import to_duckdb

Run = Callable[[str], list[tuple[Any, ...]]]
Columns = Callable[[str], list[str]]

TABLE = """
CREATE SCHEMA dicom;
CREATE TABLE dicom.chest (
    StudyInstanceUID VARCHAR, SeriesInstanceUID VARCHAR, SOPInstanceUID VARCHAR, PatientID VARCHAR,
    PatientName STRUCT(Alphabetic STRUCT(FamilyName VARCHAR, GivenName VARCHAR)),
    StudyDate DATE, StudyTime TIME, ImageType VARCHAR[], Rows BIGINT, SliceThickness DOUBLE,
    RequestAttributesSequence STRUCT(
        RequestedProcedureID VARCHAR, ScheduledProtocolCodeSequence STRUCT(CodeValue VARCHAR)[])[],
    OtherElements STRUCT(Tag VARCHAR, Data VARCHAR[])[], LastUpdated TIMESTAMPTZ);
INSERT INTO dicom.chest VALUES
    ('1.1', '1.1.1', '1.1.1.1', 'A', {'Alphabetic': {'FamilyName': 'Doe', 'GivenName': 'Jo'}},
     '2020-02-03', '07:59:11', ['ORIGINAL', 'PRIMARY'], 512, 2.5,
     [{'RequestedProcedureID': 'R1', 'ScheduledProtocolCodeSequence': [{'CodeValue': 'C1'}, {'CodeValue': 'C2'}]},
      {'RequestedProcedureID': 'R2', 'ScheduledProtocolCodeSequence': []}],
     [{'Tag': 'Tag_00431039', 'Data': ['800', '8']}, {'Tag': 'Tag_00090010', 'Data': ['GEMS']}],
     '2024-01-02 03:04:05.5+00'),
    ('1.1', '1.1.1', '1.1.1.2', 'A', NULL, '2020-02-03', '07:59:11.25', [], 256, 1.0, [], [], '2024-01-01 00:00:00+00'),
    ('1.2', '1.2.1', '1.2.1.1', 'B', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
"""


@pytest.fixture(scope="module")
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET ieee_floating_point_ops = false")
    connection.execute(TABLE)
    yield connection
    connection.close()


@pytest.fixture
def run(database: duckdb.DuckDBPyConnection) -> Run:
    return lambda sql: database.execute(to_duckdb(sql)).fetchall()


@pytest.fixture
def columns(database: duckdb.DuckDBPyConnection) -> Columns:
    return lambda sql: [column[0] for column in database.execute(to_duckdb(sql)).description]
