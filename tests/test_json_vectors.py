"""Small files of every kind that a JSON parser meets, read as `json` reads them.

`ACCEPTED` must be read and `REFUSED` must not be, by the grammar of RFC 8259;
`LENIENT` must not be, but `json` does; `EITHER` is what the grammar leaves open.
The oracle is the interpreter's own `json`, held against the grammar too, so that
each vector is known to be what it says.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from oasis_data import CorruptFileError, load_data_file, load_with_version
from tests.strategies import exact

DOCUMENT = '{"ki\\n": [1, -2.5e+3, "\\u00e9", true, false, null, {}, []], "": {"a": "ß"}}'
HIGH, LOW = r"\ud83d", r"\ude00"


def within(kind: str, texts: Iterable[str | bytes]) -> dict[str, bytes]:
    """The texts as vectors, each named by its kind, its number, and how it begins."""
    coded = [text.encode() if isinstance(text, str) else text for text in texts]
    return {f"{kind} {n}: {ascii(data)[1:40]}": data for n, data in enumerate(coded)}


def quoted(texts: Iterable[str | bytes]) -> list[bytes]:
    """Each text as a string within an array."""
    coded = (text.encode() if isinstance(text, str) else text for text in texts)
    return [b'["' + data + b'"]' for data in coded]


NUMBERS = map(
    "".join,
    itertools.product(["", "-"], ["0", "7", "120"], ["", ".5", ".00"], ["", "e1", "E-2", "e+03"]),
)
NO_NUMBERS = [
    *("+1", "++1", "--1", "-", "+", "- 1", "-+1", "01", "-01", "00", "-00", "007.5", "1.", "-1."),
    *(".5", "-.5", ".", "1..2", "1.2.3", "1.e3", "1.-2", "1e", "1E", "1e+", "1e-", "1.5e", "0e"),
    *("1e1.5", "1e5e5", "1ee2", "1e++2", "e3", "E3", "1 000", "1,000.5.1", "1_000", "0x1F", "0b1"),
    *("0o7", "1f", "1L", "1n", "1j", "2.0d", "12abc", "1/2", "1*2", "$1", "1%", "\u0663", "\uff11"),
    *("\u00bd", "\u221e", "inf", "-inf", "INF", "nan", "-NaN", "+NaN", "NAN", "Infinit"),
    *("+Infinity", "infinity", "1é", "0.1.", "-x", "1e\u0663", "\u22121", "1\u2019000", "&1"),
    *("1\u00a0", "#1", "=1", "0,1e"),
]
NO_LITERALS = [
    *("True", "False", "None", "NULL", "nul", "nulll", "tru", "truee", "fals", "undefined", "t"),
    *("TRUE", "n ull", "true false", "nulltrue", "null0", "yes", "fal\u017fe", "'true'", "true1"),
    "void",
]
STRUCTURE_REFUSED = [
    *("", " ", "\n", "\t \r\n", "[", "]", "{", "}", ",", ":", "[}", "{]", "[[]", "[]]", "{{}"),
    *("{}}", "[,]", "[1,]", "[,1]", "[1,,2]", "[1 2]", "[1;2]", "[1:2]", '["a":1]', "[1,", "[1"),
    *("[[1]", "[1}", "(1)", "[1)", "<1>", "[] []", "[]{}", "{}[]", "{} {}", "1 2", '"a" "b"'),
    *("[]x", "[],", "[]#", "[]//", "[]/**/", "/**/[]", "//\n[]", "[1/*,*/]", "[]\0", "\0[]"),
    *("[\0]", "{}\0", "#[]", '{"a"}', '{"a":}', "{:1}", '{"a",1}', '{"a" 1}', '{"a"::1}'),
    *('{"a":1,}', '{,"a":1}', '{"a":1,,}', '{"a":1 "b":2}', '{"a":1;"b":2}', '{"a"=1}', "{a:1}"),
    *("{'a':1}", "{1:1}", "{null:1}", "{[]:1}", '{"a":1', '{"a":', '{"a"', '{"', '{"a":[}'),
    *('{"a":1]', '{"a":{"b":1}', '{"a":1}}', "{true:1}", '{"a":1,"b"}', '{"a":1,"b":}'),
    *('{"a":1:2}', "{...}", "[...]", '["a",\n,1]', "[1]\n]", "&[]", "@", "['a']", "[`a`]", '["a]'),
    *('[a"]', '"', '"a', 'a"', '["a"b]', '["a" "b"]', '["",]', '[""', '["', "\\", "[\\]", '\\"a"'),
    *("[\\n]", "\ufeff\ufeff[]", "[\ufeff]", "[]\ufeff", "\u2060[]", "a", "é", "*", "callback([])"),
    *("var a = []", "<html></html>", "---\na: 1", "a = 1", ")]}'\n[]", "[1]1", "-[]"),
]
STRUCTURE_ACCEPTED = [
    *("[]", "{}", "0", "-1", "1.5", '""', '"a"', "true", "false", "null", "[[]]", "[{}]"),
    *('{"a":{}}', "[1,2]", '[1,"a",null,true,[2],{"b":3}]', '{"a":[],"b":{"c":[{}]}}', '{"":0}'),
    *('{"a b":[""]}', "[[[[[[[[]]]]]]]]", '{"a":{"a":{"a":{"a":1}}}}', DOCUMENT),
    *(f"[{DOCUMENT},{DOCUMENT}]", "[" * 200 + "]" * 200, '{"a":' * 150 + "1" + "}" * 150),
    *("[" + "1," * 999 + "1]", '{"\\u0061":1}', '{"\\n\\"":1}', '{"/":"\\/"}', '{"0":0,"1":1}'),
    '{"null":null,"true":true}',
]
# One name for values, so that later ones win; the order stays that of the first.
DUPLICATES = [
    '{"a":1,"a":2}',
    '{"a":1,"b":2,"a":3}',
    '{"a":{"x":1},"a":{"x":2}}',
    '{"a":1,"\\u0061":2}',
]
BLANKS_ACCEPTED = [
    f'{before}[{inner}1{inner},{inner}{{{inner}"a"{inner}:{inner}2{inner}}}{inner}]{after}'
    for blank in (" ", "\t", "\n", "\r", "\r\n", "  \n\t")
    for before, inner, after in ((blank, "", ""), ("", blank, ""), ("", "", blank), (blank,) * 3)
]
NO_BLANKS = "\x0b\x0c\x08\x00\x1c\x1f\x7f\x85\xa0\u1680\u180e\u2002\u200b\u2028\u2029\u3000\ufeff"
ESCAPES = [*(rf"\{letter}" for letter in '"\\/bfnrt'), r"\\\\", r"\\n", r"\"\\\/", r"\u002f\/"]
NO_ESCAPES = [
    *(rf"\{letter}" for letter in "acdeghijklmopqsvwxyzABFNRTUX0178'`?$ -\n\t"),
    *("\\é", "\\\0", "\\\u2028", "\\\U0001f600", r"\x41", r"\101", r"\U00000041", r"\N{DIGIT ONE}"),
    *(r"\u", r"\u0", r"\u00", r"\u004", r"\u004g", r"\uu041", r"\u{41}", r"\u 041", r"\u-041"),
    *(r"\u+041", r"\u0x41", r"\u00 41", "\\u\u0660\u0660\u0664\u0661", "\\u004\uff11"),
    *(rf"{HIGH}\u", rf"{HIGH}\u12", rf"{HIGH}\x", rf"{HIGH}\uZZZZ", r"\u_041", r"\u0_41"),
    *(r"\u004_", "\\", r"\\\ ".strip()),
]
UNICODE_ACCEPTED = [
    *("é", "漢字", "\U0001f600", "\u2028\u2029", "\ufeff", "\ufffd", "\ufffe\uffff", "\U0010ffff"),
    *("\x7f", "\x80\x9f", "\ud7ff\ue000", "e\u0301", "\u200f\u202e", "\U000e0001", "'", "/"),
    *("a" * 5000, r"\u0000", r"\u001F", r"\u0022", r"\u005C", r"\u007f", r"\u00E9", r"\u2028"),
    *(r"\uFEFF", r"\uffff", HIGH + LOW, r"\uD83D\uDE00", r"\ud800\udc00", r"\uDBFF\uDFFF"),
    *(r"a\ud83d\ude00b" * 3, "\\u0041" * 9),
]
SURROGATES = [
    *(HIGH, LOW, LOW + HIGH, HIGH + HIGH, LOW + LOW, HIGH + HIGH + LOW, HIGH + "a", HIGH + r"\n"),
    *(HIGH + r"\u0041", HIGH + "\U0001f600", "x" + LOW + "y", r"\uDFFF", r"\udbff\udbff"),
    HIGH + r"\ue000",
]
# What no UTF-8 has: strays, overlong forms, cut forms, too large, never-used bytes.
NO_UTF8 = [
    *(b"\x80", b"\xbf", b"a\x80b", b"\xc3\xa9\xa9", b"\xc0\x80", b"\xc0\xaf", b"\xc1\xbf"),
    *(b"\xe0\x80\x80", b"\xe0\x9f\xbf", b"\xf0\x80\x80\xaf", b"\xf0\x8f\xbf\xbf"),
    *(b"\xf8\x88\x80\x80\x80", b"\xc3", b"\xe2\x82", b"\xe2", b"\xf0\x9f\x98", b"\xf0\x9f"),
    *(b"\xf0", b"\xc3(", b"\xe2\x82(", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80"),
    *(b"\xfc\x84\x80\x80\x80\x80", b"\xfe", b"\xff", b"\xff\xfe", "é".encode("latin-1")),
    *("“x”".encode("cp1252"), "日本".encode("shift_jis"), b"\xed\xa0", b"\xed\xa0x"),
]
RAW_SURROGATES = [b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xed\xa0\xbd\xed\xb8\x80"]
ENCODINGS = ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]
CHARSETS = ["utf-7", "cp037", "utf-16-le", "latin-1", "cp1252", "gb18030"]
BOMS = [
    b"\xef\xbb\xbf",
    b"\xef\xbb",
    b"\xef",
    b"\xff\xfe",
    b"\xfe\xff",
    b"\xff\xfe\0\0",
    b"\0\0\xfe\xff",
]

ACCEPTED: dict[str, bytes] = {
    **within("structure", STRUCTURE_ACCEPTED),
    **within("blanks", BLANKS_ACCEPTED),
    **within("number", NUMBERS),
    **within(
        "number in an array", ["[0]", "[-0]", "[-0.0]", "[1e0]", "[0e+1]", "[10, 1.0]", "[ 1 ]"]
    ),
    **within("precise number", [f"[{'9' * n}]" for n in (15, 16, 17, 19, 20, 30, 400)]),
    **within("precise fraction", ["0." + "3" * n for n in (16, 17, 18, 400)]),
    **within(
        "rounding", ["9007199254740993.0", "2.2250738585072011e-308", "1.7976931348623157e308"]
    ),
    **within(
        "rounding of little",
        ["5e-324", "2.5e-324", "1e23", "8.5e22", "0.1e-6", "123456789012345678e-3"],
    ),
    **within("escape", quoted(ESCAPES)),
    **within("string", quoted(UNICODE_ACCEPTED)),
    **within(
        "name", ['{"' + text + '":1}' for text in ("é", "\u2028", r"\u0000", HIGH + LOW, r"\/")]
    ),
}
REFUSED: dict[str, bytes] = {
    **within("structure", STRUCTURE_REFUSED),
    **within("number", NO_NUMBERS),
    **within("number in an array", [f"[{text}]" for text in NO_NUMBERS]),
    **within("literal", NO_LITERALS),
    **within("literal in an object", [f'{{"a":{text}}}' for text in NO_LITERALS]),
    **within("no blank", [f"[{blank}1]" for blank in NO_BLANKS]),
    **within("no blank after", [f"[1]{blank}" for blank in NO_BLANKS]),
    **within("no blank before", [f"{blank}[1]" for blank in NO_BLANKS if blank != "\ufeff"]),
    **within("control character", quoted(map(chr, range(0x20)))),
    **within(
        "control character in a name", ['{"\n":1}', '{"a\tb":1}', '{"\0":1}', '{"a":1,"\r":2}']
    ),
    **within("escape", quoted(NO_ESCAPES)),
    **within("escape in a name", ['{"' + text + '":1}' for text in NO_ESCAPES[::5]]),
    **within("no UTF-8", quoted(NO_UTF8)),
    **within("no UTF-8 in a name", [b'{"' + data + b'":1}' for data in NO_UTF8]),
    **within("no UTF-8 outside strings", [b"[1," + data + b"]" for data in NO_UTF8]),
    **within("no UTF-8 after the end", [b"[1]" + data for data in NO_UTF8]),
    **within("cut", [DOCUMENT.encode()[:end] for end in range(1, len(DOCUMENT.encode()))]),
    **within("in pieces", [DOCUMENT + DOCUMENT, DOCUMENT + "\n" + DOCUMENT, "[]\n[]\n", "1\n2\n"]),
    **within("a mark and no more", BOMS),
    **within("a mark and a cut", [f"{DOCUMENT[:9]}".encode(name) for name in ENCODINGS]),
    **within("zeros", [bytes(n) for n in (1, 2, 3, 4, 100)]),
    **within(
        "zeros for the rest", [DOCUMENT[:40].encode() + bytes(30), DOCUMENT.encode() + bytes(9)]
    ),
    **within("odd UTF-16", [DOCUMENT.encode(name)[:-1] for name in ENCODINGS[1:4]]),
    **within(
        "odd UTF-32", [DOCUMENT.encode(name)[:-n] for name in ENCODINGS[4:] for n in (1, 2, 3)]
    ),
}
LENIENT: dict[str, bytes] = {
    **within(
        "not a number", ["NaN", "Infinity", "-Infinity", "[NaN]", '{"a":-Infinity}', "[NaN,1]"]
    ),
    **within("surrogates in UTF-8", quoted(RAW_SURROGATES)),
    **within("UTF-16 by its zeros", ["1\0", "[\0]\0", "\x001", "1\0\0\0", "\x001\x001"]),
}
EITHER: dict[str, bytes] = {
    **within(
        "too large",
        ["1e309", "-1e309", "1e999", "[1e400,-1e400]", "1" + "0" * 308 + "e1", "1e99999"],
    ),
    **within(
        "too small", ["1e-324", "-1e-400", "1e-999", "0e-999", "0e999", "0." + "0" * 400 + "1"]
    ),
    **within("too long", ["1" * n for n in (4300, 4301, 10_000)]),
    **within(
        "too long or a fraction", ["-" + "1" * 4301, "[1," + "2" * 5000 + "]", "0." + "1" * 5000]
    ),
    **within("duplicate names", DUPLICATES),
    **within("surrogates", quoted(SURROGATES)),
    **within("surrogate in a name", ['{"' + text + '":1}' for text in SURROGATES]),
    **within("surrogate outside a string", [b"[" + RAW_SURROGATES[0] + b"]"]),
    **within("encoding", [DOCUMENT.encode(name) for name in ENCODINGS]),
    **within(
        "encoding of little", [t.encode(name) for name in ENCODINGS for t in ("1", "[]", '"é"')]
    ),
    **within("encoding and a mark", [f"\ufeff{DOCUMENT}".encode(name) for name in ENCODINGS]),
    **within("surrogate in UTF-16", ['"\ud800"'.encode(n, "surrogatepass") for n in ENCODINGS[1:]]),
    **within("charset", [DOCUMENT.encode(name, "replace") for name in CHARSETS]),
    **within("depth", [b"[" * n + b"]" * n for n in (500, 900, 1100, 2000, 20_000)]),
    **within("depth of objects", [b'{"":' * n + b"0" + b"}" * n for n in (900, 1100, 20_000)]),
    **within("depth unclosed", [b"[" * 2000, b'{"a":' * 2000, b'[{"a":' * 1000, b"[{" * 2000]),
    **within("one byte gone", [DOCUMENT[:n] + DOCUMENT[n + 1 :] for n in range(len(DOCUMENT))]),
    **within("one byte twice", [DOCUMENT[:n] + DOCUMENT[n:][:1] + DOCUMENT[n:] for n in range(40)]),
    **within("quote in between", [DOCUMENT[:n] + '"' + DOCUMENT[n:] for n in range(len(DOCUMENT))]),
}
KINDS = [("read", ACCEPTED), ("refused", REFUSED), ("lenient", LENIENT), ("either", EITHER)]
VECTORS = {
    f"{verdict}: {name}": data for verdict, vectors in KINDS for name, data in vectors.items()
}


def by_json(data: bytes) -> Any:
    """The document, or the exception."""
    try:
        return json.loads(data)
    except Exception as error:
        return error


@pytest.mark.parametrize("name", VECTORS)
def test_a_file_is_read_as_json_reads_it(tmp_path: Path, name: str) -> None:
    data = VECTORS[name]
    expected = by_json(data)
    path = tmp_path / "vector.json"
    path.write_bytes(data)
    if not isinstance(expected, Exception):
        assert exact(load_data_file(path, strict=True)) == exact(expected)
        assert exact(load_with_version(path)[0]) == exact(expected)
        return
    with pytest.raises(CorruptFileError) as caught:
        load_data_file(path, strict=True)
    error = caught.value
    assert type(error.original_error) is type(expected)
    if isinstance(expected, json.JSONDecodeError):
        place = (error.msg, error.pos, error.lineno, error.colno)
        assert place == (expected.msg, expected.pos, expected.lineno, expected.colno)
    assert error.lineno >= 1
    assert error.colno >= 1
    assert 0 <= error.pos <= len(data)
    assert str(error).startswith("vector.json: ")
    with pytest.raises(CorruptFileError):
        load_with_version(path)
    assert load_data_file(path, default=None) is None


def read_by_json(vectors: dict[str, bytes]) -> list[str]:
    return [name for name, data in vectors.items() if not isinstance(by_json(data), Exception)]


def test_json_itself_keeps_to_the_grammar_but_for_what_is_known() -> None:
    assert read_by_json(ACCEPTED) == list(ACCEPTED)
    assert read_by_json(REFUSED) == []
    assert read_by_json(LENIENT) == list(LENIENT)


def test_there_are_vectors_of_every_kind() -> None:
    assert len(ACCEPTED) > 150
    assert len(REFUSED) > 300
    assert len(EITHER) > 100
    assert 0 < len(read_by_json(EITHER)) < len(EITHER)
