"""``--filter`` of lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from dicombq.operations.terms import Term


def read_terms(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[Term, ...]:
    """Read terms joined by AND, or refuse them before anything is done."""
    from dicombq.errors import InvalidArgument
    from dicombq.operations.terms import parse_terms

    try:
        return () if value is None else parse_terms(value)
    except InvalidArgument as error:
        raise click.BadParameter(f"{error.message}.", ctx, param) from None
