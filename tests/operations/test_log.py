from __future__ import annotations

import pytest

from dicombq.operations import log
from dicombq.operations.log import grouped


def entry(uri: str, message: str = "cut", tag: str = "") -> dict[str, str]:
    return {"time": uri, "severity": "ERROR", "code": "DATA_LOSS", "uri": uri, "tag": tag, "message": message}


def test_entries_of_one_reason_are_one_with_their_number() -> None:
    items = [entry(f"/{number}", "odd", f"Sequence[{number}].00100010") for number in range(3)]
    assert list(grouped([entry("/a"), *items, entry("/b", "[/x] is newer"), entry("/c", "[/y] is newer")])) == [
        entry("/a"),
        {**items[0], "uri": "/0, ...", "message": "3 x odd"},
        {**entry("/b"), "uri": "/b, ...", "message": "2 x [/x] is newer"},
    ]


def test_a_log_of_very_many_reasons_is_grouped_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "_MAX_GROUPS", 2)
    reasons = ["a", "a", "b", "a", "c"]
    messages = [each["message"] for each in grouped(entry("/", reason) for reason in reasons)]
    assert messages == ["2 x a", "b", "a", "c"]
