"""Rows from the DICOM JSON model, as pydicom and DCMTK write it, against those of the files themselves."""

from __future__ import annotations

import json
import warnings
from functools import cache
from pathlib import Path

import orjson
import pydicom
import pydicom.data
import pytest

from dicombq.rows import dicomjson, reference
from dicombq.rows.base import NotAnInstance, Row, Unreadable
from dicombq.rows.metadata import MetadataRecord
from dicombq.rows.record import Record
from tests.comparable import comparable, without
from tests.corpus.dumps import FOLDER, file_of, table, truth_file
from tests.row_checker import problems

PYDICOMS = Path(pydicom.data.__file__).parent / "test_files"
FILES = [str(path) for path in sorted(PYDICOMS.rglob("*")) if path.suffix == ".dcm"]
LISTING = [line["path"] for line in table("dicom/MANIFEST.tsv")]
CORPUS = [str(file_of(path)) for path in LISTING]
AS_UN = "DCMTK leaves a sequence that is stored as UN in its bytes"
EXCUSED = {
    "pydicom_pydicom/chrSQEncoding.dcm": "DCMTK was built without ISO IR 13",
    "pydicom_pydicom/rtdose_rle.dcm": AS_UN,
    "pydicom_pydicom/rtdose_rle_1frame.dcm": AS_UN,
    "pydicom_pydicom-data/bad_sequence.dcm": AS_UN,
}
DUMPED = [path for path in LISTING if FOLDER and truth_file(path, ".json").exists() and path not in EXCUSED]


@cache
def row_of_file(path: str, record_type: type[Record]) -> Row | None:
    with open(path, "rb") as file:
        try:
            return reference.read_row(file, Path(path).stat().st_size, record_type=record_type)
        except (NotAnInstance, Unreadable):
            return None


@pytest.mark.parametrize("path", FILES + CORPUS, ids=lambda path: "/".join(Path(path).parts[-2:]))
def test_pydicoms_model_gives_the_row_of_the_file(path: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model = orjson.loads(json.dumps(pydicom.dcmread(path, force=True).to_json_dict()))
        except Exception:  # noqa: BLE001 - files that pydicom cannot read or write are not this test's
            pytest.skip("pydicom makes no model of it")
    expected = row_of_file(path, Record)
    if expected is None:
        pytest.skip("no instance")
    row = dicomjson.read_row(model)
    assert problems(row) == []
    assert without(comparable(row.values)) == without(comparable(expected.values))
    assert row.uids == expected.uids


@pytest.mark.parametrize("path", FILES + CORPUS, ids=lambda path: "/".join(Path(path).parts[-2:]))
def test_a_rows_own_model_gives_the_same_model_again(path: str) -> None:
    expected = row_of_file(path, MetadataRecord)
    if expected is None:
        pytest.skip("no instance")
    model = expected.values["Metadata"]
    row = dicomjson.read_row(model, MetadataRecord)
    assert problems(row, MetadataRecord) == []
    assert row.values["Metadata"] == model


@pytest.mark.corpus
@pytest.mark.skipif(FOLDER is None, reason="DICOMBQ_CORPUS names no folder")
@pytest.mark.parametrize("path", DUMPED)
def test_dcmtks_model_gives_the_row_of_the_file(path: str) -> None:
    expected = row_of_file(str(file_of(path)), Record)
    if expected is None:
        pytest.skip("no instance")
    row = dicomjson.read_row(orjson.loads(truth_file(path, ".json").read_bytes())["dataset"])
    rewritten = ("SpecificCharacterSet", "DroppedTags", "OtherElements")
    assert without(comparable(row.values), *rewritten) == without(comparable(expected.values), *rewritten)
