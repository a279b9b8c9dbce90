"""``--schema=json``: the DICOM JSON model of PS3.18 F."""

from typing import Any

import orjson
import pytest

from dicombq.rows.base import Row
from dicombq.rows.metadata import MAX_DEPTH, MetadataRecord
from tests.dicom_bytes import (
    SERIES,
    SOP,
    STUDY,
    element,
    instance,
    nested,
    numbers,
    part10,
    read,
    reasons,
    sequence,
)
from tests.differential import EQUAL, check_agrees
from tests.row_checker import problems

IMAGES = 0x00081140


def row(*elements: bytes) -> Row:
    return read(instance(*elements), MetadataRecord)


def metadata(*elements: bytes) -> Any:
    return row(*elements).values["Metadata"]


def test_a_row_has_the_uids_the_metadata_and_its_size() -> None:
    found = row(element(0x00080060, "CS", "MR"))
    model = {
        "00080018": {"vr": "UI", "Value": ["1.2.24.1"]},
        "00080060": {"vr": "CS", "Value": ["MR"]},
        "0020000D": {"vr": "UI", "Value": ["1.2.13.1"]},
        "0020000E": {"vr": "UI", "Value": ["1.2.14.1"]},
    }
    assert found.values == {
        "StudyInstanceUID": "1.2.13.1",
        "SeriesInstanceUID": "1.2.14.1",
        "SOPInstanceUID": "1.2.24.1",
        "Metadata": model,
        "StructuredStorageSize": len(orjson.dumps(model)),
    }
    assert found.columns == frozenset()
    assert found.uids == ("1.2.13.1", "1.2.14.1", "1.2.24.1")


def test_file_meta_information_and_group_lengths_are_not_in_the_model() -> None:
    model = metadata(numbers(0x00080000, "UL", "L", 5))
    assert sorted(model) == ["00080018", "0020000D", "0020000E"]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (element(0x00100010, "PN", "A^B=C"), {"vr": "PN", "Value": [{"Alphabetic": "A^B", "Ideographic": "C"}]}),
        (element(0x00100010, "PN", "==C"), {"vr": "PN", "Value": [{"Phonetic": "C"}]}),
        (element(0x00100010, "PN"), {"vr": "PN"}),
        (element(0x00080008, "CS", "A\\\\B"), {"vr": "CS", "Value": ["A", None, "B"]}),
        (element(0x00080008, "CS", "  "), {"vr": "CS"}),
        (element(0x00080020, "DA", "20240101"), {"vr": "DA", "Value": ["20240101"]}),
        (element(0x00080020, "DA", "2024"), {"vr": "DA", "Value": ["2024"]}),
        (element(0x00180050, "DS", "1.50 "), {"vr": "DS", "Value": [1.5]}),
        (element(0x00180050, "DS", "thick"), {"vr": "DS", "Value": ["thick"]}),
        (element(0x00200013, "IS", "07"), {"vr": "IS", "Value": [7]}),
        (element(0x00200013, "IS", "2.0"), {"vr": "IS", "Value": ["2.0"]}),
        (numbers(0x00280009, "AT", "H", 0x0018, 0x1063), {"vr": "AT", "Value": ["00181063"]}),
        (numbers(0x00280010, "US", "H", 5), {"vr": "US", "Value": [5]}),
        (numbers(0x00409225, "FD", "d", 0.1), {"vr": "FD", "Value": [0.1]}),
        (numbers(0x00409225, "FD", "d", float("nan")), {"vr": "FD", "Value": ["NaN"]}),
        (element(0x00091001, "LO", "x"), {"vr": "LO", "Value": ["x"]}),
        (numbers(0x60020010, "US", "H", 5), {"vr": "US", "Value": [5]}),
        (sequence(IMAGES), {"vr": "SQ"}),
        (
            sequence(IMAGES, b"", element(0x00081155, "UI", "1.2")),
            {"vr": "SQ", "Value": [{}, {"00081155": {"vr": "UI", "Value": ["1.2"]}}]},
        ),
        (element(IMAGES, "LO", "text"), {"vr": "LO", "Value": ["text"]}),
        (element(0x00080060, "CS", "MR\\CT"), {"vr": "CS", "Value": ["MR", "CT"]}),
    ],
)  # fmt: skip - a table
def test_each_vr_is_as_the_model_has_it(data: bytes, expected: object) -> None:
    found = row(data)
    tag = f"{int.from_bytes(data[:2], 'little'):04X}{int.from_bytes(data[2:4], 'little'):04X}"
    model = found.values["Metadata"]
    assert isinstance(model, dict)
    assert model[tag] == expected
    assert found.notices == []
    assert problems(found, MetadataRecord) == []


@pytest.mark.parametrize(
    ("tag", "vr", "reason"),
    [
        (0x00280010, "US", "its length is not a multiple of 2 bytes"),
        (0x00280009, "AT", "its length is not a multiple of 4 bytes"),
    ],
)
def test_a_wrong_byte_length_is_kept_as_hexadecimals_with_a_notice(tag: int, vr: str, reason: str) -> None:
    found = row(element(tag, vr, b"\1\2\xff", length=3))
    assert metadata(element(tag, vr, b"\1\2\xff", length=3))[f"{tag:08X}"] == {"vr": vr, "Value": ["0102ff"]}
    assert reasons(found) == {f"{tag:08X}": reason}


def test_bad_bytes_are_spelled_out_with_a_notice() -> None:
    found = row(element(0x00080080, "LO", b"J\xe9r"))
    assert reasons(found) == {"00080080": "bytes that its character set does not have are spelled out"}
    assert problems(found, MetadataRecord) == []


def test_a_name_with_a_fourth_component_group_has_a_notice() -> None:
    data = instance(element(0x00081070, "PN", "A=B=C\\A=B=C=D"), element(0x00100010, "PN", "A=B=C"))
    found = read(data, MetadataRecord)
    assert reasons(found) == {"00081070": "more component groups than a PN has: those are left out"}
    assert check_agrees(data, MetadataRecord) == EQUAL


def test_bulk_data_is_named_in_dropped_tags_with_its_path() -> None:
    found = row(
        sequence(IMAGES, element(0x00420011, "OB", b"ab")),
        element(0x7FE00010, "OW", b"ab"),
        element(0x00091001, "UN", b"ab"),
        element(0x60003000, "US", b"ab"),
    )
    assert found.values["DroppedTags"] == [
        "ReferencedImageSequence[0].EncapsulatedDocument",
        "Tag_00091001",
        "OverlayData",
        "PixelData",
    ]
    assert problems(found, MetadataRecord) == []


@pytest.mark.parametrize("undefined", [True, False])
def test_sequences_are_kept_as_deep_as_json_can_be_written(undefined: bool) -> None:
    name = element(0x00100010, "PN", "A^B")
    found = row(nested(MAX_DEPTH, leaf=name, undefined=undefined))
    assert "DroppedTags" not in found.values
    assert problems(found, MetadataRecord) == []
    deeper = row(nested(MAX_DEPTH + 1, leaf=name, undefined=undefined))
    reference = ".".join(["ReferencedImageSequence[0]"] * MAX_DEPTH)
    assert deeper.values["DroppedTags"] == [f"{reference}.ReferencedImageSequence"]
    assert problems(deeper, MetadataRecord) == []


def test_uids_that_are_missing_many_or_no_text_are_empty() -> None:
    elements = element(SOP, "UI", "1.2\\1.3") + sequence(STUDY, b"") + numbers(SERIES, "US", "H", 5)
    found = read(part10(elements), MetadataRecord)
    assert found.uids == ("", "", "")
    assert found.values.keys() == {"Metadata", "StructuredStorageSize", "DroppedTags"}
