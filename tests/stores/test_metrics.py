"""What a store holds."""

from pathlib import Path

from dicombq.names import Parent
from dicombq.stores.folder import FolderStore
from dicombq.stores.metrics import measure
from tests.instances import ROOT, write_instance, write_truncated


def test_studies_series_instances_and_bytes_are_counted_once(tmp_path: Path) -> None:
    for number in range(3):
        write_instance(tmp_path / f"{number}.dcm", number)
    write_instance(tmp_path / "again.dcm", 2)
    write_instance(tmp_path / "other.dcm", 7, StudyInstanceUID=f"{ROOT}.2", SeriesInstanceUID=f"{ROOT}.2.1")
    write_instance(tmp_path / "nameless.dcm", None)
    write_truncated(tmp_path / "cut.dcm")
    (tmp_path / "notes.txt").write_text("nothing")
    (tmp_path / "gone.dcm").symlink_to(tmp_path / "nowhere")
    told: list[int] = []
    store = FolderStore.open(str(tmp_path), Parent())
    measured = measure(store, told.append)
    names = ("0.dcm", "1.dcm", "2.dcm", "other.dcm", "nameless.dcm")
    assert measured.to_api() == {
        "name": str(store.name),
        "studyCount": "2",
        "seriesCount": "2",
        "instanceCount": "5",
        "blobStorageSizeBytes": str(sum((tmp_path / name).stat().st_size for name in names)),
    }
    assert (measured.failures, told) == (2, [5])
