"""The structure of files: every way of writing, every place to end, what is big, deep, or no instance at all."""

import io
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicombq.rows import elements, part10, reference
from dicombq.rows.base import NotAnInstance, Row, Unreadable
from dicombq.rows.metadata import MetadataRecord
from dicombq.rows.record import Record
from tests.dicom_bytes import (
    BIG,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    JPEG,
    SOP,
    UNDEFINED,
    Syntax,
    dataset,
    deflated,
    delimiter,
    dropped,
    element,
    instance,
    item,
    meta,
    nested,
    numbers,
    ordered,
    read,
    reasons,
    row,
    sequence,
    tag_bytes,
    uids,
)
from tests.dicom_bytes import (
    part10 as file_of,
)
from tests.differential import check_agrees
from tests.row_checker import problems

IMAGES, NAME, PIXELS = 0x00081140, 0x00100010, 0x7FE00010
DETERMINED = settings(derandomize=True, max_examples=100, deadline=None)
BOTH = pytest.mark.parametrize("record_type", [Record, MetadataRecord])


def refused(data: bytes, record_type: type[Record] = Record, *, claims: bool = True) -> Unreadable:
    with pytest.raises(Unreadable) as raised:
        read(data, record_type, claims=claims)
    return raised.value


def content(syntax: Syntax, *, undefined: bool = False) -> list[bytes]:
    image = element(0x00081155, "UI", "1.2.3", syntax)
    return [
        element(0x00080005, "CS", "ISO_IR 100", syntax),
        sequence(IMAGES, image, image, syntax=syntax, undefined=undefined),
        element(NAME, "PN", b"J\xe9r\xf4me", syntax),
        numbers(0x00280010, "US", "H", 512, syntax=syntax),
        numbers(0x00280009, "AT", "H", 0x0048, 0x021F, syntax=syntax),
        numbers(0x00409225, "FD", "d", 0.1, syntax=syntax),
        element(0x0040A160, "UT", "long", syntax),
        element(0x00420011, "OB", b"abcd", syntax),
    ]


def assert_what_content_gives(found: Row) -> None:
    assert found.values["ReferencedImageSequence"] == [{"ReferencedSOPInstanceUID": "1.2.3"}] * 2
    assert found.values["PatientName"] == {"Alphabetic": {"FamilyName": "Jérôme"}}
    assert found.values["Rows"] == 512
    assert found.values["FrameIncrementPointer"] == [4719135]
    assert found.values["RealWorldValueSlope"] == 0.1
    assert found.values["TextValue"] == "long"
    assert found.values["DroppedTags"] == [{"TagName": "EncapsulatedDocument", "TagReference": ""}]
    assert found.notices == []


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG, DEFLATED, JPEG], ids=lambda syntax: syntax.uid)
@pytest.mark.parametrize("undefined", [True, False])
def test_every_transfer_syntax_gives_the_same_row(syntax: Syntax, undefined: bool) -> None:
    assert_what_content_gives(row(*content(syntax, undefined=undefined), syntax=syntax))


@pytest.mark.parametrize("written", [IMPLICIT, EXPLICIT])
@pytest.mark.parametrize("named", [IMPLICIT, EXPLICIT, JPEG])
def test_a_data_set_that_is_written_otherwise_than_its_file_says_is_read(written: Syntax, named: Syntax) -> None:
    assert_what_content_gives(read(file_of(dataset(*content(written), syntax=written), named)))


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG])
@pytest.mark.parametrize("claims", [True, False])
def test_a_data_set_without_preamble_is_read(syntax: Syntax, claims: bool) -> None:
    found = read(dataset(*content(syntax), syntax=syntax), claims=claims)
    assert_what_content_gives(found)
    assert "TransferSyntaxUID" not in found.values


def test_file_meta_information_without_preamble_is_read() -> None:
    found = read(meta(BIG.uid) + dataset(*content(BIG), syntax=BIG), claims=False)
    assert_what_content_gives(found)
    assert found.values["TransferSyntaxUID"] == BIG.uid


def test_a_file_without_file_meta_information_is_read() -> None:
    assert_what_content_gives(read(bytes(128) + b"DICM" + dataset(*content(EXPLICIT))))


def test_file_meta_information_in_implicit_vr_is_read() -> None:
    data = bytes(128) + b"DICM" + element(0x00020010, "UI", EXPLICIT.uid, IMPLICIT) + dataset(*content(EXPLICIT))
    found = read(data)
    assert_what_content_gives(found)
    assert found.values["TransferSyntaxUID"] == EXPLICIT.uid


@pytest.mark.parametrize("length", [0, 4, 9999])
def test_a_wrong_length_of_group_0002_does_not_matter(length: int) -> None:
    assert_what_content_gives(read(bytes(128) + b"DICM" + meta(group_length=length) + dataset(*content(EXPLICIT))))


def test_file_meta_information_has_columns_but_for_its_length_and_version() -> None:
    more = element(0x00020016, "AE", " SENDER "), element(0x00020102, "OB", b"private!")
    found = read(file_of(dataset(), EXPLICIT, *more))
    assert found.values["SourceApplicationEntityTitle"] == "SENDER"
    assert found.values["DroppedTags"] == [{"TagName": "PrivateInformation", "TagReference": ""}]
    assert not found.columns & {"FileMetaInformationGroupLength", "FileMetaInformationVersion"}


def test_an_element_of_group_0002_in_the_data_set_is_read_as_any_other() -> None:
    assert row(element(0x00020016, "AE", "LATE")).values["SourceApplicationEntityTitle"] == "LATE"


def boundaries(data: bytes, *elements: bytes) -> set[int]:
    """Give the lengths of a file that are whole: after an element at the top level."""
    at = len(data)
    whole = {at}
    for each in reversed(elements):
        at -= len(each)
        whole.add(at)
    return whole


@BOTH
@pytest.mark.parametrize(("syntax", "undefined"), [(IMPLICIT, True), (EXPLICIT, False), (EXPLICIT, True), (BIG, False)])
def test_a_file_that_ends_anywhere_in_an_element_of_the_header_is_unreadable(
    syntax: Syntax, undefined: bool, record_type: type[Record]
) -> None:
    elements = ordered([*content(syntax, undefined=undefined), *uids(syntax)], syntax)
    data = file_of(b"".join(elements), syntax)
    start = len(data) - sum(map(len, elements))
    whole = boundaries(data, *elements) - {start}
    for size in range(len(data) + 1):
        if size in whole:
            assert problems(read(data[:size], record_type), record_type) == []
        elif size - 1 in whole and syntax is BIG:
            continue  # the first byte of a group below 0100 is a zero there: padding
        else:
            assert refused(data[:size], record_type).code in {"DATA_LOSS", "INVALID_ARGUMENT"}


@pytest.mark.parametrize("size", [0, 1, 8, 100, 131, 132, 133, 140])
def test_a_file_that_ends_before_its_data_set_is_unreadable(size: int) -> None:
    assert refused(instance()[:size]).reason in {
        "no data elements found",
        "the data set ends in the middle of an element",
        "the file ends within element 00020000",
    }


def test_a_whole_file_may_have_padding_after_it() -> None:
    for padding in (b"\0", b"\n", b"\r\n", bytes(7), bytes(100)):
        assert read(instance() + padding).uids == row().uids


@pytest.mark.parametrize("stray", [delimiter(0xFFFEE00D), delimiter(0xFFFEE0DD), delimiter(0xFFFEE000), item(b"abcd")])
@BOTH
def test_a_stray_item_or_delimiter_is_no_element(stray: bytes, record_type: type[Record]) -> None:
    name = element(0x00400254, "LO", "A")
    data = file_of(dataset() + stray + name)
    assert read(data, record_type).json == read(instance(name), record_type).json
    check_agrees(data, record_type)
    end = instance(element(PIXELS, "OW", b"ab")) + stray
    assert dropped(read(end, record_type)) == ["PixelData"]
    check_agrees(end, record_type)
    assert refused(data[: -len(name)] + delimiter(0xFFFEE000)[:4] + bytes([255] * 4)).code == "DATA_LOSS"


@BOTH
def test_a_stray_delimiter_in_an_item_is_no_element(record_type: type[Record]) -> None:
    name = element(0x00400254, "LO", "A")
    image = element(0x00081155, "UI", "1.2")
    data = instance(sequence(IMAGES, image + delimiter(0xFFFEE0DD) + name))
    assert read(data, record_type).json == read(instance(sequence(IMAGES, image + name)), record_type).json
    check_agrees(data, record_type)


def encapsulated(*fragments: bytes) -> bytes:
    return element(PIXELS, "OB", b"".join(map(item, (b"", *fragments))), length=UNDEFINED) + delimiter(0xFFFEE0DD)


@pytest.mark.parametrize("pixels", [element(PIXELS, "OW", bytes(2000)), encapsulated(bytes(1000), bytes(998))])
@pytest.mark.parametrize("size", [12, 13, 14, 100, 1000, 1999])
@BOTH
def test_a_file_that_is_cut_off_in_its_pixel_data_is_unreadable(
    pixels: bytes, size: int, record_type: type[Record]
) -> None:
    error = refused(file_of(dataset() + pixels[:size], JPEG), record_type)
    assert error.code == "DATA_LOSS"


def test_whole_pixel_data_has_no_notice_and_what_follows_is_read() -> None:
    trailing = element(0xFFFCFFFC, "OB", bytes(10))
    found = read(file_of(dataset() + encapsulated(bytes(3000)) + trailing, JPEG))
    assert found.notices == []
    assert dropped(found) == [
        "PixelData",
        "DataSetTrailingPadding",
    ]


def test_pixel_data_does_not_count_for_the_limit_of_a_header(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elements, "MAX_HEADER", 10_000)
    assert dropped(read(file_of(dataset() + encapsulated(bytes(50_000)), JPEG))) == ["PixelData"]
    big = instance(element(0x0040A160, "UT", b"x" * 20_000))
    assert refused(big).code == "OUT_OF_RANGE"
    assert read(big, max_element_size=20_000).values["DroppedTags"] == [{"TagName": "TextValue", "TagReference": ""}]


@pytest.mark.parametrize("at", [NAME, 0x00091001, 0x0010FFF0])
def test_an_element_longer_than_the_file_is_named_only_if_it_is_known(at: int) -> None:
    error = refused(file_of(element(at, "LO", "x", length=100)))
    assert error.code == "DATA_LOSS"
    assert error.reason == (
        "the file ends within element 00100010" if at == NAME else "the file ends within an element"
    )


def test_an_item_that_ends_within_an_element_is_unreadable() -> None:
    short = element(0x00081155, "UI", "1.2", length=100)
    assert refused(instance(sequence(IMAGES, short))).code == "DATA_LOSS"
    assert refused(instance(sequence(IMAGES, short, undefined=True))).code == "DATA_LOSS"
    assert refused(instance(element(IMAGES, "SQ", item(b"")[:6]))).code == "DATA_LOSS"
    assert refused(instance(element(IMAGES, "SQ", tag_bytes(0xFFFEE000) + struct.pack("<L", 90)))).code == "DATA_LOSS"


@pytest.mark.parametrize(("size", "dropped"), [(1022, False), (1024, True), (1026, True)])
def test_an_element_is_dropped_from_the_limit_on(size: int, dropped: bool) -> None:
    data = instance(element(0x0040A160, "UT", b"x" * size))
    found = read(data, max_element_size=1024).values
    assert ("TextValue" in found) == (not dropped)
    assert found.get("DroppedTags", []) == ([{"TagName": "TextValue", "TagReference": ""}] if dropped else [])


def test_a_dropped_element_makes_no_column() -> None:
    data = instance(element(0x0040A160, "UT", b"x" * 2000), element(0x00091001, "LT", b"x" * 2000))
    found = read(data, max_element_size=1024)
    assert not found.columns & {"TextValue", "OtherElements"}
    assert found.values["DroppedTags"] == [
        {"TagName": "Tag_00091001", "TagReference": ""},
        {"TagName": "TextValue", "TagReference": ""},
    ]


@BOTH
@pytest.mark.parametrize("undefined", [True, False])
@pytest.mark.parametrize(("size", "dropped"), [(900, False), (1020, True), (4000, True)])
def test_a_sequence_counts_by_its_encoded_size(
    undefined: bool, size: int, dropped: bool, record_type: type[Record]
) -> None:
    data = instance(sequence(IMAGES, element(0x00080100, "SH", b"x" * size), undefined=undefined))
    found = read(data, record_type, max_element_size=1024).values
    assert ("DroppedTags" in found) == dropped
    assert ("ReferencedImageSequence" in str(found)) == (dropped or record_type is Record)


def test_a_big_element_of_group_0002_is_dropped() -> None:
    data = file_of(dataset(), EXPLICIT, element(0x00020016, "AE", b"x" * 2000))
    found = read(data, max_element_size=1024)
    assert found.values["DroppedTags"] == [{"TagName": "SourceApplicationEntityTitle", "TagReference": ""}]
    assert read(data, max_element_size=2).uids == ("", "", "")


@BOTH
def test_sequences_too_deep_to_be_followed_are_unreadable(record_type: type[Record]) -> None:
    error = refused(instance(nested(400, leaf=element(NAME, "PN", "A"))), record_type)
    assert error.reason == "sequences are nested too deeply to be read"


@pytest.mark.parametrize("levels", [14, 15, 16, 60, 400])
def test_no_depth_makes_a_table_that_bigquery_refuses(levels: int) -> None:
    data = instance(nested(levels, leaf=element(NAME, "PN", "A")))
    if levels < 400:
        for record_type in (Record, MetadataRecord):
            assert problems(read(data, record_type), record_type) == []
    else:
        refused(data)


@pytest.mark.parametrize(
    "data",
    [
        file_of(dataset(), EXPLICIT, element(0x00020002, "UI", "1.2.840.10008.1.3.10")),
        instance(element(0x00080016, "UI", "1.2.840.10008.1.3.10")),
        instance(sequence(0x00041220, element(0x00041430, "CS", "PATIENT"))),
        instance(sequence(0x00041220)),
        file_of(b"", EXPLICIT, element(0x00020002, "UI", "1.2.840.10008.1.3.10")),
    ],
)
@BOTH
def test_a_dicomdir_is_no_instance(data: bytes, record_type: type[Record]) -> None:
    with pytest.raises(NotAnInstance, match="a DICOMDIR"):
        read(data, record_type)


def test_content_that_is_no_dicom_is_unreadable_where_the_name_claims_it() -> None:
    text = b"this is a text\n" * 100
    with pytest.raises(NotAnInstance, match="not DICOM"):
        read(text, claims=False)
    for data in (text, bytes(5000), bytes(7), b"", b"{}", b"\xff" * 1000):
        assert refused(data).reason


def test_a_deflate_bomb_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part10, "MAX_INFLATED", 1 << 20)
    monkeypatch.setattr(reference, "MAX_ELEMENTS", 1000)
    assert refused(file_of(bytes(50 << 20), DEFLATED)).code == "OUT_OF_RANGE"
    found = read(file_of(dataset() + element(PIXELS, "OW", bytes(50 << 20)), DEFLATED))
    assert found.values["DroppedTags"] == [{"TagName": "PixelData", "TagReference": ""}]


def test_a_damaged_deflated_data_set_is_unreadable() -> None:
    data = bytes(128) + b"DICM" + meta(DEFLATED.uid)
    assert refused(data + b"\xff" * 50).reason == "the deflated data set is damaged"
    assert refused(data + deflated(dataset(*content(EXPLICIT)))[:40]).code == "DATA_LOSS"


def test_what_a_reader_raises_is_no_more_than_its_type(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> bytes:
        raise LookupError("a value")

    monkeypatch.setattr(part10, "detect_encoding", fail)
    error = refused(instance())
    assert (error.code, error.reason) == ("INVALID_ARGUMENT", "not readable as DICOM (LookupError)")
    assert error.__suppress_context__


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG])
@BOTH
def test_the_first_of_two_equal_tags_counts_with_a_notice(syntax: Syntax, record_type: type[Record]) -> None:
    first, last = element(0x00080060, "CS", "CT", syntax), element(0x00080060, "CS", "", syntax)
    image = element(0x00081155, "UI", "1.2", syntax)
    images = sequence(IMAGES, first + last, syntax=syntax) + sequence(IMAGES, image, syntax=syntax, undefined=True)
    data = file_of(first + last + images + b"".join(uids(syntax)), syntax)
    found = read(data, record_type)
    once = first + sequence(IMAGES, first, syntax=syntax)
    assert found.json == read(file_of(once + b"".join(uids(syntax)), syntax), record_type).json
    reason = "stored more than once: the first counts"
    assert reasons(found) == dict.fromkeys(("00080060", "00081140", "ReferencedImageSequence[0].00080060"), reason)
    check_agrees(data, record_type)


def test_padding_and_group_lengths_have_no_notice_however_many_there_are() -> None:
    length = numbers(0x00080000, "UL", "L", 5)
    assert read(file_of(length + length + dataset() + bytes(100))).notices == []


def test_elements_out_of_order_are_read() -> None:
    found = read(file_of(element(NAME, "PN", "A") + b"".join(reversed(uids()))))
    assert found.uids == row().uids
    assert found.values["PatientName"] == {"Alphabetic": {"FamilyName": "A"}}


def test_a_file_that_pydicom_wrote_is_read(tmp_path: Path) -> None:
    import pydicom
    from pydicom.dataset import Dataset, FileMetaDataset

    written = Dataset()
    written.PatientName, written.StudyDate, written.Rows = "A^B", "20240101", 5
    written.SOPClassUID, written.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "1.2.3"
    written.file_meta = FileMetaDataset()
    written.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    pydicom.dcmwrite(tmp_path / "a.dcm", written, enforce_file_format=True)
    found = read((tmp_path / "a.dcm").read_bytes())
    assert found.values["StudyDate"] == "2024-01-01"
    assert found.values["MediaStorageSOPInstanceUID"] == found.values["SOPInstanceUID"] == "1.2.3"


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0\\"), min_size=1, max_size=30).map(str.strip)


@DETERMINED
@given(st.lists(TEXT.filter(bool), min_size=1, max_size=5), st.sampled_from([EXPLICIT, IMPLICIT, BIG, DEFLATED]))
def test_any_text_comes_back_from_any_transfer_syntax(texts: list[str], syntax: Syntax) -> None:
    data = "\\".join(texts).encode()
    charset = element(0x00080005, "CS", "ISO_IR 192", syntax)
    found = row(charset, element(0x00101000, "LO", data, syntax), syntax=syntax)
    assert found.values["OtherPatientIDs"] == texts
    assert found.notices == []
    assert problems(found) == []


@DETERMINED
@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_after_the_prefix_are_a_row_or_unreadable(data: bytes, claims: bool) -> None:
    for record_type in (Record, MetadataRecord):
        try:
            found = read(bytes(128) + b"DICM" + data, record_type, claims=claims)
        except Unreadable:
            continue
        assert problems(found, record_type) == []


def test_a_file_is_read_from_where_it_can_be_sought() -> None:
    data = io.BytesIO(instance(element(SOP + 0x42, "CS", "A")))
    found = reference.read_row(data, len(data.getvalue()))
    assert found.uids == row().uids
