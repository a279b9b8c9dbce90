"""A query's result for a person at a terminal: tables that fit the window, else a block of lines for each row."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dicombq.questions.values import on_one_line, printed, readable

_BLOCK = 1000
"""Rows that are laid out together: their columns are as wide as their longest cell, and a result may be endless."""


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
