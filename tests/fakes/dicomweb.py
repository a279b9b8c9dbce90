"""A DICOMweb server in memory that misbehaves on demand; what goes well is tested with Orthanc."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, final
from urllib.parse import parse_qsl, urlsplit

STUDY, SERIES, INSTANCE = "0020000D", "0020000E", "00080018"
_KEYWORDS = {"StudyInstanceUID": STUDY, "SeriesInstanceUID": SERIES, "SOPInstanceUID": INSTANCE}
Model = dict[str, Any]


def model(study: str, series: str, instance: str, **more: Any) -> Model:
    """Make an instance in the DICOM JSON model; more elements by tag, as ``t00100020={…}``."""
    uids = {STUDY: study, SERIES: series, INSTANCE: instance}
    elements = {tag: {"vr": "UI", "Value": [uid]} for tag, uid in uids.items()}
    return elements | {name.removeprefix("t"): element for name, element in more.items()}


def uid(instance: Model, tag: str) -> str:
    """Read one of an instance's UIDs."""
    value: str = instance[tag]["Value"][0]
    return value


@dataclass
class Manners:
    """How a server lists and reads.

    Attributes
    ----------
    cap
        Items on a page at most, whatever is asked for.
    ignores_limit, ignores_offset
        As some servers do.
    matches
        Whether it looks for the UIDs that a search names.
    counts
        Whether it tells the numbers of related instances.
    hidden
        SOP Instance UIDs that are counted, but never listed.
    gone
        SOP Instance UIDs that are listed, but cannot be read.
    no_series_metadata
        Whether only single instances' metadata can be had.
    """

    cap: int = 1_000_000
    ignores_limit: bool = False
    ignores_offset: bool = False
    matches: bool = True
    counts: bool = True
    hidden: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    no_series_metadata: bool = False


Answer = Callable[["Handler"], None]


@final
class DicomwebFake(ThreadingHTTPServer):
    """The server; ``url`` is its base URL.

    Attributes
    ----------
    instances
        What it holds.
    faults
        How the next requests are answered, each taken once; None answers as usual.
    always
        How each request is answered after that.
    requests
        Method, path and headers of all requests, in their order.
    """

    daemon_threads = False  # a thread that is left takes the signals of later tests

    def __init__(self, instances: Iterable[Model] = ()) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}/dicom-web"
        self.instances = list(instances)
        self.manners = Manners()
        self.faults: deque[Answer | None] = deque()
        self.always: Answer | None = None
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.bodies: list[bytes] = []
        self.closing = threading.Event()
        self._connections: list[socket.socket] = []
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,))
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self.shutdown()
        self._thread.join()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.server_close()

    def get_request(self) -> tuple[socket.socket, Any]:
        """Note each connection: clients keep theirs open."""
        connection, address = super().get_request()
        self._connections.append(connection)
        return connection, address

    @property
    def paths(self) -> list[str]:
        """The paths that were asked for, without queries."""
        return [path.partition("?")[0].removeprefix("/dicom-web") for _, path, _ in self.requests]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is nothing to print."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: DicomwebFake

    def do_GET(self) -> None:
        self._note()
        answer = self.server.faults.popleft() if self.server.faults else self.server.always
        (answer or Handler.answer)(self)

    def do_POST(self) -> None:
        self._note()
        self.server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        answer = self.server.faults.popleft() if self.server.faults else self.server.always
        (answer or reply(200, b"{}"))(self)

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _note(self) -> None:
        self.server.requests.append((self.command, self.path, dict(self.headers)))

    def send(self, status: int, body: bytes, kind: str = "application/dicom+json", **headers: str) -> None:
        """Send a whole answer."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def answer(self) -> None:
        """Answer as a good server does, but for its manners."""
        url = urlsplit(self.path)
        query = dict(parse_qsl(url.query))
        path = url.path.removeprefix("/dicom-web").strip("/").split("/")
        named = dict(zip((STUDY, SERIES, INSTANCE), path[1::2], strict=False))
        found = [one for one in self.server.instances if all(uid(one, tag) == value for tag, value in named.items())]
        if path[-1] == "metadata":
            self._metadata(found, is_series=len(path) == 5)
        else:
            level = {"studies": STUDY, "series": SERIES, "instances": INSTANCE}[path[-1]]
            for keyword, tag in _KEYWORDS.items() if self.server.manners.matches else ():
                found = [one for one in found if query.get(keyword, uid(one, tag)) == uid(one, tag)]
            self._search(found, level, query)

    def _metadata(self, found: list[Model], *, is_series: bool) -> None:
        manners = self.server.manners
        found = [one for one in found if uid(one, INSTANCE) not in manners.gone]
        if not found or (is_series and manners.no_series_metadata):
            self.send(404, b'{"patient": "Doe^Jane"}')
        else:
            self.send(200, json.dumps(found).encode())

    def _search(self, found: list[Model], level: str, query: dict[str, str]) -> None:
        manners = self.server.manners
        levels = (STUDY, SERIES, INSTANCE)[: (STUDY, SERIES, INSTANCE).index(level) + 1]
        items: dict[str, Model] = {}
        for one in found:
            item = items.setdefault("/".join(uid(one, tag) for tag in levels), {tag: one[tag] for tag in levels})
            if level != INSTANCE and manners.counts:
                counted = item.setdefault({STUDY: "00201208", SERIES: "00201209"}[level], {"vr": "IS", "Value": [0]})
                counted["Value"][0] += 1
        listed = [item for item in items.values() if level != INSTANCE or uid(item, INSTANCE) not in manners.hidden]
        offset = 0 if manners.ignores_offset else int(query.get("offset", 0))
        limit = manners.cap if manners.ignores_limit else min(manners.cap, int(query.get("limit", manners.cap)))
        page = listed[offset : offset + limit]
        self.send(200, json.dumps(page).encode()) if page else self.send(204, b"")


def reply(status: int, body: bytes = b"", kind: str = "application/dicom+json", **headers: str) -> Answer:
    """Answer with this."""
    return lambda handler: handler.send(status, body, kind, **headers)


def reset(handler: Handler) -> None:
    """Drop the connection."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.close_connection = True
    handler.connection.close()


def break_off(handler: Handler, kind: str = "application/dicom+json") -> None:
    """Send half an answer."""
    handler.send_response(200)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'[{"00100010"')
    handler.close_connection = True


def stall(handler: Handler) -> None:
    """Say nothing until the server is closed."""
    handler.server.closing.wait()
    handler.close_connection = True


def trickle(handler: Handler) -> None:
    """Answer as usual, a byte at a time."""
    whole, handler.wfile = handler.wfile, _Bytewise(handler.wfile)  # type: ignore[assignment]  # it has all that is used
    handler.answer()
    handler.wfile = whole


class _Bytewise:
    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, data: bytes) -> int:
        for byte in data:
            self._file.write(bytes([byte]))
        return len(data)
