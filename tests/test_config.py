from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import platformdirs
import pytest

from dicombq import config
from dicombq.errors import HomeUnusable, InvalidArgument, StorageFull
from dicombq.names import BigQueryProject, DuckdbFile, Parent


def test_nothing_said_is_local(home: Path) -> None:
    assert config.parent() == Parent("local", "local", "dicom")


def test_a_flag_wins_over_the_environment(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PROJECT", "LOCATION", "DATASET"):
        monkeypatch.setenv(f"DICOMBQ_{name}", f"env-{name}")
    assert config.parent() == Parent("env-PROJECT", "env-LOCATION", "env-DATASET")
    assert config.parent("p", "l", "d") == Parent("p", "l", "d")


def test_the_project_of_google_cloud_is_the_last_resort(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "google")
    assert config.parent().project == "google"
    monkeypatch.setenv("DICOMBQ_PROJECT", "own")
    assert config.parent().project == "own"
    monkeypatch.setenv("DICOMBQ_PROJECT", "")
    assert config.parent().project == "google"


def test_the_environment_wins_over_the_file_and_the_file_over_the_default(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.change("dataset", "radiology")
    assert (config.parent().dataset, config.setting("dataset").source) == ("radiology", "file")
    monkeypatch.setenv("DICOMBQ_DATASET", "cardiology")
    assert (config.parent().dataset, config.setting("dataset").source) == ("cardiology", "DICOMBQ_DATASET")
    assert config.parent(dataset="flag").dataset == "flag"


def test_a_forgotten_property_has_its_default_again(home: Path) -> None:
    config.change("project", "mine")
    config.change("location", "here")
    config.change("project", None)
    assert config.parent() == Parent("local", "here", "dicom")
    config.change("project", None)
    assert config.named(None, None, None) == {"location": "here"}


def test_properties_are_for_their_owner_alone_and_written_in_one_piece(home: Path) -> None:
    config.change("project", "mine")
    assert [file.name for file in home.iterdir()] == ["config.ini"]
    assert stat.S_IMODE((home / "config.ini").stat().st_mode) == 0o600
    assert (home / "config.ini").read_text() == "[dicombq]\nproject = mine\n"


def test_what_cannot_be_written_leaves_the_properties_as_they_were(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config.change("project", "mine")

    def fail(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(StorageFull):
        config.change("project", "other")
    assert config.parent().project == "mine"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("project", "a b"),
        ("dataset", ""),
        ("location", "a/b"),
        ("warehouse", "mysql://x"),
        ("warehouse", "bq://"),
        ("warehouse", "bq://a b"),
        ("maximum_bytes_billed", "many"),
        ("maximum_bytes_billed", "0"),
        ("maximum_bytes_billed", "-1"),
    ],
)
def test_a_value_that_a_property_cannot_have_is_refused(home: Path, name: str, value: str) -> None:
    with pytest.raises(InvalidArgument):
        config.change(name, value)
    assert not home.exists()


@pytest.mark.parametrize("content", [b"\xff", b"project = mine", b"[dicombq]\nproject\n"])
def test_properties_that_cannot_be_read_are_an_error_and_stay(home: Path, content: bytes) -> None:
    (config.home() / "config.ini").write_bytes(content)
    with pytest.raises(InvalidArgument, match=r"config\.ini\] cannot be read"):
        config.parent()
    with pytest.raises(InvalidArgument):
        config.change("project", "mine")
    assert (home / "config.ini").read_bytes() == content


def test_the_warehouse_is_the_embedded_one_unless_a_property_or_a_flag_says_otherwise(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert config.warehouse() == DuckdbFile(home / "warehouse.duckdb")
    monkeypatch.chdir(tmp_path)
    config.change("warehouse", "duckdb://my.duckdb")
    monkeypatch.chdir("/")
    assert config.warehouse() == DuckdbFile(tmp_path / "my.duckdb")
    assert config.warehouse("bq://p") == BigQueryProject("p")


def test_the_limit_of_bytes_is_the_flags_else_the_propertys(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert config.maximum_bytes_billed() is None
    config.change("maximum_bytes_billed", "1000")
    assert (config.maximum_bytes_billed(), config.maximum_bytes_billed(5)) == (1000, 5)
    monkeypatch.setenv("DICOMBQ_MAXIMUM_BYTES_BILLED", "lots")
    with pytest.raises(InvalidArgument, match="lots"):
        config.maximum_bytes_billed()


def test_home_is_made_for_its_owner_alone(home: Path) -> None:
    assert config.home() == home
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert config.home() == home


def test_home_may_be_written_with_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DICOMBQ_HOME", "~/mine")
    assert config.home() == tmp_path / "mine"


def test_home_is_the_platforms_folder_when_nothing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("DICOMBQ_HOME", raising=False)
    assert config.home() == platformdirs.user_data_path("dicombq", appauthor=False)
    assert config.home().is_relative_to(tmp_path)


def test_without_a_home_directory_home_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DICOMBQ_HOME", "~no-such-user/x")
    with pytest.raises(HomeUnusable, match="there is no home directory") as error:
        config.home()
    assert "DICOMBQ_HOME" in error.value.hint


def test_a_file_in_the_place_of_home_is_an_error(home: Path) -> None:
    home.write_text("")
    with pytest.raises(HomeUnusable, match="cannot be used: File exists") as error:
        config.home()
    assert "DICOMBQ_HOME" in error.value.hint


def test_a_home_below_a_file_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DICOMBQ_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(HomeUnusable, match="Not a directory"):
        config.home()


def test_a_home_that_cannot_be_written_is_an_error(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # the superuser may write anywhere, so that the answer of the system is given here
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != home)
    with pytest.raises(HomeUnusable, match="Permission denied"):
        config.home()
