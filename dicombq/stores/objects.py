"""Objects of Google Cloud Storage, by URI, through the official client: all that is done with few of them.

Headers of many are read by `dicombq.stores.bucket`. Importing this takes half a second.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from google.auth.credentials import AnonymousCredentials
from google.cloud.exceptions import BadRequest
from google.cloud.exceptions import NotFound as NoObject
from google.cloud.storage import Client  # type: ignore[import-untyped]  # it has no types

from dicombq.errors import InvalidArgument, NotFound, NotPermitted
from dicombq.names import ObjectUri
from dicombq.stores.base import PLAIN, StoreOptions
from dicombq.stores.object_client import emulator
from dicombq.system.google_errors import google_errors

READER = "Grant roles/storage.objectViewer on the bucket."
WRITER = "Grant roles/storage.objectAdmin on the bucket."

_LISTED = "items(name,size,generation,updated,storageClass,crc32c),nextPageToken"
_PAGE = 1000


def open_bucket(uri: ObjectUri, options: StoreOptions = PLAIN) -> Any:
    """Give the official client's bucket; nothing is asked of the server yet.

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
        client = _client(emulator(), anonymous=options.anonymous)
        return client.bucket(uri.bucket, user_project=options.billing_project or None)


@functools.cache
def _client(url: str, *, anonymous: bool) -> Any:
    return Client(
        project=None,  # only what belongs to no bucket needs one
        credentials=AnonymousCredentials() if url or anonymous else None,  # type: ignore[no-untyped-call]  # google-auth has no types
        client_options={"api_endpoint": url} if url else None,
    )


@contextlib.contextmanager
def errors(uri: ObjectUri, roles: str = READER) -> Iterator[None]:
    """Turn errors of the official client into ours."""
    with google_errors("Cloud Storage", f"[{uri}]", roles):
        try:
            yield
        except BadRequest as error:
            if "requester pays" not in error.message:
                raise
            raise NotPermitted(
                f"whoever reads [{uri}] pays for it", "Name the project that pays with --billing-project."
            ) from None


def find(uri: ObjectUri, options: StoreOptions = PLAIN) -> Any:
    """Give the official client's blob, as the server describes it; None where there is none."""
    bucket = open_bucket(uri, options)
    with errors(uri):
        return bucket.get_blob(uri.key)


def check_bucket(uri: ObjectUri, options: StoreOptions = PLAIN) -> None:
    """Refuse a bucket that is not there, or that may not be listed; errors are those of `list_objects`."""
    next(iter(list_objects(uri, options)), None)


def exists(uri: ObjectUri) -> bool:
    """Tell whether there is an object."""
    return find(uri) is not None


@contextlib.contextmanager
def open_object(uri: ObjectUri) -> Iterator[BinaryIO]:
    """Open an object for reading, piece by piece; all pieces are of one state of it.

    Raises
    ------
    NotFound
        Where there is none, or where it was overwritten meanwhile.
    """
    bucket = open_bucket(uri)
    blob = find(uri)
    if blob is None:
        raise NotFound(f"there is no object [{uri}]", "Check the bucket and the name of the object.")
    with errors(uri), bucket.blob(uri.key, generation=blob.generation).open("rb") as file:
        yield file


def upload(file: Path, uri: ObjectUri) -> None:
    """Write a file to an object, in place of the one that is there; its checksum is verified."""
    bucket = open_bucket(uri)
    with errors(uri, WRITER):
        bucket.blob(uri.key).upload_from_filename(
            os.fspath(file), content_type="application/octet-stream", checksum="crc32c"
        )


def list_objects(prefix: ObjectUri, options: StoreOptions = PLAIN) -> Iterator[Any]:
    """Stream the official client's blobs whose keys begin alike.

    They have name, size, generation, time of update, storage class and checksum.
    """
    return itertools.chain.from_iterable(list_pages(prefix, options))


def list_pages(prefix: ObjectUri, options: StoreOptions = PLAIN, start: str = "") -> Iterator[Iterable[Any]]:
    """Stream what `list_objects` does, a page for each request, from a key on."""
    bucket = open_bucket(prefix, options)
    with errors(prefix):
        listed = bucket.list_blobs(prefix=prefix.key, page_size=_PAGE, fields=_LISTED, start_offset=start or None)
        yield from listed.pages


def delete(uris: Iterable[ObjectUri]) -> None:
    """Delete objects; those that are gone already are no fault."""
    for uri in uris:
        bucket = open_bucket(uri)
        with errors(uri, WRITER):
            try:
                bucket.blob(uri.key).delete()
            except NoObject:
                continue
