"""Tag to keyword, VR and VM, and the VR by which bytes are read."""

import subprocess
import sys

import pytest

from dicombq.dicom import dictionary
from dicombq.dicom.values import KNOWN_VRS


@pytest.mark.parametrize(
    ("tag", "keyword", "vr", "vm"),
    [
        (0x00100010, "PatientName", "PN", "1"),
        (0x00080008, "ImageType", "CS", "2-n"),
        (0x00020010, "TransferSyntaxUID", "UI", "1"),
        (0x00280106, "SmallestImagePixelValue", "US or SS", "1"),
        (0x60000010, "OverlayRows", "US", "1"),
        (0x601E0050, "OverlayOrigin", "SS", "2"),
        (0x501E0010, "NumberOfPoints", "US", "1"),
        (0x60200010, "OverlayRows", "US", "1"),
        (0x60FE0010, "OverlayRows", "US", "1"),
        (0x50FE0010, "NumberOfPoints", "US", "1"),
        (0x7FE00010, "PixelData", "OB or OW", "1"),
    ],
)
def test_a_standard_element_has_its_keyword_vr_and_vm(tag: int, keyword: str, vr: str, vm: str) -> None:
    assert dictionary.lookup(tag) == (keyword, vr, vm)


@pytest.mark.parametrize("tag", [0x00091001, 0x0010FFFF, 0x60010010, 0x50FF0010, 0x61000010, 0xFFFEE000, 0xFFFEE00D])
def test_a_private_an_unknown_and_a_delimiting_tag_are_not_in_the_dictionary(tag: int) -> None:
    assert dictionary.lookup(tag) is None


@pytest.mark.parametrize(
    ("keyword", "tag"),
    [("PatientName", 0x00100010), ("OverlayRows", 0x60000010), ("CurveData", 0x50003000), ("Tag_00091001", None)],
)
def test_a_keyword_leads_back_to_its_tag(keyword: str, tag: int | None) -> None:
    assert dictionary.tag_of(keyword) == tag


@pytest.mark.parametrize(
    ("tag", "base"),
    [
        (0x60000010, 0x60000010),
        (0x601E0010, 0x60000010),
        (0x60FE0010, 0x60000010),
        (0x61000010, None),
        (0x60010010, None),
        (0x50043000, 0x50003000),
        (0x00100010, None),
    ],
)
def test_a_repeating_group_stands_for_its_first(tag: int, base: int | None) -> None:
    assert dictionary.repeating_base(tag) == base


def test_the_tables_are_those_of_pydicom() -> None:
    from pydicom._dicom_dict import DicomDictionary
    from pydicom._private_dict import private_dictionaries

    assert dictionary._public.DicomDictionary == DicomDictionary
    assert dictionary._private() == private_dictionaries


def test_a_process_that_reads_headers_does_not_import_pydicom() -> None:
    code = "import sys, dicombq.export.staging, dicombq.stores.folder; sys.exit('pydicom' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_table_whose_file_is_not_found_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    from pydicom._dicom_dict import DicomDictionary

    monkeypatch.setattr(dictionary, "find_spec", lambda _name: None)
    assert dictionary._table("_dicom_dict").DicomDictionary is DicomDictionary


def test_an_odd_group_is_private_and_its_low_elements_are_creators() -> None:
    assert dictionary.is_private(0x00091001)
    assert not dictionary.is_private(0x00080005)
    assert dictionary.is_private_creator(0x00090010)
    assert dictionary.is_private_creator(0x000900FF)
    assert not dictionary.is_private_creator(0x0009000F)
    assert not dictionary.is_private_creator(0x00090100)
    assert not dictionary.is_private_creator(0x00080010)


@pytest.mark.parametrize(
    ("tag", "creator", "vr"),
    [
        (0x00091001, "GEMS_IDEN_01", "LO"),
        (0x00094501, "GEMS_IDEN_01", "LO"),
        (0x00091001, "GEMS_IDEN_02", None),
        (0x000910EE, "GEMS_IDEN_01", None),
    ],
)
def test_a_private_element_is_known_by_its_creator_in_any_block(tag: int, creator: str, vr: str | None) -> None:
    assert dictionary.private_vr(tag, creator) == vr


@pytest.mark.parametrize(
    ("tag", "vr"), [(0x01F11026, "FD"), (0x01F11126, "DS"), (0x01F91002, "DS"), (0x01F91102, None)]
)
def test_a_private_element_that_is_known_in_one_block_is_that_one_there(tag: int, vr: str | None) -> None:
    assert dictionary.private_vr(tag, "ELSCINT1") == vr


def test_a_private_element_may_be_known_in_many_groups() -> None:
    assert dictionary.private_vr(0x70031004, "DLX_ANNOT_01") == "ST"


def test_every_vr_of_the_private_dictionaries_is_one_that_can_be_read() -> None:
    from pydicom._private_dict import private_dictionaries

    for creator, block in private_dictionaries.items():
        for pattern in block:
            tag = int(pattern.replace("x", "1"), 16)
            assert dictionary.effective_vr(tag, None, creator, False) in KNOWN_VRS, (creator, pattern)


def test_every_element_of_the_dictionary_is_read_by_a_known_vr() -> None:
    from pydicom._dicom_dict import DicomDictionary

    for tag in DicomDictionary:
        assert dictionary.effective_vr(tag, None, "", False) in KNOWN_VRS, f"{tag:08X}"


@pytest.mark.parametrize(
    ("tag", "vr", "creator", "signed", "expected"),
    [
        (0x00100010, "LO", "", False, "LO"),  # the file's own
        (0x00100010, None, "", False, "PN"),  # Implicit VR
        (0x00100010, "UN", "", False, "PN"),  # PS3.5 6.2.2
        (0x00100010, "??", "", False, "PN"),  # no VR at all
        (0x00280106, None, "", False, "US"),
        (0x00280106, None, "", True, "SS"),
        (0x00280106, "UN", "", True, "SS"),
        (0x00280106, "US", "", True, "US"),
        (0x00283006, None, "", False, "OW"),  # US or OW
        (0x7FE00010, None, "", False, "OW"),  # OB or OW
        (0x00091001, None, "GEMS_IDEN_01", False, "LO"),
        (0x00091001, "UN", "GEMS_IDEN_01", False, "UN"),  # private dictionaries count under Implicit VR only
        (0x00091001, None, "NOBODY", False, "UN"),
        (0x00090010, None, "", False, "LO"),
        (0x00090010, "UN", "", False, "LO"),
        (0x0010FFFF, None, "", False, "UN"),
        (0x00100000, None, "", False, "UL"),
        (0x00090000, None, "", False, "UL"),
        (0x60020010, None, "", False, "US"),
    ],
)
def test_the_vr_is_the_files_or_else_what_a_dictionary_knows(
    tag: int, vr: str | None, creator: str, signed: bool, expected: str
) -> None:
    assert dictionary.effective_vr(tag, vr, creator, signed) == expected
