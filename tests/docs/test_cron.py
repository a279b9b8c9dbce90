"""The samples of how-to/cron.md: their syntax, and the scripts for real."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from tests.docs.pages import DOCS, check_command, commands
from tests.docs.pages import blocks as blocks_of
from tests.fakes.bigquery import BigQueryFake, Fault
from tests.instances import write_instance

PAGE = DOCS / "how-to" / "cron.md"
BLOCKS = blocks_of(PAGE)
RETRIED = {5, 137}
"""Exit codes that a scheduler answers with another run."""

_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_KEYS = {
    "CronJob": {"schedule", "timeZone", "concurrencyPolicy", "startingDeadlineSeconds", "jobTemplate"},
    "Job": {"backoffLimit", "podFailurePolicy", "template"},
    "Pod": {"restartPolicy", "serviceAccountName", "securityContext", "containers", "volumes"},
    "Container": {"name", "image", "args", "env", "resources", "securityContext", "volumeMounts"},
}
_KILLED_WHEN_IT_LOADS = """
import os, signal, sys
from dicombq.cli.main import main
from dicombq.warehouses.duckdb import DuckdbWarehouse
DuckdbWarehouse.load = lambda *_arguments, **_named: os.kill(os.getpid(), signal.SIGKILL)
sys.exit(main(sys.argv[1:]))
"""


def samples(language: str) -> list[str]:
    return [block.text for block in BLOCKS if block.language == language]


def sample(language: str, part: str) -> str:
    [text] = [text for text in samples(language) if part in text]
    return text


def bash_accepts(script: str) -> bool:
    return subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0


# --- cron ------------------------------------------------------------------------------------------------------


def check_schedule(schedule: str) -> None:
    """Refuse what are not five fields of numbers, ranges, lists and steps within their limits."""
    for field, (least, most) in zip(schedule.split(), _RANGES, strict=True):
        for part in field.split(","):
            match = re.fullmatch(r"(?:\*|(\d+)(?:-(\d+))?)(?:/(\d+))?", part)
            if match is None or any(not least <= int(number) <= most for number in match.groups()[:2] if number):
                raise ValueError(f"[{part}] of [{schedule}] is no field between {least} and {most}")
            if match[3] == "0" or (match[2] and int(match[1]) > int(match[2])):
                raise ValueError(f"[{part}] of [{schedule}] selects nothing")


def crontab_commands(crontab: str) -> list[str]:
    """Check a crontab line by line; give its commands."""
    found = []
    for line in crontab.splitlines():
        if not line or line.startswith("#") or re.fullmatch(r"[A-Z_]+=[^$]+", line):
            continue
        *fields, command = line.split(maxsplit=5)
        check_schedule(" ".join(fields))
        assert not re.search(r"(?<!\\)%", command), f"cron takes % for a line end: {line}"
        found.append(command)
    return found


@pytest.mark.parametrize("crontab", samples("crontab"))
def test_a_crontab_has_five_fields_and_a_command_that_a_shell_takes(crontab: str) -> None:
    found = crontab_commands(crontab)
    assert found
    assert [command for command in found if not bash_accepts(command)] == []
    for command in found:
        [words] = commands(command)
        check_command(words)


@pytest.mark.parametrize("schedule", ["60 1 * * *", "1 1 * *", "1 1 1 13 *", "a * * * *", "*/0 * * * *", "5-1 * * * *"])
def test_a_schedule_that_is_wrong_is_found(schedule: str) -> None:
    with pytest.raises(ValueError, match=r"\[|argument"):
        check_schedule(schedule)


@pytest.mark.parametrize("crontab", samples("crontab"))
def test_debians_crontab_accepts_a_crontab(crontab: str, tmp_path: Path) -> None:
    tool = shutil.which("crontab")
    owner = subprocess.run(["dpkg-query", "-S", tool], capture_output=True, text=True, check=False) if tool else None
    if owner is None or not owner.stdout.startswith("cron:"):  # -n means something else to others
        pytest.skip("Debian's cron is not installed, whose `crontab -n` checks a file")
    (tmp_path / "crontab").write_text(crontab, encoding="utf-8")
    done = subprocess.run([str(tool), "-n", str(tmp_path / "crontab")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("shell", ["bash", "sh"])
@pytest.mark.parametrize("script", samples("sh"))
def test_a_shell_accepts_a_script(script: str, shell: str) -> None:
    done = subprocess.run([shell, "-n"], input=script, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


# --- systemd ---------------------------------------------------------------------------------------------------


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("systemd-analyze is not there")
    true = shutil.which("true")
    for kind in ("Service", "Timer"):
        unit = sample("ini", f"[{kind}]").replace("/opt/dicombq/bin/dicombq", str(true))
        (tmp_path / f"dicombq-scans.{kind.lower()}").write_text(unit, encoding="utf-8")
    units = sorted(map(str, tmp_path.iterdir()))
    done = subprocess.run([tool, "verify", "--man=no", *units], capture_output=True, text=True, check=False)
    assert [line for line in done.stderr.splitlines() if "dicombq" in line] == []  # other units are not ours
    assert done.returncode == 0, done.stderr


def test_the_service_runs_an_export_in_the_foreground() -> None:
    service = sample("ini", "[Service]")
    [words] = commands(service.partition("\nExecStart=")[2].partition("\n")[0])
    check_command(words)
    assert "--async" not in words
    settings = dict(re.findall(r"^(\w+)=(.*)$", service, re.MULTILINE))
    assert (settings["Type"], settings["UMask"], settings["Restart"]) == ("oneshot", "0077", "on-failure")
    assert not RETRIED & set(map(int, settings["RestartPreventExitStatus"].split()))


# --- Kubernetes ------------------------------------------------------------------------------------------------


@pytest.fixture
def manifests() -> dict[str, Any]:
    """The objects of the YAML sample, by their kind."""
    [text] = samples("yaml")
    return {manifest["kind"]: manifest for manifest in yaml.safe_load_all(text)}


def test_the_cron_job_has_the_fields_that_it_needs(manifests: dict[str, Any]) -> None:
    cron_job = manifests["CronJob"]
    assert (cron_job["apiVersion"], cron_job["metadata"]["name"]) == ("batch/v1", "dicombq-scans")
    assert cron_job["spec"].keys() == _KEYS["CronJob"]
    assert cron_job["spec"]["concurrencyPolicy"] == "Forbid"
    check_schedule(cron_job["spec"]["schedule"])
    job = cron_job["spec"]["jobTemplate"]["spec"]
    assert job.keys() == _KEYS["Job"]
    [rule] = job["podFailurePolicy"]["rules"]
    assert (rule["action"], rule["onExitCodes"]["operator"]) == ("FailJob", "In")
    assert not RETRIED & set(rule["onExitCodes"]["values"])
    assert job["template"]["spec"]["restartPolicy"] == "Never"  # a policy for failures wants it


def test_the_pod_is_not_root_and_keeps_its_home(manifests: dict[str, Any]) -> None:
    pod = manifests["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert pod.keys() == _KEYS["Pod"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    [container] = pod["containers"]
    assert container.keys() == _KEYS["Container"]
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    check_command(["dicombq", *container["args"]])
    assert "--async" not in container["args"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts.keys() == volumes.keys()
    [home] = [variable["value"] for variable in container["env"] if variable["name"] == "DICOMBQ_HOME"]
    assert Path(mounts["home"]) in Path(home).parents
    assert (
        volumes["home"]["persistentVolumeClaim"]["claimName"] == manifests["PersistentVolumeClaim"]["metadata"]["name"]
    )


def test_the_image_has_instructions_that_exist_and_is_not_root() -> None:
    [dockerfile] = samples("dockerfile")
    instructions = dict(line.split(maxsplit=1) for line in dockerfile.splitlines())
    assert list(instructions) == ["FROM", "COPY", "RUN", "USER", "ENTRYPOINT"]
    assert not instructions["USER"].startswith(("root", "0"))
    assert json.loads(instructions["ENTRYPOINT"]) == ["dicombq"]


# --- the scripts -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Machine:
    """A machine with dicombq, where nobody waits: `sleep` only notes for how long."""

    folder: Path

    def install(self, name: str, script: str) -> None:
        path = self.folder / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(script, encoding="utf-8")
        path.chmod(0o755)

    def kill_the_next_export(self) -> None:
        (self.folder / "doom").touch()

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        bash = f'PATH="{self.folder}/bin:$PATH"; exec "$@"'
        return subprocess.run(
            ["bash", "-c", bash, "bash", *command], cwd=self.folder, capture_output=True, text=True, check=False
        )

    def states(self) -> list[str]:
        """The states of all operations, the newest first."""
        listed = json.loads(self.run("dicombq", "operations", "list", "--format=json").stdout)
        return [operation["metadata"]["dicombq"]["state"] for operation in listed]

    def slept(self) -> list[str]:
        noted = self.folder / "slept"
        return noted.read_text(encoding="utf-8").split() if noted.exists() else []


@pytest.fixture
def machine(home: Path, tmp_path: Path) -> Machine:
    """A machine with two instances in `scans` and the scripts of the page."""
    machine = Machine(tmp_path)
    dicombq = f"""#!/bin/sh
if [ "$1" = export ] && rm doom 2> /dev/null; then
  exec {sys.executable} -c '{_KILLED_WHEN_IT_LOADS}' "$@"
fi
exec {sys.executable} -m dicombq "$@"
"""
    machine.install("dicombq", dicombq)
    machine.install("sleep", '#!/bin/sh\necho "$1" >> slept\n')
    for name in ("nightly-export", "append-export"):
        machine.install(name, sample("sh", f"# {name} STORE TABLE"))
    for number in (1, 2):
        write_instance(tmp_path / "scans" / f"{number}.dcm", number)
    return machine


def row_count(file: Path) -> Any:
    with duckdb.connect(str(file), read_only=True) as connection:
        return connection.execute("SELECT COUNT(*) FROM dicom.scans").fetchall()[0][0]


def test_the_script_exports(machine: Machine, tmp_path: Path) -> None:
    done = machine.run("nightly-export", "scans", f"duckdb://{tmp_path}/t.duckdb/dicom.scans")
    assert done.returncode == 0, done.stderr
    assert (row_count(tmp_path / "t.duckdb"), machine.states(), machine.slept()) == (2, ["DONE"], [])


@pytest.mark.parametrize("name", ["t.duckdb", "my table.duckdb"])
def test_the_script_resumes_an_export_that_was_killed(machine: Machine, tmp_path: Path, name: str) -> None:
    machine.kill_the_next_export()
    done = machine.run("nightly-export", "scans", f"duckdb://{tmp_path}/{name}/dicom.scans")
    assert done.returncode == 0, done.stderr
    assert (row_count(tmp_path / name), machine.states(), machine.slept()) == (2, ["DONE"], ["60"])


@pytest.mark.parametrize("method", ["jobs.insert", "tables.get"])
def test_the_script_goes_on_after_a_quota(machine: Machine, bigquery: BigQueryFake, method: str) -> None:
    bigquery.fail(method, Fault.QUOTA)
    done = machine.run("nightly-export", "scans", "bq://p.d.scans", "--overwrite-table")
    assert done.returncode == 0, done.stderr
    assert "a quota is used up" in done.stderr
    assert (len(bigquery.rows("p.d.scans")), machine.states(), machine.slept()) == (2, ["DONE"], ["60"])


def test_the_script_gives_up_after_three_more_attempts(machine: Machine, bigquery: BigQueryFake) -> None:
    bigquery.fail("jobs.insert", Fault.QUOTA, times=4)
    done = machine.run("nightly-export", "scans", "bq://p.d.scans", "--overwrite-table")
    assert (done.returncode, machine.states(), machine.slept()) == (5, ["FAILED"], ["60", "600", "3600"])


def test_the_script_leaves_an_older_operation_alone(machine: Machine, bigquery: BigQueryFake) -> None:
    bigquery.fail("jobs.insert", Fault.QUOTA)
    assert machine.run("dicombq", "export", "bq", "scans", "--bq-table=bq://p.d.scans").returncode == 5
    bigquery.fail("tables.get", Fault.QUOTA)
    done = machine.run("nightly-export", "scans", "bq://p.d.scans", "--overwrite-table")
    assert done.returncode == 0, done.stderr
    assert machine.states() == ["DONE", "FAILED"]


def test_the_script_does_not_repeat_what_would_fail_again(machine: Machine, tmp_path: Path) -> None:
    command = ("nightly-export", "scans", f"duckdb://{tmp_path}/t.duckdb/dicom.scans")
    assert [machine.run(*command).returncode for _ in range(2)] == [0, 4]
    assert machine.slept() == []


@pytest.mark.parametrize("name", ["t.duckdb", "my table.duckdb"])
def test_an_append_settles_what_a_crash_left_before_it_appends(machine: Machine, tmp_path: Path, name: str) -> None:
    table = f"duckdb://{tmp_path}/{name}/dicom.scans"
    machine.kill_the_next_export()
    assert machine.run("append-export", "scans", table).returncode == -signal.SIGKILL
    assert machine.states() == ["CRASHED"]
    done = machine.run("append-export", "scans", table)
    assert done.returncode == 0, done.stderr
    assert (row_count(tmp_path / name), machine.states()) == (4, ["DONE", "DONE"])
