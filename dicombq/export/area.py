"""Where an export stages its rows: attempts write there, the load reads from there."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson
from isal import igzip

from dicombq.names import ObjectUri, is_object_uri, parse_object_uri
from dicombq.stores.filters import Filter, load_filter, read_filter
from dicombq.system.files import open_atomic, open_private, sync_folder, write_atomic

_FOLDER = "shards"
_FILTER = "filter"


@dataclass(frozen=True)
class Attempt:
    """The files of one attempt at a shard; no other attempt has their names.

    Parameters
    ----------
    rows_name, keys_name
        By which the area knows them.
    rows, keys
        To be written.
    """

    rows_name: str
    keys_name: str
    rows: igzip.IGzipFile
    keys: igzip.IGzipFile


@dataclass(frozen=True)
class StagingArea:
    """A folder that all workers of an export write to; picklable.

    Parameters
    ----------
    folder
        Of the operation.
    """

    folder: Path

    @property
    def is_left(self) -> bool:
        """Whether it has not been given up."""
        return self.folder.exists()

    def prepare(self) -> None:
        """Make it where it is missing."""
        self.folder.mkdir(mode=0o700, exist_ok=True)

    def elsewhere(self, filter_copy: Path | None) -> StagingArea:
        """Give what shards on other machines write to, and let them have a copy of the filter file there."""
        del filter_copy
        return self

    def take(self, keys_name: str) -> None:
        """Let this machine have the keys of a shard, wherever it was staged."""

    def load_filter(self, uri: str, copy: Path) -> Filter:
        """Read the copy of a filter file."""
        return load_filter(uri, copy)

    @contextlib.contextmanager
    def attempt(self, shard: int) -> Iterator[Attempt]:
        """Open the files of an attempt; at the end of the block they survive a power cut."""
        name = f"{shard:08d}-{os.getpid()}-{os.urandom(4).hex()}"
        rows_name, keys_name = f"{name}.ndjson.gz", f"{name}.keys.jsonl.gz"
        with (
            _open_packed(self.folder / rows_name) as rows,
            _open_packed(self.folder / keys_name) as keys,
        ):
            yield Attempt(rows_name, keys_name, rows, keys)
        sync_folder(self.folder)

    def open_rows(self, name: str) -> AbstractContextManager[igzip.IGzipFile]:
        """Open staged rows for reading, a line each."""
        return igzip.IGzipFile(self.folder / name)

    def read_keys(self, name: str) -> Iterator[dict[str, Any]]:
        """Stream staged keys."""
        with igzip.IGzipFile(self.folder / name) as keys:
            yield from map(orjson.loads, keys)

    def key_files(self, names: Iterable[str]) -> list[Path]:
        """Give staged keys as a query over them reads them."""
        return [self.folder / name for name in names]

    def row_files(self, names: Iterable[str]) -> list[Path]:
        """Give staged rows as a load reads them from here."""
        return [self.folder / name for name in names]

    def row_uris(self, names: Iterable[str]) -> list[str]:
        """Give staged rows as a load reads them from a bucket."""
        del names
        return []

    def discard(self, rows_name: str, keys_name: str) -> None:
        """Delete what an attempt staged."""
        for name in (rows_name, keys_name):
            (self.folder / name).unlink()

    def clear(self) -> None:
        """Delete all that is staged elsewhere than in the folder."""


@contextlib.contextmanager
def _open_packed(path: Path) -> Iterator[igzip.IGzipFile]:
    """Open a file for what is compressed; at the end of the block it survives a power cut."""
    with open_private(path) as raw:
        with igzip.IGzipFile("", "wb", fileobj=raw, mtime=0) as packed:
            yield packed
        raw.flush()
        os.fsync(raw.fileno())


@dataclass(frozen=True)
class SharedArea(StagingArea):
    """A staging area in a folder that a user names: other machines may have it at the same path."""

    def elsewhere(self, filter_copy: Path | None) -> StagingArea:
        """Give itself."""
        if filter_copy:
            write_atomic(self.folder / _FILTER, filter_copy.read_bytes())
        return self

    def load_filter(self, uri: str, copy: Path) -> Filter:
        """Read the copy that is here, where there is one."""
        shared = self.folder / _FILTER
        return load_filter(uri, shared if shared.exists() else copy)

    def clear(self) -> None:
        """Delete the folder, with what attempts staged that were broken off."""
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass(frozen=True)
class CloudArea(StagingArea):
    """A staging area whose rows lie in a bucket, from where BigQuery loads them; keys stay in the folder.

    Parameters
    ----------
    prefix
        Of the objects; nobody else's names begin so.
    """

    prefix: ObjectUri

    def elsewhere(self, filter_copy: Path | None) -> StagingArea:
        """Give what knows no folder of this machine."""
        from dicombq.stores.objects import upload  # noqa: PLC0415 - half a second of imports

        if filter_copy:
            upload(filter_copy, self._uri(_FILTER))
        return FarArea(Path(), self.prefix)

    def take(self, keys_name: str) -> None:
        """Fetch keys that another machine staged."""
        if not (self.folder / keys_name).exists():
            self._fetch(keys_name)

    @contextlib.contextmanager
    def attempt(self, shard: int) -> Iterator[Attempt]:
        """Open the files of an attempt; at the end of the block its rows are in the bucket."""
        from dicombq.stores.objects import upload  # noqa: PLC0415 - half a second of imports

        with super().attempt(shard) as attempt:
            yield attempt
        rows = self.folder / attempt.rows_name
        upload(rows, self._uri(attempt.rows_name))
        rows.unlink()

    @contextlib.contextmanager
    def open_rows(self, name: str) -> Iterator[igzip.IGzipFile]:
        """Open staged rows for reading, a line each."""
        from dicombq.stores.objects import open_object  # noqa: PLC0415 - half a second of imports

        with open_object(self._uri(name)) as file, igzip.IGzipFile("", "rb", fileobj=file) as rows:
            yield rows

    def row_files(self, names: Iterable[str]) -> list[Path]:
        """Fetch staged rows: who loads them from here has no use for a bucket."""
        return [self._fetch(name) for name in names]

    def row_uris(self, names: Iterable[str]) -> list[str]:
        """Give the URIs of staged rows."""
        return [str(self._uri(name)) for name in names]

    def discard(self, rows_name: str, keys_name: str) -> None:
        """Delete what an attempt staged."""
        from dicombq.stores.objects import delete  # noqa: PLC0415 - half a second of imports

        delete([self._uri(rows_name)])
        (self.folder / keys_name).unlink()

    def clear(self) -> None:
        """Delete all objects of the operation, those of attempts that were broken off too."""
        from dicombq.stores.objects import delete, list_objects  # noqa: PLC0415 - half a second of imports

        delete(self.prefix.with_key(blob.name) for blob in list_objects(self.prefix))

    def _fetch(self, name: str) -> Path:
        from dicombq.stores.objects import open_object  # noqa: PLC0415 - half a second of imports

        with open_object(self._uri(name)) as there, open_atomic(self.folder / name) as here:
            shutil.copyfileobj(there, here, 1 << 20)
        return self.folder / name

    def _uri(self, name: str) -> ObjectUri:
        return self.prefix.with_key(f"{self.prefix.key}{name}")


@dataclass(frozen=True)
class FarArea(CloudArea):
    """The same as a machine sees it that has only the bucket; its folder is not used."""

    @contextlib.contextmanager
    def attempt(self, shard: int) -> Iterator[Attempt]:
        """Open the files of an attempt; at the end of the block they are in the bucket, the keys first."""
        from dicombq.stores.objects import upload  # noqa: PLC0415 - half a second of imports

        with tempfile.TemporaryDirectory() as scratch:
            here = StagingArea(Path(scratch))
            with here.attempt(shard) as attempt:
                yield attempt
            for name in (attempt.keys_name, attempt.rows_name):
                upload(here.folder / name, self._uri(name))

    def load_filter(self, uri: str, copy: Path) -> Filter:
        """Read the copy in the bucket."""
        del copy
        return _load_filter(uri, str(self._uri(_FILTER)))


@lru_cache(maxsize=1)
def _load_filter(uri: str, copy: str) -> Filter:
    found = read_filter(copy)
    found.uri = uri
    return found


def staging_area(folder: Path, staging: str, operation: str) -> StagingArea:
    """Give the staging area of an operation.

    Parameters
    ----------
    folder
        The operation's.
    staging
        Where rows are staged, as ``gs://BUCKET/FOLDER`` or an absolute path; empty for the folder.
    """
    if not staging:
        return StagingArea(folder / _FOLDER)
    if not is_object_uri(staging):
        return SharedArea(Path(staging) / f"dicombq-{operation}")
    uri = parse_object_uri(staging)
    key = f"{uri.key.rstrip('/')}/dicombq-{operation}/".lstrip("/")
    return CloudArea(folder / _FOLDER, uri.with_key(key))
