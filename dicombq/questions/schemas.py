"""The columns of tables and stores, as lists."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from dicombq.errors import InvalidArgument, NotFound
from dicombq.questions.place import Place
from dicombq.table.descriptions import described
from dicombq.table.fields import Field, from_bigquery


def fields_at(place: Place) -> tuple[Field, ...]:
    """Give the columns of a place's table; what has no description, as a field within a DuckDB record, gets one."""
    return described(place.warehouse.fields(place.table))


def read_schema_file(path: str) -> tuple[Field, ...]:
    """Read a file that ``bq show --schema`` wrote.

    Raises
    ------
    NotFound
        Where there is none.
    InvalidArgument
        Where it is no schema.
    """
    try:
        return from_bigquery(json.loads(Path(path).read_bytes()))
    except FileNotFoundError:
        raise NotFound(f"there is no file [{path}]", "Write one: dicombq schema show TABLE --format=json") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InvalidArgument(f"the file [{path}] is no schema as `bq show --schema` writes it") from None


def flat(fields: Iterable[Field], above: str = "") -> Iterator[dict[str, Any]]:
    """List fields and those in them, each by its dotted path, and by its name, which is indented by its depth."""
    for f in fields:
        path = f"{above}{f.name}"
        indented = f"{'  ' * path.count('.')}{f.name}"
        yield {"column": path, "name": indented, "type": f.type, "mode": f.mode, "description": f.description}
        yield from flat(f.fields, f"{path}.")


def differences(a: Iterable[Field], b: Iterable[Field]) -> list[dict[str, str]]:
    """List the columns in which two tables differ; names are equal regardless of case, as everywhere in BigQuery."""
    return list(_differences(tuple(a), tuple(b), ""))


def _differences(a: tuple[Field, ...], b: tuple[Field, ...], above: str) -> Iterator[dict[str, str]]:
    there = {f.name.lower(): f for f in b}
    for f in a:
        other = there.pop(f.name.lower(), None)
        path = f"{above}{f.name}"
        if other is None or (f.type, f.repeated) != (other.type, other.repeated):
            yield {"column": path, "a": f.describe(), "b": other.describe() if other else ""}
        else:
            yield from _differences(f.fields, other.fields, f"{path}.")
    for other in there.values():
        yield {"column": f"{above}{other.name}", "a": "", "b": other.describe()}
