"""Wildcards in what is imported."""

from __future__ import annotations

import pytest

from dicombq.errors import InvalidArgument
from dicombq.transfer.pattern import Pattern


@pytest.mark.parametrize(
    ("text", "root", "rest"),
    [
        ("gs://b/dir/**.dcm", "gs://b/dir", "**.dcm"),
        ("gs://b/**", "gs://b", "**"),
        ("gs://b/d*/?", "gs://b", "d*/?"),
        ("gs://b/dir/a.dcm", "gs://b/dir/a.dcm", ""),
        ("/data/*", "/data", "*"),
        ("/*", "/", "*"),
        ("*.dcm", ".", "*.dcm"),
        ("a/b?.dcm", "a", "b?.dcm"),
    ],
)
def test_a_place_and_its_wildcards_are_told_apart(text: str, root: str, rest: str) -> None:
    assert Pattern.parse(text) == Pattern(root, rest)


@pytest.mark.parametrize(
    ("rest", "below", "matches"),
    [
        ("*", "a", True),
        ("*", "a/b", False),
        ("**", "a/b", True),
        ("**.dcm", "a/b.dcm", True),
        ("**.dcm", "a/b_dcm", False),
        ("?", "a", True),
        ("?", "/", False),
        ("a+b/*", "a+b/c", True),
        ("a+b/*", "aab/c", False),
        ("*", "new\nline", True),
        ("", "whatever", True),
    ],
)
def test_wildcards_stand_for_characters(rest: str, below: str, matches: bool) -> None:
    assert Pattern("x", rest).matches(below) is matches


@pytest.mark.parametrize(
    "text",
    ["gs://b/**/x", "gs://b/*/**", "gs://b/**.*", "gs://b/***", "gs://b*/x", "gs://**", "s3://b?/x", "a/**b"],
)
def test_other_wildcards_are_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="wildcards"):
        Pattern.parse(text)


@pytest.mark.parametrize("text", ["gs://b/", "gs://b/dir/", "/"])
def test_a_folder_without_wildcards_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="is a folder"):
        Pattern.parse(text)
