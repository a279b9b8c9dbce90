from __future__ import annotations

import contextlib
import io
import os
import pty
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from dicombq.cli import results
from dicombq.cli.results import layout
from dicombq.questions.values import readable
from tests.cli.conftest import Run


def lines(
    columns: Sequence[str], rows: Sequence[tuple[Any, ...]], width: int = 60, *, hide_empty: bool = False
) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    text = "".join(layout(columns, iter(rows), console, hide_empty=hide_empty))
    return [line.rstrip() for line in text.splitlines() if line.strip()]


NAME = {
    "Alphabetic": {"FamilyName": "Yamada", "GivenName": "Tarou", "MiddleName": None},
    "Ideographic": {"FamilyName": "山田", "GivenName": None},
    "Phonetic": None,
}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None),
        ([], None),
        ({"A": None, "B": []}, None),
        (NAME, "Yamada^Tarou=山田"),
        ({"Alphabetic": None, "Ideographic": None, "Phonetic": None}, None),
        ([{"Tag": "T", "Data": ["1", ""]}, {"Tag": None}], "[{Tag: T, Data: [1, ]}, {}]"),
        (list(range(9)), "[0, 1, 2, 3, 4, ... 4 more]"),
        ("a\x1bb", "a\\x1bb"),
        ("x" * 3000, "x" * 2000 + "... (3,000 characters)"),
    ],
)
def test_a_value_is_written_for_a_person(value: Any, text: str | None) -> None:
    assert readable(value) == text


def test_rows_that_fit_are_a_table() -> None:
    heading, _, first, second = lines(["Modality", "Rows"], [("CT", 512), (None, 16)])
    assert heading.split() == ["Modality", "Rows"]
    assert (first.split(), second.split()) == (["CT", "512"], ["NULL", "16"])


def test_a_row_that_is_too_wide_is_a_block_without_its_nulls() -> None:
    columns = [f"Column{number}" for number in range(9)]
    shown = lines(columns, [("a" * 20, *[None] * 7, "b" * 100)], width=40)
    assert shown[0] == "row 1"
    assert [line.split()[0] for line in shown if line.startswith("Column")] == ["Column0", "Column8"]
    assert "".join(shown).count("b") == 100


def test_columns_that_are_null_in_every_row_are_left_out_where_all_were_asked_for() -> None:
    rows = [(1, None, None), (2, None, "x")]
    hidden = lines(["a", "b", "c"], rows, hide_empty=True)
    assert hidden[0].split() == ["a", "c"]
    assert hidden[-1] == "1 column is NULL in every row and left out."
    assert lines(["a", "b", "c"], rows)[0].split() == ["a", "b", "c"]
    assert lines(["a", "b"], [], hide_empty=True)[0].split() == ["a", "b"]


def test_a_column_with_a_late_value_is_there_from_its_piece_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "_BLOCK", 2)
    shown = lines(["a", "b"], [(1, None), (2, None), (3, "late")], hide_empty=True)
    headings = [line.split() for line in shown if line.startswith("a")]
    assert headings == [["a"], ["a", "b"]]
    assert shown[-1].split() == ["3", "late"]


@pytest.mark.parametrize(("pager", "heading"), [("cat", "row 1"), ("tr a-z A-Z", "ROW 1")])
def test_on_a_terminal_a_result_is_laid_out_and_paged(run: Run, scans: Path, pager: str, heading: str) -> None:
    run("export", "bq", "scans")
    controller, side = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "FORCE_COLOR"}}
    environment |= {"TERM": "xterm-256color", "PAGER": pager, "COLUMNS": "60"}
    command = [sys.executable, "-m", "dicombq", "query", "SELECT * FROM dicom.scans"]
    with subprocess.Popen(command, stdin=side, stdout=side, stderr=subprocess.PIPE, env=environment) as process:
        os.close(side)
        shown = b""
        with contextlib.suppress(OSError):  # how Linux says that the other side is closed
            while chunk := os.read(controller, 65536):
                shown += chunk
        assert process.wait() == 0
    os.close(controller)
    assert heading in shown.decode()
