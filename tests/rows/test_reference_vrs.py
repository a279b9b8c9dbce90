"""By which VR a file's elements are read: UN, private ones, and those of either sign."""

import struct
from typing import Any, cast

import pytest

from dicombq.rows.metadata import MetadataRecord
from dicombq.rows.record import Record
from tests.dicom_bytes import (
    BIG,
    EXPLICIT,
    IMPLICIT,
    UNDEFINED,
    Syntax,
    delimiter,
    dropped,
    element,
    instance,
    item,
    numbers,
    other,
    read,
    reasons,
    row,
    sequence,
    tag_bytes,
    uids,
)
from tests.differential import EQUAL, check_agrees

IMAGES, NAME, PIXELS = 0x00081140, 0x00100010, 0x7FE00010


def test_a_standard_element_stored_as_un_is_read_by_its_vr_in_little_endian() -> None:
    found = row(
        element(NAME, "UN", "A^B "),
        element(0x00280010, "UN", struct.pack("<H", 512)),
        numbers(0x00280103, "US", "H", 1),
        element(0x00280106, "UN", struct.pack("<h", -5)),
        element(0x00420011, "UN", b"ab"),
        element(0x00091001, "UN", b"ab"),
        element(0x00090010, "UN", b"SOMEBODY"),
    )
    assert dropped(found) == ["Tag_00091001", "EncapsulatedDocument"]
    assert found.values["PatientName"] == {"Alphabetic": {"FamilyName": "A", "GivenName": "B"}}
    assert (found.values["Rows"], found.values["SmallestImagePixelValue"]) == (512, -5)
    assert found.values["OtherElements"] == [other(0x00090010, "SOMEBODY")]
    big = row(element(0x00280010, "UN", struct.pack("<H", 512), BIG), syntax=BIG).values
    assert big["Rows"] == 512


@pytest.mark.parametrize("undefined", [True, False])
@pytest.mark.parametrize("inner", [IMPLICIT, EXPLICIT])
def test_a_sequence_stored_as_un_is_a_sequence(undefined: bool, inner: Syntax) -> None:
    image = element(0x00081155, "UI", "1.2", inner)
    found = row(sequence(IMAGES, image, vr="UN", inner=inner, undefined=undefined)).values
    assert found["ReferencedImageSequence"] == [{"ReferencedSOPInstanceUID": "1.2"}]


def test_a_private_un_of_undefined_length_is_a_sequence_and_of_defined_length_is_dropped() -> None:
    image = element(0x00081155, "UI", "1.2", IMPLICIT)
    undefined = row(sequence(0x00091001, image, vr="UN", inner=IMPLICIT, undefined=True)).values
    assert undefined["Tag_00091001"] == [{"ReferencedSOPInstanceUID": "1.2"}]
    defined = row(sequence(0x00091001, image, vr="UN", inner=IMPLICIT)).values
    assert defined["DroppedTags"] == [{"TagName": "Tag_00091001", "TagReference": ""}]


def test_a_private_sequence_of_undefined_length_in_implicit_vr_is_a_sequence() -> None:
    image = element(0x00081155, "UI", "1.2", IMPLICIT)
    found = row(sequence(0x00091001, image, syntax=IMPLICIT, undefined=True), syntax=IMPLICIT).values
    assert found["Tag_00091001"] == [{"ReferencedSOPInstanceUID": "1.2"}]


def test_a_delimited_sequence_of_no_items_is_empty() -> None:
    assert row(sequence(IMAGES, undefined=True)).columns == row().columns
    assert row(sequence(IMAGES, vr="UN")).columns == row().columns


@pytest.mark.parametrize("tag", [0x00091010, 0x00089999])
def test_an_unknown_sequence_of_undefined_length_without_items_leaves_no_trace(tag: int) -> None:
    empty = sequence(tag, syntax=IMPLICIT, undefined=True)
    in_un = sequence(IMAGES, empty, vr="UN", inner=IMPLICIT)
    assert row(empty, syntax=IMPLICIT).columns == row(in_un).columns == row().columns
    assert dropped(row(empty, syntax=IMPLICIT)) == dropped(row(in_un)) == []
    data = instance(empty, sequence(IMAGES, empty, syntax=IMPLICIT), syntax=IMPLICIT)
    model = cast("Any", read(data, MetadataRecord).values["Metadata"])
    assert model[f"{tag:08X}"] == {"vr": "SQ"}
    assert model[f"{IMAGES:08X}"]["Value"] == [{f"{tag:08X}": {"vr": "SQ"}}]
    for record_type in (Record, MetadataRecord):
        check_agrees(data, record_type)


@pytest.mark.parametrize("record_type", [Record, MetadataRecord])
@pytest.mark.parametrize("value", [b"abcdefgh", b"ab", bytes(8)])
def test_a_sequence_that_holds_no_items_is_dropped_with_a_notice(value: bytes, record_type: type[Record]) -> None:
    reason = "a sequence that holds something else than items"
    in_un = element(IMAGES, "UN", value)
    private = element(0x00270010, "LO", "FDMS 1.0", IMPLICIT) + element(0x00271010, "SQ", value, IMPLICIT)
    for data, tag, name in (
        (instance(in_un), "00081140", "ReferencedImageSequence"),
        (instance(element(IMAGES, "SQ", value)), "00081140", "ReferencedImageSequence"),
        (instance(private, syntax=IMPLICIT), "00271010", "Tag_00271010"),
    ):
        found = read(data, record_type)
        assert (dropped(found), reasons(found)) == ([name], {tag: reason})
        check_agrees(data, record_type)


@pytest.mark.parametrize("record_type", [Record, MetadataRecord])
@pytest.mark.parametrize("padding", [bytes(2), bytes(8), bytes(20)])
def test_padding_behind_items_is_no_item(padding: bytes, record_type: type[Record]) -> None:
    image = item(element(0x00081155, "UI", "1.2"))
    data = instance(element(IMAGES, "SQ", image + padding))
    assert read(data, record_type).json == read(instance(element(IMAGES, "SQ", image)), record_type).json
    check_agrees(data, record_type)


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_overlays_of_all_even_groups_share_their_column(syntax: Syntax) -> None:
    data = instance(*(numbers(tag, "US", "H", 1, syntax=syntax) for tag in (0x60200010, 0x60FE0010)), syntax=syntax)
    assert read(data).values["OverlayRows"] == [{"Id": "6020", "Value": 1}, {"Id": "60FE", "Value": 1}]
    assert check_agrees(data) == EQUAL


@pytest.mark.parametrize("tag", [0x00180061, 0x00203100, 0x00280020, 0x10100010, 0x7F020010, 0x00189445, 0x00080202])
def test_a_sequence_that_pydicom_alone_knows_as_something_else_is_one(tag: int) -> None:
    data = instance(sequence(tag, element(NAME, "PN", "A", IMPLICIT), syntax=IMPLICIT, undefined=True), syntax=IMPLICIT)
    assert read(data).values[f"Tag_{tag:08X}"] == [{"PatientName": {"Alphabetic": {"FamilyName": "A"}}}]
    assert check_agrees(data) == EQUAL


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG])
@pytest.mark.parametrize(("signed", "value"), [(0, 65531), (1, -5), (None, 65531)])
def test_the_sign_follows_pixel_representation(syntax: Syntax, signed: int | None, value: int) -> None:
    elements = [] if signed is None else [numbers(0x00280103, "US", "H", signed, syntax=syntax)]
    vr = "SS" if signed else "US"
    elements.append(element(0x00280106, vr, struct.pack(f"{syntax.order}h", -5), syntax))
    assert row(*elements, syntax=syntax).values["SmallestImagePixelValue"] == value


def test_an_item_may_have_its_own_pixel_representation_and_inherits_it_otherwise() -> None:
    value = element(0x00280106, "", struct.pack("<h", -5), IMPLICIT)
    signed, unsigned = (numbers(0x00280103, "US", "H", sign, syntax=IMPLICIT) for sign in (1, 0))
    found: Any = row(signed, value, sequence(IMAGES, value, unsigned + value, syntax=IMPLICIT), syntax=IMPLICIT).values
    assert found["SmallestImagePixelValue"] == -5
    assert [each["SmallestImagePixelValue"] for each in found["ReferencedImageSequence"]] == [
        -5,
        65531,
    ]


def test_a_vr_that_is_none_is_read_by_the_dictionary() -> None:
    assert row(element(NAME, "ZZ", "A^B")).values["PatientName"] == {
        "Alphabetic": {"FamilyName": "A", "GivenName": "B"}
    }


def with_vr(tag: int, vr: bytes, data: bytes, syntax: Syntax = EXPLICIT, *, code: str = "H") -> bytes:
    return tag_bytes(tag, syntax) + vr + struct.pack(syntax.order + code, len(data)) + data


STRANGE = [with_vr(0x00080020, vr, b"20200101") for vr in (b"??", b"  ", b"--", b"cs", b"\0\0", b"ZZ", b"OX")]
STRANGE += [with_vr(0x00080020, vr, b"20200101", code="L") for vr in (b"ZZ\0\0", b"OX\0\0")]


@pytest.mark.parametrize("strange", STRANGE)
@pytest.mark.parametrize("record_type", [Record, MetadataRecord])
def test_an_element_with_a_vr_of_no_standard_is_read_by_the_dictionary(
    strange: bytes, record_type: type[Record]
) -> None:
    plain = element(0x00080020, "DA", "20200101")
    pixels = element(PIXELS, "OW", bytes(600_000))

    def enclosed(study_date: bytes) -> bytes:
        name = element(NAME, "PN", "A")
        first, second = study_date + name, uids()[0] + study_date + name
        return instance(study_date, sequence(IMAGES, first, second), pixels)

    data = enclosed(strange)
    assert read(data, record_type).json == read(enclosed(plain), record_type).json
    check_agrees(data, record_type)


@pytest.mark.parametrize("head", [b"ZZ\0\0", b"??\0\0", b"A?\0\0", b"\xc0\xc9\0\0"])
def test_an_empty_element_with_a_vr_of_no_standard_may_be_the_last(head: bytes) -> None:
    for rest in (b"", element(0x00400254, "LO", "A")):
        data = instance() + tag_bytes(0x00400253) + head + rest
        assert "PerformedProcedureStepID" in read(data).columns
        assert ("PerformedProcedureStepDescription" in read(data).columns) == bool(rest)
        check_agrees(data)


@pytest.mark.parametrize("head", [b"??\2\0", b"ZZ\2\0", b"ZZ\0\0\2\0\0\0"])
def test_a_private_element_with_a_vr_of_no_standard_is_dropped(head: bytes) -> None:
    data = instance(tag_bytes(0x00091001) + head + b"ab")
    assert dropped(read(data)) == ["Tag_00091001"]
    check_agrees(data)


def test_a_writer_may_change_to_implicit_vr_within_a_data_set() -> None:
    data = instance(
        element(NAME, "PN", "A"), element(0x00400254, "LO", "B", IMPLICIT), element(PIXELS, "OW", b"", IMPLICIT)
    )
    assert read(data).values["PerformedProcedureStepDescription"] == "B"
    assert dropped(read(data)) == ["PixelData"]


@pytest.mark.parametrize("record_type", [Record, MetadataRecord])
def test_un_of_undefined_length_is_implicit_little_endian_in_big_endian_too(record_type: type[Record]) -> None:
    image = element(0x00081155, "UI", "1.2", IMPLICIT)
    end = delimiter(0xFFFEE0DD, IMPLICIT)
    content = element(0x00091001, "UN", b"", BIG, UNDEFINED) + item(image, IMPLICIT) + end
    data = instance(content, element(0x00280010, "US", b"\2\0", BIG), syntax=BIG)
    found = str(read(data, record_type).values)
    assert "'1.2'" in found
    assert "512" in found
    check_agrees(data, record_type)


@pytest.mark.parametrize(("tag", "name"), [(PIXELS, "PixelData"), (0x60003000, "OverlayData")])
def test_fragments_stored_as_un_are_no_sequence(tag: int, name: str) -> None:
    data = instance(element(tag, "UN", item(b"") + item(b"abcd"), length=UNDEFINED) + delimiter(0xFFFEE0DD))
    assert dropped(read(data)) == [name]
    assert read(data).columns == row().columns
    check_agrees(data)


def test_a_private_creator_holds_for_its_item_only() -> None:
    creator = element(0x00090010, "LO", "GEMS_IDEN_01", IMPLICIT)
    full = element(0x00091001, "LO", "FULL", IMPLICIT)
    found = row(creator, full, sequence(IMAGES, full, syntax=IMPLICIT), syntax=IMPLICIT).values
    assert found["OtherElements"] == [other(0x00090010, "GEMS_IDEN_01"), other(0x00091001, "FULL")]
    assert found["DroppedTags"] == [{"TagName": "Tag_00091001", "TagReference": "ReferencedImageSequence[0]"}]
