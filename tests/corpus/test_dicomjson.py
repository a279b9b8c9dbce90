"""Rows from the DICOM JSON model, as pydicom and DCMTK write it, against those of the files themselves."""

from __future__ import annotations

import json
import re
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import pydicom
import pydicom.data
import pytest

from dicombq.dicom.dictionary import lookup, tag_of
from dicombq.rows import dicomjson, reference
from dicombq.rows.base import NotAnInstance, Row, Unreadable
from dicombq.rows.metadata import MetadataRecord
from dicombq.rows.record import Record
from tests.corpus.dumps import FOLDER, file_of, table, truth_file
from tests.row_checker import as_json, problems

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

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_PRIVATE = re.compile(r"Tag_[0-9A-F]{3}[13579BDF]")


@cache
def row_of_file(path: str, record_type: type[Record]) -> Row | None:
    with open(path, "rb") as file:
        try:
            return reference.read_row(file, Path(path).stat().st_size, record_type=record_type)
        except (NotAnInstance, Unreadable):
            return None


def is_meta(keyword: str) -> bool:
    """Whether an element is of the File Meta Information."""
    tag = tag_of(keyword)
    return tag is not None and tag >> 16 == 0x0002


def comparable(value: Any, name: str = "") -> Any:
    """Leave out what the model cannot say: File Meta Information, and how a number was written.

    Of private elements the two sides may know another VR.
    """
    if isinstance(value, dict):
        left_out = str(value.get("TagName", value.get("Tag", "")))
        if _PRIVATE.match(left_out) or is_meta(left_out):
            return None
        return {key: comparable(each, key) for key, each in value.items() if not is_meta(key)}
    if isinstance(value, list):
        return [each for each in (comparable(one, name) for one in value) if each is not None]
    entry = lookup(tag_of(name) or 0)
    if isinstance(value, str) and (name == "Data" or (entry and entry.vr in ("DS", "IS"))) and _NUMBER.fullmatch(value):
        return float(value)
    return float(f"{value:.12g}") if isinstance(value, float) else value


def without(values: dict[str, Any], *names: str) -> dict[str, Any]:
    """Leave out columns, and lists that are empty now."""
    return {name: value for name, value in values.items() if name not in names and value != []}


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
    assert without(comparable(as_json(row))) == without(comparable(as_json(expected)))
    assert row.uids == expected.uids


@pytest.mark.parametrize("path", FILES + CORPUS, ids=lambda path: "/".join(Path(path).parts[-2:]))
def test_a_rows_own_model_gives_the_same_model_again(path: str) -> None:
    expected = row_of_file(path, MetadataRecord)
    if expected is None:
        pytest.skip("no instance")
    model = as_json(expected)["Metadata"]
    row = dicomjson.read_row(model, MetadataRecord)
    assert problems(row, MetadataRecord) == []
    assert as_json(row)["Metadata"] == model


@pytest.mark.corpus
@pytest.mark.skipif(FOLDER is None, reason="DICOMBQ_CORPUS names no folder")
@pytest.mark.parametrize("path", DUMPED)
def test_dcmtks_model_gives_the_row_of_the_file(path: str) -> None:
    expected = row_of_file(str(file_of(path)), Record)
    if expected is None:
        pytest.skip("no instance")
    row = dicomjson.read_row(orjson.loads(truth_file(path, ".json").read_bytes())["dataset"])
    rewritten = ("SpecificCharacterSet", "DroppedTags", "OtherElements")
    assert without(comparable(as_json(row)), *rewritten) == without(comparable(as_json(expected)), *rewritten)
