"""What every engine does: run a function over shards."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

Shard = TypeVar("Shard")
Outcome = TypeVar("Outcome")


class Engine(Protocol):
    """Runs shards somewhere; a shard may run more than once, its outcome is told once."""

    def map_shards(
        self,
        function: Callable[[Shard], Outcome],
        shards: Iterable[Shard],
        on_result: Callable[[Outcome], None],
    ) -> None:
        """Call `function`, a picklable top-level one, for each shard, and `on_result` here for each outcome."""
        ...
