"""Filter files."""

import io
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from dicombq.errors import InvalidArgument, NotFound, NotPermitted
from dicombq.stores.filters import MAX_LINE, BadLine, Filter, FilterLine, is_uid, load_filter, read_filter
from tests.gcs_server import GcsBucket

INSTANCE = ("1.2", "1.2.3", "1.2.3.4")


def read(text: str | bytes) -> Filter:
    return Filter("f", io.BytesIO(text.encode() if isinstance(text, str) else text))


@pytest.mark.parametrize(
    ("line", "matches"),
    [
        ("/studies/1.2", True),
        ("/studies/1.2/series/1.2.3", True),
        ("/studies/1.2/series/1.2.3/instances/1.2.3.4", True),
        ("/studies/1.2.3", False),
        ("/studies/1", False),
        ("/studies/1.2/series/1.2.4", False),
        ("/studies/1.2/series/1.2.3/instances/1.2.3.5", False),
        ("/studies/9/series/1.2.3/instances/1.2.3.4", False),
    ],
)
def test_a_line_names_a_study_a_series_or_an_instance_and_all_in_it(line: str, matches: bool) -> None:
    assert bool(read(line).matching(INSTANCE)) is matches


@pytest.mark.parametrize(
    "text",
    [
        "/studies/1.2\n",
        "/studies/1.2\r\n",
        "studies/1.2",
        "\ufeff/studies/1.2\n",
        '"/studies/1.2"\n',
        '\ufeff"/studies/1.2"\n',
        "'/studies/1.2'\n",
        "  /studies/1.2\t\n",
        '" /studies/1.2 "\n',
        "f0_\n/studies/1.2\n",
        '"path"\r\n"/studies/1.2"\r\n',
        "\n\n/studies/1.2\n\n",
    ],
)
def test_what_tools_put_around_a_path_is_taken_off(text: str) -> None:
    assert [line.uids for line in read(text).lines()] == [("1.2",)]


@pytest.mark.parametrize(
    ("text", "number", "reason"),
    [
        ("/studies/1.2\n/series/1.2.3\n", 2, "is not the path"),
        ("/studies/1.2\nf0_\n", 2, "is not the path"),
        ("/studies/1.2/\n", 1, "is not the path"),
        ("/studies/1.2/series/1.2.3/instances/1.2.3.4/frames/1\n", 1, "is not the path"),
        ("/studies/1.2,/studies/1.3\n", 1, "is not the path"),
        ("h\n\n/studies/one\n", 3, "digits and dots"),
        (f"/studies/{'1' * 65}\n", 1, "digits and dots"),
        ("/studies/\u0661.2\n", 1, "digits and dots"),
        ("/studies/../series/1\n", 1, "digits and dots"),
        ("/studies/1\n" + "x" * 5000, 2, f"more than {MAX_LINE:,} bytes"),
        ("x" * 5000, 1, f"more than {MAX_LINE:,} bytes"),
    ],
)
def test_a_line_that_is_no_path_is_refused_with_its_number_and_reason(text: str, number: int, reason: str) -> None:
    with pytest.raises(InvalidArgument, match=rf"line {number} of the filter file \[f\] .*{reason}"):
        read(text)


@pytest.mark.parametrize("text", ["", "\n \n", "f0_\n", "\ufeff"])
def test_a_file_without_a_path_never_means_everything(text: str) -> None:
    with pytest.raises(InvalidArgument, match="names no study"):
        read(text)


def test_lines_are_known_by_their_numbers_and_equal_ones_by_the_first() -> None:
    found = read("path\n/studies/1.2\n/studies/1.2/series/1.2.3\nstudies/1.2\n/studies/7\n")
    assert sorted(found.numbers()) == [2, 3, 5]
    assert found.matching(INSTANCE) == [2, 3]


@pytest.mark.parametrize("uids", [("", "", ""), ("1.2", "", ""), ("1.2", "1.2.3", "")])
def test_an_instance_without_uids_matches_what_it_has(uids: Sequence[str]) -> None:
    assert bool(read("/studies/1.2").matching(tuple(uids))) is bool(uids[0])


def test_a_copy_has_the_same_lines(tmp_path: Path) -> None:
    found = read(b"\xef\xbb\xbf/studies/1.2\r\n")
    found.save(tmp_path / "copy")
    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o600
    copy = load_filter("f", tmp_path / "copy")
    assert (copy.uri, [*copy.lines()]) == ("f", [*found.lines()])


def test_a_filter_is_read_from_a_path_and_from_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "filter").write_text("/studies/1.2\n")
    with (tmp_path / "filter").open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert [*read_filter("-").lines()] == [*read_filter(str(tmp_path / "filter")).lines()]


def test_a_filter_is_read_from_cloud_storage(gcs_bucket: GcsBucket) -> None:
    gcs_bucket.put("dir/filter.txt", b"f0_\n/studies/1.2\n")
    found = read_filter(f"{gcs_bucket.uri}/dir/filter.txt")
    assert (found.uri, [*found.lines()]) == (f"{gcs_bucket.uri}/dir/filter.txt", [(2, ("1.2",))])
    with pytest.raises(NotFound, match="there is no object"):
        read_filter(f"{gcs_bucket.uri}/filter.txt")
    with pytest.raises(InvalidArgument, match="not in Google Cloud Storage"):
        read_filter("s3://bucket/filter.txt")


@pytest.mark.parametrize("name", ["missing", ".", "nul\0"])
def test_a_filter_that_is_not_there_is_not_found(tmp_path: Path, name: str) -> None:
    with pytest.raises(NotFound, match="there is no filter file"):
        read_filter(f"{tmp_path}/{name}")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read every file")
def test_a_filter_that_may_not_be_read_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "filter").touch(mode=0)
    with pytest.raises(NotPermitted, match="may not be read"):
        read_filter(str(tmp_path / "filter"))


def test_all_lines_that_are_no_paths_are_told_to_who_asks_for_them() -> None:
    text = f"/studies/1.2\nbad\n{'x' * 5000}\n/studies/1.2/series/1.2.3\n"
    found = Filter("f", io.BytesIO(text.encode()), tolerant=True)
    assert [line for line in found.entries() if isinstance(line, BadLine)] == [
        BadLine(2, "is not the path of a study, series or instance"),
        BadLine(3, f"has more than {MAX_LINE:,} bytes"),
    ]
    assert found.matching(INSTANCE) == [1, 4]
    with pytest.raises(InvalidArgument, match="names no study"):
        Filter("f", io.BytesIO(b"\n"), tolerant=True)


@pytest.mark.parametrize("uids", [("1",), ("1", "2"), ("1", "2", "3")])
def test_a_line_is_written_as_it_is_read(uids: tuple[str, ...]) -> None:
    line = FilterLine(1, uids)
    assert [*read(line.path).lines()] == [line]


@pytest.mark.parametrize("text", ["", ".", "..", "1/2", "a", "1" * 65, "1\n", "\u0661", ".1"])
def test_what_makes_no_part_of_a_path_is_no_uid(text: str) -> None:
    assert not is_uid(text)
    assert is_uid("1.2.840")
