"""SOURCE of a question: a table, or a store that is read first."""

from __future__ import annotations

from dataclasses import dataclass

from dicombq import config
from dicombq.cli.render import Output
from dicombq.export.request import ExportRequest
from dicombq.export.task import export_task
from dicombq.names import Parent, TableUri, WarehouseUri
from dicombq.operations import jobs
from dicombq.operations.kinds import Settings
from dicombq.questions.kept import kept_table
from dicombq.questions.place import Place, find_place
from dicombq.stores.base import StoreOptions
from dicombq.stores.registry import open_store


@dataclass(frozen=True)
class Reading:
    """How a store is read, where the source is one."""

    parent: Parent
    options: StoreOptions
    workers: int | None
    lock_timeout: float | None


def find_source(output: Output, source: str | None, warehouse: WarehouseUri, reading: Reading) -> Place:
    """Give the place that a SOURCE names; a store is exported, with its progress shown, unless its table is kept."""
    return find_place(source, warehouse, reading.lock_timeout, lambda store: _table_of(output, store, reading))


def _table_of(output: Output, source: str, reading: Reading) -> TableUri:
    store = open_store(source, reading.parent, config.home_folder(), output.warning, reading.options)
    settings = Settings(config.home(), reading.workers, reading.lock_timeout, warn=output.warning)

    def export(request: ExportRequest) -> int:
        task = export_task(request, settings)
        with jobs.begin(task, settings) as job, output.waiting(str(job.operation.name)) as progress:
            job.run(progress)
        counters = job.operation.counters
        if not counters.success:
            output.warning(f"no instance in [{store.name.store}] could be read; the table is empty.")
        if counters.failure:
            output.warning(
                f"{counters.failure:,} instance(s) failed; see them: dicombq operations logs {job.operation.id}"
            )
        return counters.failure

    return kept_table(store, settings.home, export)
