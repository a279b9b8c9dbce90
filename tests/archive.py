"""A small archive with something to ask about: the repository's samples, and series made for the questions."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from pydicom.dataset import Dataset

from tests.instances import ROOT, write_instance

SAMPLES = Path(__file__).resolve().parents[1] / "samples"
MODIFIED = 1_714_979_289
"""2024-05-06 07:08:09 UTC: when all files were put in the archive."""


def item(**attributes: object) -> Dataset:
    """Make an item of a sequence."""
    made = Dataset()
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    return made


def write_archive(folder: Path) -> Path:
    """Write 9 samples, a chest CT with a missing slice, a head CT of mixed thickness, a copied instance."""
    folder.mkdir(parents=True)
    for sample in SAMPLES.glob("*.dcm"):
        shutil.copyfile(sample, folder / sample.name)
    chest = {
        "StudyInstanceUID": f"{ROOT}.2",
        "PatientID": "P-001",
        "PatientName": "Doe^Jane",
        "PatientSex": "F",
        "StudyDate": "20230105",
        "StudyTime": "101112.5",
        "StudyDescription": "CHEST",
        "Manufacturer": "ACME",
        "StationName": "CT01",
    }
    for number in (1, 2, 3, 5, 6):
        write_instance(
            folder / "chest" / f"{number}.dcm",
            20 + number,
            **chest,
            SeriesInstanceUID=f"{ROOT}.2.1",
            SeriesDescription="THIN",
            ProtocolName="CHEST LOW DOSE",
            InstanceNumber=number,
            SliceThickness="2.5",
            PixelSpacing=[0.7, 0.7],
            ImageType=["ORIGINAL", "PRIMARY", "AXIAL"],
            Rows=512,
            Columns=512,
            KVP="120",
            CTDIvol=3.5,
            RequestAttributesSequence=[
                item(RequestedProcedureID="R1", ScheduledProcedureStepID="S1"),
                item(RequestedProcedureID="R2"),
            ],
        )
    for number, thickness in ((1, "5"), (2, "5"), (3, "1.25")):
        write_instance(
            folder / "head" / f"{number}.dcm",
            30 + number,
            StudyInstanceUID=f"{ROOT}.3",
            SeriesInstanceUID=f"{ROOT}.3.1",
            PatientID="P-002",
            PatientName="Roe^Richard^^Dr.",
            StudyDate="20240229",
            StudyTime="2359",
            Manufacturer="ACME",
            StationName="CT02",
            ProtocolName="HEAD",
            InstanceNumber=number,
            SliceThickness=thickness,
            KVP="100",
            ReferencedImageSequence=[
                item(
                    ReferencedSOPInstanceUID=f"{ROOT}.9",
                    PurposeOfReferenceCodeSequence=[item(CodeValue="121311", CodeMeaning="Localizer")],
                )
            ],
        )
    write_instance(folder / "copy.dcm", 21, **chest, SeriesInstanceUID=f"{ROOT}.2.2", Modality="", InstanceNumber=1)
    for file in folder.rglob("*.dcm"):
        os.utime(file, (MODIFIED, MODIFIED))
    return folder
