"""``--log-to-cloud``: Cloud Logging gets what the operation's log has, and never stands in the way."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicombq.export.run import Export
from dicombq.operations import cloud_logging
from dicombq.operations.running import RunningOperation
from dicombq.operations.store import OperationStore
from dicombq.system.locks import is_locked
from tests.cli.conftest import Run
from tests.fakes.bigquery import BigQueryFake
from tests.fakes.cloud_logging import CloudLoggingFake
from tests.fakes.cloud_logging import cloud_logging as serve
from tests.instances import write_instance, write_truncated

NOTICE = "are not in Cloud Logging: it is not permitted: grant roles/logging.logWriter on the project"


@pytest.fixture
def cloud(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CloudLoggingFake]:
    with serve(tmp_path, monkeypatch) as server:
        yield server


@pytest.fixture
def wrong(broken: Path) -> Path:
    """A folder that gives an entry of each severity: a failure, a duplicate, a skipped file."""
    write_instance(broken / "copy.dcm", 1)
    (broken / "notes.txt").write_text("notes")
    return broken


def newest(home: Path) -> str:
    return OperationStore(home).list()[0][0].id


def in_file(home: Path) -> list[dict[str, str]]:
    text = (home / "logs" / f"{newest(home)}.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def contents(entries: list[dict[str, str]]) -> list[dict[str, str]]:
    """The entries without their times, in an order of their own."""
    said = [{name: text for name, text in entry.items() if name != "time"} for entry in entries]
    return sorted(said, key=lambda entry: (entry["uri"], entry["message"]))


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_same_entries_go_to_cloud_logging(
    run: Run, wrong: Path, home: Path, cloud: CloudLoggingFake, workers: str
) -> None:
    result = run("export", "bq", "scans", "--log-to-cloud", f"--workers={workers}")
    assert result.code == 3
    assert "Cloud Logging" not in result.err
    assert contents(cloud.payloads) == contents(in_file(home))
    assert {entry["severity"] for entry in cloud.entries} == {"ERROR", "INFO"}
    store = "projects/local/locations/local/datasets/dicom/dicomStores/scans"
    labels = {"operation": newest(home), "store": store, "target": f"duckdb://{home}/warehouse.duckdb/dicom.scans"}
    assert [entry["labels"] for entry in cloud.entries] == [labels] * len(in_file(home))
    assert sorted(path.name for path in (home / "operations" / newest(home)).iterdir()) == ["lock", "state.json"]


def test_without_the_flag_nothing_is_sent(run: Run, wrong: Path, cloud: CloudLoggingFake) -> None:
    run("export", "bq", "scans")
    run("export", "bq", "scans", "--overwrite-table", "--dry-run", "--log-to-cloud")
    assert cloud.requests == []


@pytest.mark.parametrize(
    ("flags", "variable", "project"),
    [
        ([], "", "default-project"),
        (["--project=flagged"], "DICOMBQ_PROJECT", "flagged"),
        ([], "DICOMBQ_PROJECT", "from-environment"),
        ([], "GOOGLE_CLOUD_PROJECT", "from-environment"),
    ],
)
def test_the_project_is_the_one_given_or_that_of_the_credentials(
    run: Run,
    wrong: Path,
    cloud: CloudLoggingFake,
    monkeypatch: pytest.MonkeyPatch,
    flags: list[str],
    variable: str,
    project: str,
) -> None:
    if variable:
        monkeypatch.setenv(variable, "from-environment")
    run("export", "bq", "scans", "--log-to-cloud", *flags)
    assert {entry["logName"] for entry in cloud.entries} == {f"projects/{project}/logs/dicombq"}


@pytest.mark.parametrize(
    "command", [("export", "bq", "scans"), ("operations", "resume", "5"), ("export", "bq", "scans", "--async")]
)
def test_without_the_client_nothing_begins(
    run: Run, scans: Path, home: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setitem(sys.modules, "google.cloud.logging_v2", None)
    result = run(*command, "--log-to-cloud")
    assert (result.code, result.out) == (2, "")
    assert result.err.splitlines()[0].endswith(
        "argument --log-to-cloud: google-cloud-logging is not installed. Install it: pip install 'dicombq[logging]'"
    )
    assert not home.exists()


def test_what_ended_an_export_is_sent_too(
    run: Run, scans: Path, home: Path, cloud: CloudLoggingFake, bigquery: BigQueryFake
) -> None:
    bigquery.forbidden.add("jobs.insert")
    assert run("export", "bq", "scans", "--bq-table=bq://p.d.t", "--log-to-cloud").code == 6
    assert contents(cloud.payloads) == contents(in_file(home))
    assert cloud.payloads[-1]["code"] == "PERMISSION_DENIED"


@pytest.mark.parametrize("again", ["1", "2"])
def test_an_operation_that_is_resumed_doubles_nothing(
    run: Run, wrong: Path, home: Path, cloud: CloudLoggingFake, bigquery: BigQueryFake, again: str
) -> None:
    bigquery.forbidden.add("jobs.insert")
    assert run("export", "bq", "scans", "--bq-table=bq://p.d.t", "--log-to-cloud").code == 6
    ending = contents(cloud.payloads)[-1:]
    assert ending[0]["code"] == "PERMISSION_DENIED"
    bigquery.forbidden.clear()
    assert run("operations", "resume", newest(home), "--log-to-cloud", f"--workers={again}").code == 3
    # the file forgets how the first attempt ended
    assert contents(cloud.payloads) == contents(in_file(home) + ending)


def test_an_export_in_a_process_of_its_own_sends_its_log(
    spawn: Run, wrong: Path, home: Path, cloud: CloudLoggingFake
) -> None:
    result = spawn("export", "bq", "scans", "--log-to-cloud", "--async")
    assert result.code == 0
    assert spawn("operations", "wait", newest(home)).code == 3
    while is_locked(home / "operations" / newest(home) / "lock"):
        time.sleep(0.02)  # the table does not wait for the log
    assert contents(cloud.payloads) == contents(in_file(home))


def test_a_permission_that_is_missing_is_told_and_the_export_is_done(
    run: Run, wrong: Path, home: Path, cloud: CloudLoggingFake
) -> None:
    cloud.faults.always = 403
    result = run("export", "bq", "scans", "--log-to-cloud")
    assert result.code == 3
    *entries, notice = in_file(home)
    assert f"WARNING: {len(entries)} entries of the log {NOTICE}.\n" in result.err
    assert "1 instance failed, 1 notice; see them" in result.err
    assert notice["severity"] == "NOTICE"
    assert notice["code"] == "PERMISSION_DENIED"
    assert notice["message"] == f"{len(entries)} entries of the log {NOTICE}"
    assert (
        run("operations", "describe", newest(home), "--format=value(done,metadata.dicombq.notices)").out == "True\t1\n"
    )


def test_trouble_with_the_log_does_not_hide_why_an_export_failed(
    run: Run, wrong: Path, home: Path, cloud: CloudLoggingFake, bigquery: BigQueryFake
) -> None:
    cloud.faults.always = 403
    bigquery.forbidden.add("jobs.insert")
    result = run("export", "bq", "scans", "--bq-table=bq://p.d.t", "--log-to-cloud")
    assert result.code == 6
    assert "BigQuery does not permit" in result.err
    assert f"{NOTICE}.\n" in result.err
    assert [entry["severity"] for entry in in_file(home)][-2:] == ["NOTICE", "ERROR"]


def test_a_server_that_hangs_does_not_keep_an_export_from_ending(
    run: Run, wrong: Path, cloud: CloudLoggingFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloud_logging, "PATIENCE", 0.1)
    monkeypatch.setattr(cloud_logging, "RETRY", 0.1)
    cloud.faults.stalled = True
    result = run("export", "bq", "scans", "--log-to-cloud")
    assert result.code == 3
    assert "entries of the log are not in Cloud Logging: it did not answer in time." in result.err


def test_a_disk_that_is_full_for_the_notice_is_no_error(
    run: Run, wrong: Path, cloud: CloudLoggingFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    def flush(log: cloud_logging.CloudLog, _patience: float) -> int:
        monkeypatch.setattr(RunningOperation, "log", full)
        return 2

    monkeypatch.setattr(cloud_logging.CloudLog, "flush", flush)
    result = run("export", "bq", "scans", "--log-to-cloud")
    assert result.code == 3
    assert "WARNING: 2 entries of the log are not in Cloud Logging" in result.err


def test_an_export_that_is_interrupted_does_not_wait_long(
    run: Run, wrong: Path, cloud: CloudLoggingFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    flush = cloud_logging.CloudLog.flush

    def interrupt(*_arguments: object) -> None:
        raise KeyboardInterrupt

    def note(log: cloud_logging.CloudLog, patience: float) -> int:
        waited.append(patience)
        return flush(log, patience)

    monkeypatch.setattr(Export, "_load", interrupt)
    monkeypatch.setattr(cloud_logging.CloudLog, "flush", note)
    assert run("export", "bq", "scans", "--log-to-cloud").code == 130
    assert waited == [cloud_logging.HURRY, cloud_logging.HURRY]
    assert cloud.payloads[-1]["code"] == "CANCELLED"


def test_no_secret_is_in_the_log_of_requests(spawn: Run, wrong: Path, cloud: CloudLoggingFake) -> None:
    result = spawn("export", "bq", "scans", "--log-to-cloud", "--log-http")
    assert result.code == 3
    assert "/v2/entries:write" in result.err
    assert "Bearer" not in result.err
    assert "uthorization" not in result.err


def test_the_client_is_imported_only_when_it_is_needed(scans: Path) -> None:
    script = (
        "import sys\n"
        "from dicombq.cli.main import main\n"
        "assert main(['export', 'bq', 'scans']) == 0\n"
        "assert 'dicombq.operations.jobs' in sys.modules\n"
        "assert not [name for name in sys.modules if name.startswith('google')]\n"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_what_is_sent_holds_no_value(run: Run, here: Path, cloud: CloudLoggingFake) -> None:
    write_truncated(here / "scans" / "1.dcm", PatientName="Canary^Jane", PatientID="Canary-1")
    assert run("export", "bq", "scans", "--log-to-cloud").code == 3
    assert len(cloud.entries) == 1
    assert "Canary" not in json.dumps(cloud.requests)
