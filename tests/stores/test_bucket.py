"""Buckets: what is asked of the server, how its faults are told, and that nothing is mixed or lost."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from google.auth.exceptions import DefaultCredentialsError

from dicombq.dicom.values import timestamp
from dicombq.errors import DicombqError, Failed, InvalidArgument, NotAuthenticated, NotFound, NotPermitted, Temporary
from dicombq.names import Parent, StoreName, parse_object_uri
from dicombq.rows.record import Record
from dicombq.stores.base import Failure, Found, Result, StoreOptions
from dicombq.stores.bucket import PREFIX, TAIL, BucketStore
from dicombq.stores.object_client import ObjectClient, ObjectRef
from tests.dicom_bytes import JPEG, UNDEFINED, delimiter, element, instance, item, sequence
from tests.gcs_server import GcsBucket
from tests.proxy import Fault, Proxy, Request, answering, reset, slow, truncated
from tests.s3_server import S3Bucket
from tests.stores.conftest import Place

INSTANCE = instance(element(0x7FE00010, "OW", bytes(100_000)))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up early on a server that stays away."""
    monkeypatch.setattr("dicombq.stores.object_client.PATIENCE", 1.0)
    monkeypatch.setattr("google.cloud.storage.retry.DEFAULT_RETRY._timeout", 1.0)


@pytest.fixture(params=["gcs", "s3"])
def proxied(request: pytest.FixtureRequest) -> tuple[Place, Proxy]:
    """Give each kind of bucket in turn, behind a proxy."""
    return request.getfixturevalue(f"{request.param}_bucket"), request.getfixturevalue(f"{request.param}_proxy")


def opened(uri: str, options: StoreOptions = StoreOptions()) -> BucketStore:  # noqa: B008 - it is frozen
    return BucketStore.open(uri, Parent(), options)


def read(store: BucketStore, refs: list[ObjectRef] | None = None) -> dict[str, Result]:
    results = store.read(list(store.list()) if refs is None else refs, Record, 1 << 20)
    return {result.uri.removeprefix(f"{store.source}/"): result for result in results}


def parts(proxy: Proxy) -> list[Request]:
    """Give the requests for parts of objects."""
    return [request for request in proxy.requests if "Range" in request.headers]


def frames(count: int) -> bytes:
    """Write compressed pixel data, 100,000 bytes a frame, with a Basic Offset Table."""
    frame = item(bytes(100_000))
    table = struct.pack(f"<{count}L", *(number * len(frame) for number in range(count)))
    return element(0x7FE00010, "OB", item(table) + frame * count, length=UNDEFINED) + delimiter(0xFFFEE0DD)


def test_a_header_is_one_request_for_its_first_bytes(proxied: tuple[Place, Proxy]) -> None:
    place, proxy = proxied
    for number in range(100):
        place.put(f"{number:03}.dcm", INSTANCE)
    store = opened(place.uri)
    refs = list(store.list())
    proxy.requests.clear()
    assert all(isinstance(result, Found) for result in read(store, refs).values())
    assert [request.headers["Range"] for request in proxy.requests] == [f"bytes=0-{PREFIX - 1}"] * 100
    assert {request.size for request in proxy.requests} == {PREFIX}


def test_a_big_value_is_passed_over_and_only_what_is_behind_it_is_asked_for(proxied: tuple[Place, Proxy]) -> None:
    place, proxy = proxied
    place.put("a.dcm", instance(element(0x00091010, "OB", bytes(2 << 20)), element(0x00100020, "LO", "known")))
    (result,) = read(opened(place.uri)).values()
    assert isinstance(result, Found)
    assert result.row.values["PatientID"] == "known"
    assert sum(request.size for request in parts(proxy)) < 3 * PREFIX


def test_of_a_series_with_long_headers_only_the_first_ones_take_several_requests(
    proxied: tuple[Place, Proxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicombq.stores.bucket.THREADS", 4)
    place, proxy = proxied
    data = instance(*(element(0x00091010 + n, "LO", "x" * 60) for n in range(1000)))
    for number in range(30):
        place.put(f"{number:03}.dcm", data)
    store = opened(place.uri)
    refs = list(store.list())
    proxy.requests.clear()
    read(store, refs)
    names = [unquote(urlsplit(request.path).path)[-7:-4] for request in proxy.requests]
    assert names.count("000") > 1
    assert sorted(name for name in names if int(name) >= 12) == [f"{number:03}" for number in range(12, 30)]


@pytest.mark.parametrize("count", [1, 20])
def test_frames_are_not_looked_at_one_by_one(proxied: tuple[Place, Proxy], count: int) -> None:
    place, proxy = proxied
    place.put("a.dcm", instance(frames(count), syntax=JPEG))
    store = opened(place.uri)
    refs = list(store.list())
    proxy.requests.clear()
    (result,) = read(store, refs).values()
    assert isinstance(result, Found)
    assert result.row.values["DroppedTags"] == [{"TagName": "PixelData", "TagReference": ""}]
    ends, last_frame = [PREFIX, TAIL], [PREFIX] * (count > 1)
    assert [request.size for request in proxy.requests] == ends + last_frame


@pytest.mark.parametrize("undefined", [True, False])
def test_what_stands_behind_the_frames_is_found(bucket: Place, undefined: bool) -> None:
    signature = sequence(0xFFFAFFFA, element(0x04000005, "US", b"\1\0"), undefined=undefined)
    bucket.put("a.dcm", instance(frames(3), signature, syntax=JPEG))
    (result,) = read(opened(bucket.uri)).values()
    assert isinstance(result, Found)
    assert "DigitalSignaturesSequence" in result.row.values


def test_frames_that_are_cut_off_are_a_failure(bucket: Place) -> None:
    bucket.put("a.dcm", instance(frames(3), syntax=JPEG)[:-100])
    (result,) = read(opened(bucket.uri)).values()
    assert isinstance(result, Failure)
    assert result.code == "DATA_LOSS"


def test_an_object_without_bytes_is_not_asked_for(proxied: tuple[Place, Proxy]) -> None:
    place, proxy = proxied
    place.put("a.dcm", b"")
    (result,) = read(opened(place.uri)).values()
    assert isinstance(result, Failure)
    assert parts(proxy) == []


def overwriting(place: Place, data: bytes, times: int) -> Callable[[Request], None]:
    """Overwrite an object each time that it was asked for, so that what is asked for next is of another state."""
    states = [data + element(0xFFFCFFFC, "OB", bytes(2 * (number + 1))) for number in range(times)]

    def fault(request: Request) -> None:
        if "Range" in request.headers and states:
            place.put("a.dcm", states.pop())

    return fault


@pytest.mark.parametrize("times", [0, 1, 2, 3])
def test_an_object_that_is_overwritten_is_read_once_more_and_never_mixed(
    proxied: tuple[Place, Proxy], times: int
) -> None:
    place, proxy = proxied
    behind = element(0x00100020, "LO", "old")
    data = instance(element(0x00091010, "OB", bytes(2 << 20)), behind)
    place.put("a.dcm", data)
    store = opened(place.uri)
    refs = list(store.list())
    proxy.fault = overwriting(place, data.replace(behind, element(0x00100020, "LO", "new")), times)
    (result,) = read(store, refs).values()
    if times < 2:
        assert isinstance(result, Found)
        assert result.row.values["PatientID"] == ("new" if times else "old")
        assert result.size == len(data) + 14 * times
    else:
        assert result == Failure(result.ref, "ABORTED", "the object changed while it was read")


FAULTS: dict[str, Fault] = {
    "reset": reset,
    "429": answering(429),
    "503": answering(503),
    "500": answering(500, b"{}", "application/json"),
    "truncated": truncated,
    "slow": slow(0.3),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_passes_loses_nothing(proxied: tuple[Place, Proxy], fault: str) -> None:
    place, proxy = proxied
    for number in range(20):
        place.put(f"{number}.dcm", INSTANCE)
    seen: set[str] = set()

    def once(request: Request) -> Fault | None:
        """Fail for each object once, and for the listing."""
        if request.path in seen:
            return None
        seen.add(request.path)
        return FAULTS[fault]

    proxy.fault = once
    results = read(opened(place.uri))
    assert len(results) == 20
    assert all(isinstance(result, Found) for result in results.values())
    assert len(seen) > 20


@pytest.mark.parametrize("fault", ["reset", "503"])
@pytest.mark.parametrize("where", ["listing", "objects"])
def test_a_fault_that_stays_ends_the_work_and_fails_no_instance(
    proxied: tuple[Place, Proxy], fault: str, where: str
) -> None:
    place, proxy = proxied
    place.put("a.dcm", INSTANCE)
    store = opened(place.uri)
    refs = list(store.list())
    proxy.fault = lambda request: FAULTS[fault] if ("Range" in request.headers) == (where == "objects") else None
    with pytest.raises(Temporary):
        read(store, refs if where == "objects" else None)


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (403, "PERMISSION_DENIED", "not permitted to read it"),
        (400, "UNAVAILABLE", "the server answered 400"),
    ],
)
def test_what_the_server_refuses_of_one_object_is_its_failure(
    proxied: tuple[Place, Proxy], status: int, code: str, reason: str
) -> None:
    place, proxy = proxied
    for name in ("a.dcm", "b.dcm"):
        place.put(name, INSTANCE)
    store = opened(place.uri)
    refs = list(store.list())
    html = answering(status, b"<html>no</html>", "text/html")
    proxy.fault = lambda request: html if "b%2Edcm" in request.path or "b.dcm" in request.path else None
    results = read(store, refs)
    assert isinstance(results["a.dcm"], Found)
    assert results["b.dcm"] == Failure(results["b.dcm"].ref, code, reason)


def test_an_object_that_is_only_given_whole_is_a_failure(s3_bucket: S3Bucket, s3_proxy: Proxy) -> None:
    s3_bucket.put("a.dcm", INSTANCE)
    s3_proxy.fault = lambda request: answering(200, INSTANCE) if "Range" in request.headers else None
    (result,) = read(opened(s3_bucket.uri)).values()
    assert result == Failure(result.ref, "UNAVAILABLE", "the server does not give a part of it")


def test_an_archived_object_is_told_to_be_restored(s3_bucket: S3Bucket, s3_proxy: Proxy) -> None:
    s3_bucket.put("a.dcm", INSTANCE)
    archived = answering(403, b"<Error><Code>InvalidObjectState</Code></Error>", "application/xml")
    s3_proxy.fault = lambda request: archived if "Range" in request.headers else None
    (result,) = read(opened(s3_bucket.uri)).values()
    assert isinstance(result, Failure)
    assert result.reason == "it is archived, and must be restored before it can be read"


@pytest.mark.parametrize("where", ["listing", "objects"])
@pytest.mark.parametrize(("status", "error"), [(401, NotAuthenticated), (403, NotPermitted)])
def test_a_bucket_that_may_not_be_read_is_told_before_the_work(
    proxied: tuple[Place, Proxy], where: str, status: int, error: type[DicombqError]
) -> None:
    place, proxy = proxied
    place.put("a.dcm", INSTANCE)
    proxy.fault = lambda request: answering(status) if ("Range" in request.headers) == (where == "objects") else None
    with pytest.raises(error) as raised:
        opened(place.uri)
    if error is NotPermitted:
        assert ("roles/storage.objectViewer" if place.uri.startswith("gs") else "s3:GetObject") in raised.value.hint


def test_credentials_that_end_meanwhile_fail_no_instance(proxied: tuple[Place, Proxy]) -> None:
    place, proxy = proxied
    place.put("a.dcm", INSTANCE)
    store = opened(place.uri)
    refs = list(store.list())
    proxy.fault = lambda _request: answering(401)
    with pytest.raises(NotAuthenticated):
        read(store, refs)


@pytest.mark.parametrize("scheme", ["gs", "s3"])
def test_a_bucket_that_is_not_there_is_not_found(gcs_bucket: GcsBucket, s3_bucket: S3Bucket, scheme: str) -> None:
    with pytest.raises(NotFound, match=r"there is no bucket \[no-such-bucket\]"):
        opened(f"{scheme}://no-such-bucket/scans")


def test_a_server_that_is_not_there_is_temporary(
    home: Path, s3_bucket: S3Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("STORAGE_EMULATOR_HOST", "AWS_ENDPOINT_URL"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for scheme in ("gs", "s3"):
        with pytest.raises(Temporary, match=r"no connection|still fails after retries"):
            opened(f"{scheme}://bucket/scans")


def test_a_bucket_whose_requester_pays_asks_for_the_project_that_pays(gcs_bucket: GcsBucket, gcs_proxy: Proxy) -> None:
    gcs_bucket.put("a.dcm", INSTANCE)
    body = {"error": {"code": 400, "message": "Bucket is requester pays bucket but no user project provided."}}
    refusal = answering(400, json.dumps(body).encode(), "application/json")

    def fault(request: Request) -> Fault | None:
        headers = {name.lower(): value for name, value in request.headers.items()}
        paid = headers.get("x-goog-user-project") == "payer" or "userProject=payer" in request.path
        return None if paid else refusal

    gcs_proxy.fault = fault
    with pytest.raises(NotPermitted, match="pays for it"):
        opened(gcs_bucket.uri)
    (result,) = read(opened(gcs_bucket.uri, StoreOptions(billing_project="payer"))).values()
    assert isinstance(result, Found)


def test_who_pays_for_s3_is_no_project(s3_bucket: S3Bucket) -> None:
    with pytest.raises(InvalidArgument, match="--billing-project is for gs://"):
        opened(s3_bucket.uri, StoreOptions(billing_project="payer"))


def test_an_anonymous_reader_sends_no_credentials(proxied: tuple[Place, Proxy]) -> None:
    place, proxy = proxied
    place.put("a.dcm", INSTANCE)
    with contextlib.suppress(NotPermitted):  # moto gives nothing to strangers
        assert len(read(opened(place.uri, StoreOptions(anonymous=True)))) == 1
    assert proxy.requests
    assert not any("Authorization" in request.headers for request in proxy.requests)


def test_names_that_look_like_folders_are_read_in_cloud_storage(gcs_bucket: GcsBucket) -> None:
    names = ["a//b.dcm", "a/../c.dcm", "/d.dcm", "e/", "f/./g"]
    for name in names:
        gcs_bucket.put(name, INSTANCE)
    store = opened(gcs_bucket.uri)
    refs = list(store.list())
    assert sorted(ref.uri.removeprefix(f"{gcs_bucket.uri}/") for ref in refs) == sorted(names)
    gcs_bucket.delete("e/")
    results = list(store.read(refs, Record, 1 << 20))
    assert sum(isinstance(result, Found) for result in results) == 4
    (gone,) = (result for result in results if isinstance(result, Failure))
    assert gone.code == "NOT_FOUND"


def test_names_that_cannot_be_listed_in_s3_are_told(s3_bucket: S3Bucket, s3_proxy: Proxy) -> None:
    entry = "<Key>a//b</Key><LastModified>2026-11-01T00:00:00.000Z</LastModified><ETag>x</ETag><Size>1</Size>"
    page = f"<ListBucketResult><Contents>{entry}</Contents></ListBucketResult>".encode()
    s3_proxy.fault = lambda _request: answering(200, page, "application/xml")
    with pytest.raises(Failed, match="has an empty part"):
        opened(s3_bucket.uri)


def test_a_bucket_of_another_region_is_told(s3_bucket: S3Bucket, s3_proxy: Proxy) -> None:
    s3_proxy.fault = lambda _request: answering(301)
    with pytest.raises(Failed, match="is in another region"):
        opened(s3_bucket.uri)


def test_a_listing_goes_over_pages(bucket: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dicombq.stores.objects._PAGE", 2)
    for number in range(5):
        bucket.put(f"x/{number}", b"")
    bucket.put("y", b"")
    assert len(list(opened(f"{bucket.uri}/x").list())) == 5


def test_time_class_and_generation_are_those_of_the_object(gcs_bucket: GcsBucket) -> None:
    blob = gcs_bucket.client.blob("a.dcm")
    blob.storage_class = "COLDLINE"
    blob.upload_from_string(INSTANCE)
    (result,) = read(opened(gcs_bucket.uri)).values()
    assert isinstance(result, Found)
    assert result.storage_class == "COLDLINE"
    blob.reload()
    assert result.updated == timestamp(blob.updated)
    assert result.ref == ObjectRef(
        f"{gcs_bucket.uri}/a.dcm", len(INSTANCE), str(blob.generation), result.updated, "COLDLINE"
    )


class Credentials:
    """Credentials as google-auth gives them."""

    token = ""
    expiry: dt.datetime | None = None

    def refresh(self, _request: object) -> None:
        self.token = "fresh"
        self.expiry = dt.datetime(2026, 11, 1)  # noqa: DTZ001 - google-auth says UTC without saying so


def connected(monkeypatch: pytest.MonkeyPatch, options: StoreOptions) -> dict[str, Any]:
    """Give what obstore is told, without a server in place of Google's."""
    told: dict[str, Any] = {}
    monkeypatch.setattr("obstore.store.GCSStore", lambda bucket, **config: told.update(config, bucket=bucket))
    ObjectClient(parse_object_uri("gs://asked-of-google/a"), options)._store  # noqa: B018 - it connects
    return told


def test_google_is_asked_with_fresh_tokens(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def default(**options: Any) -> tuple[Credentials, None]:
        asked.update(options)
        return Credentials(), None

    monkeypatch.setattr("google.auth.default", default)
    told = connected(monkeypatch, StoreOptions(billing_project="payer"))
    token = told["credential_provider"]()
    assert token == {"token": "fresh", "expires_at": dt.datetime(2026, 11, 1, tzinfo=dt.timezone.utc)}
    assert asked["scopes"] == ["https://www.googleapis.com/auth/devstorage.read_only"]
    assert told["client_options"]["default_headers"] == {"x-goog-user-project": "payer"}
    assert "skip_signature" not in told
    assert "allow_http" not in told["client_options"]


def test_a_stranger_asks_google_without_looking_for_credentials(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("google.auth.default", lambda **_options: pytest.fail("credentials were looked for"))
    told = connected(monkeypatch, StoreOptions(anonymous=True))
    assert told["skip_signature"]
    assert told["credential_provider"]() == {"token": ""}


def test_no_credentials_for_google_are_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def default(**_options: Any) -> None:
        raise DefaultCredentialsError

    monkeypatch.setattr("google.auth.default", default)
    store = BucketStore(StoreName(Parent(), "a"), parse_object_uri("gs://nobody/a"))
    ref = ObjectRef("gs://nobody/a/b.dcm", 100, "1", "", "")
    with pytest.raises(NotAuthenticated, match="no usable Google Cloud credentials"):
        read(store, [ref])
