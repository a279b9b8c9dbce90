from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from dicombq.names import Parent
from dicombq.rows.record import Record
from dicombq.stores.folder import FolderStore
from dicombq.streaming.readings import read
from tests.instances import write_instance


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    for number in range(2):
        write_instance(tmp_path / f"{number}.dcm", number, StudyDescription="first")
    return FolderStore.open(str(tmp_path), Parent())


def bodies(store: FolderStore) -> dict[str, list[bool]]:
    """Tell for each file how often its rows have what the file had first."""
    readings = read(store, [*store.versions()], [False, True], 1 << 20)  # type: ignore[list-item]  # all are instances
    return {
        os.path.basename(reading.ref.uri): [b"first" in body.json for body in reading.bodies.values()]
        for reading in readings
    }


def test_a_reading_has_the_rows_of_both_schemas(store: FolderStore) -> None:
    assert bodies(store) == {"0.dcm": [True, True], "1.dcm": [True, True]}


def test_a_file_that_changes_between_the_reads_for_two_schemas_is_left_to_the_next_look(
    store: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_once = store.read

    def read_and_change(refs: Sequence[Any], record_type: type[Record], size: int) -> Iterator[Any]:
        yield from [*read_once(refs, record_type, size)]
        write_instance(tmp_path / "1.dcm", 1, StudyDescription="second")
        os.utime(tmp_path / "1.dcm", (2e9, 2e9))

    monkeypatch.setattr(FolderStore, "read", lambda _self, *arguments: read_and_change(*arguments))
    assert bodies(store) == {"0.dcm": [True, True]}
    assert bodies(store) == {"0.dcm": [True, True], "1.dcm": [False, False]}
