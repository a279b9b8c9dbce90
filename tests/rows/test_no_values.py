"""No value of an element, which may be a patient's, is in anything but its row."""

import logging
import warnings

import pytest

from dicombq.rows.base import Unreadable
from dicombq.rows.metadata import MetadataRecord
from dicombq.rows.record import Record
from tests.dicom_bytes import (
    UNDEFINED,
    element,
    instance,
    nested,
    read,
    row,
    sequence,
)

IMAGES, NAME = 0x00081140, 0x00100010

CANARY = "CANARY7f3a"


def with_canary(malformed: bytes) -> bytes:
    text = ["AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT"]
    private = [element(0x00091000 + number, vr, CANARY) for number, vr in enumerate(text)]
    standard = [
        element(tag, vr, CANARY)
        for tag, vr in [
            (0x00080005, "CS"),
            (0x00080054, "AE"),
            (0x00101010, "AS"),
            (0x00080060, "CS"),
            (0x00080020, "DA"),
            (0x00180050, "DS"),
            (0x0008002A, "DT"),
            (0x00200013, "IS"),
            (0x00080080, "LO"),
            (0x001021B0, "LT"),
            (0x00080090, "PN"),
            (0x00080050, "SH"),
            (0x00080081, "ST"),
            (0x00080030, "TM"),
            (0x00080119, "UC"),
            (0x00080016, "UI"),
            (0x00081190, "UR"),
            (0x0040A160, "UT"),
            (0x00080201, "SH"),
            (0x00280010, "LO"),
            (0x00409225, "DS"),
            (0x00080061, "UI"),
            (0x00081115, "LO"),
        ]
    ]  # fmt: skip - a table
    many = element(0x00080064, "CS", f"{CANARY}\\{CANARY}")
    broken = element(NAME, "PN", f"{CANARY}\xff=^{CANARY}^a^b^c^d^e=f=g")
    items = sequence(IMAGES, b"".join([broken, *private[:5]]))
    return instance(*private, *standard, many, broken, items) + malformed


MALFORMED = [
    b"",
    element(0xFFFA0001, "LO", CANARY, length=200),
    element(0xFFFA0001, "ZZ", CANARY, length=200),
    CANARY.encode(),
    sequence(0xFFFAFFFA, CANARY.encode() * 3),
    sequence(0xFFFAFFFA, CANARY.encode() * 3, undefined=True),
    element(0xFFFAFFFA, "SQ", CANARY * 3),
    element(0xFFFAFFFA, "UN", CANARY * 3, length=UNDEFINED),
    nested(300, leaf=element(NAME, "PN", CANARY)),
]


@pytest.mark.parametrize("record_type", [Record, MetadataRecord])
@pytest.mark.parametrize("malformed", MALFORMED, ids=range(len(MALFORMED)))
def test_no_value_is_in_a_reason_a_notice_a_warning_a_log_or_on_stderr(
    malformed: bytes,
    record_type: type[Record],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    data = with_canary(malformed)
    said: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for size in (len(data), len(data) - 3, len(data) // 2):
            try:
                found = read(data[:size], record_type)
            except Unreadable as error:
                said.append(f"{error!r} {error.reason} {error.code} {error.__cause__}")
            else:
                assert found.notices
                assert CANARY in str(found.values)
                said += map(str, found.notices)
    said += [str(warning.message) for warning in caught]
    assert said
    assert not [text for text in said if CANARY[:4] in text or CANARY[:4].encode().hex() in text.lower()]
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


def test_a_text_that_claims_to_be_dicom_is_not_quoted() -> None:
    for data in (CANARY.encode() * 50, CANARY[1:].encode() * 50, CANARY.encode()):
        with pytest.raises(Unreadable) as raised:
            read(data)
        reason = raised.value.reason
        assert CANARY not in reason
        assert not any(data[at : at + 4].hex().upper() in reason for at in range(8))


def test_pydicom_still_warns_and_logs_after_a_read(caplog: pytest.LogCaptureFixture) -> None:
    row()
    logging.getLogger("pydicom").warning("still here")
    assert [record.message for record in caplog.records] == ["still here"]
