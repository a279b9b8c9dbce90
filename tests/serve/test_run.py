from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from dicombq.cli.main import main
from dicombq.operations.state import State
from dicombq.operations.store import OperationStore
from tests.serve.processes import Server, let_end, server

DATASET = "projects/my-project/locations/us-central1/datasets/my-dataset"
TOKEN = "0123456789abcdef"


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.touch(0o600)
    file.write_text(f"{TOKEN}\n")
    return file


def get(url: str, token: str = "") -> bytes:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    with urllib.request.urlopen(request) as answer:
        body: bytes = answer.read()
        return body


def connection(running: Server) -> socket.socket:
    host, _, port = running.url.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)))


def test_a_line_for_each_face_says_where_it_is(real_server: Server) -> None:
    url = real_server.url
    assert real_server.lines == [
        f"gcloud:   export CLOUDSDK_API_ENDPOINT_OVERRIDES_HEALTHCARE={url}/",
        f"DICOMweb: {url}/v1/projects/local/locations/local/datasets/dicom/dicomStores/STORE/dicomWeb",
        f"Console:  {url}/",
    ]
    assert re.fullmatch(r"http://127\.0\.0\.1:[0-9]+", url)
    assert get(f"{url}/healthz") == b"ok\n"


def test_a_server_may_listen_on_an_address_of_ipv6(served: Path, tmp_path: Path) -> None:
    if not socket.has_ipv6:
        pytest.skip("there is no IPv6 here")
    with server(tmp_path / "serve.log", "--host=::1") as running:
        assert running.url.startswith("http://[::1]:")
        assert get(f"{running.url}/healthz") == b"ok\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_that_is_stopped_ends_though_clients_hold_on(real_server: Server, number: signal.Signals) -> None:
    with connection(real_server) as idle, connection(real_server) as uploading:
        idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert idle.recv(100)
        uploading.sendall(
            f"POST /v1/{DATASET}/dicomStores?dicomStoreId=s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n"
            "Content-Type: application/json\r\n\r\n{".encode()
        )
        real_server.process.send_signal(number)
        assert real_server.process.wait(60) == 0
    assert real_server.log.read_text().splitlines()[3:] == ["Stopped."]


def test_a_server_that_is_stopped_does_not_wait_for_a_slow_store(
    served: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = (
        "import sys, time\nfrom dicombq.cli.main import main\nfrom dicombq.serve.rest import stores\n"
        "stores.StoreRegistry.list = lambda *_: print('asked', file=sys.stderr, flush=True) or time.sleep(600)\n"
        "sys.exit(main(['serve', '--port=0']))\n"
    )
    log = tmp_path / "serve.log"
    with log.open("w") as out, subprocess.Popen([sys.executable, "-c", script], stderr=out, text=True) as process:
        while log.read_text().count("\n") < 3:
            assert process.poll() is None
        running = Server(process, log.read_text().splitlines()[:3], log)
        with connection(running) as asking:
            asking.sendall(f"GET /v1/{DATASET}/dicomStores HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            while "asked" not in log.read_text():
                assert process.poll() is None
            assert running.stop()[0] == 0


def test_operations_go_on_when_the_server_is_stopped(
    real_server: Server, scans: Path, served: Path, tmp_path: Path
) -> None:
    body = json.dumps({"bigqueryDestination": {"tableUri": f"duckdb://{tmp_path}/x.duckdb/d.t"}}).encode()
    kind = {"Content-Type": "application/json"}
    url = f"{real_server.url}/v1/{DATASET}/dicomStores/my-store:export"
    with urllib.request.urlopen(urllib.request.Request(url, body, kind)) as answer:
        begun = json.load(answer)
    assert real_server.stop()[0] == 0
    let_end()
    operation = OperationStore(served).get(begun["name"].rpartition("/")[2])
    assert (operation.state, operation.counters.success) == (State.DONE, 3)


def test_systemd_is_told_when_a_server_is_there_and_when_it_ends(
    served: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "notify"))
        channel.settimeout(60)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        with server(tmp_path / "serve.log") as running:
            assert channel.recv(100) == b"READY=1"
            running.stop()
            assert channel.recv(100) == b"STOPPING=1"


def test_what_is_asked_for_is_logged_where_it_is_wanted_and_queries_never(served: Path, tmp_path: Path) -> None:
    with server(tmp_path / "serve.log", "--verbosity=info") as running:
        get(f"{running.url}/healthz?PatientName=DOE^JANE")
        with connection(running) as nonsense:
            nonsense.sendall(b"PatientName=DOE^JANE\r\n\r\n")
            nonsense.recv(100)
        _, log = running.stop()
    assert re.search(r"INFO: GET /healthz 200 \d+ ms$", log, re.MULTILINE)
    assert "DOE" not in log


def test_other_machines_are_served_with_a_token_only(
    served: Path, tmp_path: Path, token_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for host in ("0.0.0.0", "::", "example.org"):
        assert main(["serve", f"--host={host}"]) == 2
        assert "--token-file=FILE" in capsys.readouterr().err
    with server(tmp_path / "serve.log", "--host=0.0.0.0", f"--token-file={token_file}", lines=4) as running:
        assert running.lines[3].startswith("WARNING: whoever has the token and reaches [0.0.0.0] can use all of")
        url = f"http://127.0.0.1:{running.lines[0].rpartition(':')[2]}v1/{DATASET}/dicomStores"
        assert json.loads(get(url, TOKEN)) == {"dicomStores": []}
        assert TOKEN not in running.log.read_text()


def test_a_token_is_a_secret(
    served: Path, tmp_path: Path, token_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(file: Path) -> str:
        code = main(["serve", "--port=0", f"--token-file={file}"])
        return f"{code} {capsys.readouterr().err}"

    assert refused(tmp_path / "nowhere").startswith("7 ERROR: (dicombq.serve) there is no file")
    token_file.chmod(0o640)
    assert "chmod 600" in refused(token_file)
    token_file.chmod(0o600)
    for text in ("", "short", f"{TOKEN} {TOKEN}", f"{TOKEN}\x01", f"{TOKEN}ä"):
        token_file.write_text(text)
        assert refused(token_file).startswith("2 ERROR: (dicombq.serve) the token in")


def test_a_port_that_is_taken_is_told(served: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        assert main(["serve", f"--port={other.getsockname()[1]}"]) == 1
    assert "Address already in use" in capsys.readouterr().err


def test_without_the_extra_the_way_out_is_told(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "uvicorn" else object())
    assert main(["serve"]) == 2
    assert "uvicorn is not installed.\nInstall it: pip install 'dicombq[serve]'" in capsys.readouterr().err
    assert not home.exists()


@pytest.mark.parametrize("size", ["", "x", "1.5GB", "-1", "10 GB", "10GBs"])
def test_an_upload_has_a_size(home: Path, size: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", f"--max-upload={size}"]) == 2
    assert "is not a size such as 500MB or 20GB" in capsys.readouterr().err


def test_what_is_larger_than_a_request_may_be_is_refused(served: Path, tmp_path: Path) -> None:
    with server(tmp_path / "serve.log", "--max-upload=1KB") as running:
        for request in (
            b"Content-Length: 1001\r\n\r\n",
            b"Transfer-Encoding: chunked\r\n\r\n3E9\r\n" + b" " * 1001 + b"\r\n",
        ):
            with connection(running) as asking:
                head = f"POST /v1/{DATASET}/dicomStores?dicomStoreId=s HTTP/1.1\r\nHost: localhost\r\n"
                asking.sendall(head.encode() + b"Content-Type: application/json\r\n" + request)
                assert asking.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_files_of_a_server_are_its_owners(real_server: Server, scans: Path, served: Path) -> None:
    url = f"{real_server.url}/v1/{DATASET}/dicomStores?dicomStoreId=s"
    request = urllib.request.Request(url, b"{}", {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 200
    modes = {oct(os.stat(path).st_mode & 0o777) for path in served.rglob("*")}
    assert modes <= {"0o700", "0o600"}
