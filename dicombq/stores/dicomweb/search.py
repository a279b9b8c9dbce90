"""What a server holds, asked for page by page with QIDO-RS (PS3.18 10.6).

Servers that repeat their pages, or list less than they count, are found out: a listing is whole, or says where it is
not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import quote

from dicombq.errors import Failed
from dicombq.stores.dicomweb.server import CHECK_URL, Server

PAGE = 500
"""Items that are asked for at once; a server may give fewer."""

STUDY, SERIES, INSTANCE = "0020000D", "0020000E", "00080018"
_LEVELS = {"studies": (STUDY,), "series": (STUDY, SERIES), "instances": (STUDY, SERIES, INSTANCE)}
_COUNTS = {"studies": "00201208", "series": "00201209"}
"""Number of Study, of Series Related Instances, which servers give unasked; asked for, Orthanc gives a file's."""


class Repeats(Exception):
    """A server gives the same pages again, whatever is asked for; it listed so many items."""

    def __init__(self, listed: int) -> None:
        super().__init__()
        self.listed = listed


class Item(NamedTuple):
    """A study, a series or an instance that a server lists.

    Parameters
    ----------
    uids
        Its UID after those of what is around it; empty ones where the server does not say.
    total
        The instances in it, None where the server does not say.
    """

    uids: tuple[str, ...]
    total: int | None = None


def path_of(*uids: str) -> str:
    """Write the path of a study, a series or an instance; UIDs that are none cannot lead out of it."""
    return "".join(f"/{level}/{quote(uid, safe='')}" for level, uid in zip(_LEVELS, uids, strict=False) if uid)


def can_be_asked_for(uids: tuple[str, ...]) -> bool:
    """Tell whether a path can name UIDs; servers also hold instances whose UIDs are words."""
    return all(uid.strip(".") and uid.isprintable() for uid in uids)


def uid_of(model: Any, tag: str) -> str:
    """Read a UID of an instance or of an item of an answer; empty where there is none."""
    try:
        uid = model[tag]["Value"][0]
    except (KeyError, IndexError, TypeError):
        return ""
    return uid.strip(" \0") if isinstance(uid, str) else ""


@dataclass(frozen=True)
class Search:
    """Asks a server."""

    server: Server

    def probe(self) -> None:
        """Ask for one study, without much patience: whatever answers, answers searches."""
        self._page("/studies", "studies", (), 0, 1, patient=False)

    def pages(self, level: str, *around: str, total: int | None = None) -> Iterator[list[Item]]:
        """Stream what is there, in pages, each item once; several with the same UIDs stand on the same page.

        Parameters
        ----------
        level
            ``studies``, ``series`` or ``instances``.
        around
            The UIDs of the study, and of the series, to look in.
        total
            How many instances the server counts there; a short page is the last one where they are complete.

        Raises
        ------
        Repeats
            Where the server may have more than it can be made to list.
        DicombqError
            As for `Server.get_json`.
        """
        path = f"{path_of(*around)}/{level}"
        seen: set[Item] = set()
        offset = 0
        while page := self._page(path, level, around, offset, PAGE):
            new = [item for item in page if item not in seen]
            if not new:
                if offset != len(page) or not self._ignores_limit(path, level, around, offset):
                    raise Repeats(offset)
                return
            yield new
            seen.update(new)
            offset += len(page)
            if total is not None and len(page) < PAGE and offset >= total:
                return

    def _ignores_limit(self, path: str, level: str, around: tuple[str, ...], size: int) -> bool:
        """Tell whether a server that repeats its first page has given everything there: it knows no pages."""
        return size > PAGE or len(self._page(path, level, around, 0, 1)) == size

    def find(self, level: str, *uids: str) -> list[Item]:
        """Look for a study or a series by its UID, the last one; there are several where patients share it."""
        keyword = {"studies": "StudyInstanceUID", "series": "SeriesInstanceUID"}[level]
        around = uids[:-1]
        page = self._page(f"{path_of(*around)}/{level}", level, around, 0, PAGE, {keyword: uids[-1]})
        found = [item for item in page if item.uids == uids]
        return found or ([Item(uids)] if page else [])  # other ones: the server does not look at UIDs

    def _page(
        self,
        path: str,
        level: str,
        around: tuple[str, ...],
        offset: int,
        limit: int,
        match: dict[str, str] | None = None,
        *,
        patient: bool = True,
    ) -> list[Item]:
        query = {"limit": str(limit), "offset": str(offset), **(match or {})}
        answer = self.server.get_json(path, query, patient=patient)
        if answer is None:
            return []
        if not isinstance(answer, list):
            raise Failed(f"[{self.server.host}] answers a search with something else than a list", CHECK_URL)
        return [_item(model, level, around) for model in answer]


def _item(model: Any, level: str, around: tuple[str, ...]) -> Item:
    tags = _LEVELS[level][len(around) :]
    return Item(around + tuple(uid_of(model, tag) for tag in tags), _count(model, _COUNTS.get(level, "")))


def _count(model: Any, tag: str) -> int | None:
    try:
        return int(model[tag]["Value"][0])
    except (KeyError, IndexError, TypeError, ValueError):
        return None
