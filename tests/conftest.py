from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import gcs_server, proxy, pubsub_server, s3_server
from tests import local_bigquery as local
from tests import orthanc_server as orthanc_server_process
from tests import spark_cluster as spark_cluster_processes
from tests.fakes.bigquery import BigQueryFake
from tests.fakes.bigquery_write import BigQueryWriteFake
from tests.gcs_server import GcsBucket
from tests.local_bigquery import LocalBigQuery
from tests.orthanc_server import Orthanc
from tests.proxy import Proxy
from tests.pubsub_server import Telling
from tests.s3_server import S3Bucket
from tests.spark_cluster import Cluster


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A HOME of the test's own, and an environment that says nothing else."""
    for name in list(os.environ):
        if name.startswith(("DICOMBQ_", "GOOGLE_", "BIGQUERY_", "STORAGE_", "AWS_")):
            monkeypatch.delenv(name)
    folder = tmp_path / "home"
    monkeypatch.setenv("DICOMBQ_HOME", str(folder))
    return folder


@pytest.fixture
def bigquery(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BigQueryFake]:
    """A fake of BigQuery with the dataset p.d, in place of the real one."""
    with BigQueryFake() as fake:
        fake.create_dataset("p.d")
        monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", fake.url)
        yield fake


@pytest.fixture
def bigquery_write(bigquery: BigQueryFake, monkeypatch: pytest.MonkeyPatch) -> Iterator[BigQueryWriteFake]:
    """A fake of the Storage Write API, which writes to the tables of the fake of BigQuery."""
    with BigQueryWriteFake(bigquery) as fake:
        monkeypatch.setenv("BIGQUERY_STORAGE_EMULATOR_HOST", fake.address)
        yield fake


@pytest.fixture(scope="session")
def local_bigquery_server(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[LocalBigQuery]:
    if not local.EXECUTABLE:
        pytest.skip(local.MISSING)
    gcs_url = request.getfixturevalue("gcs_url") if gcs_server.EXECUTABLE else "http://127.0.0.1:4443"
    with local.serve(local.EXECUTABLE, tmp_path_factory.mktemp("local-bigquery"), gcs_url) as server:
        yield server


@pytest.fixture(scope="session")
def local_bigquery_url(local_bigquery_server: LocalBigQuery) -> str:
    return local_bigquery_server.url


@pytest.fixture
def local_bigquery(home: Path, local_bigquery_server: LocalBigQuery, monkeypatch: pytest.MonkeyPatch) -> None:
    """An independent server in place of BigQuery."""
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", local_bigquery_server.url)
    monkeypatch.setenv("BIGQUERY_STORAGE_EMULATOR_HOST", local_bigquery_server.address)
    monkeypatch.setattr("dicombq.warehouses.bigquery.MAX_GZIP_SIZE", 0)  # it reads no gzip


@pytest.fixture(scope="session")
def gcs_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if not gcs_server.EXECUTABLE:
        pytest.skip(gcs_server.MISSING)
    with gcs_server.serve(gcs_server.EXECUTABLE, tmp_path_factory.mktemp("gcs")) as url:
        yield url


@pytest.fixture
def gcs_bucket(home: Path, gcs_url: str, monkeypatch: pytest.MonkeyPatch) -> GcsBucket:
    """An empty bucket of fake-gcs-server, which stands in place of Cloud Storage."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs_url)
    return GcsBucket.create(gcs_url)


@pytest.fixture
def gcs_proxy(gcs_bucket: GcsBucket, gcs_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A proxy before the server of `gcs_bucket`, that counts requests and may fail."""
    with proxy.serve(gcs_url) as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
        yield server


@pytest.fixture(scope="session")
def telling_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Telling]:
    if not (gcs_server.EXECUTABLE and pubsub_server.IS_THERE):
        pytest.skip(pubsub_server.MISSING)
    with pubsub_server.serve(tmp_path_factory.mktemp("telling")) as server:
        yield server


@pytest.fixture
def telling(home: Path, telling_server: Telling, monkeypatch: pytest.MonkeyPatch) -> Telling:
    """A fake-gcs-server that tells an emulator of Pub/Sub what happens in its buckets."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", telling_server.gcs_url)
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", telling_server.host)
    return telling_server


@pytest.fixture(scope="session")
def s3_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with s3_server.serve(tmp_path_factory.mktemp("s3")) as url:
        yield url


@pytest.fixture
def s3_bucket(home: Path, s3_url: str, monkeypatch: pytest.MonkeyPatch) -> S3Bucket:
    """An empty bucket of moto, which stands in place of S3."""
    for name, value in s3_server.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_url)
    return S3Bucket.create(s3_url)


@pytest.fixture
def s3_proxy(s3_bucket: S3Bucket, s3_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A proxy before the server of `s3_bucket`, that counts requests and may fail."""
    with proxy.serve(s3_url) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        yield server


@pytest.fixture(scope="session")
def orthanc_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    if not orthanc_server_process.IS_THERE:
        pytest.skip(orthanc_server_process.MISSING)
    with orthanc_server_process.serve(tmp_path_factory.mktemp("orthanc")) as server:
        yield server


@pytest.fixture
def orthanc(home: Path, orthanc_server: Orthanc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Orthanc:
    """An Orthanc without instances, and nobody who knows a password."""
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    orthanc_server.clear()
    return orthanc_server


@pytest.fixture(scope="session")
def spark_cluster(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Apache Spark on two workers; their executors find fake-gcs-server in place of Cloud Storage."""
    if not spark_cluster_processes.IS_THERE:
        pytest.skip(spark_cluster_processes.MISSING)
    gcs = {"STORAGE_EMULATOR_HOST": request.getfixturevalue("gcs_url")} if gcs_server.EXECUTABLE else {}
    with spark_cluster_processes.serve(tmp_path_factory.mktemp("spark"), environment=gcs) as cluster:
        yield cluster
