"""The part of Cloud Logging's REST API that takes entries, in memory, with its limits and with faults on demand."""

from __future__ import annotations

import contextlib
import functools
import json
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, final

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
}


@dataclass
class Faults:
    """What goes wrong.

    Attributes
    ----------
    answers
        What the next requests are answered with, each taken once; None takes the entries and closes the connection.
    always
        What every request is answered with after that.
    stalled
        Whether requests wait until the server is closed.
    """

    answers: deque[int | None] = field(default_factory=deque)
    always: int = 0
    stalled: bool = False


@final
class CloudLoggingFake(ThreadingHTTPServer):
    """The server; its ``url`` is for CLOUDSDK_API_ENDPOINT_OVERRIDES_LOGGING.

    Attributes
    ----------
    requests
        The bodies of all requests to write, in their order.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.faults = Faults()
        self.requests: list[dict[str, Any]] = []
        self.closing = threading.Event()
        self.lock = threading.Lock()
        self._entries: dict[tuple[str, str, str], dict[str, Any]] = {}
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self.closing.set()
        self.shutdown()
        self._thread.join()
        self.server_close()

    @property
    def entries(self) -> list[dict[str, Any]]:
        """What a query gives: entries of one project, insertId and timestamp are one."""
        with self.lock:
            return list(self._entries.values())

    @property
    def payloads(self) -> list[dict[str, str]]:
        """The same, each as it stands in the operation's log, in the order of that."""
        return sorted((entry["jsonPayload"] for entry in self.entries), key=lambda payload: payload["time"])

    def write(self, body: dict[str, Any], size: int) -> int | None:
        """Take a request; give the status of its answer."""
        with self.lock:
            self.requests.append(body)
            answer = self.faults.answers.popleft() if self.faults.answers else self.faults.always
            if answer:
                return answer
            if size > 10 << 20 or any(len(json.dumps(entry)) > 256 << 10 for entry in body["entries"]):
                return 400
            for entry in body["entries"]:
                merged = {**entry, **{name: body[name] for name in ("logName", "resource", "labels")}}
                self._entries[body["logName"], entry["insertId"], entry["timestamp"]] = merged
            return None if answer is None else 200


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: CloudLoggingFake

    def do_POST(self) -> None:
        size = int(self.headers["Content-Length"])
        body = self.rfile.read(size)
        if self.server.faults.stalled:
            self.server.closing.wait()
            self.close_connection = True
        elif self.path.partition("?")[0] != "/v2/entries:write":
            self._answer(404, {})
        elif not self.headers["Authorization"].startswith("Bearer "):
            self._answer(401, {"error": {"code": 401, "message": "no token", "status": _STATUS[401]}})
        elif (status := self.server.write(json.loads(body), size)) is None:
            self.close_connection = True
        elif status == 200:
            self._answer(200, {})
        else:
            self._answer(status, {"error": {"code": status, "message": "refused", "status": _STATUS[status]}})

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name http.server gives it
        """Say nothing."""


@contextlib.contextmanager
def cloud_logging(folder: Path, environment: pytest.MonkeyPatch) -> Iterator[CloudLoggingFake]:
    """Serve in place of the real one, with credentials."""
    fake = CloudLoggingFake()
    try:
        write_key(folder / "key.json", "default-project")
        environment.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(folder / "key.json"))
        environment.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_LOGGING", fake.url)
        yield fake
    finally:
        fake.close()


def write_key(path: Path, project: str | None) -> None:
    """Write the key of a service account, in a project or in none.

    It signs its tokens itself and asks nobody, as it does in every universe but Google's own.
    """
    account = {
        "type": "service_account",
        "private_key_id": "1",
        "private_key": _private_key(),
        "client_email": "a@example.com",
        "token_uri": "https://invalid/token",
        "universe_domain": "invalid",
    }
    path.write_text(json.dumps(account | ({"project_id": project} if project else {})))


@functools.cache
def _private_key() -> str:
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    key = rsa.generate_private_key(65537, 2048)
    return key.private_bytes(encoding, form, serialization.NoEncryption()).decode()
