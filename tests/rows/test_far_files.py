"""Files that are read over a network: each piece of one is a request."""

import io
import struct
from typing import Any

import pytest

from dicombq.rows import reference
from dicombq.rows.base import FarFile, HandOver
from tests import differential
from tests.dicom_bytes import JPEG, UNDEFINED, delimiter, element, instance, item, sequence

BY_EACH = pytest.mark.parametrize("by", differential.FAST)
FRAMES = 300
FRAME = bytes(50_000)
BEHIND = sequence(0x7FE11001, element(0x7FE11002, "LO", "seen"), undefined=True)


class Requests(io.BytesIO):
    """Counts the pieces that are asked for."""

    number = 0

    def readinto(self, buffer: Any) -> int:
        self.number += 1
        return super().readinto(buffer)


def frames(*offsets: int, frame: bytes = FRAME, behind: bytes = BEHIND) -> bytes:
    table = struct.pack(f"<{len(offsets)}L", *offsets)
    pixels = element(0x7FE00010, "OB", item(table) + item(frame) * FRAMES, length=UNDEFINED)
    creator = element(0x7FE10010, "LO", "MAKER")
    more = [creator + behind] if behind else []
    return instance(pixels + delimiter(0xFFFEE0DD), *more, syntax=JPEG)


def far(data: bytes) -> tuple[FarFile, Requests]:
    requests = Requests(data)
    return FarFile(requests, 32 << 10), requests


@BY_EACH
def test_the_offset_table_leads_to_what_stands_behind_the_frames(by: str) -> None:
    data = frames(*(number * (len(FRAME) + 8) for number in range(FRAMES)))
    file, requests = far(data)
    found = differential.FAST[by](file, len(data))
    assert found.values["Tag_7FE11001"] == [{"OtherElements": [{"Tag": "Tag_7FE11002", "Data": ["seen"]}]}]
    assert found == reference.read_row(io.BytesIO(data), len(data))
    assert requests.number < 10


@BY_EACH
def test_without_a_table_each_frame_is_looked_at(by: str) -> None:
    data = frames()
    file, requests = far(data)
    assert differential.FAST[by](file, len(data)) == reference.read_row(io.BytesIO(data), len(data))
    assert requests.number >= FRAMES


@pytest.mark.parametrize("end", [b"\xff\xd9", b"\xff\xd9\0"])
@BY_EACH
def test_where_a_jpeg_image_comes_last_no_frame_is_looked_at(by: str, end: bytes) -> None:
    data = frames(frame=FRAME[len(end) :] + end, behind=b"")
    file, requests = far(data)
    assert differential.FAST[by](file, len(data)) == reference.read_row(io.BytesIO(data), len(data))
    assert requests.number < 5


@BY_EACH
def test_what_stands_behind_jpeg_images_is_found(by: str) -> None:
    data = frames(frame=FRAME[2:] + b"\xff\xd9")
    file, _ = far(data)
    assert differential.FAST[by](file, len(data)) == reference.read_row(io.BytesIO(data), len(data))


@pytest.mark.parametrize("offset", [1, 7, FRAMES * len(FRAME) * 2, 2**32 - 1])
@BY_EACH
def test_a_table_that_leads_elsewhere_is_not_trusted(offset: int, by: str) -> None:
    data = frames(0, offset)
    with pytest.raises(HandOver, match=r"Offset Table|ends early"):
        differential.FAST[by](far(data)[0], len(data))
