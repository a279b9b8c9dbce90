"""The benchmarks run; what they measure is told in docs/explanation/performance.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import instances, readers
from benchmarks.table import markdown
from dicombq.rows import walker


def test_the_readers_are_measured_on_each_kind_of_header() -> None:
    headings, _, *rows = readers.section(files=2, repeat=1).splitlines()
    assert headings.count("|") == 9
    assert [row.split("|")[1].strip() for row in rows] == list(instances.KINDS)


@pytest.mark.parametrize("kind", instances.KINDS)
def test_a_generated_header_is_whole_and_like_no_other(tmp_path: Path, kind: str) -> None:
    rows = []
    for path in instances.write(tmp_path, kind, range(2)):
        with path.open("rb") as file:
            rows.append(walker.read_row(file, path.stat().st_size))
    assert rows[0].uids != rows[1].uids
    assert rows[0].values["PatientName"] != rows[1].values["PatientName"]
    assert not any(row.notices for row in rows)


def test_a_table_has_three_digits() -> None:
    assert markdown(["a", "b"], [["x", 1234.5], ["y", 0.01234]]).splitlines()[2:] == ["| x | 1,234 |", "| y | 0.0123 |"]
