"""Media uploads of the BigQuery fake: multipart bodies and resumable sessions."""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass, field
from email.message import Message
from typing import TYPE_CHECKING, Any

from tests.fakes.bigquery_jobs import JobStore
from tests.fakes.bigquery_schema import ApiError, Json, invalid

if TYPE_CHECKING:
    from tests.fakes.bigquery_tables import Call

_CHUNK = 256 * 1024  # what every chunk but the last is a multiple of
_RANGE = re.compile(r"bytes (?:([0-9]+)-([0-9]+)|\*)/([0-9]+|\*)")


@dataclass
class Reply:
    """An HTTP answer."""

    status: int
    body: Json | None = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Session:
    """A resumable upload: the job it is for, and the bytes that arrived."""

    project: str
    job: Json
    data: bytearray = field(default_factory=bytearray)
    made: tuple[str, str] | None = None


def split_multipart(content_type: str, body: bytes) -> tuple[Any, bytes]:
    """Return the JSON and the media of a multipart/related body."""
    header = Message()
    header["Content-Type"] = content_type
    boundary = header.get_param("boundary")
    if header.get_content_type() != "multipart/related" or not isinstance(boundary, str):
        raise invalid(f"Not a multipart upload: {content_type}")
    delimiter = b"\r\n--" + boundary.encode("latin-1")
    start, first, rest = (b"\r\n" + body).partition(delimiter + b"\r\n")
    metadata, second, rest = rest.partition(delimiter + b"\r\n")
    media, last, _ = rest.rpartition(delimiter + b"--")
    if start.strip() or not (first and second and last):
        raise invalid("Malformed multipart body.")
    return parse_json(_content(metadata)), _content(media)


def _content(part: bytes) -> bytes:
    if part.startswith(b"\r\n"):
        return part[2:]
    return part.partition(b"\r\n\r\n")[2]


def parse_json(body: bytes) -> Any:
    """Return a request's JSON body, None if it has none."""
    if not body.strip():
        return None
    try:
        return json.loads(body)
    except ValueError as error:
        raise ApiError(400, "parseError", f"Parse Error: {error}") from error


class UploadStore(JobStore):
    """The API methods of uploads."""

    def __init__(self) -> None:
        super().__init__()
        self.sessions: dict[str, Session] = {}

    def upload_start(self, call: Call, base_url: str) -> Reply:
        project = call.params["project"]
        body = call.resource()
        self.check_load(project, body)
        name = uuid.uuid4().hex
        self.sessions[name] = Session(project, body)
        path = f"/upload/bigquery/v2/projects/{project}/jobs?uploadType=resumable&upload_id={name}"
        return Reply(200, headers={"Location": base_url + path, "X-GUploader-UploadID": name})

    def is_status_query(self, call: Call) -> bool:
        """Whether a request of a session only asks, rather than brings bytes or the end."""
        session = self.sessions.get(call.query.get("upload_id", ""))
        asked = call.headers.get("Content-Range", "")
        if session is None or session.made is not None:
            return asked.startswith("bytes */")
        return asked.startswith("bytes */") and asked != f"bytes */{len(session.data)}"

    def upload_chunk(self, call: Call) -> Reply:
        session = self.sessions.get(call.query.get("upload_id", ""))
        if session is None:
            raise ApiError(404, "notFound", "Not found: upload session")
        if session.made is not None:
            return Reply(200, self.jobs[session.made].resource())
        total = _receive(session, call.headers.get("Content-Range"), call.media)
        if total != len(session.data):
            arrived = {"Range": f"bytes=0-{len(session.data) - 1}"} if session.data else {}
            return Reply(308, headers=arrived)
        self.check_load(session.project, session.job)
        job = self.start_load(session.project, session.job, bytes(session.data))
        session.made = (session.project, job.name)
        session.data.clear()
        return Reply(200, job.resource())


def _receive(session: Session, content_range: str | None, media: bytes) -> int | None:
    """Keep the new bytes of a chunk, and return how many there will be if that is said."""
    match = _RANGE.fullmatch(content_range or f"bytes 0-{len(media) - 1}/{len(media)}")
    if match is None:
        match = _RANGE.fullmatch(f"bytes */{len(media)}") if not media else None
    if match is None:
        raise invalid(f"Failed to parse Content-Range header: {content_range}")
    total = None if match[3] == "*" else int(match[3])
    if match[1] is None:
        return total
    first, last = int(match[1]), int(match[2])
    if last - first + 1 != len(media) or (total is not None and last >= total):
        raise invalid(f"Content-Range {content_range} does not fit a body of {len(media)} bytes")
    if first > len(session.data):
        raise invalid(
            f"The upload offset is {first} byte(s), which exceeds already uploaded size of {len(session.data)} byte(s)."
        )
    is_last = total == last + 1
    kept = len(media) if is_last else (last + 1) // _CHUNK * _CHUNK - first
    session.data.extend(media[len(session.data) - first : max(kept, 0)])
    return total if is_last else None
