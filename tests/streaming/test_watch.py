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
    monkeypatch.setattr(watch, "QUIET", 0.0)
    assert quiet.take() == ["sub/gone.dcm"]
    assert quiet.take() == ["sub/a.dcm"]
    assert quiet.take() == []


def test_a_file_that_changed_just_now_is_held_until_it_is_quiet(quiet: Quiet, monkeypatch: pytest.MonkeyPatch) -> None:
    new, old = Path(quiet.root, "new.dcm"), Path(quiet.root, "old.dcm")
    for path in (new, old):
        path.touch()
    os.utime(old, (0, 0))
    assert [quiet.holds(str(path)) for path in (new, old, new.with_name("gone.dcm"))] == [True, False, False]
    quiet.add(str(old))
    assert quiet.holds(str(old))
    monkeypatch.setattr(watch, "QUIET", 0.0)
    assert sorted(quiet.take()) == ["new.dcm", "old.dcm"]


def test_a_folder_is_given_however_busy_it_is(quiet: Quiet, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(quiet.root, "new")
    folder.mkdir()
    quiet.add(str(folder))
    (folder / "1.dcm").touch()
    monkeypatch.setattr(watch, "QUIET", 0.0)
    assert quiet.take() == ["new"]


def test_nothing_is_believed_of_another_folder(quiet: Quiet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "QUIET", 0.0)
    quiet.add(f"{quiet.root}/gone.dcm")
    Path(quiet.root).rename(f"{quiet.root}.away")
    assert (quiet.take(), quiet.is_there()) == ([], False)
    Path(quiet.root).mkdir()
    quiet.add(f"{quiet.root}/gone.dcm")
    assert (quiet.take(), quiet.is_there()) == ([], False)


def test_the_root_itself_is_no_place(quiet: Quiet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "QUIET", 0.0)
    quiet.add(quiet.root)
    assert quiet.take() == []


def test_a_sweep_is_due_when_events_begin_to_come(tmp_path: Path) -> None:
    stop = threading.Event()
    late = threading.Timer(1.0, (tmp_path / "late.dcm").write_text, ["late"])
    events = watch.watch(Quiet(str(tmp_path)), stop, 3600.0)
    late.start()
    assert next(events) is None
    news = next(events)
    assert news
    assert news.places == ["late.dcm"]
    stop.set()
    assert list(events) == []
