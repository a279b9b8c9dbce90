"""The readers against DCMTK and Orthanc on every file of the corpus."""

from collections import Counter
from functools import cache
from typing import Any, NamedTuple

import pytest

from dicombq.rows import reader, reference
from dicombq.rows.base import NotAnInstance, Unreadable
from tests.corpus.dumps import FOLDER, file_of, has_truth, load, read_json, table, truth_file
from tests.corpus.truth import NORMALISATIONS, Expected, differences, joined

pytestmark = pytest.mark.corpus
needs_corpus = pytest.mark.skipif(FOLDER is None, reason="DICOMBQ_CORPUS names no folder")

LISTING = [line["path"] for line in table("dicom/MANIFEST.tsv")]
NO_INSTANCE = {
    "pydicom_pydicom/DICOMDIR-bigEnd": "a DICOMDIR",
    "pydicom_pydicom/DICOMDIR-empty.dcm": "a DICOMDIR",
    "pydicom_pydicom/DICOMDIR-nooffset": "a DICOMDIR",
    "pydicom_pydicom/DICOMDIR-nopatient": "a DICOMDIR",
}
UNREADABLE = {
    "pydicom_pydicom-data/emri_small_jpeg_2k_lossless_too_short.dcm": "ends within its Pixel Data",
    "pydicom_pydicom/MR_truncated.dcm": "ends within its Pixel Data",
    "pydicom_pydicom/rtplan_truncated.dcm": "ends in the middle of an element before its Pixel Data",
}
NO_TRUTH = {"pydicom_pydicom/SC_rgb_jpeg.dcm": "names an Explicit VR syntax and is in Implicit VR: no dump has it"}
STORED_TWICE = {"pydicom_pydicom/winter.dcm": "00080018"}
"""The elements of which dcm2json shows the first and says nothing of the second."""

EXCUSED = NO_INSTANCE | UNREADABLE | NO_TRUTH
COMPARED = [path for path in LISTING if path not in EXCUSED]
READERS = {"reader": reader.read_row, "reference": reference.read_row}
BY_EACH = pytest.mark.parametrize("by", READERS)


class Outcome(NamedTuple):
    wrong: list[str]
    used: Counter[str]


def row_of(path: str, by: str) -> Any:
    with file_of(path).open("rb") as file:
        return READERS[by](file, file_of(path).stat().st_size)


@cache
def outcome(path: str, by: str) -> Outcome:
    """Compare one file's row with the truth."""
    dump = load(path)
    expected, row = Expected(dump), row_of(path, by)
    wrong = list(differences(expected.values, row.values, ""))
    wrong += [f"column too many: {column}" for column in sorted(row.columns - expected.columns)]
    wrong += [f"column missing: {column}" for column in sorted(expected.columns - row.columns)]
    noticed = [notice.tag for notice in row.notices]
    misfits = [*expected.misfits, *([STORED_TWICE[path]] if path in STORED_TWICE else [])]
    if sorted(noticed) != sorted(misfits):
        wrong.append(f"notices: expected {misfits}, got {noticed}")
    return Outcome(wrong, dump.used)


@needs_corpus
@BY_EACH
@pytest.mark.parametrize("path", COMPARED)
def test_a_row_is_what_dcmtk_read(path: str, by: str) -> None:
    wrong = outcome(path, by).wrong
    assert not wrong, "\n".join([path, *wrong])


@needs_corpus
def test_every_file_is_compared_or_excused_with_a_reason() -> None:
    folder = file_of("")
    on_disk = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()} - {"MANIFEST.tsv"}
    assert on_disk == set(LISTING) == set(COMPARED) | set(EXCUSED)
    assert len(COMPARED) + len(NO_INSTANCE) + len(UNREADABLE) + len(NO_TRUTH) == len(on_disk) == len(LISTING)
    assert [path for path in COMPARED if not has_truth(path)] == []
    assert [path for path in NO_TRUTH if has_truth(path)] == []


@needs_corpus
@BY_EACH
@pytest.mark.parametrize("path", NO_INSTANCE)
def test_a_dicomdir_is_no_instance(path: str, by: str) -> None:
    with pytest.raises(NotAnInstance):
        row_of(path, by)


@needs_corpus
@BY_EACH
@pytest.mark.parametrize("path", UNREADABLE)
def test_a_file_that_ends_in_its_header_is_unreadable(path: str, by: str) -> None:
    with pytest.raises(Unreadable) as raised:
        row_of(path, by)
    assert raised.value.code == "DATA_LOSS"
    assert raised.value.reason


@needs_corpus
@BY_EACH
@pytest.mark.parametrize("path", NO_TRUTH)
def test_a_file_without_a_truth_still_gives_its_uids(path: str, by: str) -> None:
    values = row_of(path, by).values
    assert values["SOPInstanceUID"] == values["MediaStorageSOPInstanceUID"]


@needs_corpus
def test_every_normalisation_is_explained_and_used() -> None:
    used = sum((outcome(path, "reference").used for path in COMPARED), Counter[str]())
    assert used.keys() == NORMALISATIONS.keys(), used


@needs_corpus
@BY_EACH
@pytest.mark.parametrize(
    ("path", "name"),
    [(line["path"], line["PatientName_expected"]) for line in table("charset_truth.tsv")],
)
def test_a_patient_name_joins_back_to_its_text(path: str, name: str, by: str) -> None:
    assert joined(row_of(path, by).values["PatientName"]) == name


@needs_corpus
def test_orthanc_decodes_japanese_as_it_is_decoded_here() -> None:
    agreed = 0
    for path in COMPARED:
        if outcome(path, "reference").used["japanese"] and truth_file(path, ".orthanc.json").exists():
            dataset, orthanc = load(path).dataset, read_json(truth_file(path, ".orthanc.json"))
            for tag in ("00100010", "00101001", "001021B0"):
                if tag in orthanc and "$B" not in repr(orthanc[tag]):
                    assert dataset[tag]["Value"] == orthanc[tag]["Value"], (path, tag)
                    agreed += 1
    assert agreed, "Orthanc decoded nothing"


def test_a_difference_is_named_by_its_path_and_both_values() -> None:
    expected = {"A": [{"B": "1"}], "C": 1, "D": ["x", "y"], "E": None}
    actual = {"A": [{"B": "2"}], "C": 1.0, "D": ["y", "x"], "F": False}
    assert list(differences(expected, actual, "")) == [
        "A[0].B: expected '1', got '2'",
        "C: expected 1, got 1.0",
        "D[0]: expected 'x', got 'y'",
        "D[1]: expected 'y', got 'x'",
        "F: expected None, got False",
    ]
