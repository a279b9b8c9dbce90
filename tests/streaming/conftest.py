from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from dicombq.cli.main import main
from dicombq.names import DuckdbTable
from tests.fakes.bigquery import BigQueryFake
from tests.instances import write_instance
from tests.stores.conftest import Place
from tests.streaming.tables import bigquery_table, numbers, rows_of, told, view_of
from tests.tables import Row


@dataclass
class Lab:
    """A folder, a table that follows it, and the command line.

    Parameters
    ----------
    folder
        Its instances are ``NUMBER.dcm``; what they tell is in the Study Description.
    elsewhere
        A source that is followed in place of the folder.
    table
        The first of the tables, of which there is one unless `follow` was given more.
    """

    base: Path
    folder: Path
    table: Any
    capsys: pytest.CaptureFixture[str]
    elsewhere: str = ""
    code: int = 0
    err: str = ""

    @property
    def store(self) -> str:
        """The source that is followed."""
        return self.elsewhere or str(self.folder)

    def run(self, *arguments: str) -> Any:
        """Run a command line; give what it printed."""
        self.capsys.readouterr()
        self.code = main(list(arguments))
        out, self.err = self.capsys.readouterr()
        return yaml.safe_load(out)

    def follow(self, *options: str, tables: tuple[Any, ...] = ()) -> dict[str, Any]:
        """Let tables follow the folder."""
        uris = [f"--bq-table={table}" for table in tables or (self.table,)]
        printed: dict[str, Any] = self.run("stream", "configure", self.store, *uris, *options)
        return printed

    def sync(self, *options: str) -> dict[str, Any]:
        """Make a pass; give what it did."""
        printed: dict[str, Any] = self.run("stream", "sync", self.store, "--format=yaml", *options)
        return printed

    def describe(self) -> dict[str, Any]:
        """Give the first table's state."""
        table: dict[str, Any] = self.run("stream", "describe", self.store)["dicombq"]["tables"][0]
        return table

    def write(self, number: int, text: str = "first", name: str = "", **attributes: Any) -> Path:
        """Put an instance into the folder, or another one in its place."""
        temporary = write_instance(self.base / "new", number, StudyDescription=text, **attributes)
        path = self.folder / f"{name or number}.dcm"
        os.replace(temporary, path)
        return path

    @property
    def is_duckdb(self) -> bool:
        """Whether the table is DuckDB's, which takes rows at any time; BigQuery's has a load a minute."""
        return isinstance(self.table, DuckdbTable)

    def rows(self) -> list[Row]:
        """Give the table's rows, in the order of LastUpdated."""
        return rows_of(self.table)

    def view(self) -> list[int]:
        """Give the instances that the view shows."""
        return numbers(view_of(self.table))

    def told(self, number: int) -> list[str]:
        """Give what the table was told of an instance."""
        return told(self.rows(), number)


def lab_of(place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Lab:
    """Make a lab in which a place is followed by a table of DuckDB."""
    return Lab(tmp_path, tmp_path, DuckdbTable(tmp_path / "w.duckdb", "d", "t"), capsys, place.uri)


def bytes_of(tmp_path: Path, number: int, text: str = "first", **attributes: Any) -> bytes:
    """Make an instance that an Orthanc takes, too."""
    path = write_instance(tmp_path / "new", number, StudyDescription=text, **{"PatientID": "1"} | attributes)
    return path.read_bytes()


@pytest.fixture(params=["duckdb", "fake"])
def lab(
    request: pytest.FixtureRequest,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Lab]:
    """A lab for each warehouse."""
    folder = tmp_path / "scans"
    folder.mkdir()
    table: Any = DuckdbTable(tmp_path / "w.duckdb", "d", "t")
    if request.param == "fake":
        request.getfixturevalue("bigquery")
        monkeypatch.setattr("dicombq.warehouses.bigquery.PATIENCE", 0.1)
        table = bigquery_table()
    before = os.umask(0o022)
    yield Lab(tmp_path, folder, table, capsys)
    os.umask(before)


@pytest.fixture
def duckdb_lab(
    home: Path,
    tmp_path: Path,
    bigquery: BigQueryFake,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Lab]:
    """A lab with a table of DuckDB, and the fake of BigQuery beside it."""
    monkeypatch.setattr("dicombq.warehouses.bigquery.PATIENCE", 0.1)
    folder = tmp_path / "scans"
    folder.mkdir()
    before = os.umask(0o022)
    yield Lab(tmp_path, folder, DuckdbTable(tmp_path / "w.duckdb", "d", "t"), capsys)
    os.umask(before)
