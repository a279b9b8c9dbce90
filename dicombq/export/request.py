"""The request of an export, in the shapes of the API."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from dicombq import config
from dicombq.engines.registry import LOCAL, EngineChoice
from dicombq.names import BigQueryTable, TableUri, read_table_uri
from dicombq.shards.work import filter_config
from dicombq.stores.base import Store
from dicombq.stores.filters import Filter
from dicombq.table.disposition import Disposition
from dicombq.table.mapping import MAX_ELEMENT_SIZE
from dicombq.warehouses.destination import BigQueryDestination


@dataclass(frozen=True)
class ExportRequest:
    """A store and a destination (``rest_api.md``, ExportDicomDataRequest).

    Parameters
    ----------
    wanted
        Which instances; None for all.
    staging
        Where rows are staged for the load, as ``gs://BUCKET/FOLDER`` or an absolute path; empty for the operation's
        folder.
    engine
        Who reads the headers.
    may_empty
        Whether rows of a table may be replaced by none.
    """

    store: Store[Any]
    destination: BigQueryDestination
    max_element_size: int = MAX_ELEMENT_SIZE
    wanted: Filter | None = None
    staging: str = ""
    engine: EngineChoice = LOCAL
    may_empty: bool = False

    def to_api(self) -> dict[str, Any]:
        """Print the request as the API does; fields that the API lacks stand under ``dicombq``."""
        destination = self.destination
        return {
            "bigqueryDestination": {
                "tableUri": str(destination.table),
                "writeDisposition": destination.disposition.name,
                "schemaJson" if destination.schema_json else "schemaFlattened": {},
                "includeSourceStore": destination.include_source_store,
            },
            **filter_config(self.wanted),
            "dicombq": {
                "source": self.store.source,
                "options": asdict(self.store.options),
                "maxElementSize": self.max_element_size,
                "staging": self.staging,
                "engine": asdict(self.engine),
                "mayEmpty": self.may_empty,
            },
        }

    @classmethod
    def from_api(cls, store: Store[Any], wanted: Filter | None, state: Mapping[str, Any]) -> ExportRequest:
        """Read what `to_api` printed."""
        destination = state["bigqueryDestination"]
        return cls(
            store,
            BigQueryDestination(
                read_table_uri(destination["tableUri"]),
                Disposition[destination["writeDisposition"]],
                "schemaJson" in destination,
                destination["includeSourceStore"],
            ),
            state["dicombq"]["maxElementSize"],
            wanted,
            state["dicombq"].get("staging", ""),
            EngineChoice(**state["dicombq"].get("engine", {})),
            state["dicombq"].get("mayEmpty", False),
        )


def staging_place(named: str | None, table: TableUri, engine: EngineChoice) -> str:
    """Give the place where rows are staged: the one that is named, or what `dicombq config` says where it is used."""
    if named is None and (isinstance(table, BigQueryTable) or not engine.is_here):
        named = config.staging()
    return os.path.abspath(os.path.expanduser(named)) if named and "://" not in named else named or ""
