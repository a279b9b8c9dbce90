"""The benchmarks run; what they measure is told in docs/explanation/performance.md."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from benchmarks import buckets, instances, inventory, readers, scale
from benchmarks.table import markdown
from dicombq.rows import reader, walker
from tests import gcs_server


def test_the_readers_are_measured_on_each_kind_of_header() -> None:
    if reader.active_reader() != "native":
        with pytest.raises(RuntimeError, match="not compiled"):
            readers.section(files=2, repeat=1)
        return
    headings, _, *rows = readers.section(files=2, repeat=1).splitlines()
    assert headings.count("|") == 10
    assert [row.split("|")[1].strip() for row in rows[:-2]] == list(instances.KINDS)


@pytest.mark.parametrize("kind", instances.KINDS)
def test_a_generated_header_is_whole_and_its_series_is_like_no_other(tmp_path: Path, kind: str) -> None:
    rows = []
    series = instances.KINDS[kind].series
    for path in instances.write(tmp_path, kind, range(series + 1)):
        with path.open("rb") as file:
            rows.append(walker.read_row(file, path.stat().st_size))
    names = [str(row.values["PatientName"]) for row in rows]
    assert len({row.uids for row in rows}) == series + 1
    assert len(set(names)) == 2
    assert names[0] == names[series - 1]
    assert not any(row.notices for row in rows)


def test_of_a_series_few_elements_differ() -> None:
    def elements(number: int) -> dict[str, str]:
        data = instances.made("CT, in series of 100", number)
        row = walker.read_row(io.BytesIO(data[:-12]), len(data) - 12)
        return {name: repr(value) for name, value in row.values.items()}

    first, second, other = elements(0), elements(99), elements(100)
    assert sum(first[name] != second[name] for name in first) == 18  # the private ones are in one
    assert sum(first[name] != other[name] for name in first) > 100


def test_a_table_has_three_digits() -> None:
    assert markdown(["a", "b"], [["x", 1234.5], ["y", 0.01234]]).splitlines()[2:] == ["| x | 1,234 |", "| y | 0.0123 |"]


def test_headers_of_a_bucket_are_measured_in_three_ways(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not gcs_server.EXECUTABLE:
        pytest.skip(gcs_server.MISSING)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "")
    _, _, obvious, ours, dicombq, _, requests = buckets.section(files=3, repeat=1).splitlines()
    assert [row.split("|")[1].split(",")[0].strip() for row in (obvious, ours, dicombq)] == [
        "google-cloud-storage",
        "google-cloud-storage",
        "dicombq",
    ]
    assert requests.startswith("1.00 requests and 32.0 KB an instance")


def test_a_pass_over_an_unchanged_store_is_measured() -> None:
    headings, _, row = inventory.section(files=1000, repeat=1).splitlines()
    assert headings.count("|") == row.count("|") == 7
    assert row.startswith("| 1,000 |")


def test_what_a_driver_does_for_many_instances_is_measured(tmp_path: Path) -> None:
    row = dict(zip(scale.HEADINGS, scale.measure(60_500, tmp_path), strict=True))
    assert (row["instances"], row["duplicates"]) == (60_500, 1)
    assert row["staged files"] == 16 + -(-(60_500 - 3200) // 600)
