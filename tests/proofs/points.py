"""Every step of a process that changes something on disk, counted, so that a test can act at one of them.

Wrapped are the calls of `os` on paths below a folder, the methods of files that are opened for writing by
`dicombq.system.files`, and the statements of DuckDB.
"""

from __future__ import annotations

import errno
import os
import signal
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import duckdb

import dicombq.system.files

SetAttribute = Callable[[Any, str, Any], None]

_BY_DESCRIPTOR = ("fsync", "ftruncate", "pwrite")
_BY_PATH = ("mkdir", "replace", "rmdir", "unlink", "open")
_OF_FILES = ("write", "flush", "truncate", "close")
_OF_CONNECTIONS = ("execute", "close")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


@dataclass
class Points:
    """The steps of this process.

    Parameters
    ----------
    root
        Only steps on what is below it count; statements of DuckDB always do.
    at
        The number of the step to act at, None for none.
    action
        ``kill`` this process, or the name of a signal for it (``SIGINT``) or of an error (``ENOSPC``).
    lasting
        Whether all later steps fail too.
    watched
        Whether to note what was on disk before each step.
    names, prints
        What the steps were, and a number for each state of the disk before them.
    """

    root: Path
    at: int | None = None
    action: str = "kill"
    lasting: bool = False
    statements: bool = True
    watched: bool = False
    names: list[str] = field(default_factory=list)
    prints: list[int] = field(default_factory=list)

    def install(self, set_attribute: SetAttribute = setattr) -> None:
        """Wrap the calls, for as long as `set_attribute` means it."""
        for name in _BY_DESCRIPTOR:
            set_attribute(os, name, partial(self._by_descriptor, name, getattr(os, name)))
        for name in _BY_PATH:
            set_attribute(os, name, partial(self._by_path, name, getattr(os, name)))
        set_attribute(dicombq.system.files, "open", partial(self._open_file, open))
        if self.statements:
            set_attribute(duckdb, "connect", partial(self._connect, duckdb.connect))

    def step(self, name: str, path: str, torn: Callable[[], object] = lambda: None) -> None:
        """Count a step before it is made; `torn` makes half of it."""
        number = len(self.names)
        self.names.append(f"{name} {path}".strip())
        if self.watched:
            self.prints.append(self._fingerprint())
        if self.at is None or not (number == self.at or (self.lasting and number > self.at)):
            return
        if self.action == "kill":
            torn()
            os.kill(os.getpid(), signal.SIGKILL)
        if self.action.startswith("SIG"):
            os.kill(os.getpid(), getattr(signal, self.action))
            return
        code = int(getattr(errno, self.action))
        if name == "duckdb execute":
            raise duckdb.IOException(f"IO Error: Could not write: {os.strerror(code)}")
        if fails_on_a_disk(name):
            raise OSError(code, os.strerror(code), path)

    def below(self, path: str) -> str | None:
        """Name a path as it is below the root, with neither numbers that are chance nor folders that are not its."""
        try:
            inner = Path(path).relative_to(self.root)
        except ValueError:
            return None
        return str(inner)

    def _fingerprint(self) -> int:
        paths = sorted(path for path in self.root.rglob("*") if path.name not in {"out", "err"})
        parts = [f"{path}:{path.read_bytes().hex() if path.is_file() else ''}" for path in paths]
        return zlib.crc32("\n".join(parts).encode())

    def _by_descriptor(self, name: str, call: Callable[..., Any], descriptor: int, *arguments: Any) -> Any:
        inner = self.below(os.readlink(f"/proc/self/fd/{descriptor}"))
        if inner is not None:
            self.step(name, inner)
        return call(descriptor, *arguments)

    def _by_path(self, name: str, call: Callable[..., Any], path: Any, *arguments: Any, **more: Any) -> Any:
        inner = None if isinstance(path, int) else self.below(os.fsdecode(path))
        if name == "open" and not (arguments and arguments[0] & _WRITING):
            inner = None
        if inner is not None:
            self.step(name, inner)
        return call(path, *arguments, **more)

    def _open_file(self, call: Callable[..., Any], path: Any, mode: str, **more: Any) -> Any:
        return Steps(call(path, mode, **more), self, "", self.below(os.fsdecode(path)) or "", _OF_FILES)

    def _connect(self, call: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
        return Steps(call(*arguments, **more), self, "duckdb ", "", _OF_CONNECTIONS)


def fails_on_a_disk(name: str) -> bool:
    """Tell whether a step needs a disk that can be written."""
    return name.split(maxsplit=1)[0] not in {"unlink", "rmdir"} and name != "duckdb close"


class Steps:
    """An object some of whose methods are steps."""

    def __init__(self, inner: Any, points: Points, prefix: str, path: str, methods: tuple[str, ...]) -> None:
        self._inner = inner
        self._points = points
        self._prefix = prefix
        self._path = path
        self._methods = methods
        self._closed = False

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        return partial(self._call, name, found) if name in self._methods else found

    def __enter__(self) -> Steps:  # noqa: PYI034 - typing.Self came with 3.11
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _call(self, name: str, method: Callable[..., Any], *arguments: Any) -> Any:
        if name == "close" and self._closed:
            return None
        self._closed = self._closed or name == "close"
        try:
            self._points.step(self._prefix + name, self._path, partial(self._tear, name, arguments))
        except OSError:
            if name == "close":  # a file whose last bytes find no place is closed all the same
                method()
            raise
        return method(*arguments)

    def _tear(self, name: str, arguments: tuple[Any, ...]) -> None:
        if name == "write":
            data = bytes(arguments[0])
            self._inner.write(data[: len(data) // 2])
            self._inner.flush()
