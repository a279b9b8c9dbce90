"""The Storage Write API in memory, over gRPC: rows that replace and delete rows of the BigQuery fake's tables."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, final

import grpc
from google.cloud.bigquery_storage_v1 import types
from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, json_format, message_factory
from google.rpc import code_pb2, status_pb2  # type: ignore[import-untyped]  # it has no annotations

from dicombq.system.times import from_microseconds
from tests.fakes.bigquery import BigQueryFake, Fault
from tests.fakes.bigquery_rows import read_row
from tests.fakes.bigquery_schema import ApiError, Json
from tests.fakes.bigquery_tables import Table

_SERVICE = "google.cloud.bigquery.storage.v1.BigQueryWrite"
_DEFAULT_STREAM = re.compile(r"projects/([^/]+)/datasets/([^/]+)/tables/([^/]+)/(streams/)?_default")
_SEQUENCE = re.compile(r"[0-9A-Fa-f]{1,16}(/[0-9A-Fa-f]{1,16}){0,3}")
_CHANGE_TYPE, _CHANGE_SEQUENCE = "_CHANGE_TYPE", "_CHANGE_SEQUENCE_NUMBER"
_MAX_REQUEST = 10_000_000
_CODES = {
    Fault.RATE_LIMIT: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Fault.QUOTA: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Fault.UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    Fault.DROP: grpc.StatusCode.UNAVAILABLE,
    Fault.LOSE_ANSWER: grpc.StatusCode.UNAVAILABLE,
}


@final
class BigQueryWriteFake:
    """The server; its `address` is for BIGQUERY_STORAGE_EMULATOR_HOST.

    Faults and what is forbidden are those of the fake whose tables it writes to, for the method "AppendRows".

    Attributes
    ----------
    requests
        How many rows each request had.
    refused
        Values of SOPInstanceUID whose rows are refused as corrupt.
    unknown
        Columns that this server has not heard of yet, though the table has them.
    is_mute
        Whether it ends each stream without an answer.
    """

    def __init__(self, tables: BigQueryFake) -> None:
        self._tables = tables
        self.requests: list[int] = []
        self.refused: set[str] = set()
        self.unknown: set[str] = set()
        self.is_mute = False
        self._versions: dict[tuple[str, str, tuple[Any, ...]], tuple[int, ...]] = {}
        self._server = grpc.server(
            ThreadPoolExecutor(4), options=[("grpc.max_receive_message_length", 2 * _MAX_REQUEST)]
        )
        handler = grpc.stream_stream_rpc_method_handler(
            self._append_rows, types.AppendRowsRequest.deserialize, types.AppendRowsResponse.serialize
        )
        self._server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(_SERVICE, {"AppendRows": handler})])
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def __enter__(self) -> BigQueryWriteFake:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop(0).wait()

    def _append_rows(
        self, requests: Iterator[types.AppendRowsRequest], context: grpc.ServicerContext
    ) -> Iterator[types.AppendRowsResponse]:
        for request in requests:
            if self.is_mute:
                return
            if "AppendRows" in self._tables.forbidden:
                context.abort(grpc.StatusCode.PERMISSION_DENIED, "bigquery.tables.updateData denied")
            fault = self._tables.next_fault("AppendRows")
            if fault in _CODES and fault is not Fault.LOSE_ANSWER:
                context.abort(_CODES[fault], "a fault of the test")
            if fault is Fault.INTERNAL:
                yield _refusal(code_pb2.INTERNAL, "a fault of the test")
                continue
            with self._tables.lock:
                response = self._append(request)
            if fault is Fault.LOSE_ANSWER:
                context.abort(_CODES[fault], "a fault of the test")
            yield response

    def _append(self, request: types.AppendRowsRequest) -> types.AppendRowsResponse:
        stream = _DEFAULT_STREAM.fullmatch(request.write_stream)
        if not stream:
            return _refusal(code_pb2.INVALID_ARGUMENT, "change data capture takes the default stream only")
        if len(types.AppendRowsRequest.serialize(request)) > _MAX_REQUEST:
            return _refusal(code_pb2.INVALID_ARGUMENT, "the request is too large")
        try:
            table = self._tables.find_table(stream[1], stream[2], stream[3])
        except ApiError as error:
            return _refusal(code_pb2.NOT_FOUND, error.message)
        key = (table.settings.get("tableConstraints") or {}).get("primaryKey", {}).get("columns")
        if not key:
            return _refusal(code_pb2.FAILED_PRECONDITION, "the table has no primary key")
        descriptor = request.proto_rows.writer_schema.proto_descriptor
        unknown = {f.name for f in descriptor.field} - ({f["name"] for f in table.schema} - self.unknown)
        if unknown - {_CHANGE_TYPE, _CHANGE_SEQUENCE}:
            return _refusal(
                code_pb2.INVALID_ARGUMENT,
                "the message has a field that the table has not",
                types.StorageError.StorageErrorCode.SCHEMA_MISMATCH_EXTRA_FIELDS,
            )
        self.requests.append(len(request.proto_rows.rows.serialized_rows))
        changes, faults = self._read(request, descriptor, table)
        if faults:
            status = status_pb2.Status(code=code_pb2.INVALID_ARGUMENT, message="rows are corrupt")
            return types.AppendRowsResponse(error=status, row_errors=faults)
        for kind, sequence, row in changes:
            self._apply(table, tuple(key), kind, sequence, row)
        table.changed()
        return types.AppendRowsResponse(append_result=types.AppendRowsResponse.AppendResult())

    def _read(
        self, request: types.AppendRowsRequest, descriptor: descriptor_pb2.DescriptorProto, table: Table
    ) -> tuple[list[tuple[str, tuple[int, ...], Json]], list[types.RowError]]:
        message_type = _message_type(descriptor)
        kinds = {f["name"]: f["type"] for f in table.schema}
        changes, faults = [], []
        for index, serialized in enumerate(request.proto_rows.rows.serialized_rows):
            values = json_format.MessageToDict(message_type.FromString(serialized), preserving_proto_field_name=True)
            try:
                changes.append(self._change(values, kinds, table))
            except ValueError as problem:
                code = types.RowError.RowErrorCode.FIELDS_ERROR
                faults.append(types.RowError(index=index, code=code, message=str(problem)))
        return changes, faults

    def _change(self, values: Json, kinds: dict[str, str], table: Table) -> tuple[str, tuple[int, ...], Json]:
        kind, sequence = values.pop(_CHANGE_TYPE, ""), values.pop(_CHANGE_SEQUENCE, "")
        if kind not in {"UPSERT", "DELETE"}:
            raise ValueError("The given value is not a valid CHANGE_TYPE")
        if not _SEQUENCE.fullmatch(sequence):
            raise ValueError("The given value is not a valid CHANGE_SEQUENCE_NUMBER")
        if values.get("SOPInstanceUID") in self.refused:
            raise ValueError("corrupt")
        row = {name: _value(kinds[name], value) for name, value in values.items()}
        numbers = tuple(int(part, 16) for part in sequence.split("/"))
        return kind, numbers, read_row(json.dumps(row).encode(), table.schema, _MAX_REQUEST)

    def _apply(self, table: Table, columns: tuple[str, ...], kind: str, sequence: tuple[int, ...], row: Json) -> None:
        key = tuple(row.get(column) for column in columns)
        version = (table.id, table.created, key)
        if sequence < self._versions.get(version, ()):
            return
        self._versions[version] = sequence
        others = [each for each in table.rows if tuple(each.get(column) for column in columns) != key]
        table.replace_rows([*others, row] if kind == "UPSERT" else others)


def _message_type(descriptor: descriptor_pb2.DescriptorProto) -> Any:
    pool = descriptor_pool.DescriptorPool()
    pool.Add(descriptor_pb2.FileDescriptorProto(name="written.proto", message_type=[descriptor]))
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(descriptor.name))


def _value(kind: str, value: Any) -> Any:
    if kind == "JSON":
        return json.loads(value)
    return from_microseconds(int(value)) if kind == "TIMESTAMP" else value


def _refusal(code: int, message: str, reason: int | None = None) -> types.AppendRowsResponse:
    status = status_pb2.Status(code=code, message=message)
    if reason is not None:
        detail = any_pb2.Any()
        detail.Pack(types.StorageError.pb(types.StorageError(code=reason)))
        status.details.append(detail)
    return types.AppendRowsResponse(error=status)
