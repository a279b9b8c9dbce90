from __future__ import annotations

import datetime as dt
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from dicombq.errors import (
    DicombqError,
    Failed,
    InvalidArgument,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    Temporary,
)
from dicombq.stores.dicomweb import server as module
from dicombq.stores.dicomweb.server import Server, check_url, server_at
from tests.fakes.dicomweb import Answer, DicomwebFake, break_off, model, reply, reset, stall, trickle
from tests.processes import free_port

CANARY = "CANARY7f3a"


def ask(url: str, path: str = "/studies") -> object:
    return Server(url).get_json(path, {"limit": "1"})


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long is waited between attempts, without waiting."""
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    monkeypatch.setattr(module, "_DELAYS", (0.5, 1.0, 2.0))
    return waited


@pytest.mark.parametrize("url", ["https://host/dicom-web", "http://127.0.0.1:8042/dicom-web/", "https://[::1]/a"])
def test_a_servers_url_has_no_slash_at_its_end(url: str) -> None:
    assert check_url(url) == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        f"https://user:{CANARY}@host/dicom-web",
        f"https://{CANARY}@host/dicom-web",
        f"https://host/dicom-web?token={CANARY}",
        f"https://host/dicom-web#{CANARY}",
        "https:///dicom-web",
        "https:/host",
        "https://host:port/",
        "https://[::1/",
        "https://ho st/",
        "https://host/\n",
        "ftp://host/dicom-web",
    ],
)
def test_what_is_no_servers_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(InvalidArgument) as error:
        check_url(url)
    assert CANARY not in error.value.message + error.value.hint


@pytest.mark.parametrize("fault", [reset, break_off, reply(503), reply(429), reply(502), reply(500), reply(408)])
def test_what_fails_for_a_while_is_asked_again(fake: DicomwebFake, fault: Answer) -> None:
    fake.instances = [model("1", "2", "3")]
    fake.faults += [fault, fault]
    assert ask(fake.url)
    assert len(fake.requests) == 3


def test_a_slow_answer_is_read_to_its_end(fake: DicomwebFake) -> None:
    fake.instances = [model("1", "2", "3")]
    fake.always = trickle
    assert ask(fake.url)


@pytest.mark.parametrize("fault", [reset, break_off, reply(503, b"busy"), reply(500)])
def test_what_fails_again_and_again_is_temporary(fake: DicomwebFake, fault: Answer) -> None:
    fake.always = fault
    with pytest.raises(Temporary):
        ask(fake.url)
    assert len(fake.requests) in (3, 4)


def test_a_server_that_says_nothing_is_given_up(fake: DicomwebFake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TIMEOUT", (5.0, 0.05))
    fake.always = stall
    with pytest.raises(Temporary, match="in time"):
        ask(fake.url)


def test_a_server_that_is_not_there_is_temporary() -> None:
    with pytest.raises(Temporary, match="cannot be reached: Connection refused"):
        ask(f"http://127.0.0.1:{free_port()}/dicom-web")
    with pytest.raises(Temporary, match=r"cannot be reached: .*[Nn]ame"):
        ask("http://host.invalid/dicom-web")


def test_pauses_grow_and_heed_what_the_server_asks_for(fake: DicomwebFake, pauses: list[float]) -> None:
    in_a_minute = (dt.datetime.now(dt.timezone.utc) + dt.timedelta(days=9)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    fake.faults += [reply(503, Retry_After="7"), reply(429, Retry_After=in_a_minute), reply(503, Retry_After="soon")]
    ask(fake.url)
    assert pauses == [7.0, 120.0, 2.0]


def test_a_first_look_does_not_wait_long(fake: DicomwebFake, pauses: list[float]) -> None:
    fake.always = reply(503)
    with pytest.raises(Temporary):
        Server(fake.url).get_json("/studies", patient=False)
    assert pauses == [0.5]


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (reply(401), NotAuthenticated, "401"),
        (reply(403), NotPermitted, "403"),
        (reply(404), NotFound, "404"),
        (reply(400, CANARY.encode()), Failed, "400"),
        (reply(304), Failed, "304"),
        (reply(409), Failed, "409"),
        (reply(200, b"<html>" + CANARY.encode(), "text/html; charset=utf-8"), Failed, "text/html"),
        (reply(200, b"[" * 5000), Failed, r"dicom\+json"),
    ],
)
def test_an_answer_that_is_none_is_an_error_without_its_text(
    fake: DicomwebFake, answer: Answer, error: type[DicombqError], said: str
) -> None:
    fake.always = answer
    with pytest.raises(error, match=said) as raised:
        ask(fake.url)
    assert CANARY not in raised.value.message + raised.value.hint
    assert len(fake.requests) == 1


@pytest.mark.parametrize("answer", [reply(204), reply(200, b" \n")])
def test_no_content_is_nothing(fake: DicomwebFake, answer: Answer) -> None:
    fake.always = answer
    assert ask(fake.url) is None


def test_an_answer_that_is_too_long_is_not_read_to_its_end(fake: DicomwebFake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ANSWER", 1 << 17)
    fake.always = reply(200, b"[" + b" " * (1 << 18) + b"]")
    with pytest.raises(Failed, match="MiB"):
        ask(fake.url)


def test_a_redirect_at_the_same_server_is_followed(fake: DicomwebFake) -> None:
    fake.instances = [model("1", "2", "3")]
    fake.faults.append(reply(307, Location="/dicom-web/studies?limit=1"))
    assert ask(fake.url)


def test_a_redirect_to_another_server_is_refused_before_it_gets_credentials(
    fake: DicomwebFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DICOMBQ_DICOMWEB_TOKEN", CANARY)
    with DicomwebFake() as other:
        fake.always = reply(302, Location=f"{other.url}/sign-in?{CANARY}")
        with pytest.raises(Failed, match="redirects to") as error:
            ask(fake.url)
        assert other.requests == []
    assert CANARY not in error.value.message + error.value.hint


def test_too_many_redirects_end(fake: DicomwebFake) -> None:
    fake.always = reply(302, Location="/dicom-web/studies")
    with pytest.raises(Failed, match="TooManyRedirects"):
        ask(fake.url)


def test_an_error_is_the_servers_own_where_it_answers_nothing_else(fake: DicomwebFake) -> None:
    server = Server(fake.url)
    server.raise_if_down(NotFound("an instance"))
    server.raise_if_down(Temporary("an instance"))
    with pytest.raises(NotAuthenticated):
        server.raise_if_down(NotAuthenticated("all"))
    fake.always = reply(503)
    with pytest.raises(Temporary, match="503"):
        server.raise_if_down(Temporary("an instance"))


def test_google_cloud_names_its_role(fake: DicomwebFake, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(fake.url)
    fake.always = reply(403)
    monkeypatch.setattr(module, "GOOGLE_HOST", "127.0.0.1")
    with pytest.raises(NotPermitted) as error:
        server.get_json("/studies")
    assert "roles/healthcare.dicomViewer" in error.value.hint


def test_a_process_has_one_session_with_a_server() -> None:
    assert server_at("http://127.0.0.1:1/a") is server_at("http://127.0.0.1:1/a")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for the loopback interface that no authority knows."""
    file = tmp_path_factory.mktemp("certificate") / "both.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(file), "-out", f"{file}.crt"),
        ],
        check=True,
        capture_output=True,
    )
    with file.open("ab") as both:
        both.write(Path(f"{file}.crt").read_bytes())
    return file


@pytest.fixture
def https(certificate: Path) -> Iterator[str]:
    """A server with that certificate."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'["there"]')

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients hang up
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"https://127.0.0.1:{server.server_address[1]}/dicom-web"
        server.shutdown()
        thread.join()


def test_a_certificate_that_is_not_trusted_is_refused_at_once(https: str) -> None:
    with pytest.raises(Failed, match=r"certificate of .* is not trusted: self.signed certificate") as error:
        ask(https)
    assert "REQUESTS_CA_BUNDLE" in error.value.hint


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_an_authority_of_ones_own_is_trusted(
    https: str, certificate: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, f"{certificate}.crt")
    assert ask(https) == ["there"]


def test_an_authority_that_cannot_be_read_is_an_error(https: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")
    with pytest.raises(Failed, match="REQUESTS_CA_BUNDLE"):
        ask(https)


def test_a_server_that_does_not_speak_tls_cannot_be_reached(fake: DicomwebFake) -> None:
    with pytest.raises(Temporary, match="cannot be reached"):
        ask(fake.url.replace("http:", "https:"))
