from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dicombq.errors import Locked
from dicombq.system import locks
from dicombq.system.locks import FileLock, Holder, holder_of, is_locked

GONE = 4_194_305
"""No process has this ID: the kernel's greatest is one less."""


def acquire(path: Path, operation: str = "7", timeout: float = 0.0) -> FileLock:
    return FileLock.acquire(path, "the table [t]", Holder.process(operation), timeout)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lock"


def test_a_lock_is_held_by_one(path: Path) -> None:
    with acquire(path):
        assert is_locked(path)
        with pytest.raises(Locked) as error:
            acquire(path, "8")
        host = os.uname().nodename
        assert error.value.message.startswith(
            f"the table [t] is locked by operation 7 (process {os.getpid()} on {host}, since 20"
        )
        assert "--lock-timeout" in error.value.hint
    assert not is_locked(path)
    acquire(path, "8").release()


def test_only_the_owner_may_read_it(path: Path) -> None:
    before = os.umask(0)
    try:
        acquire(path).release()
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600


def test_nobody_holds_a_lock_that_is_not_there(path: Path) -> None:
    assert not is_locked(path)
    assert holder_of(path) is None


def test_a_lock_that_is_refused_is_not_held(path: Path) -> None:
    before = len(os.listdir("/dev/fd"))
    with acquire(path), pytest.raises(Locked):
        acquire(path)
    assert len(os.listdir("/dev/fd")) == before


def test_waiting_gets_the_lock_when_it_is_released(path: Path) -> None:
    script = "import sys; from dicombq.system import locks as l; k = l.FileLock.acquire("
    script += "l.Path(sys.argv[1]), '', l.Holder.process()); print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as owner:
        assert owner.stdout
        assert owner.stdin
        owner.stdout.readline()
        with pytest.raises(Locked, match=f"locked by process {owner.pid} on"):
            acquire(path)
        owner.stdin.close()
        acquire(path, timeout=60).release()


def test_the_lock_of_a_killed_process_is_free(path: Path) -> None:
    script = "import os, sys; from dicombq.system import locks as l; k = l.FileLock.acquire("
    script += "l.Path(sys.argv[1]), '', l.Holder.process()); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    holder = holder_of(path)
    assert holder is not None
    assert holder.is_gone()
    acquire(path).release()


def test_an_inherited_lock_outlives_its_first_owner(path: Path) -> None:
    lock = acquire(path)
    with subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE, pass_fds=[lock.descriptor]
    ) as heir:
        lock.release()
        assert is_locked(path)
        assert heir.stdin
        heir.stdin.close()
    assert not is_locked(path)


@pytest.mark.parametrize("note", [b"", b"{", b"[]", b"{}", json.dumps({"pid": 1}).encode()])
def test_an_owner_without_a_note_is_another_process(path: Path, note: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "_NOTE", 0.0)
    with acquire(path):
        path.write_bytes(note)
        with pytest.raises(Locked, match="is locked by another process"):
            acquire(path)


def test_the_note_of_an_owner_before_is_not_believed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "_NOTE", 0.0)
    with acquire(path) as lock:
        lock.sign(Holder.process("6", GONE))
        with pytest.raises(Locked, match="is locked by another process"):
            acquire(path)


def test_processes_of_another_host_and_of_other_users_are_not_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not Holder("7", GONE, "elsewhere", "").is_gone()
    assert Holder.process("7", GONE).is_gone()

    def forbidden(_pid: int, _signal: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", forbidden)
    assert not Holder.process("7").is_gone()
