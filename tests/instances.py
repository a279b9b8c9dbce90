"""Small instances for tests, written by pydicom."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
ROOT = "1.2.826.0.1.3680043.8.498"


def write_instance(path: Path, number: int | None = 1, **attributes: Any) -> Path:
    """Write an instance.

    Parameters
    ----------
    number
        The end of its SOP Instance UID; None for an instance without one.
    attributes
        Elements by keyword.
    """
    dataset = Dataset()
    dataset.SOPClassUID = CT_IMAGE
    dataset.StudyInstanceUID = f"{ROOT}.1"
    dataset.SeriesInstanceUID = f"{ROOT}.1.1"
    if number is not None:
        dataset.SOPInstanceUID = f"{ROOT}.1.1.{number}"
    dataset.Modality = "CT"
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = UID(CT_IMAGE)
    dataset.file_meta.MediaStorageSOPInstanceUID = UID(f"{ROOT}.1.1.{number or 0}")
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def write_truncated(path: Path, **attributes: Any) -> Path:
    """Write an instance that ends in the middle of an element."""
    write_instance(path, 999, **attributes)
    path.write_bytes(path.read_bytes()[:-3])
    return path
