"""Searches of the catalogue (QIDO-RS, PS3.18 10.6), and where the instances lie that somebody asks for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from dicombq.dicom import dictionary
from dicombq.dicom.values import NAME_GROUPS
from dicombq.errors import InvalidArgument
from dicombq.streaming.catalogue import (
    INSTANCE_ATTRIBUTES,
    NAMES,
    SERIES_ATTRIBUTES,
    STUDY_ATTRIBUTES,
    fold,
    folded,
    tag_of,
    undivided,
    vr_of,
)
from dicombq.streaming.inventory import NEWEST, Inventory
from dicombq.system.times import from_microseconds

MOST = 5000
"""Items in an answer."""

Model = dict[str, Any]


@dataclass(frozen=True)
class _Level:
    """Studies, series or instances.

    Parameters
    ----------
    uid
        The keyword of its UID.
    above
        The column that names the row above.
    """

    table: str
    uid: str
    attributes: tuple[str, ...]
    above: str = ""


_LEVELS = {
    "studies": _Level("studies", "StudyInstanceUID", STUDY_ATTRIBUTES),
    "series": _Level("series", "SeriesInstanceUID", SERIES_ATTRIBUTES, "study"),
    "instances": _Level("headers", "SOPInstanceUID", INSTANCE_ATTRIBUTES, "series"),
}

_ASKED_FOR = ("StudyDescription", "BodyPartExamined")
"""Attributes that are given only where they are asked for."""


@dataclass(frozen=True)
class Query:
    """A search.

    Parameters
    ----------
    level
        ``studies``, ``series`` or ``instances``.
    around
        The UIDs of the study, and of the series, to look in.
    matches
        Keyword and value, as they were asked for; several are all to match.
    fields
        Keywords that are wanted beside the usual ones; ``all`` for all.
    """

    level: str
    around: tuple[str, ...] = ()
    matches: Sequence[tuple[str, str]] = ()
    fields: frozenset[str] = frozenset()
    limit: int = MOST
    offset: int = 0


class Found(NamedTuple):
    """An item that matches: its UIDs from the study on, and its attributes in the DICOM JSON model."""

    uids: tuple[str, ...]
    model: Model


def search(inventory: Inventory, query: Query) -> list[Found]:
    """Find studies, series or instances, in the order in which they came.

    Raises
    ------
    InvalidArgument
        Where something is asked for that is not in the catalogue.
    """
    levels = list(_LEVELS)[: list(_LEVELS).index(query.level) + 1]
    uids = [(_LEVELS[level].uid, uid) for level, uid in zip(levels, query.around, strict=False)]
    condition, parameters = _condition(levels, [*uids, *_checked(query.matches, levels)])
    own = _LEVELS[query.level]
    page = f"SELECT id FROM {own.table} WHERE {condition} ORDER BY id LIMIT ? OFFSET ?"
    columns = ", ".join(f"{_LEVELS[level].table}.{name}" for level in levels for name in _names(level))
    rows = inventory.execute(
        f"SELECT {columns} FROM {_joined(levels)} WHERE {own.table}.id IN ({page}) ORDER BY {own.table}.id",
        [*parameters, query.limit, query.offset],
    ).fetchall()
    told = levels[min(len(query.around), len(levels) - 1) :]
    models: dict[tuple[str, int], Model] = {}
    return [_found(inventory, query, levels, told, row, models) for row in rows]


def totals(inventory: Inventory) -> dict[str, int]:
    """Count the studies, series and instances."""
    return {name: inventory.one(f"SELECT count(*) FROM {level.table}")[0] for name, level in _LEVELS.items()}


def _names(level: str) -> tuple[str, ...]:
    return ("id", "uid", *_LEVELS[level].attributes)


def _joined(levels: Sequence[str]) -> str:
    joins = {
        "studies": "studies",
        "series": "JOIN series ON study = studies.id",
        "instances": "JOIN headers ON series = series.id",
    }
    return " ".join(joins[level] for level in levels)


def _checked(matches: Sequence[tuple[str, str]], levels: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Pass on what can be matched at these levels, under its keyword; what matches everything is left out."""
    known = {name for level in levels for name in (_LEVELS[level].uid, *_LEVELS[level].attributes)}
    known.add("ModalitiesInStudy")
    for key, value in matches:
        keyword = keyword_of(key)
        if keyword not in known:
            raise InvalidArgument(
                "the search names something that cannot be searched for here",
                f"These can: {', '.join(sorted(known))}; and limit, offset, includefield, fuzzymatching.",
            )
        if value.strip("*"):
            yield keyword, value


def keyword_of(text: str) -> str:
    """Give the keyword of an attribute that is named by its keyword or its tag."""
    if re.fullmatch(r"[0-9A-Fa-f]{8}", text):
        entry = dictionary.lookup(int(text, 16))
        return entry.keyword if entry else ""
    return text


def _condition(levels: Sequence[str], matches: Sequence[tuple[str, str]]) -> tuple[str, list[Any]]:
    """Write what a row of the last level has to fulfil, and those above it."""
    *above, level = levels
    here = _LEVELS[level]
    conditions: list[str] = ["1"]
    parameters: list[Any] = []
    others = []
    for keyword, value in matches:
        if keyword in (here.uid, *here.attributes) or (keyword == "ModalitiesInStudy" and not above):
            condition, values = _match("uid" if keyword == here.uid else keyword, keyword, value)
            conditions.append(condition)
            parameters += values
        else:
            others.append((keyword, value))
    if others:
        condition, values = _condition(above, others)
        conditions.append(f"{here.above} IN (SELECT id FROM {_LEVELS[above[-1]].table} WHERE {condition})")
        parameters += values
    return " AND ".join(conditions), parameters


def _match(column: str, keyword: str, value: str) -> tuple[str, list[str]]:
    """Write the condition for one attribute (PS3.4 C.2.2.2)."""
    if keyword == "ModalitiesInStudy":
        condition, values = _match("Modality", "Modality", value)
        return f"id IN (SELECT study FROM series WHERE {condition})", values  # of a study
    vr = "UI" if column == "uid" else vr_of(keyword)
    if vr == "UI" or (vr == "CS" and not _is_wild(value)):
        listed = [each.strip() for each in re.split(r"[,\\]", value)]
        return f"{column} IN ({', '.join('?' * len(listed))})", listed
    if vr in ("DA", "TM"):
        return _match_range(column, vr, value)
    if vr in ("DS", "IS", "US") and _NUMBER.fullmatch(value):  # SQLite takes the column's text for a number, too
        return f"{column} = CAST(? AS NUMERIC)", [value]
    if keyword in NAMES:  # any of the component groups
        return f"'=' || {folded(column)} || '=' GLOB ?", [f"*={_glob(fold(value))}=*"]
    return (f"{column} GLOB ?", [_glob(value)]) if _is_wild(value) else (f"{column} = ?", [value])


_NUMBER = re.compile(r" *[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([Ee][+-]?[0-9]+)? *")
_MIDNIGHT = "000000.000000"
"""A time of all its digits: what is left out at the end is zero."""


def _match_range(column: str, vr: str, value: str) -> tuple[str, list[str]]:
    first, dash, last = value.partition("-")
    first, last = undivided(first, vr), undivided(last, vr)
    conditions, values = [f"{column} <> ''"], []
    if vr == "TM":
        column = f"({column} || substr('{_MIDNIGHT}', length({column}) + 1))"
        first = first and first + _MIDNIGHT[len(first) :]
    if first:
        conditions.append(f"{column} {'>=' if dash else '='} ?")
        values.append(first)
    if last:  # with all that begins like it: a time of fewer digits is all of its minute
        conditions.append(f"{column} <= ?")
        values.append(f"{last}~")
    return " AND ".join(conditions), values


def _is_wild(value: str) -> bool:
    return "*" in value or "?" in value


def _glob(value: str) -> str:
    """Write a pattern of DICOM for SQLite, which knows brackets too."""
    return value.replace("[", "[[]")


def _found(
    inventory: Inventory,
    query: Query,
    levels: Sequence[str],
    told: Sequence[str],
    row: Sequence[Any],
    models: dict[tuple[str, int], Model],
) -> Found:
    """Make an item of a row: of the levels that are named in the path, only the UIDs are told.

    Parameters
    ----------
    models
        Of the studies and series that were told before.
    """
    model: Model = {}
    uids = []
    at = 0
    for level in levels:
        names = _names(level)
        values = dict(zip(names, row[at : at + len(names)], strict=True))
        at += len(names)
        uids.append(values["uid"])
        key = (level, values["id"])
        if key not in models:
            models[key] = _model(inventory, level, values, query.fields if level in told else None)
        model |= models[key]
    return Found(tuple(uids), dict(sorted(model.items())))


def _model(inventory: Inventory, level: str, values: Mapping[str, Any], fields: frozenset[str] | None) -> Model:
    """Tell a study, a series or an instance; without fields its UID only."""
    model: Model = {}
    put(model, _LEVELS[level].uid, values["uid"])
    if fields is not None:
        for name in _LEVELS[level].attributes:
            if name not in _ASKED_FOR or fields & {name, "all"}:
                put(model, name, values[name])
        put(model, "InstanceAvailability", "ONLINE")
        put(model, "SpecificCharacterSet", "ISO_IR 192")
        model |= _COUNTS[level](inventory, values["id"])
    return model


def _count_study(inventory: Inventory, study: int) -> Model:
    model: Model = {}
    of_study = "FROM series WHERE study = ?"
    modalities = inventory.execute(f"SELECT DISTINCT Modality {of_study} AND Modality <> ''", [study]).fetchall()
    put(model, "ModalitiesInStudy", "\\".join(sorted(modality for (modality,) in modalities)))
    (series,) = inventory.one(f"SELECT count(*) {of_study}", [study])
    (instances,) = inventory.one(f"SELECT count(*) FROM headers WHERE series IN (SELECT id {of_study})", [study])
    put(model, "NumberOfStudyRelatedSeries", str(series))
    put(model, "NumberOfStudyRelatedInstances", str(instances))
    return model


def _count_series(inventory: Inventory, series: int) -> Model:
    model: Model = {}
    (instances,) = inventory.one("SELECT count(*) FROM headers WHERE series = ?", [series])
    put(model, "NumberOfSeriesRelatedInstances", str(instances))
    return model


def _count_nothing(_inventory: Inventory, _instance: int) -> Model:
    return {}


_COUNTS = {"studies": _count_study, "series": _count_series, "instances": _count_nothing}


def put(model: Model, keyword: str, text: str) -> None:
    """Put an attribute into a model (PS3.18 F.2); an empty one has no value."""
    vr = vr_of(keyword)
    element: Model = {"vr": vr}
    if text:
        values = text.split("\\")
        element["Value"] = [_value(value, vr) if value else None for value in values]
    model[f"{tag_of(keyword):08X}"] = element


def _value(text: str, vr: str) -> Any:
    if vr == "PN":
        return {name: group for name, group in zip(NAME_GROUPS, text.split("="), strict=False) if group}
    if vr in ("IS", "US") and re.fullmatch(r"[+-]?[0-9]{1,12}", text):
        return int(text)
    return text


class Place(NamedTuple):
    """Where an instance lies.

    Parameters
    ----------
    ref
        The fields of its reference.
    updated
        When it was put there, as `dicombq.stores.base.Store.read` told it.
    """

    uids: tuple[str, str, str]
    ref: str
    version: str
    updated: str


def places_of(inventory: Inventory, uids: tuple[str, ...]) -> list[Place]:
    """Give where the instances of a study, of a series, or one instance lie; of copies the one that counts."""
    condition, parameters = _named(uids)
    rows = inventory.execute(
        f"SELECT studies.uid, series.uid, headers.uid, ref, version, updated FROM {_joined(list(_LEVELS))} "
        f"JOIN copies ON copies.id = (SELECT id FROM copies WHERE instance = headers.id ORDER BY {NEWEST} LIMIT 1) "
        f"WHERE headers.id IN (SELECT id FROM headers WHERE {condition}) ORDER BY headers.id",
        parameters,
    )
    return [Place((row[0], row[1], row[2]), row[3], row[4], from_microseconds(row[5])) for row in rows]


def copies_of(inventory: Inventory, uids: tuple[str, ...]) -> list[str]:
    """Give the references of all copies of instances, those that do not count too."""
    condition, parameters = _named(uids)
    rows = inventory.execute(
        f"SELECT ref FROM copies WHERE instance IN (SELECT id FROM headers WHERE {condition})", parameters
    )
    return [ref for (ref,) in rows]


def _named(uids: tuple[str, ...]) -> tuple[str, list[Any]]:
    keywords = (level.uid for level in _LEVELS.values())
    return _condition(list(_LEVELS), list(zip(keywords, uids, strict=False)))
