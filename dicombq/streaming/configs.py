"""Which tables follow a store (``rest_api.md``, GoogleCloudHealthcareV1DicomStreamConfig)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dicombq.errors import FailedPrecondition, InvalidArgument, SchemaConflict
from dicombq.names import BigQueryTable, TableUri, read_table_uri
from dicombq.stores.registry import RegisteredStore, StoreRegistry
from dicombq.system.files import printable
from dicombq.system.times import now
from dicombq.table.disposition import Disposition, TableState
from dicombq.table.fields import Field, merge
from dicombq.table.mapping import UID_COLUMNS
from dicombq.warehouses.base import FieldConflict, Load, LoadResult, Warehouse, check_key
from dicombq.warehouses.destination import BigQueryDestination
from dicombq.warehouses.registry import check_can_change, named_table, open_warehouse, table_key

MAX_TABLES = 5
"""Tables that may follow a store (``streaming_guide.txt``)."""


@dataclass(frozen=True)
class StreamConfig:
    """A table that follows a store.

    Parameters
    ----------
    backfill
        Whether it gets a row for each instance that the store holds already.
    insert
        Whether BigQuery gets its rows by insertAll, within seconds, in place of a load job a minute.
    since
        When it began to follow, where it is told only of what changes from then on.
    """

    destination: BigQueryDestination
    backfill: bool = True
    insert: bool = False
    since: str = ""

    @property
    def table(self) -> TableUri:
        """The table."""
        return self.destination.table

    @property
    def captures(self) -> bool:
        """Whether the table holds the latest version of each instance: then it needs no view."""
        return self.destination.change_data_capture

    @property
    def is_counted_late(self) -> bool:
        """Whether the number of its rows does not tell that somebody else wrote to it."""
        return self.captures or (self.insert and isinstance(self.table, BigQueryTable))

    def to_api(self) -> dict[str, Any]:
        """Print it as the API does; what the API lacks stands under ``dicombq``."""
        destination = self.destination
        changes_only = {"backfill": False, "since": self.since}
        own = ({} if self.backfill else changes_only) | ({"delivery": "insert"} if self.insert else {})
        return {
            "bigqueryDestination": {
                "tableUri": printable(str(destination.table)),
                **({"schemaJson": {}} if destination.schema_json else {}),
                **({"includeSourceStore": True} if destination.include_source_store else {}),
                **({"changeDataCaptureConfig": {}} if destination.change_data_capture else {}),
            },
            **({"dicombq": own} if own else {}),
        }

    @classmethod
    def from_api(cls, state: Mapping[str, Any]) -> StreamConfig:
        """Read what `to_api` printed."""
        destination = state["bigqueryDestination"]
        own = state.get("dicombq", {})
        return cls(
            BigQueryDestination(
                read_table_uri(destination["tableUri"]),
                Disposition.WRITE_APPEND,
                "schemaJson" in destination,
                destination.get("includeSourceStore", False),
                "changeDataCaptureConfig" in destination,
            ),
            own.get("backfill", True),
            own.get("delivery") == "insert",
            own.get("since", ""),
        )


def plain_configs(uris: Sequence[str]) -> list[StreamConfig]:
    """Make stream configs of table URIs, with the default of everything else."""
    return [StreamConfig(BigQueryDestination(named_table(uri), Disposition.WRITE_APPEND)) for uri in uris]


def requested_configs(states: Sequence[dict[str, Any]]) -> list[StreamConfig]:
    """Read the stream configs of a request.

    Raises
    ------
    InvalidArgument
        Where one names no table.
    """
    configs = []
    for state in states:
        destination = state.get("bigqueryDestination", {})
        table = named_table(destination.get("tableUri", ""))
        configs.append(StreamConfig.from_api(state | {"bigqueryDestination": destination | {"tableUri": str(table)}}))
    return configs


def configs_of(store: RegisteredStore) -> list[StreamConfig]:
    """Read the stream configs of a registered store."""
    return [StreamConfig.from_api(config) for config in store.stream_configs]


def followers(store: RegisteredStore) -> list[StreamConfig]:
    """Read the stream configs of a store that has some.

    Raises
    ------
    FailedPrecondition
        Where it has none.
    """
    configs = configs_of(store)
    if not configs:
        raise FailedPrecondition(
            f"no table follows the store [{store.name.store}]",
            "Name one: dicombq stream configure STORE --bq-table=URI",
        )
    return configs


def with_configs(store: RegisteredStore, configs: Sequence[StreamConfig]) -> RegisteredStore:
    """Give a registered store other stream configs; a table that is told of changes only follows since now.

    One that was told of changes only before follows since then.
    """
    before = {table_key(config.table): config.since for config in configs_of(store) if not config.backfill}
    noted = (replace(config, since=before.get(table_key(config.table)) or now()) for config in configs)
    return replace(store, stream_configs=[config.to_api() for config in noted])


def create_store(home: Path, store: RegisteredStore, configs: Sequence[StreamConfig]) -> RegisteredStore:
    """Register a store, and let tables follow it; errors are those of `StoreRegistry.create` and `prepare`."""
    registry = StoreRegistry(home)
    if registry.find(store.name) is None:  # else nothing is made for it
        prepare(configs)
    return registry.create(with_configs(store, configs))


def prepare(configs: Sequence[StreamConfig], lock_timeout: float | None = None) -> None:
    """Check that tables can follow a store, then make the missing ones and add missing columns, and make their views.

    Raises
    ------
    InvalidArgument
        Where they are too many, or not distinct, or ask for what does not go together.
    NotFound
        Where the dataset of one does not exist.
    FailedPrecondition
        Where a table's primary key is not the one that it needs.
    SchemaConflict
        Where a table has other columns than its rows need.
    DicombqError
        Where one cannot be reached. Nothing was changed where it is raised before the last table was checked.
    """
    if len(configs) > MAX_TABLES:
        raise InvalidArgument(f"{len(configs)} tables are named; at most {MAX_TABLES} can follow a store")
    keys = [table_key(config.table) for config in configs]
    for key, config in zip(keys, configs, strict=True):
        if keys.count(key) > 1:
            raise InvalidArgument(f"the table [{config.table}] is named twice")
        _check_way(config)
    warehouses = [open_warehouse(config.table, lock_timeout) for config in configs]
    for config, warehouse in zip(configs, warehouses, strict=True):
        _check(config, warehouse)
    with TemporaryDirectory() as scratch:
        for config, warehouse in zip(configs, warehouses, strict=True):
            make_table(config, warehouse, Path(scratch))


def _check_way(config: StreamConfig) -> None:
    if config.captures and not config.destination.schema_json:
        raise InvalidArgument("change data capture needs the JSON schema", "Add --schema=json.")
    if config.captures and config.insert:
        raise InvalidArgument(
            "change data capture brings its rows in a way of its own, within seconds", "Leave out --delivery=insert."
        )


def _check(config: StreamConfig, warehouse: Warehouse[Any]) -> None:
    found = warehouse.state(config.table)
    if config.captures:
        check_can_change(config.table)
    if config.captures and found.state is not TableState.MISSING:
        check_key(config.table, found, first_fields(config))
    if found.key and not config.captures:
        raise FailedPrecondition(
            f"the table [{config.table}] has a primary key, so that it cannot have a row for each change",
            "Name another table, or add --change-data-capture.",
        )
    conflicts = merge(found.fields, first_fields(config)).conflicts
    if conflicts:
        raise stream_conflict(config.table, FieldConflict(conflicts))


def first_fields(config: StreamConfig) -> tuple[Field, ...]:
    """Give the fields that every row of a stream needs: a deletion has the UIDs, Type and LastUpdated."""
    return config.destination.fields(set(UID_COLUMNS))


def make_table(config: StreamConfig, warehouse: Warehouse[Any], scratch: Path) -> None:
    """Make a table where it is missing, with the columns that every row needs, and its view where it has one."""
    loaded = write_nothing(config, warehouse, first_fields(config), scratch)
    if not config.captures:
        warehouse.replace_view(config.table, loaded.fields)


def write_nothing(
    config: StreamConfig, warehouse: Warehouse[Any], fields: tuple[Field, ...], scratch: Path
) -> LoadResult:
    """Write no rows to a table, which is made where it is missing and gets the fields that it lacks."""
    write = warehouse.change if config.captures else warehouse.load
    name = f"dicombq_stream_{uuid.uuid4().hex}"
    return write(config.table, Load([], fields, Disposition.WRITE_APPEND, name, scratch))


def stream_conflict(table: TableUri, conflict: FieldConflict) -> SchemaConflict:
    """Say which column of a table stands against the rows of a stream."""
    first = conflict.conflicts[0]
    return SchemaConflict(
        f"the column [{first.path}] is {first.existing.describe()} in the table [{table}], "
        f"but {first.wanted.describe()} in the rows of the store",
        "Name another table, or mend this one.",
    )


def is_numbered(config: StreamConfig) -> bool:
    """Tell whether the loads of a table are: BigQuery takes 1,500 a day."""
    return isinstance(config.table, BigQueryTable) and not (config.insert or config.captures)
