"""What a file shares with those before it is added in one go, and never differs from what the reference reads."""

import io
import random
from collections.abc import Sequence
from typing import Any

import pytest

from dicombq.rows import runs, walk, walker
from dicombq.rows.metadata import MetadataRecord
from dicombq.rows.record import Record
from dicombq.rows.runs import Run
from tests import differential
from tests.dicom_bytes import (
    EXPLICIT,
    IMPLICIT,
    Syntax,
    delimiter,
    element,
    instance,
    item,
    numbers,
    sequence,
)
from tests.dicom_bytes import (
    part10 as file_of,
)

BOTH = pytest.mark.parametrize("record_type", [Record, MetadataRecord])
IMAGES, NUMBER, PIXELS = 0x00081140, 0x00200013, 0x7FE00010


pytestmark = pytest.mark.usefixtures("fresh_memory")


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """The runs that were added to records."""
    found: list[Run] = []
    add_to = Run.add_to

    def note(self: Run, *arguments: Any) -> None:
        found.append(self)
        add_to(self, *arguments)

    monkeypatch.setattr(Run, "add_to", note)
    return found


def agree(files: Sequence[bytes], record_type: type[Record] = Record, **how: Any) -> list[str]:
    return [differential.check_agrees(data, record_type, **how) for data in files]


def patient(syntax: Syntax = EXPLICIT, name: bytes = b"A^B=C") -> list[bytes]:
    """Write elements that instances of a series share."""
    return [
        element(0x00080008, "CS", "ORIGINAL\\PRIMARY", syntax),
        element(0x00080060, "CS", "CT", syntax),
        element(0x00080070, "LO", "", syntax),
        element(0x00081030, "LO", name, syntax),
        sequence(0x00081032, element(0x00080100, "SH", "X", syntax), syntax=syntax),
        element(0x00100010, "PN", name, syntax),
        element(0x00100030, "DA", "nonsense", syntax),
        element(0x00100040, "CS", "O", syntax),
        element(0x00101001, "PN", name + b"\\D", syntax),
        element(0x00180050, "DS", "1.5", syntax),
        numbers(0x00280010, "US", "H", 512, syntax=syntax),
        numbers(0x00280011, "US", "H", 512, syntax=syntax),
        element(0x00420011, "OB", b"ab", syntax),
    ]


def series(*elements: bytes, syntax: Syntax = EXPLICIT, count: int = 5) -> list[bytes]:
    """Write instances that differ in Instance Number only."""
    return [instance(*elements, element(NUMBER, "IS", str(number), syntax), syntax=syntax) for number in range(count)]


@BOTH
@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, Syntax("1.2.840.10008.1.2.2", order=">")])
def test_what_a_series_shares_is_read_once(record_type: type[Record], syntax: Syntax, used: list[Run]) -> None:
    agree(series(*patient(syntax), syntax=syntax), record_type)
    assert max(run.elements for run in used) >= 5
    assert {run.dropped for run in used} > {()}
    assert ({run.notices for run in used} > {()}) == (record_type is Record)


def test_a_value_that_begins_to_change_splits_a_run(used: list[Run]) -> None:
    before, after = patient()[:6], patient()[6:]
    agree(series(*before, *after))
    one = len(used[-2].data) + len(used[-1].data)
    for number in range(4):
        agree(series(*before, element(0x00100020, "LO", f"{number}"), *after, count=1))
    used.clear()
    agree(series(*before, element(0x00100020, "LO", "9"), *after, count=1))
    assert sum(len(run.data) for run in used) == one


@BOTH
def test_emptying_the_rows_of_a_series_changes_no_other(record_type: type[Record], used: list[Run]) -> None:
    def empty(value: Any) -> None:
        if isinstance(value, (dict, list)):
            for each in [*value.values()] if isinstance(value, dict) else [*value]:
                empty(each)
            value.clear()

    private = [element(0x00090010, "LO", "X"), element(0x00091001, "LO", "a\\b"), element(0x00091002, "DS", "1")]
    for data in series(*patient(), *private):
        differential.check_agrees(data, record_type)
        row = walker.read_row(io.BytesIO(data), len(data), record_type=record_type)
        empty(row.values)
        row.notices.clear()
        differential.check_agrees(data, record_type)
    assert any(run.other for run in used) or record_type is MetadataRecord


def test_two_rows_of_a_series_share_no_list_and_no_dict(used: list[Run]) -> None:
    def parts(value: Any) -> set[int]:
        if not isinstance(value, (dict, list)):
            return set()
        return {id(value)}.union(*map(parts, value.values() if isinstance(value, dict) else value))

    rows = [walker.read_row(io.BytesIO(data), len(data)) for data in series(*patient())]
    assert used
    assert parts(rows[-1].values)
    assert not parts(rows[-1].values) & parts(rows[-2].values)


def test_the_types_of_record_and_the_limits_share_nothing(used: list[Run]) -> None:
    for data in series(*patient(), count=8):
        for record_type in (Record, MetadataRecord):
            for size in (16, 64, 1 << 20):
                differential.check_agrees(data, record_type, max_element_size=size)
    assert used


@BOTH
def test_the_same_bytes_in_another_character_set_are_read_by_it(record_type: type[Record], used: list[Run]) -> None:
    name = "Müller".encode()
    files = [
        series(element(0x00080005, "CS", charset), *patient(name=name))
        for charset in ("ISO_IR 100", "ISO_IR 192", "ISO_IR 100", "ISO_IR 144", "ISO_IR 192")
    ]
    for group in files:
        agree(group, record_type)
    assert len({run.context for run in used}) > 2


@BOTH
def test_the_same_bytes_behind_another_creator_are_read_by_it(record_type: type[Record], used: list[Run]) -> None:
    private = [element(0x00091000 | number, "", b"12", IMPLICIT) for number in range(0x20, 0x40)]
    for creator in ("GEMS_IDEN_01", "SPI-P Release 1", "", "GEMS_IDEN_01", "nobody"):
        agree(series(element(0x00090010, "LO", creator, IMPLICIT), *private, syntax=IMPLICIT), record_type)
    assert len({str(run.creators) for run in used}) > 2


@BOTH
def test_the_same_bytes_behind_another_sign_are_read_by_it(record_type: type[Record], used: list[Run]) -> None:
    words = [numbers(tag, "US", "H", 0xFFFE, syntax=IMPLICIT) for tag in (0x00280106, 0x00280107, 0x00280108)]
    for sign in (0, 1, 0, 1):
        agree(series(numbers(0x00280103, "US", "H", sign, syntax=IMPLICIT), *words, syntax=IMPLICIT), record_type)
    assert len({run.context.signed for run in used if run.last == 0x00280108}) == 2


@pytest.mark.parametrize("in_item", [True, False])
def test_a_dt_is_in_no_run(used: list[Run], in_item: bool) -> None:
    moment = element(0x0008002A, "DT", "20240131123456")
    content = sequence(0x00081032, moment, element(0x00080100, "SH", "X")) if in_item else moment
    for zone in ("+0100", "-0330", "", "+0100"):
        agree(series(*patient()[:3], content, *patient()[6:], element(0x00080201, "SH", zone)))
    assert used
    assert not any(b"2024013112" in run.data for run in used)


def test_overlays_are_in_no_run(used: list[Run]) -> None:
    overlays = [
        each
        for group in (0x60000000, 0x60020000, 0x60040000)
        for each in (numbers(group | 0x10, "US", "H", 5), numbers(group | 0x50, "SS", "h", 1, 1))
    ]
    agree(series(*patient(), *overlays))
    assert used
    assert not any(run.last >> 24 == 0x60 for run in used)


def test_small_pixel_data_is_in_no_run(used: list[Run]) -> None:
    for rest in (b"", b"\x01", b"\0" * 8, b"rest"):
        for data in series(*patient()[:6], *(numbers(tag, "US", "H", 8) for tag in (0x00280100, 0x00280101))):
            differential.check_agrees(data + element(PIXELS, "OW", bytes(8)) + rest)
    assert used
    assert not any(run.last >= PIXELS for run in used)


def test_what_is_told_by_its_item_is_in_no_run_of_another_item(used: list[Run]) -> None:
    bad = [*patient()[:5], element(0x00100030, "DA", "nonsense"), element(0x00100040, "CS", "O")]
    dropped = [*patient()[:5], element(0x00420011, "OB", b"ab"), element(0x00420012, "LO", "x")]
    for content in (b"".join(bad), b"".join(dropped), b"".join(patient()[:5])):
        agree(series(sequence(IMAGES, *[content] * 6)))
        agree(series(sequence(IMAGES, *[b"", content] * 3)))
        agree(series(sequence(IMAGES, *[content] * 6), element(NUMBER - 1, "IS", "1"), count=1))
    assert used


@BOTH
def test_items_that_share_bytes_end_where_they_say(record_type: type[Record], used: list[Run]) -> None:
    content = b"".join(patient()[:4])
    last = element(0x00081032, "SQ", b"")
    whole = [item(content + last), item(content + last), item(content + last), item(content)]
    cut = item(content)[:4] + (len(content) - 8).to_bytes(4, "little") + content
    for items in (whole, [*whole, whole[0]], [*whole, cut], [cut, *whole], [whole[3]] * 3, [*[whole[3]] * 3, cut]):
        agree([instance(element(IMAGES, "SQ", b"".join(items))) for _ in range(3)], record_type)
        opened = [each[:4] + b"\xff" * 4 + each[8:] + delimiter(0xFFFEE00D) for each in items]
        agree([instance(element(IMAGES, "SQ", b"".join(opened)))] * 3, record_type)
    assert used


def test_a_run_does_not_reach_beyond_its_item(used: list[Run]) -> None:
    content = b"".join(patient()[:6])
    last = element(0x00180050, "DS", "1.5")
    agree([instance(sequence(IMAGES, content + last, element(0x00081155, "UI", f"1.{n}"))) for n in range(4)])
    assert [run for run in used if run.data == content + last]
    agree([instance(sequence(IMAGES, content), last)])


def test_a_run_behind_a_greater_tag_is_handed_over(used: list[Run]) -> None:
    content = b"".join(patient()[2:8])
    greater = element(0x00200010, "SH", "X")
    agree([file_of(content + element(NUMBER, "IS", str(number))) for number in range(4)])
    assert used
    assert agree([file_of(greater + content)]) == [differential.HANDED_OVER]


def test_elements_in_runs_count(monkeypatch: pytest.MonkeyPatch, used: list[Run]) -> None:
    files = series(*patient())
    agree(files)
    assert used
    monkeypatch.setattr(walk, "MAX_ELEMENTS", 8)
    assert agree(files) == [differential.HANDED_OVER] * 5


def test_elements_of_items_in_runs_count(monkeypatch: pytest.MonkeyPatch, used: list[Run]) -> None:
    images = sequence(IMAGES, *[element(0x00081155, "UI", "1.2.3")] * 20)
    files = series(*patient(), images, count=20)
    least = []
    for data in files:
        for most in range(100):
            monkeypatch.setattr(walk, "MAX_ALL_ELEMENTS", most)
            if agree([data]) == [differential.EQUAL]:
                least.append(most)
                break
    assert [run for run in used if run.inner > 40]
    assert least == [least[0]] * 20


def test_a_place_that_finds_nothing_compares_now_and_then(used: list[Run]) -> None:
    rng = random.Random(1)
    unlike = [
        instance(*(element(0x0018A001 + n, "LT", f"{rng.random()}") for n in range(9)), element(NUMBER, "IS", "1"))
        for _ in range(40)
    ]
    agree(unlike)
    assert not [run for run in used if run.first >> 16 == 0x0018]
    agree([data for data in unlike[:3] for _ in range(20)])
    assert [run for run in used if run.first >> 16 == 0x0018]


@BOTH
def test_what_is_remembered_is_bounded(record_type: type[Record], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "MAX_MEMORY", 10_000)
    most = 0
    for number in range(120):
        name = f"{number // 3:04d}".encode() * 20
        many = [element(0x0018A001 + (n * number) % 5000, "LT", "x") for n in range(40)]
        items = [b"".join(patient(name=name)), b"".join(patient(name=name)), *many]
        agree(series(*patient(name=name), sequence(IMAGES, *items), count=1), record_type)
        most = max(most, runs.memory.size)
    assert 10_000 < most < 20_000


def test_one_file_cannot_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "MAX_MEMORY", 20_000)
    contents = [b"".join(patient(name=f"{number:030d}".encode())) for number in range(2000)]
    agree([instance(sequence(IMAGES, *(each for content in contents for each in (content, content))))])
    assert runs.memory.size < 25_000


def test_one_data_set_of_many_tags_cannot_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "MAX_MEMORY", 20_000)
    agree([instance(*(element(0x00190000 | number, "LO", "x") for number in range(0x1000, 0x2000)))])
    assert 20_000 < runs.memory.size < 25_000


def test_a_run_has_a_longest_size(monkeypatch: pytest.MonkeyPatch, used: list[Run]) -> None:
    monkeypatch.setattr(runs, "MAX_RUN", 400)
    texts = [element(0x0018A001 + number, "LT", "x" * 90) for number in range(30)]
    agree(series(*texts, element(0x0018B001, "LT", "x" * 500), *patient()))
    assert used
    assert max(len(run.data) for run in used) <= 400


def test_a_long_sequence_of_undefined_length_is_left_out(used: list[Run]) -> None:
    long = sequence(IMAGES, *[b"".join(patient())] * 30, undefined=True)
    for record_type in (Record, MetadataRecord):
        for size in (1 << 20, len(long), len(long) - 12, len(long) - 13, 1000):
            assert agree(series(*patient(), long), record_type, max_element_size=size) == [differential.EQUAL] * 5
    assert used
