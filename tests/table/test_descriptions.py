from __future__ import annotations

import pytest

from dicombq.table.descriptions import described, description
from dicombq.table.fields import Field


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("PatientID", "Patient ID (0010,0020) LO"),
        ("OverlayRows", "Overlay Rows (60xx,0010) US"),
        ("Tag_00091110", "Private element (0009,1110) SQ"),
        ("Type", "CREATE for an instance that was put in the store, DELETE for one that was deleted"),
        ("FamilyName", ""),
    ],
)
def test_a_column_is_described_by_its_name(name: str, text: str) -> None:
    assert description(name) == text


def test_what_has_a_description_keeps_it_and_nested_fields_get_theirs() -> None:
    beams = Field("BeamSequence", "RECORD", "REPEATED", (Field("BeamName", "STRING"),), "mine")
    [found] = described([beams])
    assert (found.description, found.fields[0].description) == ("mine", "Beam Name (300A,00C2) LO")
    assert found == beams
