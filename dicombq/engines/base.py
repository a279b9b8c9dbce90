"""The protocol of engines: an engine runs a function over shards."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from dicombq.errors import Cancelled

Shard = TypeVar("Shard")
Outcome = TypeVar("Outcome")


def _ignore(_done: int, _running: int) -> None:
    return


@dataclass
class Watch(Generic[Outcome]):
    """The caller's side of a run over shards: it gets the outcomes, hears how far the run is, and may stop it.

    Parameters
    ----------
    on_result
        Gets each outcome, once.
    on_progress
        Is told how many shards are done, and how many run, before shards begin.
    cancelled
        Tells whether to stop.
    done
        Shards whose outcome was told.
    """

    on_result: Callable[[Outcome], None]
    on_progress: Callable[[int, int], None] = _ignore
    cancelled: Callable[[], bool] = lambda: False
    done: int = 0

    def look(self, running: int) -> None:
        """Tell the progress; raise `Cancelled` where the run is to stop.

        An engine looks before it begins a shard, and each second while it waits for one.
        """
        if self.cancelled():
            raise Cancelled("cancelled")
        self.on_progress(self.done, running)

    def take(self, outcome: Outcome) -> None:
        """Take an outcome."""
        self.on_result(outcome)
        self.done += 1


class Engine(Protocol):
    """A place where shards run; a shard may run more than once, its outcome is told once."""

    @property
    def distributes(self) -> bool:
        """Whether shards run on machines that need not be this one: what they read and write has to be told them."""
        ...

    @property
    def workers(self) -> int:
        """How many cores of this machine it may use; as many shards as these run here at once, if they run here."""
        ...

    def map_shards(self, function: Callable[[Shard], Outcome], shards: Iterable[Shard], watch: Watch[Outcome]) -> None:
        """Call `function`, a picklable top-level one, for each shard.

        Raises
        ------
        Cancelled
            Where the watch said to stop: nothing runs on then.
        """
        ...

    def close(self) -> None:
        """Give back what shards run on; the next ones take it anew."""
        ...
