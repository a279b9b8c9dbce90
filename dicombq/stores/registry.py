"""From what a user typed to a store."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from dicombq.errors import NotFound
from dicombq.names import Parent, StoreName
from dicombq.stores.base import Store
from dicombq.stores.folder import FolderStore


def open_store(text: str, parent: Parent) -> Store[Any]:
    """Give the store that a command's STORE names: a folder.

    Raises
    ------
    NotFound
        Where there is no such folder, or a store of another kind is named.
    NotPermitted
        Where it cannot be listed.
    """
    if re.match(r"[a-z]+://", text) or text.startswith("projects/"):
        raise NotFound(f"[{text}] is not a folder", "This version exports folders.")
    return FolderStore.open(text, parent)


def reopen_store(name: StoreName, source: str) -> Store[Any]:
    """Give the store of an operation again, by its `source`; it may be gone, and need not be there to load rows."""
    return FolderStore(name, Path(source))
