"""A proxy before a server of objects: it counts, and it fails as networks and servers do, when it is told to."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit


@dataclass
class Request:
    """A request that came.

    Parameters
    ----------
    size
        Bytes of the answer's body.
    """

    method: str
    path: str
    headers: dict[str, str]
    size: int = 0


Fault = Callable[["Handler", int, dict[str, str], bytes], None]
"""Answers in a wrong way, in place of the server's status, headers and body."""


@dataclass
class Proxy:
    """The proxy's other side.

    Parameters
    ----------
    fault
        Gives what to do with a request, None to pass it on.
    """

    upstream: str
    url: str = ""
    fault: Callable[[Request], Fault | None] = lambda _request: None
    requests: list[Request] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, part: str) -> list[Request]:
        """Give the requests for parts of objects, not those for listings and for what describes an object."""
        return [request for request in self.requests if part in request.path]


class Handler(http.server.BaseHTTPRequestHandler):
    """Passes requests on."""

    protocol_version = "HTTP/1.1"
    proxy: Proxy

    def do_GET(self) -> None:
        """Pass any request on."""
        proxy = self.proxy
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Request(self.command, self.path, {name.title(): value for name, value in self.headers.items()})
        with proxy.lock:
            proxy.requests.append(request)
            fault = proxy.fault(request)
        host = urlsplit(proxy.upstream).netloc
        connection = http.client.HTTPConnection(host)
        with contextlib.closing(connection):
            # the server looks at the host, too
            connection.request(self.command, self.path, body, request.headers | {"Host": host})
            answer = connection.getresponse()
            data = answer.read()
            headers = {
                name: value
                for name, value in answer.getheaders()
                if name.lower() not in ("transfer-encoding", "connection", "date", "server")
            }
        request.size = len(data)
        if self.command != "HEAD":
            headers = {name: value for name, value in headers.items() if name.lower() != "content-length"}
            headers["Content-Length"] = str(len(data))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            (fault or respond)(self, answer.status, headers, data)

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


def respond(handler: Handler, status: int, headers: dict[str, str], body: bytes) -> None:
    """Answer as the server did."""
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


def answering(status: int, body: bytes = b"", content_type: str = "text/plain") -> Fault:
    """Answer with a status."""

    def fault(handler: Handler, _status: int, _headers: dict[str, str], _body: bytes) -> None:
        respond(handler, status, {"Content-Length": str(len(body)), "Content-Type": content_type}, body)

    return fault


def reset(handler: Handler, _status: int, _headers: dict[str, str], _body: bytes) -> None:
    """Reset the connection."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.close_connection = True
    handler.connection.close()


def truncated(handler: Handler, status: int, headers: dict[str, str], body: bytes) -> None:
    """End the connection in the middle of the body."""
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body[: len(body) // 2])
    handler.wfile.flush()
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)


def slow(seconds: float) -> Fault:
    """Pause in the middle of the body."""

    def fault(handler: Handler, status: int, headers: dict[str, str], body: bytes) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body[: len(body) // 2])
        handler.wfile.flush()
        time.sleep(seconds)
        handler.wfile.write(body[len(body) // 2 :])

    return fault


@contextlib.contextmanager
def serve(upstream: str) -> Iterator[Proxy]:
    """Run a proxy until the end of the block."""
    proxy = Proxy(upstream)
    handler = type("BoundHandler", (Handler,), {"proxy": proxy})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield proxy
        server.shutdown()
        thread.join()
