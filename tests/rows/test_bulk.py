"""References to bulk data in the DICOM JSON model."""

from __future__ import annotations

from typing import Any

import pytest

from dicombq.rows.bulk import add_references
from dicombq.rows.dicomjson import read_row
from dicombq.rows.metadata import MetadataRecord
from tests.dicom_bytes import EXPLICIT, element, instance, read, sequence

URI = "http://host/bulk"


def model_of(*elements: bytes) -> dict[str, Any]:
    """Give the JSON model of an instance, with its references."""
    values = read(instance(*elements), MetadataRecord).values
    return add_references(values["Metadata"], values.get("DroppedTags", ()), URI)


def test_pixel_data_is_a_reference_in_its_place() -> None:
    model = model_of(element(0x7FE00010, "OW", b"1234"), element(0x00100020, "LO", "A"))
    assert model["7FE00010"] == {"vr": "OW", "BulkDataURI": f"{URI}/7FE00010"}
    assert [*model] == sorted(model)
    assert "BulkDataURI" not in str(model["00100020"])


def test_an_instance_without_bulk_data_is_left_as_it_is() -> None:
    assert "BulkDataURI" not in str(model_of(element(0x00100020, "LO", "A")))


def test_bulk_data_in_items_is_a_reference_in_its_item() -> None:
    waveform = element(0x54001010, "OW", b"1234")
    model = model_of(sequence(0x54000100, element(0x00080100, "SH", "1"), waveform))
    first, second = model["54000100"]["Value"]
    assert "BulkDataURI" not in str(first)
    assert second["54001010"]["BulkDataURI"] == f"{URI}/54000100/2/54001010"


def test_private_elements_are_references() -> None:
    model = model_of(element(0x00090010, "LO", "x"), element(0x00091001, "OB", b"12"))
    assert model["00091001"] == {"vr": "UN", "BulkDataURI": f"{URI}/00091001"}


def test_a_long_element_is_a_reference() -> None:
    model = model_of(element(0x0040A160, "UT", "x" * (1 << 20)))
    assert model["0040A160"] == {"vr": "UT", "BulkDataURI": f"{URI}/0040A160"}


@pytest.mark.parametrize("tag", [0x60003000, 0x60023000, 0x7FE00010, 0x00282000, 0x00091001, 0x00420011])
@pytest.mark.parametrize("depth", [0, 1, 3])
def test_a_reader_of_the_model_leaves_out_what_a_reader_of_the_file_does(tag: int, depth: int) -> None:
    inner = element(tag, "OB", b"1234", EXPLICIT)
    for _ in range(depth):
        inner = sequence(0x00081140, element(0x00081150, "UI", "1.2"), inner)
    data = instance(inner)
    values = read(data, MetadataRecord).values
    model = add_references(values["Metadata"], values.get("DroppedTags", ()), URI)
    assert read_row(model).values | read(data).values == read(data).values
    assert read(data).values.keys() - read_row(model).values.keys() == {"TransferSyntaxUID"}  # the model has none
