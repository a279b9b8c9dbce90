"""Looking into JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def value_at(resource: Mapping[str, Any], path: str) -> Any:
    """Find a value by its dotted path; None where there is none."""
    value: Any = resource
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
