"""Exports whose disk is full or broken at a step."""

from __future__ import annotations

from dicombq.operations.state import Operation, State
from tests.proofs.kills import check_goes_on
from tests.proofs.scenes import Arena, Scene
from tests.proofs.zygote import Ended

FAULTS = tuple((error, lasting) for error in ("ENOSPC", "EIO") for lasting in (False, True))


def check_one_clear_line(ended: Ended) -> None:
    """Assert that an export succeeded, or failed with one line for a person."""
    assert ended.code in {1, 3}, ended
    for sign in ("Traceback", "internal error", "defect"):
        assert sign not in ended.err, ended.err
    errors = [line for line in ended.err.splitlines() if line.startswith("ERROR: ")]
    assert len(errors) == (ended.code == 1), ended.err


def check_true(scene: Scene, arena: Arena, ended: Ended) -> Operation | None:
    """Assert that the state says what is in the table, and that no defect was noted."""
    is_new = scene.check_old_or_new(arena)
    operation = arena.operation()
    if operation is None:
        assert not is_new
        assert ended.code == 1
        return None
    assert operation.state in {State.DONE, State.FAILED, State.CRASHED}
    assert "internal" not in (operation.error.message if operation.error else "")
    if operation.state is State.DONE:
        assert is_new
    if ended.code == 3:
        assert operation.state is State.DONE
    return operation


def check_fault_at(scene: Scene, kind: str, step: int, error: str, *, lasting: bool) -> Ended:
    """Let a step fail, and all after it or none; then go on with a disk that works."""
    arena = scene.arena(kind)
    command = arena.export(scene.scans, "--workers=1")
    points = {"at": step, "action": error, "lasting": lasting}
    ended = scene.process.run(arena.home, *command, shard_size=scene.shard_size, points=points)
    check_one_clear_line(ended)
    operation = check_true(scene, arena, ended)
    check_goes_on(scene, arena, lacks_view=bool(operation and operation.counters.notices))
    scene.forget(arena)
    return ended
