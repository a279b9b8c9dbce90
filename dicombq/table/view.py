"""The generated view: one row per instance, the newest (``schema.md``, The generated view)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from dicombq.table.fields import Field
from dicombq.table.mapping import UID_COLUMNS


def view_name(table: str) -> str:
    """Name the view of a table."""
    return f"{table}View"


def view_query(table: str, fields: Iterable[Field], quote: Callable[[str], str]) -> str:
    """Write the view's query, in words that GoogleSQL and DuckDB share.

    Parameters
    ----------
    table
        The table's name, quoted.
    fields
        The table's fields; a UID that no instance has is no column.
    quote
        Quotes a column's name.

    Notes
    -----
    A row without SOP Instance UID identifies no instance and is always shown.
    """
    present = {f.name.lower() for f in fields}
    uids = [quote(name) for name in UID_COLUMNS if name.lower() in present]
    alive = f"COALESCE({quote('Type')}, 'CREATE') <> 'DELETE'"
    sop = UID_COLUMNS[-1]
    if sop.lower() not in present:
        return f"SELECT * FROM {table} WHERE {alive}"
    newest = f"ROW_NUMBER() OVER (PARTITION BY {', '.join(uids)} ORDER BY {quote('LastUpdated')} DESC NULLS LAST) = 1"
    return f"SELECT * FROM {table} WHERE TRUE QUALIFY ({quote(sop)} IS NULL OR {newest}) AND {alive}"
