"""A fast reader gives the reference's row or hands over; it reads little, and no more than there is."""

import io
import struct
import tracemalloc
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicombq.dicom.values import KNOWN_VRS
from dicombq.rows import elements, part10, reference, walker, window
from dicombq.rows.base import HandOver, NotAnInstance, Row, Unreadable
from dicombq.rows.metadata import MetadataRecord
from dicombq.rows.record import Record
from tests import differential, fuzz
from tests.corpus.dumps import FOLDER
from tests.dicom_bytes import (
    BIG,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    JPEG,
    JPIP_DEFLATED,
    UNDEFINED,
    Syntax,
    dataset,
    deflated,
    delimiter,
    element,
    instance,
    item,
    meta,
    nested,
    numbers,
    sequence,
    tag_bytes,
    uids,
)
from tests.dicom_bytes import (
    part10 as file_of,
)
from tests.differential import check_agrees
from tests.random_dicom import case

IMAGES, NAME, PIXELS = 0x00081140, 0x00100010, 0x7FE00010
BOTH = pytest.mark.parametrize("record_type", [Record, MetadataRecord])
BY_EACH = pytest.mark.parametrize("by", differential.FAST)
SHARDS, IN_A_SHARD = 8, 300
DETERMINED = settings(derandomize=True, max_examples=150, deadline=None)


class WatchedFile:
    """A file that notes how much of it was asked for and how much was read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.asked = 0
        self.most_asked = 0
        self.given = 0
        self.reads = 0

    def read(self, size: int = -1) -> bytes:
        assert size >= 0, "a read of all that is there"
        data = self._file.read(size)
        self.reads += 1
        self.asked += size
        self.most_asked = max(self.most_asked, size)
        self.given += len(data)
        return data

    def seek(self, position: int, whence: int = 0) -> int:
        return self._file.seek(position, whence)

    def tell(self) -> int:
        return self._file.tell()


def watched(by: str, data: bytes, **how: Any) -> tuple[WatchedFile, Row | Exception]:
    file = WatchedFile(io.BytesIO(data))
    try:
        return file, differential.FAST[by](cast("BinaryIO", file), len(data), **how)
    except (HandOver, Unreadable, NotAnInstance) as answer:
        return file, answer


def content(syntax: Syntax = EXPLICIT, *, undefined: bool = False) -> list[bytes]:
    image = element(0x00081155, "UI", "1.2.3", syntax)
    return [
        element(0x00080005, "CS", "\\ISO 2022 IR 87", syntax),
        sequence(IMAGES, image, b"", image, syntax=syntax, undefined=undefined),
        element(0x00090010, "LO", "GEMS_IDEN_01", syntax),
        element(0x00091002, "SH", "SUITE", syntax),
        sequence(0x00091101, element(NAME, "PN", "A^B", syntax), syntax=syntax, undefined=undefined),
        element(NAME, "PN", b"Yamada^Tarou=\x1b$B;3ED\x1b(B", syntax),
        numbers(0x00280103, "US", "H", 1, syntax=syntax),
        numbers(0x00280106, "SS", "h", -5, syntax=syntax),
        numbers(0x00280009, "AT", "H", 0x0048, 0x021F, syntax=syntax),
        numbers(0x60000010, "US", "H", 5, syntax=syntax),
        element(0x00420011, "OB", b"abcd", syntax),
        element(0x0040A160, "UT", "long", syntax),
    ]


def encapsulated(*fragments: bytes) -> bytes:
    return element(PIXELS, "OB", b"".join(map(item, (b"", *fragments))), length=UNDEFINED) + delimiter(0xFFFEE0DD)


@pytest.mark.parametrize(
    "syntax", [IMPLICIT, EXPLICIT, BIG, DEFLATED, JPIP_DEFLATED, JPEG], ids=lambda syntax: syntax.uid
)
@pytest.mark.parametrize("undefined", [True, False])
@BOTH
def test_every_transfer_syntax_is_read_and_not_handed_over(
    syntax: Syntax, undefined: bool, record_type: type[Record]
) -> None:
    data = instance(*content(syntax, undefined=undefined), syntax=syntax)
    assert check_agrees(data, record_type) == differential.EQUAL


@pytest.mark.parametrize("size", [132, 200, 1000])
@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG, DEFLATED], ids=lambda syntax: syntax.uid)
def test_a_header_longer_than_the_first_read_gives_the_same_row(size: int, syntax: Syntax) -> None:
    data = instance(*content(syntax), nested_text(syntax), element(PIXELS, "OW", bytes(5000), syntax), syntax=syntax)
    with differential.prefix(size):
        assert check_agrees(data) == differential.EQUAL


def nested_text(syntax: Syntax) -> bytes:
    """Write sequences of which each has more bytes than small first reads."""
    leaf = element(0x0040A160, "UT", "x" * 3000, syntax)
    for undefined in (True, False, True):
        leaf = sequence(
            0x0040A730, leaf, element(0x0040A160, "UT", "y" * 400, syntax), syntax=syntax, undefined=undefined
        )
    return leaf


@pytest.mark.parametrize(("name", "data"), fuzz.corpus(None))
def test_a_file_of_pydicom_gives_the_same_row(name: str, data: bytes) -> None:
    for record_type in (Record, MetadataRecord):
        assert check_agrees(data, record_type)
        assert check_agrees(data, record_type, claims=False, max_element_size=64)


@pytest.mark.parametrize("size", [132, 200, 1000])
def test_the_size_of_the_first_read_makes_no_difference_to_files_of_pydicom(size: int) -> None:
    with differential.prefix(size):
        for name, data in fuzz.corpus(None):
            assert check_agrees(data), name


def test_few_files_of_pydicom_are_handed_over() -> None:
    for by, compared in differential.compare_undamaged(fuzz.corpus(None)).items():
        outcomes = list(compared.values())
        assert differential.share(outcomes) < differential.MAX_SHARE, (by, differential.figures(outcomes))


@pytest.mark.parametrize("shard", range(SHARDS))
def test_random_and_damaged_files_give_the_same_row_or_are_handed_over(shard: int) -> None:
    files = fuzz.corpus(None)
    for number in range(shard * IN_A_SHARD, (shard + 1) * IN_A_SHARD):
        for _, outcome in differential.compare_made(files, 5, number):
            assert outcome.kind != differential.DIFFERENT, (number, outcome.detail)


def test_most_random_files_are_not_handed_over() -> None:
    cases = [case(6, number) for number in range(300)]
    compared = [differential.compare(one.data, max_element_size=one.max_element_size) for one in cases]
    for by in differential.FAST:
        outcomes = [each[by] for each in compared]
        assert differential.share(outcomes) < 0.3, (by, differential.figures(outcomes))


@pytest.mark.corpus
@pytest.mark.skipif(FOLDER is None, reason="DICOMBQ_CORPUS names no folder")
def test_few_files_of_the_corpus_are_handed_over_and_none_differs() -> None:
    for outcomes in differential.compare_undamaged(fuzz.corpus(FOLDER)).values():
        assert {name: one.detail for name, one in outcomes.items() if one.kind == differential.DIFFERENT} == {}
        assert differential.share(list(outcomes.values())) < differential.MAX_SHARE


@BOTH
@pytest.mark.parametrize("undefined", [True, False])
@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG, DEFLATED, JPEG], ids=lambda syntax: syntax.uid)
def test_a_file_that_ends_at_any_byte_gives_no_other_answer(
    syntax: Syntax, undefined: bool, record_type: type[Record]
) -> None:
    pixels = [encapsulated(bytes(40), bytes(20))] if syntax is JPEG else [element(PIXELS, "OW", bytes(60), syntax)]
    data = instance(*content(syntax, undefined=undefined), *pixels, syntax=syntax)
    for size in range(len(data)):
        with differential.prefix(200):
            assert check_agrees(data[:size], record_type)
        assert check_agrees(data[:size], record_type)


@BY_EACH
@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG, JPEG], ids=lambda syntax: syntax.uid)
def test_pixel_data_is_not_read(syntax: Syntax, by: str, tmp_path: Path) -> None:
    header = instance(*content(syntax), syntax=syntax)
    size = 50 << 20
    path = tmp_path / "big.dcm"
    with path.open("wb") as file:
        if syntax is JPEG:
            file.write(header + element(PIXELS, "OB", item(b""), length=UNDEFINED))
            file.write(tag_bytes(0xFFFEE000) + struct.pack("<L", size))
            file.seek(size, 1)
            file.write(delimiter(0xFFFEE0DD))
        else:
            file.write(header + element(PIXELS, "OW", b"", syntax, size))
            file.truncate(file.tell() + size)
    with path.open("rb") as file:
        watched_file = WatchedFile(file)
        found = differential.FAST[by](cast("BinaryIO", watched_file), path.stat().st_size)
        file.seek(0)
        assert differential.text_of(found) == differential.text_of(reference.read_row(file, path.stat().st_size))
    assert {"TagName": "PixelData", "TagReference": ""} in cast("list[object]", found.values["DroppedTags"])
    assert watched_file.given <= 4 * window.PREFIX


@BY_EACH
def test_a_big_value_is_not_read(by: str) -> None:
    data = instance(element(0x0040A160, "UT", "x" * (4 << 20)), element(0x00420011, "OB", bytes(4 << 20)))
    file, found = watched(by, data)
    assert isinstance(found, Row)
    assert [each["TagName"] for each in cast("Any", found.values["DroppedTags"])] == [
        "TextValue",
        "EncapsulatedDocument",
    ]
    assert file.given <= 4 * window.PREFIX
    check_agrees(data)


@BY_EACH
@pytest.mark.parametrize("undefined", [True, False])
def test_a_big_value_of_an_item_is_not_read(by: str, undefined: bool) -> None:
    data = instance(sequence(IMAGES, element(0x0040A160, "UT", "x" * (4 << 20)), undefined=undefined))
    file, found = watched(by, data)
    assert isinstance(found, HandOver if undefined else Row)
    assert file.given <= 4 * window.PREFIX
    check_agrees(data)


@BY_EACH
def test_a_long_header_is_read_once(by: str) -> None:
    frames = [nested(3, leaf=element(NAME, "PN", "A")) + element(0x00189074, "DT", "20240101120000.5")] * 3000
    data = instance(sequence(0x52009230, *frames), element(PIXELS, "OW", bytes(1000)))
    assert len(data) > 10 * window.PREFIX
    file, found = watched(by, data)
    assert isinstance(found, Row)
    assert file.given <= len(data) + 4 * window.PREFIX
    assert check_agrees(data) == differential.EQUAL


@BY_EACH
@pytest.mark.parametrize("length", [0xFFFF, 0xFFFFFFFE, 0x7FFFFFFF, 1 << 20, 1 << 30])
@pytest.mark.parametrize(
    "make",
    [
        lambda length: element(0x0040A160, "UT", "x", length=length),
        lambda length: element(IMAGES, "SQ", item(b""), length=length),
        lambda length: element(PIXELS, "OW", b"x", length=length),
        lambda length: sequence(IMAGES, element(0x0040A160, "UT", "x", length=length)),
        lambda length: element(IMAGES, "SQ", tag_bytes(0xFFFEE000) + struct.pack("<L", length)),
        lambda length: element(PIXELS, "OB", tag_bytes(0xFFFEE000) + struct.pack("<L", length), length=UNDEFINED),
        lambda length: element(0x00091001, "UN", b"x", length=length),
    ],
    ids=["text", "sequence", "pixels", "text in an item", "item", "fragment", "unknown"],
)
def test_a_length_beyond_the_end_makes_nobody_ask_for_so_much(by: str, length: int, make: Any) -> None:
    data = file_of(b"".join(uids()) + make(length))
    watched(by, data, max_element_size=1 << 32)  # what is imported at the first use is not counted
    tracemalloc.start()
    try:
        file, found = watched(by, data, max_element_size=1 << 32)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert not isinstance(found, Row)
    assert file.most_asked <= max(len(data), window.PREFIX)
    assert peak < 1 << 20
    check_agrees(data)


@BY_EACH
@pytest.mark.parametrize("missing", [1, 30, 100, 1000])
def test_a_file_that_became_shorter_is_handed_over_at_once(by: str, missing: int) -> None:
    data = instance(*content(), element(0x00104000, "LT", "x" * 2000))
    file = WatchedFile(io.BytesIO(data[:-missing]))
    with differential.prefix(200), pytest.raises(HandOver):
        differential.FAST[by](cast("BinaryIO", file), len(data))
    assert file.reads < 20


@BOTH
@pytest.mark.parametrize("levels", [14, 15, 16, 17, 60, 80, 81, 400, 5000])
@pytest.mark.parametrize("undefined", [True, False])
def test_no_depth_breaks_a_reader(levels: int, undefined: bool, record_type: type[Record]) -> None:
    data = instance(nested(levels, leaf=element(NAME, "PN", "A"), undefined=undefined))
    kind = check_agrees(data, record_type, max_element_size=1 << 32)
    if not undefined or levels <= 15:  # beyond, what is left out is passed over by its length
        assert kind == differential.EQUAL
    if undefined and levels >= 400:
        assert kind in (differential.HANDED_OVER, differential.REFUSED)


@BY_EACH
def test_a_deflate_bomb_is_bounded(by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part10, "MAX_INFLATED", 1 << 20)
    monkeypatch.setattr(reference, "MAX_ELEMENTS", 1000)
    zeros = file_of(bytes(50 << 20), DEFLATED)
    text = file_of(dataset() + element(0x0040A160, "UT", bytes(50 << 20)), DEFLATED)
    pixels = file_of(dataset() + element(PIXELS, "OW", bytes(50 << 20)), DEFLATED)
    for data in (zeros, text, pixels):
        tracemalloc.start()
        try:
            file, _ = watched(by, data)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 8 << 20
        assert file.most_asked <= 1 << 20
        check_agrees(data)


def test_a_damaged_deflated_data_set_gives_no_other_answer() -> None:
    whole = deflated(dataset(*content()))
    for data in (b"\xff" * 50, whole[:-20], whole + b"rest", zlib.compress(dataset()), b""):
        check_agrees(bytes(128) + b"DICM" + meta(DEFLATED.uid) + data)


def test_more_elements_than_a_data_set_may_have_give_no_other_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "MAX_ELEMENTS", 50)
    monkeypatch.setattr(walker, "MAX_ELEMENTS", 50)
    data = file_of(b"".join(uids()) + b"".join(element(0x00200000 | number, "LO", "A") for number in range(1, 60)))
    assert check_agrees(data) == differential.HANDED_OVER


@pytest.mark.parametrize("undefined", [True, False])
def test_more_elements_in_sequences_than_an_instance_may_have_give_no_other_answer(
    undefined: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elements, "MAX_READS", 600)
    monkeypatch.setattr("dicombq.rows.walker.MAX_ALL_ELEMENTS", 100)
    kinds = set()
    for number in range(0, 300, 10):
        data = instance(sequence(IMAGES, *[element(NAME, "PN", "A")] * number, undefined=undefined))
        kinds.add(check_agrees(data))
    assert kinds == {differential.EQUAL, differential.HANDED_OVER}


def test_a_header_beyond_the_limit_gives_no_other_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elements, "MAX_HEADER", 20_000)
    monkeypatch.setattr(window, "MAX_HEADER", 10_000)
    texts = [element(0x0018A001 + number, "LT", "x" * 900) for number in range(30)]
    with differential.prefix(200):
        kinds = [check_agrees(instance(*texts[:number], element(PIXELS, "OW", bytes(100)))) for number in range(30)]
    assert kinds[0] == differential.EQUAL
    assert kinds[-1] == differential.HANDED_OVER


def test_content_that_is_no_dicom_gives_no_other_answer() -> None:
    for data in (b"this is a text\n" * 100, bytes(5000), bytes(7), b"", b"{}", b"\xff" * 1000, bytes(128) + b"DICM"):
        for claims in (True, False):
            check_agrees(data, claims=claims)


def test_a_file_without_preamble_is_found_by_a_small_first_read_too() -> None:
    long = element(0x00080005, "CS", "ISO_IR 100" + "\\" * 400)
    data = dataset(long, *content()[1:])
    for size in differential.PREFIXES:
        with differential.prefix(size):
            assert check_agrees(data, claims=False) in (differential.EQUAL, differential.HANDED_OVER)


HEADS = st.builds(
    lambda group, number, vr, length: struct.pack("<HH", group, number) + vr + struct.pack("<H", length),
    st.sampled_from([0x0002, 0x0008, 0x0009, 0x0010, 0x0028, 0x6000, 0x7FE0, 0xFFFE]),
    st.sampled_from([0x0000, 0x0005, 0x0010, 0x0016, 0x0018, 0x0103, 0x1001, 0x1140, 0x3000, 0xE000, 0xE00D, 0xE0DD]),
    st.sampled_from([vr.encode() for vr in sorted(KNOWN_VRS)] + [b"\0\0", b"??"]),
    st.sampled_from([0, 0, 1, 2, 4, 8, 0xFFFF]),
)


@DETERMINED
@given(st.lists(st.one_of(HEADS, st.binary(max_size=12)), max_size=12), st.booleans())
def test_any_heads_of_elements_give_no_other_answer(pieces: list[bytes], claims: bool) -> None:
    for record_type in (Record, MetadataRecord):
        check_agrees(bytes(128) + b"DICM" + b"".join(pieces), record_type, claims=claims)
        check_agrees(file_of(b"".join(uids()) + b"".join(pieces)), record_type)


def test_the_comparer_sees_every_kind_of_difference() -> None:
    row = Row(b'{"A":[1,{"B":"x","C":"y"}],"D":1.0}', frozenset({"A.B"}), ("1", "2", "3"))
    others: list[tuple[Row, str]] = [
        (replace(row, json=b'{"A":[1,{"B":"x","C":"y"}],"D":1}'), ".D: expected float 1.0, got int 1"),
        (replace(row, json=b'{"A":[1,{"B":"x"}],"D":1.0}'), ".A[1].C: only in the reference"),
        (replace(row, json=b'{"A":[true,[1]],"D":1.0}'), ".A[0]: expected int 1, got bool True"),
        (replace(row, json=b'{"A":[1],"D":1.0}'), ".A: expected [1, {'B': 'x', 'C': 'y'}], got [1]"),
        (replace(row, json=b'{"D":1.0,"A":[1,{"B":"x","C":"y"}]}'), ": expected the order ['A', 'D'], got ['D', 'A']"),
        (replace(row, columns=frozenset()), "the column A.B is only in the reference"),
        (replace(row, uids=("1", "2", "4")), "uids[2]: expected '3', got '4'"),
    ]
    assert list(differential.differences(row, row)) == []
    for other, difference in others:
        assert next(differential.differences(row, other)) == difference


def test_the_comparer_tells_the_refusals_apart() -> None:
    def refuse(answer: Exception) -> Any:
        def read(*_: object, **__: object) -> Row:
            raise answer

        return read

    whole, cut = instance(), instance()[:-3]

    def compare(data: bytes, answer: Exception) -> differential.Outcome:
        return differential.compare(data, fast={"it": refuse(answer)})["it"]

    assert compare(whole, Unreadable("DATA_LOSS", "x")).kind == differential.DIFFERENT
    assert compare(cut, Unreadable("DATA_LOSS", "x")).kind == differential.REFUSED
    assert compare(cut, NotAnInstance("x")).kind == differential.DIFFERENT
    assert compare(whole, HandOver("odd")) == (differential.HANDED_OVER, "odd", True)
    with pytest.raises(ZeroDivisionError):
        compare(whole, ZeroDivisionError())


def test_the_command_prints_its_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.dcm").write_bytes(instance(*content()))
    assert differential.main(["--count", "30", "--folder", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "1 undamaged files, 0.00% of the readable handed over" in printed
    assert "0 different" in printed
