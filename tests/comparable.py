"""Rows of files and of the DICOM JSON model, made comparable."""

from __future__ import annotations

import re
from typing import Any

from dicombq.dicom.dictionary import lookup, tag_of

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_PRIVATE = re.compile(r"Tag_[0-9A-F]{3}[13579BDF]")


def _is_meta(keyword: str) -> bool:
    """Whether an element is of the File Meta Information."""
    tag = tag_of(keyword)
    return tag is not None and tag >> 16 == 0x0002


def comparable(value: Any, name: str = "") -> Any:
    """Leave out what the model cannot say: File Meta Information, and how a number was written.

    Of private elements the two sides may know another VR.
    """
    if isinstance(value, dict):
        left_out = str(value.get("TagName", value.get("Tag", "")))
        if _PRIVATE.match(left_out) or _is_meta(left_out):
            return None
        return {key: comparable(each, key) for key, each in value.items() if not _is_meta(key)}
    if isinstance(value, list):
        return [each for each in (comparable(one, name) for one in value) if each is not None]
    entry = lookup(tag_of(name) or 0)
    if isinstance(value, str) and (name == "Data" or (entry and entry.vr in ("DS", "IS"))) and _NUMBER.fullmatch(value):
        return float(value)
    return float(f"{value:.12g}") if isinstance(value, float) else value


def without(values: dict[str, Any], *names: str) -> dict[str, Any]:
    """Leave out columns, and lists that are empty now."""
    return {name: value for name, value in values.items() if name not in names and value != []}
