"""``dicom-stores``."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.conftest import Run
from tests.instances import write_instance

PARENT = "projects/local/locations/local/datasets/dicom"


@pytest.fixture
def registered(run: Run, scans: Path) -> Path:
    """The folder of two instances, as the store `mine`."""
    assert run("dicom-stores", "create", "mine", "--source=scans").code == 0
    return scans


def test_create_prints_what_gcloud_prints(run: Run, scans: Path) -> None:
    result = run("dicom-stores", "create", "mine", "--source=scans")
    assert (result.code, result.out, result.err) == (0, "", "Created dicomStore [mine].\n")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("mine", "--source=scans"), 4, f"there is a store [{PARENT}/dicomStores/mine] already"),
        (("other", "--source=nowhere"), 7, "there is no folder [nowhere]"),
        (("a b", "--source=scans"), 2, "the store ID [a b] has characters"),
        (("projects/x", "--source=scans"), 2, "[projects/x] is not a store's name"),
        (("other", "--archives"), 2, "there is no source that would be read like this"),
        (("other", "--source=scans", "--anonymous"), 2, "are for buckets"),
    ],
)
def test_create_refuses_what_it_cannot_register(
    run: Run, registered: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    result = run("dicom-stores", "create", *arguments)
    assert (result.code, message in result.err) == (code, True), result.err
    assert "1 " not in run("dicom-stores", "list", "--format=value(id)").out.replace("mine\n", "")


def test_a_store_without_a_source_is_a_private_folder_that_goes_with_it(run: Run, scans: Path, home: Path) -> None:
    for name in ("mine", "other"):
        assert run("dicom-stores", "create", name).code == 0
    own = yaml.safe_load(run("dicom-stores", "describe", "mine").out)["dicombq"]
    folder = Path(own["source"])
    assert (own["managed"], folder.parent) == (True, home / "managed")
    assert [stat.S_IMODE(each.stat().st_mode) for each in (folder, folder.parent)] == [0o700, 0o700]
    shutil.copytree(scans, folder / "1.2")
    assert "(2 new rows)" in run("export", "bq", "mine").err
    refused = run("dicom-stores", "update", "mine", "--source=scans")
    assert (refused.code, "a folder of its own" in refused.err) == (2, True)
    assert "and all of its instances" in run("dicom-stores", "delete", "mine").err
    assert folder.is_dir()
    assert run("dicom-stores", "delete", "mine", "--quiet").code == 0
    assert len([*folder.parent.iterdir()]) == 1
    assert run("dicom-stores", "delete", "other", "--quiet").code == 0
    assert [*folder.parent.iterdir()] == []


def test_a_registered_store_is_exported_under_its_name_from_anywhere(
    run: Run, registered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("export", "bq", "mine")
    store = f"dicombq:\n  source: {registered}\nname: {PARENT}/dicomStores/mine\n"
    assert (result.code, result.out) == (0, store)
    assert run("dicom-stores", "describe", "mine").out == store
    assert "dicom.mine (2 new rows)" in result.err
    assert run("export", "bq", f"{PARENT}/dicomStores/mine", "--overwrite-table").code == 0
    assert run("export", "bq", "mine", "--project=other").code == 7


def test_a_folder_is_not_printed_as_the_store_of_another_source_that_has_its_name(
    run: Run, registered: Path, here: Path
) -> None:
    write_instance(here / "mine" / "1.dcm", 1)
    assert run("export", "bq", "./mine").out == f"name: {PARENT}/dicomStores/mine\n"


def test_describe_shows_the_source(run: Run, registered: Path) -> None:
    shown = yaml.safe_load(run("dicom-stores", "describe", "mine").out)
    assert shown == {"name": f"{PARENT}/dicomStores/mine", "dicombq": {"source": str(registered)}}
    assert run("dicom-stores", "describe", "other").code == 7


def test_list_has_a_line_for_each_store(run: Run, registered: Path) -> None:
    run("dicom-stores", "create", f"{PARENT.replace('/dicom', '/d2')}/dicomStores/theirs", "--source=scans")
    lines = run("dicom-stores", "list").out.splitlines()
    assert [line.split() for line in lines] == [
        ["ID", "LOCATION", "SOURCE", "BQDESTINATION"],
        ["theirs", "local", str(registered)],
        ["mine", "local", str(registered)],
    ]
    assert run("dicom-stores", "list", "--dataset=d2", "--format=value(id)").out == "theirs\n"
    assert [store["name"] for store in yaml.safe_load_all(run("dicom-stores", "list", "--format=yaml").out)][1] == (
        f"{PARENT}/dicomStores/mine"
    )


def test_an_empty_list_says_so(run: Run) -> None:
    result = run("dicom-stores", "list")
    assert (result.code, result.err) == (0, "Listed 0 items.\n")


def test_update_gives_another_source(run: Run, registered: Path, here: Path) -> None:
    (here / "moved").mkdir()
    result = run("dicom-stores", "update", "mine", "--source=moved")
    assert (result.code, result.err) == (0, "Updated dicomStore [mine].\n")
    assert yaml.safe_load(result.out)["dicombq"] == {"source": str(here / "moved")}
    assert run("dicom-stores", "update", "other", "--source=moved").code == 7


def test_update_keeps_the_options_that_are_not_given(run: Run, registered: Path, here: Path) -> None:
    (here / "moved").mkdir()

    def updated(*flags: str) -> Any:
        result = run("dicom-stores", "update", "mine", *flags)
        assert result.code == 0, result.err
        return yaml.safe_load(result.out)["dicombq"]

    assert updated("--archives") == {"source": str(registered), "archives": True}
    assert updated("--source=moved") == {"source": str(here / "moved"), "archives": True}
    assert updated("--anonymous") == {"source": str(here / "moved"), "archives": True, "anonymous": True}
    assert updated("--no-archives") == {"source": str(here / "moved"), "anonymous": True}
    assert run("dicom-stores", "update", "mine").code == 2


def test_options_are_updated_with_the_tables_that_follow(run: Run, registered: Path) -> None:
    result = run("dicom-stores", "update", "mine", "--stream-configs=duckdb://x.duckdb/d.t", "--archives")
    assert result.code == 0, result.err
    assert yaml.safe_load(result.out)["dicombq"]["archives"] is True


def test_delete_asks_and_leaves_the_source_alone(run: Run, registered: Path) -> None:
    asked = run("dicom-stores", "delete", "mine")
    assert asked.code == 1
    assert asked.err.startswith("You are about to delete dicomStore [mine]\n\nDo you want to continue (Y/n)?")
    result = run("dicom-stores", "delete", "mine", "--quiet")
    assert (result.code, result.out, result.err) == (0, "", "Deleted dicomStore [mine].\n")
    assert len(list(registered.iterdir())) == 2
    assert run("dicom-stores", "delete", "mine", "--quiet").code == 7


def test_metrics_have_the_names_of_the_api(run: Run, registered: Path, broken: Path) -> None:
    result = run("dicom-stores", "metrics", "mine")
    size = sum(path.stat().st_size for path in registered.iterdir() if path.name != "broken.dcm")
    assert yaml.safe_load(result.out) == {
        "name": f"{PARENT}/dicomStores/mine",
        "studyCount": "1",
        "seriesCount": "1",
        "instanceCount": "2",
        "blobStorageSizeBytes": str(size),
    }
    assert (result.code, result.err) == (3, "WARNING: 1 could not be read; an export says which and why.\n")
