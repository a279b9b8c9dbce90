"""The messages that requests hold, and what is wrong with one in the words of Google's front end."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from dicombq.serve.problems import BadField

STRING, BOOL, INT32 = "TYPE_STRING", "TYPE_BOOL", "TYPE_INT32"

_PACKAGE = "type.googleapis.com/google.cloud.healthcare.v1"
_SHOWN = 100
_RELAXED = 64 << 10
"""Bytes of a body that is not strict JSON: the reader of those is slow."""


@dataclass(frozen=True)
class Words:
    """An enum: one of some words."""

    name: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class Message:
    """A message: its fields by their names in JSON; of `alternatives` only one may be set."""

    name: str
    fields: Mapping[str, Kind] = field(default_factory=dict)
    alternatives: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Many:
    """A repeated field."""

    each: Kind


@dataclass(frozen=True)
class Labels:
    """A map of strings."""


Kind = str | Words | Message | Many | Labels

_NOTIFICATION = Message("NotificationConfig", {"pubsubTopic": STRING, "sendForBulkImport": BOOL})
_DISPOSITION = Words(
    "dicom.BigQueryDestination.WriteDisposition",
    ("WRITE_DISPOSITION_UNSPECIFIED", "WRITE_EMPTY", "WRITE_TRUNCATE", "WRITE_APPEND"),
)
_BIGQUERY = Message(
    "dicom.BigQueryDestination",
    {
        "tableUri": STRING,
        "force": BOOL,
        "writeDisposition": _DISPOSITION,
        "schemaFlattened": Message("dicom.SchemaFlattened"),
        "schemaJson": Message("dicom.SchemaJSON"),
        "includeSourceStore": BOOL,
        "changeDataCaptureConfig": Message("dicom.ChangeDataCaptureConfig"),
    },
    {"schema": ("schemaFlattened", "schemaJson")},
)
_STREAM = Message(
    "dicom.StreamConfig",
    {
        "bigqueryDestination": _BIGQUERY,
        "dicombq": Message(
            "dicombq", {"backfill": BOOL, "since": STRING, "delivery": Words("dicombq.Delivery", ("load", "insert"))}
        ),
    },
)
_SOURCE = Message(
    "dicombq",
    {"source": STRING, "managed": BOOL, "archives": BOOL, "anonymous": BOOL, "billingProject": STRING},
)
_STORAGE = Words(
    "BlobStorageSettings.BlobStorageClass",
    ("BLOB_STORAGE_CLASS_UNSPECIFIED", "STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE"),
)

DATASET = Message(
    "dataset.Dataset",
    {
        "name": STRING,
        "timeZone": STRING,
        "encryptionSpec": Message("EncryptionSpec", {"kmsKeyName": STRING}),
        "satisfiesPzi": BOOL,
        "satisfiesPzs": BOOL,
    },
)
DICOM_STORE = Message(
    "dicom.DicomStore",
    {
        "name": STRING,
        "labels": Labels(),
        "notificationConfig": _NOTIFICATION,
        "notificationConfigs": Many(Message("dicom.DicomNotificationConfig", {"pubsubTopic": STRING})),
        "streamConfigs": Many(_STREAM),
        "dicombq": _SOURCE,
    },
)
EXPORT = Message(
    "dicom.ExportDicomDataRequest",
    {
        "bigqueryDestination": _BIGQUERY,
        "gcsDestination": Message("dicom.GcsDestination", {"uriPrefix": STRING, "mimeType": STRING}),
        "filterConfig": Message("dicom.DicomFilterConfig", {"resourcePathsGcsUri": STRING}),
        "writeDisposition": _DISPOSITION,  # where the guide's samples have it
    },
    {"destination": ("bigqueryDestination", "gcsDestination")},
)
IMPORT = Message(
    "dicom.ImportDicomDataRequest",
    {
        "gcsSource": Message("dicom.GcsSource", {"uri": STRING}),
        "blobStorageSettings": Message("BlobStorageSettings", {"blobStorageClass": _STORAGE}),
    },
)
EMPTY = Message("Empty")


def read_json(body: bytes) -> Any:
    """Read a body; as Google's front end, it takes single quotes and names without quotes too.

    Raises
    ------
    BadField
        Where it is no JSON.
    """
    try:
        text = body.decode("utf-8-sig").strip()
        if not text:
            return {}
        try:
            value = json.loads(text)
        except ValueError:
            if text[0] != "{" or len(text) > _RELAXED:
                raise
            value = yaml.load(text, _Relaxed)  # noqa: S506 - it makes nothing but what JSON has
        json.dumps(value, ensure_ascii=False).encode()  # fails where half of a surrogate pair is in a text
    except (ValueError, TypeError, RecursionError, yaml.YAMLError):
        raise BadField("", "Invalid JSON payload received. Unexpected token.") from None
    return value


class _Relaxed(yaml.SafeLoader):
    """YAML's flow style, which has single quotes, with JSON's types only."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - as the base class has it

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError
        return super().compose_node(parent, index)


for _tag, _pattern, _first in (
    ("bool", "true|false", "tf"),
    ("null", "null", "n"),
    ("int", r"-?(?:0|[1-9][0-9]*)", "-0123456789"),
    ("float", r"-?(?:0|[1-9][0-9]*)\.[0-9]+", "-0123456789"),
):
    _Relaxed.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern})$"), list(_first))


def take(value: Any, kind: Kind, path: str) -> Any:
    """Take a value with the names that its fields have in JSON; null is as if it were not there.

    Parameters
    ----------
    path
        Where it stands in the request: ``dicom_store.stream_configs[0]``.

    Raises
    ------
    BadField
        Naming the field that is unknown, or has a value that it cannot have.
    """
    if isinstance(kind, Message):
        return _take_message(value, kind, path)
    if isinstance(kind, Many):
        if not isinstance(value, list):
            raise BadField(path, _invalid(path, "repeated field", value))
        return [take(each, kind.each, f"{path}[{index}]") for index, each in enumerate(value)]
    if isinstance(kind, Labels):
        if not isinstance(value, dict) or not all(isinstance(each, str) for pair in value.items() for each in pair):
            raise BadField(path, _invalid(path, "Map", value))
        return value
    if isinstance(kind, Words):
        if value not in kind.words:
            raise BadField(path, _invalid(path, f"{_PACKAGE}.{kind.name}", value))
        return value
    return _take_scalar(value, kind, path)


def _take_scalar(value: Any, kind: str, path: str) -> Any:
    if kind == BOOL and value in ("true", "false"):
        return value == "true"
    if kind == INT32 and isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,9}", value, re.ASCII):
        return int(value)
    if type(value) is not {STRING: str, BOOL: bool, INT32: int}[kind]:
        raise BadField(path, _invalid(path, kind, value))
    return value


def _take_message(value: Any, kind: Message, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadField(path, _invalid(path, f"{_PACKAGE}.{kind.name}", value))
    taken: dict[str, Any] = {}
    for name, each in value.items():
        known = camel(str(name))
        if known not in kind.fields:
            at = f" at '{path}'" if path else ""
            raise BadField(
                path, f'Invalid JSON payload received. Unknown name "{str(name)[:_SHOWN]}"{at}: Cannot find field.'
            )
        if each is not None:
            taken[known] = take(each, kind.fields[known], ".".join(filter(None, (path, snake(known)))))
    for group, names in kind.alternatives.items():
        _check_alternatives([name for name in names if name in taken], group, path)
    return taken


def _check_alternatives(given: Sequence[str], group: str, path: str) -> None:
    if len(given) > 1:
        at = f" at '{path}'" if path else ""
        raise BadField(
            path, f"Invalid value{at} (oneof), oneof field '{group}' is already set. Cannot set '{given[1]}'"
        )


def snake(name: str) -> str:
    """Write a field's name as messages about it do."""
    return re.sub(r"[A-Z]", lambda match: f"_{match[0].lower()}", name)


def camel(name: str) -> str:
    """Write a field's name as JSON has it; requests may have either."""
    return re.sub(r"_([a-z])", lambda match: match[1].upper(), name)


def _invalid(path: str, kind: str, value: Any) -> str:
    shown = json.dumps(value, default=str)
    return f"Invalid value at '{path}' ({kind}), {shown if len(shown) <= _SHOWN else f'{shown[:_SHOWN]}...'}"
