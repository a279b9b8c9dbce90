"""Where a file's elements begin and how they are written."""

import io
import zlib

import pytest

from dicombq.rows import part10
from dicombq.rows.base import NotAnInstance
from dicombq.rows.part10 import Encoding, dataset_start, detect_encoding, inflate
from tests.dicom_bytes import BIG, EXPLICIT, IMPLICIT, SOP, Syntax, deflated, element, numbers

CHARACTER_SET = 0x00080005


def head(*elements: bytes) -> bytes:
    return b"".join(elements)


def test_elements_begin_after_the_prefix() -> None:
    assert dataset_start(bytes(128) + b"DICM", 132, claims=False) == 132
    assert dataset_start(b"x" * 128 + b"DICM" + b"x", 133, claims=True) == 132


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG])
def test_two_known_elements_in_order_are_a_data_set(syntax: Syntax) -> None:
    data = head(element(CHARACTER_SET, "CS", "ISO_IR 100", syntax), element(SOP, "UI", "1.2", syntax))
    assert dataset_start(data, len(data), claims=False) == 0


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG])
def test_one_known_element_that_is_the_whole_file_is_a_data_set(syntax: Syntax) -> None:
    data = element(SOP, "UI", "1.2", syntax)
    assert dataset_start(data, len(data), claims=False) == 0


def test_a_group_length_may_be_first() -> None:
    data = head(numbers(0x00080000, "UL", "L", 10, syntax=IMPLICIT), element(SOP, "UI", "1.2", IMPLICIT))
    assert dataset_start(data, len(data), claims=False) == 0


def test_the_second_element_may_lie_beyond_the_head() -> None:
    data = element(0x00080018, "UT", b"x" * 2000, EXPLICIT)
    assert dataset_start(data[:1024], 5000, claims=False) == 0
    with pytest.raises(NotAnInstance):
        dataset_start(data[:1024], 1500, claims=False)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"DICM",
        b"\x08\x00",
        b"hello, this is a text file\n" * 20,
        b"{}",
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        bytes(8),
        bytes(1024),
        b"PK\3\4" + bytes(200),
        head(element(SOP, "UI", "1.2"), element(CHARACTER_SET, "CS", "X")),  # not ascending
        head(element(0x00100010, "PN", "A"), element(0x00100010, "PN", "A")),
        element(0x00080018, "OB", length=100)[:10],  # a length of which a part is missing
        element(SOP, "ZZ", "1.2"),
        element(0x0008FFF0, "UI", "1.2"),  # not a known element
        element(0x00280010, "US", "ab"),  # not where a data set begins
        element(SOP, "UI", b"x" * ((1 << 16) + 2), IMPLICIT),
        element(SOP, "UI", "1.2")[:-1],  # cut off
    ],
)
def test_what_is_no_dicom_is_no_instance_unless_its_name_says_so(data: bytes) -> None:
    with pytest.raises(NotAnInstance, match="not DICOM"):
        dataset_start(data[:1024], len(data), claims=False)
    assert dataset_start(data[:1024], len(data), claims=True) == 0


@pytest.mark.parametrize(
    ("uid", "data", "expected"),
    [
        (IMPLICIT.uid, element(CHARACTER_SET, "", "ISO_IR 100", IMPLICIT), Encoding(True, True)),
        (EXPLICIT.uid, element(CHARACTER_SET, "CS", "ISO_IR 100"), Encoding(False, True)),
        (BIG.uid, element(CHARACTER_SET, "CS", "ISO_IR 100", BIG), Encoding(False, False)),
        ("1.2.840.10008.1.2.4.50", element(CHARACTER_SET, "CS", "ISO_IR 100"), Encoding(False, True)),
        ("1.2.3", element(CHARACTER_SET, "CS", "ISO_IR 100"), Encoding(False, True)),
        # what the bytes show wins
        (IMPLICIT.uid, element(CHARACTER_SET, "CS", "ISO_IR 100"), Encoding(False, True)),
        (EXPLICIT.uid, element(CHARACTER_SET, "", "ISO_IR 100", IMPLICIT), Encoding(True, True)),
        # nothing is said
        (None, element(CHARACTER_SET, "", "ISO_IR 100", IMPLICIT), Encoding(True, True)),
        (None, element(CHARACTER_SET, "CS", "ISO_IR 100"), Encoding(False, True)),
        (None, element(CHARACTER_SET, "CS", "ISO_IR 100", BIG), Encoding(False, False)),
        # nothing is there
        (None, b"", Encoding(True, True)),
        (IMPLICIT.uid, b"", Encoding(True, True)),
        (EXPLICIT.uid, b"", Encoding(False, True)),
        (BIG.uid, b"\0\x08", Encoding(False, False)),
    ],
)
def test_the_encoding_is_the_transfer_syntaxs_unless_the_bytes_show_another(
    uid: str | None, data: bytes, expected: Encoding
) -> None:
    assert detect_encoding(uid, data[:6]) == expected


def test_a_deflated_data_set_is_inflated() -> None:
    assert inflate(io.BytesIO(deflated(b"data" * 100_000))).read() == b"data" * 100_000


@pytest.mark.parametrize("missing", [1, 3, 100])
def test_a_deflated_data_set_that_ends_early_is_an_error(missing: int) -> None:
    with pytest.raises(zlib.error):
        inflate(io.BytesIO(deflated(bytes(range(256)) * 100)[:-missing]))


def test_what_follows_a_deflated_data_set_is_left() -> None:
    assert inflate(io.BytesIO(deflated(b"data") + b"\0trailing")).read() == b"data"


def test_what_is_not_deflated_is_an_error() -> None:
    with pytest.raises(zlib.error):
        inflate(io.BytesIO(b"\xff" * 100))


def test_inflating_stops_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part10, "MAX_INFLATED", 100_000)
    bomb = io.BytesIO(deflated(bytes(10_000_000)))
    assert len(inflate(bomb).read()) == 100_000
