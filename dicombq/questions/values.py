"""The values of a question's result, as people see them and as other programs read them."""

from __future__ import annotations

import base64
import datetime as dt
import json
import math
import re
from collections.abc import Mapping
from typing import Any

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_ALL_COLUMNS = re.compile(r"\bSELECT\s+(DISTINCT\s+)?(\w+\.)?\*", re.IGNORECASE)
_MANY = 5
_LONG = 2000
_REPRESENTATIONS = ("Alphabetic", "Ideographic", "Phonetic")


def asks_for_all_columns(sql: str) -> bool:
    """Tell whether a query asks for all columns: those that are NULL in every row are then not worth a look."""
    return bool(_ALL_COLUMNS.search(sql))


def cell(value: Any, null: str) -> str:
    """Write a value for a table or CSV."""
    if value is None:
        return null
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def plain(value: Any) -> Any:
    """Write a value as ``bq`` does: INT64 as text, BYTES in base64, times in UTC."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value).replace("inf", "Infinity").replace("nan", "NaN")
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
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
