"""A query's rows from DuckDB, with the arrays and numbers that BigQuery would give (data-types#array_nulls)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any

from dicombq.errors import SqlError

_Convert = Callable[[Any], Any]


def check_names(columns: Sequence[str]) -> None:
    """Refuse two columns of the same name, which no result of BigQuery has.

    Raises
    ------
    SqlError
        Naming the second one.
    """
    seen: set[str] = set()
    for name in columns:
        if name.lower() in seen:
            raise SqlError(f"the result has more than one column [{name}]", "Name each by AS.")
        seen.add(name.lower())


def as_on_bigquery(description: Sequence[Sequence[Any]], rows: Iterator[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """Give a NULL array as an empty one; refuse one that holds NULL, and an INTERVAL.

    Parameters
    ----------
    description
        Of the columns, as DuckDB's cursor has it.
    """
    converters = [_converter(column[1]) for column in description]
    if not any(converters):
        return rows
    return (
        tuple(convert(value) if convert else value for convert, value in zip(converters, row, strict=True))
        for row in rows
    )


def _converter(kind: Any) -> _Convert | None:
    """Give what converts values of a type; None where nothing has to be."""
    if kind.id == "decimal":
        return _numeric
    if kind.id == "interval":
        return _interval
    if kind.id == "list":
        return _array(_converter(kind.children[0][1]))
    if kind.id == "struct":
        inner = {name: convert for name, child in kind.children if (convert := _converter(child))}
        return _record(inner) if inner else None
    return None


def _numeric(value: Any) -> Any:
    """Give a NUMERIC without the zeros that end its fraction."""
    return value if value is None else Decimal(f"{value.normalize():f}")


def _interval(value: Any) -> Any:
    """Refuse an INTERVAL: DuckDB gives its months as days."""
    if value is not None:
        raise SqlError("an INTERVAL is no result here", "Ask for its parts: EXTRACT(DAY FROM value)")
    return value


def _array(convert: _Convert | None) -> _Convert:
    def convert_array(value: Any) -> Any:
        if value is None:
            return []
        if any(item is None for item in value):
            raise SqlError("an array of the result holds a NULL", "Leave it out: ARRAY_AGG(value IGNORE NULLS)")
        return [convert(item) for item in value] if convert else value

    return convert_array


def _record(inner: dict[str, _Convert]) -> _Convert:
    def convert_record(value: Any) -> Any:
        return value if value is None else value | {name: convert(value[name]) for name, convert in inner.items()}

    return convert_record
