"""What a server was told."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

MAX_UPLOAD = 10 * 1000**3
"""Bytes that one request may store, where nobody says otherwise."""


@dataclass(frozen=True)
class Settings:
    """What a server was told.

    Parameters
    ----------
    home
        Whose stores and operations it serves.
    token
        What a client must know; None for nothing.
    read_only
        Whether requests that change something are refused.
    max_upload
        Bytes that one request may store.
    host, port
        Where it listens.
    """

    home: Path
    token: str | None = field(default=None, repr=False)
    read_only: bool = False
    max_upload: int = MAX_UPLOAD
    host: str = "127.0.0.1"
    port: int = 8085

    @property
    def url(self) -> str:
        """The address, for people and clients on this machine."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches an address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
