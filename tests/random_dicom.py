"""Random instances, made by a seed: data sets as writers may make them, all that is odd but allowed, some that is not.

What a file says of itself is true, but for what many writers get wrong: odd lengths, paddings, group lengths, VRs that
the dictionary does not have. `tests.fuzz` damages files.
"""

import random
import struct
from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

from pydicom._dicom_dict import DicomDictionary, RepeatersDictionary
from pydicom._private_dict import private_dictionaries

from tests.dicom_bytes import (
    BIG,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    JPEG,
    LONG_VRS,
    SERIES,
    SOP,
    STUDY,
    UNDEFINED,
    Syntax,
    deflated,
    delimiter,
    element,
    item,
    numbers,
    ordered,
    tag_bytes,
    uids,
)

ITEM_END, SEQUENCE_END = 0xFFFEE00D, 0xFFFEE0DD
CHARACTER_SET, PIXEL_REPRESENTATION, TIMEZONE_OFFSET = 0x00080005, 0x00280103, 0x00080201
PIXELS, FLOAT_PIXELS, TRAILING_PADDING, SIGNATURES = 0x7FE00010, 0x7FE00008, 0xFFFCFFFC, 0xFFFAFFFA
DEEPEST = 17

# Specific Character Set -> texts in it; each may stand in any other, too
_TEXTS: dict[bytes, tuple[bytes, ...]] = {
    b"": (b"Plain", b"A^B^C^Dr^Jr", b"A=B=C", b"^^^^", b"=", b"a\tb\r\nc"),
    b"ISO_IR 100": (b"J\xe9r\xf4me", b"\xc4neas^R\xfcdiger"),
    b"ISO_IR 144": (b"\xbb\xee\xda\xe1e\xdc\xd1yp\xd3", b"\xd0\xd1^\xd2"),
    b"ISO_IR 13": (b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3", b"a\\b~"),
    b"ISO_IR 192": ("Ænïmø^漢字=仮名".encode(), "e\u0301 \u200b".encode(), b"\xed\xa0\x80", b"\xf0\x9f\x98"),
    b"GB18030": ("王^小东=昞".encode("gb18030"), b"\x95\x5c\x81\x30\x89\x38"),
    b"GBK": ("国家^昞".encode("gbk"),),
    b"\\ISO 2022 IR 87": (
        b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
        b"\x1b$B;3\x1b(B\\\x1b$B;3ED",
        b"\x1b$B\\5\\",
    ),
    b"ISO 2022 IR 13\\ISO 2022 IR 87": (b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J",),
    b"\\ISO 2022 IR 149": (b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=", b"\x1b$)C\xfb\xf3\r\n\xfb\xf3"),
    b"\\ISO 2022 IR 58": (b"Wang^XiaoDong=\x1b$)A\xcd\xf5^\x1b$)A\xd0\xa1\xb6\xab=",),
    b"ISO 2022 IR 6\\ISO 2022 IR 100\\ISO 2022 IR 126": (
        b"Buc^J\xe9r=\x1b-F\xc4\xe9\xef\x1b-A\xe9",
        b"\x1b-F\xc4\\\xe9",
    ),
    b"ISO 2022 IR 100": (b"\xe9", b"\x1b(B\xe9\x1b"),
    b"ISO_IR 999": (b"\xe9",),
    b"ISO_IR 100 \\ ISO_IR 101": (b"\xe9",),
}
_KNOWN_TEXTS = tuple(_TEXTS)[:-2]
_PIECES: dict[str, tuple[bytes, ...]] = {
    "AE": (b"STORE", b" A  ", b""),
    "AS": (b"045Y", b"1"),
    "CS": (b"ORIGINAL", b"PRIMARY ", b" AXIAL", b"", b"\xe9"),
    "DA": (b"20240131", b"2024.01.31", b"20240230", b"", b"20240101-20240131", b"00000000", b"19000101 ", b"99991231"),
    "DS": (b"1.50", b" -3 ", b"1e999", b".0004942", b"", b"abc", b"+1E-3", b"1,5"),
    "DT": (
        b"20240131123456.123456+0100",
        b"20240131123456",
        b"2024",
        b"202413",
        b"20240131-0500",
        b"",
        b"20240131123456.5 ",
        b"00010101000000+1400",
        b"99991231235959-1200",
        b"20240131+1500",
    ),
    "IS": (b"5", b" -7", b"2.0", b"", b"99999999999999999999", b"x"),
    "TM": (b"123456.123456", b"1234", b"12:34:56", b"235960", b"", b"24", b"12 "),
    "UI": (b"1.2.840.10008.1.2", b"1.2\0", b"", b" 1.2", b"1.2.840.10008.5.1.4.1.1.2"),
    "UR": (b"http://a/b?c\\d", b" x "),
}
_FORMATS = {"FL": "f", "FD": "d", "SL": "i", "SS": "h", "SV": "q", "UL": "I", "US": "H", "UV": "Q"}
_BULK = ("OB", "OD", "OF", "OL", "OV", "OW", "UN")
_LOCALIZED = ("LO", "LT", "PN", "SH", "ST", "UC", "UT")
_ALL_VRS = (*_FORMATS, *_BULK, *_LOCALIZED, *_PIECES, "AT")
_ZONES = (b"+0100", b"-0330", b"+1400", b"+9999", b"", b"0100", b"+0530 ")


class Case(NamedTuple):
    """A file and how it is read."""

    data: bytes
    claims: bool = True
    max_element_size: int = 1 << 20


class _Entry(NamedTuple):
    tag: int
    vr: str


@cache
def _entries() -> dict[str, tuple[_Entry, ...]]:
    known = [
        _Entry(tag, found[0])
        for tag, found in sorted(DicomDictionary.items())
        if found[0] != "NONE" and tag >> 16 >= 0x0008 and tag not in (PIXELS, FLOAT_PIXELS, 0x7FE00009)
    ]
    repeating = [
        _Entry(int(mask.replace("xx", "00"), 16), found[0])
        for mask, found in sorted(RepeatersDictionary.items())
        if mask[:4] in ("50xx", "60xx")
    ]
    return {
        "plain": tuple(entry for entry in known if entry.vr != "SQ"),
        "sequences": tuple(entry for entry in known if entry.vr == "SQ"),
        "ambiguous": tuple(entry for entry in known if " or " in entry.vr),
        "names": tuple(entry for entry in known if entry.vr == "PN"),
        "moments": tuple(entry for entry in known if entry.vr in ("DA", "DT", "TM")),
        "repeating": tuple(repeating),
    }


@cache
def _private() -> tuple[tuple[str, tuple[_Entry, ...]], ...]:
    """Give creators and the elements that pydicom's dictionary knows of them."""
    blocks = []
    for creator, block in sorted(private_dictionaries.items())[::7]:
        known = [(mask, found[0]) for mask, found in sorted(block.items()) if "xx" in mask and mask.index("xx") == 4]
        entries = [_Entry(int(mask.replace("xx", "00"), 16), vr.replace("OB_OW", "OW")) for mask, vr in known]
        odd = tuple(entry for entry in entries if entry.tag >> 16 & 1)
        if odd:
            blocks.append((creator, odd))
    return tuple(blocks)


class Writer:
    """Writes one data set after the other; what it writes follows from its generator of numbers alone."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self._texts = _TEXTS[b""]
        self._budget = 0
        self._oddity = 0.0

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def odd(self, probability: float) -> bool:
        """Decide whether to do what few writers do: none of it in every other file, more in some."""
        return self.chance(probability * self._oddity)

    def case(self) -> Case:
        """Write a file."""
        self._oddity = self.rng.choice((0.0, 0.0, 1.0, 2.0))
        self._budget = self.rng.choice((5, 15, 40, 120))
        named = self.rng.choice((IMPLICIT, EXPLICIT, EXPLICIT, BIG, DEFLATED, JPEG))
        written = named
        if self.odd(0.05):  # some writers name another syntax than they use
            written = self.rng.choice((IMPLICIT, EXPLICIT))
        content = self.elements(written, 0)
        if self.chance(0.9):
            content += zip((SOP, STUDY, SERIES), uids(written), strict=True)
        data = self._join(content) + self._ending(written)
        return Case(
            self._file(data, named),
            claims=self.chance(0.7),
            max_element_size=self.rng.choice((2, 50, 64, 300)) if self.odd(0.2) else 1 << 20,
        )

    def _join(self, content: list[tuple[int, bytes]]) -> bytes:
        if not self.odd(0.02):  # no tag twice
            content = [*dict(content).items()]
        if not self.odd(0.02):
            content.sort(key=lambda each: each[0])
        return b"".join(data for _, data in content)

    def _file(self, data: bytes, named: Syntax) -> bytes:
        if named is DEFLATED:
            data = deflated(data) + b"\0" * self.rng.choice((0, 0, 1))
        kind = self.rng.random() * (1 if self.odd(1) else 0.85)
        if kind < 0.8:
            return bytes(128) + b"DICM" + self._meta(named) + data
        if kind < 0.85:
            return self._meta(named) + data
        if kind < 0.9:
            return bytes(128) + b"DICM" + data
        if kind < 0.95:
            return bytes(128) + b"DICM" + element(0x00020010, "UI", named.uid, IMPLICIT) + data
        return data

    def _meta(self, named: Syntax) -> bytes:
        more = [
            element(0x00020002, "UI", "1.2.840.10008.5.1.4.1.1.2"),
            element(0x00020003, "UI", "1.2.3.4"),
            element(0x00020012, "UI", "1.2.3"),
            element(0x00020013, "SH", self.rng.choice((b"WRITER_1", b" A\0", b"\xe9", b""))),
            element(0x00020016, "AE", b" SENDER", length=self.rng.choice((None, 7))),
            element(0x00020100, "UI", "1.2.3"),
            element(0x00020102, "OB", bytes(self.rng.choice((0, 10, 100)))),
            element(0x00020999, "LO", "nothing"),
        ]
        chosen = self.rng.sample(more, self.rng.randrange(len(more)))
        if not self.odd(0.03):
            chosen.append(element(0x00020010, "UI", named.uid + self.rng.choice(("", "", "", " ", "\0"))))
        if self.chance(0.9):
            chosen.append(element(0x00020001, "OB", b"\0\1"))
        content = b"".join(ordered(chosen))
        length = len(content) if not self.odd(0.2) else self.rng.choice((0, 10, 9999))
        return (numbers(0x00020000, "UL", "L", length) if not self.odd(0.1) else b"") + content

    def elements(self, syntax: Syntax, depth: int) -> list[tuple[int, bytes]]:
        """Write the elements of a data set or item."""
        content: list[tuple[int, bytes]] = []
        before = self._texts
        if self.chance(0.5 if depth == 0 else 0.1):
            charset = self.rng.choice(tuple(_TEXTS) if self.odd(1) else _KNOWN_TEXTS)
            self._texts = _TEXTS[charset]
            content.append((CHARACTER_SET, element(CHARACTER_SET, "CS", charset, syntax)))
        if self.chance(0.3 if depth == 0 else 0.1):
            sign = struct.pack(f"{syntax.order}H", self.rng.choice((0, 1, 1, 2)))
            content.append((PIXEL_REPRESENTATION, element(PIXEL_REPRESENTATION, "US", sign, syntax)))
        if self.chance(0.2 if depth == 0 else 0.05):
            content.append((TIMEZONE_OFFSET, element(TIMEZONE_OFFSET, "SH", self.rng.choice(_ZONES), syntax)))
        kinds: Sequence[Callable[[Syntax, int], list[tuple[int, bytes]]]] = (
            self._plain,
            self._plain,
            self._plain,
            self._special,
            self._special,
            self._private_block,
            self._repeating,
            self._unknown,
            self._group_length,
            self._sequence,
            self._sequence,
            self._icon,
        )
        for _ in range(self.rng.randrange(12 if depth == 0 else 5)):
            if self._budget > 0:
                content += self.rng.choice(kinds)(syntax, depth)
        if self.chance(0.02 if depth else 0.1):
            content += self._chain(syntax, depth)
        self._texts = before
        return content

    def _plain(self, syntax: Syntax, _depth: int) -> list[tuple[int, bytes]]:
        return [self._element(self.rng.choice(_entries()["plain"]), syntax)]

    def _special(self, syntax: Syntax, _depth: int) -> list[tuple[int, bytes]]:
        return [self._element(self.rng.choice(_entries()[self.rng.choice(("ambiguous", "names", "moments"))]), syntax)]

    def _repeating(self, syntax: Syntax, _depth: int) -> list[tuple[int, bytes]]:
        entry = self.rng.choice(_entries()["repeating"])
        return [
            self._element(entry._replace(tag=entry.tag | group << 16), syntax)
            for group in self.rng.sample((0, 2, 4, 0x1E, 0x20), self.rng.choice((1, 2)))
        ]

    def _unknown(self, syntax: Syntax, _depth: int) -> list[tuple[int, bytes]]:
        early = (0x00080003, 0x00010010, 0x00060010, 0x00020013) if self.odd(0.2) else ()
        tag = self.rng.choice((*early, 0x00100FFF, 0x7FDF0010, 0x01010010, 0x30000000))
        return [self._element(_Entry(tag, self.rng.choice(_ALL_VRS)), syntax)]

    def _group_length(self, syntax: Syntax, _depth: int) -> list[tuple[int, bytes]]:
        tag = self.rng.choice((0x0008, 0x0009, 0x0010, 0x0028, 0x6000)) << 16
        return [(tag, element(tag, "UL", struct.pack(f"{syntax.order}L", self.rng.choice((0, 8, 99999))), syntax))]

    def _private_block(self, syntax: Syntax, depth: int) -> list[tuple[int, bytes]]:
        creator, entries = self.rng.choice(_private())
        group = self.rng.choice(entries).tag >> 16
        block = self.rng.choice((0x10, 0x11, 0xFF))
        content = []
        if self.chance(0.9):
            name = self.rng.choice((creator, creator, creator, creator + " ", "UNKNOWN CREATOR", "", "a\\b", "\xe9"))
            vr = self.rng.choice(("LO", "LO", "LO", "UN", "SH"))
            content.append((group << 16 | block, element(group << 16 | block, vr, name, syntax)))
        same = [entry for entry in entries if entry.tag >> 16 == group]
        for _ in range(self.rng.randrange(4)):
            entry = self.rng.choice(same)
            tag = group << 16 | block << 8 | entry.tag & 0xFF
            if entry.vr == "SQ" or self.chance(0.2):
                content += self._sequence(syntax, depth, tag)
            else:
                content.append(self._element(_Entry(tag, entry.vr), syntax))
        return content

    def _element(self, entry: _Entry, syntax: Syntax) -> tuple[int, bytes]:
        """Write an element, now and then by another VR than the dictionary's."""
        self._budget -= 1
        vr = self.rng.choice(entry.vr.replace("OB_OW", "OB or OW").split(" or "))
        written = vr
        if self.odd(0.05):
            written = vr = self.rng.choice(_ALL_VRS)
        elif self.odd(0.05):
            written = "UN"
        inner = syntax._replace(order="<") if written == "UN" else syntax
        data = b"" if self.chance(0.08) else self.value(vr, inner)
        length = None if not self.odd(0.07) else len(data)
        if written not in LONG_VRS:
            data = data[:60_000]
        return entry.tag, element(entry.tag, written, data, syntax, length)

    def value(self, vr: str, syntax: Syntax) -> bytes:
        """Write a value field, without its padding to even length."""
        if vr in _BULK:
            return self.rng.randbytes(self.rng.choice((0, 1, 10, 49, 50, 51, 1000)))
        if vr in _FORMATS or vr == "AT":
            return self._binary(vr, syntax.order)
        pool = _PIECES.get(vr) or (self._texts if self.chance(0.8) else self.rng.choice(tuple(_TEXTS.values())))
        several = 0.3 if vr not in ("LT", "ST", "UT", "UR") else 0.05
        count = self.rng.choice((2, 2, 3, 40)) if self.chance(several) else 1
        if vr == "PN" and self.chance(0.05):
            count = 5
        data = b"\\".join(self.rng.choice(pool) for _ in range(count))
        return data + self.rng.choice((b"", b"", b"", b" ", b"\0", b"  ", b"\0\0", b" \0", b"\0 "))

    def _binary(self, vr: str, order: str) -> bytes:
        if vr == "AT":
            return b"".join(
                struct.pack(f"{order}HH", 0x0028, self.rng.randrange(1 << 16)) for _ in range(self._count())
            )
        code = _FORMATS[vr]
        if code in "fd":
            pool = (0.1, -0.0, 0.0, 1.5, 3.0, float("nan"), float("inf"), float("-inf"), 1e-40, 3.4028234e38)
            chosen = self.rng.choices(pool, k=self._count())
            data = struct.pack(f"{order}{len(chosen)}{code}", *chosen)
        else:
            data = self.rng.randbytes(struct.calcsize(f"={code}") * self._count())
        return data[:-1] if self.odd(0.04) else data

    def _count(self) -> int:
        return self.rng.choice((1, 1, 1, 1, 2, 3, 6, 16))

    def _chain(self, syntax: Syntax, depth: int) -> list[tuple[int, bytes]]:
        """Put sequences of one item into each other, as deep as a table goes and deeper."""
        content = [self._element(self.rng.choice(_entries()["plain"]), syntax) for _ in range(2)]
        content.append(self._element(self.rng.choice(_entries()["names"]), syntax))
        tag = 0
        for _ in range(self.rng.randrange(1, DEEPEST + 1 - min(depth, DEEPEST))):
            tag = self.rng.choice((0x00081140, 0x0040A730, 0x00091001, 0x00400555))
            content = [(tag, self._write_sequence(tag, "SQ", [content], syntax))]
        return content

    def _sequence(self, syntax: Syntax, depth: int, tag: int = 0) -> list[tuple[int, bytes]]:
        self._budget -= 1
        tag = tag or self.rng.choice(_entries()["sequences"]).tag
        if self.odd(0.03):  # a sequence where the dictionary has something else
            tag = self.rng.choice(_entries()["plain"]).tag
        vr, inner = "SQ", syntax
        if self.odd(0.1):  # PS3.5 6.2.2, note 2; some writers leave Explicit VR in it
            vr, inner = "UN", IMPLICIT if self.chance(0.7) else EXPLICIT
        count = self.rng.choice((0, 1, 1, 2, 3)) if depth < DEEPEST else 0
        items = [[] if self.chance(0.1) else self.elements(inner, depth + 1) for _ in range(count)]
        return [(tag, self._write_sequence(tag, vr, items, syntax, inner))]

    def _write_sequence(
        self, tag: int, vr: str, items: list[list[tuple[int, bytes]]], syntax: Syntax, inner: Syntax | None = None
    ) -> bytes:
        inner = inner or syntax
        data = b"".join(item(self._join(each), inner, undefined=self.chance(0.5)) for each in items)
        if self.chance(0.5):
            return element(tag, vr, data + delimiter(SEQUENCE_END, inner), syntax, UNDEFINED)
        return element(tag, vr, data, syntax)

    def _icon(self, syntax: Syntax, depth: int) -> list[tuple[int, bytes]]:
        """Write a sequence whose item holds an image, native or encapsulated."""
        if depth >= DEEPEST:
            return []
        self._budget -= 1
        content = [self._element(self.rng.choice(_entries()["ambiguous"]), syntax), *self._pixels(syntax)]
        return [(0x00880200, self._write_sequence(0x00880200, "SQ", [content], syntax))]

    def _pixels(self, syntax: Syntax) -> list[tuple[int, bytes]]:
        data = self.rng.randbytes(2 * self.rng.choice((0, 1, 25, 32, 5000)))
        if syntax.implicit or self.chance(0.5):
            return [(PIXELS, element(PIXELS, self.rng.choice(("OW", "OB")), data, syntax))]
        fragments = b"".join(item(each, syntax) for each in (b"", data, b"ab")[: self.rng.choice((1, 2, 3))])
        content = element(
            PIXELS, self.rng.choice(("OB", "OB", "OW", "UN" if self.odd(0.5) else "OB")), fragments, syntax, UNDEFINED
        )
        return [(PIXELS, content + delimiter(SEQUENCE_END, syntax))]

    def _ending(self, syntax: Syntax) -> bytes:
        """Write Pixel Data and what may follow it."""
        data = b""
        if self.chance(0.5):
            data += b"".join(each for _, each in self._pixels(syntax))
        elif self.chance(0.1):
            data += element(FLOAT_PIXELS, "OF", bytes(64), syntax)
        if self.chance(0.1):
            data += element(SIGNATURES, "SQ", item(element(0x04000005, "US", b"\1\0", syntax), syntax), syntax)
        if self.chance(0.1):
            data += element(TRAILING_PADDING, "OB", bytes(self.rng.choice((0, 2, 64))), syntax)
        if self.odd(0.1):
            data += self.rng.choice((bytes(1), bytes(9), b"\n", b"\r\n", b"rest", tag_bytes(ITEM_END) + bytes(4)))
        return data


def case(seed: int, number: int) -> Case:
    """Write a random file: the same seed and number give the same bytes."""
    return Writer(random.Random(f"{seed}:{number}")).case()
