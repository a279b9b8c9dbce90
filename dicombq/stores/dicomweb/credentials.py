"""Whose requests a DICOMweb server gets: a token, a password, Google's credentials, or nobody's.

None of them is ever taken from a command line, which other users of the machine can read.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from requests import PreparedRequest
from requests.auth import AuthBase, HTTPBasicAuth
from requests.utils import get_netrc_auth

from dicombq.errors import NotAuthenticated

TOKEN = "DICOMBQ_DICOMWEB_TOKEN"  # noqa: S105 - the name of a variable
USERNAME = "DICOMBQ_DICOMWEB_USERNAME"
PASSWORD = "DICOMBQ_DICOMWEB_PASSWORD"  # noqa: S105 - the name of a variable

GOOGLE_HOST = "healthcare.googleapis.com"
_GOOGLE_SCOPE = "https://www.googleapis.com/auth/cloud-healthcare"


def credentials_for(base: str) -> AuthBase:
    """Find the credentials for a server: of the environment, then Google's for its own host, then of ``~/.netrc``.

    Raises
    ------
    NotAuthenticated
        Where those that are named cannot be read.
    """
    if TOKEN in os.environ or f"{TOKEN}_FILE" in os.environ:
        return _Bearer()
    if USERNAME in os.environ:
        return HTTPBasicAuth(os.environ[USERNAME].encode(), _secret(PASSWORD).encode())
    url = urlsplit(base)
    if url.scheme == "https" and url.hostname == GOOGLE_HOST:
        return _Google()
    known = get_netrc_auth(base)
    return HTTPBasicAuth(*(part.encode() for part in known)) if known else _Nobody()


class _Nobody(AuthBase):
    """No credentials; it keeps `requests` from looking for some by itself."""

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        return request


class _Bearer(AuthBase):
    """A token (RFC 6750), read for each request: whoever renews it writes the file anew."""

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        token = _secret(TOKEN)
        if not (token.isascii() and token.isprintable()) or " " in token:
            raise NotAuthenticated(f"{TOKEN} or its file holds no token", "Write the token alone, on one line.")
        request.headers["Authorization"] = f"Bearer {token}"
        return request


class _Google(AuthBase):
    """The application default credentials."""

    def __init__(self) -> None:
        import google.auth  # noqa: PLC0415 - slow to import
        from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415 - slow to import
        from google.auth.transport.requests import Request  # noqa: PLC0415 - slow to import

        try:
            found: tuple[Any, str | None] = google.auth.default(scopes=[_GOOGLE_SCOPE])
        except GoogleAuthError:
            raise _no_google_credentials() from None
        self._credentials = found[0]
        self._transport = Request()

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        from google.auth.exceptions import RefreshError  # noqa: PLC0415 - slow to import

        try:
            self._credentials.before_request(self._transport, request.method, request.url, request.headers)
        except RefreshError:
            raise _no_google_credentials() from None
        return request


def _no_google_credentials() -> NotAuthenticated:
    return NotAuthenticated(
        "there are no usable Google Cloud credentials",
        "Run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS. "
        "Grant roles/healthcare.dicomViewer on the dataset.",
    )


def _secret(name: str) -> str:
    """Read a secret from a variable, or from the file that another one names."""
    if name in os.environ:
        return os.environ[name]
    file = os.environ.get(f"{name}_FILE")
    if not file:
        raise NotAuthenticated(f"neither {name} nor {name}_FILE is set", "Set one of them.")
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        raise NotAuthenticated(f"the file that {name}_FILE names cannot be read", "Check its path.") from None
