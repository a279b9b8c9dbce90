"""A BigQuery REST API in memory, for tests, with faults on demand."""

from __future__ import annotations

import json
import re
import socket
import threading
from dataclasses import dataclass
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, TypeAlias, final
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.fakes.bigquery_schema import ApiError, Json
from tests.fakes.bigquery_tables import Call
from tests.fakes.bigquery_uploads import Reply, UploadStore, parse_json, split_multipart

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_Connection: TypeAlias = "socket.socket | tuple[bytes, socket.socket]"

_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    412: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}
_PROJECT = r"/bigquery/v2/projects/(?P<project>[^/]+)"
_DATASET = rf"{_PROJECT}/datasets/(?P<dataset>[^/]+)"
_TABLE = rf"{_DATASET}/tables/(?P<table>[^/:]+)"
_ROUTES = [
    (http_method, re.compile(path), method)
    for http_method, path, method in [
        ("GET", rf"{_PROJECT}/datasets", "datasets.list"),
        ("POST", rf"{_PROJECT}/datasets", "datasets.insert"),
        ("GET", _DATASET, "datasets.get"),
        ("DELETE", _DATASET, "datasets.delete"),
        ("GET", rf"{_DATASET}/tables", "tables.list"),
        ("POST", rf"{_DATASET}/tables", "tables.insert"),
        ("GET", _TABLE, "tables.get"),
        ("PATCH", _TABLE, "tables.patch"),
        ("PUT", _TABLE, "tables.update"),
        ("DELETE", _TABLE, "tables.delete"),
        ("GET", rf"{_TABLE}/data", "tabledata.list"),
        ("POST", rf"{_TABLE}/insertAll", "tabledata.insertAll"),
        ("POST", rf"{_TABLE}:testIamPermissions", "tables.testIamPermissions"),
        ("GET", rf"{_PROJECT}/jobs", "jobs.list"),
        ("POST", rf"{_PROJECT}/jobs", "jobs.insert"),
        ("GET", rf"{_PROJECT}/jobs/(?P<job>[^/]+)", "jobs.get"),
        ("POST", rf"{_PROJECT}/jobs/(?P<job>[^/]+)/cancel", "jobs.cancel"),
        ("POST", rf"{_PROJECT}/queries", "jobs.query"),
        ("GET", rf"{_PROJECT}/queries/(?P<job>[^/]+)", "jobs.getQueryResults"),
        ("POST", rf"/upload{_PROJECT}/jobs", "jobs.upload.start"),
        ("PUT", rf"/upload{_PROJECT}/jobs", "jobs.upload.chunk"),
    ]
]


class Fault(Enum):
    """What goes wrong with a request."""

    RATE_LIMIT = "429 rateLimitExceeded"
    QUOTA = "403 quotaExceeded"
    INTERNAL = "500 internalError"
    UNAVAILABLE = "503 backendError"
    DROP = "the connection closes before anything is done"
    LOSE_ANSWER = "everything is done, and the connection closes without an answer"
    STALL = "the request waits before it is carried out"


_FAULT_ERRORS: dict[Fault | None, ApiError] = {
    Fault.RATE_LIMIT: ApiError(429, "rateLimitExceeded", "Exceeded rate limits: too many api requests per user"),
    Fault.QUOTA: ApiError(403, "quotaExceeded", "Quota exceeded: Your table exceeded quota for imports per table"),
    Fault.INTERNAL: ApiError(500, "internalError", "An internal error occurred and the request could not complete."),
    Fault.UNAVAILABLE: ApiError(503, "backendError", "Error encountered during execution. Retrying may solve it."),
}


@dataclass(frozen=True)
class Request:
    """A request as it was answered; its status is None if it got no answer."""

    method: str
    http_method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any
    size: int
    status: int | None


@dataclass
class _Plan:
    method: str
    fault: Fault
    times: int
    after: int
    seconds: float


@final
class BigQueryFake(UploadStore, ThreadingHTTPServer):
    """The server; its ``url`` is for BIGQUERY_EMULATOR_HOST.

    Attributes
    ----------
    require_token
        The only bearer token that is let in; None lets everybody in.
    forbidden
        Names of API methods that answer 403; "jobs.insert" stands for uploads too.
    requests
        Every request, in the order of the answers.
    """

    daemon_threads = False
    block_on_close = True
    request_queue_size = 128

    def __init__(self) -> None:
        UploadStore.__init__(self)
        self.require_token: str | None = None
        self.forbidden: set[str] = set()
        self.requests: list[Request] = []
        self._plans: list[_Plan] = []
        self._crashes: list[BaseException] = []
        self._connections: set[_Connection] = set()
        self._closing = threading.Event()
        ThreadingHTTPServer.__init__(self, ("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,))
        self._thread.start()

    def __enter__(self) -> BigQueryFake:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if error is None and self._crashes:
            raise self._crashes[0]

    def close(self) -> None:
        """Stop serving, and close every connection."""
        if self._closing.is_set():
            return
        self._closing.set()
        self.shutdown()
        self._thread.join()
        with self.lock:
            for connection in self._connections:
                _hang_up(connection)
        self.server_close()

    def fail(self, method: str, fault: Fault, times: int = 1, after: int = 0, *, seconds: float = 0.0) -> None:
        """Let calls of a method go wrong.

        Plans for the same call take their turns: each counts its calls from when those before it are spent.

        Parameters
        ----------
        method
            The API method ("tables.get", "jobs.upload.chunk"), or "*" for all.
        fault
            What goes wrong.
        times, after
            How many calls in a row go wrong, after how many that do not.
        seconds
            How long a STALL waits.
        """
        with self.lock:
            self._plans.append(_Plan(method, fault, times, after, seconds))

    def mend(self) -> None:
        """Let nothing go wrong any more."""
        with self.lock:
            self._plans.clear()

    def called(self, method: str) -> list[Request]:
        """Return the requests of one API method."""
        with self.lock:
            return [request for request in self.requests if request.method == method]

    def handle_call(self, http_method: str, path: str, call: Call, size: int) -> Reply | None:
        """Carry a request out and record it; None closes the connection without an answer."""
        with self.lock:
            method = self._route(http_method, path, call)
        fault = self.next_fault(method)
        with self.lock:
            reply = self._answer(method, call, fault)
            if fault in {Fault.DROP, Fault.LOSE_ANSWER}:
                reply = None
            status = reply.status if reply is not None else None
            self.requests.append(
                Request(method, http_method, path, dict(call.query), dict(call.headers), call.body, size, status)
            )
        return reply

    def next_fault(self, method: str) -> Fault | None:
        """Tell what goes wrong with a call of a method, after it has stalled where it is to."""
        with self.lock:
            plan = self._next_plan(method)
        if plan is not None and plan.fault is Fault.STALL:
            self._closing.wait(plan.seconds)
        return plan.fault if plan is not None else None

    def _next_plan(self, method: str) -> _Plan | None:
        for plan in self._plans:
            if plan.method not in {method, "*"} or plan.times <= 0:
                continue
            if plan.after > 0:
                plan.after -= 1
                return None
            plan.times -= 1
            return plan
        return None

    def _route(self, http_method: str, path: str, call: Call) -> str:
        for verb, pattern, method in _ROUTES:
            match = pattern.fullmatch(path)
            if verb != http_method or match is None:
                continue
            call.params = {key: unquote(value) for key, value in match.groupdict().items()}
            if method == "jobs.upload.start" and call.query.get("uploadType") == "multipart":
                return "jobs.insert"
            if method == "jobs.upload.chunk" and self.is_status_query(call):
                return "jobs.upload.status"
            return method
        return "unknown"

    def _answer(self, method: str, call: Call, fault: Fault | None) -> Reply | None:
        try:
            if not method.startswith(("jobs.upload.chunk", "jobs.upload.status")):
                _parse_body(method, call)
            if fault is Fault.DROP:
                return None
            if fault in _FAULT_ERRORS:
                return Reply(_FAULT_ERRORS[fault].code, _error(_FAULT_ERRORS[fault]))
            self._check_access(method, call)
            return self._perform(method, call)
        except ApiError as error:
            return Reply(error.code, _error(error))

    def _check_access(self, method: str, call: Call) -> None:
        if self.require_token is not None and (call.headers.get("Authorization") != f"Bearer {self.require_token}"):
            message = "Request had invalid authentication credentials."
            raise ApiError(401, "authError", message)
        permission = "jobs.insert" if method.startswith("jobs.upload.") else method
        if permission in self.forbidden:
            place = call.params.get("project", "")
            if "dataset" in call.params:
                place = ".".join([f"{place}:{call.params['dataset']}", *_table_of(call)])
            message = f"Access Denied: {place}: Permission bigquery.{permission} denied (or it may not exist)."
            raise ApiError(403, "accessDenied", message)

    def _perform(self, method: str, call: Call) -> Reply:
        if method == "jobs.upload.start":
            if call.query.get("uploadType") != "resumable":
                raise ApiError(400, "invalid", f"Invalid uploadType: {call.query.get('uploadType')}")
            return self.upload_start(call, self.url)
        if method.startswith("jobs.upload."):
            return self.upload_chunk(call)
        handler: Callable[[Call], Json | None] | None = getattr(self, method.replace(".", "_"), None)
        if handler is None:
            message = f"This fake of BigQuery does not simulate this request ({method})."
            raise ApiError(400, "notImplemented", message)
        result = handler(call)
        return Reply(204) if result is None else Reply(200, result)

    def process_request(self, request: _Connection, client_address: Any) -> None:
        with self.lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: _Connection) -> None:
        with self.lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: _Connection, client_address: Any) -> None:
        """Leave the errors of connections that a client closed unsaid."""

    def crashed(self, error: BaseException) -> None:
        """Keep an error of the fake itself, to raise it when the test ends."""
        with self.lock:
            self._crashes.append(error)


def _hang_up(connection: _Connection) -> None:
    if isinstance(connection, socket.socket):
        try:
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return


def _parse_body(method: str, call: Call) -> None:
    if method == "jobs.insert" and call.query.get("uploadType") == "multipart":
        call.body, call.media = split_multipart(call.headers.get("Content-Type", ""), call.media)
    else:
        call.body = parse_json(call.media)
        call.media = b""


def _table_of(call: Call) -> list[str]:
    return [call.params["table"]] if "table" in call.params else []


def _error(error: ApiError) -> Json:
    proto = {"message": error.message, "domain": "global", "reason": error.reason}
    return {
        "error": {
            "code": error.code,
            "message": error.message,
            "errors": [proto, *error.details],
            "status": _STATUS.get(error.code, "UNKNOWN"),
        }
    }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: BigQueryFake

    def do_GET(self) -> None:
        try:
            reply = self._reply()
        except ConnectionError:
            self.close_connection = True
            return
        except Exception as error:  # noqa: BLE001 - any error of the fake must fail its test
            self.server.crashed(error)
            reply = None
        if reply is None:
            self.close_connection = True
            return
        body = b"" if reply.body is None else json.dumps(reply.body).encode("utf-8")
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if body:
            self.send_header("Content-Type", "application/json; charset=UTF-8")
        if reply.status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def _reply(self) -> Reply | None:
        size = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(size)
        if len(body) < size:
            return None
        address = urlsplit(self.path)
        query = dict(parse_qsl(address.query, keep_blank_values=True))
        headers = {name.title(): value for name, value in self.headers.items()}
        call = Call({}, query, headers, media=body)
        return self.server.handle_call(self.command, address.path, call, size)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name http.server gives it
        """Say nothing."""
