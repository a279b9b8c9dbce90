from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dicombq.errors import InvalidArgument
from dicombq.names import (
    MAX_URI_LENGTH,
    BigQueryProject,
    BigQueryTable,
    DuckdbFile,
    DuckdbTable,
    OperationName,
    Parent,
    StoreName,
    is_object_uri,
    operation_id,
    parse_object_uri,
    parse_one_object_uri,
    parse_table_uri,
    parse_warehouse_uri,
    store_name,
    table_id,
    table_in,
)


def test_a_bigquery_uri_is_project_dataset_and_table() -> None:
    table = parse_table_uri("bq://my-project.my_dataset.my_table")
    assert table == BigQueryTable("my-project", "my_dataset", "my_table")
    assert str(table) == "bq://my-project.my_dataset.my_table"


def test_a_project_of_a_domain_has_dots_and_a_colon() -> None:
    assert parse_table_uri("bq://example.com:p.d.t") == BigQueryTable("example.com:p", "d", "t")


@pytest.mark.parametrize(
    ("uri", "file"),
    [
        ("duckdb:///abs/x.duckdb/d.t", "/abs/x.duckdb"),
        ("duckdb://rel/x.duckdb/d.t", "rel/x.duckdb"),
        ("duckdb://x.duckdb/d.t", "x.duckdb"),
        ("duckdb://a b/ü.db/d.t", "a b/ü.db"),
    ],
)
def test_a_duckdb_uri_is_a_file_and_a_table(uri: str, file: str) -> None:
    table = parse_table_uri(uri)
    assert table == DuckdbTable(Path(file), "d", "t")
    assert str(table) == uri


@pytest.mark.parametrize(
    ("uri", "part"),
    [
        ("", "is not a table URI"),
        ("p.d.t", "is not a table URI"),
        ("gs://p.d.t", "is not a table URI"),
        ("bq:/p.d.t", "is not a table URI"),
        ("bq://d.t", "does not have the form bq://PROJECT.DATASET.TABLE"),
        ("bq://p.d.", "does not have the form bq://PROJECT.DATASET.TABLE"),
        ("bq://p d.d.t", r"the project \[p d\]"),
        ("bq://a.b.c.d", r"the project \[a\.b\]"),
        ("bq://example.com:a.b.c.d", r"the project \[example\.com:a\.b\]"),
        ("bq://p.d-1.t", r"the dataset \[d-1\]"),
        ("bq://p.d.t-1", r"the table \[t-1\]"),
        ("bq://p.d.tä", r"the table \[tä\]"),
        ("bq://p.d.t$20260101", r"the table \[t\$20260101\]"),
        ("bq://p.d.t\n", r"the table \[t\n\]"),
        ("duckdb://d.t", "does not have the form duckdb://FILE.duckdb/DATASET.TABLE"),
        ("duckdb:///d.t", "does not have the form duckdb://FILE.duckdb/DATASET.TABLE"),
        ("duckdb://x.duckdb", "does not have the form duckdb://FILE.duckdb/DATASET.TABLE"),
        ("duckdb://x.duckdb/t", "does not have the form duckdb://FILE.duckdb/DATASET.TABLE"),
        ("duckdb://x.duckdb/a.b.c", r"the table \[b\.c\]"),
        ('duckdb://x.duckdb/d".t', r'the dataset \[d"\]'),
    ],
)
def test_what_is_wrong_with_a_uri_is_named(uri: str, part: str) -> None:
    with pytest.raises(InvalidArgument, match=part):
        parse_table_uri(uri)


def test_a_uri_has_at_most_2000_characters() -> None:
    longest = "bq://p.d." + "t" * (MAX_URI_LENGTH - 9)
    assert str(parse_table_uri(longest)) == longest
    with pytest.raises(InvalidArgument, match="has 2001 characters; 2000 are allowed"):
        parse_table_uri(longest + "t")


@pytest.mark.parametrize(
    ("store", "table"), [("scans", "scans"), ("CT-2026 (ü).1", "CT_2026_____1"), ("", "_"), ("1", "1")]
)
def test_a_table_is_named_after_its_store(store: str, table: str) -> None:
    assert table_id(store) == table


def test_a_table_is_named_by_parts_that_are_names() -> None:
    assert table_in(BigQueryProject("p"), "d", "t") == BigQueryTable("p", "d", "t")
    assert table_in(DuckdbFile(Path("/x.duckdb")), "d", "t") == DuckdbTable(Path("/x.duckdb"), "d", "t")


@pytest.mark.parametrize(
    ("dataset", "table", "wrong"), [("a.b", "t", "dataset"), ("d", "a/b", "table"), ("d", "", "table")]
)
def test_a_part_of_a_tables_name_that_is_none_is_named(dataset: str, table: str, wrong: str) -> None:
    with pytest.raises(InvalidArgument, match=f"the {wrong} "):
        table_in(BigQueryProject("p"), dataset, table)


def test_resource_names_are_those_of_the_api() -> None:
    parent = Parent("p", "l", "d")
    assert str(parent) == "projects/p/locations/l/datasets/d"
    assert str(StoreName(parent, "s")) == "projects/p/locations/l/datasets/d/dicomStores/s"
    assert str(OperationName(parent, "1")) == "projects/p/locations/l/datasets/d/operations/1"


@pytest.mark.parametrize("part", ["project", "location", "dataset"])
@pytest.mark.parametrize("value", ["", "a/b", "a b", "a\n", ".", ".."])
def test_a_part_of_a_name_has_no_blank_and_no_slash_and_is_no_way_through_folders(part: str, value: str) -> None:
    with pytest.raises(InvalidArgument, match=f"the {part} ") as error:
        Parent(**{part: value})
    assert f"--{part}" in error.value.hint


def test_a_part_of_a_name_may_have_dots() -> None:
    assert str(Parent("example.com:p", "...", ".d.")) == "projects/example.com:p/locations/.../datasets/.d."


@pytest.mark.parametrize("read", [parse_table_uri, parse_warehouse_uri, lambda text: store_name(text, Parent())])
def test_a_name_in_another_encoding_is_refused_without_being_told(read: Callable[[str], object]) -> None:
    with pytest.raises(InvalidArgument, match=r"^the [^\udcff]+ is no UTF-8 text$"):
        read("duckdb://\udcff.duckdb/d.t")


def test_an_operation_is_named_by_its_id_or_in_full() -> None:
    assert operation_id("123") == "123"
    assert operation_id("projects/p/locations/l/datasets/d/operations/123") == "123"


@pytest.mark.parametrize("name", ["", "x", "../1", "1/..", "1" * 21, "operations/1", "1\n", "\u0661"])
def test_what_is_no_operation_is_refused(name: str) -> None:
    with pytest.raises(InvalidArgument, match="is not an operation's ID or name"):
        operation_id(name)


@pytest.mark.parametrize(
    ("text", "scheme", "bucket", "key"),
    [
        ("gs://bucket", "gs", "bucket", ""),
        ("GS://bucket/", "gs", "bucket", ""),
        ("s3://my-bucket_1.b/a//b #?%20\n", "s3", "my-bucket_1.b", "a//b #?%20\n"),
    ],
)
def test_the_uri_of_an_object_is_read(text: str, scheme: str, bucket: str, key: str) -> None:
    assert is_object_uri(text)
    uri = parse_object_uri(text)
    assert (uri.scheme, uri.bucket, uri.key) == (scheme, bucket, key)
    assert parse_object_uri(str(uri)) == uri


@pytest.mark.parametrize("text", ["gs://", "gs:///a", "gs://Bucket/a", "gs://b/a", "gs://-b-/a", "gs://a b c/a"])
def test_what_cannot_be_a_bucket_is_refused(text: str) -> None:
    assert is_object_uri(text)
    with pytest.raises(InvalidArgument, match="is not the name of a bucket"):
        parse_object_uri(text)


@pytest.mark.parametrize("text", ["gs://bucket", "s3://bucket/"])
def test_a_bucket_is_no_object(text: str) -> None:
    with pytest.raises(InvalidArgument, match="names a bucket and no object in it"):
        parse_one_object_uri(text)


@pytest.mark.parametrize("text", ["scans", "gs:/bucket", "https://server/a", "", "x gs://bucket"])
def test_other_texts_are_no_uris_of_objects(text: str) -> None:
    assert not is_object_uri(text)
    with pytest.raises(InvalidArgument, match="is not the URI of an object"):
        parse_object_uri(text)
