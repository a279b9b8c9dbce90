"""A DICOMweb server as a store: an Orthanc, a dcm4chee, a store of the Cloud Healthcare API."""

from __future__ import annotations

import contextlib
import datetime as dt
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, BinaryIO

from dicombq.dicom.values import timestamp
from dicombq.errors import DicombqError, Failed, InvalidArgument, NotFound
from dicombq.names import Parent, StoreName, is_store_name, store_name
from dicombq.rows.base import Unreadable
from dicombq.rows.dicomjson import read_row
from dicombq.rows.record import Record
from dicombq.stores.base import PLAIN, Failure, Found, Result, StoreOptions
from dicombq.stores.dicomweb import files
from dicombq.stores.dicomweb.listing import DicomwebRef, Listing, failure_of
from dicombq.stores.dicomweb.search import INSTANCE, Search, path_of, uid_of
from dicombq.stores.dicomweb.server import Server, check_url, server_at
from dicombq.stores.filters import Filter, digest
from dicombq.system.files import printable

_SHARE = 4
"""A series is read at once where at least so many of its instances are wanted: one in four."""

_GOOGLE_STORE = re.compile(r"https://healthcare\.googleapis\.com/[^/]+/(projects/.+)/dicomWeb")
_PREFIX = re.compile(r"/?studies/([^/]+)(?:/series/([^/]+))?/?")


@dataclass(frozen=True)
class DicomwebStore:
    """All instances of a DICOMweb server.

    Parameters
    ----------
    name
        The store's resource name.
    base
        The server's URL, without a final slash.
    """

    name: StoreName
    base: str
    options: StoreOptions = PLAIN

    @classmethod
    def open(cls, url: str, parent: Parent, options: StoreOptions = PLAIN) -> DicomwebStore:
        """Use a server as a store; its ID is the last part of the URL, its name the real one at Google's.

        Raises
        ------
        InvalidArgument
            Where that is no URL of a server, or holds a password, or options are given that are for other kinds.
        NotFound, NotAuthenticated, NotPermitted, Temporary, Failed
            Where the server does not answer a search, as it or its absence has it.
        """
        base = check_url(url)
        if options != PLAIN:
            raise InvalidArgument("--archives, --anonymous and --billing-project are not for DICOMweb servers")
        google = _GOOGLE_STORE.fullmatch(base)
        if google and is_store_name(google[1]):
            name = store_name(google[1], parent)
        else:
            name = StoreName(parent, base.rpartition("/")[2])
        store = cls(name, base)
        Search(store.server).probe()
        return store

    @property
    def server(self) -> Server:
        """The session that this process has with the server."""
        return server_at(self.base)

    @property
    def source(self) -> str:
        """The server's URL."""
        return self.base

    def ref(self, noted: list[Any]) -> DicomwebRef:
        """Make a reference of its fields."""
        return DicomwebRef(*noted)

    def has(self, ref: DicomwebRef) -> bool:
        """Ask the server whether it lists an instance."""
        try:
            path = f"{path_of(ref.study, ref.series)}/instances"
            return bool(self.server.get_json(path, {"SOPInstanceUID": ref.instance, "limit": "1"}))
        except NotFound:
            return False

    def list(self, prefix: str = "", wanted: Filter | None = None) -> Iterator[DicomwebRef | Failure]:
        """Stream the instances, study by study; of a filter only what it names is asked for.

        Parameters
        ----------
        prefix
            A study, or a series of it: ``studies/1.2/series/1.3``.

        Raises
        ------
        InvalidArgument
            Where the prefix is none.
        Failed
            Where the server does not list all of its studies.
        """
        match = _PREFIX.fullmatch(prefix)
        if prefix and match is None:
            raise InvalidArgument(f"[{printable(prefix)}] is no study or series of [{self.base}]")
        listing = Listing(self.base, Search(self.server))
        if match:
            yield from _only(listing.place(*filter(None, match.groups())), wanted)
        elif wanted:
            for place in _places(wanted):
                yield from _only(listing.place(*place), wanted)
        else:
            yield from listing.everything()

    def read(self, refs: Iterable[DicomwebRef], record_type: type[Record], max_element_size: int) -> Iterator[Result]:
        """Read the metadata of each instance, series by series.

        Raises
        ------
        NotAuthenticated, Temporary
            Where the server gives nothing any more.
        """
        for _, group in groupby(refs, lambda ref: ref.uids[:2]):
            series = [*group]
            models = self._series_metadata(series)
            for ref in series:
                try:
                    model = models[ref.instance].pop(0) if models.get(ref.instance) else self._metadata(ref)
                    row = read_row(model, record_type, max_element_size)
                except Unreadable as error:
                    yield Failure(ref, error.code, error.reason)
                except DicombqError as error:
                    self.server.raise_if_down(error)
                    yield failure_of(ref, error)
                else:
                    yield Found(ref, row, timestamp(dt.datetime.now(dt.timezone.utc)), "STANDARD", None)

    @contextlib.contextmanager
    def original(self, ref: DicomwebRef, updated: str) -> Iterator[Iterator[bytes]]:
        """Open an instance's file; errors are those of `read`, and of the protocol."""
        del updated  # the server does not tell it
        with contextlib.ExitStack() as stack:
            with self._unreadable(ref):
                pieces = stack.enter_context(files.retrieve(self.server, ref.path))
            yield self._pieces(ref, pieces)

    def store(self, uids: tuple[str, str, str], file: BinaryIO) -> files.Stored:
        """Send an instance; a server may leave alone one that it has, or replace it: ask `has` before.

        Parameters
        ----------
        file
            The instance's file, seekable.

        Raises
        ------
        Unreadable
            Where the server refuses this instance.
        DicombqError
            Where it takes none.
        """
        ref = DicomwebRef(self.base, *uids)
        with self._unreadable(ref):
            return files.store(self.server, file)

    def _pieces(self, ref: DicomwebRef, pieces: Iterator[bytes]) -> Iterator[bytes]:
        with self._unreadable(ref):
            yield from pieces

    @contextlib.contextmanager
    def _unreadable(self, ref: DicomwebRef) -> Iterator[None]:
        """Turn what the server says of one instance into what is wrong with it."""
        try:
            yield
        except DicombqError as error:
            self.server.raise_if_down(error)
            failure = failure_of(ref, error)
            raise Unreadable(failure.code, failure.reason) from None

    def _series_metadata(self, refs: Sequence[DicomwebRef]) -> dict[str, Any]:
        """Read a series at once where that pays; what it does not give is asked for one by one."""
        if len(refs) == 1 or len(refs) * _SHARE < refs[0].siblings:
            return {}
        try:
            answer = self.server.get_json(f"{path_of(refs[0].study, refs[0].series)}/metadata")
        except DicombqError as error:
            self.server.raise_if_down(error)
            return {}
        models: dict[str, Any] = {}
        for model in answer if isinstance(answer, list) else ():
            models.setdefault(uid_of(model, INSTANCE), []).append(model)
        return models

    def _metadata(self, ref: DicomwebRef) -> Any:
        answer = self.server.get_json(f"{ref.path}/metadata")
        model = answer[0] if isinstance(answer, list) and len(answer) == 1 else answer
        if uid_of(model, INSTANCE) != ref.instance:
            raise Failed("the server gives something else than the instance's metadata")
        return model


def _only(listed: Iterator[DicomwebRef | Failure], wanted: Filter | None) -> Iterator[DicomwebRef | Failure]:
    """Leave out the instances that a filter does not name."""
    for entry in listed:
        if wanted is None or isinstance(entry, Failure) or wanted.matching(entry.uids):
            yield entry


def _places(wanted: Filter) -> Iterator[tuple[str, ...]]:
    """Stream the studies and series that a filter names, or names instances of, each once."""
    seen: set[bytes] = set()
    for line in wanted.lines():
        place = line.uids[:2]
        if len(place) == 2 and wanted.matching(place[:1]):
            continue  # its study is named
        key = digest(place)
        if key not in seen:
            seen.add(key)
            yield place
