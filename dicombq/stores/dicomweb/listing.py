"""The instances of a server, study by study, held against what the server counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import NamedTuple, TypeVar

from dicombq.errors import DicombqError, Failed, NotFound, NotPermitted
from dicombq.stores.base import Failure, InstanceRef
from dicombq.stores.dicomweb.search import Item, Repeats, Search, can_be_asked_for, path_of
from dicombq.system.threads import in_threads

T = TypeVar("T")

THREADS = 4
"""Requests of one process at a time: enough for a server that is far away, and not too many for one that is small."""


class DicomwebRef(NamedTuple):
    """An instance by its UIDs; a study or a series where the later ones are empty.

    Parameters
    ----------
    base
        The URL of its server.
    siblings
        Instances of its series, with itself, as they were listed.
    """

    base: str
    study: str
    series: str = ""
    instance: str = ""
    siblings: int = 0

    @property
    def uids(self) -> tuple[str, str, str]:
        """Study, Series and SOP Instance UID."""
        return self.study, self.series, self.instance

    @property
    def path(self) -> str:
        """Below the server's URL."""
        return path_of(*self.uids)

    @property
    def uri(self) -> str:
        """Where it is."""
        return self.base + self.path


def failure_of(ref: InstanceRef, error: DicombqError) -> Failure:
    """Make a failure of what a server says of a study, a series or an instance."""
    if isinstance(error, NotFound):
        return Failure(ref, "NOT_FOUND", "listed, but the server does not have it, or several with the same UIDs")
    return Failure(ref, "PERMISSION_DENIED" if isinstance(error, NotPermitted) else "UNAVAILABLE", error.message)


def unnamed(ref: InstanceRef) -> Failure:
    """Make a failure of what is listed, and cannot be read for that."""
    return Failure(ref, "INVALID_ARGUMENT", "listed without UIDs to ask for it by")


@dataclass(frozen=True)
class Listing:
    """Lists what is on a server; of each study and series it yields what the server lists, and then what is amiss.

    Parameters
    ----------
    base
        The server's URL.
    """

    base: str
    search: Search

    def everything(self) -> Iterator[DicomwebRef | Failure]:
        """List all studies."""
        studies = (study for page in self.search.pages("studies") for study in _merged(page))
        try:
            yield from _each(partial(self._study, study) for study in studies)
        except Repeats as repeats:
            raise Failed(
                f"the DICOMweb server [{self.search.server.host}] lists {repeats.listed:,} studies, and the same again "
                "when it is asked for more: there may be others",
                "Name the studies in a file, and give it with --filter-config-gcs-uri.",
            ) from None

    def places(self, places: Iterable[tuple[str, ...]]) -> Iterator[DicomwebRef | Failure]:
        """List studies, and series, that are named by their UIDs; nothing where there is none."""
        return _each(partial(self._place, place) for place in places)

    def _place(self, uids: tuple[str, ...]) -> Iterator[DicomwebRef | Failure]:
        is_series = len(uids) == 2
        try:
            found = self.search.find("series" if is_series else "studies", *uids)
        except NotFound:
            return
        except DicombqError as error:
            yield self._amiss(uids, error)
            return
        for item in _merged(found):
            yield from self._series(item) if is_series else self._study(item)

    def _study(self, study: Item) -> Iterator[DicomwebRef | Failure]:
        """List a study at once; series by series where that does not give what the server counts."""
        items: list[Item] = []
        if not can_be_asked_for(study.uids):
            yield unnamed(self._ref(study.uids))
            return
        try:
            for page in self.search.pages("instances", *study.uids, total=study.total):
                items += page
        except Repeats:
            pass
        except DicombqError as error:  # some servers list the instances of series alone
            self.search.server.raise_if_down(error)
        else:
            if all(item.uids[1] for item in items) and not _lacks(study, items):
                yield from self._refs(items)
                return
        yield from self._study_by_series(study)

    def _study_by_series(self, study: Item) -> Iterator[DicomwebRef | Failure]:
        listed: list[DicomwebRef] = []
        is_told = False
        for entry in self._each_series(study):
            if isinstance(entry, Failure):
                is_told = True
            else:
                listed.append(entry)
            yield entry
        if not is_told and _lacks(study, listed):
            yield self._incomplete(study, len(listed))

    def _each_series(self, study: Item) -> Iterator[DicomwebRef | Failure]:
        try:
            for page in self.search.pages("series", *study.uids):
                for series in _merged(page):
                    yield from self._series(series)
        except Repeats:
            yield Failure(self._ref(study.uids), "UNAVAILABLE", _REPEATS)
        except DicombqError as error:
            yield self._amiss(study.uids, error)

    def _series(self, series: Item) -> Iterator[DicomwebRef | Failure]:
        items: list[Item] = []
        if not can_be_asked_for(series.uids):
            yield unnamed(self._ref(series.uids))
            return
        fault = None
        try:
            for page in self.search.pages("instances", *series.uids, total=series.total):
                items += page
        except Repeats:
            fault = Failure(self._ref(series.uids), "UNAVAILABLE", _REPEATS)
        except DicombqError as error:
            fault = self._amiss(series.uids, error)
        yield from self._refs(items)
        if _lacks(series, items):
            yield fault or self._incomplete(series, len(items))
        elif fault and series.total is None:
            yield fault

    def _refs(self, items: list[Item]) -> Iterator[DicomwebRef | Failure]:
        """Make references, those of a series one after the other."""
        siblings = Counter(item.uids[1] for item in items)
        for item in sorted(items, key=lambda item: item.uids[1]):
            if can_be_asked_for(item.uids):
                yield self._ref(item.uids, siblings[item.uids[1]])
            else:
                yield unnamed(self._ref(item.uids))

    def _ref(self, uids: tuple[str, ...], siblings: int = 0) -> DicomwebRef:
        study, series, instance = (*uids, "", "")[:3]
        return DicomwebRef(self.base, study, series, instance, siblings)

    def _amiss(self, uids: tuple[str, ...], error: DicombqError) -> Failure:
        self.search.server.raise_if_down(error)
        return failure_of(self._ref(uids), error)

    def _incomplete(self, item: Item, count: int) -> Failure:
        return Failure(
            self._ref(item.uids),
            "UNAVAILABLE",
            f"the server counts {item.total:,} instances here, and lists {count:,}",
        )


_REPEATS = "the server gives the same page again and again: there may be more instances here than it lists"


def _each(calls: Iterable[Callable[[], Iterator[T]]]) -> Iterator[T]:
    """Give what each call gives, some of them ahead."""
    return chain.from_iterable(in_threads((partial(_all, call) for call in calls), THREADS))


def _all(call: Callable[[], Iterator[T]]) -> list[T]:
    return [*call()]


def _merged(items: Iterable[Item]) -> Iterator[Item]:
    """Give each study or series once: Orthanc lists it once for each patient that has it."""
    counts: dict[tuple[str, ...], list[int | None]] = {}
    for item in items:
        counts.setdefault(item.uids, []).append(item.total)
    for uids, each in counts.items():
        known = [count for count in each if count is not None]
        yield Item(uids, sum(known) if len(known) == len(each) else None)


def _lacks(whole: Item, listed: Iterable[object]) -> bool:
    return whole.total is not None and len(list(listed)) < whole.total
