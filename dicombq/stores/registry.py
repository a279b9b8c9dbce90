"""Stores by name: a STORE on the command line, or one that an operation noted."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from dicombq.errors import NotFound
from dicombq.names import Parent, StoreName
from dicombq.stores.base import Store
from dicombq.stores.folder import FolderStore

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/+")


def open_store(text: str, parent: Parent) -> Store[Any]:
    """Give the store that a command's STORE names: a folder or a file.

    Raises
    ------
    NotFound
        Where there is none, or a store of another kind is named.
    NotPermitted
        Where it cannot be read.
    """
    scheme = _SCHEME.match(text)
    if (scheme or text.startswith("projects/")) and not os.path.exists(text):
        what = f"URLs that begin with {scheme[0]}" if scheme else "resource names"
        raise NotFound(
            f"there is no folder [{text}], and {what} are not supported",
            "Copy the instances to a folder, or mount their bucket as one, and give its path.",
        )
    return FolderStore.open(text, parent)


def reopen_store(name: StoreName, source: str) -> Store[Any]:
    """Give the store of an operation again, by its `source`; it may be gone, and need not be there to load rows."""
    return FolderStore(name, Path(source))
