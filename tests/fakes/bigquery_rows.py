"""Rows of the BigQuery fake: newline-delimited JSON read by a schema, and written as REST cells."""

from __future__ import annotations

import base64
import json
import math
import re
import zlib
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from tests.fakes.bigquery_schema import ApiError, Json

if TYPE_CHECKING:
    from collections.abc import Callable

ROW_LIMIT = 100 * 1024 * 1024  # bytes of one JSON row, as the quotas of load jobs say

_INTEGER = re.compile(r"[+-]?[0-9]{1,20}")
_FLOAT = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_NOT_FINITE = {"nan": "NaN", "inf": "Infinity", "infinity": "Infinity"}
_DATE = r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})"
_TIME = r"([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?:\.([0-9]{1,6}))?"
_DATE_ONLY = re.compile(_DATE)
_TIME_ONLY = re.compile(_TIME)
_MOMENT = re.compile(rf"{_DATE}(?:[Tt ]{_TIME})?(?: ?(Z|z|UTC|[+-][0-9]{{1,2}}(?::[0-9]{{2}})?))?")
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)


def read_rows(body: bytes, fields: list[Json], row_limit: int) -> list[Json]:
    """Return the rows of a load's body, or raise what its job fails with."""
    rows = []
    position = 0
    for line in _uncompressed(body).split(b"\n"):
        if line.strip():
            try:
                rows.append(read_row(line, fields, row_limit))
            except (ValueError, RecursionError, OverflowError) as error:
                raise _bad_row(len(rows) + 1, position, str(error)) from error
        position += len(line) + 1
    return rows


def cells(row: Json, fields: list[Json], *, int64_timestamps: bool) -> Json:
    """Return a row the way tabledata.list writes it."""
    return {"f": [{"v": _cell(row.get(field["name"]), field, int64_timestamps)} for field in fields]}


def _uncompressed(body: bytes) -> bytes:
    if not body.startswith(b"\x1f\x8b"):
        return body
    reader = zlib.decompressobj(wbits=31)
    try:
        data = reader.decompress(body) + reader.flush()
    except zlib.error as error:
        raise _unreadable(f"The gzip data is damaged: {error}") from error
    if not reader.eof:
        raise _unreadable("The gzip data ends too early")
    if reader.unused_data:
        raise _unreadable("The gzip data has more than one member or trailing bytes")
    return data


def _unreadable(message: str) -> ApiError:
    return ApiError(400, "invalid", f"Error while reading data, error message: {message}")


def _bad_row(number: int, position: int, message: str) -> ApiError:
    detail = f"JSON parsing error in row starting at position {position}: {message}"
    return ApiError(
        400,
        "invalid",
        f"Error while reading data, error message: JSON processing encountered too many errors, giving up. "
        f"Rows: {number}; errors: 1; max bad: 0; error percent: 0",
        [{"reason": "invalid", "message": f"Error while reading data, error message: {detail}"}],
    )


def read_row(line: bytes, fields: list[Json], row_limit: int) -> Json:
    """Return a row, or raise ValueError with what is wrong with it."""
    if len(line) > row_limit:
        raise ValueError(f"Row size is larger than: {row_limit}.")
    value = json.loads(line.decode("utf-8"), parse_constant=_no_constant, object_pairs_hook=_unique)
    if not isinstance(value, dict):
        raise ValueError("Value encountered without start of object.")  # noqa: TRY004 - the row's error
    return _read_record(value, fields, "")


def _no_constant(text: str) -> object:
    raise ValueError(f"{text} is not JSON.")


def _unique(pairs: list[tuple[str, object]]) -> Json:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("Duplicate field names in a JSON object.")
    return result


def _read_record(value: Json, fields: list[Json], parent: str) -> Json:
    by_name = {field["name"].lower(): field for field in fields}
    result: Json = {}
    for key, item in value.items():
        path = f"{parent}{key}"
        field = by_name.get(key.lower())
        if field is None:
            raise ValueError(f"No such field: {path}.")
        if field["name"] in result:
            raise ValueError(f"Duplicate(Case Insensitive) field names: {path}.")
        result[field["name"]] = _read_field(item, field, path)
    for field in fields:
        if field["mode"] == "REQUIRED" and field["name"] not in result:
            raise ValueError(f"Missing required field: {parent}{field['name']}.")
    return result


def _read_field(item: object, field: Json, path: str) -> object:
    if field["mode"] == "REPEATED":
        if item is None:
            return []
        if not isinstance(item, list):
            raise ValueError(f"Repeated field must be imported as a JSON array. Field: {path}.")
        if any(element is None for element in item):
            raise ValueError(f"Only optional fields can be set to NULL. Field: {path}; Value: NULL")
        return [_read_value(element, field, path) for element in item]
    if item is None:
        if field["mode"] == "REQUIRED":
            raise ValueError(f"Only optional fields can be set to NULL. Field: {path}; Value: NULL")
        return None
    return _read_value(item, field, path)


def _read_value(item: object, field: Json, path: str) -> object:
    if field["type"] == "RECORD":
        if not isinstance(item, dict):
            raise ValueError(f"This field: {path} is a record.")
        return _read_record(item, field["fields"], f"{path}.")
    if field["type"] != "JSON" and isinstance(item, dict):
        raise ValueError(f"JSON object specified for non-record field: {path}")
    if field["type"] != "JSON" and isinstance(item, list):
        raise ValueError(f"Array specified for non-repeated field: {path}.")
    try:
        _WRITERS[field["type"]](item)
    except (ValueError, OverflowError, InvalidOperation) as error:
        raise ValueError(
            f"Could not convert value to {field['type'].lower()}. Field: {path}; Value: {item!r:.100}"
        ) from error
    return item


def _cell(value: object, field: Json, int64_timestamps: bool) -> object:
    if field["mode"] == "REPEATED":
        items = value if isinstance(value, list) else []
        return [{"v": _scalar(item, field, int64_timestamps)} for item in items]
    return None if value is None else _scalar(value, field, int64_timestamps)


def _scalar(value: object, field: Json, int64_timestamps: bool) -> object:
    if field["type"] == "RECORD" and isinstance(value, dict):
        return cells(value, field["fields"], int64_timestamps=int64_timestamps)
    text = _WRITERS[field["type"]](value)
    if field["type"] == "TIMESTAMP" and not int64_timestamps:
        return repr(int(text) / 1e6)
    return text


def _string(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    text.encode("utf-8")
    return text


def _json(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    text.encode("utf-8")
    return text


def _bytes(value: object) -> str:
    return base64.b64encode(base64.b64decode(_text(value), validate=True)).decode("ascii")


def _integer(value: object) -> str:
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not -(2**63) <= value < 2**63:
        raise ValueError("not an INT64")
    return str(value)


def _float(value: object) -> str:
    if isinstance(value, str):
        sign, name = ("-", value[1:]) if value.startswith("-") else ("", value.removeprefix("+"))
        if name.lower() in _NOT_FINITE:
            name = _NOT_FINITE[name.lower()]
            return name if name == "NaN" else f"{sign}{name}"
        if not _FLOAT.fullmatch(value):
            raise ValueError("not a FLOAT64")
        value = float(value)
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise ValueError("not a FLOAT64")
    return repr(float(value))


def _boolean(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool | str) else ""
    if text not in {"true", "false"}:
        raise ValueError("not a BOOL")
    return text


def _numeric(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("not a NUMERIC")  # noqa: TRY004 - the row's error
    number = Decimal(str(value))
    if not number.is_finite():
        raise ValueError("not a NUMERIC")
    return format(number, "f")


def _date(value: object) -> str:
    match = _DATE_ONLY.fullmatch(_text(value))
    if match is None:
        raise ValueError("not a DATE")
    return date(*(int(part) for part in match.groups())).isoformat()


def _time(value: object) -> str:
    match = _TIME_ONLY.fullmatch(_text(value))
    if match is None:
        raise ValueError("not a TIME")
    return _clock(match.groups()).isoformat()


def _clock(parts: tuple[str | None, ...]) -> time:
    hour, minute, second, fraction = parts
    return time(int(hour or 0), int(minute or 0), int(second or 0), int((fraction or "").ljust(6, "0")))


def _datetime(value: object) -> str:
    match = _MOMENT.fullmatch(_text(value))
    if match is None or match[8]:
        raise ValueError("not a DATETIME")
    return _moment(match).replace(tzinfo=None).isoformat()


def _moment(match: re.Match[str]) -> datetime:
    day = date(int(match[1]), int(match[2]), int(match[3]))
    return datetime.combine(day, _clock(match.groups()[3:7]), tzinfo=timezone.utc)


def _timestamp(value: object) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        moment = _EPOCH + timedelta(seconds=value)
    else:
        match = _MOMENT.fullmatch(_text(value))
        if match is None:
            raise ValueError("not a TIMESTAMP")
        moment = _moment(match) - _offset(match[8])
    return str((moment - _EPOCH) // _MICROSECOND)


def _offset(zone: str | None) -> timedelta:
    if zone is None or zone in {"Z", "z", "UTC"}:
        return timedelta()
    hours, _, minutes = zone[1:].partition(":")
    offset = timedelta(hours=int(hours), minutes=int(minutes or 0))
    if offset > timedelta(hours=14):
        raise ValueError("no such time zone")
    return -offset if zone.startswith("-") else offset


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("not a text")  # noqa: TRY004 - the row's error
    return value


_WRITERS: dict[str, Callable[[object], str]] = {
    "STRING": _string,
    "BYTES": _bytes,
    "INTEGER": _integer,
    "FLOAT": _float,
    "BOOLEAN": _boolean,
    "NUMERIC": _numeric,
    "BIGNUMERIC": _numeric,
    "DATE": _date,
    "TIME": _time,
    "DATETIME": _datetime,
    "TIMESTAMP": _timestamp,
    "JSON": _json,
}
