"""Sample queries: the guides' own, and what people ask most. Each is a file in ``sql/``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from dicombq.dicom import dictionary
from dicombq.questions.place import TABLE
from dicombq.table.fields import Field, standard_type
from dicombq.table.mapping import flattened_fields

_FOLDER = Path(__file__).with_name("sql")


def sample(name: str) -> str:
    """Give a sample's text; its first line says in a comment what it answers."""
    return (_FOLDER / f"{name}.sql").read_text(encoding="utf-8")


@cache
def known_columns() -> dict[str, Field]:
    """Give the columns that the extra ones are, by name."""
    return {f.name: f for f in flattened_fields(["OtherElements"])}


def completed(sql: str, fields: Iterable[Field]) -> str:
    """Let a sample run on a table that lacks some of its columns: an element that no instance has is NULL.

    Parameters
    ----------
    fields
        The table's.
    """
    present = {f.name.lower() for f in fields}
    words = dict.fromkeys(re.findall(r"\w+", re.sub(r"--.*|'[^']*'", "", sql)))
    lacking = [f for word in words if word.lower() not in present and (f := _column(word))]
    if not lacking:
        return sql
    nulls = "".join(f", CAST(NULL AS {standard_type(f)}) AS `{f.name}`" for f in lacking)
    return re.sub(rf"\bFROM {TABLE}\b", f"FROM (SELECT *{nulls} FROM {TABLE}) AS {TABLE}", sql)


def _column(word: str) -> Field | None:
    if dictionary.tag_of(word) is not None:
        return flattened_fields([word])[0]
    return known_columns().get(word)
