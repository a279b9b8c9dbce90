"""The studies, series and instances that a store holds, with what a search matches and returns of them (PS3.18 10.6).

The catalogue is a part of the inventory. It is made of the rows that passes read anyway, in either schema. What
instances of a study tell otherwise than each other is told as by the one that was read last.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import orjson

from dicombq.dicom import dictionary
from dicombq.dicom.values import NAME_COMPONENTS, NAME_GROUPS
from dicombq.table.mapping import tag_name

if TYPE_CHECKING:
    from dicombq.streaming.inventory import Inventory

STUDY_ATTRIBUTES = (
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyID",
    "StudyDescription",
    "TimezoneOffsetFromUTC",
)
SERIES_ATTRIBUTES = (
    "Modality",
    "SeriesNumber",
    "SeriesDescription",
    "BodyPartExamined",
    "PerformedProcedureStepStartDate",
    "PerformedProcedureStepStartTime",
)
INSTANCE_ATTRIBUTES = ("SOPClassUID", "InstanceNumber", "Rows", "Columns", "BitsAllocated", "NumberOfFrames")


@cache
def tag_of(keyword: str) -> int:
    """Give the tag of one of the attributes."""
    return dictionary.tag_of(keyword) or 0


@cache
def vr_of(keyword: str) -> str:
    """Give the VR of one of the attributes."""
    entry = dictionary.lookup(tag_of(keyword))
    return entry.vr if entry else "UN"


NAMES = tuple(name for name in STUDY_ATTRIBUTES if vr_of(name) == "PN")
"""Attributes that are matched without regard to case, by a column of their own (PS3.4 C.2.2.2.1)."""


def folded(name: str) -> str:
    """Name the column in which a PN is as it is matched."""
    return f"{name}Folded"


def fold(name: str) -> str:
    """Write a PN as it is matched: without case, and without empty components at the end of a group."""
    return "=".join(group.rstrip("^ ") for group in name.casefold().split("="))


_STUDY_COLUMNS = (*STUDY_ATTRIBUTES, *map(folded, NAMES))


def _columns(names: tuple[str, ...]) -> str:
    return ", ".join(f"{name} TEXT" for name in names)


CATALOGUE = f"""
-- What is not in it yet is read again by the next pass
UPDATE copies SET version = '?';

-- Attributes are text as a file has it, several values with backslashes between them
CREATE TABLE studies (id INTEGER PRIMARY KEY, uid TEXT NOT NULL UNIQUE, {_columns(_STUDY_COLUMNS)});
CREATE INDEX studies_of_patient ON studies (PatientID);
CREATE INDEX studies_of_date ON studies (StudyDate);
CREATE INDEX studies_by_accession ON studies (AccessionNumber);

CREATE TABLE series (
    id INTEGER PRIMARY KEY, study INTEGER NOT NULL REFERENCES studies, uid TEXT NOT NULL,
    {_columns(SERIES_ATTRIBUTES)}, UNIQUE (study, uid));
CREATE INDEX series_by_uid ON series (uid);

-- An instance that is alive, by its number
CREATE TABLE headers (
    id INTEGER PRIMARY KEY REFERENCES instances, series INTEGER NOT NULL REFERENCES series, uid TEXT NOT NULL,
    {_columns(INSTANCE_ATTRIBUTES)}, UNIQUE (series, uid));
CREATE INDEX headers_by_uid ON headers (uid);
"""


def note(inventory: Inventory, instance: int, uids: tuple[str, ...], row: bytes, *, schema_json: bool) -> None:
    """Note an instance as it was read; in a transaction of the inventory.

    Parameters
    ----------
    row
        Its row as JSON, in one of the two schemas.
    """
    values = orjson.loads(row)
    text_of = _model_text if schema_json else _column_text
    source = values["Metadata"] if schema_json else values
    attributes = {name: text_of(source, name) for name in (*STUDY_ATTRIBUTES, *SERIES_ATTRIBUTES, *INSTANCE_ATTRIBUTES)}
    names = {folded(name): fold(attributes[name]) for name in NAMES}
    study = _put(inventory, "studies", {"uid": uids[0]}, attributes | names, _STUDY_COLUMNS)
    series = _put(inventory, "series", {"study": study, "uid": uids[1]}, attributes, SERIES_ATTRIBUTES)
    inventory.execute(
        f"INSERT OR REPLACE INTO headers (id, series, uid, {', '.join(INSTANCE_ATTRIBUTES)}) "
        f"VALUES (?, ?, ?{', ?' * len(INSTANCE_ATTRIBUTES)})",
        [instance, series, uids[2], *(attributes[name] for name in INSTANCE_ATTRIBUTES)],
    )


def forget(inventory: Inventory, instance: int) -> None:
    """Forget an instance that is gone, and its series and its study with the last one."""
    known = inventory.one(
        "SELECT series, study FROM headers JOIN series ON series.id = series WHERE headers.id = ?", [instance]
    )
    if known is None:
        return
    series, study = known
    inventory.execute("DELETE FROM headers WHERE id = ?", [instance])
    inventory.execute(
        "DELETE FROM series WHERE id = ? AND NOT EXISTS (SELECT 1 FROM headers WHERE headers.series = series.id)",
        [series],
    )
    inventory.execute(
        "DELETE FROM studies WHERE id = ? AND NOT EXISTS (SELECT 1 FROM series WHERE study = studies.id)", [study]
    )


def _put(
    inventory: Inventory, table: str, key: dict[str, Any], values: Mapping[str, str], columns: tuple[str, ...]
) -> int:
    """Note a study or a series, unless it is noted like this; give its number."""
    wanted = tuple(values[name] for name in columns)
    names = ", ".join(columns)
    is_it = " AND ".join(f"{name} = ?" for name in key)
    known = inventory.one(f"SELECT id, {names} FROM {table} WHERE {is_it}", [*key.values()])
    if known is None:
        marks = ", ".join("?" * (len(key) + len(columns)))
        cursor = inventory.execute(
            f"INSERT INTO {table} ({', '.join(key)}, {names}) VALUES ({marks})", [*key.values(), *wanted]
        )
        return int(cursor.lastrowid or 0)
    if known[1:] != wanted:
        changes = ", ".join(f"{name} = ?" for name in columns)
        inventory.execute(f"UPDATE {table} SET {changes} WHERE id = ?", [*wanted, known[0]])
    return int(known[0])


def _model_text(model: Mapping[str, Any], name: str) -> str:
    """Read an attribute in the DICOM JSON model."""
    values = model.get(f"{tag_of(name):08X}", {}).get("Value", ())
    texts = (_name_text(value) if isinstance(value, dict) else "" if value is None else str(value) for value in values)
    return undivided("\\".join(texts), vr_of(name))


def _name_text(name: Mapping[str, Any]) -> str:
    return "=".join(str(name.get(group) or "") for group in NAME_GROUPS).rstrip("=")


def _column_text(row: Mapping[str, Any], name: str) -> str:
    """Read an attribute in the columns of the flattened schema, or among what did not fit them."""
    value = row.get(name)
    if value is None:
        unfit = (each["Data"] for each in row.get("OtherElements", ()) if each["Tag"] == tag_name(tag_of(name)))
        return "\\".join(next(unfit, ()))
    vr = vr_of(name)
    if vr == "PN":
        groups = ("^".join(value.get(group, {}).get(part, "") for part in NAME_COMPONENTS) for group in NAME_GROUPS)
        return "=".join(group.rstrip("^") for group in groups).rstrip("=")
    return undivided(str(value), vr)


def undivided(text: str, vr: str) -> str:
    """Write a date or a time without what stands between its parts in columns, and in elements before DICOM 3."""
    return text.translate(_SEPARATORS[vr]) if vr in _SEPARATORS else text


_SEPARATORS = {"DA": str.maketrans("", "", "-."), "TM": str.maketrans("", "", ":")}
