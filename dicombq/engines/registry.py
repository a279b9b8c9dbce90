"""Engines by name."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, replace
from pathlib import Path

from dicombq.engines.base import Engine
from dicombq.engines.local import LocalEngine
from dicombq.errors import InvalidArgument


@dataclass(frozen=True)
class EngineChoice:
    """Which engine runs shards.

    Parameters
    ----------
    name
        One of `dicombq.config.ENGINES`.
    master
        Of Spark, as it names it; empty for what ``spark-submit`` or the environment says.
    shared_folders
        Whether all its machines have the folders of this one at the same paths.
    """

    name: str = "local"
    master: str = ""
    shared_folders: bool = False

    def changed(self, name: str | None, master: str | None, *, shared_folders: bool) -> EngineChoice:
        """Give the choice of somebody who names another engine, or more of this one."""
        if name is not None and name != self.name:
            return EngineChoice(name, master or "", shared_folders)
        return replace(self, master=master or self.master, shared_folders=shared_folders or self.shared_folders)

    @property
    def distributes(self) -> bool:
        """As `Engine.distributes`."""
        return self.name == "spark"

    @property
    def is_here(self) -> bool:
        """Whether its shards see all folders of this machine."""
        if not self.distributes:
            return True
        from dicombq.engines.spark import is_here  # noqa: PLC0415 - few exports need it

        return is_here(self.master)

    def check(self, workers: int | None) -> None:
        """Refuse what an engine does not know, and one that is not installed.

        Raises
        ------
        InvalidArgument
            Saying so.
        """
        if not self.distributes:
            if self.master or self.shared_folders:
                raise InvalidArgument("--engine-master and --shared-folders are for --engine=spark")
            return
        if workers is not None:
            raise InvalidArgument(
                "--workers is for --engine=local", "How many executors there are, Spark is told: see its manual."
            )
        if importlib.util.find_spec("pyspark") is None:
            raise InvalidArgument("pyspark is not installed", "Install it: pip install 'dicombq[spark]'")

    def open(self, workers: int | None, log: Path) -> Engine:
        """Give the engine.

        Parameters
        ----------
        workers
            Processes of the local one; None for as many as are worth it.
        log
            Where what runs beside this process may write its own messages.
        """
        if self.distributes:
            from dicombq.engines.spark import SparkEngine  # noqa: PLC0415 - few exports need it

            return SparkEngine(self.master, log)
        return LocalEngine(workers) if workers else LocalEngine.fitting()


LOCAL = EngineChoice()
