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
    ("text", "kind"),
    [
        ("gs://bucket/folder", "URLs that begin with gs://"),
        ("S3://bucket", "URLs that begin with S3://"),
        ("https:/server/dicom-web", "URLs that begin with https:/"),
        ("projects/p/locations/l/datasets/d/dicomStores/s", "resource names"),
    ],
)
def test_a_store_of_a_kind_that_is_not_supported_is_called_so(text: str, kind: str) -> None:
    with pytest.raises(NotFound, match="are not supported") as error:
        open_store(text, Parent())
    assert error.value.message == f"there is no folder [{text}], and {kind} are not supported"


def test_a_folder_may_look_like_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "projects" / "p").mkdir(parents=True)
    assert open_store("projects/p", Parent()).source == str(tmp_path / "projects" / "p")
