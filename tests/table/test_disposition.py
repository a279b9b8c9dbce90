"""Every cell of the table in the command line's reference."""

from __future__ import annotations

import pytest

from dicombq.errors import FailedPrecondition, TableExists, TableNotEmpty
from dicombq.table.disposition import Action, Disposition, TableState, decide

MISSING, EMPTY, ROWS = TableState.MISSING, TableState.EMPTY, TableState.ROWS
NONE, WRITE_EMPTY = Disposition.NONE, Disposition.WRITE_EMPTY
TRUNCATE, APPEND = Disposition.WRITE_TRUNCATE, Disposition.WRITE_APPEND

DONE = {
    (MISSING, NONE): Action.CREATE,
    (MISSING, WRITE_EMPTY): Action.CREATE,
    (MISSING, TRUNCATE): Action.CREATE,
    (MISSING, APPEND): Action.CREATE,
    (EMPTY, WRITE_EMPTY): Action.LOAD,
    (EMPTY, TRUNCATE): Action.REPLACE,
    (EMPTY, APPEND): Action.APPEND,
    (ROWS, TRUNCATE): Action.REPLACE,
    (ROWS, APPEND): Action.APPEND,
}
REFUSED = {(EMPTY, NONE): TableExists, (ROWS, NONE): TableExists, (ROWS, WRITE_EMPTY): TableNotEmpty}


def test_every_cell_is_done_or_refused() -> None:
    cells = {(state, disposition) for state in TableState for disposition in Disposition}
    assert DONE.keys() | REFUSED.keys() == cells
    assert not DONE.keys() & REFUSED.keys()


@pytest.mark.parametrize(("cell", "action"), DONE.items(), ids=str)
def test_a_load_is_done_as_the_table_says(cell: tuple[TableState, Disposition], action: Action) -> None:
    assert decide("t", *cell) is action


@pytest.mark.parametrize(("cell", "kind"), REFUSED.items(), ids=str)
def test_a_load_is_refused_as_the_table_says(
    cell: tuple[TableState, Disposition], kind: type[FailedPrecondition]
) -> None:
    with pytest.raises(kind, match=r"\[bq://p\.d\.t\]") as failure:
        decide("bq://p.d.t", *cell)
    assert type(failure.value) is kind
    assert failure.value.exit_code == 4
    assert "--write-disposition=write-append" in failure.value.hint or "write-append" in failure.value.hint


def test_an_existing_table_is_refused_with_the_flags_that_help() -> None:
    with pytest.raises(TableExists) as failure:
        decide("t", ROWS, NONE)
    assert "--overwrite-table" in failure.value.hint
