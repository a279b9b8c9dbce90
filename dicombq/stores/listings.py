"""What a listing says of a store, without reading an instance: its fingerprint, the sizes of what is in it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from typing import Any

from dicombq.stores.base import InstanceRef, Outcome, Store
from dicombq.stores.folder import FileRef

_BITS = 128


def fingerprint(store: Store[Any]) -> str:
    """Digest a listing, in whatever order it comes: it changes when the store does.

    Of a file its size and its time are looked at, not its content.
    """
    total = 0
    for entry in store.list():
        noted = [entry.uri] if isinstance(entry, Outcome) else [entry, *_status(entry)]
        digest = hashlib.blake2b(json.dumps(noted).encode(), digest_size=_BITS // 8)
        total += int.from_bytes(digest.digest(), "big")
    return f"{total % (1 << _BITS):x}"


def size_of(ref: InstanceRef) -> int:
    """Give the bytes of what a reference names; 0 where neither a listing nor the system tells."""
    status = _status(ref)
    return status[0] if status else int(getattr(ref, "size", 0))


def _status(ref: InstanceRef) -> list[int]:
    """Look at what a reference to a file does not say of it; one to an object has its size and its version."""
    if isinstance(ref, FileRef):
        with contextlib.suppress(OSError):
            status = os.stat(ref.uri)
            return [status.st_size, status.st_mtime_ns]
    return []
