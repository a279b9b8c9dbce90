"""Every fault of BigQuery at every call of an export: the rows are there once, or the failure is true and is mended."""

from __future__ import annotations

from pathlib import Path

import pytest

from dicombq.operations.state import State
from tests.fakes.bigquery import BigQueryFake, Fault
from tests.proofs.scenes import LONG, Rows
from tests.proofs.servers import FLAGS, Desk, failed, heal, hide_jobs, hurry, resumable_uploads

FAULTS = [fault for fault in Fault if fault is not Fault.STALL]
FOR_EVER = 10**6
LASTING = [
    (disposition, fault)
    for number, fault in enumerate(FAULTS)
    for place, disposition in enumerate(FLAGS)
    if LONG or number % len(FLAGS) == place
]
"""A few of them, unless much is asked for: that faults last makes the servers alike."""


@pytest.fixture
def desk(
    tmp_path: Path, bigquery: BigQueryFake, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Desk:
    hurry(monkeypatch)
    return Desk.furnished(tmp_path, bigquery, capsys.readouterr)


def undisturbed(desk: Desk, disposition: str) -> tuple[Rows, list[str]]:
    """Give the rows of an export that nothing disturbs, and the API methods that it called."""
    old = desk.start_anew(disposition)
    code, said = desk.export(disposition)
    assert code == 0, said
    new = desk.rows()
    assert new is not None
    assert new.total() == 2 + (old.total() if old and disposition == "append" else 0)
    assert new != old
    return new, [request.method for request in desk.fake.requests]


def check_every_call(desk: Desk, disposition: str, fault: Fault, times: int, methods: str = "") -> None:
    """Let each call of the methods that begin so go wrong, one at a time or from then on."""
    new, calls = undisturbed(desk, disposition)
    assert {"tables.get", "datasets.get", "jobs.get", "tables.insert"} <= set(calls)
    codes = set()
    for number in (number for number, method in enumerate(calls) if method.startswith(methods)):
        old = desk.start_anew(disposition)
        desk.fake.fail("*", fault, times, after=number)
        code, _ = desk.export(disposition)
        assert len(desk.fake.requests) > number
        desk.check_true(code, old, new)
        heal(desk.fake)
        desk.check_mended(disposition, new)
        codes.add(code)
    if times > 1:
        assert codes - {0}
    elif fault is not Fault.QUOTA:  # which a server asks nobody to try again
        assert codes == {0}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("disposition", FLAGS)
def test_a_fault_at_any_call_is_outlasted_or_mended(desk: Desk, disposition: str, fault: Fault) -> None:
    check_every_call(desk, disposition, fault, times=1)


@pytest.mark.parametrize(("disposition", "fault"), LASTING)
def test_a_fault_that_stays_from_any_call_on_is_mended(desk: Desk, disposition: str, fault: Fault) -> None:
    check_every_call(desk, disposition, fault, times=FOR_EVER)


@pytest.mark.parametrize("times", [1, FOR_EVER] if LONG else [1])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_at_any_call_of_a_resumable_upload_is_outlasted_or_mended(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, fault: Fault, times: int
) -> None:
    resumable_uploads(monkeypatch)
    assert {"jobs.upload.start", "jobs.upload.chunk"} <= set(undisturbed(desk, "replace")[1])
    check_every_call(desk, "replace", fault, times, "jobs.upload.")


@pytest.mark.parametrize(
    ("reason", "polls"),
    [
        *(("invalid", 0), ("invalid", 1), ("backendError", 1), ("internalError", 0), ("quotaExceeded", 1)),
        *(("rateLimitExceeded", 0), ("stopped", 1), ("timeout", 0)),
    ],
)
@pytest.mark.parametrize("disposition", FLAGS)
def test_a_job_that_ends_with_an_error_is_a_failure_that_a_new_attempt_mends(
    desk: Desk, disposition: str, reason: str, polls: int
) -> None:
    new, _ = undisturbed(desk, disposition)
    old = desk.start_anew(disposition)
    desk.fake.job_polls = polls
    desk.fake.job_error = {"reason": reason, "message": "no"}
    code, _ = desk.export(disposition)
    assert code != 0
    desk.check_true(code, old, new)
    assert desk.rows() == old
    desk.check_mended(disposition, new)
    assert sorted(failed(job) for job in desk.fake.jobs.values()) == [False, True]


@pytest.mark.parametrize("calls", [1, 3])
@pytest.mark.parametrize("disposition", FLAGS)
def test_a_job_that_exists_and_is_not_found_at_first_is_the_load(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, disposition: str, calls: int
) -> None:
    new, _ = undisturbed(desk, disposition)
    old = desk.start_anew(disposition)
    hurry(monkeypatch, patience=100)
    hidden = hide_jobs(desk.fake, monkeypatch, calls)
    desk.fake.fail("jobs.insert", Fault.LOSE_ANSWER)
    code, _ = desk.export(disposition)
    assert [request.status for request in desk.fake.called("jobs.insert")] == [None, 409]
    assert max(hidden.values()) == calls
    desk.check_true(code, old, new)
    assert code == 0


@pytest.mark.parametrize("disposition", FLAGS)
def test_a_job_that_stays_unfindable_is_not_a_failure(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, disposition: str
) -> None:
    new, _ = undisturbed(desk, disposition)
    old = desk.start_anew(disposition)
    with monkeypatch.context() as meanwhile:
        hide_jobs(desk.fake, meanwhile, FOR_EVER)
        desk.fake.fail("jobs.insert", Fault.LOSE_ANSWER)
        code, said = desk.export(disposition)
        assert code == 5, said
        desk.check_true(code, old, new)
        operation = desk.operation()
        assert operation is not None
        assert operation.state is State.CRASHED
    desk.check_mended(disposition, new)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("disposition", FLAGS)
def test_a_job_that_runs_while_the_server_does_not_answer_is_not_a_failure(
    desk: Desk, disposition: str, fault: Fault
) -> None:
    new, calls = undisturbed(desk, disposition)
    old = desk.start_anew(disposition)
    desk.fake.job_polls = 10
    desk.fake.fail("*", fault, FOR_EVER, after=calls.index("jobs.insert") + 2)
    code, said = desk.export(disposition)
    assert code == 5, said
    operation = desk.operation()
    assert operation is not None
    assert operation.state is State.CRASHED
    desk.check_true(code, old, new)
    desk.fake._plans.clear()
    desk.check_mended(disposition, new)
    assert len(desk.fake.jobs) == 1
