"""Exports that are interrupted, terminated or cancelled: the table as it was, the state true, and a way to go on."""

from __future__ import annotations

import itertools
import json
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dicombq.operations.state import State
from dicombq.operations.store import OperationStore
from dicombq.system.locks import holder_of
from tests.fakes.bigquery import BigQueryFake, Fault
from tests.proofs.kills import LISTING, LOADING, STAGED, STAGING, count_steps
from tests.proofs.scenes import LONG, REPLACE, Scene
from tests.proofs.servers import Desk, heal
from tests.proofs.signals import (
    Running,
    are_reading,
    cancel,
    check_ended,
    check_signalled_at,
    running,
    stopped_at,
    wait_until,
)
from tests.proofs.zygote import Zygote

MANY = 10**6


@pytest.fixture(scope="module")
def scene(fast_folder: Path, process: Zygote) -> Scene:
    """A scene whose listing and staging take their time."""
    return Scene(fast_folder / "scene", process, 200, pipes=1000)


@pytest.mark.parametrize(
    ("moment", "flag"),
    [
        (LISTING, "--workers=1"),
        (STAGING, "--workers=1"),
        (STAGING, "--workers=2"),
        (STAGED, "--workers=1"),
        (LOADING, "--workers=1"),
    ],
)
def test_an_export_that_is_cancelled_from_elsewhere_ends_with_1_and_can_go_on(
    scene: Scene, moment: str, flag: str
) -> None:
    with stopped_at(scene, REPLACE, moment, flag) as (arena, begun):
        cancel(arena, begun)
        check_ended(scene, arena, begun, 1, State.CANCELLED)


@pytest.mark.parametrize(
    ("moment", "number", "code"),
    [
        (LISTING, signal.SIGINT, 130),
        (STAGING, signal.SIGTERM, 143),
        (STAGED, signal.SIGINT, 130),
        (LOADING, signal.SIGINT, 130),
        (LOADING, signal.SIGTERM, 143),
    ],
)
def test_an_export_that_gets_a_signal_ends_with_its_code_and_can_go_on(
    scene: Scene, moment: str, number: int, code: int
) -> None:
    with stopped_at(scene, REPLACE, moment, "--workers=1") as (arena, begun):
        begun.signal(number)
        begun.signal(signal.SIGCONT, group=True)
        check_ended(scene, arena, begun, code, State.CANCELLED)


def test_ctrl_c_at_a_terminal_reaches_the_workers_and_ends_in_one_line(scene: Scene) -> None:
    condition = partial(are_reading, processes=2)
    with stopped_at(scene, REPLACE, STAGING, "--workers=2", condition=condition) as (arena, begun):
        begun.signal(signal.SIGINT, group=True)
        begun.signal(signal.SIGCONT, group=True)
        check_ended(scene, arena, begun, 130, State.CANCELLED)
        assert len(begun.err.splitlines()) == 4, begun.err


@pytest.mark.parametrize("part", range(2))
def test_an_export_that_gets_a_signal_at_any_step_is_cancelled_or_done(small: Scene, part: int) -> None:
    steps = count_steps(small, REPLACE)
    numbers = list(range(len(steps.names)))
    loading = max(number for number in numbers if steps.names[number] == "duckdb execute")
    chosen = numbers if LONG else numbers[:loading:9] + numbers[loading:]
    codes = {
        check_signalled_at(small, REPLACE, step, name)
        for step, name in zip(chosen[part::2], itertools.cycle(["SIGINT", "SIGTERM"]), strict=False)
    }
    assert {130, 143} <= codes


@pytest.fixture
def desk(tmp_path: Path, home: Path, bigquery: BigQueryFake, capsys: pytest.CaptureFixture[str]) -> Iterator[Desk]:
    yield Desk.furnished(tmp_path, bigquery, capsys.readouterr)
    heal(bigquery)


def new_rows(desk: Desk) -> Any:
    """Give what an undisturbed export leaves, and make the old table again."""
    desk.start_anew("replace")
    assert desk.export("replace")[0] == 0
    new = desk.rows()
    desk.start_anew("replace")
    desk.home.mkdir()
    return new


def start_upload(desk: Desk, fault: str) -> tuple[str, ...]:
    """Prepare an upload that hangs, or a job that does not end."""
    if fault == "upload":
        desk.fake.fail("jobs.insert", Fault.STALL, seconds=3600)
    else:
        desk.fake.job_polls = MANY
    scans = str(desk.folder / "scans")
    return ("export", "bq", scans, "--bq-table=bq://p.d.t", "--workers=1", "--overwrite-table")


def wait_until_it_hangs(desk: Desk, fault: str) -> None:
    """Wait until the upload hangs, or the job is waited for."""
    if fault == "upload":
        wait_until(lambda: desk.fake._plans[0].times == 0, "the upload has begun")
    else:
        wait_until(lambda: len(desk.fake.called("jobs.get")) > 2, "the job is waited for")


def check_cancelled(desk: Desk, begun: Running, code: int, new: Any, state: State = State.CANCELLED) -> None:
    """Assert that an export to BigQuery that was cancelled ended in this state, and goes on."""
    old = desk.rows()
    assert begun.wait() == code, begun.err
    assert begun.err.count("ERROR: ") == 1
    assert "Traceback" not in begun.err
    operation = desk.operation()
    assert operation is not None
    assert operation.state is state
    heal(desk.fake)
    desk.check_true(code, old, new)
    desk.check_mended("replace", new)


@pytest.mark.parametrize("fault", ["upload", "wait"])
@pytest.mark.parametrize(("how", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("cancel", 1)])
def test_an_export_to_bigquery_is_cancelled_while_the_server_keeps_it_waiting(
    desk: Desk, how: str, code: int, fault: str
) -> None:
    new = new_rows(desk)
    with running(desk.home, *start_upload(desk, fault)) as begun:
        wait_until_it_hangs(desk, fault)
        if how == "cancel":
            operation = desk.operation()
            assert operation is not None
            assert desk.run("operations", "cancel", operation.id, "--quiet")[0] == 0
        else:
            begun.signal(getattr(signal, how))
        # what is still on its way may become a job yet
        check_cancelled(desk, begun, code, new, State.CRASHED if fault == "upload" else State.CANCELLED)


def test_an_export_in_a_process_of_its_own_is_cancelled_and_waited_for(desk: Desk) -> None:
    new = new_rows(desk)
    code, said = desk.run(*start_upload(desk, "wait"), "--async")
    assert code == 0, said
    wait_until_it_hangs(desk, "wait")
    operation = desk.operation()
    assert operation is not None
    assert operation.state is State.LOADING
    with running(desk.home, "operations", "wait", operation.id) as waiting:
        wait_until(lambda: "Waiting for operation" in waiting.err, "it is waited for")
        assert desk.run("operations", "cancel", operation.id, "--quiet")[0] == 0
        check_cancelled(desk, waiting, 1, new)


def test_a_second_ctrl_c_ends_at_once_and_the_state_is_true(desk: Desk) -> None:
    new = new_rows(desk)
    old = desk.rows()
    with running(desk.home, *start_upload(desk, "wait")) as begun:
        wait_until_it_hangs(desk, "wait")
        desk.fake.fail("jobs.cancel", Fault.STALL, seconds=3600)
        begun.signal(signal.SIGINT)
        wait_until(lambda: desk.fake._plans[-1].times == 0, "the first one is being dealt with")
        begun.signal(signal.SIGINT)
        assert begun.wait() == -signal.SIGINT, begun.err
    operation = desk.operation()
    assert operation is not None
    assert operation.state is State.CRASHED
    heal(desk.fake)
    desk.check_true(130, old, new)
    for job in desk.fake.jobs.values():
        job.polls = 0
    desk.check_mended("replace", new)
    assert len(desk.fake.jobs) == 1


def test_waiting_for_an_export_can_be_interrupted_and_the_export_goes_on(desk: Desk) -> None:
    new_rows(desk)
    assert desk.run(*start_upload(desk, "wait"), "--async")[0] == 0
    wait_until_it_hangs(desk, "wait")
    [operation] = OperationStore(desk.home).list()[0]
    with running(desk.home, "operations", "wait", operation.id) as waiting:
        wait_until(lambda: "Waiting for operation" in waiting.err, "it is waited for")
        waiting.signal(signal.SIGINT)
        assert waiting.wait() == 130
    code, _ = desk.run("operations", "describe", operation.id, "--format=json")
    assert code == 0
    holder = holder_of(operation.folder / "lock")
    assert holder is not None
    assert not holder.is_gone()
    for job in desk.fake.jobs.values():
        job.polls = 0
    with running(desk.home, "operations", "wait", operation.id, "--format=json") as waiting:
        assert waiting.wait() == 0, waiting.err
        assert json.loads(waiting.out)["name"].endswith("/dicomStores/scans")
