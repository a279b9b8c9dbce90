from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import requests
from google.auth import exceptions
from google.auth.credentials import AnonymousCredentials

from dicombq.errors import NotAuthenticated
from dicombq.stores.dicomweb import credentials
from dicombq.stores.dicomweb.credentials import credentials_for

BASE = "https://host/dicom-web"
GOOGLE = "https://healthcare.googleapis.com/v1/projects/p/locations/l/datasets/d/dicomStores/s/dicomWeb"
CANARY = "CANARY7f3a"


def sent(base: str = BASE) -> str | None:
    """The header that a request to a server has."""
    header: str | None = (
        requests.Request("GET", base, auth=credentials_for(base)).prepare().headers.get("Authorization")
    )
    return header


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def test_there_are_none_by_default() -> None:
    assert sent() is None


def test_a_token_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DICOMBQ_DICOMWEB_TOKEN", "abc.DEF-1_~+/=")
    monkeypatch.setenv("DICOMBQ_DICOMWEB_USERNAME", "unused")
    assert sent() == "Bearer abc.DEF-1_~+/="


def test_a_tokens_file_is_read_for_each_request(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "token"
    monkeypatch.setenv("DICOMBQ_DICOMWEB_TOKEN_FILE", str(file))
    auth = credentials_for(BASE)
    for token in ("first", "second"):
        file.write_text(f"{token}\n")
        assert requests.Request("GET", BASE, auth=auth).prepare().headers["Authorization"] == f"Bearer {token}"


@pytest.mark.parametrize("token", [f"{CANARY}\nX-Other: 1", f"{CANARY} 1", f"{CANARY}ä", "\x07"])
def test_a_token_that_is_none_is_refused_without_being_shown(monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    monkeypatch.setenv("DICOMBQ_DICOMWEB_TOKEN", token)
    with pytest.raises(NotAuthenticated) as error:
        sent()
    assert CANARY not in error.value.message + error.value.hint


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    monkeypatch.setenv("DICOMBQ_DICOMWEB_TOKEN_FILE", str(tmp_path / "token"))
    with pytest.raises(NotAuthenticated, match="DICOMBQ_DICOMWEB_TOKEN_FILE"):
        sent()


def test_a_password_comes_from_a_file_or_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("größe\n")
    monkeypatch.setenv("DICOMBQ_DICOMWEB_USERNAME", "jörg")
    monkeypatch.setenv("DICOMBQ_DICOMWEB_PASSWORD_FILE", str(tmp_path / "password"))
    assert sent() == basic("jörg", "größe")
    monkeypatch.setenv("DICOMBQ_DICOMWEB_PASSWORD", "other")
    assert sent() == basic("jörg", "other")


def test_a_user_without_a_password_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DICOMBQ_DICOMWEB_USERNAME", "jane")
    with pytest.raises(NotAuthenticated, match="DICOMBQ_DICOMWEB_PASSWORD"):
        sent()


def test_netrc_is_for_the_hosts_that_it_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine host login jane password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    assert sent() == basic("jane", "secret")
    assert sent("https://other/dicom-web") is None


class Known(AnonymousCredentials):
    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def before_request(self, request: Any, method: str, url: str, headers: dict[str, str]) -> None:
        if self.error:
            raise self.error
        headers["Authorization"] = f"Bearer google's for {url}"


def test_google_credentials_are_for_googles_host_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    scopes: list[object] = []

    def default(**how: object) -> tuple[Known, str]:
        scopes.append(how["scopes"])
        return Known(), "p"

    monkeypatch.setattr("google.auth.default", default)
    assert sent(GOOGLE) == f"Bearer google's for {GOOGLE}"
    assert scopes == [["https://www.googleapis.com/auth/cloud-healthcare"]]
    for other in (BASE, GOOGLE.replace("https:", "http:"), GOOGLE.replace(".com", ".com.example.org")):
        assert sent(other) is None


@pytest.mark.parametrize("when", ["found", "used"])
def test_missing_google_credentials_name_the_way_out(monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    def default(**_how: object) -> tuple[Known, str]:
        if when == "found":
            raise exceptions.DefaultCredentialsError
        return Known(exceptions.RefreshError()), "p"  # type: ignore[no-untyped-call]  # google-auth has no types

    monkeypatch.setattr("google.auth.default", default)
    with pytest.raises(NotAuthenticated) as error:
        sent(GOOGLE)
    assert "gcloud auth application-default login" in error.value.hint
    assert "roles/healthcare.dicomViewer" in error.value.hint


def test_the_environment_wins_over_google(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(credentials.TOKEN, "own")
    assert sent(GOOGLE) == "Bearer own"
