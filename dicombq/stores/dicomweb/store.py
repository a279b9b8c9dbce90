"""A DICOMweb server as a store: an Orthanc, a dcm4chee, a store of the Cloud Healthcare API."""

from __future__ import annotations

import contextlib
import datetime as dt
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain, groupby
from typing import Any, BinaryIO, NamedTuple

from dicombq.dicom.values import timestamp
from dicombq.errors import DicombqError, Failed, InvalidArgument, NotFound
from dicombq.names import Parent, StoreName, is_store_name, store_name
from dicombq.rows.base import Unreadable
from dicombq.rows.dicomjson import read_row
from dicombq.rows.record import Record
from dicombq.stores.base import NOTHING_KNOWN, PLAIN, Changes, Failure, Found, Known, Result, StoreOptions, Versioned
from dicombq.stores.dicomweb import files
from dicombq.stores.dicomweb.listing import THREADS, DicomwebRef, Listing, failure_of
from dicombq.stores.dicomweb.search import INSTANCE, Search, path_of, uid_of
from dicombq.stores.dicomweb.server import Server, check_url, server_at
from dicombq.stores.filters import Filter, digest
from dicombq.system.files import printable
from dicombq.system.threads import in_threads

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
            yield from _only(listing.places([tuple(filter(None, match.groups()))]), wanted)
        elif wanted:
            yield from _only(listing.places(_places(wanted)), wanted)
        else:
            yield from listing.everything()

    @property
    def folder(self) -> None:
        """None: a server is no folder."""
        return

    def changes(self, position: str) -> Changes:
        """None: DICOMweb has no log."""
        del position
        return Changes()

    def versions(self, known: Known = NOTHING_KNOWN) -> Iterator[Versioned]:
        """Stream the instances, each with the same version: no search tells whether an instance was changed."""
        del known
        for entry in self.list():
            yield entry if isinstance(entry, Failure) else (entry, "")

    def look(self, places: Iterable[str]) -> Iterator[tuple[str, Iterable[Versioned] | None]]:
        """Tell nothing: no event names a place."""
        del places
        return iter(())

    def read(self, refs: Iterable[DicomwebRef], record_type: type[Record], max_element_size: int) -> Iterator[Result]:
        """Read the metadata of each instance, series by series.

        Raises
        ------
        NotAuthenticated, Temporary
            Where the server gives nothing any more.
        """
        reader = _Reader(self.server)
        series = ([*group] for _, group in groupby(refs, lambda ref: ref.uids[:2]))
        each = in_threads((partial(reader.series, group) for group in series), THREADS)
        for metadata in chain.from_iterable(each):
            if isinstance(metadata, Failure):
                yield metadata
            else:
                yield _found(metadata, record_type, max_element_size)

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


class _Metadata(NamedTuple):
    ref: DicomwebRef
    model: Any
    read_at: str


@dataclass(frozen=True)
class _Reader:
    server: Server

    def series(self, refs: list[DicomwebRef]) -> list[_Metadata | Failure]:
        """Read instances of a series: at once where that pays, and one by one what is missing then."""
        at_once = len(refs) > 1 and len(refs) * _SHARE >= refs[0].siblings
        models = self._series_metadata(refs[0]) if at_once else {}
        return [self._metadata(ref, models.get(ref.instance)) for ref in refs]

    def _series_metadata(self, ref: DicomwebRef) -> dict[str, list[Any]]:
        try:
            answer = self.server.get_json(f"{path_of(ref.study, ref.series)}/metadata")
        except DicombqError as error:
            self.server.raise_if_down(error)
            return {}
        models: dict[str, list[Any]] = {}
        for model in answer if isinstance(answer, list) else ():
            models.setdefault(uid_of(model, INSTANCE), []).append(model)
        return models

    def _metadata(self, ref: DicomwebRef, known: list[Any] | None) -> _Metadata | Failure:
        try:
            model = known.pop(0) if known else self._instance_metadata(ref)
        except DicombqError as error:
            self.server.raise_if_down(error)
            return failure_of(ref, error)
        return _Metadata(ref, model, timestamp(dt.datetime.now(dt.timezone.utc)))

    def _instance_metadata(self, ref: DicomwebRef) -> Any:
        answer = self.server.get_json(f"{ref.path}/metadata")
        model = answer[0] if isinstance(answer, list) and len(answer) == 1 else answer
        if uid_of(model, INSTANCE) != ref.instance:
            raise Failed("the server gives something else than the instance's metadata")
        return model


def _found(metadata: _Metadata, record_type: type[Record], max_element_size: int) -> Found | Failure:
    try:
        row = read_row(metadata.model, record_type, max_element_size)
    except Unreadable as error:
        return Failure(metadata.ref, error.code, error.reason)
    return Found(metadata.ref, row, metadata.read_at, "STANDARD", None)


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
