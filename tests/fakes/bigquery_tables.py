"""The data sets and tables that the BigQuery fake holds."""

from __future__ import annotations

import copy
import hashlib
import json
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from tests.fakes.bigquery_rows import cells, read_row
from tests.fakes.bigquery_schema import (
    ApiError,
    Json,
    check_identifier,
    invalid,
    merge_schemas,
    normalize_schema,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")

_READ_ONLY = frozenset(
    [
        "kind",
        "etag",
        "id",
        "selfLink",
        "type",
        "numRows",
        "numBytes",
        "numLongTermBytes",
        "creationTime",
        "lastModifiedTime",
        "location",
        "tableReference",
        "streamingBuffer",
        "schema",
    ]
)
_PAGE_ROWS = 10_000

_MAX_INSERTED_ROW = 10_000_000


@dataclass
class Call:
    """One request, as an API method sees it: what its path names, and what it carries."""

    params: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any = None
    media: bytes = b""

    def resource(self) -> Json:
        """Return the body, which must be a JSON object."""
        if not isinstance(self.body, dict):
            raise ApiError(400, "parseError", "Parse Error")
        return self.body


def now() -> str:
    """Return the time as BigQuery writes it: milliseconds since 1970."""
    return str(time.time_ns() // 1_000_000)


@dataclass
class Table:
    """A table or view: what was set of it, its schema and its rows."""

    project: str
    dataset: str
    name: str
    settings: Json
    location: str
    schema: list[Json] = field(default_factory=list)
    rows: list[Json] = field(default_factory=list)
    size: int = 0
    streaming_buffer: Json | None = None
    created: str = field(default_factory=now)
    modified: str = field(default_factory=now)
    version: int = 0
    insert_ids: set[str | None] = field(default_factory=set)

    @property
    def kind(self) -> str:
        return "VIEW" if "view" in self.settings else "TABLE"

    @property
    def id(self) -> str:
        return f"{self.project}:{self.dataset}.{self.name}"

    def changed(self) -> None:
        self.version += 1
        self.modified = now()

    def replace_rows(self, rows: list[Json]) -> None:
        self.rows = rows
        self.size = sum(len(json.dumps(row)) for row in rows)

    def reference(self) -> Json:
        return {"projectId": self.project, "datasetId": self.dataset, "tableId": self.name}

    def etag(self) -> str:
        return hashlib.sha256(f"{self.id} {self.created} {self.version}".encode()).hexdigest()[:22] + "=="

    def resource(self) -> Json:
        result: Json = {
            **copy.deepcopy(self.settings),
            "kind": "bigquery#table",
            "etag": self.etag(),
            "id": self.id,
            "tableReference": self.reference(),
            "type": self.kind,
            "location": self.location,
            "creationTime": self.created,
            "lastModifiedTime": self.modified,
            "numRows": str(len(self.rows)),
            "numBytes": str(self.size),
            "numLongTermBytes": "0",
        }
        if self.schema:
            result["schema"] = {"fields": copy.deepcopy(self.schema)}
        if self.streaming_buffer is not None:
            result["streamingBuffer"] = copy.deepcopy(self.streaming_buffer)
        return result


@dataclass
class Dataset:
    """A data set and its tables."""

    resource: Json
    tables: dict[str, Table] = field(default_factory=dict)

    @property
    def location(self) -> str:
        return str(self.resource["location"])


class TableStore:
    """The API methods of data sets, tables and their rows."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.datasets: dict[tuple[str, str], Dataset] = {}
        self.lacking: set[str] = set()
        """Permissions that nobody has on a table."""

    def create_dataset(self, name: str, location: str = "US") -> None:
        """Create the data set ``project.dataset``."""
        project, _, dataset = name.partition(".")
        with self.lock:
            self.add_dataset(project, {"datasetReference": {"datasetId": dataset}, "location": location})

    def schema(self, name: str) -> list[Json]:
        """Return the fields of the table ``project.dataset.table`` as the REST API gives them."""
        with self.lock:
            return copy.deepcopy(self._named(name).schema)

    def rows(self, name: str) -> list[Json]:
        """Return the rows of the table ``project.dataset.table`` as they were loaded."""
        with self.lock:
            return copy.deepcopy(self._named(name).rows)

    def set_streaming_buffer(self, name: str, rows: int | None) -> None:
        """Give the table a streaming buffer of so many rows, or none."""
        with self.lock:
            table = self._named(name)
            table.streaming_buffer = None
            if rows is not None:
                table.streaming_buffer = {
                    "estimatedRows": str(rows),
                    "estimatedBytes": str(100 * rows),
                    "oldestEntryTime": now(),
                }

    def _named(self, name: str) -> Table:
        project, dataset, table = name.split(".")
        return self.find_table(project, dataset, table)

    def find_dataset(self, project: str, dataset: str) -> Dataset:
        try:
            return self.datasets[project, dataset]
        except KeyError:
            raise ApiError(404, "notFound", f"Not found: Dataset {project}:{dataset}") from None

    def find_table(self, project: str, dataset: str, table: str) -> Table:
        try:
            return self.find_dataset(project, dataset).tables[table]
        except KeyError:
            raise ApiError(404, "notFound", f"Not found: Table {project}:{dataset}.{table}") from None

    def add_dataset(self, project: str, body: Json) -> Json:
        name = check_identifier("dataset", body.get("datasetReference", {}).get("datasetId"))
        if (project, name) in self.datasets:
            raise ApiError(409, "duplicate", f"Already Exists: Dataset {project}:{name}")
        resource = {
            **copy.deepcopy(body),
            "kind": "bigquery#dataset",
            "etag": hashlib.sha256(f"{project}:{name} {now()}".encode()).hexdigest()[:22] + "==",
            "id": f"{project}:{name}",
            "datasetReference": {"projectId": project, "datasetId": name},
            "location": body.get("location") or "US",
            "creationTime": now(),
            "lastModifiedTime": now(),
        }
        self.datasets[project, name] = Dataset(resource)
        return resource

    def datasets_insert(self, call: Call) -> Json:
        return self.add_dataset(call.params["project"], call.resource())

    def datasets_get(self, call: Call) -> Json:
        return self.find_dataset(call.params["project"], call.params["dataset"]).resource

    def datasets_list(self, call: Call) -> Json:
        keys = ("kind", "id", "datasetReference", "location", "labels", "friendlyName")
        items = [
            {key: dataset.resource[key] for key in keys if key in dataset.resource}
            for (project, _), dataset in sorted(self.datasets.items())
            if project == call.params["project"]
        ]
        return page(call, items, lambda items: {"kind": "bigquery#datasetList", "datasets": items})

    def datasets_delete(self, call: Call) -> None:
        project, name = call.params["project"], call.params["dataset"]
        dataset = self.find_dataset(project, name)
        if dataset.tables and call.query.get("deleteContents", "").lower() != "true":
            raise ApiError(400, "resourceInUse", f"Dataset {project}:{name} is still in use")
        del self.datasets[project, name]

    def tables_insert(self, call: Call) -> Json:
        body = call.resource()
        project, dataset_name = call.params["project"], call.params["dataset"]
        dataset = self.find_dataset(project, dataset_name)
        name = check_identifier("table", body.get("tableReference", {}).get("tableId"))
        if name in dataset.tables:
            raise ApiError(409, "duplicate", f"Already Exists: Table {project}:{dataset_name}.{name}")
        settings = _without_nulls(_settings(body))
        _check_view(settings)
        table = Table(project, dataset_name, name, settings, dataset.location, _given_schema(body) or [])
        dataset.tables[name] = table
        return table.resource()

    def tables_get(self, call: Call) -> Json:
        return self._table(call).resource()

    def tables_list(self, call: Call) -> Json:
        dataset = self.find_dataset(call.params["project"], call.params["dataset"])
        items = []
        for _, table in sorted(dataset.tables.items()):
            resource = table.resource()
            keys = ("kind", "id", "tableReference", "type", "labels", "creationTime", "view")
            items.append({key: resource[key] for key in keys if key in resource})
        return page(
            call,
            items,
            lambda items: {
                "kind": "bigquery#tableList",
                "tables": items,
                "totalItems": len(dataset.tables),
            },
        )

    def tables_patch(self, call: Call) -> Json:
        table = self._table(call)
        settings = {**table.settings, **_settings(call.resource())}
        labels = call.resource().get("labels")
        if isinstance(labels, dict):
            settings["labels"] = _without_nulls({**table.settings.get("labels", {}), **labels})
        return self._change(table, call, _without_nulls(settings))

    def tables_update(self, call: Call) -> Json:
        return self._change(self._table(call), call, _without_nulls(_settings(call.resource())))

    def tables_delete(self, call: Call) -> None:
        table = self._table(call)
        _check_etag(table, call)
        del self.find_dataset(table.project, table.dataset).tables[table.name]

    def tabledata_list(self, call: Call) -> Json:
        table = self._table(call)
        if table.kind == "VIEW":
            raise invalid("Cannot list a table of type VIEW.")
        fields = _selected(table.schema, call.query.get("selectedFields"))
        as_int64 = call.query.get("formatOptions.useInt64Timestamp", "").lower() == "true"

        def answer(rows: list[Json]) -> Json:
            return {
                "kind": "bigquery#tableDataList",
                "etag": table.etag(),
                "totalRows": str(len(table.rows)),
                "rows": [cells(row, fields, int64_timestamps=as_int64) for row in rows],
            }

        return page(call, table.rows, answer)

    def tabledata_insertAll(self, call: Call) -> Json:
        table = self._table(call)
        body = call.resource()
        errors = []
        for index, entry in enumerate(body["rows"]):
            try:
                texts = {item["name"] for item in table.schema if item["type"] == "JSON"}  # JSON comes as text
                values = {name: json.loads(value) if name in texts else value for name, value in entry["json"].items()}
                row = read_row(json.dumps(values).encode(), table.schema, _MAX_INSERTED_ROW)
            except ValueError as error:
                message = str(error).replace("No such field", "no such field")
                errors.append({"index": index, "errors": [{"reason": "invalid", "location": "", "message": message}]})
                continue
            if entry.get("insertId") not in table.insert_ids:
                table.insert_ids.add(entry.get("insertId"))
                table.replace_rows([*table.rows, row])
                table.changed()
        if errors and not body.get("skipInvalidRows"):
            raise invalid("This fake of BigQuery inserts only with skipInvalidRows.")
        return {"kind": "bigquery#tableDataInsertAllResponse", **({"insertErrors": errors} if errors else {})}

    def tables_testIamPermissions(self, call: Call) -> Json:
        self._table(call)
        return {"permissions": [each for each in call.resource()["permissions"] if each not in self.lacking]}

    def _table(self, call: Call) -> Table:
        return self.find_table(call.params["project"], call.params["dataset"], call.params["table"])

    def _change(self, table: Table, call: Call, settings: Json) -> Json:
        _check_etag(table, call)
        if ("view" in settings) != (table.kind == "VIEW"):
            raise invalid(f"Cannot convert a table to a view or back: {table.id}")
        _check_view(settings)
        schema = _given_schema(call.resource())
        if schema is not None and table.kind == "TABLE":
            schema = merge_schemas(table.schema, schema, table.id, add=True, relax=True, describe=True)
            schema = normalize_schema(schema)
        table.schema = table.schema if schema is None else schema
        table.settings = settings
        table.changed()
        return table.resource()


def page(call: Call, items: list[T], answer: Callable[[list[T]], Json]) -> Json:
    """Return one page of a list, with the token of the next."""
    token = call.query.get("pageToken") or f"at-{call.query.get('startIndex') or 0}"
    start = token.removeprefix("at-")
    limit = call.query.get("maxResults") or str(_PAGE_ROWS)
    if not token.startswith("at-") or not start.isdecimal() or not limit.isdecimal():
        raise invalid(f"Invalid page: pageToken {token!r}, maxResults {limit!r}")
    end = int(start) + min(int(limit), _PAGE_ROWS)
    result = answer(items[int(start) : end])
    if end < len(items) and end > int(start):
        result["pageToken" if "totalRows" in result else "nextPageToken"] = f"at-{end}"
    return result


def _settings(body: Json) -> Json:
    return {key: copy.deepcopy(value) for key, value in body.items() if key not in _READ_ONLY}


def _without_nulls(values: Json) -> Json:
    return {key: value for key, value in values.items() if value is not None}


def _given_schema(body: Json) -> list[Json] | None:
    schema = body.get("schema")
    return None if schema is None else normalize_schema(schema.get("fields", []))


def _check_view(settings: Json) -> None:
    view = settings.get("view")
    if view is not None and not (isinstance(view, dict) and view.get("query")):
        raise invalid("Required parameter is missing: view.query")


def _check_etag(table: Table, call: Call) -> None:
    wanted = call.headers.get("If-Match")
    if wanted not in {None, "*", table.etag()}:
        raise ApiError(412, "conditionNotMet", "Precondition Failed")


def _selected(fields: list[Json], names: str | None) -> list[Json]:
    if not names:
        return fields
    by_name = {item["name"].lower(): item for item in fields}
    try:
        wanted = {name.strip().lower(): by_name[name.strip().lower()] for name in names.split(",")}
    except KeyError as error:
        raise invalid(f"Invalid selectedFields: {error}") from None
    return list(wanted.values())
