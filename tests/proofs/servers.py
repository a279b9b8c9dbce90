"""Exports to a BigQuery that fails, in this process, without long waits."""

from __future__ import annotations

import copy
import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dicombq.cli.main import main
from dicombq.operations.state import Operation, State
from dicombq.operations.store import OperationStore
from tests.fakes.bigquery import BigQueryFake
from tests.fakes.bigquery_jobs import Job
from tests.fakes.bigquery_schema import ApiError
from tests.fakes.bigquery_tables import Call, Table
from tests.instances import write_instance
from tests.proofs.scenes import Rows, as_texts

NEW, REPLACE, APPEND = (), ("--overwrite-table",), ("--write-disposition=write-append",)
FLAGS = {"new": NEW, "replace": REPLACE, "append": APPEND}


def hurry(monkeypatch: pytest.MonkeyPatch, patience: float = 3.0) -> None:
    """Wait shortly between attempts, and let there be few of them."""
    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: sleep(min(seconds, 0.001)))
    monkeypatch.setattr("dicombq.warehouses.bigquery.PATIENCE", patience)


def resumable_uploads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send even few bytes in an upload of several requests."""
    monkeypatch.setattr("google.cloud.bigquery.client._MAX_MULTIPART_SIZE", 0)


@dataclass
class Desk:
    """Somebody who exports a folder of two instances, one of them twice, to the table p.d.t.

    Parameters
    ----------
    captured
        Gives what was printed since it was asked last.
    """

    folder: Path
    fake: BigQueryFake
    captured: Callable[[], Any]
    _old: dict[str, Table] | None = None

    @classmethod
    def furnished(cls, folder: Path, fake: BigQueryFake, captured: Callable[[], Any]) -> Desk:
        """Make the folder."""
        for name, number in (("1", 1), ("2", 2), ("copy", 2)):
            write_instance(folder / "scans" / f"{name}.dcm", number, PatientID=name)
        write_instance(folder / "old" / "old.dcm", 9, AccessionNumber="A")
        return cls(folder, fake, captured)

    @property
    def home(self) -> Path:
        """HOME."""
        return self.folder / "home"

    def run(self, *arguments: str) -> tuple[int, str]:
        """Run a command line; give its exit code and what it said to people."""
        self.captured()
        code = main(list(arguments))
        said: str = self.captured().err
        assert "Traceback" not in said
        assert "internal error" not in said
        assert said.count("ERROR: ") == (code != 0)
        return code, said

    def export(self, disposition: str, *more: str) -> tuple[int, str]:
        """Export the folder."""
        command = ("export", "bq", str(self.folder / "scans"), "--bq-table=bq://p.d.t", "--workers=1")
        return self.run(*command, *FLAGS[disposition], *more)

    def start_anew(self, disposition: str) -> Rows | None:
        """Forget what was exported, and make the table as it is before the export; give its rows."""
        heal(self.fake)
        tables = self.fake.datasets["p", "d"].tables
        tables.clear()
        if disposition != "new":
            if self._old is None:
                code, said = self.run("export", "bq", str(self.folder / "old"), "--bq-table=bq://p.d.t", "--workers=1")
                assert code == 0, said
                self._old = copy.deepcopy(tables)
            tables.update(copy.deepcopy(self._old))
        self.fake.jobs.clear()
        self.fake.requests.clear()
        shutil.rmtree(self.home, ignore_errors=True)
        self.fake.job_polls = 1
        return self.rows()

    def rows(self) -> Rows | None:
        """Read the table; None where there is none."""
        if "t" not in self.fake.datasets["p", "d"].tables:
            return None
        return as_texts(self.fake.rows("p.d.t"))

    def operation(self) -> Operation | None:
        """Read the operation, if one was begun."""
        operations, damaged = OperationStore(self.home).list()
        assert damaged == []
        assert len(operations) <= 1
        return operations[0] if operations else None

    def check_true(self, code: int, old: Rows | None, new: Rows) -> None:
        """Assert that the table is old or new, and that the state does not say that a load failed that may not have."""
        rows = self.rows()
        assert rows in (old, new)
        operation = self.operation()
        if code == 0:
            assert rows == new
            assert operation is not None
            assert operation.state is State.DONE
        elif operation is None:
            assert rows == old
        else:
            assert operation.state in {State.FAILED, State.CANCELLED, State.CRASHED}
            if operation.state is not State.CRASHED:
                assert all(failed(job) for job in self.fake.jobs.values())
                assert rows == old

    def check_mended(self, disposition: str, new: Rows) -> None:
        """Assert that the export goes on now, and that each row is there once."""
        operation = self.operation()
        if operation is None:
            code, said = self.export(disposition)
        elif operation.state is State.DONE:
            code, said = 0, ""
        else:
            code, said = self.run("operations", "resume", operation.id, "--workers=1")
        assert code == 0, said
        assert self.rows() == new
        assert sum(not failed(job) for job in self.fake.jobs.values()) == 1
        operation = self.operation()
        assert operation is not None
        assert operation.state is State.DONE


def failed(job: Job) -> bool:
    """Tell whether a job has ended without its rows."""
    return job.state == "DONE" and job.error is not None


def heal(fake: BigQueryFake) -> None:
    """Let nothing go wrong from now on."""
    fake._plans.clear()
    fake.job_error = None
    fake.job_polls = 0


def hide_jobs(fake: BigQueryFake, monkeypatch: pytest.MonkeyPatch, calls: int) -> Counter[str]:
    """Let each job be unknown to the first calls of jobs.get after it was made; count the calls that met that."""
    get = fake.jobs_get
    hidden: Counter[str] = Counter()

    def look(call: Call) -> Any:
        name = call.params["job"]
        if any(known == name for _, known in fake.jobs) and hidden[name] < calls:
            hidden[name] += 1
            raise ApiError(404, "notFound", f"Not found: Job {name}")
        return get(call)

    monkeypatch.setattr(fake, "jobs_get", look)
    return hidden
