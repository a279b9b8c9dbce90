"""Exports of files, and imports, as kinds of operations."""

from __future__ import annotations

import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dicombq.engines.local import LocalEngine
from dicombq.errors import InvalidArgument
from dicombq.names import StoreName, is_object_uri, parse_object_uri
from dicombq.operations.kinds import Kind, Progress, Settings, register
from dicombq.operations.running import RunningOperation
from dicombq.operations.state import Operation
from dicombq.shards.work import filter_config, save_filter, saved_filter
from dicombq.stores.base import PLAIN, Store, StoreOptions
from dicombq.stores.filters import Filter
from dicombq.stores.registry import is_web_url, reopen_store
from dicombq.system.files import printable
from dicombq.transfer.pattern import MatchingStore, Pattern
from dicombq.transfer.places import BucketPlace, DicomwebPlace, FolderPlace, Place
from dicombq.transfer.run import Transfer

_AS_STORED = re.compile(r"application/dicom *; *transfer-syntax=\*", re.IGNORECASE)


def check_mime_type(mime_type: str | None) -> None:
    """Refuse to write files otherwise than they are stored.

    Raises
    ------
    InvalidArgument
        For every other type than ``application/dicom; transfer-syntax=*``.
    """
    if mime_type is not None and not _AS_STORED.fullmatch(mime_type.strip()):
        raise InvalidArgument(
            f"--mime-type=[{mime_type}] is not supported: files are copied as they are stored",
            "Leave it out, or give 'application/dicom; transfer-syntax=*'.",
        )


@dataclass(frozen=True)
class FilesOut:
    """An export of files (``rest_api.md``, ExportDicomDataRequest with a gcsDestination).

    Parameters
    ----------
    source
        The store.
    prefix
        Where they go: ``gs://BUCKET/FOLDER``, or an absolute path.
    wanted
        Which instances; None for all.
    """

    source: Store[Any]
    prefix: str
    wanted: Filter | None
    workers: int | None

    @classmethod
    def to(cls, prefix: str, source: Store[Any], wanted: Filter | None, settings: Settings) -> FilesOut:
        """Export to a bucket, or a folder, as a user names it.

        Raises
        ------
        InvalidArgument
            Naming what is wrong with it.
        """
        if "://" in prefix and not is_object_uri(prefix):
            raise InvalidArgument(
                f"[{prefix}] is neither a bucket nor a folder", "Files go to a DICOMweb server by `dicombq import gcs`."
            )
        if not prefix:
            raise InvalidArgument("the place for the files is empty", "Give gs://BUCKET/FOLDER, or a folder.")
        if is_object_uri(prefix):
            parse_object_uri(prefix)
        else:
            prefix = os.path.abspath(os.path.expanduser(prefix))
        return cls(source, prefix.rstrip("/") or "/", wanted, settings.workers)

    @property
    def kind(self) -> Kind:
        """Exports of files."""
        return EXPORT_GCS

    @property
    def store(self) -> StoreName:
        """The store that is exported."""
        return self.source.name

    @property
    def target(self) -> str:
        """The bucket or the folder."""
        return printable(self.prefix)

    @property
    def lock(self) -> tuple[str, str]:
        """The bucket or the folder."""
        return _lock(self.prefix)

    def request(self) -> dict[str, Any]:
        """Print the request as the API does."""
        return {
            "gcsDestination": {"uriPrefix": self.prefix},
            **filter_config(self.wanted),
            "dicombq": {"source": self.source.source, "options": asdict(self.source.options)},
        }

    def check(self) -> None:
        """Refuse a place that cannot be written, or that is in the store itself."""
        if _is_within(self.prefix, self.source.source):
            raise InvalidArgument(
                f"[{self.target}] is in the store [{printable(self.source.source)}] itself",
                "The copies would be instances of the store. Name another place.",
            )
        _place(self.prefix, Path(), "", replaces=True).check()

    def save(self, folder: Path) -> None:
        """Copy the filter file."""
        save_filter(self.wanted, folder)

    def run(self, running: RunningOperation, progress: Progress) -> None:
        """Copy; errors are those of `Transfer.run`."""
        place = _place(self.prefix, running.operation.folder, running.operation.id, replaces=True)
        engine = LocalEngine(self.workers) if self.workers else LocalEngine.fitting()
        Transfer(self.source, place, self.wanted, False, engine, running, progress).run()


@dataclass(frozen=True)
class FilesIn:
    """An import of files (``rest_api.md``, ImportDicomDataRequest).

    Parameters
    ----------
    files
        What is imported.
    into
        The store that they are imported into.
    """

    files: MatchingStore
    into: Store[Any]
    workers: int | None

    @property
    def kind(self) -> Kind:
        """Imports of files."""
        return IMPORT_GCS

    @property
    def store(self) -> StoreName:
        """The store that is imported into."""
        return self.into.name

    @property
    def target(self) -> str:
        """The other end: what is imported."""
        return printable(self.files.source)

    @property
    def lock(self) -> tuple[str, str]:
        """The place of the store."""
        return _lock(self.into.source)

    def request(self) -> dict[str, Any]:
        """Print the request as the API does."""
        return {
            "gcsSource": {"uri": self.files.source},
            "dicombq": {
                "source": self.into.source,
                "options": asdict(self.into.options),
                "from": asdict(self.files.pattern),
                "fromOptions": asdict(self.files.options),
            },
        }

    def check(self) -> None:
        """Refuse a store that cannot be written, and what is in it already."""
        if _is_within(self.files.pattern.root, self.into.source):
            raise InvalidArgument(
                f"[{self.target}] is in the store [{printable(self.into.source)}] already", "Nothing was imported."
            )
        self._place(Path(), "").check()

    def save(self, folder: Path) -> None:
        """Nothing: the request holds all."""

    def run(self, running: RunningOperation, progress: Progress) -> None:
        """Copy; errors are those of `Transfer.run`."""
        place = self._place(running.operation.folder, running.operation.id)
        engine = LocalEngine(self.workers) if self.workers else LocalEngine.fitting()
        Transfer(self.files, place, None, True, engine, running, progress).run()

    def _place(self, scratch: Path, operation: str) -> Place:
        return _place(self.into.source, scratch, operation, replaces=False, options=self.into.options)


def _place(uri: str, scratch: Path, operation: str, *, replaces: bool, options: StoreOptions = PLAIN) -> Place:
    if is_web_url(uri):
        return DicomwebPlace(uri, scratch)
    if is_object_uri(uri):
        return BucketPlace(parse_object_uri(uri), replaces, scratch, options)
    return FolderPlace(Path(uri), replaces, operation)


def _lock(uri: str) -> tuple[str, str]:
    name = uri if "://" in uri else os.path.realpath(uri)
    return f"files in {name}", f"[{printable(uri)}]"


def _is_within(inner: str, outer: str) -> bool:
    """Tell whether one place is another, or in it."""
    if ("://" in inner) != ("://" in outer):
        return False
    if "://" not in inner:
        inner, outer = os.path.realpath(inner), os.path.realpath(outer)
    return f"{inner.rstrip('/')}/".startswith(f"{outer.rstrip('/')}/")


def _reopen_out(operation: Operation, request: dict[str, Any], settings: Settings) -> FilesOut:
    own = request["dicombq"]
    source = reopen_store(operation.store_name, own["source"], StoreOptions(**own["options"]))
    prefix = request["gcsDestination"]["uriPrefix"]
    return FilesOut(source, prefix, saved_filter(operation, request), settings.workers)


def _reopen_in(operation: Operation, request: dict[str, Any], settings: Settings) -> FilesIn:
    own = request["dicombq"]
    files = MatchingStore.reopen(Pattern(**own["from"]), StoreOptions(**own["fromOptions"]))
    into = reopen_store(operation.store_name, own["source"], StoreOptions(**own["options"]))
    return FilesIn(files, into, settings.workers)


def _discard_out(operation: Operation, request: dict[str, Any]) -> None:
    _place(request["gcsDestination"]["uriPrefix"], operation.folder, operation.id, replaces=True).finish()


def _discard_in(operation: Operation, request: dict[str, Any]) -> None:
    _place(request["dicombq"]["source"], operation.folder, operation.id, replaces=False).finish()


EXPORT_GCS = register(Kind("export gcs", "ExportDicomData", _reopen_out, _discard_out))
IMPORT_GCS = register(Kind("import gcs", "ImportDicomData", _reopen_in, _discard_in))
