"""Damaged files give a row or none, and nothing else; the checks that say so notice what is wrong."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from dicombq.rows.base import Notice, Row
from dicombq.rows.metadata import MetadataRecord
from tests import fuzz
from tests.dicom_bytes import BIG, EXPLICIT, IMPLICIT, element, instance, nested, numbers, sequence
from tests.row_checker import problems

SHARDS, IN_A_SHARD = 8, 60
FILES = [
    (
        str(number),
        instance(
            element(0x00080005, "CS", "\\ISO 2022 IR 87", syntax),
            element(0x00080020, "DA", "20240101", syntax),
            element(0x00100010, "PN", b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B", syntax),
            numbers(0x60000010, "US", "H", 5, syntax=syntax),
            numbers(0x00280009, "AT", "H", 1, 2, syntax=syntax),
            element(0x00090010, "LO", "GEMS_IDEN_01", syntax),
            element(0x00091001, "LO", "FULL", syntax),
            sequence(0x00081140, element(0x00081155, "UI", "1.2", syntax), syntax=syntax, undefined=number % 2 == 0),
            *([nested(20, leaf=element(0x00080021, "DA", "x"))] if syntax is EXPLICIT else []),
            element(0x7FE00010, "OW", bytes(64), syntax),
            syntax=syntax,
        ),
    )
    for number, syntax in enumerate((EXPLICIT, IMPLICIT, BIG, EXPLICIT))
]


@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("files", [FILES, fuzz.corpus(None)], ids=["made", "pydicom"])
def test_a_damaged_file_gives_a_sound_row_or_says_that_there_is_none(
    files: list[tuple[str, bytes]], shard: int
) -> None:
    for number in range(shard * IN_A_SHARD, (shard + 1) * IN_A_SHARD):
        name, data = fuzz.mutate(files, 1, number)
        assert fuzz.examine(data, claims=number % 4 != 0).wrong == (), (name, number)


@pytest.mark.parametrize(("name", "data"), [*FILES, *fuzz.corpus(None)])
def test_an_undamaged_file_gives_a_sound_row_or_says_that_there_is_none(name: str, data: bytes) -> None:
    assert fuzz.examine(data).wrong == (), name


def test_the_same_seed_and_number_damage_a_file_in_the_same_way() -> None:
    first = [fuzz.mutate(FILES, 7, number) for number in range(50)]
    assert first == [fuzz.mutate(FILES, 7, number) for number in range(50)]
    assert first != [fuzz.mutate(FILES, 8, number) for number in range(50)]
    assert len({data for _, data in first}) > 40


def test_the_command_prints_its_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, data in FILES:
        (tmp_path / name).write_bytes(data)
    assert fuzz.main(["--count", "10", "--folder", str(tmp_path)]) == 0
    assert "0 failed" in capsys.readouterr().out


def sound(**values: Any) -> Row:
    return Row(orjson.dumps(values), frozenset({"PatientName", "Rows", "StudyDate", "ImageType"}), ("1", "2", "3"))


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (sound(Modality="MR"), "Modality: no such column"),
        (sound(Rows="5"), "Rows: str that is no INTEGER"),
        (sound(Rows=True), "Rows: bool that is no INTEGER"),
        (sound(Rows=2**63), "Rows: int that is no INTEGER"),
        (sound(Rows=None), "Rows: NULL, which is absent in a row and cannot be in an array"),
        (sound(ImageType=["A", None]), "ImageType[1]: NULL, which is absent in a row and cannot be in an array"),
        (sound(ImageType="A"), "ImageType: str in a REPEATED column"),
        (sound(StudyDate="2024"), "StudyDate: str that is no DATE"),
        (sound(PatientName="A"), "PatientName: str where a record is due"),
        (sound(PatientName={"Alphabetic": {"Family": "A"}}), "PatientName.Alphabetic.Family: no such column"),
        (sound(ImageType=["a\0"]), "text that no warehouse holds: .ImageType[0]"),
        (Row(b"{}", frozenset(), ("1",)), "the UIDs are not three texts"),
        (
            Row(b"{}", frozenset(), ("1", "2", "3"), [Notice("\ud800", "")]),
            "text that no warehouse holds: notice \ud800",
        ),
    ],
)
def test_the_checker_says_what_is_wrong(row: Row, problem: str) -> None:
    assert problems(row) == [problem]


def test_the_checker_finds_text_that_is_no_json() -> None:
    (found,) = problems(replace(sound(), json=b'{"ImageType":["\\ud800"]}'))
    assert found.startswith("no JSON")


def test_the_checker_finds_records_that_are_too_deep() -> None:
    path = "ReferencedImageSequence." * 15 + "PatientName"
    assert any(
        "nested deeper than 15 levels" in problem for problem in problems(Row(b"{}", frozenset({path}), ("", "", "")))
    )


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        ({"PatientName": {"vr": "PN"}}, "Metadata.PatientName: no tag"),
        ({"00100010": {"VR": "PN"}}, "Metadata.00100010: no element of the DICOM JSON model"),
        ({"00100010": {"vr": "PN", "Value": []}}, "Metadata.00100010: a Value that is no array, or an empty one"),
    ],
)
def test_the_checker_knows_the_json_model(model: Any, problem: str) -> None:
    values: dict[str, Any] = {"Metadata": model, "StructuredStorageSize": len(orjson.dumps(model))}
    row = Row(orjson.dumps(values), frozenset(), ("", "", ""))
    assert problems(row, MetadataRecord) == [problem]
