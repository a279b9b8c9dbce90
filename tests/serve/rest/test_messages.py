from __future__ import annotations

from typing import Any

import pytest

from dicombq.serve.problems import BadField
from dicombq.serve.rest.messages import BOOL, DICOM_STORE, EXPORT, INT32, STRING, read_json, take

DICOM = "type.googleapis.com/google.cloud.healthcare.v1.dicom"
BIGQUERY = " 'bigquery_destination'"
ONE_OF = "Invalid value{} (oneof), oneof field"
DISPOSITION = f"{DICOM}.BigQueryDestination.WriteDisposition"


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"", {}),
        (b" \n", {}),
        (b'{"a": [1, 2.5, true, null, "x"]}', {"a": [1, 2.5, True, None, "x"]}),
        (b'\xef\xbb\xbf{"a": "\xc3\xa4"}', {"a": "ä"}),
        (rb'{"a": "\ud83d\ude00"}', {"a": "\U0001f600"}),
        (b"{'a': 'b', 'c': {'d': true, 'e': null}}", {"a": "b", "c": {"d": True, "e": None}}),
        (b"{'a': -7, 'b': 1.5}", {"a": -7, "b": 1.5}),
        (b"{\n  'a': [{\n     'b': 'bq://p.d.t'\n  }]\n}", {"a": [{"b": "bq://p.d.t"}]}),
        (b"{a: 'yes', b: 'no', c: on, d: 2026-01-01}", {"a": "yes", "b": "no", "c": "on", "d": "2026-01-01"}),
    ],
)
def test_json_is_read_as_googles_front_end_reads_it(body: bytes, value: Any) -> None:
    assert read_json(body) == value


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"nonsense",
        b"a: b",
        b"- a",
        b'{"a": 1',
        b"{'a': 'b'",
        b"\xff",
        b"{'a': !!python/object/apply:os.system ['true']}",
        b"{'a': &x {'b': *x}}",
        b"{'a': " + b"[" * 20000 + b"]" * 20000 + b"}",
        b'{"a": ' + b"[" * 200000 + b"]" * 200000 + b"}",
        b"{'a': '" + b"x" * 70000 + b"'}",
        b"--- {'a': 1}\n--- {'b': 2}",
        b"{'a': !!binary 'YQ=='}",
        rb'{"a": "\ud800"}',
        rb'{"a": [{"\udc00": 1}]}',
        rb"""{'a': "\ud800"}""",
    ],
    ids=range(17),
)
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(BadField, match=r"Invalid JSON payload received\. Unexpected token\.$"):
        read_json(body)


@pytest.mark.parametrize(
    ("message", "taken"),
    [
        ({}, {}),
        ({"bigquery_destination": {"table_uri": "x"}}, {"bigqueryDestination": {"tableUri": "x"}}),
        ({"bigqueryDestination": {"force": "true"}}, {"bigqueryDestination": {"force": True}}),
        ({"bigqueryDestination": None, "gcsDestination": {"uriPrefix": None}}, {"gcsDestination": {}}),
        ({"writeDisposition": "WRITE_APPEND"}, {"writeDisposition": "WRITE_APPEND"}),
    ],
)
def test_a_message_is_taken_with_the_names_of_its_fields_in_json(message: Any, taken: Any) -> None:
    assert take(message, EXPORT, "") == taken


@pytest.mark.parametrize(
    ("message", "field", "words"),
    [
        ([], "", f"Invalid value at '' ({DICOM}.ExportDicomDataRequest), []"),
        ({"tableUri": 1}, "", 'Invalid JSON payload received. Unknown name "tableUri": Cannot find field.'),
        (
            {"bigqueryDestination": {"table": 1}},
            "bigquery_destination",
            "Invalid JSON payload received. Unknown name \"table\" at 'bigquery_destination': Cannot find field.",
        ),
        (
            {"bigqueryDestination": "bq://p.d.t"},
            "bigquery_destination",
            f"Invalid value at 'bigquery_destination' ({DICOM}.BigQueryDestination), \"bq://p.d.t\"",
        ),
        (
            {"bigqueryDestination": {"tableUri": 7}},
            "bigquery_destination.table_uri",
            "Invalid value at 'bigquery_destination.table_uri' (TYPE_STRING), 7",
        ),
        (
            {"bigqueryDestination": {"force": "maybe"}},
            "bigquery_destination.force",
            "Invalid value at 'bigquery_destination.force' (TYPE_BOOL), \"maybe\"",
        ),
        (
            {"bigqueryDestination": {"writeDisposition": "WRITE"}},
            "bigquery_destination.write_disposition",
            f"Invalid value at 'bigquery_destination.write_disposition' ({DISPOSITION}), \"WRITE\"",
        ),
        (
            {"writeDisposition": ["WRITE_APPEND"]},
            "write_disposition",
            f"Invalid value at 'write_disposition' ({DISPOSITION}), [\"WRITE_APPEND\"]",
        ),
        (
            {"bigqueryDestination": {"schemaJson": {}, "schemaFlattened": {}}},
            "bigquery_destination",
            f"{ONE_OF.format(' at' + BIGQUERY)} 'schema' is already set. Cannot set 'schemaJson'",
        ),
        (
            {"bigqueryDestination": {}, "gcsDestination": {}},
            "",
            f"{ONE_OF.format('')} 'destination' is already set. Cannot set 'gcsDestination'",
        ),
    ],
)
def test_a_message_that_is_wrong_is_refused_by_the_name_of_the_field(message: Any, field: str, words: str) -> None:
    with pytest.raises(BadField) as refused:
        take(message, EXPORT, "")
    assert (refused.value.field, refused.value.detail) == (field, words)


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({"streamConfigs": {}}, "dicom_store.stream_configs"),
        ({"streamConfigs": [{"bigqueryDestination": {}}, {"pubsub": 1}]}, "dicom_store.stream_configs[1]"),
        ({"streamConfigs": [{"dicombq": {"delivery": "fast"}}]}, "dicom_store.stream_configs[0].dicombq.delivery"),
        ({"labels": {"a": 1}}, "dicom_store.labels"),
        ({"labels": ["a"]}, "dicom_store.labels"),
        ({"dicombq": {"archives": "perhaps"}}, "dicom_store.dicombq.archives"),
    ],
)
def test_a_field_is_named_by_its_place_in_the_request(message: Any, field: str) -> None:
    with pytest.raises(BadField) as refused:
        take(message, DICOM_STORE, "dicom_store")
    assert refused.value.field == field
    assert field in refused.value.detail


@pytest.mark.parametrize(
    ("value", "kind", "taken"),
    [("7", INT32, 7), ("-7", INT32, -7), (7, INT32, 7), ("false", BOOL, False), ("", STRING, "")],
)
def test_numbers_and_truths_may_be_text(value: Any, kind: str, taken: Any) -> None:
    assert take(value, kind, "x") == taken


@pytest.mark.parametrize("value", ["", "1.5", "x", "9999999999", "٣", True, None])
def test_what_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(BadField):
        take(value, INT32, "page_size")
