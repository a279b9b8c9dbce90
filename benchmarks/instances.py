"""Instances that no reader has seen, in two ways: each of another study, or in series as scanners write them.

Each of another study: UIDs, names, dates and numbers of each file are drawn by lot; only words come again.

In series: the same is drawn once for a series; what `_OWN` names, a few private elements and the UIDs of the instance
are drawn for each file. In the series of CT and MR among pydicom's test files (`dicomdirtests`; GE, Philips) and in one
of dcm_qa_nih (GE) 5 to 16 of 70 to 340 elements change from one instance to the next: UID, number, position, some
times, window, pixel range, some private ones. Here 22 do in CT and 28 in MR; with them are tube current, exposure and
dose, which modulation changes.

Enhanced MR has its frames drawn one by one, or it has them as Philips writes them: content, position and window of each
are its own, and its other functional groups are those of its neighbours.
"""

from __future__ import annotations

import itertools
import random
import struct
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from pydicom.datadict import dictionary_VM, dictionary_VR, tag_for_keyword

from tests.dicom_bytes import EXPLICIT, element, numbers, ordered, part10, sequence

ROOT = "1.2.826.0.1.3680043.8.498"
PIXELS = 512 * 1024
FRAMES = 200
SERIES = 100
"""Instances of a series."""

_NUMBERS = {"US": "H", "SS": "h", "UL": "L", "SL": "l", "FL": "f", "FD": "d", "US or SS": "H"}
_SOP_CLASS = "1.2.840.10008.5.1.4.1.1.2"  # of CT: one that every server takes
_WORDS = "HEAD NECK CHEST ABDOMEN PELVIS KNEE AXIAL HELICAL PRIMARY ORIGINAL STANDARD SOFT BONE LUNG VENOUS ROUTINE"
_NAMES = "Adams Berg Castro Dubois Eriksen Fischer Garcia Hansen Ito Jensen Kowalski Lopez Meyer Novak Olsen Peeters"

_GENERAL = """
    InstanceCreationDate InstanceCreationTime SOPClassUID StudyDate SeriesDate AcquisitionDate ContentDate StudyTime
    SeriesTime AcquisitionTime ContentTime AccessionNumber Modality Manufacturer InstitutionName InstitutionAddress
    ReferringPhysicianName StationName StudyDescription SeriesDescription InstitutionalDepartmentName
    PhysiciansOfRecord PerformingPhysicianName NameOfPhysiciansReadingStudy OperatorsName AdmittingDiagnosesDescription
    ManufacturerModelName InstanceCreatorUID TimezoneOffsetFromUTC PatientName PatientID IssuerOfPatientID
    PatientBirthDate PatientBirthTime PatientSex OtherPatientIDs PatientAge PatientSize PatientWeight EthnicGroup
    Occupation SmokingStatus PatientComments AdditionalPatientHistory PregnancyStatus PatientPosition DeviceSerialNumber
    SoftwareVersions ProtocolName DateOfLastCalibration TimeOfLastCalibration BodyPartExamined StudyID SeriesNumber
    AcquisitionNumber InstanceNumber PatientOrientation ImagePositionPatient ImageOrientationPatient FrameOfReferenceUID
    Laterality PositionReferenceIndicator SliceLocation ImageComments ImagesInAcquisition SamplesPerPixel
    PhotometricInterpretation Rows Columns PixelSpacing BitsAllocated BitsStored HighBit PixelRepresentation
    SmallestImagePixelValue LargestImagePixelValue WindowCenter WindowWidth RescaleIntercept RescaleSlope RescaleType
    WindowCenterWidthExplanation LossyImageCompression RequestingPhysician RequestingService
    RequestedProcedureDescription RequestedContrastAgent StudyStatusID StudyPriorityID ScheduledStationAETitle
    PerformedStationAETitle PerformedStationName PerformedLocation PerformedProcedureStepStartDate
    PerformedProcedureStepStartTime PerformedProcedureStepID PerformedProcedureStepDescription
    PerformedProcedureTypeDescription CommentsOnThePerformedProcedureStep RequestedProcedureID
    ReasonForTheRequestedProcedure RequestedProcedurePriority NamesOfIntendedRecipientsOfResults ImageType
"""
_CT = """
    ScanOptions KVP DataCollectionDiameter ReconstructionDiameter DistanceSourceToDetector DistanceSourceToPatient
    GantryDetectorTilt TableHeight RotationDirection ExposureTime XRayTubeCurrent Exposure ExposureInuAs FilterType
    GeneratorPower FocalSpots ConvolutionKernel AcquisitionType RevolutionTime SingleCollimationWidth
    TotalCollimationWidth TableSpeed TableFeedPerRotation SpiralPitchFactor DataCollectionCenterPatient
    ReconstructionTargetCenterPatient ExposureModulationType EstimatedDoseSaving CTDIvol SliceThickness
    ContrastBolusAgent ContrastBolusRoute ContrastBolusVolume ContrastBolusStartTime ContrastBolusTotalDose
    ContrastFlowRate ContrastBolusIngredientConcentration XRayTubeCurrentInuA TemporalPositionIdentifier
    NumberOfTemporalPositions
"""
_MR = """
    ScanningSequence SequenceVariant ScanOptions MRAcquisitionType SequenceName AngioFlag RepetitionTime EchoTime
    InversionTime NumberOfAverages ImagingFrequency ImagedNucleus EchoNumbers MagneticFieldStrength
    SpacingBetweenSlices NumberOfPhaseEncodingSteps EchoTrainLength PercentSampling PercentPhaseFieldOfView
    PixelBandwidth TriggerTime NominalInterval HeartRate ReceiveCoilName TransmitCoilName AcquisitionMatrix
    InPlanePhaseEncodingDirection FlipAngle VariableFlipAngleFlag SAR dBdt SliceThickness
"""
_OWN = """
    InstanceCreationTime AcquisitionTime ContentTime AcquisitionNumber InstanceNumber ImagePositionPatient SliceLocation
    SmallestImagePixelValue LargestImagePixelValue WindowCenter WindowWidth XRayTubeCurrent Exposure ExposureInuAs
    CTDIvol TriggerTime HeartRate
"""
_OWN_PRIVATE = frozenset({1, 6, 11})
"""Elements of a private block that are an instance's own."""

_OWN_GROUPS = frozenset({"FrameContentSequence", "PlanePositionSequence", "FrameVOILUTSequence"})


class Lot(NamedTuple):
    """What is drawn for a series, and for an instance."""

    series: random.Random
    own: random.Random
    like_frames: bool = False


def uid(rng: random.Random) -> str:
    """Make a UID of 62 characters, each time another."""
    return f"{ROOT}.{rng.randrange(10**35, 10**36)}"


def ct(lot: Lot) -> bytes:
    """Write a CT header of 190 elements, those in sequences and the meta group counted."""
    elements = _keywords(lot, (_GENERAL + _CT).split())
    private = [*_private(lot, 0x0009, "GEMS_IDEN_01", 7), *_private(lot, 0x0019, "GEMS_ACQU_01", 14)]
    return _file(lot, [*elements, *_sequences(lot.series), *private])


def mr(lot: Lot) -> bytes:
    """Write an MR header with four blocks of private elements."""
    blocks = [
        (0x0019, "SIEMENS MR HEADER"),
        (0x0029, "SIEMENS CSA HEADER"),
        (0x0051, "SIEMENS MR HEADER"),
        (0x2005, "Philips MR Imaging DD 001"),
    ]
    private = [each for group, creator in blocks for each in _private(lot, group, creator, 14)]
    private.append(element(0x00291020, "OB", lot.own.randbytes(9000)))
    return _file(lot, [*_keywords(lot, (_GENERAL + _MR).split()), *_sequences(lot.series), *private])


def enhanced_mr(lot: Lot) -> bytes:
    """Write an enhanced MR header of 200 frames, about 6,500 elements."""
    alike = _frame_groups(lot.series, 0) if lot.like_frames else {}
    for keyword in _OWN_GROUPS & alike.keys():
        del alike[keyword]
    items = [b"".join(ordered([*(_frame_groups(lot.own, n) | alike).values()])) for n in range(FRAMES)]
    frames = sequence(_tag("PerFrameFunctionalGroupsSequence"), *items)
    shared = sequence(
        _tag("SharedFunctionalGroupsSequence"), _group(lot.series, "MRModifierSequence", "PartialFourier")
    )
    count = element(_tag("NumberOfFrames"), "IS", str(FRAMES))
    return _file(lot, [*_keywords(lot, _GENERAL.split()), *_sequences(lot.series), count, shared, frames])


def sr(lot: Lot) -> bytes:
    """Write a structured report: containers in containers, six levels of them, with codes, texts and numbers."""
    elements = [*_keywords(lot, _GENERAL.split()[:60]), *_sequences(lot.series), _content(lot.own, 6)]
    return _file(lot, elements, pixels=False)


class Kind(NamedTuple):
    """How instances are made, and how many are of a series."""

    make: Callable[[Lot], bytes]
    series: int = 1
    like_frames: bool = False


KINDS: dict[str, Kind] = {
    "CT, each of another study": Kind(ct),
    "CT, in series of 100": Kind(ct, SERIES),
    "MR with private groups, each of another study": Kind(mr),
    "MR with private groups, in series of 100": Kind(mr, SERIES),
    "enhanced MR, 200 frames drawn one by one": Kind(enhanced_mr),
    "enhanced MR, 200 frames as scanned": Kind(enhanced_mr, like_frames=True),
    "SR, deep nesting": Kind(sr),
}


def made(kind: str, number: int) -> bytes:
    """Make the header of a kind that has this number."""
    make, series, like_frames = KINDS[kind]
    return make(Lot(random.Random(f"{kind} {number // series}"), random.Random(f"own {kind} {number}"), like_frames))


def write(folder: Path, kind: str, seeds: range) -> list[Path]:
    """Write an instance for each seed, hundred to a folder; their pixels are a hole in the file."""
    paths = []
    for number in seeds:
        path = folder / f"{number // 100:05d}" / f"{number % 100:02d}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        data = made(kind, number)
        with path.open("wb") as file:
            file.write(data)
            if data.endswith(_pixel_head()):
                file.truncate(len(data) + PIXELS)
        paths.append(path)
    return paths


def write_many(folder: Path, count: int, templates: int = 100) -> None:
    """Write `count` CT headers without pixel data, distinct instances, a thousand to a folder."""
    for number, data in zip(range(count), endless(templates), strict=False):
        if number % 1000 == 0:
            (folder / f"{number // 1000:05d}").mkdir(parents=True)
        (folder / f"{number // 1000:05d}" / f"{number % 1000:03d}.dcm").write_bytes(data)


def endless(templates: int = 100) -> Iterator[bytes]:
    """Make CT headers without pixel data, distinct instances: the UIDs of a hundred headers made anew."""
    old = ROOT.encode() + b"."
    headers = []
    for number in range(templates):
        rng = random.Random(f"template {number}")
        data = ct(Lot(rng, rng)).removesuffix(_pixel_head())
        tag = struct.pack("<HH", 0x0008, 0x0018) + b"UI"
        headers.append((data, data.index(old, data.index(tag)) + len(old)))
    for number in itertools.count():
        data, position = headers[number % templates]
        yield data[:position] + uid_of(number).removeprefix(f"{ROOT}.").encode() + data[position + 36 :]


def uid_of(number: int) -> str:
    """Name the SOP Instance UID that `endless` gives to an instance."""
    return f"{ROOT}.1{number:035d}"


def number_of(uid: str) -> int:
    """Tell which instance of `endless` a SOP Instance UID is."""
    return int(uid.removeprefix(f"{ROOT}.1"))


def _tag(keyword: str) -> int:
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise ValueError(keyword)
    return tag


def _pixel_head() -> bytes:
    return element(0x7FE00010, "OW", b"", length=PIXELS)


def _file(lot: Lot, elements: Iterable[bytes], *, pixels: bool = True) -> bytes:
    instance = uid(lot.own)
    ids = [
        element(0x00080018, "UI", instance),
        *(element(tag, "UI", uid(lot.series)) for tag in (0x0020000D, 0x0020000E)),
    ]
    charset = element(0x00080005, "CS", "ISO_IR 100")
    content = b"".join(ordered([*elements, *ids, charset]))
    meta = (
        element(0x00020003, "UI", instance),
        element(0x00020012, "UI", uid(lot.series)),
        element(0x00020013, "SH", "BENCH"),
    )
    return part10(content + (_pixel_head() if pixels else b""), EXPLICIT, *meta)


def _keywords(lot: Lot, keywords: Iterable[str]) -> list[bytes]:
    own = frozenset(_OWN.split())
    return [_element(lot.own if keyword in own else lot.series, keyword) for keyword in keywords]


def _element(rng: random.Random, keyword: str) -> bytes:
    tag = _tag(keyword)
    if keyword == "SOPClassUID":
        return element(tag, "UI", _SOP_CLASS)
    vr, vm = dictionary_VR(tag), dictionary_VM(tag)
    count = 3 if vm in {"1-n", "2-n"} else int(vm.split("-")[0])
    if vr in _NUMBERS:
        values = [rng.randrange(4096) for _ in range(count)]
        return numbers(tag, vr[:2], _NUMBERS[vr], *values)
    if (
        keyword.endswith(("ID", "Number", "IDs")) and vr != "IS"
    ):  # of a patient or a study, where other text is a site's
        return element(tag, vr, f"{rng.randrange(10**12)}")
    return element(tag, vr, "\\".join(_text(rng, vr) for _ in range(count)))


def _text(rng: random.Random, vr: str) -> str:
    if vr == "UI":
        return uid(rng)
    if vr == "DA":
        return f"{rng.randrange(1930, 2026)}{rng.randrange(1, 13):02d}{rng.randrange(1, 29):02d}"
    if vr == "TM":
        return f"{rng.randrange(24):02d}{rng.randrange(60):02d}{rng.randrange(60):02d}.{rng.randrange(10**6):06d}"
    if vr == "DT":
        return _text(rng, "DA") + _text(rng, "TM")
    if vr == "PN":
        return f"{rng.choice(_NAMES.split())}^{rng.choice(_NAMES.split())}^{rng.randrange(10**6)}"
    if vr == "AS":
        return f"{rng.randrange(100):03d}Y"
    if vr == "IS":
        return str(rng.randrange(10**5))
    if vr == "DS":
        return f"{rng.uniform(-500, 500):.6f}"
    return rng.choice(_WORDS.split())


def _private(lot: Lot, group: int, creator: str, count: int) -> list[bytes]:
    start = group << 16
    elements = [element(start | 0x10, "LO", creator)]
    for number in range(count):
        vr = ("LO", "DS", "IS", "SH", "CS")[number % 5]
        text = _text(lot.own if number in _OWN_PRIVATE else lot.series, vr)
        elements.append(element(start | 0x1000 | number, vr, text))
    return elements


def _group(rng: random.Random, keyword: str, *inner: str) -> bytes:
    return sequence(_tag(keyword), b"".join(ordered(_keywords(Lot(rng, rng), inner))), undefined=rng.random() < 0.5)


def _code(rng: random.Random, keyword: str) -> bytes:
    return _group(rng, keyword, "CodeValue", "CodingSchemeDesignator", "CodeMeaning")


def _reference(rng: random.Random, keyword: str) -> bytes:
    return _group(rng, keyword, "ReferencedSOPClassUID", "ReferencedSOPInstanceUID")


def _sequences(rng: random.Random) -> list[bytes]:
    return [
        _code(rng, "ProcedureCodeSequence"),
        _reference(rng, "ReferencedStudySequence"),
        _reference(rng, "ReferencedPerformedProcedureStepSequence"),
        _group(rng, "RequestAttributesSequence", "ScheduledProcedureStepDescription", "ScheduledProcedureStepID"),
    ]


def _frame_groups(rng: random.Random, number: int) -> dict[str, bytes]:
    content = "FrameAcquisitionNumber FrameReferenceDateTime FrameAcquisitionDateTime FrameAcquisitionDuration StackID"
    frame_type = (
        "FrameType PixelPresentation VolumetricProperties VolumeBasedCalculationTechnique ComplexImageComponent"
    )
    timing = "RepetitionTime FlipAngle EchoTrainLength RFEchoTrainLength GradientEchoTrainLength"
    return {
        keyword: _group(rng, keyword, *inner)
        for keyword, *inner in (
            ("FrameContentSequence", *content.split(), "InStackPositionNumber", "DimensionIndexValues"),
            ("PlanePositionSequence", "ImagePositionPatient"),
            ("PlaneOrientationSequence", "ImageOrientationPatient"),
            ("PixelMeasuresSequence", "PixelSpacing", "SliceThickness"),
            ("MRImageFrameTypeSequence", *frame_type.split(), "AcquisitionContrast"),
            ("FrameVOILUTSequence", "WindowCenter", "WindowWidth"),
            ("MREchoSequence", "EffectiveEchoTime"),
            ("MRTimingAndRelatedParametersSequence", *timing.split()[: 3 + number % 3]),
        )
    }


def _content(rng: random.Random, levels: int) -> bytes:
    items = []
    for kind in ("TEXT", "CODE", "CONTAINER", "CONTAINER")[: 4 if levels > 3 else 3]:
        parts = [
            _element(rng, "RelationshipType"),
            _code(rng, "ConceptNameCodeSequence"),
            element(_tag("ValueType"), "CS", kind),
        ]
        if kind == "TEXT":
            parts.append(_element(rng, "TextValue"))
        elif kind == "CODE":
            parts.append(_code(rng, "ConceptCodeSequence"))
        elif levels > 1:
            parts.append(_content(rng, levels - 1))
        items.append(b"".join(ordered(parts)))
    return sequence(_tag("ContentSequence"), *items)
