"""Serving until somebody stops it."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import uvicorn

from dicombq.errors import Failed, InvalidArgument, NotFound
from dicombq.serve.app import build
from dicombq.serve.settings import Settings, is_loopback
from dicombq.streaming.keeper import keepers
from dicombq.system.notify import notify

_GRACE = 2  # seconds that requests may take to end when the server is stopped
_LINGER = 0.5  # seconds that a thread may take after that
_MIN_TOKEN = 16


class _Server(uvicorn.Server):
    """Tells when it can be reached and when it ends."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._tell_started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._tell_started()
        notify("READY=1")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        notify("STOPPING=1")
        await super().shutdown(sockets)


def serve(settings: Settings, started: Callable[[Settings], None]) -> None:
    """Serve until Ctrl-C or SIGTERM, which is raised again at the end; operations go on by themselves.

    Parameters
    ----------
    started
        Is told when the server can be reached, with the port that it listens on.

    Raises
    ------
    InvalidArgument
        Where others than this machine could reach it, and no token protects it.
    Failed
        Where it cannot listen there.
    """
    if settings.token is None and not is_loopback(settings.host):
        raise InvalidArgument(
            f"whoever reaches [{settings.host}] could read and change everything", "Protect it with --token-file=FILE."
        )
    with _listen(settings) as listening:
        settings = replace(settings, port=listening.getsockname()[1])
        config = uvicorn.Config(
            build(settings),
            log_config=None,
            log_level="critical",  # it would log an error with its message, which may hold a value
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=_GRACE,
        )
        try:
            _Server(config, lambda: started(settings)).run([listening])
        finally:
            keepers(settings.home).close()


def end_process() -> None:
    """End the process at once where a thread still works for a client that is gone."""
    deadline = time.monotonic() + _LINGER
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and not thread.daemon:
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                os._exit(0)


def _listen(settings: Settings) -> socket.socket:
    with contextlib.ExitStack() as stack:
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(
                settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            listening = stack.enter_context(socket.socket(family, kind, protocol))
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
        except OSError as error:
            raise Failed(
                f"cannot listen on [{settings.host}] port [{settings.port}]: {error.strerror}",
                "Give another --port, or an address of this machine.",
            ) from None
        stack.pop_all()
    return listening


def read_token(file: Path) -> str:
    """Read the token that clients must know.

    Raises
    ------
    NotFound
        Where there is no such file.
    InvalidArgument
        Where others can read it, or it is too short to be a secret.
    """
    try:
        mode, text = os.stat(file).st_mode, file.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        raise NotFound(f"there is no file [{file}]", _make(file)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"the token in [{file}] cannot be read ({type(error).__name__})", _make(file)) from None
    if stat.S_IMODE(mode) & 0o077:
        raise InvalidArgument(f"others than its owner can use the file [{file}]", f"Close it: chmod 600 {file}")
    if len(text) < _MIN_TOKEN or not text.isprintable() or " " in text:
        raise InvalidArgument(
            f"the token in [{file}] is not {_MIN_TOKEN} characters or more without blanks", _make(file)
        )
    return text


def _make(file: Path) -> str:
    return f"Make one: (umask 077; openssl rand -hex 32 > {file})"
