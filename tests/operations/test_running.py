from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest

from dicombq.errors import Cancelled, CancelledElsewhere, LoadUnsettled
from dicombq.operations.log import LogEntry
from dicombq.operations.running import RunningOperation
from dicombq.operations.state import State
from dicombq.operations.store import OperationStore
from tests.operations.kinds import NUMBERS, STORE


@pytest.fixture
def store(tmp_path: Path) -> OperationStore:
    return OperationStore(tmp_path)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """SIGTERM as a command takes it."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    yield
    signal.signal(signal.SIGTERM, before)


def create(store: OperationStore) -> RunningOperation:
    return store.create(NUMBERS, STORE, "bq://p.d.t", {"a": 1})


def entry(number: int) -> LogEntry:
    return LogEntry("INFO", "", f"/{number}", "", "skipped")


def cancel_and_wait(store: OperationStore, running: RunningOperation) -> None:
    with running:
        threading.Thread(target=store.cancel, args=(running.operation.id, 60)).start()
        threading.Event().wait(60)


def cancel_and_look(store: OperationStore, running: RunningOperation) -> None:
    store.ask_to_end(running.operation.id)
    while not running.is_cancelled:
        threading.Event().wait(0.01)
    raise Cancelled("cancelled")


def lose_sight_of_the_load(running: RunningOperation) -> None:
    with running:
        running.enter(State.LOADING)
        raise LoadUnsettled("the load job [x] was sent")


@pytest.mark.usefixtures("interruptible")
def test_a_request_to_cancel_interrupts_whatever_is_waited_for(store: OperationStore) -> None:
    running = create(store)
    with pytest.raises(CancelledElsewhere) as error:
        cancel_and_wait(store, running)
    assert (error.value.code, error.value.exit_code) == (1, 1)
    operation = store.get(running.operation.id)
    assert operation.state is State.CANCELLED
    assert operation.to_api()["error"] == {"code": 1, "message": "the operation was cancelled"}
    assert operation.to_api()["metadata"]["cancelRequested"] is True


def test_a_program_that_does_not_handle_sigterm_outlives_a_request_to_cancel(store: OperationStore) -> None:
    running = create(store)
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with pytest.raises(CancelledElsewhere), running:
            cancel_and_look(store, running)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert store.get(running.operation.id).state is State.CANCELLED


@pytest.mark.usefixtures("interruptible")
def test_an_operation_that_was_cancelled_can_be_taken_up_again(store: OperationStore) -> None:
    running = create(store)
    with pytest.raises(CancelledElsewhere):
        cancel_and_wait(store, running)
    with store.resume(running.operation.id) as again:
        assert (again.operation.state, again.operation.error, again.operation.end_time) == (State.QUEUED, None, None)
        assert "cancelRequested" not in again.operation.to_api()["metadata"]
        again.enter(State.DONE)
    assert store.get(running.operation.id).state is State.DONE


def test_the_log_is_cut_back_to_what_it_was(store: OperationStore) -> None:
    with create(store) as running:
        running.log([entry(1)])
        size = running.log_size()
        running.log([entry(2), entry(3)])
        running.cut_log(size)
        running.log([entry(4)])
        running.cut_log(10**9)
        running.enter(State.DONE)
    assert [line["uri"] for line in store.logs(running.operation.id)] == ["/1", "/4"]


def test_what_is_logged_goes_elsewhere_too(store: OperationStore) -> None:
    taken: list[dict[str, str]] = []
    with create(store) as running:
        running.also_log_to.append(taken.extend)
        running.log([entry(1)])
        running.enter(State.DONE)
    assert taken == list(store.logs(running.operation.id))


def test_what_ended_an_operation_is_in_its_log(store: OperationStore) -> None:
    running = create(store)
    with pytest.raises(ZeroDivisionError), running:
        raise ZeroDivisionError
    [line] = store.logs(running.operation.id)
    assert (line["severity"], line["code"], line["uri"]) == ("ERROR", "INTERNAL", "bq://p.d.t")
    assert line["message"] == "internal error (ZeroDivisionError)"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Cancelled("cancelled")])
def test_what_is_done_cannot_be_interrupted(store: OperationStore, error: BaseException) -> None:
    with create(store) as running:
        running.enter(State.DONE)
        raise error
    assert store.get(running.operation.id).state is State.DONE


def test_an_operation_whose_load_is_not_settled_has_not_failed(store: OperationStore) -> None:
    running = create(store)
    with pytest.raises(LoadUnsettled):
        lose_sight_of_the_load(running)
    operation = store.get(running.operation.id)
    assert (operation.state, operation.load_begun, operation.end_time) == (State.CRASHED, True, None)
    assert operation.to_api()["error"] == {"code": 14, "message": "the load job [x] was sent"}


def test_an_interrupt_that_leaves_the_load_unsettled_does_not_end_the_operation(store: OperationStore) -> None:
    running = create(store)
    unsettled = LoadUnsettled("the load job [x] was sent", "Ask.")
    running.enter(State.LOADING)
    with pytest.raises(Cancelled) as failure, running:
        raise KeyboardInterrupt from unsettled
    assert (failure.value.exit_code, failure.value.message) == (130, "interrupted, and the load job [x] was sent")
    assert failure.value.hint == f"Ask. Go on with it: dicombq operations resume {running.operation.id}"
    operation = store.get(running.operation.id)
    assert (operation.state, operation.end_time) == (State.CRASHED, None)
    assert operation.to_api()["error"] == {"code": 14, "message": "the load job [x] was sent"}


def test_a_log_that_cannot_be_written_does_not_hide_the_error(
    store: OperationStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_entries: object) -> None:
        raise OSError(28, "No space left on device")

    running = create(store)
    monkeypatch.setattr(running, "log", full)
    with pytest.raises(ZeroDivisionError), running:
        raise ZeroDivisionError
    assert store.get(running.operation.id).state is State.FAILED
