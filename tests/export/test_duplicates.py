from __future__ import annotations

import os

from dicombq.export.duplicates import without_rows
from dicombq.export.staging import column_paths
from dicombq.shards.duplicates import Duplicate
from tests.export.staged import Stage, found, stage

__all__ = ["stage"]  # a fixture


def test_losers_leave_their_shard_and_its_columns(stage: Stage) -> None:
    old = stage.stage([found("/a", "1.1", columns=("OnlyHere",)), found("/b", "1.2", columns=("Modality",))])
    new = without_rows(stage.receipts, stage.area, old, [Duplicate(0, 0, "/a", "/c")])
    assert [row["SOPInstanceUID"] for row in stage.rows_of(new)] == ["1.2"]
    assert (new.rows, new.duplicates, new.shard) == (1, 1, 0)
    assert [(entry.uri, entry.message) for entry in new.log] == [("/a", "duplicate: [/c] is the newer copy")]
    assert column_paths(old) == {"OnlyHere", "Modality"}
    assert column_paths(new) == {"Modality"}
    assert list(stage.receipts) == [new]
    assert sorted(os.listdir(stage.area.folder)) == sorted([new.file, new.keys])
    again = without_rows(stage.receipts, stage.area, new, [Duplicate(0, 1, "/b", "/d")])
    assert stage.rows_of(again) == []
    assert column_paths(again) == set()
    assert (again.rows, again.duplicates) == (0, 2)
