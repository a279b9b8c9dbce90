"""Which column an element gets: the rules of ``schema.md``, and only here."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from functools import lru_cache
from typing import NamedTuple, TypeAlias

from dicombq.dicom import dictionary
from dicombq.dicom.values import BULK_VRS, NAME_COMPONENTS, NAME_GROUPS
from dicombq.table.fields import Field

MAX_RECORD_DEPTH = 15
"""Levels of RECORD in a BigQuery table."""

MAX_ELEMENT_SIZE = 1 << 20
"""Bytes from which on an element is left out, unless ``--max-element-size`` says otherwise."""

_TYPES = {
    "DA": "DATE",
    "TM": "TIME",
    "DT": "TIMESTAMP",
    "FL": "FLOAT",
    "FD": "FLOAT",
    **dict.fromkeys(("AT", "SL", "SS", "SV", "UL", "US", "UV"), "INTEGER"),
    **dict.fromkeys(("PN", "SQ"), "RECORD"),
    **dict.fromkeys(("US or SS", "US or OW", "US or SS or OW"), "INTEGER"),
}
Tree: TypeAlias = "dict[str, Tree]"

_FILE_META_VERSION = 0x00020001


class Kind(Enum):
    """What becomes of an element."""

    SKIPPED = "left out silently: group lengths and File Meta Information Version"
    DROPPED = "named in DroppedTags"
    OTHER = "text in OtherElements"
    VALUE = "a column of its own"
    REPEATING = "a column with one entry per repeating group"
    SEQUENCE = "a REPEATED RECORD"


class Column(NamedTuple):
    """Where an element's value goes.

    Parameters
    ----------
    name
        The column; for DROPPED and OTHER what the element is called there.
    vr
        The dictionary's VR, which decides the column's type; empty where there is none.
    repeated
        The column's mode, by the dictionary's VM.
    records
        Levels of RECORD that the column itself needs.
    """

    kind: Kind
    name: str
    vr: str = ""
    repeated: bool = False
    records: int = 0


def column_type(vr: str) -> str:
    """Give the type of a column by the dictionary's VR; names and sequences are RECORD."""
    return _TYPES.get(vr, "STRING")


def tag_name(tag: int) -> str:
    """Name an element that has no keyword: ``Tag_GGGGEEEE``."""
    return f"Tag_{tag:08X}"


@lru_cache(maxsize=65_536)
def column(tag: int, vr: str) -> Column:
    """Decide what becomes of an element that is read by `vr` (`dictionary.effective_vr`)."""
    if tag & 0xFFFF == 0 or tag == _FILE_META_VERSION:
        return Column(Kind.SKIPPED, tag_name(tag))
    entry = dictionary.lookup(tag)
    if entry is None:
        return _unlisted(tag, vr)
    bulk = vr in BULK_VRS or entry.vr in BULK_VRS or entry.vr == "OB or OW"
    repeating = dictionary.repeating_base(tag) is not None
    if bulk or (vr == "SQ" and (entry.vr != "SQ" or repeating)):
        return Column(Kind.DROPPED, entry.keyword)
    if entry.vr == "SQ":
        if vr != "SQ":
            return Column(Kind.OTHER, tag_name(tag), "SQ", records=1)
        return Column(Kind.SEQUENCE, entry.keyword, "SQ", repeated=True, records=1)
    repeated = entry.vm != "1"
    if repeating:
        return Column(Kind.REPEATING, entry.keyword, entry.vr, repeated, records=1)
    return Column(Kind.VALUE, entry.keyword, entry.vr, repeated, records=2 if entry.vr == "PN" else 0)


def _unlisted(tag: int, vr: str) -> Column:
    name = tag_name(tag)
    if vr == "SQ":
        return Column(Kind.SEQUENCE, name, "SQ", repeated=True, records=1)
    if vr in BULK_VRS:
        return Column(Kind.DROPPED, name)
    return Column(Kind.OTHER, name, records=1)


def _record(name: str, *fields: Field) -> Field:
    return Field(name, "RECORD", "REPEATED", fields)


OTHER_ELEMENTS = _record("OtherElements", Field("Tag", "STRING"), Field("Data", "STRING", "REPEATED"))
DROPPED_TAGS = _record("DroppedTags", Field("TagName", "STRING"), Field("TagReference", "STRING"))
SOURCE_DICOM_STORE = Field("SourceDicomStore", "STRING")
_FLATTENED_EXTRA = (
    DROPPED_TAGS,
    Field("Type", "STRING"),
    Field("LastUpdated", "TIMESTAMP"),
    Field("StorageClass", "STRING"),
    Field("BlobStorageSize", "INTEGER"),
)


def flattened_fields(paths: Iterable[str], *, source_store: bool = False) -> tuple[Field, ...]:
    """Build the table's fields from the paths of the leaf columns that the rows have.

    Parameters
    ----------
    paths
        Names of enclosing sequences and of the column, joined by dots. A column's type follows from its name.
    source_store
        Whether ``SourceDicomStore`` is asked for.

    Returns
    -------
    tuple of Field
        In the order of ``schema.md``, Column order; the extra columns last.
    """
    tree: Tree = {}
    for path in paths:
        node = tree
        for name in path.split("."):
            node = node.setdefault(name, {})
    extra = _FLATTENED_EXTRA + ((SOURCE_DICOM_STORE,) if source_store else ())
    return _fields(tree) + extra


def _fields(tree: Tree) -> tuple[Field, ...]:
    return tuple(
        _record(name, *_fields(children)) if (children := tree[name]) else _leaf(name)
        for name in sorted(tree, key=_rank)
    )


def _rank(name: str) -> tuple[int, int, str]:
    tag = dictionary.tag_of(name)
    if tag is not None:
        return 0, tag, name
    return (1 if name.startswith("Tag_") else 2), 0, name


@lru_cache(maxsize=8192)
def _leaf(name: str) -> Field:
    if name == OTHER_ELEMENTS.name:
        return OTHER_ELEMENTS
    tag = dictionary.tag_of(name)
    entry = dictionary.lookup(tag) if tag is not None else None
    if tag is None or entry is None:
        raise KeyError(name)
    value = _value_field(name, entry)
    if dictionary.repeating_base(tag) is None:
        return value
    return _record(name, Field("Id", "STRING"), Field("Value", value.type, value.mode, value.fields))


def _value_field(name: str, entry: dictionary.Entry) -> Field:
    mode = "NULLABLE" if entry.vm == "1" else "REPEATED"
    if entry.vr == "PN":
        parts = tuple(Field(part, "STRING") for part in NAME_COMPONENTS)
        return Field(name, "RECORD", mode, tuple(Field(group, "RECORD", "NULLABLE", parts) for group in NAME_GROUPS))
    return Field(name, column_type(entry.vr), mode)


def json_fields(*, source_store: bool = False, typed: bool = True) -> tuple[Field, ...]:
    """Give the fields of a table with ``--schema=json`` (``schema.md``, JSON schema).

    Parameters
    ----------
    typed
        Whether there is the column Type; change data capture has none (``rest_api.md``, SchemaJSON).
    """
    uids = tuple(Field(name, "STRING") for name in UID_COLUMNS)
    return (
        *uids,
        *((SOURCE_DICOM_STORE,) if source_store else ()),
        Field("Metadata", "JSON"),
        Field("StructuredStorageSize", "INTEGER"),
        Field("DroppedTags", "STRING", "REPEATED"),
        Field("StorageClass", "STRING"),
        Field("LastUpdated", "TIMESTAMP"),
        Field("BlobStorageSize", "INTEGER"),
        *((Field("Type", "STRING"),) if typed else ()),
    )


UID_COLUMNS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
"""The columns that identify an instance."""
