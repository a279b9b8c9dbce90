"""Values as a user sees them, in YAML, tables, CSV and JSON."""

from __future__ import annotations

import datetime as dt
import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

_NAME = re.compile(r"projects/[A-Za-z0-9_./-]+")
"""A resource's name, which YAML has without quotes."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def yaml_text(resource: Mapping[str, Any]) -> str:
    """Write a resource as YAML."""
    if resource.keys() == {"name"} and _NAME.fullmatch(resource["name"]):
        return f"name: {resource['name']}\n"  # what an operation answers with; the library takes 15 ms to start
    import yaml

    text: str = yaml.safe_dump(dict(resource), default_flow_style=False, allow_unicode=True, width=math.inf)
    return text


def value_at(resource: Mapping[str, Any], path: str) -> Any:
    """Find a value by its dotted path; None where there is none."""
    value: Any = resource
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def values_text(resource: Mapping[str, Any], keys: str) -> str:
    """Write what ``value(KEY,KEY)`` asks for."""
    return "\t".join(cell(value_at(resource, key.strip()), "") for key in keys.split(","))


def flatten(resource: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Give all values with their dotted paths."""
    for key, value in resource.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def cell(value: Any, null: str) -> str:
    """Write a value for a table or CSV."""
    if value is None:
        return null
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def plain(value: Any) -> Any:
    """Write a value as ``bq`` does: INT64 as text, times in UTC."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value).replace("inf", "Infinity").replace("nan", "NaN")
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    if isinstance(value, dt.datetime):
        if value.tzinfo is None:
            return value.isoformat()
        return value.astimezone(dt.timezone.utc).replace(tzinfo=None).isoformat(" ") + " UTC"
    return str(value)


def printed(value: Any) -> Any:
    """Write a value for text formats as ``bq`` does: `plain`, with ``true`` and ``false``."""
    return str(value).lower() if isinstance(value, bool) else plain(value)


def on_one_line(text: str) -> str:
    """Spell out control characters: a file name or a value must not steer the terminal."""
    return _CONTROL.sub(lambda match: repr(match[0])[1:-1], text)
