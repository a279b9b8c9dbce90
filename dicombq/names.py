"""Resource names and table URIs: parse, check, print (``cli.md``, Names)."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from dicombq.errors import InvalidArgument

MAX_URI_LENGTH = 2000
"""Characters in a table URI (``rest_api.md``, ``tableUri``)."""

_NO_TEXT = re.compile("[\ud800-\udfff]")
"""A byte that is no UTF-8, as `os.fsdecode` has it."""

_WORD = re.compile(r"[A-Za-z0-9_]+")
_PROJECT = re.compile(r"([A-Za-z0-9][A-Za-z0-9.-]*:)?[A-Za-z0-9][A-Za-z0-9-]*")
_SEGMENT = re.compile(r"(?!\.{1,2}\Z)[^/\s]+")  # clients take dots alone for a way through folders
_ID = re.compile(r"[A-Za-z0-9_.-]{1,256}")
_OBJECT = re.compile(r"(gs|s3)://([^/]*)(?:/(.*))?", re.DOTALL | re.IGNORECASE)
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")


@dataclass(frozen=True)
class Parent:
    """The healthcare dataset that stores and operations belong to."""

    project: str = "local"
    location: str = "local"
    dataset: str = "dicom"

    def __post_init__(self) -> None:
        for part, value in (
            ("project", self.project),
            ("location", self.location),
            ("dataset", self.dataset),
        ):
            if not _SEGMENT.fullmatch(value):
                raise InvalidArgument(
                    f"the {part} [{value}] is not a name", f"Give --{part} without blanks or slashes, not [.] or [..]."
                )

    def __str__(self) -> str:
        return f"projects/{self.project}/locations/{self.location}/datasets/{self.dataset}"


def is_id(text: str) -> bool:
    """Tell whether a text can be the ID of a store or a dataset."""
    return bool(_ID.fullmatch(text) and _SEGMENT.fullmatch(text))


def check_id(kind: str, text: str) -> None:
    """Refuse what cannot be the ID of a store or a dataset.

    Raises
    ------
    InvalidArgument
        Where it cannot.
    """
    if not is_id(text):
        raise InvalidArgument(
            f"the {kind} ID [{text}] has characters other than letters, digits, dots, dashes and underscores, or is "
            "empty, too long, [.] or [..]"
        )


def check_text(what: str, text: str) -> None:
    """Refuse what was typed in another encoding than UTF-8.

    Raises
    ------
    InvalidArgument
        Naming what it is.
    """
    if _NO_TEXT.search(text):
        raise InvalidArgument(f"the {what} is no UTF-8 text", "Write it in UTF-8.")


@dataclass(frozen=True)
class StoreName:
    """``projects/P/locations/L/datasets/D/dicomStores/S``."""

    parent: Parent
    store: str

    def __str__(self) -> str:
        return f"{self.parent}/dicomStores/{self.store}"


def is_store_name(text: str) -> bool:
    """Tell whether a text is meant as the full name of a store."""
    return text.startswith("projects/")


def store_name(text: str, parent: Parent) -> StoreName:
    """Read the full name of a store, or its ID in a healthcare dataset.

    Raises
    ------
    InvalidArgument
        Where it is neither.
    """
    check_text("store's name", text)
    if not is_store_name(text):
        return StoreName(parent, text)
    match = re.fullmatch(r"projects/([^/]+)/locations/([^/]+)/datasets/([^/]+)/dicomStores/([^/]+)", text)
    if not match:
        raise InvalidArgument(
            f"[{text}] is not a store's name",
            "It has the form projects/P/locations/L/datasets/D/dicomStores/S.",
        )
    return StoreName(Parent(*match.group(1, 2, 3)), match[4])


@dataclass(frozen=True)
class OperationName:
    """``projects/P/locations/L/datasets/D/operations/ID``; the ID is a decimal number."""

    parent: Parent
    id: str

    def __str__(self) -> str:
        return f"{self.parent}/operations/{self.id}"


def operation_id(name: str) -> str:
    """Take the ID from a bare ID or a full operation name.

    Raises
    ------
    InvalidArgument
        Where it is neither.
    """
    match = re.fullmatch(r"(?:projects/[^/]+/locations/[^/]+/datasets/[^/]+/operations/)?([0-9]{1,20})", name)
    if not match:
        raise InvalidArgument(
            f"[{name}] is not an operation's ID or name",
            "See `dicombq operations list` for the IDs.",
        )
    return match[1]


@dataclass(frozen=True)
class BigQueryTable:
    """A table in BigQuery, ``bq://PROJECT.DATASET.TABLE``."""

    project: str
    dataset: str
    table: str

    def __str__(self) -> str:
        return f"bq://{self.project}.{self.dataset}.{self.table}"

    @property
    def warehouse(self) -> BigQueryProject:
        """The project that it is in."""
        return BigQueryProject(self.project)


@dataclass(frozen=True)
class DuckdbTable:
    """A table in a DuckDB file, ``duckdb://FILE/DATASET.TABLE``."""

    file: Path
    dataset: str
    table: str

    def __str__(self) -> str:
        return f"duckdb://{self.file}/{self.dataset}.{self.table}"

    @property
    def warehouse(self) -> DuckdbFile:
        """The file that it is in."""
        return DuckdbFile(self.file)


TableUri = BigQueryTable | DuckdbTable


@dataclass(frozen=True)
class BigQueryProject:
    """The datasets of a project, ``bq://PROJECT``, which also pays for queries."""

    project: str

    def __str__(self) -> str:
        return f"bq://{self.project}"

    def table(self, dataset: str, table: str) -> BigQueryTable:
        """Name a table in it."""
        return BigQueryTable(self.project, dataset, table)


@dataclass(frozen=True)
class DuckdbFile:
    """A DuckDB file, ``duckdb://FILE``."""

    file: Path

    def __str__(self) -> str:
        return f"duckdb://{self.file}"

    def table(self, dataset: str, table: str) -> DuckdbTable:
        """Name a table in it."""
        return DuckdbTable(self.file, dataset, table)


WarehouseUri = BigQueryProject | DuckdbFile


def parse_warehouse_uri(uri: str) -> WarehouseUri:
    """Read a warehouse's name; a file is absolute from then on.

    Raises
    ------
    InvalidArgument
        Where it is none.
    """
    check_text("warehouse", uri)
    scheme, _, rest = uri.partition("://")
    if scheme == "duckdb" and rest:
        return DuckdbFile(Path(rest).absolute())
    if scheme == "bq" and _PROJECT.fullmatch(rest):
        return BigQueryProject(rest)
    raise InvalidArgument(f"[{uri}] is not a warehouse", "Give duckdb://FILE.duckdb or bq://PROJECT.")


def parse_table_uri(uri: str) -> TableUri:
    """Read a destination.

    Raises
    ------
    InvalidArgument
        Naming the part that is wrong.
    """
    if len(uri) > MAX_URI_LENGTH:
        raise InvalidArgument(f"the table URI has {len(uri)} characters; {MAX_URI_LENGTH} are allowed")
    return read_table_uri(uri)


def read_table_uri(uri: str) -> TableUri:
    """Read a destination of any length, as the full path of a file may be longer than what was typed."""
    check_text("table URI", uri)
    scheme, separator, rest = uri.partition("://")
    if separator and scheme == "bq":
        return _bigquery(uri, rest)
    if separator and scheme == "duckdb":
        return _duckdb(uri, rest)
    raise InvalidArgument(
        f"[{uri}] is not a table URI",
        "Give bq://PROJECT.DATASET.TABLE or duckdb://FILE.duckdb/DATASET.TABLE.",
    )


def _bigquery(uri: str, rest: str) -> BigQueryTable:
    parts = rest.rsplit(".", 2)
    if len(parts) != 3 or not all(parts):
        raise InvalidArgument(f"[{uri}] does not have the form bq://PROJECT.DATASET.TABLE")
    project, dataset, table = parts
    if not _PROJECT.fullmatch(project):
        raise InvalidArgument(f"the project [{project}] in [{uri}] is not a project ID")
    return BigQueryTable(project, _word("dataset", dataset, uri), _word("table", table, uri))


def _duckdb(uri: str, rest: str) -> DuckdbTable:
    file, slash, name = rest.rpartition("/")
    dataset, dot, table = name.partition(".")
    if not (slash and file and dot and dataset and table):
        raise InvalidArgument(f"[{uri}] does not have the form duckdb://FILE.duckdb/DATASET.TABLE")
    return DuckdbTable(Path(file), _word("dataset", dataset, uri), _word("table", table, uri))


def table_in(warehouse: WarehouseUri, dataset: str, table: str) -> TableUri:
    """Name a table by the parts that somebody chose.

    Raises
    ------
    InvalidArgument
        Naming the part that is wrong.
    """
    named = warehouse.table(dataset, table)
    _word("dataset", dataset, str(named))
    _word("table", table, str(named))
    return named


def _word(part: str, value: str, uri: str) -> str:
    if not _WORD.fullmatch(value):
        raise InvalidArgument(
            f"the {part} [{value}] in [{uri}] has characters other than letters, digits and underscores"
        )
    return value


def table_id(text: str) -> str:
    """Turn a store's ID into a table ID: other characters than letters, digits, underscores become ``_``."""
    return re.sub(r"[^A-Za-z0-9_]", "_", text) or "_"


@dataclass(frozen=True)
class ObjectUri:
    """An object of a store of objects, or all whose keys begin alike: ``gs://BUCKET/KEY``, ``s3://BUCKET/KEY``."""

    scheme: str
    bucket: str
    key: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self.key}"

    def with_key(self, key: str) -> ObjectUri:
        """Name another object of the bucket."""
        return replace(self, key=key)


def is_object_uri(text: str) -> bool:
    """Tell whether a text is meant for the URI of an object."""
    return _OBJECT.fullmatch(text) is not None


def parse_object_uri(uri: str) -> ObjectUri:
    """Read the URI of an object, or of a bucket: its key is empty then.

    Raises
    ------
    InvalidArgument
        Naming the part that is wrong.
    """
    match = _OBJECT.fullmatch(uri)
    if not match:
        raise InvalidArgument(f"[{uri}] is not the URI of an object", "Give gs://BUCKET/KEY.")
    scheme, bucket, key = match[1].lower(), match[2], match[3] or ""
    if not _BUCKET.fullmatch(bucket):
        raise InvalidArgument(
            f"[{bucket}] in [{uri}] is not the name of a bucket",
            "It has three characters or more: lower case letters, digits, dashes, underscores, dots.",
        )
    return ObjectUri(scheme, bucket, key)


def parse_one_object_uri(uri: str) -> ObjectUri:
    """Read the URI of an object; a bucket is none.

    Raises
    ------
    InvalidArgument
        Naming the part that is wrong.
    """
    parsed = parse_object_uri(uri)
    if not parsed.key:
        raise InvalidArgument(f"[{uri}] names a bucket and no object in it", "Give gs://BUCKET/KEY.")
    return parsed
