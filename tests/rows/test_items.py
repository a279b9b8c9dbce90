"""Plain items are read in one short loop, and never differ from what the reference reads."""

import inspect
import random
from collections import Counter
from typing import Any

import pytest

from dicombq.rows import items, walk, walker
from dicombq.rows.record import Record
from dicombq.rows.runs import Run
from dicombq.table.mapping import Column
from tests import differential
from tests.dicom_bytes import EXPLICIT, IMPLICIT, Syntax, element, instance, item, nested, numbers, sequence

FRAMES, CONTENT, CODES = 0x52009230, 0x00209111, 0x00400260
FRAMES_NAME = "PerFrameFunctionalGroupsSequence"
PRIVATE = 0x00291010


pytestmark = pytest.mark.usefixtures("fresh_memory")


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many items of each sequence were read in the short way."""
    if inspect.ismethoddescriptor(items.PlainItems.attempt):
        pytest.skip("compiled methods call each other unseen")
    counts: Counter[str] = Counter()

    class Counted(items.PlainItems):
        def attempt(self, record: Record, found: Column, *arguments: Any, **how: Any) -> Any:
            item = super().attempt(record, found, *arguments, **how)
            counts[found.name] += item is not None
            return item

    monkeypatch.setattr(walker, "PlainItems", Counted)
    return counts


def frame(number: int, *odd: bytes, syntax: Syntax = EXPLICIT, undefined: bool = False) -> bytes:
    """Write a frame whose content is its own."""
    content = sequence(
        CONTENT,
        b"".join(
            [
                element(0x00080100, "SH", f"C{number}", syntax),
                element(0x00080104, "LO", "" if number % 3 else "a", syntax),
                element(0x00189074, "DT", f"2026021{number % 10}10000{number % 7}.{number}", syntax),
                element(0x00189151, "DT", "202602" if number % 5 else "", syntax),
                numbers(0x00189220, "FD", "d", number / 3, syntax=syntax),
                element(0x00200032, "DS", f"{number}\\-1.5\\ 2", syntax),
                *odd,
            ]
        ),
        syntax=syntax,
        undefined=undefined,
    )
    return content + sequence(CODES, syntax=syntax, undefined=undefined)


def scan(*frames: bytes, before: tuple[bytes, ...] = (), syntax: Syntax = EXPLICIT) -> bytes:
    return instance(*before, sequence(FRAMES, *frames, syntax=syntax), syntax=syntax)


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("zone", ["", "+0000", "-0530"])
def test_most_frames_are_read_in_the_short_way(plain: Counter[str], syntax: Syntax, undefined: bool, zone: str) -> None:
    before = (element(0x00080201, "SH", zone, syntax),) if zone else ()
    data = scan(*(frame(n, syntax=syntax, undefined=undefined) for n in range(60)), before=before, syntax=syntax)
    assert differential.check_agrees(data) == "equal"
    assert (plain[FRAMES_NAME] > 30) == (zone != "-0530")


@pytest.mark.parametrize(
    "odd",
    [
        element(PRIVATE, "LO", "CREATOR") + element(PRIVATE + 0x0FF0, "LO", "own"),
        element(0x00200060, "CS", "L\\R"),
        element(0x00204000, "LT", "caf\xe9"),
        element(0x00209056, "SH", "\x1b$B"),
        element(0x00209057, "UL", b"abc"),
        element(0x00209057, "UL", b"2026") * 2,
        element(0x00209157, "UN", b"ab"),
        element(0x0040A13A, "DT", "20260101\\20260102"),
        element(0x00409210, "SH", "a") + element(0x00409096, "OB", b"ab"),
        element(0x00420011, "OB", b"ab"),
        element(0x00480001, "FL", b"\0\0\xc0\x7f"),
        element(0x00700001, "ZZ", b"ab"),
        sequence(0x00700001, element(0x00080100, "SH", "X")),
        sequence(0x00700001, element(0x00080100, "SH", "X"), undefined=True),
        item(b""),
        b"\0" * 3,
        b"\0" * 8,
        element(0x00700001, "LO", "a" * 300),
        b"\x70\x00\x01\x00LO\xff\x7f",
    ],
)
@pytest.mark.parametrize("undefined", [False, True])
def test_what_is_odd_in_one_frame_is_read_as_the_reference_does(odd: bytes, undefined: bool) -> None:
    for at in (20, 25):
        frames = [frame(n, *([odd] if n == at else []), undefined=undefined) for n in range(40)]
        differential.check_agrees(scan(*frames))
        differential.check_agrees(scan(*frames), max_element_size=200)


def test_damaged_frames_are_read_as_the_reference_does(plain: Counter[str]) -> None:
    rng = random.Random(7)
    for turn in range(300):
        data = bytearray(scan(*(frame(n, undefined=turn % 2 == 0) for n in range(30))))
        for _ in range(rng.randrange(1, 4)):
            data[rng.randrange(len(data) // 2, len(data))] = rng.choice([0, 1, 0xFE, 0xFF, 0x5C, rng.randrange(256)])
        differential.check_agrees(bytes(data))
    assert 0 < plain[FRAMES_NAME] < 300 * 20


@pytest.mark.parametrize("undefined", [False, True])
def test_what_is_beyond_the_limit_is_left_out_in_the_short_way_too(undefined: bool) -> None:
    data = scan(*(frame(n, undefined=undefined) for n in range(30)))
    for limit in (20, 60, 150, 200, 250, 3000, len(data) - 500, len(data)):
        differential.check_agrees(data, max_element_size=limit)


def test_what_frames_share_is_added_in_one_go_in_the_short_way_too(
    plain: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def shared(number: int) -> bytes:
        return element(0x00080104, "LO", f"meaning {number} " * 12)

    added: list[bytes] = []
    add_to = Run.add_to

    def note(self: Run, *arguments: Any) -> None:
        added.append(self.data)
        add_to(self, *arguments)

    monkeypatch.setattr(Run, "add_to", note)
    for meaning in (1, 2, 1):
        contents = [element(0x00080100, "SH", f"C{number}") + shared(meaning) for number in range(60)]
        frames = [sequence(CONTENT, content) + sequence(CODES, shared(meaning)) for content in contents]
        assert differential.check_agrees(scan(*frames)) == "equal"
    assert plain[FRAMES_NAME] > 90
    assert sum(each == shared(1) for each in added) > 80
    assert sum(each.endswith(shared(1)) and each != shared(1) for each in added) > 80


@pytest.mark.parametrize("is_shared", [False, True])
@pytest.mark.parametrize("at", range(20, 30))
def test_elements_that_do_not_ascend_in_one_frame_are_handed_over(at: int, is_shared: bool) -> None:
    late = element(0x00100020, "LO", "late")
    shared = element(0x00104000, "LT", "shared " * 20) if is_shared else b""
    frames = [
        element(0x00080100, "SH", f"C{number}") + (shared or element(0x00104000, "LT", str(number)))
        for number in range(30)
    ]
    assert differential.check_agrees(scan(*frames)) == "equal"
    frames[at] += late
    assert differential.check_agrees(scan(*frames)) == differential.HANDED_OVER


@pytest.mark.parametrize("at", range(30))
def test_a_time_zone_behind_a_dt_of_one_item_is_followed(at: int) -> None:
    moments = [element(0x0040A13A, "DT", "20260211100000") if number == at else b"" for number in range(30)]
    items = [element(0x00080100, "SH", str(number)) + moment for number, moment in enumerate(moments)]
    data = instance(sequence(0x00080110, *items), element(0x00080201, "SH", "+0100"))
    assert differential.check_agrees(data) == "equal"


def test_an_item_of_more_elements_than_the_short_way_takes_is_read(
    plain: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(items, "_MAX_ELEMENTS", 100)
    few, many = (
        [sequence(CODES, *(element(0x00080100, "SH", f"{n}.{code}") for code in range(codes))) for n in range(20)]
        for codes in (40, 60)
    )
    assert differential.check_agrees(scan(*many)) == "equal"
    assert not plain[FRAMES_NAME]
    assert differential.check_agrees(scan(*few)) == "equal"
    assert plain[FRAMES_NAME]


def test_elements_that_are_read_in_the_short_way_count(plain: Counter[str], monkeypatch: pytest.MonkeyPatch) -> None:
    data = scan(*(frame(n) for n in range(20)))
    assert differential.check_agrees(data) == "equal"
    assert plain[FRAMES_NAME]
    monkeypatch.setattr(walk, "MAX_ALL_ELEMENTS", 100)
    assert differential.check_agrees(data) == differential.HANDED_OVER


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("depth", range(10, 15))
def test_frames_are_left_out_where_the_table_has_no_level_for_them(depth: int, undefined: bool) -> None:
    for name in (element(0x00100010, "PN", "A^B"), b""):
        leaves = (element(0x00080100, "SH", str(number)) + name for number in range(20))
        data = scan(*(nested(depth, CODES, leaf, undefined=undefined) for leaf in leaves))
        assert differential.check_agrees(data) == "equal"
