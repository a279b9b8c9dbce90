"""Places that something was told of, until they are quiet."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from dicombq.streaming import watch
from dicombq.streaming.watch import Quiet


@pytest.fixture
def quiet(tmp_path: Path) -> Quiet:
    (tmp_path / "root").mkdir()
    return Quiet(str(tmp_path / "root"))


def test_a_place_is_given_once_when_it_has_been_quiet(quiet: Quiet, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path(quiet.root, "sub", "a.dcm")
    path.parent.mkdir()
    path.write_text("a")
    quiet.add(str(path))
    quiet.add(str(path.with_name("gone.dcm")))
    assert quiet.take() == []
    path.write_text("longer")
    monkeypatch.setattr(watch, "_QUIET", 0.0)
    assert quiet.take() == ["sub/gone.dcm"]
    assert quiet.take() == ["sub/a.dcm"]
    assert quiet.take() == []


def test_a_folder_gives_the_files_that_are_quiet_however_busy_it_is(
    quiet: Quiet, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(quiet.root, "new")
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "old.dcm").touch()
    quiet.add(str(folder))
    (folder / "young.dcm").touch()
    os.utime(folder / "young.dcm", (4e9, 4e9))
    monkeypatch.setattr(watch, "_QUIET", 0.0)
    assert quiet.take() == ["new/deep/old.dcm"]
    assert quiet.take() == ["new/young.dcm"]


def test_a_folder_of_very_many_files_is_one_place(quiet: Quiet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_QUIET", 0.0)
    monkeypatch.setattr(watch, "_MOST", 2)
    folder = Path(quiet.root, "many")
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.dcm").touch()
    quiet.add(str(folder))
    assert quiet.take() == ["many"]


def test_what_a_link_leads_to_is_looked_at_by_its_name(quiet: Quiet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_QUIET", 0.0)
    elsewhere = Path(f"{quiet.root}.elsewhere")
    elsewhere.mkdir()
    (elsewhere / "1.dcm").touch()
    Path(quiet.root, "sub").mkdir()
    Path(quiet.root, "sub", "link").symlink_to(elsewhere)
    quiet.add(f"{quiet.root}/sub")
    assert quiet.take() == ["sub/link"]


def test_nothing_is_believed_of_another_folder(quiet: Quiet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_QUIET", 0.0)
    quiet.add(f"{quiet.root}/gone.dcm")
    Path(quiet.root).rename(f"{quiet.root}.away")
    assert (quiet.take(), quiet.is_there()) == ([], False)
    Path(quiet.root).mkdir()
    quiet.add(f"{quiet.root}/gone.dcm")
    assert (quiet.take(), quiet.is_there()) == ([], False)


def test_the_root_itself_is_no_place(quiet: Quiet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_QUIET", 0.0)
    quiet.add(quiet.root)
    assert quiet.take() == []


def test_a_sweep_is_due_when_events_begin_to_come(tmp_path: Path) -> None:
    stop = threading.Event()
    late = threading.Timer(1.0, (tmp_path / "late.dcm").write_text, ["late"])
    events = watch.watch(str(tmp_path), stop, 3600.0)
    late.start()
    assert next(events) is None
    news = next(events)
    assert news
    assert news.places == ["late.dcm"]
    stop.set()
    assert list(events) == []
