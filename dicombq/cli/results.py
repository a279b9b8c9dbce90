"""A query's result for a person at a terminal: tables that fit the window, else a block of lines for each row."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dicombq.cli.values import on_one_line, printed

_BLOCK = 1000
"""Rows that are laid out together: their columns are as wide as their longest cell, and a result may be endless."""

_MANY = 5
_LONG = 2000
_REPRESENTATIONS = ("Alphabetic", "Ideographic", "Phonetic")


def layout(
    columns: Sequence[str], rows: Iterator[tuple[Any, ...]], console: Console, *, hide_empty: bool
) -> Iterator[str]:
    """Lay a result out for a console, piece by piece.

    Parameters
    ----------
    hide_empty
        Whether to leave out columns that are NULL in all rows of a piece; the last line says how many.
    """
    first = True
    number = 0
    while (block := list(itertools.islice(rows, _BLOCK))) or first:
        first = False
        texts = [[readable(printed(value)) for value in row] for row in block]
        shown = [at for at in range(len(columns)) if not (hide_empty and texts) or any(row[at] for row in texts)]
        table = _table([columns[at] for at in shown], [[row[at] for at in shown] for row in texts])
        with console.capture() as captured:
            if _fits(table, console):
                console.print(table)
            else:
                for row in texts:
                    number += 1
                    console.print(_record(number, [(columns[at], row[at]) for at in shown]))
            if hidden := len(columns) - len(shown):
                left_out = "1 column is" if hidden == 1 else f"{hidden:,} columns are"
                console.print(f"{left_out} NULL in every row and left out.", soft_wrap=True)
        yield captured.get()


def _fits(table: Table, console: Console) -> bool:
    return table.__rich_measure__(console, console.options.update(max_width=1 << 16)).maximum <= console.width


def _table(columns: Sequence[str], rows: Sequence[Sequence[str | None]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for column in columns:
        table.add_column(Text(on_one_line(column)), no_wrap=True)
    for row in rows:
        table.add_row(*(Text("NULL", "dim") if cell is None else Text(cell) for cell in row))
    return table


def _record(number: int, fields: Sequence[tuple[str, str | None]]) -> Table:
    grid = Table(box=None, show_header=False, pad_edge=False, title=f"row {number}", title_justify="left")
    grid.add_column(no_wrap=True, style="bold")
    grid.add_column(overflow="fold")
    for name, text in fields:
        if text is not None:
            grid.add_row(Text(on_one_line(name)), Text(text))
    return grid


def readable(value: Any) -> str | None:
    """Write a value for a person: a PN as DICOM has it, records without NULL fields, arrays short; None for NULL."""
    text = _text(value)
    if text is not None and len(text) > _LONG:
        text = f"{text[:_LONG]}... ({len(text):,} characters)"
    return None if text is None else on_one_line(text)


def _text(value: Any) -> str | None:
    if isinstance(value, Mapping):
        if value and set(value) <= set(_REPRESENTATIONS):
            return _name(value)
        fields = ((key, _text(each)) for key, each in value.items())
        inner = ", ".join(f"{key}: {text}" for key, text in fields if text is not None)
        return f"{{{inner}}}" if inner else None
    if isinstance(value, list):
        more = [f"... {len(value) - _MANY:,} more"] if len(value) > _MANY else []
        texts = map(_text, value[:_MANY])
        items = ["{}" if text is None else text for text in texts]
        return f"[{', '.join(items + more)}]" if value else None
    return None if value is None else str(value)


def _name(value: Mapping[str, Any]) -> str | None:
    """Write a PN as it stands in a file: ``Family^Given``, representations joined by ``=``."""
    groups = (value.get(representation) or {} for representation in _REPRESENTATIONS)
    parts = ("^".join(part or "" for part in group.values()).rstrip("^") for group in groups)
    return "=".join(parts).rstrip("=") or None
