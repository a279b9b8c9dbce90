"""Stores by name: a STORE on the command line, one that an operation noted, those that were registered.

::

    HOME/stores/DIGEST.json  a registered store: name, streamConfigs, source, options and the ID of its registration;
                             DIGEST is of its name
    HOME/stores/lock         held while one of them is changed
    HOME/managed/ID/         the instances of a store that was created without a source
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from dicombq.errors import InvalidArgument, NotFound, StateDamaged, StoreExists
from dicombq.names import Parent, StoreName, check_id, is_id, is_object_uri, is_store_name, parse_object_uri, store_name
from dicombq.stores.base import PLAIN, FollowedStore, Store, StoreOptions
from dicombq.stores.folder import FolderStore
from dicombq.system.files import make_folders, printable, storage_errors, sync_folder, write_atomic
from dicombq.system.locks import FileLock, Holder

if TYPE_CHECKING:
    from dicombq.stores.bucket import BucketStore
    from dicombq.stores.dicomweb.store import DicomwebStore

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/+")
_WEB = re.compile(r"https?:/", re.IGNORECASE)
_PATIENCE = 10.0  # seconds that another process may take to change a store


@dataclass(frozen=True)
class RegisteredStore:
    """A store that has a name (``rest_api.md``, DicomStore).

    Parameters
    ----------
    source
        Where its instances lie: an absolute path or a URL.
    stream_configs
        Its tables that follow it, in the API's shape.
    managed
        Whether its source is a folder in HOME that was made for it, and goes with it.
    labels
        Its user's own; nothing depends on them.
    registration
        Tells it from an earlier store of the same name; empty where an older version registered it.
    """

    name: StoreName
    source: str
    options: StoreOptions = PLAIN
    stream_configs: Sequence[Mapping[str, Any]] = ()
    managed: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    registration: str = ""

    def to_api(self) -> dict[str, Any]:
        """Print it as the API does; what the API lacks stands under ``dicombq``."""
        options = {name: value for name, value in asdict(self.options).items() if value}
        labels = {"labels": dict(self.labels)} if self.labels else {}
        configs = {"streamConfigs": list(self.stream_configs)} if self.stream_configs else {}
        own = {"source": self.source, **({"managed": True} if self.managed else {}), **options}
        return {"name": str(self.name), **labels, **configs, "dicombq": own}

    @classmethod
    def from_api(cls, state: Mapping[str, Any]) -> RegisteredStore:
        """Read what `to_api` printed, or what the registry wrote."""
        own = dict(state["dicombq"])
        source, managed = own.pop("source"), own.pop("managed", False)
        name, configs = store_name(state["name"], Parent()), state.get("streamConfigs", ())
        return cls(
            name, source, StoreOptions(**own), configs, managed, state.get("labels", {}), state.get("registration", "")
        )

    def open(self) -> FollowedStore[Any]:
        """Open its source; errors are those of `open_store`."""
        return reopen_store(self.name, _open_source(self.source, self.name.parent, self.options).source, self.options)

    def follow(self) -> FollowedStore[Any]:
        """Open its source to follow it; a part of a bucket in which there is nothing any more is no error here.

        An Orthanc is known by its REST API beside DICOMweb, and tells more than DICOMweb does.
        """
        if is_object_uri(self.source):
            return reopen_store(self.name, self.source, self.options)
        store = self.open()
        if is_web_url(self.source):
            from dicombq.stores.dicomweb.orthanc import orthanc_of  # noqa: PLC0415 - requests is slow to import

            return orthanc_of(cast("DicomwebStore", store))
        return store


class StoreRegistry:
    """The registered stores of a HOME."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "stores"
        self._managed = home / "managed"

    def create(self, store: RegisteredStore) -> RegisteredStore:
        """Register a store; one without a source gets a folder in HOME, and is managed from then on.

        Raises
        ------
        InvalidArgument
            Where its ID is no ID.
        StoreExists
            Where one of its name is registered.
        """
        check_id("store", store.name.store)
        with self._locked():
            if self._path(store.name).exists():
                raise StoreExists(f"there is a store [{store.name}] already", "Use `dicombq dicom-stores update`.")
            if not store.source:
                folder = self._managed / os.urandom(8).hex()
                make_folders(folder)
                store = replace(store, source=str(folder), managed=True)
            store = replace(store, registration=os.urandom(8).hex())
            self._write(store)
            return store

    def get(self, name: StoreName) -> RegisteredStore:
        """Read a registered store.

        Raises
        ------
        NotFound
            Where there is none of that name.
        StateDamaged
            Where its file cannot be read.
        """
        found = self.find(name)
        if found is None:
            raise NotFound(f"there is no store [{name}]", "`dicombq dicom-stores list` names those there are.")
        return found

    def find(self, name: StoreName) -> RegisteredStore | None:
        """Read a registered store; None where there is none of that name."""
        with storage_errors(self._folder), contextlib.suppress(FileNotFoundError, NotADirectoryError):
            return _read(self._path(name))
        return None

    def list(self, parent: Mapping[str, str]) -> list[RegisteredStore]:
        """Read all stores whose project, location and dataset are those that are named, in the order of their names."""
        stores: list[RegisteredStore] = []
        with storage_errors(self._folder), contextlib.suppress(FileNotFoundError, NotADirectoryError):
            for path in self._folder.iterdir():
                with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
                    stores += [_read(path)] if path.suffix == ".json" else []
        here = (store for store in stores if parent.items() <= vars(store.name.parent).items())
        return sorted(here, key=lambda store: str(store.name))

    def update(self, name: StoreName, change: Callable[[RegisteredStore], RegisteredStore]) -> RegisteredStore:
        """Change a registered store; errors are those of `get`."""
        with self._locked():
            before = self.get(name)
            changed = change(before)
            if before.managed and changed.source != before.source:
                raise InvalidArgument(
                    f"the instances of the store [{name.store}] lie in a folder of its own", "Create another store."
                )
            self._write(changed)
            return changed

    def delete(self, name: StoreName) -> None:
        """Forget a store; its source is not touched, unless it is managed. Errors are those of `get`."""
        with self._locked():
            self.get(name)
            self._path(name).unlink()
            sync_folder(self._folder)
            orphans = self._orphans()
        for folder in orphans:
            shutil.rmtree(folder, ignore_errors=True)

    def _orphans(self) -> Sequence[Path]:
        """Name the folders of managed stores that were deleted, now or by somebody who did not come to the end."""
        if not self._managed.is_dir():
            return []
        sources = {store.source for store in self.list({}) if store.managed}
        return [folder for folder in self._managed.iterdir() if str(folder) not in sources]

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with storage_errors(self._folder):
            self._folder.mkdir(mode=0o700, exist_ok=True)
            with FileLock.acquire(self._folder / "lock", "the list of stores", Holder.process(), _PATIENCE):
                yield

    def _write(self, store: RegisteredStore) -> None:
        state = store.to_api() | {"registration": store.registration}
        write_atomic(self._path(store.name), json.dumps(state, indent=1).encode())

    def _path(self, name: StoreName) -> Path:
        return self._folder / f"{hashlib.sha256(str(name).encode()).hexdigest()}.json"


def _read(path: Path) -> RegisteredStore:
    try:
        return RegisteredStore.from_api(json.loads(path.read_bytes()))
    except (ValueError, KeyError, TypeError, AttributeError, InvalidArgument):
        raise StateDamaged(f"the file [{path}] of a store cannot be read", "Delete it, and create the store.") from None


def open_store(
    text: str, parent: Parent, home: Path, warn: Callable[[str], None], options: StoreOptions = PLAIN
) -> Store[Any]:
    """Give the store that a command's STORE names: a registered one, or directly a source.

    Parameters
    ----------
    text
        The ID or the full name of a registered store, or a source: a folder, a file, gs://BUCKET/FOLDER or
        s3://BUCKET/FOLDER.
    warn
        Is told where both a registered store and a folder have the name.
    options
        For a source; a registered store has its own.

    Raises
    ------
    InvalidArgument
        Where options are given for a registered store.
    NotFound
        Where there is none, or a source of another kind is named.
    NotPermitted
        Where it cannot be read.
    """
    registered = _find_registered(text, parent, StoreRegistry(home))
    if registered is None:
        return _open_source(text, parent, options)
    if options != PLAIN:
        raise InvalidArgument(
            f"[{registered.name.store}] is a registered store, which has options of its own",
            "Change them with `dicombq dicom-stores update`.",
        )
    _tell_apart(text, registered, warn)
    return registered.open()


def registered_store(text: str, parent: Parent, home: Path, warn: Callable[[str], None]) -> RegisteredStore:
    """Give the registered store that a command's STORE names, by its name or by its source.

    A source that is not registered yet is given as it would be.

    Raises
    ------
    StoreExists
        Where a store of another source has the ID that the source would get.
    NotFound, NotPermitted
        As `open_store`.
    """
    registry = StoreRegistry(home)
    found = _find_registered(text, parent, registry)
    if found is not None:
        _tell_apart(text, found, warn)
        return found
    store = _open_source(text, parent, PLAIN)
    registered = registry.find(store.name) or RegisteredStore(store.name, store.source)
    if os.path.realpath(registered.source) != os.path.realpath(store.source):
        raise StoreExists(
            f"there is a store [{store.name.store}] already, of another source",
            "Register this one under another ID: dicombq dicom-stores create ID --source=SOURCE",
        )
    return registered


def _tell_apart(text: str, registered: RegisteredStore, warn: Callable[[str], None]) -> None:
    if os.path.exists(text) and os.path.realpath(text) != os.path.realpath(registered.source):
        warn(f"[{text}] is taken for the registered store; write ./{text} for the folder.")


def _find_registered(text: str, parent: Parent, registry: StoreRegistry) -> RegisteredStore | None:
    if is_store_name(text) and not os.path.exists(text):
        return registry.get(store_name(text, parent))
    return registry.find(StoreName(parent, text)) if is_id(text) else None


def is_web_url(text: str) -> bool:
    """Tell whether a text is meant for the URL of a DICOMweb server."""
    return _WEB.match(text) is not None


def reopen_store(name: StoreName, source: str, options: StoreOptions) -> FollowedStore[Any]:
    """Give a store by its `source`; it may be gone, and need not be there to load rows."""
    if is_object_uri(source):
        from dicombq.stores.bucket import BucketStore  # noqa: PLC0415 - only for buckets

        return _with_archives(BucketStore(name, parse_object_uri(source), options))
    if is_web_url(source):
        from dicombq.stores.dicomweb.store import DicomwebStore  # noqa: PLC0415 - requests is slow to import

        return DicomwebStore(name, source, options)
    return _with_archives(FolderStore(name, Path(source), options))


def absolute_source(source: str, parent: Parent, options: StoreOptions) -> str:
    """Give a source as a registered store notes it; errors are those of `open_store`."""
    return _open_source(source, parent, options).source


def _open_source(text: str, parent: Parent, options: StoreOptions) -> FollowedStore[Any]:
    if is_object_uri(text):
        from dicombq.stores.bucket import BucketStore  # noqa: PLC0415 - only for buckets

        return _with_archives(BucketStore.open(text, parent, options))
    if is_web_url(text):
        from dicombq.stores.dicomweb.store import DicomwebStore  # noqa: PLC0415 - requests is slow to import

        return DicomwebStore.open(text, parent, options)
    scheme = _SCHEME.match(text)
    if scheme and not os.path.exists(text):
        raise NotFound(
            f"there is no folder [{printable(text)}], and URLs that begin with {scheme[0]} are not supported",
            "Copy the instances to a folder, or mount their bucket as one, and give its path.",
        )
    return _with_archives(FolderStore.open(text, parent, options))


def _with_archives(store: FolderStore | BucketStore) -> FollowedStore[Any]:
    if not store.options.archives:
        return store
    from dicombq.stores.archives import ArchiveStore  # noqa: PLC0415 - few need zipfile and tarfile

    return ArchiveStore(store)
