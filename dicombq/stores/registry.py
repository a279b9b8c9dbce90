"""From what a user typed to a store."""

from __future__ import annotations

import re

from dicombq.errors import NotFound
from dicombq.names import Parent
from dicombq.stores.base import Store
from dicombq.stores.folder import FolderStore


def open_store(text: str, parent: Parent) -> Store:
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
