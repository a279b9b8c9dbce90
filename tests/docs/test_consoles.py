"""Every terminal on a page shows what its commands print."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from tests.docs.consoles import Machine, Step, console_blocks, masked, play, rewrite, steps
from tests.docs.pages import DOCS, ROOT, blocks
from tests.docs.terminal import PICTURE, picture
from tests.fakes.bigquery import BigQueryFake

PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
WITH_CONSOLES = [page for page in PAGES if console_blocks(page)]


@pytest.mark.parametrize("page", WITH_CONSOLES, ids=lambda page: page.stem)
def test_a_page_shows_what_its_commands_print(page: Path, tmp_path: Path, bigquery: BigQueryFake) -> None:
    bigquery.create_dataset("my-project.my_dataset")
    bigquery.query_bytes = 123_456_789
    played = play(page, Machine(tmp_path))
    if os.environ.get("UPDATE_GOLDEN"):
        rewrite(page, played)
    else:
        assert [str(step) for step, _ in played] == [str(Step(step.command, output)) for step, output in played]


def test_a_block_is_cut_into_commands_and_outputs() -> None:
    found = steps("$ a 'x\n> y'\n1\n$ b\n> not a command\n")
    assert found == [Step("a 'x\ny'", "1\n"), Step("b\nnot a command", "")]
    assert "".join(map(str, found)) == "$ a 'x\n> y'\n1\n$ b\n> not a command\n"


def test_what_differs_from_run_to_run_is_named() -> None:
    text = "operations/1895302101843374189 at 2027-01-02T03:04:05.123456Z"
    assert masked(text) == "operations/1795302101843374182 at 2026-11-26T20:00:00.000000Z"


def test_the_picture_of_a_terminal_is_what_the_commands_print(tmp_path: Path) -> None:
    drawn, shown = (re.findall(r">([^<]+)</text>", svg) for svg in (picture(Machine(tmp_path)), PICTURE.read_text()))
    assert drawn == shown, "run python -m tests.docs.terminal"
    assert len(shown) > 20


def test_the_python_of_a_page_runs(tmp_path: Path) -> None:
    [block] = [block for block in blocks(DOCS / "reference" / "python.md") if block.language == "python"]
    machine = Machine(tmp_path)
    (machine.here / "example.py").write_text(block.text, encoding="utf-8")
    printed = machine.run(f"{sys.executable} example.py").splitlines()
    assert printed[0] == "CT ['0.661468', '0.661468']"
    assert len(printed) == 1 + 9 + 2
    assert printed[-1].endswith(" MediaStorageSOPClassUID")
