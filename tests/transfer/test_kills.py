"""Transfers that are killed leave whole files only, and end as if nobody had killed them."""

from __future__ import annotations

import json
import random
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from dicombq.operations.state import State
from dicombq.operations.store import OperationStore
from tests.gcs_server import GcsBucket
from tests.instances import write_instance, write_truncated
from tests.proofs.zygote import Ended, Zygote, names_file, zygote
from tests.transfer.lab import files_in

OUT, IN = "export", "import"
PARTS = 3
_EVERY = 4


@pytest.fixture(scope="module")
def process() -> Iterator[Zygote]:
    with zygote() as process:
        yield process


@dataclass(frozen=True)
class Arena:
    """A place for one transfer: a HOME and a folder of its own."""

    folder: Path
    scans: Path
    kind: str

    @classmethod
    def make(cls, folder: Path, scans: Path, kind: str) -> Arena:
        (folder / "copies").mkdir(parents=True)
        return cls(folder, scans, kind)

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def command(self) -> list[str]:
        copies = str(self.folder / "copies")
        if self.kind == OUT:
            return ["export", "gcs", str(self.scans), f"--gcs-uri-prefix={copies}", "--workers=1"]
        return ["import", "gcs", copies, f"--gcs-uri={self.scans}/**", "--workers=1"]

    def files(self) -> dict[str, bytes]:
        return files_in(self.folder / "copies")

    def outcome(self) -> tuple[dict[str, int], Counter[str]]:
        """Give counters and log; whether a file was copied by this try or the one before, nobody can tell."""
        [operation] = OperationStore(self.home).list()[0]
        assert operation.state is State.DONE
        counters = asdict(operation.counters)
        assert counters.pop("existing") <= 8  # those that were on their way when it was killed
        entries = OperationStore(self.home).logs(operation.id)
        return counters, Counter(json.dumps({**entry, "time": ""}) for entry in entries)


def test_an_export_to_a_bucket_killed_at_random_steps_ends_as_if_it_had_not_been(
    process: Zygote, scans: Path, tmp_path: Path, gcs_bucket: GcsBucket
) -> None:
    uri = gcs_bucket.client.client._connection.API_BASE_URL
    environment = {"STORAGE_EMULATOR_HOST": uri}

    def export(arena: Arena, place: str, **points: object) -> Ended:
        command = ["export", "gcs", str(scans), f"--gcs-uri-prefix={gcs_bucket.uri}/{place}", "--workers=1"]
        return process.run(arena.home, *command, points=points, environment=environment)

    undisturbed = Arena.make(tmp_path / "undisturbed", scans, OUT)
    assert export(undisturbed, "whole", watched=False).code == 3
    names = json.loads(names_file(undisturbed.home).read_text())[0]
    whole = {key.removeprefix("whole/"): gcs_bucket.get(key) for key in sorted(gcs_bucket.keys())}
    assert len(whole) == 5
    for step in random.Random(1).sample(range(len(names)), 6):
        arena = Arena.make(tmp_path / "killed", scans, OUT)
        export(arena, f"{step}", at=step)
        operations = OperationStore(arena.home).list()[0] if arena.home.exists() else []
        if not operations:
            ended = export(arena, f"{step}")
        else:
            command = ["operations", "resume", operations[0].id, "--workers=1"]
            ended = process.run(arena.home, *command, environment=environment)
        assert ended.code == 3 or operations[0].state is State.DONE, ended
        keys = [key for key in sorted(gcs_bucket.keys()) if key.startswith(f"{step}/")]
        assert {key.removeprefix(f"{step}/"): gcs_bucket.get(key) for key in keys} == whole, names[step]
        assert arena.outcome() == undisturbed.outcome(), names[step]
        shutil.rmtree(arena.folder)


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scans")
    for number in range(5):
        write_instance(folder / f"{number}.dcm", number, PatientComments="x" * 1000)
    write_instance(folder / "0 again.dcm", 0)
    write_truncated(folder / "broken.dcm")
    return folder


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("kind", [OUT, IN])
def test_a_transfer_killed_at_any_step_ends_as_if_it_had_not_been(
    process: Zygote, scans: Path, tmp_path: Path, kind: str, part: int
) -> None:
    undisturbed = Arena.make(tmp_path / "undisturbed", scans, kind)
    ended = process.run(undisturbed.home, *undisturbed.command, points={"watched": False})
    assert ended.code == 3, ended
    names = json.loads(names_file(undisturbed.home).read_text())[0]
    assert len(undisturbed.files()) == 5
    for step in range(part, len(names), PARTS * _EVERY):
        arena = Arena.make(tmp_path / "killed", scans, kind)
        ended = process.run(arena.home, *arena.command, points={"at": step})
        if ended.code != -signal.SIGKILL:  # threads take their steps in any order, and now and then fewer
            assert ended.code == 3, ended
        whole = {name: data for name, data in arena.files().items() if not name.startswith(".dicombq-")}
        assert whole.items() <= undisturbed.files().items(), names[step]
        operations = OperationStore(arena.home).list()[0] if arena.home.exists() else []
        if not operations:
            ended = process.run(arena.home, *arena.command)
        elif operations[0].state is not State.DONE:
            ended = process.run(arena.home, "operations", "resume", operations[0].id, "--workers=1")
        assert (ended.code, "Traceback" in ended.err) == (3, False) or operations[0].state is State.DONE, ended
        assert arena.files() == undisturbed.files(), names[step]
        assert arena.outcome() == undisturbed.outcome(), names[step]
        shutil.rmtree(arena.folder)
