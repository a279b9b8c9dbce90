from __future__ import annotations

import errno
import json
import os
import secrets
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dicombq.errors import Cancelled, Failed, Locked, NotFound, StorageFull, Temporary
from dicombq.names import Parent, StoreName
from dicombq.operations import running as running_module
from dicombq.operations import store as store_module
from dicombq.operations.log import LogEntry
from dicombq.operations.running import RunningOperation
from dicombq.operations.state import STATE_VERSION, State
from dicombq.operations.store import OperationStore
from tests.operations.kinds import NUMBERS

PARENT = Parent("p", "l", "d")
ENTRY = LogEntry("ERROR", "DATA_LOSS", "/ü", "00100010", "cut")


@pytest.fixture
def store(tmp_path: Path) -> OperationStore:
    return OperationStore(tmp_path)


def create(store: OperationStore) -> RunningOperation:
    return store.create(NUMBERS, StoreName(PARENT, "s"), "bq://p.d.t", {})


def ended(store: OperationStore, state: State = State.DONE) -> str:
    with create(store) as running:
        running.enter(state)
    return running.operation.id


def state_file(tmp_path: Path, identity: str) -> Path:
    return tmp_path / "operations" / identity / "state.json"


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_an_operation_is_read_as_it_was_written(store: OperationStore) -> None:
    with create(store) as running:
        running.operation.counters.found = 3
        running.enter(State.DONE)
    operation = store.get(running.operation.id)
    assert operation == running.operation
    assert str(operation.name) == f"projects/p/locations/l/datasets/d/operations/{operation.id}"


def test_only_the_owner_may_read_operations(store: OperationStore, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with create(store) as running:
            running.log([ENTRY])
            running.enter(State.DONE)
    finally:
        os.umask(before)
    paths = [path for path in tmp_path.rglob("*") if path != tmp_path]
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths if path.is_dir()} == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths if path.is_file()} == {0o600}
    assert sum(path.is_file() for path in paths) == 3


def test_ids_are_decimal_numbers_in_the_order_of_time(store: OperationStore) -> None:
    identities = [ended(store) for _ in range(3)]
    assert all(identity.isdecimal() for identity in identities)
    assert len(set(identities)) == 3
    listed, damaged = store.list()
    assert [operation.id for operation in listed] == sorted(identities, reverse=True)
    assert damaged == []


def test_an_id_that_is_taken_is_not_used_again(store: OperationStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1_000_000)
    numbers = iter([7, 7, 8])
    monkeypatch.setattr(secrets, "randbelow", lambda _limit: next(numbers))
    assert [ended(store), ended(store)] == ["1000007", "1000008"]


def test_there_are_no_operations_at_first(store: OperationStore) -> None:
    assert store.list() == ([], [])
    with pytest.raises(NotFound, match=r"there is no operation \[5\]"):
        store.get("5")
    with pytest.raises(NotFound):
        list(store.logs("5"))


def test_a_running_operation_is_seen_with_its_counters(store: OperationStore, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    with create(store) as running:
        running.enter(State.STAGING)
        running.operation.counters.success = 5
        running.count()
        assert store.get(running.operation.id).counters.success == 0
        clock[0] += RunningOperation.WRITE_INTERVAL
        running.count()
        seen = store.get(running.operation.id)
        assert (seen.state, seen.counters.success) == (State.STAGING, 5)
        api = seen.to_api()
        assert "done" not in api
        assert "endTime" not in api["metadata"]
        running.enter(State.DONE)


def test_an_operation_whose_process_is_gone_has_crashed(store: OperationStore, tmp_path: Path) -> None:
    script = (
        "import os, pathlib, sys\n"
        "from tests.operations.kinds import NUMBERS, STORE\n"
        "from dicombq.operations.state import State\n"
        "from dicombq.operations.store import OperationStore\n"
        "running = OperationStore(pathlib.Path(sys.argv[1])).create(NUMBERS, STORE, 't', {})\n"
        "running.enter(State.LOADING)\n"
        "os._exit(9)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    [operation], damaged = store.list()
    assert damaged == []
    assert operation.state is State.CRASHED
    api = operation.to_api()
    assert api["done"] is True
    assert api["error"] == {"code": 10, "message": "the process that ran the operation is gone"}


def test_an_operation_that_ends_while_it_is_looked_at_has_not_crashed(
    store: OperationStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = create(store)

    def end(_folder: Path) -> bool:
        with running:
            running.enter(State.DONE)
        return False

    monkeypatch.setattr(store_module, "is_locked", end)
    assert store.get(running.operation.id).state is State.DONE


@pytest.mark.parametrize(
    ("error", "state", "written"),
    [
        (Locked("held"), State.FAILED, {"code": 10, "message": "held"}),
        (Cancelled("stopped"), State.CANCELLED, {"code": 1, "message": "stopped"}),
        (ValueError("Doe^Jane"), State.FAILED, {"code": 13, "message": "internal error (ValueError)"}),
    ],
)
def test_an_error_ends_the_operation(
    store: OperationStore, error: BaseException, state: State, written: dict[str, object]
) -> None:
    running = create(store)
    with pytest.raises(type(error)), running:
        raise error
    operation = store.get(running.operation.id)
    assert (operation.state, operation.to_api()["error"]) == (state, written)
    assert operation.end_time is not None
    assert "response" not in operation.to_api()


def test_ctrl_c_ends_the_operation_and_tells_how_to_go_on(store: OperationStore) -> None:
    running = create(store)
    with pytest.raises(Cancelled, match="interrupted") as error, running:
        raise KeyboardInterrupt
    assert error.value.hint == f"Go on with it: dicombq operations resume {running.operation.id}"
    assert store.get(running.operation.id).to_api()["error"] == {"code": 1, "message": "interrupted"}


@pytest.mark.parametrize("hint", ["", "Run it later."])
def test_an_error_that_passes_tells_how_to_go_on(store: OperationStore, hint: str) -> None:
    running = create(store)
    with pytest.raises(Temporary) as error, running:
        raise Temporary("busy", hint)
    assert error.value.hint == f"{hint} Go on with it: dicombq operations resume {running.operation.id}".strip()


def test_a_state_that_cannot_be_written_keeps_the_error(store: OperationStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    running = create(store)
    monkeypatch.setattr(running_module, "write_atomic", full)
    with pytest.raises(StorageFull, match="first"), running:
        raise StorageFull("first")
    assert store.get(running.operation.id).state is State.CRASHED


def test_on_a_full_disk_no_operation_begins(store: OperationStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(running_module, "write_atomic", full)
    with pytest.raises(StorageFull, match="is full"):
        create(store)
    assert store.list() == ([], [])


def test_a_file_in_the_place_of_the_operations_is_an_error(store: OperationStore, tmp_path: Path) -> None:
    (tmp_path / "operations").write_text("")
    with pytest.raises(Failed, match="cannot be used: File exists"):
        create(store)


def test_a_state_has_its_version_and_what_is_unknown_is_ignored(store: OperationStore, tmp_path: Path) -> None:
    identity = ended(store)
    assert json.loads(state_file(tmp_path, identity).read_text())["version"] == STATE_VERSION
    edit(state_file(tmp_path, identity), added_later=1)
    assert store.get(identity).state is State.DONE


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"5",
        b"null",
        b"\xff",
        b"{}",
        b'{"version": "x"}',
        b'{"version": 1, "parent": {"a": 1}}',
        b"[" * 100_000,
    ],
)
def test_a_damaged_state_is_told_and_the_others_are_listed(
    store: OperationStore, tmp_path: Path, content: bytes
) -> None:
    good, bad = ended(store), ended(store)
    state_file(tmp_path, bad).write_bytes(content)
    listed, damaged = store.list()
    assert [operation.id for operation in listed] == [good]
    assert [error.message for error in damaged] == [f"the state of operation [{bad}] cannot be read"]
    with pytest.raises(Failed, match="cannot be read") as error:
        store.get(bad)
    assert f"It was set aside in [{state_file(tmp_path, bad).parent}]" in error.value.hint
    assert state_file(tmp_path, bad).with_name("state.json.damaged").read_bytes() == content
    assert [error.message for error in store.list()[1]] == [error.value.message]


def test_a_folder_without_state_is_no_operation(store: OperationStore, tmp_path: Path) -> None:
    identity = ended(store)
    (tmp_path / "operations" / "5").mkdir()
    (tmp_path / "operations" / "stray").write_text("")
    assert [operation.id for operation in store.list()[0]] == [identity]


def test_the_log_holds_its_entries_in_order(store: OperationStore, tmp_path: Path) -> None:
    with create(store) as running:
        running.log([ENTRY, LogEntry("INFO", "", "/b", "", "skipped: not DICOM")])
        assert len(list(store.logs(running.operation.id))) == 2
        running.enter(State.DONE)
    first, second = store.logs(running.operation.id)
    assert list(first) == ["time", "severity", "code", "uri", "tag", "message"]
    assert [first[key] for key in list(first)[1:]] == ["ERROR", "DATA_LOSS", "/ü", "00100010", "cut"]
    assert second["message"] == "skipped: not DICOM"
    assert running.operation.logs_url == (tmp_path / "logs" / f"{running.operation.id}.jsonl").as_uri()


def test_a_line_that_a_crash_cut_off_is_left_out(store: OperationStore, tmp_path: Path) -> None:
    with create(store) as running:
        running.log([ENTRY])
        running.enter(State.DONE)
    log = tmp_path / "logs" / f"{running.operation.id}.jsonl"
    log.write_bytes(log.read_bytes() + b'{"time": "20\n12\n')
    assert [entry["uri"] for entry in store.logs(running.operation.id)] == ["/ü"]


def test_without_a_log_there_are_no_entries(store: OperationStore, tmp_path: Path) -> None:
    identity = ended(store)
    (tmp_path / "logs" / f"{identity}.jsonl").unlink()
    assert list(store.logs(identity)) == []


def test_what_was_staged_is_deleted_and_the_state_stays(store: OperationStore) -> None:
    with create(store) as running:
        folder = running.operation.folder
        (folder / "shards").mkdir()
        (folder / "shards" / "x").write_text("")
        (folder / "refs.jsonl").write_text("")
        running.discard_staged()
        assert sorted(os.listdir(folder)) == ["lock", "state.json"]
        running.enter(State.DONE)


def test_a_filtered_operation_is_of_the_beta_api(store: OperationStore) -> None:
    with create(store) as running:
        running.operation.api_version = "v1beta1"
        running.enter(State.DONE)
    api = store.get(running.operation.id).to_api()
    assert api["metadata"]["@type"] == "type.googleapis.com/google.cloud.healthcare.v1beta1.OperationMetadata"
    assert api["response"]["@type"].endswith(".v1beta1.dicom.ImportDicomDataResponse")
