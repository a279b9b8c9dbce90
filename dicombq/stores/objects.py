"""Objects of Google Cloud Storage, by URI, through the official client: all that is done with few of them.

Headers of many are read by `dicombq.stores.bucket`. Importing this takes half a second.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from google.auth.credentials import AnonymousCredentials
from google.cloud.exceptions import NotFound as NoObject
from google.cloud.storage import Client  # type: ignore[import-untyped]  # it has no types

from dicombq.errors import InvalidArgument, NotFound
from dicombq.names import ObjectUri
from dicombq.system.google_errors import google_errors

EMULATOR = "STORAGE_EMULATOR_HOST"
"""The environment variable that names a server in place of Google's, which asks for no credentials."""

READER = "Grant roles/storage.objectViewer on the bucket."
WRITER = "Grant roles/storage.objectAdmin on the bucket."

_LISTED = "items(name,size,generation,updated,storageClass,crc32c),nextPageToken"
_PAGE = 1000


def emulator() -> str:
    """Give the URL of the server in place of Google's; empty where there is none."""
    host = os.environ.get(EMULATOR, "").rstrip("/")
    return host if not host or "://" in host else f"http://{host}"


def open_bucket(uri: ObjectUri, *, anonymous: bool = False, billing_project: str = "") -> Any:
    """Give the official client's bucket; nothing is asked of the server yet.

    Parameters
    ----------
    anonymous
        Without credentials, for what everybody may read.
    billing_project
        Pays for the requests, where the requester has to.

    Raises
    ------
    InvalidArgument
        Where the object is not in Google Cloud Storage.
    NotAuthenticated
        Where there are no credentials.
    """
    if uri.scheme != "gs":
        raise InvalidArgument(f"[{uri}] is not in Google Cloud Storage", "Give gs://BUCKET/KEY.")
    with errors(uri):
        return _client(emulator(), anonymous=anonymous).bucket(uri.bucket, user_project=billing_project or None)


@functools.cache
def _client(url: str, *, anonymous: bool) -> Any:
    return Client(
        project=None,  # only what belongs to no bucket needs one
        credentials=AnonymousCredentials() if url or anonymous else None,  # type: ignore[no-untyped-call]  # google-auth has no types
        client_options={"api_endpoint": url} if url else None,
    )


def errors(uri: ObjectUri, roles: str = READER) -> contextlib.AbstractContextManager[None]:
    """Turn errors of the official client into ours."""
    return google_errors("Cloud Storage", f"[{uri}]", roles)


def exists(uri: ObjectUri) -> bool:
    """Tell whether there is an object."""
    bucket = open_bucket(uri)
    with errors(uri):
        return bool(bucket.blob(uri.key).exists())


@contextlib.contextmanager
def open_object(uri: ObjectUri) -> Iterator[BinaryIO]:
    """Open an object for reading, piece by piece; all pieces are of one state of it.

    Raises
    ------
    NotFound
        Where there is none, or where it was overwritten meanwhile.
    """
    bucket = open_bucket(uri)
    with errors(uri):
        blob = bucket.get_blob(uri.key)
        if blob is None:
            raise NotFound(f"there is no object [{uri}]", "Check the bucket and the name of the object.")
        with bucket.blob(uri.key, generation=blob.generation).open("rb") as file:
            yield file


def upload(file: Path, uri: ObjectUri) -> None:
    """Write a file to an object, in place of the one that is there; its checksum is verified."""
    bucket = open_bucket(uri)
    with errors(uri, WRITER):
        bucket.blob(uri.key).upload_from_filename(
            os.fspath(file), content_type="application/octet-stream", checksum="crc32c"
        )


def list_objects(prefix: ObjectUri, *, anonymous: bool = False, billing_project: str = "") -> Iterator[Any]:
    """Stream the official client's blobs whose keys begin alike, in pages.

    They have name, size, generation, time of update, storage class and checksum.
    """
    bucket = open_bucket(prefix, anonymous=anonymous, billing_project=billing_project)
    with errors(prefix):
        yield from bucket.list_blobs(prefix=prefix.key, page_size=_PAGE, fields=_LISTED)


def delete(uris: Iterable[ObjectUri]) -> None:
    """Delete objects; those that are gone already are no fault."""
    for uri in uris:
        bucket = open_bucket(uri)
        with errors(uri, WRITER):
            try:
                bucket.blob(uri.key).delete()
            except NoObject:
                continue
