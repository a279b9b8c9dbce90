"""Every method of the API, and all that can be wrong with asking for it."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from dicombq.serve.rest import METHODS, VERSIONS
from tests.serve.conftest import Serve

ALL = ("GET", "POST", "PUT", "PATCH", "DELETE")
NAMES = {
    "project": "my-project",
    "location": "us-central1",
    "dataset": "my-dataset",
    "store": "nowhere",
    "operation": "12",
    "study": "1.2",
    "series": "1.2.3",
    "instance": "1.2.3.4",
}
PATHS = {path: re.sub(r"\{(\w+)(:id)?\}", lambda match: NAMES[match[1]], path) for path in METHODS}
WITH_BODY = [
    (name, path) for path, methods in METHODS.items() for name, method in methods.items() if method.message is not None
]
STORE = "/v1/projects/my-project/locations/us-central1/datasets/my-dataset/dicomStores/my-store"


def error_of(answer: Any, code: int, status: str) -> dict[str, Any]:
    """Check that an answer is an error as Google's front end writes it."""
    assert answer.status_code == code, answer.text
    assert answer.headers["content-type"] == "application/json; charset=UTF-8"
    error: dict[str, Any] = answer.json()["error"]
    assert (error["code"], error["status"]) == (code, status)
    assert error["message"]
    assert error.keys() <= {"code", "message", "status", "details"}
    return error


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", METHODS)
def test_a_method_that_a_path_does_not_have_is_not_allowed(client: TestClient, version: str, path: str) -> None:
    for method in set(ALL) - METHODS[path].keys():
        answer = client.request(method, f"/{version}{PATHS[path]}")
        error_of(answer, 405, "UNIMPLEMENTED")
        assert answer.headers["allow"] == ", ".join(METHODS[path])


@pytest.mark.parametrize("path", [path for path in METHODS if "{store" in path or "{operation" in path])
def test_what_is_not_there_is_not_found(client: TestClient, path: str) -> None:
    for method, rule in METHODS[path].items():
        query = {"updateMask": "labels"} if method == "PATCH" else {}
        body: dict[str, Any] = {"gcsSource": {"uri": "/x/**"}} if path.endswith("import") else {}
        if path.endswith("export"):
            body = {"gcsDestination": {"uriPrefix": "/x"}}
        answer = client.request(method, f"/v1{PATHS[path]}", params=query, json=body if rule.message else None)
        error_of(answer, 404, "NOT_FOUND")


@pytest.mark.parametrize(
    "path",
    [
        "/v1",
        "/v2/projects/p/locations/l/datasets",
        "/v1/projects/p",
        "/v1/projects/p/locations/l/datasets/d/stores",
        f"{STORE}:explode",
        f"{STORE}:",
        f"{STORE}/",
        f"{STORE}:export/more",
        "/v1/projects/p/locations/l/datasets//dicomStores",
    ],
)
def test_a_path_that_the_api_does_not_have_is_not_found(client: TestClient, scans: Path, path: str) -> None:
    for method in ALL:
        error_of(client.request(method, path, follow_redirects=False), 404, "NOT_FOUND")


@pytest.mark.parametrize(
    "path",
    [
        f"{STORE}:getIamPolicy",
        f"{STORE}:deidentify",
        f"{STORE}:setBlobStorageSettings",
        "/v1beta1/projects/p/locations/l/datasets/d:setIamPolicy",
        "/v1/projects/p/locations/l/datasets/d/fhirStores",
        "/v1/projects/p/locations/l/datasets/d/hl7V2Stores/s/messages/m",
    ],
)
def test_what_google_has_and_dicombq_lacks_is_not_implemented(client: TestClient, path: str) -> None:
    assert "datasets" in error_of(client.post(path, json={}), 501, "UNIMPLEMENTED")["message"]


@pytest.mark.parametrize(("method", "path"), WITH_BODY, ids=str)
def test_a_body_has_to_be_json_of_the_message(client: TestClient, method: str, path: str) -> None:
    def ask(body: bytes | Iterator[bytes], content_type: str | None = "application/json", **headers: str) -> Any:
        kind = {} if content_type is None else {"Content-Type": content_type}
        return client.request(method, f"/v1{PATHS[path]}", content=body, headers=kind | headers)

    for wrong in (b"{", b"nonsense", b"\xff", b"[1]", b'"x"', b"1"):
        error_of(ask(wrong), 400, "INVALID_ARGUMENT")
    for name in ("unknown", "un_known", "", "__class__"):
        error = error_of(ask(json.dumps({name: 1}).encode()), 400, "INVALID_ARGUMENT")
        [details] = error["details"]
        assert f'Unknown name "{name}"' in details["fieldViolations"][0]["description"]
    for kind in (None, "", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
                 "application/json; charset=latin-1", "application/jsonp"):  # fmt: skip
        assert "application/json" in error_of(ask(b"{}", kind), 415, "INVALID_ARGUMENT")["message"]
    error_of(ask(gzip.compress(b"{}"), **{"Content-Encoding": "gzip"}), 415, "INVALID_ARGUMENT")
    error_of(ask(b'{"x": "' + b"x" * (1 << 20) + b'"}'), 413, "INVALID_ARGUMENT")
    error_of(ask(iter([b" " * 300_000] * 4)), 413, "INVALID_ARGUMENT")


@pytest.mark.parametrize("path", METHODS)
def test_a_parameter_that_a_method_does_not_have_is_refused(client: TestClient, path: str) -> None:
    for method in METHODS[path]:
        for query in ({"nonsense": "1"}, {"page_size": "1"}, {"alt": "media"}, {"$alt": "proto"}, {"prettyPrint": "x"}):
            error = error_of(client.request(method, f"/v1{PATHS[path]}", params=query), 400, "INVALID_ARGUMENT")
            assert error["details"][0]["@type"] == "type.googleapis.com/google.rpc.BadRequest"


@pytest.mark.parametrize(
    "query",
    [
        "alt=json",
        "$alt=json",
        "key=AIza&quotaUser=me",
        "prettyPrint=true",
        "access_token=x&oauth_token=y",
        "$.xgafv=2&upload_protocol=raw&uploadType=media",
        "fields=name&userProject=p",
    ],
)
def test_parameters_that_all_methods_have_are_taken(client: TestClient, scans: Path, query: str) -> None:
    assert client.get(f"{STORE}?{query}").json()["name"].endswith("my-store")


@pytest.mark.parametrize("path", [STORE, f"{STORE}-not"])
def test_answers_are_pretty_unless_somebody_does_not_want_it(client: TestClient, scans: Path, path: str) -> None:
    pretty = client.get(path)
    assert pretty.text == json.dumps(pretty.json(), indent=2) + "\n"
    for query in ("prettyPrint=false", "prettyPrint=0", "prettyPrint=False", "$prettyPrint=false"):
        compact = client.get(f"{path}?{query}")
        assert (compact.text.count("\n"), compact.json()) == (1, pretty.json())


def test_the_head_of_an_answer_can_be_asked_for(client: TestClient, scans: Path) -> None:
    assert client.head(STORE).status_code == 200
    assert client.head(f"{STORE}-not").status_code == 404


@pytest.mark.parametrize(
    ("headers", "code"), [({}, 401), ({"Authorization": "Bearer wrong"}, 401)], ids=["no", "wrong"]
)
def test_without_the_token_no_method_is_reached(serve: Serve, headers: dict[str, str], code: int) -> None:
    client = serve(token="0123456789abcdef")
    for path, methods in METHODS.items():
        for method in methods:
            error_of(client.request(method, f"/v1{PATHS[path]}", headers=headers), code, "UNAUTHENTICATED")


def test_of_another_host_no_method_is_reached(client: TestClient) -> None:
    for path, methods in METHODS.items():
        for method in methods:
            answer = client.request(method, f"/v1{PATHS[path]}", headers={"Host": "healthcare.googleapis.com"})
            error_of(answer, 421, "PERMISSION_DENIED")


def test_a_server_that_is_read_only_reads(serve: Serve, scans: Path) -> None:
    client = serve(read_only=True)
    for path, methods in METHODS.items():
        for method in methods:
            answer = client.request(method, f"/v1{PATHS[path]}")
            if method == "GET":
                assert answer.status_code in (200, 404)
            else:
                error_of(answer, 403, "PERMISSION_DENIED")


def test_a_defect_is_told_without_its_message(
    client: TestClient, scans: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_arguments: object) -> None:
        raise KeyError("DOE^JANE")

    monkeypatch.setattr("dicombq.stores.registry.StoreRegistry.get", fail)
    error = error_of(client.get(STORE), 500, "INTERNAL")
    assert re.fullmatch(r"internal error: KeyError at test_errors\.py:\d+", error["message"])
    assert error["message"] in caplog.text
    assert "DOE" not in caplog.text
