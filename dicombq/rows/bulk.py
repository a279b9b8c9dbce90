"""What the DICOM JSON model of an instance leaves out, as references to where it can be had (PS3.18 F.2.6)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dicombq.dicom import dictionary

_NAMELESS = "Tag_"


def add_references(model: dict[str, Any], dropped: Iterable[str], uri: str) -> dict[str, Any]:
    """Put a ``BulkDataURI`` in the place of each element that was left out.

    Parameters
    ----------
    model
        The instance; it is changed.
    dropped
        Names of elements, after the path of the items around them, as ``DroppedTags`` has them.
    uri
        Of the instance's bulk data.

    Returns
    -------
    dict
        The instance, its elements in their order.
    """
    changed = {id(model): model}
    for name in dropped:
        *around, last = name.split(".")
        item, path = model, ""
        for step in around:
            sequence, _, position = step.rstrip("]").partition("[")
            tag = f"{_tag_of(sequence):08X}"
            item = item[tag]["Value"][int(position)]
            path += f"/{tag}/{int(position) + 1}"
        changed[id(item)] = item
        tag_number = _tag_of(last)
        vr = dictionary.effective_vr(tag_number, None, "", signed=False)
        item[f"{tag_number:08X}"] = {"vr": vr, "BulkDataURI": f"{uri}{path}/{tag_number:08X}"}
    for item in changed.values():
        elements = sorted(item.items())
        item.clear()
        item.update(elements)
    return model


def _tag_of(name: str) -> int:
    """Give the tag of an element by its name (``schema.md``, DroppedTags)."""
    if name.startswith(_NAMELESS):
        return int(name.removeprefix(_NAMELESS), 16)
    return dictionary.tag_of(name) or 0
