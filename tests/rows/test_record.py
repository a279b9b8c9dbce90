"""Elements to a record's fields: what fits, what does not, what has no column."""

import struct
from typing import Any

import pytest

from tests.dicom_bytes import (
    EXPLICIT,
    IMPLICIT,
    dropped,
    element,
    instance,
    nested,
    numbers,
    other,
    read,
    reasons,
    row,
    sequence,
)

NAME, CREATOR = 0x00100010, element(0x00090010, "LO", "SOMEBODY")
IMAGES = 0x00081140
UNDECODABLE = "bytes that its character set does not have are spelled out"


def values(*elements: bytes) -> dict[str, Any]:
    """Give what the elements alone make of a row."""
    plain = row().values
    return {name: value for name, value in row(*elements).values.items() if plain.get(name) != value}


def test_an_instance_has_its_uids_and_the_columns_of_its_elements() -> None:
    found = row(element(0x00080060, "CS", "MR"), element(0x00080008, "CS", "ORIGINAL\\PRIMARY"))
    assert found.values == {
        "TransferSyntaxUID": EXPLICIT.uid,
        "SOPInstanceUID": "1.2.24.1",
        "StudyInstanceUID": "1.2.13.1",
        "SeriesInstanceUID": "1.2.14.1",
        "Modality": "MR",
        "ImageType": ["ORIGINAL", "PRIMARY"],
    }
    assert found.columns == found.values.keys()
    assert found.uids == ("1.2.13.1", "1.2.14.1", "1.2.24.1")
    assert found.notices == []


def test_no_group_length_and_no_version_is_a_column() -> None:
    found = row(numbers(0x00080000, "UL", "L", 12), numbers(0x00090000, "UL", "L", 12))
    assert found.columns == row().columns
    assert "DroppedTags" not in found.values


def test_a_name_of_zero_length_is_null_and_named_in_other_elements_without_a_notice() -> None:
    operators, images = 0x00081070, sequence(IMAGES, element(NAME, "PN"), element(0x00081155, "UI", "1.2"))
    found = row(element(NAME, "PN"), element(operators, "PN"), images)
    assert found.values["OtherElements"] == [other(operators, ""), other(NAME, "")]
    assert found.values["ReferencedImageSequence"] == [
        {"OtherElements": [other(NAME, "")]},
        {"ReferencedSOPInstanceUID": "1.2"},
    ]
    assert {"PatientName", "OperatorsName", "ReferencedImageSequence.OtherElements"} <= found.columns
    assert found.values.keys() & {"PatientName", "OperatorsName"} == set()
    assert found.notices == []


def test_an_element_of_zero_length_is_a_column_that_is_null() -> None:
    found = row(
        element(0x00080020, "DA"),
        element(0x00080008, "CS"),
        element(0x00280010, "US"),
        element(0x60000010, "US"),
    )
    assert {"StudyDate", "ImageType", "Rows", "OverlayRows"} <= found.columns
    assert found.values.keys() & {"StudyDate", "ImageType", "Rows"} == set()
    assert found.values["OverlayRows"] == [{"Id": "6000"}]
    assert found.notices == []


def test_a_value_of_padding_is_null_too() -> None:
    found = row(element(0x00080020, "DA", "  "), element(0x00080008, "CS", "  "), element(0x00080080, "LO", "  "))
    assert {"StudyDate", "ImageType"} <= found.columns
    assert found.values.keys() & {"StudyDate", "ImageType"} == set()
    assert found.notices == []


def test_an_empty_value_between_others_keeps_its_place_in_a_text_column() -> None:
    assert values(element(0x00080008, "CS", "A\\\\B\\")) == {"ImageType": ["A", "", "B", ""]}
    assert values(element(0x00280030, "DS", "\\1.5")) == {"PixelSpacing": ["", "1.5"]}


def test_an_empty_value_among_dates_goes_to_other_elements() -> None:
    found = row(element(0x00181200, "DA", "20240101\\\\20240102"))
    assert found.values["DateOfLastCalibration"] == ["2024-01-01", "2024-01-02"]
    assert found.values["OtherElements"] == [other(0x00181200, "")]
    assert reasons(found) == {"00181200": "an empty value among others"}


def test_two_values_where_there_is_one_go_to_other_elements_one_by_one() -> None:
    found = row(element(0x00080060, "CS", "MR\\CT"), numbers(0x00280010, "US", "H", 1, 2))
    assert found.values["OtherElements"] == [other(0x00080060, "MR", "CT"), other(0x00280010, "1", "2")]
    assert {"Modality", "Rows"} <= found.columns
    assert found.values.keys() & {"Modality", "Rows"} == set()
    assert reasons(found) == dict.fromkeys(["00080060", "00280010"], "more than one value")


@pytest.mark.parametrize(
    ("tag", "vr", "data", "texts", "reason"),
    [
        (0x00080020, "DA", b"20240231", ["20240231"], "a date that the calendar does not have"),
        (0x00080030, "TM", b"235960", ["235960"], "a leap second, which no column holds"),
        (0x0008002A, "DT", b"20240101235960", ["20240101235960"], "a leap second, which no column holds"),
        (NAME, "PN", b"^^^^", ["^^^^"], "a PN without any component"),
        (NAME, "PN", b"  ", [""], "a PN without any component"),
        (NAME, "PN", b"a^b^c^d^e^f ", ["a^b^c^d^e^f"], "more component groups or components than a PN has"),
        (0x00280010, "US", b"\1\2\3\4\5\6\7", ["01020304050607"], "its length is not a multiple of 2 bytes"),
        (0x00280009, "AT", b"\1\2\3\4\5\6", ["010203040506"], "its length is not a multiple of 4 bytes"),
        (0x00280010, "LO", b"many", ["many"], "not an integer"),
        (0x00280010, "FD", struct.pack("<d", 1.5), ["1.5"], "a decimal number where an integer is expected"),
        (0x0040A124, "US", b"\1\0", None, ""),  # UID column: any text fits
        (0x00080020, "US", b"\1\0", ["1"], "a number where DA is expected"),
        (0x00409225, "LO", b"one", ["one"], "not a number"),
        (0x00281052, "OF", b"\0\0\0\0", None, ""),
    ],
)  # fmt: skip - a table
def test_what_does_not_fit_goes_to_other_elements_as_text(
    tag: int, vr: str, data: bytes, texts: list[str] | None, reason: str
) -> None:
    found = row(element(tag, vr, data, length=len(data)))
    if texts is None:
        assert "OtherElements" not in found.values
        assert found.notices == []
    else:
        assert found.values["OtherElements"] == [other(tag, *texts)]
        assert reasons(found) == {f"{tag:08X}": reason}
        assert "OtherElements" in found.columns


def test_an_unsigned_very_long_above_63_bits_does_not_fit() -> None:
    tag = 0x7FE00003  # Encapsulated Pixel Data Value Total Length, UV
    assert values(numbers(tag, "UV", "Q", 2**63 - 1)) == {"EncapsulatedPixelDataValueTotalLength": 2**63 - 1}
    found = row(numbers(tag, "UV", "Q", 2**63))
    assert found.values["OtherElements"] == [other(tag, "9223372036854775808")]
    assert reasons(found) == {"7FE00003": "an integer beyond 64 bits"}


def test_part_of_a_repeated_column_fits() -> None:
    found = row(element(0x00081070, "PN", "A^B\\^^\\C"))
    assert found.values["OperatorsName"] == [
        {"Alphabetic": {"FamilyName": "A", "GivenName": "B"}},
        {"Alphabetic": {"FamilyName": "C"}},
    ]
    assert found.values["OtherElements"] == [other(0x00081070, "^^")]


def test_another_vr_in_the_file_is_converted_where_it_fits() -> None:
    assert values(element(0x00280010, "IS", "512 ")) == {"Rows": 512}
    assert values(numbers(0x00200013, "SL", "l", -7)) == {"InstanceNumber": "-7"}
    assert values(element(0x00080020, "LO", "20240101")) == {"StudyDate": "2024-01-01"}
    assert values(element(NAME, "LO", "A^B")) == {"PatientName": {"Alphabetic": {"FamilyName": "A", "GivenName": "B"}}}
    assert values(numbers(0x00280009, "UL", "L", 1577059)) == {"FrameIncrementPointer": [1577059]}
    assert values(numbers(0x00280030, "FL", "f", 0.1, 0.2)) == {"PixelSpacing": ["0.1", "0.2"]}


def test_special_floats_are_kept_by_name() -> None:
    tag = 0x00409225
    assert values(numbers(tag, "FD", "d", float("nan"))) == {"RealWorldValueSlope": "NaN"}
    assert values(numbers(tag, "FD", "d", float("-inf"))) == {"RealWorldValueSlope": "-Infinity"}


def test_a_text_stored_where_a_sequence_is_due_goes_to_other_elements() -> None:
    found = row(element(IMAGES, "LO", "text"))
    assert found.values["OtherElements"] == [other(IMAGES, "text")]
    assert reasons(found) == {"00081140": "not a sequence"}
    empty = row(element(IMAGES, "LO"))
    assert "OtherElements" not in empty.values
    assert empty.notices == []


def test_a_sequence_stored_where_a_value_is_due_is_dropped() -> None:
    assert values(sequence(NAME, element(0x00081155, "UI", "1.2"))) == {
        "DroppedTags": [{"TagName": "PatientName", "TagReference": ""}]
    }


@pytest.mark.parametrize("vr", ["OB", "OD", "OF", "OL", "OV", "OW", "UN"])
def test_bulk_values_are_named_in_dropped_tags(vr: str) -> None:
    found = row(CREATOR, element(0x00091001, vr, b"\0" * 8), element(0x0010FFF0, vr, b"\0" * 8))
    assert found.values["DroppedTags"] == [
        {"TagName": "Tag_00091001", "TagReference": ""},
        {"TagName": "Tag_0010FFF0", "TagReference": ""},
    ]
    assert found.notices == []


def test_pixel_data_is_dropped_by_its_keyword() -> None:
    assert values(element(0x7FE00010, "OW", bytes(8))) == {
        "DroppedTags": [{"TagName": "PixelData", "TagReference": ""}]
    }


def test_a_dropped_element_of_an_item_refers_to_the_items_around_it() -> None:
    inner = sequence(0x00081199, element(0x00420011, "OB", b"ab"))
    assert values(sequence(IMAGES, element(0x00081155, "UI", "1.2"), inner)) == {
        "ReferencedImageSequence": [{"ReferencedSOPInstanceUID": "1.2"}, {}],
        "DroppedTags": [
            {
                "TagName": "EncapsulatedDocument",
                "TagReference": "ReferencedImageSequence[1].ReferencedSOPSequence[0]",
            }
        ],
    }


def test_private_and_unknown_elements_are_text_one_entry_for_each_value() -> None:
    assert values(
        CREATOR,
        element(0x00091001, "LO", "a\\b"),
        element(0x00091002, "DA", "20240101"),
        numbers(0x00091003, "FL", "f", 0.1, 2.0),
        numbers(0x00091004, "US", "H", 7),
        element(0x00091005, "PN", "A^B"),
        element(0x00091006, "LO"),
        numbers(0x0009103A, "AT", "H", 0x0010, 0x0020),
        element(0x0010FFF0, "LT", "a\\b"),
    ) == {
        "OtherElements": [
            other(0x00090010, "SOMEBODY"),
            other(0x00091001, "a", "b"),
            other(0x00091002, "20240101"),
            other(0x00091003, "0.1", "2"),
            other(0x00091004, "7"),
            other(0x00091005, "A^B"),
            other(0x00091006),
            other(0x0009103A, "1048608"),
            other(0x0010FFF0, "a\\b"),
        ]
    }


def test_a_private_sequence_is_a_column_of_its_own_all_the_way_down() -> None:
    inner = sequence(0x00091002, CREATOR + element(0x00091003, "LO", "x"))
    found = row(CREATOR, sequence(0x00091001, element(0x00080100, "SH", "code"), inner))
    assert found.values["Tag_00091001"] == [
        {"CodeValue": "code"},
        {"Tag_00091002": [{"OtherElements": [other(0x00090010, "SOMEBODY"), other(0x00091003, "x")]}]},
    ]
    assert {"Tag_00091001.CodeValue", "Tag_00091001.Tag_00091002.OtherElements"} <= found.columns


def test_a_sequence_without_an_item_or_with_empty_ones_makes_no_column() -> None:
    found = row(sequence(IMAGES), sequence(0x00081115, b"", b""), sequence(0x00081110, sequence(0x00081199, b"")))
    assert found.columns == row().columns
    assert found.values == row().values


def test_an_item_keeps_its_place_beside_others() -> None:
    found = values(sequence(IMAGES, b"", element(0x00081155, "UI", "1.2"), element(0x00081155, "UI")))
    assert found == {"ReferencedImageSequence": [{}, {"ReferencedSOPInstanceUID": "1.2"}, {}]}


def test_a_misfit_in_an_item_is_noticed_with_its_path_and_kept_in_the_item() -> None:
    found = row(sequence(IMAGES, b"", element(0x00080020, "DA", "today")))
    assert found.values["ReferencedImageSequence"] == [{}, {"OtherElements": [other(0x00080020, "today")]}]
    assert reasons(found) == {"ReferencedImageSequence[1].00080020": "not a date of the form YYYYMMDD"}
    assert {"ReferencedImageSequence.StudyDate", "ReferencedImageSequence.OtherElements"} <= found.columns


def test_repeating_groups_are_one_column_with_an_entry_for_each_group() -> None:
    found = row(
        numbers(0x60000010, "US", "H", 5),
        numbers(0x60020010, "US", "H", 7),
        numbers(0x60020050, "SS", "h", -1, 8),
        numbers(0x60040010, "US", "H", 1, 2),
        element(0x60003000, "OW", b"abcd"),
        element(0x50020020, "CS", "TAC"),
    )
    assert found.values["OverlayRows"] == [{"Id": "6000", "Value": 5}, {"Id": "6002", "Value": 7}, {"Id": "6004"}]
    assert found.values["OverlayOrigin"] == [{"Id": "6002", "Value": [-1, 8]}]
    assert found.values["TypeOfData"] == [{"Id": "5002", "Value": "TAC"}]
    assert found.values["DroppedTags"] == [{"TagName": "OverlayData", "TagReference": ""}]
    assert found.values["OtherElements"] == [other(0x60040010, "1", "2")]
    assert "OverlayData" not in found.columns


def test_a_date_and_time_without_an_offset_follows_the_instance_in_items_too() -> None:
    zone = element(0x00080201, "SH", "-0500")
    moment = element(0x0008002A, "DT", "20240101120000")
    found = values(zone, moment, sequence(IMAGES, moment))
    assert found["AcquisitionDateTime"] == "2024-01-01T17:00:00.000000Z"
    assert found["ReferencedImageSequence"] == [{"AcquisitionDateTime": "2024-01-01T17:00:00.000000Z"}]
    assert values(element(0x00080201, "SH", "CET"), moment)["AcquisitionDateTime"] == "2024-01-01T12:00:00.000000Z"


def test_text_that_is_not_of_its_set_stays_in_its_column_with_a_notice() -> None:
    found = row(
        element(0x00080005, "CS", "ISO_IR 192"), element(NAME, "PN", b"J\xe9r"), element(0x00080080, "LO", "a\0b")
    )
    assert found.values["PatientName"] == {"Alphabetic": {"FamilyName": "J\\xe9r"}}
    assert found.values["InstitutionName"] == "a\\x00b"
    assert reasons(found) == dict.fromkeys(["00100010", "00080080"], UNDECODABLE)


def test_an_unknown_character_set_is_noticed() -> None:
    found = row(element(0x00080005, "CS", "KLINGON"), element(NAME, "PN", b"J\xe9r"))
    assert found.values["PatientName"] == {"Alphabetic": {"FamilyName": "J\\xe9r"}}
    assert reasons(found) == {"00080005": "a character set that is not known", "00100010": UNDECODABLE}


def test_an_item_may_have_its_own_character_set_and_its_items_inherit_it() -> None:
    name = element(NAME, "PN", "é".encode())
    cyrillic = element(0x00080005, "CS", "ISO_IR 144")
    inner = element(NAME, "PN", b"\xbb") + sequence(0x00081199, element(NAME, "PN", b"\xbb"))
    found = values(element(0x00080005, "CS", "ISO_IR 192"), sequence(IMAGES, name, cyrillic + inner), name)
    assert found["PatientName"] == {"Alphabetic": {"FamilyName": "é"}}
    first, second = found["ReferencedImageSequence"]
    assert first["PatientName"] == {"Alphabetic": {"FamilyName": "é"}}
    assert second["PatientName"] == {"Alphabetic": {"FamilyName": "Л"}}
    assert second["ReferencedSOPSequence"] == [{"PatientName": {"Alphabetic": {"FamilyName": "Л"}}}]


def deepest(found: Any) -> tuple[int, dict[str, Any]]:
    levels = 0
    while "ReferencedImageSequence" in found:
        found = found["ReferencedImageSequence"][0]
        levels += 1
    return levels, found


REFERENCE = ".".join(["ReferencedImageSequence[0]"] * 15)


@pytest.mark.parametrize("levels", [13, 14, 15])
def test_values_are_kept_down_to_fifteen_levels(levels: int) -> None:
    leaf = element(0x00081155, "UI", "1.2") + element(0x00091001, "LO", "x") + element(NAME, "PN", "A")
    found = row(nested(levels, leaf=leaf))
    depth, innermost = deepest(found.values)
    assert depth == levels
    assert innermost["ReferencedSOPInstanceUID"] == "1.2"
    assert ("OtherElements" in innermost) == (levels < 15)  # one level of its own
    assert ("PatientName" in innermost) == (levels < 14)  # two levels
    assert set(dropped(found)) == {13: set(), 14: {"PatientName"}, 15: {"PatientName", "Tag_00091001"}}[levels]


@pytest.mark.parametrize("undefined", [True, False])
@pytest.mark.parametrize("levels", [16, 60])
def test_what_is_nested_deeper_is_dropped_with_its_path(levels: int, undefined: bool) -> None:
    leaf = element(0x00081155, "UI", "1.2")
    found = row(nested(levels, leaf=leaf, undefined=undefined))
    assert found.values["DroppedTags"] == [{"TagName": "ReferencedImageSequence", "TagReference": REFERENCE}]
    assert "ReferencedImageSequence" not in found.values  # no column is left in it
    assert max(path.count(".") for path in found.columns) == 0


def test_a_misfit_at_the_last_level_is_dropped() -> None:
    found = row(nested(15, leaf=element(0x00080020, "DA", "today")))
    assert found.values["DroppedTags"] == [{"TagName": "StudyDate", "TagReference": REFERENCE}]
    assert [notice.reason for notice in found.notices] == ["not a date of the form YYYYMMDD"]


def test_uids_that_are_missing_or_do_not_fit_are_empty() -> None:
    from tests.dicom_bytes import SERIES, SOP, part10

    found = read(part10(element(SOP, "UI", "1.2\\1.3") + element(SERIES, "UI", "1.4")))
    assert found.uids == ("", "1.4", "")


def test_implicit_vr_asks_the_private_dictionaries() -> None:
    creator = element(0x00090010, "LO", "GEMS_IDEN_01", IMPLICIT)
    nobody = element(0x00110010, "LO", "NOBODY", IMPLICIT)
    known, unknown = element(0x00091001, "LO", "FULL", IMPLICIT), element(0x00111001, "LO", "x", IMPLICIT)
    found = read(instance(creator, known, nobody, unknown, syntax=IMPLICIT)).values
    assert found["OtherElements"] == [
        other(0x00090010, "GEMS_IDEN_01"),
        other(0x00091001, "FULL"),
        other(0x00110010, "NOBODY"),
    ]
    assert found["DroppedTags"] == [{"TagName": "Tag_00111001", "TagReference": ""}]
