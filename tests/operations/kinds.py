"""A kind of operation that the tests bring: it imports numbers, and says how many."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dicombq.errors import FailedPrecondition
from dicombq.names import Parent, StoreName
from dicombq.operations.kinds import Kind, Progress, Settings, register
from dicombq.operations.running import RunningOperation
from dicombq.operations.state import Operation, State

STORE = StoreName(Parent(), "s")


@dataclass(frozen=True)
class Numbers:
    """Numbers to be imported.

    Parameters
    ----------
    stop
        A file; while it is there, the work fails in the middle.
    """

    store: StoreName
    count: int
    stop: Path

    @property
    def kind(self) -> Kind:
        return NUMBERS

    @property
    def target(self) -> str:
        return f"{self.count} numbers"

    @property
    def lock(self) -> tuple[str, str]:
        return str(self.store), "the store"

    def request(self) -> dict[str, Any]:
        return {"count": self.count, "stop": str(self.stop)}

    def check(self) -> None:
        if self.count < 0:
            raise FailedPrecondition("fewer than no numbers")

    def save(self, folder: Path) -> None:
        (folder / "saved").touch()

    def run(self, running: RunningOperation, progress: Progress) -> None:
        counters = running.operation.counters
        running.enter(State.STAGING)
        while counters.success < self.count:
            if counters.success == self.count // 2 and self.stop.exists():
                raise FailedPrecondition("stopped in the middle")
            counters.found += 1
            counters.success += 1
            progress(running.operation)
        running.enter(State.DONE)


def _reopen(operation: Operation, request: dict[str, Any], _settings: Settings) -> Numbers:
    return Numbers(operation.store_name, request["count"], Path(request["stop"]))


NUMBERS = register(Kind("import numbers", "ImportDicomData", _reopen))
