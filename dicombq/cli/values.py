"""Resources as a user sees them, in YAML, tables, CSV and JSON."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from dicombq.questions.values import cell
from dicombq.system.mappings import value_at

_NAME = re.compile(r"projects/[A-Za-z0-9_./-]+")
"""A resource's name, which YAML has without quotes."""


def yaml_text(resource: Mapping[str, Any]) -> str:
    """Write a resource as YAML."""
    if resource.keys() == {"name"} and _NAME.fullmatch(resource["name"]):
        return f"name: {resource['name']}\n"  # what an operation answers with; the library takes 15 ms to start
    import yaml

    text: str = yaml.safe_dump(dict(resource), default_flow_style=False, allow_unicode=True, width=math.inf)
    return text


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
