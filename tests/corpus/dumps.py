"""The dumps of real files that DCMTK made, read into one form: the DICOM JSON model (PS3.18 F.2).

What a dump lost or changed is put back from the file's own bytes. Each such repair is counted by name, and
the names are explained in truth.NORMALISATIONS.
"""

import base64
import csv
import json
import math
import os
import re
import struct
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

Element = dict[str, Any]
Model = dict[str, Element]
Candidates = Callable[[bytes, str, str, list[Any]], Iterator[Any]]

FOLDER = Path(os.environ["DICOMBQ_CORPUS"]) if os.environ.get("DICOMBQ_CORPUS") else None
PIXEL_DATA = "7FE00010"
PADDING = "FFFCFFFC"
CHARACTER_SET = "00080005"
DEFLATED = "1.2.840.10008.1.2.1.99"
IMPLICIT = "1.2.840.10008.1.2"
UNSPLIT = {"LT", "ST", "UR", "UT"}
NUMBERS = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "UV": "Q", "SV": "q", "FL": "f", "FD": "d"}
BINARY = {"OB", "OD", "OF", "OL", "OV", "OW", "UN"}
LONG_HEADER = BINARY | {"SQ", "SV", "UC", "UR", "UT", "UV"}
UID_NAMES = {
    "CTImageStorage": "1.2.840.10008.5.1.4.1.1.2",
    "ComputedRadiographyImageStorage": "1.2.840.10008.5.1.4.1.1.1",
    "JPEG2000LosslessOnly": "1.2.840.10008.1.2.4.90",
    "JPEGBaseline": "1.2.840.10008.1.2.4.50",
    "LittleEndianExplicit": "1.2.840.10008.1.2.1",
    "SecondaryCaptureImageStorage": "1.2.840.10008.5.1.4.1.1.7",
    "UltrasoundMultiframeImageStorage": "1.2.840.10008.5.1.4.1.1.3.1",
}


class Digits(str):
    """A number of a JSON file, in the digits that it was written in."""

    __slots__ = ()


@dataclass(frozen=True)
class Dump:
    """One file's truth; `data` is the file with a deflated data set inflated."""

    path: str
    meta: Model
    dataset: Model
    data: bytes
    used: Counter[str] = field(default_factory=Counter)

    @property
    def implicit(self) -> bool:
        return bool(self.meta.get("00020010", {}).get("Value") == [IMPLICIT])


def file_of(path: str) -> Path:
    """Return where a file of the listing lies."""
    assert FOLDER is not None
    return FOLDER / "dicom" / path


def table(name: str) -> list[dict[str, str]]:
    """Read a table of the corpus; an empty one where there is no corpus."""
    if FOLDER is None:
        return []
    with (FOLDER / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


@cache
def status() -> dict[str, dict[str, str]]:
    """Return how each file's dump was made, by path."""
    return {line["path"]: line for line in table("truth/STATUS.tsv")}


def truth_file(path: str, suffix: str) -> Path:
    """Return where a file's dump of one kind lies, if there is one."""
    assert FOLDER is not None
    return FOLDER / "truth" / (status()[path]["sha256"] + suffix)


def has_truth(path: str) -> bool:
    """Whether DCMTK could read the file, or the file that it was cut from."""
    return truth_file(path, ".json").exists() or truth_file(path, ".dcmdump.txt").exists()


def read_json(path: Path) -> Any:
    """Read JSON, its numbers as Digits."""
    return json.loads(path.read_text(encoding="utf-8"), parse_float=Digits, parse_int=Digits)


def load(path: str) -> Dump:
    """Read a file's dump and put back what the dump lost."""
    data = file_of(path).read_bytes()
    used: Counter[str] = Counter()
    if not truth_file(path, ".json").exists():
        meta, dataset = read_dcmdump(truth_file(path, ".dcmdump.txt").read_text(encoding="latin-1"), used)
        return Dump(path, meta, dataset, data, used)
    dump = read_json(truth_file(path, ".json"))
    meta, dataset = dump["meta"], dump["dataset"]
    for item in dataset.get("00321064", {}).get("Value", []):
        if item.get(CHARACTER_SET, {}).get("Value") == ["ISO 2022 IR 13", "ISO 2022 IR 87"]:
            for name in item["00100010"]["Value"]:
                name.update({group: japanese(text) for group, text in name.items()})
            used["japanese"] += 1
    if "erased" in status()[path]["mode"]:
        meta, dataset = meta_header(data), with_pixel_data(dataset)
        used["erased"] += 1
        if b"\xfc\xff\xfc\xffOB" in data:
            dataset[PADDING] = {"vr": "OB"}
            used["padding"] += 1
    if meta.get("00020010", {}).get("Value") == [DEFLATED]:
        start = data.index(b"DICM") + 16 + int.from_bytes(data[140:144], "little")
        data = data[:start] + zlib.decompress(data[start:], -zlib.MAX_WBITS)
    return Dump(path, meta, dataset, data, used)


def with_pixel_data(dataset: Model) -> Model:
    """Put Pixel Data, which was erased from the data set and its icon, back as an element of no value."""
    for item in dataset.get("00880200", {}).get("Value", []):
        item[PIXEL_DATA] = {"vr": "OB"}
    return {**dataset, PIXEL_DATA: {"vr": "OB"}}


def meta_header(data: bytes) -> Model:
    """Read the File Meta Information, which is always in Explicit VR Little Endian (PS3.10 7.1)."""
    model: Model = {}
    at = 132 if data[128:132] == b"DICM" else 0
    while data[at : at + 2] == b"\x02\x00":
        tag, vr = tag_at(data, at), data[at + 4 : at + 6].decode("ascii")
        start, size = (at + 12, 4) if vr in LONG_HEADER else (at + 8, 2)
        at = start + int.from_bytes(data[start - size : start], "little")
        model[tag] = element(vr, data[start:at])
    return model


def tag_at(data: bytes, at: int) -> str:
    group, number = struct.unpack_from("<HH", data, at)
    return f"{group:04X}{number:04X}"


def element(vr: str, value: bytes) -> Element:
    """Make an element of the model from its value's bytes, little endian."""
    if vr in BINARY:
        return {"vr": vr}
    if vr == "SQ":
        return {"vr": vr, "Value": items(value)}
    if vr == "AT":
        return {"vr": vr, "Value": [tag_at(value, at) for at in range(0, len(value), 4)]}
    if vr in NUMBERS:
        code = NUMBERS[vr]
        numbers = struct.unpack(f"<{len(value) // struct.calcsize('<' + code)}{code}", value)
        return {"vr": vr, "Value": [Digits(number) for number in numbers]}
    return text_element(vr, value.rstrip(b"\0").decode("ascii"))


def text_element(vr: str, text: str) -> Element:
    """Make an element of the model from its text as stored."""
    if not text.strip(" "):
        return {"vr": vr}
    values = [text] if vr in UNSPLIT else text.split("\\")
    return {"vr": vr, "Value": [person(value) if vr == "PN" else value for value in values]}


def person(text: str) -> dict[str, str]:
    return dict(zip(("Alphabetic", "Ideographic", "Phonetic"), text.split("="), strict=False))


def items(value: bytes) -> list[Model]:
    """Read the items of a sequence that was stored as UN: Implicit VR Little Endian (PS3.5 6.2.2)."""
    found: list[Model] = []
    at = 0
    while at < len(value):
        assert tag_at(value, at) == "FFFEE000"
        end = at + 8 + int.from_bytes(value[at + 4 : at + 8], "little")
        at += 8
        item: Model = {}
        while at < end:
            length = int.from_bytes(value[at + 4 : at + 8], "little")
            item[tag_at(value, at)] = {
                "vr": "UN",
                "InlineBinary": base64.b64encode(value[at + 8 : at + 8 + length]).decode("ascii"),
            }
            at += 8 + length
        found.append(item)
    return found


def stored(data: bytes, tag: str, vr: str) -> Iterator[tuple[bytes, str]]:
    """Find every value that may stand in the file under a tag, and its byte order, in all three encodings."""
    for letter in "<>":
        head = struct.pack(letter + "HH", int(tag[:4], 16), int(tag[4:], 16))
        for match in re.finditer(re.escape(head), data):
            explicit = data[match.end() : match.end() + 2] == vr.encode("ascii")
            start = match.end() + 4
            length = struct.unpack_from(letter + ("H" if explicit else "I"), data, start - (2 if explicit else 4))[0]
            if length < 1 << 16 and start + length <= len(data):
                yield data[start : start + length], letter


def numeric_texts(data: bytes, tag: str, vr: str, printed: list[Any]) -> Iterator[list[str]]:
    for text in texts_at(data, tag, vr):
        if len(text) == len(printed) and all(map(same_number, text, printed)):
            yield text


def texts_at(data: bytes, tag: str, vr: str) -> Iterator[list[str]]:
    for value, _ in stored(data, tag, vr):
        text = value.decode("latin-1").rstrip("\0")
        yield [part.strip(" ") for part in text.split("\\")] if text else []


def same_number(text: str, printed: str | None) -> bool:
    try:
        return text == (printed or "").rstrip("\0") or float(text) == float(printed or "")
    except ValueError:
        return False


def character_sets(data: bytes, tag: str, vr: str, printed: list[Any]) -> Iterator[list[str]]:
    found = [text for text in texts_at(data, tag, vr) if all(re.fullmatch(r"[A-Z0-9 _-]*", part) for part in text)]
    same = [text for text in found if text == printed]
    yield (same or found)[0]


def floats(data: bytes, tag: str, vr: str, printed: list[Any]) -> Iterator[list[str]]:
    size, near = (4, 1e-8) if vr == "FL" else (8, 1e-14)
    for value, order in stored(data, tag, vr):
        numbers = list(struct.unpack(f"{order}{len(value) // size}{NUMBERS[vr]}", value[: len(value) // size * size]))
        if len(numbers) == len(printed) and all(
            math.isclose(number, float(text), rel_tol=near) for number, text in zip(numbers, printed, strict=True)
        ):
            yield [
                text if float(text).hex() == number.hex() else repr(number)
                for number, text in zip(numbers, printed, strict=True)
            ]


def names(data: bytes, tag: str, vr: str, printed: list[Any]) -> Iterator[list[dict[str, str]]]:
    wanted = ["=".join(value.values()) for value in printed]
    if not "".join(wanted).isascii():
        yield printed
        return
    for texts in texts_at(data, tag, vr):
        bare = [bare_name(text) for text in texts]
        if bare == [bare_name(text) for text in wanted] or (not any(bare) and not wanted):
            yield [person(text) for text in texts]


def bare_name(text: str) -> str:
    return "=".join(group.rstrip("^ ") for group in text.split("=")).rstrip("=")


RESTORE: dict[str, tuple[str, Candidates]] = {
    "DS": ("digits", numeric_texts),
    "IS": ("digits", numeric_texts),
    "FL": ("floats", floats),
    "FD": ("floats", floats),
    "PN": ("carets", names),
    "character set": ("character set", character_sets),
}


LINE = re.compile(r"( *)\((\w{4}),(\w{4})\) (\w\w) (.*?) +# +(?:\d+|u/l), *\d+ \S+")


def read_dcmdump(text: str, used: Counter[str]) -> tuple[Model, Model]:
    """Read what dcmdump printed, a line for an element."""
    dataset: Model = {}
    models = {0: dataset}
    sequences: dict[int, Element] = {}
    for match in filter(None, map(LINE.match, text.split("\n"))):
        indent, tag, vr, value = len(match[1]), (match[2] + match[3]).upper(), match[4], match[5]
        if tag == "FFFEE000" and vr == "na":
            item: Model = {}
            sequences[indent - 2]["Value"].append(item)
            models[indent + 2] = item
        elif not tag.startswith("FFFE"):
            used["dcmdump"] += 1
            used["japanese"] += "\x1b" in value
            sequences[indent] = dumped(vr, japanese(value) if "\x1b" in value else value)
            models[indent][tag] = sequences[indent]
    meta = {tag: dataset.pop(tag) for tag in list(dataset) if tag.startswith("0002")}
    return meta, dataset


def dumped(vr: str, value: str) -> Element:
    """Make an element of the model from one line of dcmdump."""
    if vr == "SQ":
        return {"vr": vr, "Value": []}
    if value == "(no value available)" or value.startswith("(PixelSequence"):
        return {"vr": vr}
    if vr in BINARY:
        raw = bytes(int(pair, 16) for pair in value.split("\\"))
        return {"vr": vr, "InlineBinary": base64.b64encode(raw).decode("ascii")}
    if vr in NUMBERS:
        return {"vr": vr, "Value": [Digits(number) for number in value.split("\\")]}
    if vr == "AT":
        return {"vr": vr, "Value": re.findall(r"\w{8}", re.sub("[(),]", "", value))}
    return text_element(vr, UID_NAMES[value[1:]] if value[0] == "=" else value[1:-1])


def japanese(text: str) -> str:
    """Decode ISO IR 87 after its escape sequences, or the katakana of ISO IR 13 (PS3.3 C.12.1.1.2)."""
    return text.encode("latin-1").decode("iso2022_jp" if "\x1b" in text else "shift_jis")
