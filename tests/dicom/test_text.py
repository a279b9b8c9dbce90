"""Character sets of PS3.3 C.12.1.1.2: alone, with code extensions, and where the bytes do not keep to them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicombq.dicom.text import DEFAULT, Charset, charset, escape

DETERMINED = settings(derandomize=True, max_examples=200, deadline=None)


def decoded(terms: str, data: bytes, vr: str = "PN") -> str:
    return escape(charset(terms.encode()).decode(data, vr))[0]


@pytest.mark.parametrize(
    ("number", "data", "text"),
    [
        ("100", b"Buc^J\xe9r\xf4me", "Buc^Jérôme"),
        ("101", b"W\xb3odarski", "Włodarski"),
        ("109", b"\xa6al", "Ĥal"),
        ("110", b"\xb1da", "ąda"),
        ("144", b"\xbb\xee\xda", "Люк"),
        ("127", b"\xe2\xc8\xc7\xe6\xea", "قباني"),
        ("126", b"\xc4\xe9\xef\xed", "Διον"),
        ("138", b"\xf9\xf8\xe5\xef", "שרון"),
        ("148", b"\xc7avu\xfeo\xf0lu", "Çavuşoğlu"),
        ("203", b"10 \xa4", "10 €"),
        ("13", b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3", "ﾔﾏﾀﾞ^ﾀﾛｳ"),
        ("166", b"\xb9\xd2\xc1", "นาม"),
    ],
)
@pytest.mark.parametrize("form", ["ISO_IR {}", "ISO 2022 IR {}", "\\ISO 2022 IR {}"])
def test_every_single_byte_set_decodes_alone_and_with_code_extensions(
    number: str, data: bytes, text: str, form: str
) -> None:
    designations = {
        "100": b"-A",
        "101": b"-B",
        "109": b"-C",
        "110": b"-D",
        "144": b"-L",
        "127": b"-G",
        "126": b"-F",
        "138": b"-H",
        "148": b"-M",
        "203": b"-b",
        "13": b")I",
        "166": b"-T",
    }  # fmt: skip - a table
    if form.startswith("\\"):  # the set is not the first: it must be called, after each delimiter again
        data = b"^".join(b"\x1b" + designations[number] + part for part in data.split(b"^"))
    assert decoded(form.format(number), data) == text


@pytest.mark.parametrize(
    ("terms", "text", "codec"),
    [
        ("ISO_IR 192", "Wang^XiaoDong=王^小東=", "utf-8"),
        ("GB18030", "Wang^XiaoDong=王^小东=", "gb18030"),
        ("GBK", "Wang^XiaoDong=王^小东=", "gbk"),
        ("ISO_IR 192", "a\U0001f600b", "utf-8"),
    ],
)
def test_sets_that_stand_alone_decode_whole(terms: str, text: str, codec: str) -> None:
    assert decoded(terms, text.encode(codec)) == text


def test_a_second_byte_that_is_a_backslash_is_no_delimiter() -> None:
    data = "誠".encode("gbk")
    assert data[1:] == b"\\"
    assert decoded("GBK", data) == "誠"


@pytest.mark.parametrize(
    ("terms", "data", "text"),
    [
        (
            "\\ISO 2022 IR 87",
            b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
            "Yamada^Tarou=山田^太郎=やまだ^たろう",
        ),
        (
            "ISO 2022 IR 13\\ISO 2022 IR 87",
            b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J",
            "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
        ),
        ("\\ISO 2022 IR 159", b"\x1b$(D0!\x1b(B^a", "丂^a"),
        (
            "\\ISO 2022 IR 149",
            b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
            "Hong^Gildong=洪^吉洞=홍^길동",
        ),
        ("\\ISO 2022 IR 58", b"Zhang=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab", "Zhang=张^小东"),
        ("ISO 2022 IR 100\\ISO 2022 IR 144", b"\xe9 \x1b-L\xbb\xee\xda \x1b-A\xe9", "é Люк é"),
    ],
)
def test_code_extensions_decode_the_examples_of_the_standard(terms: str, data: bytes, text: str) -> None:
    assert decoded(terms, data) == text


@pytest.mark.parametrize("delimiter", ["^", "=", "\\", "\n", "\r", "\f", "\t"])
def test_a_delimiter_of_a_name_brings_the_initial_sets_back(delimiter: str) -> None:
    data = b"\x1b$)C\xb1\xe8" + delimiter.encode() + b"\xb1\xe8"
    assert decoded("\\ISO 2022 IR 149", data) == f"김{delimiter}\\xb1\\xe8"


@pytest.mark.parametrize(
    ("vr", "delimiter", "back"),
    [
        ("LO", "\\", True),
        ("LO", "=", False),
        ("SH", "^", False),
        ("UC", "\\", True),
        ("LT", "\\", False),
        ("UT", "^", False),
        ("ST", "\n", True),
    ],
)
def test_what_delimits_depends_on_the_vr(vr: str, delimiter: str, back: bool) -> None:
    data = b"\x1b$)C\xb1\xe8" + delimiter.encode() + b"\xb1\xe8"
    assert decoded("\\ISO 2022 IR 149", data, vr) == f"김{delimiter}" + ("\\xb1\\xe8" if back else "김")


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_line_end_ends_a_two_byte_set_that_was_not_ended(end: bytes) -> None:
    assert decoded("\\ISO 2022 IR 87", b"\x1b$B;3ED" + end + b"plain", "LT") == "山田" + end.decode() + "plain"


def test_a_space_is_one_byte_in_a_two_byte_set_too() -> None:
    assert decoded("\\ISO 2022 IR 87", b"\x1b$B;3 ED ", "LT") == "山 田 "


def test_a_two_byte_set_may_have_delimiters_as_second_bytes() -> None:
    assert decoded("\\ISO 2022 IR 87", b"\x1b$B$^$=\x1b(B^x") == "まそ^x"


def test_an_escape_sequence_that_no_set_has_is_spelled_out() -> None:
    for terms, data, text in (
        ("\\ISO 2022 IR 87", b"a\x1b%Gb", "a\\x1b%Gb"),
        ("ISO_IR 100", b"a\x1b-Lb", "a\\x1b-Lb"),
        ("", b"\x1b$B;3ED\x1b(B", "\\x1b$B;3ED\\x1b(B"),
    ):
        assert escape(charset(terms.encode()).decode(data)) == (text, True)


@pytest.mark.parametrize(
    ("term", "data", "text"),
    [
        ("ISO_IR 87", b"A=\x1b$B;3ED\x1b(B", "A=山田"),
        ("ISO_IR 87", b"\x1b$B;3\\5\x1b(B", "山楜"),
        ("ISO_IR 149", b"\x1b$)C\xb1\xe8", "김"),
    ],
)
def test_a_multi_byte_set_under_a_term_without_code_extensions_is_read_and_is_not_known(
    term: str, data: bytes, text: str
) -> None:
    assert charset(term.encode()).decode(data) == text
    assert not charset(term.encode()).known


@pytest.mark.parametrize(
    ("terms", "data", "text"),
    [
        ("", b"J\xe9r", "J\\xe9r"),
        ("ISO_IR 6", b"J\xe9r", "J\\xe9r"),
        ("ISO_IR 192", b"J\xe9r\xed\xa0\x80", "J\\xe9r\\xed\\xa0\\x80"),
        ("GB18030", b"a\xff", "a\\xff"),
        ("ISO_IR 127", b"\xa1", "\\xa1"),
        ("\\ISO 2022 IR 149", b"\x1b$)C\xb1", "\\xb1"),
        ("nonsense", b"J\xe9r", "J\\xe9r"),
    ],
)
def test_bytes_that_the_set_does_not_have_are_spelled_out(terms: str, data: bytes, text: str) -> None:
    found, escaped = escape(charset(terms.encode()).decode(data))
    assert found == text
    assert escaped


def test_nul_is_spelled_out_and_text_with_other_controls_is_not() -> None:
    assert escape("a\0b") == ("a\\x00b", True)
    assert escape("a\tb\x7f") == ("a\tb\x7f", False)
    assert escape("é") == ("é", False)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"", DEFAULT),
        (b"ISO_IR 100", Charset("ascii", "iso8859_1")),
        (b"ISO_IR 100 ", Charset("ascii", "iso8859_1")),
        (b"iso-ir 100\0", Charset("ascii", "iso8859_1")),
        (b"ISO_IR 13", Charset("ascii", "shift_jis")),
        (b"ISO 2022 IR 100", Charset("ascii", "iso8859_1", extended=True)),
        (b"\\ISO 2022 IR 87", Charset("ascii", "ascii", extended=True)),
        (b"ISO_IR 192\\ISO 2022 IR 87", Charset("utf_8", "utf_8")),
        (b"ISO 2022 IR 87", Charset("ascii", "ascii", extended=True)),
        (b"WINDOWS_1252", Charset("ascii", "ascii", known=False)),
        (b"ISO_IR 100\\ISO 2022 IR 999", Charset("ascii", "iso8859_1", extended=True, known=False)),
        (b"\xff", Charset("ascii", "ascii", known=False)),
    ],
)
def test_specific_character_set_is_read_leniently_and_says_whether_it_is_known(value: bytes, expected: Charset) -> None:
    assert charset(value) == expected


TERMS = st.lists(
    st.sampled_from(
        [
            "",
            "ISO_IR 6",
            "ISO_IR 13",
            "ISO_IR 100",
            "ISO 2022 IR 13",
            "ISO 2022 IR 87",
            "ISO 2022 IR 159",
            "ISO 2022 IR 149",
            "ISO 2022 IR 58",
            "ISO_IR 192",
            "GB18030",
            "GBK",
            "none",
        ]
    ),
    min_size=1,
    max_size=3,
)  # fmt: skip - a list of terms
PIECES = st.lists(
    st.sampled_from([b"\x1b$B", b"\x1b(J", b"\x1b(B", b"\x1b$)C", b"\x1b$(D", b"\x1b", b"^", b"\\", b"\n"])
)


@DETERMINED
@given(TERMS, st.lists(st.binary(max_size=6)), PIECES, st.sampled_from(["PN", "LO", "LT"]))
def test_any_bytes_decode_to_text_that_is_valid_utf_8_without_nul(
    terms: list[str], parts: list[bytes], pieces: list[bytes], vr: str
) -> None:
    data = b"".join(part for pair in zip(parts, pieces, strict=False) for part in pair) + b"".join(parts)
    text = decoded("\\".join(terms), data, vr)
    assert "\0" not in text
    assert text.encode("utf-8").decode() == text


@DETERMINED
@given(st.text(st.characters(codec="utf-8", exclude_characters="\0\x1b")))
def test_unicode_survives_the_sets_that_have_all_of_it(text: str) -> None:
    assert decoded("ISO_IR 192", text.encode()) == text
    assert decoded("GB18030", text.encode("gb18030")) == text


KANJI = st.text(st.sampled_from("山田太郎やまだたろう、ソ表AZ az09-"), max_size=20)
HANGUL = st.text(st.sampled_from("김희중洪吉洞AZ az09-"), max_size=20)
HANZI = st.text(st.sampled_from("张小东中文AZ az09-"), max_size=20)


@DETERMINED
@given(st.lists(KANJI, max_size=4), st.lists(HANGUL, max_size=4), st.lists(HANZI, max_size=4))
def test_names_in_multi_byte_sets_come_back(japanese: list[str], korean: list[str], chinese: list[str]) -> None:
    data = b"^".join(part.encode("iso2022_jp") for part in japanese)
    assert decoded("\\ISO 2022 IR 87", data) == "^".join(japanese)
    data = b"^".join(b"\x1b$)C" + part.encode("euc_kr") for part in korean)
    assert decoded("\\ISO 2022 IR 149", data) == "^".join(korean)
    data = b"=".join(b"\x1b$)A" + part.encode("gb2312") for part in chinese)
    assert decoded("\\ISO 2022 IR 58", data) == "=".join(chinese)


def test_the_codec_error_handler_is_for_decoding_only() -> None:
    with pytest.raises(UnicodeEncodeError):
        "é".encode("ascii", "dicombq.keep_bytes")
