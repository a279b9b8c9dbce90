"""What a column holds, for people: an element's name, tag and VR (PS3.6)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from dicombq.dicom import dictionary
from dicombq.table.fields import Field

_EXTRA = {
    "OtherElements": "Private elements, unknown ones, and values that do not fit their column",
    "DroppedTags": "Elements that were left out: binary, too large, or nested too deeply",
    "Type": "CREATE for an instance that was put in the store, DELETE for one that was deleted",
    "LastUpdated": "When the instance was put in the store",
    "StorageClass": "Storage class of the instance",
    "BlobStorageSize": "Bytes of the instance",
    "StructuredStorageSize": "Bytes of the instance's metadata",
    "SourceDicomStore": "Resource name of the store that holds the instance",
    "Metadata": "The instance in the DICOM JSON model (PS3.18 F), without bulk data",
}


def description(name: str) -> str:
    """Describe the column of that name; empty for one that speaks for itself."""
    tag = dictionary.tag_of(name)
    entry = dictionary.lookup(tag) if tag is not None else None
    if tag is not None and entry is not None:
        group = f"{tag >> 16:04X}" if dictionary.repeating_base(tag) is None else f"{tag >> 24:02X}xx"
        return f"{dictionary.name_of(tag)} ({group},{tag & 0xFFFF:04X}) {entry.vr}"
    if name.startswith("Tag_"):
        return f"Private element ({name[4:8]},{name[8:12]}) SQ"
    return _EXTRA.get(name, "")


def described(fields: Iterable[Field]) -> tuple[Field, ...]:
    """Describe fields, nested ones too; what has a description keeps it."""
    return tuple(
        replace(f, description=f.description or description(f.name), fields=described(f.fields)) for f in fields
    )
