"""Objects of Cloud Storage by URI."""

from pathlib import Path

import pytest

from dicombq.errors import InvalidArgument, NotFound, Temporary
from dicombq.names import parse_object_uri
from dicombq.stores.objects import delete, exists, list_objects, open_object, upload
from tests.gcs_server import GcsBucket

KEY = "a b/ü#1?%20.txt"


def test_a_file_that_is_uploaded_is_listed_read_and_deleted(gcs_bucket: GcsBucket, tmp_path: Path) -> None:
    uri = parse_object_uri(f"{gcs_bucket.uri}/{KEY}")
    assert not exists(uri)
    file = tmp_path / "file"
    for data in (b"old", b"1\n2\n" * 1_000_000):
        file.write_bytes(data)
        upload(file, uri)
        assert gcs_bucket.get(KEY) == data
    assert exists(uri)
    with open_object(uri) as opened:
        assert opened.readlines() == file.read_bytes().splitlines(keepends=True)
    (blob,) = list_objects(uri.with_key("a b/"))
    assert (blob.name, blob.size, blob.storage_class) == (KEY, 4_000_000, "STANDARD")
    delete([uri, uri])
    assert gcs_bucket.keys() == []


def test_a_listing_goes_over_pages(gcs_bucket: GcsBucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dicombq.stores.objects._PAGE", 2)
    for name in ("x/1", "x/2", "x/3", "y"):
        gcs_bucket.put(name, b"")
    assert [blob.name for blob in list_objects(parse_object_uri(f"{gcs_bucket.uri}/x/"))] == ["x/1", "x/2", "x/3"]


def test_an_object_that_is_overwritten_meanwhile_is_read_in_one_state_or_not_at_all(gcs_bucket: GcsBucket) -> None:
    gcs_bucket.put("a", b"old")

    def overwrite_while_reading() -> None:
        with open_object(parse_object_uri(f"{gcs_bucket.uri}/a")) as opened:
            gcs_bucket.put("a", b"new")
            opened.read()

    with pytest.raises(NotFound, match="Cloud Storage does not find"):
        overwrite_while_reading()


def test_what_is_not_there_is_not_found(gcs_bucket: GcsBucket, tmp_path: Path) -> None:
    missing = parse_object_uri(f"{gcs_bucket.uri}/none")
    with pytest.raises(NotFound, match="there is no object"), open_object(missing):
        pass
    elsewhere = parse_object_uri("gs://no-such-bucket/a")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotFound, match="Cloud Storage does not find"):
        list(list_objects(elsewhere))
    with pytest.raises(NotFound, match="Cloud Storage does not find"):
        upload(tmp_path / "file", elsewhere)


def test_the_emulator_may_be_named_without_a_scheme(gcs_bucket: GcsBucket, monkeypatch: pytest.MonkeyPatch) -> None:
    gcs_bucket.put("a", b"data")
    url = gcs_bucket.client.client._connection.API_BASE_URL
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", url.removeprefix("http://"))
    assert exists(parse_object_uri(f"{gcs_bucket.uri}/a"))


def test_a_server_that_is_not_there_is_temporary(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:1")
    monkeypatch.setattr("google.cloud.storage.retry.DEFAULT_RETRY._timeout", 0.1)
    with pytest.raises(Temporary, match="Cloud Storage could not be used"):
        exists(parse_object_uri("gs://bucket/a"))


def test_other_stores_of_objects_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="is not in Google Cloud Storage"):
        exists(parse_object_uri("s3://bucket/a"))
