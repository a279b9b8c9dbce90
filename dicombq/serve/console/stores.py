"""A store: what it holds, as its inventory has it, and the tables that follow it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response

from dicombq.serve.console.pages import Visit, number, path_of
from dicombq.stores.registry import RegisteredStore, StoreRegistry
from dicombq.streaming.catalogue import tag_of
from dicombq.streaming.configs import MAX_TABLES
from dicombq.streaming.inventory import Inventory, inventory_errors, stream_folder
from dicombq.streaming.keeper import keepers
from dicombq.streaming.search import Query, search, totals
from dicombq.streaming.status import describe

_PAGE = 50
_COLUMNS = {
    "PatientName": "Patient",
    "PatientID": "Patient ID",
    "StudyDate": "Date",
    "StudyDescription": "Description",
    "ModalitiesInStudy": "Modalities",
    "NumberOfStudyRelatedSeries": "Series",
    "NumberOfStudyRelatedInstances": "Instances",
    "StudyInstanceUID": "Study Instance UID",
}


@dataclass(frozen=True)
class Contents:
    """What is known of what a store holds.

    Parameters
    ----------
    counts
        By ``studies``, ``series`` and ``instances``; None where nobody has begun to read the store.
    is_whole
        Whether all of it was read once.
    studies
        A page of them, as texts in the order of the columns.
    """

    counts: dict[str, int] | None = None
    is_whole: bool = False
    studies: list[list[str]] = field(default_factory=list)


def show(visit: Visit) -> Response:
    """Show a store."""
    home = visit.settings.home
    store = StoreRegistry(home).get(visit.store)
    first = number(visit.form.get("first"))
    return visit.page(
        "store.html",
        store=store,
        stream=describe(home, store)["dicombq"],
        dicomweb=f"{visit.request.base_url}v1/{store.name}/dicomWeb",
        contents=_contents(visit, store, first),
        columns=list(_COLUMNS.values()),
        first=first,
        size=_PAGE,
        most_tables=MAX_TABLES,
    )


def read(visit: Visit) -> Response:
    """Begin to read a store, and to bring what changes to its tables, for as long as the server runs."""
    keepers(visit.settings.home).get(visit.store)
    return visit.go(path_of(visit.store))


def _contents(visit: Visit, store: RegisteredStore, first: int) -> Contents:
    folder = stream_folder(visit.settings.home, store.name)
    if not (folder / "inventory.sqlite").exists():
        return Contents()
    with inventory_errors(folder), Inventory(folder) as inventory:
        wanted = frozenset({"StudyDescription"})
        found = search(inventory, Query("studies", fields=wanted, limit=_PAGE, offset=first))
        studies = [[_text(study.model, keyword) for keyword in _COLUMNS] for study in found]
        return Contents(totals(inventory), inventory.meta("catalogued") is not None, studies)


def _text(model: dict[str, Any], keyword: str) -> str:
    element = model.get(f"{tag_of(keyword):08X}", {})
    text = ", ".join(_value(value) for value in element.get("Value", ()))
    is_date = element.get("vr") == "DA" and len(text) == 8
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if is_date else text


def _value(value: Any) -> str:
    if isinstance(value, dict):  # a PN: the alphabetic group, where there is one
        return str(value.get("Alphabetic") or next(iter(value.values()), ""))
    return "" if value is None else str(value)
