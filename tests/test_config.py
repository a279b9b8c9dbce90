from __future__ import annotations

import os
import stat
from pathlib import Path

import platformdirs
import pytest

from dicombq import config
from dicombq.errors import HomeUnusable
from dicombq.names import Parent


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
