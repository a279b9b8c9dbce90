"""What every request of DICOMweb tells: the store, the UIDs, what the client accepts."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request

from dicombq.errors import Temporary
from dicombq.names import Parent, StoreName, is_object_uri
from dicombq.serve.dicomweb.media import MediaType, accepted
from dicombq.serve.settings import Settings
from dicombq.stores.filters import is_uid
from dicombq.stores.registry import is_web_url
from dicombq.streaming.keeper import Keeper, keepers

JSON = "application/dicom+json"

PATIENCE = 10.0
"""Seconds that a request waits for a store that is read for the first time."""


@dataclass(frozen=True)
class DicomwebRequest:
    """A request."""

    http: Request
    settings: Settings

    @cached_property
    def keeper(self) -> Keeper:
        """The store, once all of it was looked at.

        Raises
        ------
        NotFound
            Where there is none of that name.
        Temporary
            Where it takes too long.
        """
        path = self.http.path_params
        if path["version"] not in ("v1", "v1beta1"):
            raise HTTPException(404, "There is nothing here; the API's versions are v1 and v1beta1.")
        name = StoreName(Parent(path["project"], path["location"], path["dataset"]), path["store"])
        keeper = keepers(self.settings.home).get(name)
        keeper.wait_until_read(PATIENCE)
        return keeper

    @property
    def folder(self) -> Path:
        """The folder of a store that instances may be put into and taken from.

        Raises
        ------
        HTTPException
            Where the store is none.
        Temporary
            Where it is one that is not there.
        """
        source = self.keeper.registered.source
        if is_object_uri(source) or is_web_url(source) or os.path.isfile(source):
            raise HTTPException(501, "Instances are stored in and deleted from stores alone that are folders.")
        if not os.path.isdir(source):
            raise Temporary(f"the folder of the store [{self.keeper.registered.name.store}] is not there")
        return Path(source)

    def check_uids(self) -> None:
        """Refuse UIDs that are none; errors are those of `uids`."""
        _ = self.uids

    @cached_property
    def uids(self) -> tuple[str, ...]:
        """The UIDs in the path, from the study on.

        Raises
        ------
        HTTPException
            Where one of them is none.
        """
        path = self.http.path_params
        uids = tuple(path[level] for level in ("study", "series", "instance") if level in path)
        if not all(map(is_uid, uids)):
            raise HTTPException(400, "A UID in the path is not made of digits and dots, 64 at most.")
        return uids

    @cached_property
    def base(self) -> str:
        """The URL of the store's DICOMweb."""
        before, _, _ = self.http.url.path.partition("/dicomWeb")
        return f"{self.http.url.scheme}://{self.http.url.netloc}{before}/dicomWeb"

    @property
    def accepts(self) -> list[MediaType]:
        """What the client accepts, the best first; everything where it does not say."""
        text = self.http.query_params.get("accept") or ",".join(self.http.headers.getlist("accept"))
        return accepted(text or "*/*")

    def check_accepts_json(self) -> None:
        """Refuse a client that does not take JSON.

        Raises
        ------
        HTTPException
            Where it does not.
        """
        if not any(each.covers(JSON) or each.covers("application/json") for each in self.accepts):
            raise HTTPException(406, f"The answer is {JSON}; accept that.")


def url_of(base: str, uids: tuple[str, ...]) -> str:
    """Give the URL of a study, a series or an instance."""
    levels = ("studies", "series", "instances")
    return base + "".join(f"/{level}/{uid}" for level, uid in zip(levels, uids, strict=False))
