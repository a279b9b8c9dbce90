"""What the walker remembers and inherits: character sets, creators, time zones, levels, all as in the reference."""

import io

import pytest

from dicombq.rows.base import Row
from dicombq.rows.metadata import MetadataRecord
from dicombq.rows.record import Record
from tests import differential
from tests.dicom_bytes import (
    BIG,
    EXPLICIT,
    IMPLICIT,
    JPEG,
    UNDEFINED,
    Syntax,
    dataset,
    delimiter,
    element,
    instance,
    item,
    nested,
    numbers,
    read,
    sequence,
    uids,
)
from tests.dicom_bytes import (
    part10 as file_of,
)
from tests.differential import check_agrees

IMAGES, NAME, PIXELS = 0x00081140, 0x00100010, 0x7FE00010
END = delimiter(0xFFFEE0DD)
BOTH = pytest.mark.parametrize("record_type", [Record, MetadataRecord])


def walk(data: bytes, record_type: type[Record] = Record) -> Row:
    """Give the row of the fast readers, which is the same."""
    rows = [read(io.BytesIO(data), len(data), record_type=record_type) for read in differential.FAST.values()]
    assert len(set(map(differential.text_of, rows))) == 1
    return rows[0]


@pytest.mark.parametrize("zone", ["+0100", "-0330", "", "nonsense"])
@pytest.mark.parametrize("late", [True, False])
def test_a_dt_before_the_timezone_offset_follows_it(zone: str, late: bool) -> None:
    moment = element(0x0008002A, "DT", "20240131123456")
    offset = element(0x00080201, "SH", zone)
    again = element(0x0040A13A, "DT", "20240131123456")
    item_zone = sequence(IMAGES, element(0x00080201, "SH", "+0500") + again)
    order = [moment, *uids(), item_zone, offset, again] if late else [offset, moment, *uids(), item_zone, again]
    for record_type in (Record, MetadataRecord):
        check_agrees(file_of(b"".join(order)), record_type)


def test_a_transfer_syntax_that_is_left_out_decides_how_the_rest_is_read() -> None:
    for syntax in (EXPLICIT, IMPLICIT, BIG):
        content = dataset(numbers(0x00280010, "US", "H", 5, syntax=syntax), syntax=syntax)
        for uid in (syntax.uid, BIG.uid, "x"):
            data = file_of(content, Syntax(uid + " " * 60))
            assert check_agrees(data, max_element_size=50) in (differential.HANDED_OVER, differential.REFUSED)


def test_what_one_file_says_is_not_taken_for_the_next() -> None:
    def written(zone: str, charset: str, sign: int, creator: str, syntax: Syntax) -> bytes:
        return instance(
            element(0x00080005, "CS", charset, syntax),
            element(0x0008002A, "DT", "20240131123456", syntax),
            element(0x00080201, "SH", zone, syntax),
            element(0x00090010, "LO", creator, syntax),
            element(0x00091002, "SH", b"\xe9\xe9", syntax),
            element(NAME, "PN", b"J\xe9r\xf4me", syntax),
            numbers(0x00280103, "US", "H", sign, syntax=syntax),
            numbers(0x00280106, "SS", "h", -5, syntax=syntax),
            syntax=syntax,
        )

    for syntax in (IMPLICIT, EXPLICIT, BIG, IMPLICIT):
        for zone in ("+0100", "", "-0500"):
            for charset in ("ISO_IR 100", "", "ISO_IR 144", "ISO_IR 192"):
                for sign, creator in ((0, "GEMS_IDEN_01"), (1, "UNKNOWN"), (0, "")):
                    check_agrees(written(zone, charset, sign, creator, syntax))


def test_a_private_creator_counts_for_its_own_file_alone() -> None:
    value = element(0x00091002, "SH", "SUITE", IMPLICIT)
    for creator in ("UNKNOWN", "GEMS_IDEN_01", "", "x" * 200, "GEMS_IDEN_01"):
        data = instance(element(0x00090010, "LO", creator, IMPLICIT), value, syntax=IMPLICIT)
        assert check_agrees(data) == differential.EQUAL
        assert ("Tag_00091002" in str(walk(data).values.get("OtherElements"))) == (creator == "GEMS_IDEN_01")


@pytest.mark.parametrize("signed", [0, 1])
@BOTH
def test_a_private_element_of_either_sign_is_handed_over(signed: int, record_type: type[Record]) -> None:
    creator = element(0x00270010, "LO", "FDMS 1.0", IMPLICIT)
    value = element(0x002710A3, "US", b"\xff\xff\1\0", IMPLICIT)
    sign = numbers(0x00280103, "US", "H", signed, syntax=IMPLICIT)
    data = instance(creator, value, sign, syntax=IMPLICIT)
    assert check_agrees(data, record_type) == differential.HANDED_OVER
    assert ("-1" if signed else "65535") in str(read(data, record_type).values)


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
def test_an_empty_character_set_of_an_item_is_the_default(syntax: Syntax) -> None:
    inner = element(0x00080005, "CS", "", syntax) + element(0x00080104, "LO", b"\xe9", syntax)
    data = instance(
        element(0x00080005, "CS", "ISO_IR 100", syntax), sequence(IMAGES, inner, syntax=syntax), syntax=syntax
    )
    assert check_agrees(data) == differential.EQUAL
    assert walk(data).values["ReferencedImageSequence"] == [{"CodeMeaning": "\\xe9"}]


@pytest.mark.parametrize(
    "early",
    [
        element(0x00060010, "LT", b"\xe9"),
        element(0x00060010, "LT", b"\xe9") + numbers(0x00080000, "UL", "L", 5),
        sequence(0x00070010, element(NAME, "PN", b"\xe9")),
    ],
    ids=["text", "text and a group length", "sequence"],
)
@BOTH
def test_text_before_the_character_set_is_handed_over(early: bytes, record_type: type[Record]) -> None:
    data = file_of(early + element(0x00080005, "CS", "ISO_IR 100") + b"".join(uids()))
    assert check_agrees(data, record_type) == differential.HANDED_OVER
    assert check_agrees(data.replace(b"\xe9", b"e"), record_type) in (differential.EQUAL, differential.HANDED_OVER)


@pytest.mark.parametrize("charset", [b"ISO_IR\0100", b"ISO_IR 100\0\\ISO_IR 101", b"ISO_IR 999"])
@pytest.mark.parametrize("vr", ["CS", "US", "LO"])
def test_a_character_set_that_is_none_gives_no_other_answer(charset: bytes, vr: str) -> None:
    inner = element(0x00080005, vr, charset) + element(NAME, "PN", b"\xe9")
    check_agrees(instance(sequence(IMAGES, inner)))
    check_agrees(instance(inner))


@pytest.mark.parametrize("charset", [b"ISO_IR 100\0X", b"\0\\ISO_IR 100", b"ISO 2022 IR 6\0\\ISO 2022 IR 87", b"abcd"])
@pytest.mark.parametrize("vr", ["CS", "OB", "PN", "SQ", "AT", "FD"])
@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
@BOTH
def test_no_character_set_costs_an_instance(charset: bytes, vr: str, syntax: Syntax, record_type: type[Record]) -> None:
    elements = element(0x00080005, vr, charset, syntax) + element(0x00080104, "LO", b"\xe9", syntax)
    for data in (file_of(elements + b"".join(uids(syntax)), syntax), in_an_item(elements, syntax)):
        assert "00080104" in str(read(data, record_type).notices)
        check_agrees(data, record_type)


def in_an_item(elements: bytes, syntax: Syntax) -> bytes:
    return instance(sequence(IMAGES, elements, syntax=syntax), syntax=syntax)


@pytest.mark.parametrize("levels", range(10, 18))
def test_a_remembered_name_is_left_out_where_the_table_has_no_level_for_it(levels: int) -> None:
    leaf = element(0x00091001, "LT", "A") + element(NAME, "PN", "A^B") + element(0x00280010, "US", b"\1\0")
    assert check_agrees(file_of(leaf)) == differential.EQUAL  # now each is remembered
    check_agrees(instance(nested(levels, leaf=leaf)))
    check_agrees(instance(nested(levels, leaf=leaf, undefined=False)))


@BOTH
def test_bulk_data_is_dropped_where_the_record_would_hold_it(record_type: type[Record]) -> None:
    information = element(0x00020010, "UI", EXPLICIT.uid) + element(0x00020102, "OB", b"ab")
    icon = sequence(0x00880200, element(PIXELS, "OB", item(b"") + item(b"abcd"), length=UNDEFINED) + END)
    data = bytes(128) + b"DICM" + information + dataset(icon)
    assert check_agrees(data, record_type) == differential.EQUAL
    assert ("PrivateInformation" in str(walk(data, record_type).values["DroppedTags"])) == (record_type is Record)


@pytest.mark.parametrize("vr", ["OB", "OW", "UN"])
@pytest.mark.parametrize("rest", [b"", bytes(1), b"rest"])
def test_encapsulated_pixel_data_of_any_vr_gives_no_other_answer(vr: str, rest: bytes) -> None:
    pixels = element(PIXELS, vr, item(b"") + item(bytes(50)), length=UNDEFINED) + END
    check_agrees(file_of(dataset() + pixels + rest, JPEG))
