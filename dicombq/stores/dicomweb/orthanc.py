"""An Orthanc that is followed: what its REST API tells beyond DICOMweb, its log of changes above all.

Orthanc's log (``/changes``) tells of each instance that was stored, also in place of another one with the same UIDs. Of
deletions it tells nothing, they even erase what it told before: those are seen in the list of all instances.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, NamedTuple

from dicombq.errors import DicombqError, Failed, NotFound
from dicombq.stores.base import NOTHING_KNOWN, Changes, Known, Versioned
from dicombq.stores.dicomweb.listing import THREADS, failure_of, unnamed
from dicombq.stores.dicomweb.search import can_be_asked_for, path_of
from dicombq.stores.dicomweb.server import Server, server_at
from dicombq.stores.dicomweb.store import DicomwebStore
from dicombq.system.threads import in_threads

_NAME = re.compile("[0-9a-f]{8}(-[0-9a-f]{8}){4}")
_AT_ONCE = 1000
"""Changes that are asked for at once."""

MAX_LIST = 1 << 30
"""Bytes of the list of all instances that are read at most; each has 45."""


class OrthancRef(NamedTuple):
    """An instance by Orthanc's own name for it, which is made of the patient's ID and the UIDs.

    Parameters
    ----------
    root
        The URL of Orthanc's REST API.
    siblings
        Instances of its series, with itself.
    """

    root: str
    id: str
    study: str = ""
    series: str = ""
    instance: str = ""
    siblings: int = 0

    @property
    def uids(self) -> tuple[str, str, str]:
        """Study, Series and SOP Instance UID."""
        return self.study, self.series, self.instance

    @property
    def path(self) -> str:
        """Below the URL of DICOMweb."""
        return path_of(*self.uids)

    @property
    def uri(self) -> str:
        """Where it is; a patient may have an instance with the UIDs of another patient's."""
        return f"{self.root}/instances/{self.id}"


@dataclass(frozen=True)
class OrthancStore(DicomwebStore):
    """All instances of an Orthanc; their metadata is read by DICOMweb, as for an export."""

    @property
    def root(self) -> str:
        """The URL of the REST API, beside which DICOMweb lies."""
        return root_of(self.base)

    def ref(self, noted: list[Any]) -> Any:
        """Make a reference of its fields."""
        return OrthancRef(*noted)

    def changes(self, position: str) -> Changes:
        """Read the log from a sequence number on.

        Deletions erase the last numbers, so that the log may end at a lower one than before. No number is given twice:
        to begin at the lower one shows nothing again, and finds what a database tells that took the place of another.
        """
        server = server_at(self.root)
        if not position:
            return Changes(str(_get(server.get_json("/changes?last"), "Last")))
        places: dict[str, None] = {}
        while True:
            answer = server.get_json("/changes", {"since": position, "limit": str(_AT_ONCE)})
            told = _get(answer, "Changes")
            places |= {_name(_get(change, "ID")): None for change in told if _get(change, "ResourceType") == "Instance"}
            position = str(_get(answer, "Last"))
            if _get(answer, "Done") or not told:
                return Changes(position, list(places))

    def versions(self, known: Known = NOTHING_KNOWN) -> Iterator[Versioned]:
        """Stream the instances, each with the name of its file; of what is known and unchanged, nothing is asked."""
        changed = set(self.changes(known.position).places) if known.position else set()
        unknown: list[str] = []
        for listed in server_at(self.root).get_json("/instances", max_size=MAX_LIST):
            name = _name(listed)
            ref = OrthancRef(self.root, name)
            version = None if name in changed else known.version(ref.uri)
            if version is None:
                unknown.append(name)
            else:
                yield ref, version
        for _, found in self.look(unknown):
            yield from found or ()

    def look(self, places: Iterable[str]) -> Iterator[tuple[str, Iterable[Versioned] | None]]:
        """Tell what instances there are under some of Orthanc's names."""
        parents = _Parents(server_at(self.root))
        return in_threads((partial(self._look, name, parents) for name in places), THREADS)

    def _look(self, name: str, parents: _Parents) -> tuple[str, Iterable[Versioned] | None]:
        ref = OrthancRef(self.root, name)
        try:
            instance = parents.get(f"/instances/{name}")
            uid = _get(instance, "MainDicomTags", "SOPInstanceUID")
            study, series, siblings = parents.of(_name(_get(instance, "ParentSeries")))
            ref = OrthancRef(self.root, name, study, series, uid, siblings)
            version = str(_get(instance, "FileUuid"))
        except NotFound:
            return ref.uri, None
        except DicombqError as error:
            self.server.raise_if_down(error)
            return ref.uri, [failure_of(ref, error)]
        return ref.uri, [(ref, version) if can_be_asked_for(ref.uids) else unnamed(ref)]


class _Parents:
    """The UIDs of series and studies, each asked for once."""

    def __init__(self, server: Server) -> None:
        self.get = server.get_json
        self._series: dict[str, tuple[str, str, int]] = {}

    def of(self, name: str) -> tuple[str, str, int]:
        """Give Study and Series Instance UID of a series, and how many instances it has."""
        if name not in self._series:
            series = self.get(f"/series/{name}")
            study = self.get(f"/studies/{_name(_get(series, 'ParentStudy'))}")
            uid = _get(series, "MainDicomTags", "SeriesInstanceUID")
            self._series[name] = _get(study, "MainDicomTags", "StudyInstanceUID"), uid, len(_get(series, "Instances"))
        return self._series[name]


def root_of(base: str) -> str:
    """Name the URL of the REST API that lies beside DICOMweb, if it is Orthanc's."""
    return base.rpartition("/")[0]


def orthanc_of(store: DicomwebStore) -> DicomwebStore:
    """Give a store as Orthanc's, where its server is one that lets its REST API be used; else as it is."""
    try:
        _check(store.base)
    except DicombqError:
        return store
    return OrthancStore(store.name, store.base, store.options)


@lru_cache(maxsize=8)
def _check(base: str) -> None:
    """Raise an error where there is no Orthanc; a good answer is asked for once in a process."""
    server = server_at(root_of(base))
    _get(server.get_json("/system", patient=False), "DatabaseVersion")
    _get(server.get_json("/changes?last", patient=False), "Last")


def _get(answer: Any, *keys: str) -> Any:
    for key in keys:
        if not isinstance(answer, dict) or key not in answer:
            raise Failed(f"an answer of Orthanc's REST API has no {key}")
        answer = answer[key]
    return answer


def _name(text: Any) -> str:
    """Check Orthanc's own name of something, of which paths are made."""
    if not (isinstance(text, str) and _NAME.fullmatch(text)):
        raise Failed("Orthanc's REST API names something otherwise than by five numbers")
    return text
