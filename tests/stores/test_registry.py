"""From what a user typed to a store."""

from pathlib import Path

import pytest

from dicombq.errors import NotFound
from dicombq.names import Parent
from dicombq.stores.folder import FolderStore
from dicombq.stores.registry import open_store


def test_a_path_is_a_folder_store(tmp_path: Path) -> None:
    store = open_store(str(tmp_path), Parent())
    assert isinstance(store, FolderStore)
    assert store.root == tmp_path


@pytest.mark.parametrize(
    "text", ["gs://bucket/folder", "https://server/dicom-web", "projects/p/locations/l/datasets/d"]
)
def test_a_store_of_another_kind_is_not_there_yet(text: str) -> None:
    with pytest.raises(NotFound, match="is not a folder"):
        open_store(text, Parent())
