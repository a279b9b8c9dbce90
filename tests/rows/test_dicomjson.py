"""The DICOM JSON model of PS3.18 F into rows."""

from __future__ import annotations

import base64
import math
from typing import Any

import orjson
import pytest

from dicombq.rows.base import Row, Unreadable
from dicombq.rows.dicomjson import read_row
from dicombq.rows.metadata import MAX_DEPTH, MetadataRecord
from dicombq.rows.record import Record
from dicombq.table.mapping import MAX_RECORD_DEPTH
from tests import dicom_bytes
from tests.dicom_bytes import IMPLICIT
from tests.row_checker import problems

CANARY = "CANARY7f3a"
IMAGES = "00081140"


def element(vr: str, *values: Any) -> dict[str, Any]:
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}


def read(elements: dict[str, Any], record_type: type[Record] = Record, **how: Any) -> Row:
    model = {
        "0020000D": element("UI", "1.2"),
        "0020000E": element("UI", "1.3"),
        "00080018": element("UI", "1.4"),
        **elements,
    }
    found = read_row(model, record_type, **how)
    assert problems(found, record_type) == []
    return found


def values(elements: dict[str, Any], **how: Any) -> Any:
    found = read(elements, **how).values
    return {name: value for name, value in found.items() if not name.endswith("InstanceUID")}


def reasons(elements: dict[str, Any]) -> list[tuple[str, ...]]:
    return [tuple(notice) for notice in read(elements).notices]


def test_a_row_has_the_uids() -> None:
    assert read({}).uids == ("1.2", "1.3", "1.4")
    assert read({}, MetadataRecord).uids == ("1.2", "1.3", "1.4")


@pytest.mark.parametrize(
    ("tag", "given", "column", "value"),
    [
        ("00080060", element("CS", "CT "), "Modality", "CT"),
        ("00080008", element("CS", "A", None, "B"), "ImageType", ["A", "", "B"]),
        ("00080008", element("CS", "A\\B"), "ImageType", ["A", "B"]),
        ("0040A160", element("UT", "a", "b"), "TextValue", "a\\b"),
        ("00080020", element("DA", "20261126"), "StudyDate", "2026-11-26"),
        ("00180050", element("DS", 0.0004942), "SliceThickness", "0.0004942"),
        ("00180050", element("DS", 5.0), "SliceThickness", "5"),
        ("00180050", element("DS", "1.50"), "SliceThickness", "1.50"),
        ("00200013", element("IS", 7), "InstanceNumber", "7"),
        ("00280010", element("US", 512), "Rows", 512),
        ("00280010", element("US", 512.0), "Rows", 512),
        ("00280010", element("US", "512"), "Rows", 512),
        ("00720026", element("AT", "0048021F"), "SelectorAttribute", 0x0048021F),
        ("00189073", element("FD", 0.1), "AcquisitionDuration", 0.1),
        ("00189073", element("FD", "-Infinity"), "AcquisitionDuration", "-Infinity"),
        ("00720074", element("FD", math.inf), "SelectorFDValue", ["Infinity"]),
        ("00720076", element("FL", 0.79), "SelectorFLValue", [0.7900000214576721]),
        ("00720076", element("FL", "0.79"), "SelectorFLValue", [0.7900000214576721]),
        ("00720082", element("SV", "-9223372036854775808"), "SelectorSVValue", [-(2**63)]),
        ("00080064", element("CS", None), "ConversionType", None),
        ("00281101", element("US", None), "RedPaletteColorLookupTableDescriptor", None),
        ("00280010", element("XX", 3), "Rows", 3),
        ("00280010", {"Value": [3]}, "Rows", 3),
        ("00280106", {"Value": [3]}, "SmallestImagePixelValue", 3),
        ("00280010", {"vr": "UN", "InlineBinary": "AAI="}, "Rows", 512),
    ],
)
def test_a_value_is_in_its_column_as_a_files_is(tag: str, given: Any, column: str, value: object) -> None:
    assert values({tag: given}).get(column) == value
    assert column in read({tag: given}).columns


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ({"Alphabetic": "Doe^Jane"}, {"Alphabetic": {"FamilyName": "Doe", "GivenName": "Jane"}}),
        ({"Ideographic": "山田"}, {"Ideographic": {"FamilyName": "山田"}}),
        (
            {"Alphabetic": "A", "Ideographic": None, "Phonetic": "C^^D"},
            {"Alphabetic": {"FamilyName": "A"}, "Phonetic": {"FamilyName": "C", "MiddleName": "D"}},
        ),
        ("Doe^Jane", {"Alphabetic": {"FamilyName": "Doe", "GivenName": "Jane"}}),
    ],
)
def test_a_name_has_its_representations(name: object, value: object) -> None:
    assert values({"00100010": element("PN", name)})["PatientName"] == value


@pytest.mark.parametrize("given", [element("PN"), element("PN", None), element("PN", {})])
def test_an_empty_name_is_in_other_elements_as_a_files_is(given: Any) -> None:
    assert values({"00100010": given}) == {"OtherElements": [{"Tag": "Tag_00100010", "Data": [""]}]}
    assert reasons({"00100010": given}) == []


@pytest.mark.parametrize(
    ("tag", "given", "data"),
    [
        ("00080020", element("DA", "2026"), ["2026"]),
        ("00280010", element("US", "many"), ["many"]),
        ("00280010", element("US", "1_0"), ["1_0"]),
        ("00280010", element("US", 1, 2), ["1", "2"]),
        ("00280010", element("US", 1.5), ["1.5"]),
        ("00281101", element("US", 1, None, 16), [""]),
        ("00720026", element("AT", "PatientID"), ["PatientID"]),
        ("00189073", element("FD", "fast"), ["fast"]),
        ("00080082", element("LO", "A"), ["A"]),
    ],
)
def test_a_value_that_does_not_fit_is_in_other_elements_with_a_notice(tag: str, given: Any, data: list[str]) -> None:
    assert values({tag: given})["OtherElements"] == [{"Tag": f"Tag_{tag}", "Data": data}]
    assert [notice[0] for notice in reasons({tag: given})] == [tag]


def test_nul_is_spelled_out_with_a_notice() -> None:
    assert values({"00100020": element("LO", "a\0b")}) == {"PatientID": "a\\x00b"}
    assert [tag for tag, _ in reasons({"00100020": element("LO", "a\0b")})] == ["00100020"]


def test_private_elements_and_their_creator_are_in_other_elements() -> None:
    private = {"00090010": element("LO", "ACME"), "00091001": element("DS", 1.5), "00091002": element("UN")}
    assert values(private) == {
        "OtherElements": [{"Tag": "Tag_00090010", "Data": ["ACME"]}, {"Tag": "Tag_00091001", "Data": ["1.5"]}],
        "DroppedTags": [{"TagName": "Tag_00091002", "TagReference": ""}],
    }


def test_a_private_element_without_a_vr_has_its_creators() -> None:
    private = {"00190010": element("LO", "GEMS_ACQU_01"), "00191002": {"Value": [7]}}
    assert values(private)["OtherElements"][1] == {"Tag": "Tag_00191002", "Data": ["7"]}


def test_bulk_data_is_named_and_never_fetched() -> None:
    uri = {"vr": "OW", "BulkDataURI": "http://127.0.0.1:1/never"}
    item = {"00081150": element("UI", "1"), "00282000": uri}
    found = values({"7FE00010": uri, "0040A160": uri | {"vr": "UT"}, IMAGES: element("SQ", item)})
    assert found["DroppedTags"] == [
        {"TagName": "ICCProfile", "TagReference": "ReferencedImageSequence[0]"},
        {"TagName": "TextValue", "TagReference": ""},
        {"TagName": "PixelData", "TagReference": ""},
    ]


def test_text_in_binary_is_decoded_by_the_character_set_of_its_item() -> None:
    text = {"0040A160": {"vr": "UN", "InlineBinary": "6A=="}}
    latin, greek = ({"00080005": element("CS", term)} for term in ("ISO_IR 100", "ISO_IR 126"))
    found = values(latin | text | {IMAGES: element("SQ", text, greek | text)})
    assert found["TextValue"] == "è"
    assert [item["TextValue"] for item in found["ReferencedImageSequence"]] == ["è", "θ"]


def in_binary(data: bytes) -> dict[str, Any]:
    return {"vr": "UN", "InlineBinary": base64.b64encode(data).decode()}


@pytest.mark.parametrize("record_type", [Record, MetadataRecord])
def test_a_sequence_in_binary_is_read_as_in_a_file(record_type: type[Record]) -> None:
    content = dicom_bytes.item(dicom_bytes.element(0x0040A160, "UT", b"\xe9", IMPLICIT), IMPLICIT)
    found = values({"00080005": element("CS", "ISO_IR 100"), IMAGES: in_binary(content)}, record_type=record_type)
    if record_type is Record:
        assert found["ReferencedImageSequence"] == [{"TextValue": "é"}]
    else:
        assert found["Metadata"][IMAGES] == element("SQ", {"0040A160": element("UT", "é")})


def test_what_is_no_sequence_in_binary_is_named_with_a_notice() -> None:
    given = {IMAGES: in_binary(b"abcdefgh")}
    assert values(given) == {"DroppedTags": [{"TagName": "ReferencedImageSequence", "TagReference": ""}]}
    assert [tag for tag, _ in reasons(given)] == [IMAGES]
    with pytest.raises(Unreadable, match="an item ends"):
        read({IMAGES: in_binary(dicom_bytes.item(b"abcdefgh" * 2)[:20])})


def test_items_without_elements_keep_their_place() -> None:
    given = element("SQ", {"00081155": element("UI", "1.5")}, {}, None)
    assert values({IMAGES: given})["ReferencedImageSequence"] == [{"ReferencedSOPInstanceUID": "1.5"}, {}, {}]
    assert values({IMAGES: element("SQ", {})}) == {}


def test_pixel_representation_gives_the_sign_of_values_without_a_vr() -> None:
    signed = {"00280103": element("US", 1), "00280106": {"vr": "UN", "InlineBinary": "//8="}}
    assert values(signed)["SmallestImagePixelValue"] == -1
    assert values(signed | {"00280103": element("US", 0)})["SmallestImagePixelValue"] == 65535


def test_date_and_time_follow_the_time_zone() -> None:
    given = {"00080201": element("SH", "+0200"), "0008002A": element("DT", "20261126120000")}
    assert values(given)["AcquisitionDateTime"] == "2026-11-26T10:00:00.000000Z"
    given["00080201"] = element("SH", "never")
    assert values(given)["AcquisitionDateTime"] == "2026-11-26T12:00:00.000000Z"


@pytest.mark.parametrize(
    ("given", "is_dropped"),
    [
        (element("UT", "x" * 100), True),
        (element("UT", "x" * 50), False),
        ({"vr": "SQ", "Value": [{"00081155": element("UI", "1" * 50)}] * 2}, True),
        ({"vr": "SQ", "Value": [{"00081155": element("UI", "1")}] * 3}, False),
        ({"vr": "SQ", "Value": [{"00081155": element("UI", "1")}] * 7}, True),
        (element("US", *[0] * 50), True),
        (element("US", *[0] * 49), False),
        (element("PN", {"Alphabetic": "x" * 99}), True),
        ({"vr": "UN", "InlineBinary": "AAAA" * 34}, True),
    ],
)
def test_an_element_of_the_size_or_more_is_named(given: Any, is_dropped: bool) -> None:
    dropped = values({"00411010": given, "00410010": element("LO", "A")}, max_element_size=100).get("DroppedTags")
    assert (dropped == [{"TagName": "Tag_00411010", "TagReference": ""}]) is is_dropped


def nest(levels: int) -> dict[str, Any]:
    inner: dict[str, Any] = {"00080100": element("SH", "1")}
    for _ in range(levels):
        inner = {"0040A730": element("SQ", inner)}
    return inner


@pytest.mark.parametrize(("record_type", "depth"), [(Record, MAX_RECORD_DEPTH), (MetadataRecord, MAX_DEPTH)])
def test_sequences_that_are_nested_too_deeply_are_named(record_type: type[Record], depth: int) -> None:
    assert "DroppedTags" not in read(nest(depth), record_type).values
    assert len(read(nest(330), record_type).values["DroppedTags"]) == 1


def test_metadata_is_the_model_without_bulk_data() -> None:
    given = {
        "00080008": element("CS", "A", None),
        "00080060": element("CS"),
        "00100010": element("PN", {"Alphabetic": "Doe^Jane"}),
        "00180050": element("DS", 5),
        "00200013": element("IS", "7"),
        IMAGES: element("SQ", {"00720026": element("AT", "0048021F")}, {}),
        "7FE00010": {"vr": "OW", "BulkDataURI": "x"},
    }
    found = read(given, MetadataRecord)
    metadata = {tag: found.values["Metadata"].get(tag) for tag in given}
    assert metadata == given | {"00200013": element("IS", 7), "7FE00010": None}
    assert found.values["DroppedTags"] == ["PixelData"]


@pytest.mark.parametrize(
    "model",
    [
        None,
        [],
        CANARY,
        {CANARY: element("LO")},
        {"0010002": element("LO")},
        {"00100020": CANARY},
        {"00100020": {"vr": "LO", "Value": CANARY}},
        {"00100020": {"vr": ["LO"], "Value": [[CANARY]]}},
        {"00100020": element("LO", {"Alphabetic": CANARY})},
        {"00100020": element("LO", True)},
        {"00100010": element("PN", {"Alphabetic": [CANARY]})},
        {"00280010": element("US", [CANARY])},
        {"00280010": element("US", False)},
        {"00280010": {"vr": "UN", "InlineBinary": f"ä{CANARY}"}},
        {"00280010": {"vr": "UN", "InlineBinary": 7}},
        {IMAGES: element("SQ", CANARY)},
        {IMAGES: element("SQ", {"00100020": [CANARY]})},
    ],
    ids=lambda model: orjson.dumps(model)[:60].decode(),
)
def test_what_is_not_of_the_model_is_unreadable_for_a_reason_without_values(model: object) -> None:
    for record_type in (Record, MetadataRecord):
        with pytest.raises(Unreadable) as error:
            read_row(model, record_type)
        assert CANARY not in error.value.reason
        assert CANARY not in error.value.code


def test_no_value_is_in_a_notice() -> None:
    for vr in ("DA", "TM", "DT", "US", "FD", "AT", "LO"):
        for tag in ("00080020", "00280010", "00720026", "00189073", "00081140"):
            assert CANARY not in str(reasons({tag: element(vr, CANARY)}))


@pytest.mark.parametrize("vr", ["US", "SL", "SV", "UV", "AT", "FL", "FD", "DS", "IS", "LO", "PN", "DA"])
def test_odd_numbers_make_a_row_that_a_warehouse_takes(vr: str) -> None:
    odd = [
        2**64 - 1,
        -(2**63),
        1e300,
        -1e300,
        1.5,
        -0.0,
        "9" * 30,
        "-1e999",
        "NaN",
        "\0",
        "1_0",
        "\u0663",
        "",
        None,
        "\\",
    ]
    for tag in ("00280010", "00720026", "00189073", "00180050", "00720082", "00100010", "00091001"):
        for value in odd:
            for record_type in (Record, MetadataRecord):
                assert read({tag: element(vr, value, 1, value)}, record_type).uids[2] == "1.4"
