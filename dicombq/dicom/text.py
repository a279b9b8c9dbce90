"""Character sets: Specific Character Set (0008,0005) with code extensions (PS3.3 C.12.1.1.2, PS3.5 6.1)."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from functools import lru_cache

_BAD_BYTE = 0xDC00
"""A byte that cannot be decoded travels as a lone surrogate, until `escape` spells it out."""

# IR number of ISO 2375 -> Python codec, single-byte sets (PS3.3 table C.12-2 and C.12-3)
_SINGLE = {
    "6": "ascii",
    "13": "shift_jis",
    "100": "iso8859_1",
    "101": "iso8859_2",
    "109": "iso8859_3",
    "110": "iso8859_4",
    "126": "iso8859_7",
    "127": "iso8859_6",
    "138": "iso8859_8",
    "144": "iso8859_5",
    "148": "iso8859_9",
    "166": "iso8859_11",
    "203": "iso8859_15",
}
# sets that stand alone and take no code extensions (PS3.3 table C.12-5)
_WHOLE = {"192": "utf_8", "GB18030": "gb18030", "GBK": "gbk"}
_MULTI_BYTE = {"58", "87", "149", "159"}

# escape sequences (PS3.3 tables C.12-3 and C.12-4) -> (0 for G0 or 1 for G1, Python codec)
_ESCAPES = {
    b"(B": (0, "ascii"),
    b"(J": (0, "shift_jis"),
    b")I": (1, "shift_jis"),
    b"-A": (1, "iso8859_1"),
    b"-B": (1, "iso8859_2"),
    b"-C": (1, "iso8859_3"),
    b"-D": (1, "iso8859_4"),
    b"-F": (1, "iso8859_7"),
    b"-G": (1, "iso8859_6"),
    b"-H": (1, "iso8859_8"),
    b"-L": (1, "iso8859_5"),
    b"-M": (1, "iso8859_9"),
    b"-T": (1, "iso8859_11"),
    b"-b": (1, "iso8859_15"),
    b"$B": (0, "iso2022_jp"),
    b"$(D": (0, "iso2022_jp_1"),
    b"$)C": (1, "euc_kr"),
    b"$)A": (1, "gb2312"),
}
_DESIGNATION = {codec: sequence for sequence, (_, codec) in _ESCAPES.items() if codec.startswith("iso2022")}
_ESCAPE = re.compile(b"\x1b(" + b"|".join(re.escape(sequence) for sequence in _ESCAPES) + b")")
# where the initial sets come back (PS3.5 6.1.2.5.3): at C0 controls, even inside a two-byte set, and where
# values and the parts of names end
_CONTROL = re.compile(rb"[\t\n\f\r]")
_VALUES = re.compile(rb"[\t\n\f\r\\]")
_NAMES = re.compile(rb"[\t\n\f\r\\^=]")
_DELIMITERS = {"PN": _NAMES, "LO": _VALUES, "SH": _VALUES, "UC": _VALUES}
_HIGH = re.compile(rb"([\x80-\xff]+)")
_UNPRINTABLE = re.compile(r"[\x00\x1b\ud800-\udfff]")
_SPELLED = {code: f"\\x{code & 0xFF:02x}" for code in (0, 0x1B, *range(0xD800, 0xE000))}
_TERM = re.compile(r"ISO[ _-]*(?:2022)?[ _-]*(?:IR)?[ _-]*(\d+)")


def _keep_bytes(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    bad = error.object[error.start : error.end]
    return "".join(chr(_BAD_BYTE + byte) for byte in bad), error.end


codecs.register_error("dicombq.keep_bytes", _keep_bytes)


_PLAIN = frozenset({*_SINGLE.values(), "utf_8"}) - {"shift_jis"}
"""Codecs whose bad bytes are never ASCII: Python's own handler does the same with them, and far sooner."""


def _decode(data: bytes, codec: str) -> str:
    return data.decode(codec, "surrogateescape" if codec in _PLAIN else "dicombq.keep_bytes")


def escape(text: str) -> tuple[str, bool]:
    r"""Spell out, as ``\xNN``, undecoded bytes, NUL, and escapes that no set has; tell whether there were any."""
    if text.isprintable():  # true for nearly every value, and faster than the search
        return text, False
    if not _UNPRINTABLE.search(text):
        return text, False
    return text.translate(_SPELLED), True


@dataclass(frozen=True)
class Charset:
    """How the text of a dataset or item is encoded.

    Parameters
    ----------
    g0, g1
        Codecs of the initial code elements; `g0` alone decodes where there are no code extensions.
    extended
        Whether escape sequences (ISO 2022) are looked for.
    known
        False where Specific Character Set names a set that PS3.3 does not define.
    """

    g0: str = "ascii"
    g1: str = "ascii"
    extended: bool = False
    known: bool = True

    def decode(self, data: bytes, vr: str = "LT") -> str:
        """Decode one element's bytes; bad bytes become lone surrogates that `escape` spells out.

        Parameters
        ----------
        vr
            Its VR: it says which characters are delimiters.
        """
        if data.isascii() and b"\x1b" not in data:
            return data.decode("ascii")
        if not self.extended:
            return _decode(data, self.g1)
        return self._decode_extended(data, _DELIMITERS.get(vr, _CONTROL))

    def _decode_extended(self, data: bytes, delimiters: re.Pattern[bytes]) -> str:
        sets = [self.g0, self.g1]
        pieces = _ESCAPE.split(data)
        text = [self._decode_piece(pieces[0], sets, delimiters)]
        for sequence, piece in zip(pieces[1::2], pieces[2::2], strict=True):
            element, codec = _ESCAPES[sequence]
            sets[element] = codec
            text.append(self._decode_piece(piece, sets, delimiters))
        return "".join(text)

    def _decode_piece(self, piece: bytes, sets: list[str], delimiters: re.Pattern[bytes]) -> str:
        text = []
        start = 0
        while start < len(piece):
            reset = (_CONTROL if sets[0] in _DESIGNATION else delimiters).search(piece, start)
            end = reset.start() if reset else len(piece)
            text.append(_decode_sets(piece[start:end], sets[0], sets[1]))
            if reset:
                text.append(reset[0].decode("ascii"))
                sets[:] = self.g0, self.g1
                end += 1
            start = end
        return "".join(text)


def _decode_sets(data: bytes, g0: str, g1: str) -> str:
    designation = _DESIGNATION.get(g0)
    text = []
    for part in _HIGH.split(data):
        if not part:
            continue
        if part[0] >= 0x80:
            text.append(_decode(part, g1))
        elif designation:
            # a space is one byte beside every set of two (ISO/IEC 2022)
            text.append(" ".join(_decode(b"\x1b" + designation + run, g0) for run in part.split(b" ")))
        else:
            text.append(_decode(part, "ascii"))
    return "".join(text)


DEFAULT = Charset()
"""The default repertoire, ISO 646 (PS3.5 6.1.1)."""


@lru_cache(maxsize=1024)
def charset(value: bytes) -> Charset:
    """Read the value of Specific Character Set (0008,0005)."""
    terms = [term.strip(" \0").upper() for term in value.decode("ascii", "replace").split("\\")]
    numbers = [_number(term) for term in terms]
    for number in numbers:
        if number in _WHOLE:
            return Charset(_WHOLE[number], _WHOLE[number])
    extended = len(terms) > 1 or "2022" in terms[0] or numbers[0] in _MULTI_BYTE
    known = all(
        number in _SINGLE or (number in _MULTI_BYTE and "2022" in term)
        for number, term in zip(numbers, terms, strict=True)
    )
    first = _SINGLE.get(numbers[0], "ascii")
    return Charset("ascii", first, extended=extended, known=known)


def _number(term: str) -> str:
    if not term:
        return "6"
    match = _TERM.fullmatch(term)
    return match[1] if match else term
