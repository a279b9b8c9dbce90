"""A DICOMweb server over HTTP: one session, retries, and errors that a user can act on.

`dicomweb-client` is not used: it imports NumPy and Pillow, follows redirects to other hosts, does not retry
connections that die, and gives instances as parsed data sets, not as their bytes.
"""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from email.message import Message
from functools import lru_cache, partial
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

import orjson
import requests
from requests import Response
from requests.exceptions import ChunkedEncodingError, ContentDecodingError, SSLError, Timeout, TooManyRedirects
from requests.exceptions import ConnectionError as NoConnection
from requests.utils import get_environ_proxies
from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

from dicombq.errors import DicombqError, Failed, InvalidArgument, NotAuthenticated, NotFound, NotPermitted, Temporary
from dicombq.stores.dicomweb.credentials import GOOGLE_HOST, credentials_for
from dicombq.system.files import printable

JSON = "application/dicom+json"
MAX_ANSWER = 64 << 20
"""Bytes of an answer in JSON that are read at most, inflated."""

_DELAYS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
_FEW = 2  # further attempts, for what costs a minute or will stay
_MAX_DELAY = 120.0  # seconds, whatever Retry-After says
_TIMEOUT = (10.0, 60.0)  # seconds: to connect, and from one piece of an answer to the next
_CHUNK = 1 << 16
_BUSY = frozenset({408, 429, 502, 503, 504})
_BROKEN = (NoConnection, Timeout, ChunkedEncodingError, ContentDecodingError)
_CREDENTIALS = (
    "Set DICOMBQ_DICOMWEB_USERNAME and DICOMBQ_DICOMWEB_PASSWORD_FILE, or DICOMBQ_DICOMWEB_TOKEN_FILE; "
    "`~/.netrc` is read too."
)
CHECK_URL = "Check the URL: it is the base of DICOMweb, as https://host/dicom-web."
"""A hint."""

T = TypeVar("T")
E = TypeVar("E", bound=BaseException)


def check_url(text: str) -> str:
    """Check the base URL of a server; give it without a final slash.

    Raises
    ------
    InvalidArgument
        Where it is none, or holds a password or a query.
    """
    try:
        url = urlsplit(text)
        is_whole = bool(url.scheme in ("http", "https") and url.hostname and url.port != 0)
    except ValueError:
        url, is_whole = urlsplit(""), False
    if "@" in url.netloc:
        raise InvalidArgument("a URL with a user or a password is refused: other users can read it", _CREDENTIALS)
    if not is_whole or url.query or url.fragment or not text.isprintable() or " " in text:
        raise InvalidArgument("that is not the base URL of a DICOMweb server", "Give it as https://host/dicom-web.")
    return text.rstrip("/")


@lru_cache(maxsize=8)
def server_at(base: str) -> Server:
    """Give this process's session with a server; stores are pickled, sessions are not."""
    return Server(base)


class Server:
    """A session with a server.

    Parameters
    ----------
    base
        Its URL, as `check_url` gives it.
    delays
        Seconds to wait before each further attempt.
    """

    def __init__(self, base: str, delays: tuple[float, ...] | None = None) -> None:
        self.base = base
        self._delays = _DELAYS if delays is None else delays
        self._session = _Session()
        self._session.auth = credentials_for(base)
        self._session.trust_env = False  # but for proxies, it is this class that looks at the environment
        self._session.proxies.update(get_environ_proxies(base))
        self._session.verify = _authorities()

    def get_json(
        self, path: str, query: dict[str, str] | None = None, *, patient: bool = True, max_size: int | None = None
    ) -> Any:
        """Get an answer in JSON; None where there is no content.

        Parameters
        ----------
        patient
            Whether to try again for a minute what may succeed later, or once.
        max_size
            Bytes that are read at most, inflated; None for `MAX_ANSWER`.

        Raises
        ------
        DicombqError
            As the class says; `Temporary` comes after all attempts.
        """
        delays = self._delays if patient else self._delays[:1]
        return self._ask(
            lambda: self._request("GET", path, JSON, params=query), partial(self._json_of, max_size=max_size), delays
        )

    @contextmanager
    def stream(self, path: str, accept: str) -> Iterator[tuple[Message, Iterator[bytes]]]:
        """Open an answer: its headers, and its body in pieces as they arrive; one that breaks off is `Temporary`."""
        with self._ask(lambda: self._request("GET", path, accept), lambda answer: answer, self._delays) as answer:
            headers = Message()
            headers["Content-Type"] = answer.headers.get("Content-Type", "")
            yield headers, self._pieces(answer)

    def _pieces(self, answer: Response) -> Iterator[bytes]:
        try:
            with _breaks(self.host):
                yield from answer.iter_content(_CHUNK)
        except _Again as again:
            raise again.error from None

    def post(self, path: str, body: Iterable[bytes], content_type: str) -> tuple[int, Any]:
        """Send a body, anew for each attempt; give the status and the answer, which tells what was stored.

        A body that the server understood and refused (409) is no error here.
        """

        def send() -> Response:
            headers = {"Content-Type": content_type}
            return self._request("POST", path, JSON, data=body, headers=headers, allow_redirects=False)

        return self._ask(send, lambda answer: (answer.status_code, self._json_of(answer)), self._delays)

    def raise_if_down(self, error: DicombqError) -> None:
        """Raise an error that is not a single study's or instance's fault: the server gives nothing any more.

        Raises
        ------
        NotAuthenticated, Temporary
            Where that is so.
        """
        if isinstance(error, NotAuthenticated):
            raise error from None
        if isinstance(error, Temporary):
            self.get_json("/studies", {"limit": "1"}, patient=False)

    @property
    def host(self) -> str:
        """The host, and the port where it is named."""
        return urlsplit(self.base).netloc

    def _request(
        self, method: str, path: str, accept: str, *, headers: dict[str, str] | None = None, **how: Any
    ) -> Response:
        headers = {"Accept": accept, **(headers or {})}
        return self._session.request(method, self.base + path, headers=headers, stream=True, timeout=_TIMEOUT, **how)

    def _ask(self, request: Callable[[], Response], read: Callable[[Response], T], delays: tuple[float, ...]) -> T:
        for attempt, delay in enumerate((*delays, None)):
            try:
                with _breaks(self.host):
                    answer = request()
                    try:
                        self._check(answer)
                        return read(answer)
                    except BaseException:
                        answer.close()
                        raise
            except _Again as again:
                if delay is None or (again.is_stubborn and attempt == _FEW):
                    raise again.error from None
                time.sleep(min(max(delay, again.after), _MAX_DELAY))
        raise AssertionError  # the last attempt returns or raises

    def _check(self, answer: Response) -> None:
        """Raise what a status means; bodies are not shown, for they may hold a patient's data."""
        status = answer.status_code
        if status < 300 or (status == 409 and answer.request.method == "POST"):
            return
        said = self._answered(status)
        if status in _BUSY or status == 500:
            error = Temporary(said, "Run the command again later.")
            raise _Again(error, _retry_after(answer), is_stubborn=status == 500)  # often an instance's fault, and stays
        if status == 401:
            raise NotAuthenticated(f"{said}: it does not accept the credentials, or wants some", _CREDENTIALS)
        if status == 403:
            raise NotPermitted(f"{said}: that is not permitted", self._role())
        if status in (404, 410):
            raise NotFound(f"{said}: there is no such thing", CHECK_URL)
        raise Failed(said, f"{CHECK_URL} The server's own log may say more.")

    def _answered(self, status: int) -> str:
        return f"the DICOMweb server [{self.host}] answered {status}"

    def _role(self) -> str:
        if urlsplit(self.base).hostname == GOOGLE_HOST:
            return "Grant roles/healthcare.dicomViewer on the dataset; to store, roles/healthcare.dicomEditor."
        return "Ask for the server's role that may search (QIDO-RS) and retrieve (WADO-RS)."

    def _json_of(self, answer: Response, max_size: int | None = None) -> Any:
        max_size = max_size or MAX_ANSWER
        with answer:
            body = bytearray()
            for chunk in answer.iter_content(_CHUNK):
                body += chunk
                if len(body) > max_size:
                    raise Failed(f"an answer of [{self.host}] has more than {max_size >> 20} MiB")
        if not body.strip():
            return None
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError:
            kind = answer.headers.get("Content-Type", "something").partition(";")[0]
            raise Failed(
                f"[{self.host}] answers with {printable(kind)}, not with DICOM JSON",
                f"{CHECK_URL} A sign-in page means that credentials are missing.",
            ) from None


class _Session(requests.Session):
    """A session that stays at its server: no redirect leads it, and its credentials, to another."""

    def get_redirect_target(self, resp: Response) -> str | None:
        target = super().get_redirect_target(resp)
        if target is None:
            return None
        there = urlsplit(urljoin(resp.url, target))
        if (there.scheme, there.netloc) != urlsplit(resp.url)[:2]:
            resp.close()
            raise Failed(
                f"the DICOMweb server [{urlsplit(resp.url).netloc}] redirects to "
                f"[{there.scheme}://{there.hostname}], which is refused",
                "Give that server's URL, if you trust it with your credentials. A sign-in page means that "
                "credentials are missing.",
            )
        return target


class _Again(Exception):
    """Something that may succeed at another attempt; what is stubborn gets few of them."""

    def __init__(self, error: Temporary, after: float = 0, *, is_stubborn: bool = False) -> None:
        super().__init__()
        self.error = error
        self.after = after
        self.is_stubborn = is_stubborn


@contextmanager
def _breaks(host: str) -> Iterator[None]:
    """Tell connections that die, which are tried again, from those that never come about."""
    try:
        yield
    except SSLError as error:
        if refused := _behind(error, ssl.SSLCertVerificationError, lambda _: True):
            raise Failed(
                f"the certificate of [{host}] is not trusted: {refused.verify_message}",
                "Name the file of its authority in REQUESTS_CA_BUNDLE. Certificates are always verified.",
            ) from None
        raise _Again(_no_connection(host, error)) from None
    except _BROKEN as error:
        raise _Again(_no_connection(host, error), is_stubborn=isinstance(error, Timeout)) from None
    except OSError as error:  # of requests or the system; their messages hold URLs and headers
        if isinstance(error, TooManyRedirects) and error.response is not None:
            error.response.close()
        raise Failed(f"the DICOMweb server [{host}] cannot be asked ({type(error).__name__})") from None


def _authorities() -> str | bool:
    """Find the file or folder of the authorities whose certificates are trusted; True for the usual ones."""
    for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        if path := os.environ.get(name):
            if not os.path.exists(path):
                raise Failed(f"the authorities that {name} names are not there", "Give the path of their certificates.")
            return path
    return True


def _no_connection(host: str, error: Exception) -> Temporary:
    known = _behind(error, OSError, lambda behind: bool(behind.errno and behind.strerror))
    why = known.strerror if known else "the connection broke off"
    return Temporary(
        f"the DICOMweb server [{host}] cannot be reached: {'no answer in time' if isinstance(error, Timeout) else why}",
        "Check its address, and that it runs; then run the command again.",
    )


def _behind(error: BaseException, kind: type[E], is_wanted: Callable[[E], bool]) -> E | None:
    """Find the error of a kind that is behind one of requests, which holds it in this way or that."""
    seen: list[object] = [error]
    while seen:
        one = seen.pop()
        if isinstance(one, kind) and is_wanted(one):
            return one
        if isinstance(one, BaseException):
            seen += [one.__context__, getattr(one, "reason", None), *one.args]
    return None


def _retry_after(answer: Response) -> float:
    try:
        return Retry().parse_retry_after(answer.headers.get("Retry-After", "0"))
    except InvalidHeader:
        return 0
