"""Rows that replace and delete rows of a BigQuery table, by the Storage Write API (change data capture).

The rows go to the table's default stream, each with two pseudocolumns: ``_CHANGE_TYPE`` is UPSERT or DELETE, and of the
rows of one primary key the one with the greatest ``_CHANGE_SEQUENCE_NUMBER`` counts, whenever it came. The number is
made from LastUpdated, so that a row that is sent again, or late, changes nothing
(https://cloud.google.com/bigquery/docs/change-data-capture).
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import orjson
from google.api_core import exceptions as api
from google.api_core.retry import Retry
from google.cloud import bigquery
from google.cloud.bigquery.table import PrimaryKey, TableConstraints
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from isal import igzip

from dicombq.errors import FailedPrecondition, Temporary
from dicombq.names import BigQueryTable
from dicombq.system.times import to_microseconds
from dicombq.table.descriptions import described
from dicombq.table.fields import Field, to_bigquery
from dicombq.warehouses.base import TYPE, Load, key_columns

if TYPE_CHECKING:
    from google.cloud.bigquery_storage_v1 import types
    from google.cloud.bigquery_storage_v1.services.big_query_write import BigQueryWriteClient

EMULATOR = "BIGQUERY_STORAGE_EMULATOR_HOST"
"""The environment variable that names the gRPC server beside the one of BIGQUERY_EMULATOR_HOST."""

MAX_REQUEST = 9_500_000
"""Bytes of rows in a request, which may have 10 MB (Storage Write API quotas)."""

_TIMEOUT = 60.0
"""Seconds that one request may take."""

_EARLIEST = to_microseconds("0001-01-01T00:00:00Z")
"""The least TIMESTAMP: sequence numbers have no sign."""

_PROTO = descriptor_pb2.FieldDescriptorProto
_TYPES = {"STRING": _PROTO.TYPE_STRING, "JSON": _PROTO.TYPE_STRING} | dict.fromkeys(
    ("INTEGER", "TIMESTAMP"), _PROTO.TYPE_INT64
)
_CHANGE_TYPE, _SEQUENCE = Field("_CHANGE_TYPE", "STRING"), Field("_CHANGE_SEQUENCE_NUMBER", "STRING")


def check() -> None:
    """Hold that rows can be sent.

    Raises
    ------
    FailedPrecondition
        Where the client is not installed, or BigQuery is emulated and the Storage Write API is not.
    """
    try:
        is_installed = importlib.util.find_spec("google.cloud.bigquery_storage_v1") is not None
    except ModuleNotFoundError:  # of google.cloud
        is_installed = False
    if not is_installed:
        raise FailedPrecondition(
            "change data capture on BigQuery needs google-cloud-bigquery-storage, which is not installed",
            "Install it: pip install 'dicombq[cdc]'",
        )
    if os.environ.get("BIGQUERY_EMULATOR_HOST") and not os.environ.get(EMULATOR):
        raise FailedPrecondition(
            f"BIGQUERY_EMULATOR_HOST is set, and {EMULATOR} is not",
            "Set it to HOST:PORT of the server that stands for the Storage Write API.",
        )


def create(client: bigquery.Client, name: str, fields: Sequence[Field], retry: Retry) -> bigquery.Table:
    """Make a table with a primary key, clustered by it: BigQuery then finds the rows to replace sooner."""
    key = list(key_columns(fields))
    schema = to_bigquery(described(fields))
    wanted = bigquery.Table(name, [bigquery.SchemaField.from_api_repr(field) for field in schema])
    wanted.table_constraints = TableConstraints(PrimaryKey(key), None)
    wanted.clustering_fields = key
    return client.create_table(wanted, exists_ok=True, retry=retry)


def change(table: BigQueryTable, load: Load, retry: Retry) -> tuple[int, dict[int, str]]:
    """Send the rows of staged files; give how many were taken, and the reason for each of the others by its position.

    Parameters
    ----------
    retry
        How long one request is tried again: the same rows may come any number of times.

    Raises
    ------
    Temporary
        Where the table does not know its new columns yet.
    """
    check()
    if not load.files:
        return 0, {}
    schema = _Schema(load.fields)
    refused: dict[int, str] = {}
    taken = 0
    again = retry.with_predicate(_is_temporary)
    with _client() as client:
        for request in _requests(load, schema, refused):
            rows = request
            while rows:
                faults = again(_append)(client, table, schema, [row for _, row in rows])
                refused |= {rows[index][0]: reason for index, reason in faults.items()}
                taken += 0 if faults else len(rows)
                rows = [row for index, row in enumerate(rows) if index not in faults] if faults else []
    return taken, refused


class _Schema:
    """A message of protocol buffers with a field for each column."""

    def __init__(self, fields: Sequence[Field]) -> None:
        self.key = key_columns(fields)
        self._json = [f.name for f in fields if f.type == "JSON"]
        columns = (*fields, _CHANGE_TYPE, _SEQUENCE)
        self.descriptor = descriptor_pb2.DescriptorProto(
            name="Row",
            field=[
                _PROTO(
                    name=f.name,
                    number=number,
                    type=_TYPES[f.type],
                    label=_PROTO.LABEL_REPEATED if f.repeated else _PROTO.LABEL_OPTIONAL,
                )
                for number, f in enumerate(columns, 1)
            ],
        )
        pool = descriptor_pool.DescriptorPool()
        pool.Add(descriptor_pb2.FileDescriptorProto(name="row.proto", message_type=[self.descriptor]))
        self._message: Any = message_factory.GetMessageClass(pool.FindMessageTypeByName("Row"))

    def row(self, line: bytes) -> bytes:
        """Write a staged row; a part of the key that it lacks is an empty text."""
        values: dict[str, Any] = dict.fromkeys(self.key, "") | orjson.loads(line)
        updated = to_microseconds(values["LastUpdated"])
        values["LastUpdated"] = updated
        values[_CHANGE_TYPE.name] = "DELETE" if values.pop(TYPE.name) == "DELETE" else "UPSERT"
        values[_SEQUENCE.name] = f"{updated - _EARLIEST:X}"
        for name in self._json:
            if name in values:
                values[name] = orjson.dumps(values[name]).decode()
        serialized: bytes = self._message(**values).SerializeToString()
        return serialized


def _requests(load: Load, schema: _Schema, refused: dict[int, str]) -> Iterator[list[tuple[int, bytes]]]:
    """Cut rows, each with its position, into requests; those that are too long for any are refused."""
    request: list[tuple[int, bytes]] = []
    size = 0
    for position, line in enumerate(_lines(load)):
        row = schema.row(line)
        if len(row) > MAX_REQUEST:
            refused[position] = "the row has more than 9.5 MB, which is too much for change data capture"
            continue
        if request and size + len(row) > MAX_REQUEST:
            yield request
            request, size = [], 0
        request.append((position, row))
        size += len(row)
    if request:
        yield request


def _lines(load: Load) -> Iterator[bytes]:
    for file in load.files:
        with igzip.open(file) as lines:
            yield from lines


def _append(
    client: BigQueryWriteClient, table: BigQueryTable, schema: _Schema, rows: Sequence[bytes]
) -> dict[int, str]:
    """Send a request; where rows are at fault, none is taken, and the reason for each of those is given."""
    from google.cloud.bigquery_storage_v1 import types  # noqa: PLC0415 - it is an extra

    data = types.AppendRowsRequest.ProtoData(
        writer_schema=types.ProtoSchema(proto_descriptor=schema.descriptor),
        rows=types.ProtoRows(serialized_rows=rows),
    )
    name = f"projects/{table.project}/datasets/{table.dataset}/tables/{table.table}/streams/_default"
    request = types.AppendRowsRequest(write_stream=name, proto_rows=data)
    for response in client.append_rows(iter([request]), retry=None, timeout=_TIMEOUT):
        if response.row_errors:
            return {error.index: f"BigQuery refuses the row: {error.code.name}" for error in response.row_errors}
        if response.error.code:
            raise _error(table, response)
        return {}
    raise api.Aborted("the stream ended without an answer")


def _error(table: BigQueryTable, response: types.AppendRowsResponse) -> Exception:
    from google.cloud.bigquery_storage_v1 import types  # noqa: PLC0415 - it is an extra

    for detail in response.error.details:
        reason = types.StorageError.pb(types.StorageError())
        if detail.Unpack(reason) and reason.code == types.StorageError.StorageErrorCode.SCHEMA_MISMATCH_EXTRA_FIELDS:
            return Temporary(f"the table [{table}] does not know its new columns yet", "They come within minutes.")
    error: Exception = api.from_grpc_status(response.error.code, "the rows were not taken")
    return error


def _client() -> BigQueryWriteClient:
    from google.cloud.bigquery_storage_v1.services.big_query_write import (  # noqa: PLC0415 - it is an extra
        BigQueryWriteClient,
    )

    emulator = os.environ.get(EMULATOR)
    if not emulator:
        return BigQueryWriteClient()
    import grpc  # noqa: PLC0415 - the client needs it
    from google.cloud.bigquery_storage_v1.services.big_query_write.transports import (  # noqa: PLC0415 - it is an extra
        BigQueryWriteGrpcTransport,
    )

    return BigQueryWriteClient(transport=BigQueryWriteGrpcTransport(channel=grpc.insecure_channel(emulator)))


def _is_temporary(error: Exception) -> bool:
    return isinstance(error, api.ServerError | api.TooManyRequests | api.Aborted | api.Cancelled)
