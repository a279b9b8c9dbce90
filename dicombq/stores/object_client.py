"""Objects of a bucket as a store reads them: many of them, a part of each, in one state.

Google Cloud Storage is listed by its official client, for only its JSON API tells generation, storage class and the
whole time of update, and takes names of any shape. All else is obstore's, which costs a tenth of the CPU time.
"""

from __future__ import annotations

import datetime as dt
import functools
import json
import os
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from errno import EIO
from typing import TYPE_CHECKING, Any, NamedTuple

from dicombq.dicom.values import timestamp
from dicombq.errors import DicombqError, Failed, NotAuthenticated, NotFound, NotPermitted, Temporary
from dicombq.names import ObjectUri, parse_object_uri
from dicombq.stores.base import StoreOptions
from dicombq.system.threads import in_a_thread

if TYPE_CHECKING:
    from obstore import GetOptions

PATIENCE = 120.0
"""Seconds for which temporary failures of one request are retried."""

EMULATOR = "STORAGE_EMULATOR_HOST"
"""The environment variable that names a server in place of Google's."""

_TIMEOUT = 30.0  # seconds for one try of a request; a part of an object takes milliseconds
_LONGEST_PAUSE = 10.0  # seconds
_PAGE = 1000
_STATUS = re.compile(r"status code: (\d{3})")
_MACHINE = "169.254."
"""Begins the addresses by which machines in a cloud get their credentials."""
_TEMPORARY = frozenset({"408", "429", "500", "502", "503", "504"})
_SCOPE = "https://www.googleapis.com/auth/devstorage.read_only"
_ROLES = {
    "gs": "Grant roles/storage.objectViewer on the bucket.",
    "s3": "Allow s3:ListBucket on the bucket and s3:GetObject on its objects.",
}
_CREDENTIALS = {
    "gs": "Run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS.",
    "s3": "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
}


class ObjectRef(NamedTuple):
    """An object in the state in which it was listed.

    Parameters
    ----------
    size
        Its bytes.
    version
        The state: the generation in Google Cloud Storage, the ETag in S3.
    updated
        When it was written: UTC, as `dicombq.dicom.values.timestamp` writes it.
    storage_class
        Empty where it is not told, as in S3.
    """

    uri: str
    size: int
    version: str
    updated: str
    storage_class: str


class Unread(OSError):
    """A part of an object that could not be read."""

    def __init__(self) -> None:
        super().__init__(EIO, "a part of an object could not be read")


class Changed(Unread):
    """The object is no longer in the state that is asked for, or it is gone."""


class Refused(Unread):
    """The server does not give this object, with a ``google.rpc.Code`` by name and a reason."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__()
        self.code = code
        self.reason = reason


class Unreachable(Unread):
    """Nothing can be read: the server does not answer, or takes no request of ours."""

    def __init__(self, error: DicombqError) -> None:
        super().__init__()
        self.error = error


@dataclass(frozen=True)
class ObjectClient:
    """A bucket, as it is read with some options; picklable, each process has connections of its own."""

    bucket: ObjectUri
    options: StoreOptions

    @property
    def _is_google(self) -> bool:
        return self.bucket.scheme == "gs"

    @property
    def _store(self) -> Any:
        return _connect(self.bucket.with_key(""), self.options, emulator() if self._is_google else _s3_endpoint())

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectRef]:
        """Stream the objects whose keys begin so and come after another, page by page.

        Raises
        ------
        NotFound
            Where there is no such bucket.
        NotPermitted
            Where it may not be listed.
        Temporary
            Where the server does not answer.
        """
        for page in in_a_thread(self._list(prefix, after)):
            yield from page

    def _list(self, prefix: str, last: str) -> Iterator[Sequence[ObjectRef]]:
        """Stream pages; after a fault the clients give up on, go on behind the last object that was listed."""
        pages = self._google_pages if self._is_google else self._pages
        tries = _Tries()
        while True:
            try:
                for page in pages(prefix, last):
                    yield page
                    last = parse_object_uri(page[-1].uri).key
                    tries = _Tries()
            except Temporary:
                if tries.are_over():
                    raise
            else:
                return

    def state(self, uri: str) -> ObjectRef | None:
        """Give an object's present state; None where there is none. Errors are those of `list`."""
        key = parse_object_uri(uri).key
        if self._is_google:
            from dicombq.stores import objects  # noqa: PLC0415 - half a second of imports

            blob = objects.find(self.bucket.with_key(key), self.options)
            return self._google_ref(blob) if blob else None
        import obstore  # noqa: PLC0415 - only buckets need it

        try:
            return self._ref(obstore.head(self._store, key))
        except FileNotFoundError:
            return None
        except Exception as error:  # noqa: BLE001 - obstore raises what has no common base
            raise self._error(error) from None

    def part(self, ref: ObjectRef, start: int, end: int) -> bytes:
        """Read bytes of an object, as far as it has them.

        Raises
        ------
        Unread
            In one of its kinds.
        """
        tries = _Tries()
        while True:
            try:
                return self._part(ref, start, end)
            except Unreachable as fault:
                if not isinstance(fault.error, Temporary) or tries.are_over():
                    raise

    def _part(self, ref: ObjectRef, start: int, end: int) -> bytes:
        import obstore  # noqa: PLC0415 - only buckets need it

        key = parse_object_uri(ref.uri).key
        if self._is_google and not _is_plain(key):
            return self._google_part(key, ref, start, end)
        wanted: GetOptions = {"range": (start, end)}
        if ref.version:
            wanted["version" if self._is_google else "if_match"] = ref.version
        try:
            data = bytes(obstore.get(self._store, key, options=wanted).bytes())
        except (FileNotFoundError, obstore.exceptions.PreconditionError):
            raise Changed from None
        except Exception as error:  # noqa: BLE001 - obstore raises what has no common base
            raise self._fault(error) from None
        if len(data) < min(end, ref.size) - start:
            raise Changed
        return data

    def _pages(self, prefix: str, after: str) -> Iterator[Sequence[ObjectRef]]:
        import obstore  # noqa: PLC0415 - only buckets need it

        try:
            for page in obstore.list(self._store, prefix or None, offset=after or None, chunk_size=_PAGE):
                yield [self._ref(meta) for meta in page]
        except obstore.exceptions.InvalidPathError:
            raise Failed(
                f"a name in [{self.bucket}] has an empty part, as in [a//b], and cannot be listed",
                "Rename the object, or name a folder without it.",
            ) from None
        except Exception as error:  # noqa: BLE001 - obstore raises what has no common base
            raise self._error(error) from None

    def _ref(self, meta: Any) -> ObjectRef:
        uri = str(self.bucket.with_key(meta["path"]))
        return ObjectRef(uri, meta["size"], meta["e_tag"] or "", timestamp(meta["last_modified"]), "")

    def _google_pages(self, prefix: str, after: str) -> Iterator[Sequence[ObjectRef]]:
        from dicombq.stores import objects  # noqa: PLC0415 - half a second of imports

        try:
            for page in objects.list_pages(self.bucket.with_key(prefix), self.options, after):
                if refs := [self._google_ref(blob) for blob in page if blob.name != after]:
                    yield refs
        except NotFound:
            raise self._no_bucket() from None

    def _google_ref(self, blob: Any) -> ObjectRef:
        uri = str(self.bucket.with_key(blob.name))
        return ObjectRef(uri, blob.size, str(blob.generation), timestamp(blob.updated), blob.storage_class or "")

    def _google_part(self, key: str, ref: ObjectRef, start: int, end: int) -> bytes:
        """Read bytes of an object whose name obstore does not take."""
        from dicombq.stores import objects  # noqa: PLC0415 - half a second of imports

        try:
            bucket = objects.open_bucket(self.bucket, self.options)
            with objects.errors(self.bucket.with_key(key)):
                blob = bucket.blob(key, generation=int(ref.version))
                data: bytes = blob.download_as_bytes(start=start, end=end - 1, raw_download=True, checksum=None)
                return data
        except NotFound:
            raise Changed from None
        except DicombqError as error:
            raise Unreachable(error) from None

    def _fault(self, error: Exception) -> Unread:
        """Tell whether an error is of the object, or of all."""
        from obstore import exceptions  # noqa: PLC0415 - only buckets need it

        status = _STATUS.search(str(error))
        if "InvalidObjectState" in str(error):
            return Refused("UNAVAILABLE", "it is archived, and must be restored before it can be read")
        if isinstance(error, exceptions.PermissionDeniedError):
            return Refused("PERMISSION_DENIED", "not permitted to read it")
        if isinstance(error, exceptions.GenericError) and status and status[1] not in _TEMPORARY:
            return Refused("UNAVAILABLE", f"the server answered {status[1]}")
        if "non-partial response" in str(error):
            return Refused("UNAVAILABLE", "the server does not give a part of it")
        return Unreachable(self._error(error))

    def _error(self, error: Exception) -> DicombqError:
        """Turn an error of obstore into ours; its message may hold anything, so only its kind is told."""
        from obstore import exceptions  # noqa: PLC0415 - only buckets need it

        scheme, what = self.bucket.scheme, f"[{self.bucket}]"
        text = str(error)
        status = _STATUS.search(text)
        code = status[1] if status else ""
        if isinstance(error, DicombqError):
            return error
        if code == "401" or isinstance(error, exceptions.UnauthenticatedError) or _MACHINE in text:
            return NotAuthenticated(f"there are no usable credentials for {what}", _CREDENTIALS[scheme])
        if code == "403":
            return self.not_permitted()
        if code == "404":
            return self._no_bucket()
        if "redirect without LOCATION" in text:
            return Failed(f"{what} is in another region", "Set AWS_REGION to the bucket's region.")
        if code and code not in _TEMPORARY:
            return Failed(f"{what} cannot be read: the server answered {code}")
        why = f"the server answered {code}" if code else "no connection"
        return Temporary(f"{what} could not be read: {why}", "Run the command again later.")

    def not_permitted(self) -> NotPermitted:
        """Say what is missing."""
        return NotPermitted(f"reading [{self.bucket}] is not permitted", _ROLES[self.bucket.scheme])

    def _no_bucket(self) -> NotFound:
        return NotFound(f"there is no bucket [{self.bucket.bucket}]", "Check its name.")


class _Tries:
    """Tries of what a client does not try again itself: it gives up where an answer ends early."""

    def __init__(self) -> None:
        self._deadline = time.monotonic() + PATIENCE
        self._pause = 0.1

    def are_over(self) -> bool:
        """Tell whether it was tried for long enough; wait before the next try."""
        if time.monotonic() > self._deadline:
            return True
        time.sleep(self._pause)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        return False


def emulator() -> str:
    """Give the URL of the server in place of Google's, which asks for no credentials; empty where there is none."""
    host = os.environ.get(EMULATOR, "").rstrip("/")
    return host if not host or "://" in host else f"http://{host}"


def _s3_endpoint() -> str:
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""


def _is_plain(key: str) -> bool:
    """Tell whether obstore takes a key as it is: parts that are not empty, and no dots for folders."""
    return not {"", ".", ".."} & set(key.split("/"))


class _Token:
    """Gives obstore the tokens of Google's credentials."""

    def __init__(self) -> None:
        import google.auth  # noqa: PLC0415 - slow to import

        from dicombq.system.google_errors import google_errors  # noqa: PLC0415 - as slow

        with google_errors("Cloud Storage", "the bucket", _ROLES["gs"]):
            self._credentials: Any = google.auth.default(scopes=[_SCOPE])[0]

    def __call__(self) -> dict[str, Any]:
        from google.auth.transport.requests import Request  # noqa: PLC0415 - slow to import

        self._credentials.refresh(Request())
        expiry = self._credentials.expiry  # in UTC, without saying so; None where they do not expire
        return {
            "token": self._credentials.token,
            "expires_at": expiry and expiry.replace(tzinfo=dt.timezone.utc),
        }


@functools.cache
def _connect(bucket: ObjectUri, options: StoreOptions, endpoint: str) -> Any:
    from obstore.store import GCSStore, S3Store  # noqa: PLC0415 - only buckets need it

    config: dict[str, Any] = {
        "client_options": {"timeout": dt.timedelta(seconds=_TIMEOUT)},
        "retry_config": {"max_retries": 20, "retry_timeout": dt.timedelta(seconds=PATIENCE)},
    }
    if options.anonymous:
        config["skip_signature"] = True
    if bucket.scheme == "s3":
        config["client_options"]["allow_http"] = endpoint.startswith("http://")
        return S3Store(bucket.bucket, **config)
    if options.billing_project:
        config["client_options"]["default_headers"] = {"x-goog-user-project": options.billing_project}
    if endpoint:
        config["client_options"]["allow_http"] = True
        key = {
            "gcs_base_url": endpoint,
            "disable_oauth": True,
            "client_email": "",
            "private_key": "",
            "private_key_id": "",
        }
        return GCSStore(bucket.bucket, **config, service_account_key=json.dumps(key))
    # without a provider obstore looks for credentials itself, and fails on kinds that it does not know
    config["credential_provider"] = (lambda: {"token": ""}) if options.anonymous else _Token()
    return GCSStore(bucket.bucket, **config)
