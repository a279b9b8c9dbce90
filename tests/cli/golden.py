"""Outputs that stay as they are: UPDATE_GOLDEN=1 in the environment writes them anew."""

from __future__ import annotations

import os
import re
from pathlib import Path

FOLDER = Path(__file__).with_name("golden")
_MASKS = [
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"), "TIME"),
    (re.compile(r"\d{19}"), "OPERATION_ID"),
]
UPDATE = "UPDATE_GOLDEN"


def masked(text: str, home: Path) -> str:
    """Replace what differs from run to run."""
    text = text.replace(str(home), "/HOME").replace(str(home.parent / "here"), "/HERE")
    for pattern, name in _MASKS:
        text = pattern.sub(name, text)
    return text


def assert_golden(name: str, text: str) -> None:
    """Compare a text with the file that holds it."""
    path = FOLDER / name
    if os.environ.get(UPDATE):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")
