"""What must hold whatever happens to the server: nothing half-stored, memory that does not grow with what is sent."""

from __future__ import annotations

import itertools
import os
import random
import signal
import threading
import time
from pathlib import Path

import pytest
import requests

from benchmarks.serve import big_instance_section, big_store_section, load_section
from dicombq.names import Parent
from dicombq.stores.folder import FileRef, FolderStore
from tests.dicom_bytes import SERIES as SERIES_TAG
from tests.dicom_bytes import SOP, element, part10
from tests.dicom_bytes import STUDY as STUDY_TAG
from tests.serve.dicomweb.conftest import MULTIPART, message
from tests.serve.dicomweb.server import Served, killable

LONG = bool(os.environ.get("DICOMBQ_LONG_PROOFS"))


def instance(number: int) -> bytes:
    """Make an instance that takes several writes."""
    uids = [
        element(tag, "UI", f"1.2.{end}") for tag, end in ((SOP, f"3.{number}"), (STUDY_TAG, "1"), (SERIES_TAG, "2"))
    ]
    return part10(b"".join(uids) + element(0x7FE00010, "OW", bytes([number % 256]) * 300_000))


def store_until_it_dies(served: Served, numbers: itertools.count[int], answered: set[int], begun: set[int]) -> None:
    """Store one instance after the other, and note those that were answered 200."""
    with requests.Session() as session:
        for number in numbers:
            begun.add(number)
            try:
                answer = session.post(
                    f"{served.url}/studies", message(instance(number)), headers={"Content-Type": MULTIPART}, timeout=60
                )
            except requests.RequestException:
                return
            assert answer.status_code == 200, answer.text
            answered.add(number)


@pytest.mark.parametrize("seed", range(30 if LONG else 3))
def test_of_a_server_that_is_killed_what_was_answered_is_there_and_the_rest_is_whole_or_absent(
    home: Path, seed: int
) -> None:
    chance = random.Random(seed)
    numbers, answered, begun = itertools.count(), set[int](), set[int]()
    for _ in range(2):
        with killable(home) as (served, process):
            clients = [
                threading.Thread(target=store_until_it_dies, args=(served, numbers, answered, begun)) for _ in range(3)
            ]
            for client in clients:
                client.start()
            before = len(answered)
            while len(answered) < before + 3:
                time.sleep(0.01)
            time.sleep(chance.random() / 2)
            os.kill(process.pid, signal.SIGKILL)
            for client in clients:
                client.join()
    with killable(home) as (served, _):
        files = FolderStore.open(str(served.folder), Parent())
        there = {int(Path(ref.uri).stem.rpartition(".")[2]) for ref in files.list() if isinstance(ref, FileRef)}
        assert answered <= there <= begun
        assert answered <= found_by(served)
        deadline = time.monotonic() + 60
        while found_by(served) != there:  # what was not answered is found by the first sweep
            assert time.monotonic() < deadline
            time.sleep(0.1)
        for number in there:
            url = f"{served.url}/studies/1.2.1/series/1.2.2/instances/1.2.3.{number}"
            assert requests.get(url, headers={"Accept": "application/dicom"}, timeout=60).content == instance(number)


def found_by(served: Served) -> set[int]:
    """Search for all instances; give their numbers."""
    found = requests.get(f"{served.url}/instances", timeout=60).json()
    return {int(each["00080018"]["Value"][0].rpartition(".")[2]) for each in found}


def test_a_large_instance_takes_little_memory() -> None:
    rows = big_instance_section(2_000_000_000 if LONG else 200_000_000).splitlines()[2:]
    peaks = [float(row.split("|")[3]) for row in rows]
    assert peaks[-1] < 150


def test_under_load_nothing_fails() -> None:
    headings, _, *rows = load_section(40, 80).splitlines()
    assert headings.count("|") == 11
    assert [row.split("|")[3].strip() for row in rows] == ["0"] * 6


def test_a_large_store_is_searched() -> None:
    headings, _, *rows = big_store_section(1000, 14).splitlines()
    assert headings.startswith("| 1,000 instances")
    assert [row.split("|")[3].strip() for row in rows] == ["0"] * 8
