"""The live display of an operation on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from dicombq.operations.state import Operation, State


@contextmanager
def live_progress() -> Iterator[Callable[[Operation], None]]:
    """Show state, instances, rate, time left and failures until the block ends."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description:9}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[failures]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as display:
        task = display.add_task("", total=None, rate="", failures="")

        def show(operation: Operation) -> None:
            counters = operation.counters
            looked_at = counters.found + counters.skipped
            speed = display.tasks[0].speed
            shards = operation.shards if operation.state is State.STAGING else None
            rate = f"{speed:,.0f}/s" if speed else f"{shards.done:,}/{shards.total:,} shards" if shards else ""
            display.update(
                task,
                description=operation.state.value,
                completed=looked_at if operation.state is not State.LISTING else counters.pending + looked_at,
                total=None if operation.state is State.LISTING else counters.pending + looked_at,
                rate=rate,
                failures=f"[red]{counters.failure:,} failed" if counters.failure else "",
            )

        yield show
