from __future__ import annotations

import gzip
import io
import json
import math
from datetime import date, datetime, time, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from google.api_core import exceptions
from google.api_core.retry import Retry
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.cloud.bigquery import SchemaField

from tests.fakes.bigquery import BigQueryFake

if TYPE_CHECKING:
    from collections.abc import Iterator

ADDITION = bigquery.SchemaUpdateOption.ALLOW_FIELD_ADDITION
NEVER = Retry(predicate=lambda error: False)
ID = SchemaField("id", "INTEGER")
NAME = SchemaField("name", "STRING")


@pytest.fixture
def fake() -> Iterator[BigQueryFake]:
    with BigQueryFake() as server:
        server.create_dataset("p.d")
        yield server


@pytest.fixture
def client(fake: BigQueryFake, monkeypatch: pytest.MonkeyPatch) -> Iterator[bigquery.Client]:
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", fake.url)
    anybody = AnonymousCredentials()  # type: ignore[no-untyped-call]  # google-auth has no types
    with bigquery.Client("p", credentials=anybody) as result:
        yield result


def load(client: bigquery.Client, rows: list[Any] | bytes, table: str = "p.d.t", **config: Any) -> Any:
    body = rows if isinstance(rows, bytes) else b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    return client.load_table_from_file(
        io.BytesIO(body),
        table,
        size=len(body),
        num_retries=0,
        job_config=bigquery.LoadJobConfig(source_format="NEWLINE_DELIMITED_JSON", **config),
    )


def error_of(job: Any) -> tuple[str, str]:
    with pytest.raises(exceptions.GoogleAPICallError):
        job.result(retry=NEVER)
    return job.error_result["reason"], json.dumps(job.errors)


def test_datasets_are_made_listed_and_deleted(fake: BigQueryFake, client: bigquery.Client) -> None:
    made = client.create_dataset(bigquery.Dataset("p.e"), retry=NEVER)
    assert made.location == "US"
    with pytest.raises(exceptions.Conflict, match="Already Exists: Dataset p:e") as conflict:
        client.create_dataset("e", retry=NEVER)
    assert conflict.value.errors[0]["reason"] == "duplicate"
    assert [item.dataset_id for item in client.list_datasets(page_size=1)] == ["d", "e"]
    client.create_table(bigquery.Table("p.e.t", [ID]))
    with pytest.raises(exceptions.BadRequest, match="still in use"):
        client.delete_dataset("e", retry=NEVER)
    client.delete_dataset("e", delete_contents=True)
    with pytest.raises(exceptions.NotFound, match="Not found: Dataset p:e") as missing:
        client.get_dataset("e", retry=NEVER)
    assert missing.value.errors[0]["reason"] == "notFound"


def test_a_table_is_given_back_as_it_was_made(fake: BigQueryFake, client: bigquery.Client) -> None:
    inner = SchemaField("inner", "RECORD", "REPEATED", fields=[SchemaField("x", "FLOAT64")])
    table = bigquery.Table("p.d.t", [SchemaField("id", "INT64", "REQUIRED", description="number"), inner])
    table.description = "all of them"
    table.labels = {"made-by": "test"}
    client.create_table(table)
    found = client.get_table("p.d.t")
    assert (found.description, found.labels) == ("all of them", {"made-by": "test"})
    assert (found.num_rows, found.num_bytes, found.table_type) == (0, 0, "TABLE")
    assert found.streaming_buffer is None
    assert [(field.name, field.field_type, field.mode) for field in found.schema] == [
        ("id", "INTEGER", "REQUIRED"),
        ("inner", "RECORD", "REPEATED"),
    ]
    assert fake.schema("p.d.t")[1]["fields"] == [{"name": "x", "type": "FLOAT", "mode": "NULLABLE"}]
    assert client.create_table(table, exists_ok=True).etag == found.etag
    with pytest.raises(exceptions.Conflict, match=r"Already Exists: Table p:d\.t"):
        client.create_table(table)


def test_missing_tables_and_datasets_are_not_found(client: bigquery.Client) -> None:
    with pytest.raises(exceptions.NotFound, match=r"Not found: Table p:d\.none"):
        client.get_table("p.d.none", retry=NEVER)
    with pytest.raises(exceptions.NotFound, match="Not found: Dataset p:none"):
        client.create_table("p.none.t", retry=NEVER)
    with pytest.raises(exceptions.NotFound):
        client.delete_table("p.d.none", retry=NEVER)


def test_tables_and_views_are_listed_and_deleted(client: bigquery.Client) -> None:
    view = bigquery.Table("p.d.v")
    view.view_query = "SELECT 1"
    client.create_table(view)
    client.create_table("p.d.t")
    listed = {item.table_id: item.table_type for item in client.list_tables("p.d", page_size=1)}
    assert listed == {"t": "TABLE", "v": "VIEW"}
    found = client.get_table("p.d.v")
    assert (found.view_query, found.view_use_legacy_sql, found.table_type) == ("SELECT 1", False, "VIEW")
    found.view_query = "SELECT 2"
    assert client.update_table(found, ["view_query"]).view_query == "SELECT 2"
    client.delete_table("p.d.v")
    assert [item.table_id for item in client.list_tables("p.d")] == ["t"]
    client.create_table(view)
    reason, errors = error_of(load(client, [{"id": 1}], "p.d.v", schema=[ID]))
    assert (reason, "currently a VIEW" in errors) == ("invalid", True)


def test_a_schema_change_may_add_and_relax(fake: BigQueryFake, client: bigquery.Client) -> None:
    inner = SchemaField("r", "RECORD", fields=[ID])
    table = client.create_table(bigquery.Table("p.d.t", [SchemaField("id", "INTEGER", "REQUIRED"), inner]))
    table.schema = [NAME, ID, SchemaField("r", "RECORD", fields=[ID, NAME])]
    changed = client.update_table(table, ["schema"])
    assert [(field.name, field.mode) for field in changed.schema] == [
        ("id", "NULLABLE"),
        ("r", "NULLABLE"),
        ("name", "NULLABLE"),
    ]
    assert [field.name for field in changed.schema[1].fields] == ["id", "name"]
    assert changed.etag != table.etag
    with pytest.raises(exceptions.PreconditionFailed):
        client.update_table(table, ["schema"])


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ([NAME], "Field id is missing in new schema"),
        ([SchemaField("id", "STRING"), NAME], "Field id has changed type from INTEGER to STRING"),
        ([SchemaField("id", "INTEGER", "REPEATED"), NAME], "Field id has changed mode"),
        ([SchemaField("id", "INTEGER", "REQUIRED"), NAME], "Field id has changed mode"),
        ([ID, NAME, SchemaField("new", "DATE", "REQUIRED")], "Cannot add required fields"),
    ],
)
def test_other_schema_changes_are_refused(client: bigquery.Client, schema: list[SchemaField], message: str) -> None:
    table = client.create_table(bigquery.Table("p.d.t", [ID, NAME]))
    table.schema = schema
    with pytest.raises(exceptions.BadRequest, match=message) as refused:
        client.update_table(table, ["schema"])
    assert refused.value.errors[0]["reason"] == "invalid"
    assert client.get_table("p.d.t").schema == [ID, NAME]


def nested(levels: int) -> SchemaField:
    field = ID
    for level in range(levels):
        field = SchemaField(f"r{level}", "RECORD", fields=[field])
    return field


@pytest.mark.parametrize(
    "schema",
    [
        [SchemaField("1st", "STRING")],
        [SchemaField("a-b", "STRING")],
        [SchemaField("é", "STRING")],
        [SchemaField("a" * 301, "STRING")],
        [SchemaField("_TABLE_x", "STRING")],
        [ID, SchemaField("ID", "STRING")],
        [SchemaField("r", "RECORD")],
        [SchemaField("x", "NOTHING")],
        [nested(16)],
        [SchemaField("r", "RECORD", fields=[SchemaField(f"c{n}", "STRING") for n in range(10_000)])],
    ],
    ids=["digit", "dash", "accent", "long", "reserved", "twice", "empty", "type", "deep", "many"],
)
def test_schemas_that_bigquery_refuses_are_invalid(client: bigquery.Client, schema: list[SchemaField]) -> None:
    with pytest.raises(exceptions.BadRequest) as refused:
        client.create_table(bigquery.Table("p.d.t", schema))
    assert refused.value.errors[0]["reason"] == "invalid"


def test_schemas_at_the_limits_are_allowed(client: bigquery.Client) -> None:
    many = [SchemaField(f"c{n}", "STRING") for n in range(9_999)]
    client.create_table(bigquery.Table("p.d.many", [SchemaField("r", "RECORD", fields=many)]))
    client.create_table(bigquery.Table("p.d.deep", [nested(15), SchemaField("a" * 300, "STRING")]))
    with pytest.raises(exceptions.BadRequest, match="Invalid table ID"):
        client.create_table(bigquery.Table("p.d.a-b", [ID]))


VALUES: list[tuple[str, Any, Any]] = [
    ("STRING", "é\n\U0001f600", "é\n\U0001f600"),
    ("INTEGER", -(2**63), -(2**63)),
    ("INTEGER", "9223372036854775807", 2**63 - 1),
    ("FLOAT", 0.1, 0.1),
    ("FLOAT", "Infinity", math.inf),
    ("FLOAT", "-inf", -math.inf),
    ("BOOLEAN", True, True),
    ("DATE", "0001-01-01", date(1, 1, 1)),
    ("TIME", "23:59:59", time(23, 59, 59)),
    ("TIME", "1:02:03.5", time(1, 2, 3, 500_000)),
    (
        "TIMESTAMP",
        "1969-12-31 23:59:59.999999 UTC",
        datetime(1969, 12, 31, 23, 59, 59, 999_999, timezone.utc),
    ),
    ("TIMESTAMP", "2024-01-02T03:04:05+05:30", datetime(2024, 1, 1, 21, 34, 5, 0, timezone.utc)),
    ("JSON", {"a": [1, None, "é"]}, {"a": [1, None, "é"]}),
    ("JSON", "text", "text"),
    ("BYTES", "AAH/", b"\x00\x01\xff"),
    ("TIMESTAMP", -1.5, datetime(1969, 12, 31, 23, 59, 58, 500_000, timezone.utc)),
    ("DATETIME", "2024-01-02 03:04:05.25", datetime.fromisoformat("2024-01-02T03:04:05.250")),
    ("NUMERIC", "1.50", Decimal("1.50")),
]


@pytest.mark.parametrize(("kind", "value", "expected"), VALUES)
def test_values_come_back_as_python_values(client: bigquery.Client, kind: str, value: Any, expected: Any) -> None:
    schema = [SchemaField("one", kind), SchemaField("many", kind, "REPEATED"), SchemaField("none", kind)]
    load(client, [{"one": value, "many": [value, value]}], schema=schema).result(retry=NEVER)
    (row,) = client.list_rows(client.get_table("p.d.t"))
    assert tuple(row) == (expected, [expected, expected], None)


def test_records_and_not_a_number_come_back(fake: BigQueryFake, client: bigquery.Client) -> None:
    item = SchemaField("items", "RECORD", "REPEATED", fields=[SchemaField("x", "FLOAT"), NAME])
    schema = [SchemaField("one", "RECORD", fields=[item]), SchemaField("absent", "RECORD", fields=[ID])]
    row = {"one": {"items": [{"x": "NaN"}, {"name": "b"}]}}
    load(client, [row], schema=schema).result(retry=NEVER)
    (found,) = client.list_rows("p.d.t")
    assert math.isnan(found["one"]["items"][0]["x"])
    assert found["one"]["items"][1] == {"x": None, "name": "b"}
    assert found["absent"] is None
    assert fake.rows("p.d.t") == [row]


def test_rows_are_listed_in_pages(fake: BigQueryFake, client: bigquery.Client) -> None:
    load(client, [{"id": n, "name": str(n)} for n in range(10)], schema=[ID, NAME]).result(retry=NEVER)
    table = client.get_table("p.d.t")
    assert table.num_rows == 10
    assert table.num_bytes
    rows = client.list_rows(table, page_size=3, selected_fields=[NAME])
    assert [tuple(row) for row in rows] == [(str(n),) for n in range(10)]
    assert len(fake.called("tabledata.list")) == 4
    assert [row["id"] for row in client.list_rows(table, max_results=2, start_index=5)] == [5, 6]


def test_a_streaming_buffer_shows_when_a_test_sets_it(fake: BigQueryFake, client: bigquery.Client) -> None:
    client.create_table(bigquery.Table("p.d.t", [ID]))
    fake.set_streaming_buffer("p.d.t", 7)
    buffer = client.get_table("p.d.t").streaming_buffer
    assert buffer is not None
    assert buffer.estimated_rows == 7


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("INTEGER", 2**63),
        ("INTEGER", "x"),
        ("INTEGER", 1.5),
        ("INTEGER", True),
        ("FLOAT", "1,5"),
        ("FLOAT", {}),
        ("BOOLEAN", 1),
        ("DATE", "20240101"),
        ("DATE", "2023-02-29"),
        ("DATE", "0000-01-01"),
        ("TIME", "24:00:00"),
        ("TIME", "12:00:60"),
        ("TIMESTAMP", "yesterday"),
        ("TIMESTAMP", "2024-01-01 00:00:00 +15"),
        ("STRING", ["x"]),
        ("STRING", "\ud800"),
        ("BYTES", "%"),
    ],
)
def test_values_of_another_type_fail_the_load(
    fake: BigQueryFake, client: bigquery.Client, kind: str, value: Any
) -> None:
    client.create_table(bigquery.Table("p.d.t", [SchemaField("x", kind)]))
    reason, errors = error_of(load(client, [{}, {"x": value}]))
    assert reason == "invalid"
    assert "row starting at position 3" in errors
    assert fake.rows("p.d.t") == []


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (b'{"other": 1}', "No such field: other"),
        (b'{"r": {"other": 1}}', "No such field: r.other"),
        (b'{"many": ["a", null]}', "Only optional fields can be set to NULL. Field: many"),
        (b'{"many": "a"}', "Repeated field must be imported as a JSON array"),
        (b'{"id": null}', "Only optional fields can be set to NULL. Field: id"),
        (b'{"many": []}', "Missing required field: id"),
        (b'{"id": 1, "id": 2}', "Duplicate field names"),
        (b'{"id": 1, "ID": 2}', "Duplicate(Case Insensitive)"),
        (b'{"id": NaN}', "NaN is not JSON"),
        (b'{"id": 1', "JSON parsing error"),
        (b"[]", "without start of object"),
        (b'{"many": ["\xff"]}', "utf-8"),
        (b'{"id": ' + b" " * 1000 + b"1}", "Row size is larger than: 1000"),
    ],
)
def test_rows_that_do_not_fit_the_schema_fail_the_load(
    fake: BigQueryFake, client: bigquery.Client, row: bytes, message: str
) -> None:
    fake.row_limit = 1000
    schema = [
        SchemaField("id", "INTEGER", "REQUIRED"),
        SchemaField("many", "STRING", "REPEATED"),
        SchemaField("r", "RECORD", fields=[ID]),
    ]
    reason, errors = error_of(load(client, b'{"id": 1}\n' + row + b"\n", schema=schema))
    assert reason == "invalid"
    assert message in errors
    with pytest.raises(exceptions.NotFound):
        client.get_table("p.d.t", retry=NEVER)


def test_a_gzip_body_of_one_member_is_read(fake: BigQueryFake, client: bigquery.Client) -> None:
    member = gzip.compress(b'{"id": 1}\n')
    load(client, member, schema=[ID]).result(retry=NEVER)
    assert fake.rows("p.d.t") == [{"id": 1}]
    for body, message in [(member * 2, "more than one member"), (member[:-5], "too early")]:
        reason, errors = error_of(load(client, body))
        assert reason == "invalid"
        assert message in errors
    assert fake.rows("p.d.t") == [{"id": 1}]


def test_an_empty_body_makes_the_table(fake: BigQueryFake, client: bigquery.Client) -> None:
    job = load(client, b"", schema=[ID]).result(retry=NEVER)
    assert job.output_rows == 0
    assert fake.rows("p.d.t") == []
    assert fake.schema("p.d.t") == [{"name": "id", "type": "INTEGER", "mode": "NULLABLE"}]


def test_write_empty_accepts_an_existing_empty_table(fake: BigQueryFake, client: bigquery.Client) -> None:
    client.create_table(bigquery.Table("p.d.t", [ID]))
    load(client, [{"id": 1}], schema=[ID], write_disposition="WRITE_EMPTY").result(retry=NEVER)
    assert fake.rows("p.d.t") == [{"id": 1}]
    reason, errors = error_of(load(client, [{"id": 2}], schema=[ID], write_disposition="WRITE_EMPTY"))
    assert reason == "duplicate"
    assert "Already Exists: Table p:d.t" in errors
    assert fake.rows("p.d.t") == [{"id": 1}]


def test_write_truncate_replaces_rows_and_schema(fake: BigQueryFake, client: bigquery.Client) -> None:
    load(client, [{"id": 1}], schema=[ID]).result(retry=NEVER)
    load(client, [{"name": "a"}], schema=[NAME], write_disposition="WRITE_TRUNCATE").result(retry=NEVER)
    assert fake.rows("p.d.t") == [{"name": "a"}]
    assert [field["name"] for field in fake.schema("p.d.t")] == ["name"]


def test_append_adds_fields_only_with_the_option(fake: BigQueryFake, client: bigquery.Client) -> None:
    old = [ID, SchemaField("r", "RECORD", fields=[ID])]
    new = [ID, SchemaField("r", "RECORD", fields=[ID, NAME]), NAME]
    load(client, [{"id": 1}], schema=old).result(retry=NEVER)
    reason, errors = error_of(load(client, [{"id": 2}], schema=new))
    assert (reason, "Cannot add fields (field: r.name)" in errors) == ("invalid", True)
    row = {"id": 2, "r": {"name": "x"}, "name": "y"}
    load(client, [row], schema=new, schema_update_options=[ADDITION]).result(retry=NEVER)
    assert fake.rows("p.d.t") == [{"id": 1}, row]
    assert [tuple(found) for found in client.list_rows("p.d.t")] == [
        (1, None, None),
        (2, {"id": None, "name": "x"}, "y"),
    ]


@pytest.mark.parametrize("field", [SchemaField("id", "STRING"), SchemaField("id", "INTEGER", "REPEATED"), NAME])
def test_append_with_another_schema_fails_even_with_the_option(
    fake: BigQueryFake, client: bigquery.Client, field: SchemaField
) -> None:
    client.create_table(bigquery.Table("p.d.t", [ID]))
    job = load(client, [], schema=[field], schema_update_options=[ADDITION])
    reason, errors = error_of(job)
    assert (reason, "Provided Schema does not match Table p:d.t" in errors) == ("invalid", True)
    fake.errors_at_insert = True
    with pytest.raises(exceptions.BadRequest, match="Provided Schema does not match"):
        load(client, [], schema=[field], schema_update_options=[ADDITION])


@pytest.mark.parametrize("disposition", ["WRITE_EMPTY", "WRITE_TRUNCATE"])
def test_schema_update_options_need_write_append(client: bigquery.Client, disposition: str) -> None:
    job = load(client, [], schema=[ID], write_disposition=disposition, schema_update_options=[ADDITION])
    reason, errors = error_of(job)
    assert (reason, "Schema update options" in errors) == ("invalid", True)


def test_create_never_needs_the_table(client: bigquery.Client) -> None:
    assert error_of(load(client, [], schema=[ID], create_disposition="CREATE_NEVER"))[0] == "notFound"
    assert error_of(load(client, []))[0] == "invalid"
    with pytest.raises(exceptions.NotFound, match="Not found: Dataset p:none"):
        load(client, [], "p.none.t", schema=[ID])
