"""Which column an element gets, and the table's fields from the columns that rows have."""

import pytest

from dicombq.table.fields import Field
from dicombq.table.mapping import (
    DROPPED_TAGS,
    OTHER_ELEMENTS,
    Column,
    Kind,
    column,
    flattened_fields,
    json_fields,
    tag_name,
)

EXTRA = ["DroppedTags", "Type", "LastUpdated", "StorageClass", "BlobStorageSize"]


def field_of(path: str) -> Field:
    return flattened_fields([path])[0]


@pytest.mark.parametrize(
    ("tag", "vr", "expected"),
    [
        (0x00020000, "UL", Column(Kind.SKIPPED, "Tag_00020000")),
        (0x00020001, "OB", Column(Kind.SKIPPED, "Tag_00020001")),
        (0x00100000, "UL", Column(Kind.SKIPPED, "Tag_00100000")),
        (0x00090000, "UL", Column(Kind.SKIPPED, "Tag_00090000")),
        (0x00020010, "UI", Column(Kind.VALUE, "TransferSyntaxUID", "UI")),
        (0x00020100, "UI", Column(Kind.VALUE, "PrivateInformationCreatorUID", "UI")),
        (0x00020102, "OB", Column(Kind.DROPPED, "PrivateInformation")),
        (0x00100010, "PN", Column(Kind.VALUE, "PatientName", "PN", records=2)),
        (0x00081070, "PN", Column(Kind.VALUE, "OperatorsName", "PN", repeated=True, records=2)),
        (0x00080008, "CS", Column(Kind.VALUE, "ImageType", "CS", repeated=True)),
        (0x00100010, "LO", Column(Kind.VALUE, "PatientName", "PN", records=2)),  # the dictionary's VR decides
        (0x00081140, "SQ", Column(Kind.SEQUENCE, "ReferencedImageSequence", "SQ", repeated=True, records=1)),
        (0x00081140, "LO", Column(Kind.OTHER, "Tag_00081140", "SQ", records=1)),
        (0x00081140, "UN", Column(Kind.DROPPED, "ReferencedImageSequence")),
        (0x00100010, "SQ", Column(Kind.DROPPED, "PatientName")),
        (0x7FE00010, "OB", Column(Kind.DROPPED, "PixelData")),
        (0x7FE00010, "US", Column(Kind.DROPPED, "PixelData")),
        (0x00283006, "OW", Column(Kind.DROPPED, "LUTData")),
        (0x00283006, "US", Column(Kind.VALUE, "LUTData", "US or OW", repeated=True)),
        (0x00281201, "US", Column(Kind.DROPPED, "RedPaletteColorLookupTableData")),
        (0x60020010, "US", Column(Kind.REPEATING, "OverlayRows", "US", records=1)),
        (0x60020050, "SS", Column(Kind.REPEATING, "OverlayOrigin", "SS", repeated=True, records=1)),
        (0x60023000, "OW", Column(Kind.DROPPED, "OverlayData")),
        (0x60020010, "SQ", Column(Kind.DROPPED, "OverlayRows")),
        (0x00090010, "LO", Column(Kind.OTHER, "Tag_00090010", records=1)),
        (0x0043101F, "DA", Column(Kind.OTHER, "Tag_0043101F", records=1)),
        (0x0043101F, "UN", Column(Kind.DROPPED, "Tag_0043101F")),
        (0x0043101F, "SQ", Column(Kind.SEQUENCE, "Tag_0043101F", "SQ", repeated=True, records=1)),
        (0x0010FFFE, "LO", Column(Kind.OTHER, "Tag_0010FFFE", records=1)),
        (0x0010FFFE, "SQ", Column(Kind.SEQUENCE, "Tag_0010FFFE", "SQ", repeated=True, records=1)),
    ],
)
def test_every_element_has_its_column_or_its_place_elsewhere(tag: int, vr: str, expected: Column) -> None:
    assert column(tag, vr) == expected


def test_a_tags_name_has_upper_case_hexadecimals() -> None:
    assert tag_name(0x0043103A) == "Tag_0043103A"


@pytest.mark.parametrize("vr", ["OB", "OD", "OF", "OL", "OV", "OW", "UN"])
def test_the_excluded_vrs_have_no_column(vr: str) -> None:
    assert column(0x00091001, vr).kind is Kind.DROPPED
    assert column(0x00100010, vr).kind is Kind.DROPPED


@pytest.mark.parametrize(
    ("name", "kind", "mode"),
    [
        ("SourceApplicationEntityTitle", "STRING", "NULLABLE"),  # AE
        ("PatientAge", "STRING", "NULLABLE"),  # AS
        ("Modality", "STRING", "NULLABLE"),  # CS
        ("ManufacturerModelName", "STRING", "NULLABLE"),  # LO
        ("AdditionalPatientHistory", "STRING", "NULLABLE"),  # LT
        ("StationName", "STRING", "NULLABLE"),  # SH
        ("InstitutionAddress", "STRING", "NULLABLE"),  # ST
        ("LongCodeValue", "STRING", "NULLABLE"),  # UC
        ("SOPInstanceUID", "STRING", "NULLABLE"),  # UI
        ("RetrieveURL", "STRING", "NULLABLE"),  # UR
        ("TextValue", "STRING", "NULLABLE"),  # UT
        ("SliceThickness", "STRING", "NULLABLE"),  # DS
        ("InstanceNumber", "STRING", "NULLABLE"),  # IS
        ("ImageType", "STRING", "REPEATED"),  # VM 2-n
        ("PixelSpacing", "STRING", "REPEATED"),  # VM 2
        ("OtherPatientIDs", "STRING", "REPEATED"),  # VM 1-n
        ("StudyDate", "DATE", "NULLABLE"),
        ("DateOfLastCalibration", "DATE", "REPEATED"),
        ("StudyTime", "TIME", "NULLABLE"),
        ("AcquisitionDateTime", "TIMESTAMP", "NULLABLE"),
        ("RecommendedDisplayFrameRateInFloat", "FLOAT", "NULLABLE"),
        ("RealWorldValueSlope", "FLOAT", "NULLABLE"),
        ("Rows", "INTEGER", "NULLABLE"),
        ("SmallestImagePixelValue", "INTEGER", "NULLABLE"),  # US or SS
        ("LUTData", "INTEGER", "REPEATED"),  # US or OW
        ("FrameIncrementPointer", "INTEGER", "REPEATED"),  # AT
    ],
)
def test_type_and_mode_follow_from_the_dictionary(name: str, kind: str, mode: str) -> None:
    assert field_of(name) == Field(name, kind, mode)


def test_a_person_name_has_its_full_record() -> None:
    field = field_of("PatientName")
    assert (field.type, field.mode) == ("RECORD", "NULLABLE")
    assert [(group.name, group.type, group.mode) for group in field.fields] == [
        ("Alphabetic", "RECORD", "NULLABLE"),
        ("Ideographic", "RECORD", "NULLABLE"),
        ("Phonetic", "RECORD", "NULLABLE"),
    ]
    for group in field.fields:
        assert group.fields == tuple(
            Field(name, "STRING") for name in ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")
        )
    assert field_of("OperatorsName").repeated


def test_a_repeating_group_is_one_column_with_an_id() -> None:
    assert field_of("OverlayRows") == Field(
        "OverlayRows", "RECORD", "REPEATED", (Field("Id", "STRING"), Field("Value", "INTEGER"))
    )
    assert field_of("OverlayOrigin").fields[1] == Field("Value", "INTEGER", "REPEATED")
    assert field_of("TypeOfData").fields[1] == Field("Value", "STRING")


def test_other_elements_and_dropped_tags_have_their_records() -> None:
    other = (Field("Tag", "STRING"), Field("Data", "STRING", "REPEATED"))
    assert field_of("OtherElements") == OTHER_ELEMENTS == Field("OtherElements", "RECORD", "REPEATED", other)
    dropped = (Field("TagName", "STRING"), Field("TagReference", "STRING"))
    assert Field("DroppedTags", "RECORD", "REPEATED", dropped) == DROPPED_TAGS


def test_columns_stand_in_the_order_of_the_original() -> None:
    fields = flattened_fields(
        [
            "OtherElements",
            "Tag_00431001.OtherElements",
            "Tag_00091001.CodeValue",
            "OverlayRows",
            "PatientName",
            "TransferSyntaxUID",
            "ReferencedImageSequence.OtherElements",
            "ReferencedImageSequence.Tag_00091001.CodeValue",
            "ReferencedImageSequence.ReferencedSOPInstanceUID",
            "ReferencedImageSequence.ReferencedSOPClassUID",
            "NumberOfPoints",
            "SOPInstanceUID",
        ],
        source_store=True,
    )
    assert [field.name for field in fields] == [
        "TransferSyntaxUID",
        "SOPInstanceUID",
        "ReferencedImageSequence",
        "PatientName",
        "NumberOfPoints",
        "OverlayRows",
        "Tag_00091001",
        "Tag_00431001",
        "OtherElements",
        *EXTRA,
        "SourceDicomStore",
    ]
    assert [field.name for field in fields[2].fields] == [
        "ReferencedSOPClassUID",
        "ReferencedSOPInstanceUID",
        "Tag_00091001",
        "OtherElements",
    ]
    assert all(
        field.type == "RECORD" and field.repeated for field in fields if field.fields and field.name != "PatientName"
    )


def test_a_table_of_nothing_has_the_extra_columns() -> None:
    fields = flattened_fields([])
    assert [field.name for field in fields] == EXTRA
    assert [field.type for field in fields] == ["RECORD", "STRING", "TIMESTAMP", "STRING", "INTEGER"]


def test_the_fields_do_not_depend_on_the_order_of_the_paths() -> None:
    paths = ["PatientName", "ReferencedImageSequence.CodeValue", "ReferencedImageSequence.OtherElements", "Rows"]
    assert flattened_fields(paths) == flattened_fields(reversed(paths)) == flattened_fields(paths * 2)


@pytest.mark.parametrize("name", ["NoSuchKeyword", "Tag_00091001"])
def test_a_leaf_that_no_rule_makes_is_refused(name: str) -> None:
    with pytest.raises(KeyError):
        flattened_fields([name])


def test_the_json_schema_is_that_of_the_original() -> None:
    assert [(field.name, field.type, field.mode) for field in json_fields(source_store=True)] == [
        ("StudyInstanceUID", "STRING", "NULLABLE"),
        ("SeriesInstanceUID", "STRING", "NULLABLE"),
        ("SOPInstanceUID", "STRING", "NULLABLE"),
        ("SourceDicomStore", "STRING", "NULLABLE"),
        ("Metadata", "JSON", "NULLABLE"),
        ("StructuredStorageSize", "INTEGER", "NULLABLE"),
        ("DroppedTags", "STRING", "REPEATED"),
        ("StorageClass", "STRING", "NULLABLE"),
        ("LastUpdated", "TIMESTAMP", "NULLABLE"),
        ("BlobStorageSize", "INTEGER", "NULLABLE"),
        ("Type", "STRING", "NULLABLE"),
    ]
    assert len(json_fields()) == 10
