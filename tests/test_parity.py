"""Held against the standard library: what is written, what is read, and which value is at fault.

The oracle is always the `json` of the interpreter that runs the tests.
"""

from __future__ import annotations

import collections
import itertools
import json
import math
import random
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oasis_data import (
    CorruptFileError,
    JSONWriteError,
    UnserializableError,
    configure,
    load_data_file,
    save_json_atomic,
    stats,
)
from tests.conftest import require, temporaries, visible
from tests.strategies import (
    FLOATS,
    INDENTS,
    INTEGERS,
    LETTERS,
    LONE_SURROGATES,
    NOT_FINITE,
    BackwardList,
    Berth,
    EmptyLookingDict,
    EmptyLookingList,
    Grade,
    KeyHidingDict,
    LoudFloat,
    LoudInt,
    LoudText,
    LoudTuple,
    Name,
    Opaque,
    RenamingDict,
    Valves,
    Verdict,
    described,
    dump_options,
    dumped,
    exact,
    examples,
    nested,
    plain_leaves,
    plain_trees,
    texts,
    trees,
)

OLD = b'{"old": true}\n'
# Of the options, where they are other than those of json.dump.
DEFAULTS: dict[str, Any] = {"indent": 2, "ensure_ascii": False, "allow_nan": False}


@pytest.fixture(autouse=True)
def unsynced() -> None:
    """Thousands of saves, none of which has to survive a power cut."""
    configure(durability="process")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One folder for all examples of a property."""
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.fixture
def oracle(tmp_path: Path) -> Path:
    return tmp_path / "oracle.json"


def contents(folder: Path) -> dict[str, bytes | None]:
    """Everything in a folder and below, by path."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def by_json(oracle: Path, value: Any, options: dict[str, Any]) -> Verdict:
    """What `json.dump` does when told what the package does untold."""
    return dumped(oracle, value, DEFAULTS | options)


def raised(act: Callable[[], object]) -> Exception | None:
    """What the call raises."""
    try:
        act()
    except Exception as error:
        return error
    return None


def assert_saved_as_by_json(folder: Path, oracle: Path, value: Any, options: Any) -> None:
    """One save of the value does what one `json.dump` of it does."""
    expected = by_json(oracle, value, options)
    path = folder / "data.json"
    path.write_bytes(OLD)
    before = visible(folder)
    if isinstance(expected, bytes):
        assert save_json_atomic(path, value, backup=False, **options) is True
        assert path.read_bytes() == expected
        assert visible(folder) == before
        assert temporaries(folder) == []
    else:
        assert_refused(path, value, options, expected)


def assert_refused(path: Path, value: Any, options: Any, expected: Exception) -> JSONWriteError:
    """One save of the value fails as `json` fails, and changes nothing."""
    before = contents(path.parent)
    with pytest.raises(JSONWriteError) as caught:
        save_json_atomic(path, value, **options)
    assert contents(path.parent) == before
    error = caught.value
    assert type(error.original_error) is type(expected)
    assert isinstance(error, UnserializableError)
    assert isinstance(error, TypeError)
    assert isinstance(error, ValueError)
    assert error.__cause__ is error.original_error
    assert error.file_path == str(path)
    assert error.place.startswith("$")
    assert str(error).startswith(f"{path.name}: ")
    assert f" {error.place}: " in str(error)
    assert str(path.parent) not in str(error)
    return error


def all_options(**fixed: Any) -> Iterator[dict[str, Any]]:
    """Every combination of the options that are not fixed."""
    choices: dict[str, list[Any]] = {
        "indent": list(INDENTS),
        "ensure_ascii": [False, True],
        "sort_keys": [False, True],
        "allow_nan": [False, True],
        "default": [None, described],
    }
    choices.update({name: [choice] for name, choice in fixed.items()})
    for combination in itertools.product(*choices.values()):
        yield dict(zip(choices, combination, strict=True))


# Writing


@examples(400)
@given(value=trees(), options=dump_options())
def test_any_tree_is_written_as_by_json_dump(
    folder: Path, oracle: Path, value: Any, options: dict[str, Any]
) -> None:
    assert_saved_as_by_json(folder, oracle, value, options)


@examples(250)
@given(
    value=plain_trees(),
    options=st.fixed_dictionaries(
        {"indent": st.sampled_from(INDENTS)},
        optional={
            "sort_keys": st.just(False),
            "ensure_ascii": st.just(False),
            "allow_nan": st.booleans(),
        },
    ),
)
def test_a_plain_tree_is_written_natively_and_as_by_json_dump(
    folder: Path, oracle: Path, value: Any, options: dict[str, Any]
) -> None:
    # Without this the property above might compare `json` with itself.
    before = stats()["encode_fallbacks"]
    assert_saved_as_by_json(folder, oracle, value, options)
    assert stats()["encode_fallbacks"] == before


SPECIMENS: dict[str, Any] = {
    "null": None,
    "true": True,
    "empty list": [],
    "empty dict": {},
    "empty tuple": (),
    "empty text": "",
    "empty containers within containers": [[], {}, (), [[]], {"a": {}}, {"": []}],
    "integers": INTEGERS,
    "floats": FLOATS,
    "letters": ["".join(LETTERS), *LETTERS, *map("a{}b".format, LETTERS)],
    "letters as keys": {letter: letter for letter in LETTERS},
    "not finite": NOT_FINITE,
    "not finite alone": float("nan"),
    "not finite as key": {float("inf"): 1},
    "lone surrogates": LONE_SURROGATES,
    "lone surrogate alone": "a\ud800",
    "lone surrogate as key": {"a\udfff": 1},
    "two surrogates that pair": "\ud83d\ude00",
    "keys of every kind": {2: "a", 2.5: "b", True: "c", None: "d", "e": "f", 1e16: "g", -0.0: "h"},
    "numbers as keys": {3: 1, 20: 2, 100: 3, 1.5: 4, False: 5},
    "keys equal after conversion": {1: "a", "1": "b", 1.0e16: "c", "1e+16": "d"},
    "null as key twice": {None: 1, "null": 2},
    "true as key twice": {True: 1, "true": 2},
    "key that is no key": {"a": {(1, 2): 3}},
    "bytes as key": {b"a": 1},
    "keys in an order of code points": {"b": 1, "a": 2, "B": 3, "é": 4, "": 5, "\U0001f600": 6},
    "keys that UTF-16 orders otherwise": {"\U00010000": 1, "\uffff": 2, "\ue000": 3, "\ud7ff": 4},
    "ordered dict": collections.OrderedDict([("b", 1), ("a", [2])]),
    "default dict": collections.defaultdict(list, {"b": [1], "a": []}),
    "counter": collections.Counter("abracadabra"),
    "int enum": [Grade.LIGHT, Grade.HEAVY, {Grade.LIGHT: Grade.HEAVY}],
    "int flag": [Valves.INLET | Valves.OUTLET, Valves(0), {Valves.INLET: 1}],
    "text enum": [Name.ARAB_LIGHT, {Name.ARAB_LIGHT: 1}],
    "named tuple": Berth("B1", Berth((), None)),
    "tuples": ((1, 2), [(3,)], {"a": (4, (5,))}),
    "text of its own": [LoudText("é"), {LoudText("k"): LoudText("v")}],
    "integer of its own": [LoudInt(7), {LoudInt(8): LoudInt(2**70)}],
    "float of its own": [LoudFloat(7), {LoudFloat(8.5): LoudFloat("1e16")}],
    "list that iterates backward": BackwardList([1, [2], 3]),
    "list that looks empty": [EmptyLookingList([1])],
    "list that is not empty but yields nothing": BackwardList(),
    "tuple that iterates over something else": LoudTuple((1, 2)),
    "dict with other items": RenamingDict({"b": 1, "a": 2}),
    "dict that hides its keys": KeyHidingDict({"b": 1, "a": 2}),
    "dict that looks empty": {"a": EmptyLookingDict({"b": 1})},
    "bytes": b"bytes",
    "bytearray": [bytearray(b"x")],
    "set": {"a": {1}},
    "frozenset": [frozenset()],
    "complex": 1j,
    "range": range(3),
    "generator function": [len],
    "type": int,
    "object": {"a": [Opaque()]},
    "the same list twice": [[1], [1]] * 2,
    "shared but not circular": (lambda part: {"a": part, "b": [part, part]})({"c": [1]}),
}


@pytest.mark.parametrize("name", SPECIMENS)
def test_each_kind_of_value_is_written_as_by_json_dump_under_all_options(
    folder: Path, oracle: Path, name: str
) -> None:
    # Whether NaN is allowed matters to few of them, and doubles the time.
    allow_nan = {} if "finite" in name else {"allow_nan": False}
    for options in all_options(**allow_nan):
        assert_saved_as_by_json(folder, oracle, SPECIMENS[name], options)


@pytest.mark.parametrize(
    "indent",
    [
        *(3, 10, 1000, 2000, -7, " ", "\n", "é", "\u2028", '"', "\0", LoudText("  "), LoudInt(2)),
        *(2**70, 1.5, [], {}, b" ", Opaque(), 1j, "\ud800"),
    ],
    ids=ascii,
)
@pytest.mark.parametrize("sort_keys", [False, True])
def test_any_indent_does_what_it_does_to_json_dump(
    folder: Path, oracle: Path, indent: Any, sort_keys: bool
) -> None:
    value = {"b": [1, {"c": "d"}], "a": {}}
    options = {"indent": indent, "sort_keys": sort_keys}
    assert_saved_as_by_json(folder, oracle, value, options)


def random_doubles(count: int) -> list[float]:
    """Doubles of random bits, after some of every exponent and sign."""
    source = random.Random(20_24_06)
    bits = [
        sign << 63 | exponent << 52 | mantissa
        for sign in (0, 1)
        for exponent in range(2047)
        for mantissa in (0, 1, 2**52 - 1, source.getrandbits(52))
    ]
    bits.extend(source.getrandbits(64) for _ in range(count))
    doubles = (struct.unpack(">d", struct.pack(">Q", pattern))[0] for pattern in bits)
    return [double for double in doubles if math.isfinite(double)]


def test_two_hundred_thousand_random_doubles_are_written_and_read_as_by_json(
    folder: Path, oracle: Path
) -> None:
    doubles = random_doubles(200_000)
    assert len(doubles) >= 200_000
    before = stats()["encode_fallbacks"]
    assert_saved_as_by_json(folder, oracle, doubles, {"indent": None})
    assert stats()["encode_fallbacks"] == before
    assert exact(load_data_file(folder / "data.json", strict=True)) == exact(doubles)


def test_every_character_is_written_and_read_as_by_json(folder: Path, oracle: Path) -> None:
    everything = "".join(map(chr, (*range(0xD800), *range(0xE000, 0x110000))))
    value = [everything, {everything: everything}, *everything[:0x3000]]
    for ensure_ascii in (False, True):
        assert_saved_as_by_json(folder, oracle, value, {"ensure_ascii": ensure_ascii})
        assert load_data_file(folder / "data.json", strict=True) == value


@pytest.mark.parametrize("surrogate", LONE_SURROGATES, ids=ascii)
def test_a_lone_surrogate_is_written_only_as_an_escape(folder: Path, surrogate: str) -> None:
    path = folder / "data.json"
    save_json_atomic(path, [surrogate], indent=None, ensure_ascii=True)
    assert path.read_bytes() == json.dumps([surrogate]).encode("ascii")
    assert load_data_file(path, strict=True) == [surrogate]
    with pytest.raises(UnserializableError) as caught:
        save_json_atomic(path, [surrogate], ensure_ascii=False)
    assert isinstance(caught.value.original_error, UnicodeEncodeError)


DIGITS = sys.get_int_max_str_digits() if hasattr(sys, "get_int_max_str_digits") else 0


@pytest.mark.parametrize("digits", [1, 18, 19, 20, 38, 39, 40, 309, 310, 4299, 4300, 4301, 5000])
def test_integers_of_any_length_are_written_and_read_as_by_json(
    folder: Path, oracle: Path, digits: int
) -> None:
    for number in (10 ** (digits - 1), 10**digits - 1):
        for value in (number, -number, [number, -number], {"a": [number]}, {number: 1}):
            for ensure_ascii in (False, True):
                assert_saved_as_by_json(folder, oracle, value, {"ensure_ascii": ensure_ascii})
    text = b"[1, " + b"7" * digits + b"]"
    assert_loaded_as_by_json(folder / "data.json", text)


def test_an_integer_longer_than_the_interpreter_writes_is_named(folder: Path) -> None:
    require(DIGITS, "needs a Python that limits the digits of an integer")
    with pytest.raises(UnserializableError) as caught:
        save_json_atomic(folder / "data.json", {"tanks": [1, 10**DIGITS]})
    assert caught.value.place == "$.tanks[1]"
    assert type(caught.value.original_error) is ValueError


KINDS = ["list", "dict", "tuple", "mixed"]


@pytest.mark.parametrize("kind", KINDS)
def test_depths_around_that_of_the_native_encoder_are_written_as_by_json(
    folder: Path, oracle: Path, kind: str
) -> None:
    for depth in (1, 100, *range(196, 206), 400):
        leaves: list[Any] = [None, [], {}, "é", Opaque()]
        for leaf in leaves:
            value = nested(depth, kind, leaf)
            for indent in (None, 1):
                assert_saved_as_by_json(folder, oracle, value, {"indent": indent})


def deepest(works: Callable[[int], bool], most: int) -> int:
    """The last depth that works, where each does up to some depth."""
    good, bad = 1, most
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if works(middle) else (good, middle)
    return good


# The package stands between its caller and `json` with calls of its own, which
# count against the interpreter's limit just as the caller's do.
OWN_CALLS = 3


@pytest.mark.parametrize("kind", KINDS)
def test_the_depth_that_is_written_is_the_depth_that_json_writes(
    folder: Path, oracle: Path, kind: str
) -> None:
    path = folder / "data.json"

    def json_writes(depth: int) -> bool:
        verdict = by_json(oracle, nested(depth, kind), {"indent": None})
        assert isinstance(verdict, bytes | RecursionError)
        return isinstance(verdict, bytes)

    def package_writes(depth: int) -> bool:
        path.write_bytes(OLD)
        value = nested(depth, kind)
        error = raised(lambda: save_json_atomic(path, value, indent=None, backup=False))
        assert temporaries(folder) == []
        if error is None:
            assert not json_writes(depth) or path.read_bytes() == oracle.read_bytes()
            return True
        assert isinstance(error, UnserializableError)
        assert type(error.original_error) is RecursionError
        assert error.place == "$"
        assert path.read_bytes() == OLD
        return False

    limit = deepest(json_writes, 4_000)
    assert package_writes(limit - OWN_CALLS)
    for depth in (limit - 1, limit, limit + 1):
        package_writes(depth)
    assert not package_writes(limit + OWN_CALLS + 1)


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
def test_the_depth_that_is_read_is_the_depth_that_json_reads(
    folder: Path, opening: str, closing: str
) -> None:
    path = folder / "data.json"

    def text(depth: int) -> bytes:
        return (opening * depth + "0" + closing * depth).encode()

    def json_reads(depth: int) -> bool:
        error = raised(lambda: json.loads(text(depth)))
        assert error is None or type(error) is RecursionError
        return error is None

    def package_reads(depth: int) -> bool:
        path.write_bytes(text(depth))
        error = raised(lambda: load_data_file(path, strict=True))
        if error is None:
            document = exact(load_data_file(path))
            assert not json_reads(depth) or document == exact(json.loads(text(depth)))
            return True
        assert isinstance(error, CorruptFileError)
        assert type(error.original_error) is RecursionError
        return False

    limit = deepest(json_reads, 40_000)
    assert package_reads(limit - OWN_CALLS)
    for depth in (limit - 1, limit, limit + 1):
        package_reads(depth)
    assert not package_reads(limit + OWN_CALLS + 1)


# Reading


def read(data: bytes) -> Any:
    """What `json` makes of a file's bytes: a document, or an exception."""
    try:
        return json.loads(data)
    except MemoryError:
        raise
    except Exception as error:
        return error


def assert_loaded_as_by_json(path: Path, data: bytes) -> None:
    """One load of the bytes gives what one `json.loads` of them gives."""
    expected = read(data)
    path.write_bytes(data)
    if not isinstance(expected, Exception):
        # Decoded, and then out of the cache.
        assert exact(load_data_file(path, strict=True)) == exact(expected)
        assert exact(load_data_file(path, strict=True)) == exact(expected)
        assert exact(load_data_file(path, strict=True, copy=False)) == exact(expected)
        return
    with pytest.raises(CorruptFileError) as caught:
        load_data_file(path, strict=True)
    error = caught.value
    assert type(error.original_error) is type(expected)
    assert isinstance(error, json.JSONDecodeError)
    assert error.file_path == str(path)
    assert str(error).startswith(f"{path.name}: ")
    assert str(path.parent) not in str(error)
    if isinstance(expected, json.JSONDecodeError):
        place = (error.msg, error.pos, error.lineno, error.colno)
        assert place == (expected.msg, expected.pos, expected.lineno, expected.colno)
        assert (expected.msg if data else "the file is empty") in str(error)
        assert f"line {expected.lineno} column {expected.colno}" in str(error)
    assert load_data_file(path, default={"a": [1]}) == {"a": [1]}


BLANKS = st.text(alphabet=" \t\n\r", max_size=3)
NUMBER = st.from_regex(
    r"-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,25})?([eE][+-]?[0-9]{1,4})?", fullmatch=True
)
ESCAPE = st.one_of(
    st.sampled_from([f"\\{letter}" for letter in '"\\/bfnrt']),
    st.integers(0, 0xFFFF).map("\\u{:04x}".format),
    st.integers(0xD800, 0xDFFF).map("\\u{:04X}".format),
    st.sampled_from(["\\u0000", "\\ud83d\\ude00", "\\uDE00\\uD83D", "\\ud800\\u0041", "\\uFFFF"]),
)
STRING = st.lists(
    texts.map(lambda text: json.dumps(text, ensure_ascii=False)[1:-1]) | ESCAPE, max_size=4
).map(lambda parts: f'"{"".join(parts)}"')
SCALAR = st.one_of(
    NUMBER,
    STRING,
    st.sampled_from(["true", "false", "null", "NaN", "Infinity", "-Infinity", "1e999", "-1e999"]),
    st.sampled_from(["-0", "-0.0", "1e-999", "123456789012345678901234567890", "1E400", "0e0"]),
)


@st.composite
def containers(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
    """An array or an object, with blanks wherever there may be some."""
    parts = draw(st.lists(inner, max_size=4))
    if draw(st.booleans()):
        # Few names, so that some come twice.
        names = st.sampled_from(['"a"', '"b"', '""']) | STRING
        joints = [draw(BLANKS) + ":" + draw(BLANKS) for _ in parts]
        pairs = zip(parts, joints, strict=True)
        parts = [draw(names) + joint + part for part, joint in pairs]
        opening, closing = "{", "}"
    else:
        opening, closing = "[", "]"
    blanks = [draw(BLANKS) for _ in range(2 * len(parts) + 1)]
    body = ",".join(f"{blanks[2 * i]}{part}{blanks[2 * i + 1]}" for i, part in enumerate(parts))
    return opening + body + blanks[-1] + closing


def json_texts() -> st.SearchStrategy[str]:
    """Texts that `json` reads, in every spelling that the grammar has."""
    body = st.recursive(SCALAR, containers, max_leaves=12)
    return st.builds("{}{}{}".format, BLANKS, body, BLANKS)


ENCODINGS = ["utf-8"] * 6 + [
    *("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"),
]


def encoded(text: str, encoding: str) -> bytes:
    return text.encode(encoding, "surrogatepass" if encoding != "utf-8-sig" else "replace")


@examples(300)
@given(text=json_texts(), encoding=st.sampled_from(ENCODINGS))
def test_any_text_is_read_as_by_json_loads(folder: Path, text: str, encoding: str) -> None:
    assert_loaded_as_by_json(folder / "text.json", encoded(text, encoding))


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Bytes that are almost a document."""
    data = bytearray(encoded(draw(json_texts()), draw(st.sampled_from(ENCODINGS))))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        upto = draw(st.integers(at, min(len(data), at + 4)))
        kind = draw(st.sampled_from(["cut", "head", "flip", "insert", "repeat", "drop"]))
        if kind == "cut":
            del data[at:]
        elif kind == "head":
            del data[:at]
        elif kind == "flip" and at < len(data):
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "insert":
            data[at:at] = draw(
                st.sampled_from(list(b'[]{},:"\\\x00\n-+.0eE/\xff\xc3\xed'))
            ).to_bytes(1, "big")
        elif kind == "repeat":
            data[at:at] = data[at:upto]
        else:
            del data[at:upto]
    return bytes(data)


@examples(400)
@given(data=damaged())
def test_damaged_text_is_read_or_refused_as_by_json_loads(folder: Path, data: bytes) -> None:
    assert_loaded_as_by_json(folder / "text.json", data)


@examples(150)
@given(data=st.binary(max_size=40))
def test_any_bytes_are_read_or_refused_as_by_json_loads(folder: Path, data: bytes) -> None:
    assert_loaded_as_by_json(folder / "text.json", data)


@examples(150)
@given(
    value=plain_trees(plain_leaves | st.sampled_from(NOT_FINITE)),
    options=st.fixed_dictionaries(
        {
            "indent": st.sampled_from([*range(5), -1, None, "\t", " \r\n", ""]),
            "sort_keys": st.booleans(),
            "ensure_ascii": st.booleans(),
        }
    ),
)
def test_what_was_saved_is_loaded_as_json_would_have_it(
    folder: Path, value: Any, options: dict[str, Any]
) -> None:
    path = folder / "round.json"
    save_json_atomic(path, value, backup=False, allow_nan=True, **options)
    expected = exact(json.loads(json.dumps(value, sort_keys=options["sort_keys"])))
    assert exact(load_data_file(path, strict=True)) == expected


@pytest.mark.parametrize("name", SPECIMENS)
def test_each_kind_of_value_comes_back_as_through_json(folder: Path, name: str) -> None:
    path = folder / "round.json"
    options: dict[str, Any] = {"ensure_ascii": True, "allow_nan": True, "default": described}
    try:
        # json.dumps treats some subclasses differently from json.dump.
        text = "".join(json.JSONEncoder(**options).iterencode(SPECIMENS[name]))
    except TypeError:
        with pytest.raises(UnserializableError):
            save_json_atomic(path, SPECIMENS[name], backup=False, **options)
        return
    save_json_atomic(path, SPECIMENS[name], backup=False, **options)
    assert exact(load_data_file(path, strict=True)) == exact(json.loads(text))


# The place of a fault

NAN = float("nan")
SHARED: list[Any] = [object()]
CYCLE_OF_BOTH: dict[str, Any] = {"vessels": [{"name": "A"}]}
CYCLE_OF_BOTH["vessels"][0]["fleet"] = CYCLE_OF_BOTH
CYCLE_OF_ONE: list[Any] = [1]
CYCLE_OF_ONE.append(CYCLE_OF_ONE)
FAULT = object()

PLACES: list[tuple[str, Any]] = [
    ("$", FAULT),
    ("$", NAN),
    ("$", "\ud800"),
    ("$", {1, 2}),
    ("$[0]", [FAULT]),
    ("$[2]", (1, 2, FAULT, FAULT)),
    ("$.vessels[3].cost", {"vessels": [{"cost": 1}, {}, [], {"name": "D", "cost": 2j}]}),
    ("$.vessels[3].cost", {"vessels": [0, 1, 2, {"a": 1, "cost": NAN, "z": 1}], "last": NAN}),
    ('$["odd key"][0]', {"fine": [1], "odd key": [b"x"]}),
    ('$["a.b"]["c[0]"][""].d', {"a.b": {"c[0]": {"": {"d": FAULT}}}}),
    ('$["1st"]._2nd', {"1st": {"_2nd": FAULT}}),
    ('$["quote\\"d"]', {'quote"d': FAULT}),
    ('$["two\\nlines"]', {"two\nlines": FAULT}),
    ("$.größe.漢", {"größe": {"漢": FAULT}}),
    ('$["1"]', {1: FAULT}),
    ('$["None"]', {None: FAULT}),
    ("$[key (1, 2)]", {(1, 2): 3}),
    ("$.tanks[1][key b'T2']", {"tanks": [{}, {"T1": 1, b"T2": 2}]}),
    ("$[key nan]", {NAN: 1}),
    (r"$[key '\ud800']", {"a": 1, "\ud800": 1}),
    ("$.a", {"a": "x\udfffy", "b": FAULT}),
    ("$[1][1]", Berth("B1", (2, NAN))),
    ("$.berths[1].x[0]", {"berths": (1, {"x": Berth(-NAN, 1)})}),
    ("$.a[1]", {"a": [1, float("-inf")]}),
    ("$[0].a[1].b", [{"a": (1, {"b": FAULT})}]),
    ("$.b", collections.OrderedDict([("a", 1), ("b", FAULT)])),
    ("$.b[0]", collections.defaultdict(list, {"a": [1], "b": [FAULT]})),
    ("$.a[0]", {"a": BackwardList([1, 2, FAULT])}),
    ('$["a!"]', RenamingDict({"a": FAULT})),
    ("$[1]", CYCLE_OF_ONE),
    ("$.a[1]", {"a": CYCLE_OF_ONE}),
    ("$.vessels[0].fleet", CYCLE_OF_BOTH),
    ("$.shared[0]", {"shared": SHARED, "again": SHARED}),
    ("$" + "[0]" * 40, nested(40, leaf=FAULT)),
    ("$" + ".a" * 70, nested(70, "dict", leaf=FAULT)),
]


@pytest.mark.parametrize(("place", "value"), PLACES, ids=[place for place, _ in PLACES])
@pytest.mark.parametrize("indent", [None, 2])
def test_the_error_names_the_value_at_fault(
    folder: Path, oracle: Path, place: str, value: Any, indent: int | None
) -> None:
    options = {"indent": indent}
    expected = by_json(oracle, value, options)
    assert isinstance(expected, Exception)
    path = folder / "data.json"
    error = assert_refused(path, value, options, expected)
    assert isinstance(error, UnserializableError)
    assert error.place == place
    if not isinstance(expected, UnicodeError):
        # The position in a UnicodeEncodeError is one in the whole text.
        assert str(expected) in str(error)


# Each with what follows the path to it.
FAULTS: list[tuple[Any, str]] = [
    *((value, "") for value in (FAULT, NAN, float("inf"), "\ud800", b"", {1}, 1j, Opaque)),
    ({"": 1, (): 1}, "[key ()]"),
    (CYCLE_OF_ONE, "[1]"),
    (CYCLE_OF_BOTH, ".vessels[0].fleet"),
    (Berth("B1", NAN), "[1]"),
]
IDENTIFIERS = ["cost", "vessels", "_x1", "Öl", "a1_"]
ODD_KEYS = ["odd key", "a.b", "", "1st", "[0]", "$", 'say "hi"', "back\\slash", "tab\there", "-"]


@st.composite
def planted(draw: st.DrawFn) -> tuple[Any, str]:
    """A document with faults in it, and the place of the first."""
    value, place = draw(st.sampled_from(FAULTS))
    for _ in range(draw(st.integers(0, 8))):
        after = draw(st.sampled_from([None, {"k": ()}, FAULT]))
        if draw(st.booleans()):
            before = draw(st.lists(st.sampled_from([0, "x", [1], {"k": ()}]), max_size=3))
            place = f"[{len(before)}]{place}"
            value = draw(st.sampled_from([list, tuple, LoudlyTrueList]))([*before, value, after])
        else:
            key = draw(st.sampled_from(IDENTIFIERS + ODD_KEYS))
            place = (f".{key}" if key in IDENTIFIERS else f"[{json.dumps(key)}]") + place
            kind = draw(st.sampled_from([dict, collections.OrderedDict]))
            value = kind([("!", [1]), (key, value), ("~", after)])
    return value, f"${place}"


class LoudlyTrueList(list[Any]):
    """A subclass, to leave the native encoder for `json`."""


@examples(150)
@given(
    planting=planted(),
    options=st.fixed_dictionaries(
        {"indent": st.sampled_from(INDENTS), "ensure_ascii": st.just(False)}
    ),
)
def test_a_fault_planted_anywhere_is_found(
    folder: Path, oracle: Path, planting: tuple[Any, str], options: dict[str, Any]
) -> None:
    value, place = planting
    expected = by_json(oracle, value, options)
    assert isinstance(expected, Exception)
    error = assert_refused(folder / "data.json", value, options, expected)
    assert isinstance(error, UnserializableError)
    assert error.place == place


@pytest.mark.parametrize("key", ["a", "odd key"])
def test_a_long_place_is_shown_by_its_ends(folder: Path, key: str) -> None:
    value: Any = {"last": FAULT}
    for _ in range(150):
        value = {key: value}
    with pytest.raises(UnserializableError) as caught:
        save_json_atomic(folder / "data.json", value)
    place = caught.value.place
    assert place.startswith("$.a.a" if key == "a" else '$["odd key"]["odd key"]')
    assert "…" in place
    assert place.endswith(".last")
    assert len(place) < 200
    assert f" {place}: " in str(caught.value)


def test_sort_keys_with_keys_that_do_not_compare_names_the_dictionary(
    folder: Path, oracle: Path
) -> None:
    options = {"sort_keys": True}
    for mixed in ({"a": 1, 1: 2}, {None: 1, "null": 2}, {1: 1, "1": 1}):
        for value, place in ((mixed, "$"), ({"a": [0, mixed], "b": FAULT}, "$.a[1]")):
            expected = by_json(oracle, value, options)
            assert type(expected) is TypeError
            error = assert_refused(folder / "data.json", value, options, expected)
            assert isinstance(error, UnserializableError)
            assert error.place == place


def test_a_fault_in_what_default_returned_is_at_the_value_that_default_was_given(
    folder: Path,
) -> None:
    data = {"vessels": [{"eta": 1}, {"eta": Opaque()}]}
    for answer in (NAN, [1, NAN], {(): 1}, "\ud800", {"deep": [b""]}):

        def default(value: Any, answer: Any = answer) -> Any:
            return answer if isinstance(value, Opaque) else 1 / 0

        with pytest.raises(UnserializableError) as caught:
            save_json_atomic(folder / "data.json", data, default=default)
        assert caught.value.place == "$.vessels[1].eta"


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class KeyWithoutText:
    def __repr__(self) -> str:
        raise ZeroDivisionError

    __str__ = __repr__


class DictWithoutItems(dict[Any, Any]):
    def items(self) -> Any:
        raise UnprintableError


class ListWithoutItems(list[Any]):
    def __iter__(self) -> Iterator[Any]:
        raise LookupError


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"a": DictWithoutItems(x=1)}, "$.a"),
        ({"a": [1, ListWithoutItems([1])]}, "$.a[1]"),
        ([{KeyWithoutText(): 1}], "$[0]"),
        ([1, KeyWithoutText()], "$[1]"),
    ],
    ids=["items", "iterator", "key", "value"],
)
def test_values_that_raise_when_looked_at_are_named_without_looking_again(
    folder: Path, oracle: Path, value: Any, place: str
) -> None:
    expected = by_json(oracle, value, {})
    assert isinstance(expected, Exception)
    error = assert_refused(folder / "data.json", value, {}, expected)
    assert isinstance(error, UnserializableError)
    assert error.place.startswith(place)


def test_every_place_of_an_error_shows_only_the_files_name(tmp_path: Path) -> None:
    secret = tmp_path / "secret folder"
    secret.mkdir()
    path = secret / "tanks.json"
    with pytest.raises(UnserializableError) as unserializable:
        save_json_atomic(path, {"a": FAULT})
    path.write_bytes(b"[1,")
    with pytest.raises(CorruptFileError) as corrupt:
        load_data_file(path, strict=True)
    for error in (unserializable.value, corrupt.value):
        assert "tanks.json" in str(error)
        assert "secret" not in str(error)
        assert "/" not in str(error)
        assert "secret" not in repr(error)
        assert error.file_path == str(path)


# Callbacks


class BoomError(Exception):
    pass


class SlashError(Exception):
    """With a text that a client must not see."""


@pytest.mark.parametrize(
    "raised",
    [
        BoomError("boom"),
        TypeError("no"),
        ValueError("no"),
        KeyError("no"),
        OSError(28, "No space left on device", "/srv/secret/x.json"),
        RecursionError("no"),
        StopIteration("no"),
        StopAsyncIteration(),
        AssertionError(),
        UnprintableError(),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no"),
        json.JSONDecodeError("no", "doc", 1),
        LookupError("/srv/secret/x.json"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_default_raises_is_the_original_error(
    folder: Path, oracle: Path, raised: Exception
) -> None:
    def default(value: object) -> Any:
        raise raised

    value = {"ok": 1, "bad": [Opaque()]}
    options = {"default": default}
    expected = by_json(oracle, value, options)
    assert isinstance(expected, Exception)
    error = assert_refused(folder / "data.json", value, options, expected)
    if expected is raised:
        assert error.original_error is raised
    assert "secret" not in str(error)
    if not isinstance(raised, RecursionError):
        assert isinstance(error, UnserializableError)
        assert error.place == "$.bad[0]"


class AbandonError(BaseException):
    """No Exception: nobody's to catch."""


@pytest.mark.parametrize(
    "raised",
    [KeyboardInterrupt(), SystemExit(3), GeneratorExit(), AbandonError("stop")],
    ids=lambda error: type(error).__name__,
)
def test_what_is_no_exception_passes_through_default_untouched(
    folder: Path, raised: BaseException
) -> None:
    def default(value: object) -> Any:
        raise raised

    path = folder / "data.json"
    path.write_bytes(OLD)
    before = contents(folder)
    with pytest.raises(type(raised)) as caught:
        save_json_atomic(path, [Opaque()], default=default)
    assert caught.value is raised
    assert contents(folder) == before


def test_a_default_that_returns_its_argument_is_a_cycle(folder: Path, oracle: Path) -> None:
    options: dict[str, Any] = {"default": lambda value: value}
    value = {"a": [0, Opaque()]}
    expected = by_json(oracle, value, options)
    assert type(expected) is ValueError
    error = assert_refused(folder / "data.json", value, options, expected)
    assert isinstance(error, UnserializableError)
    assert error.place == "$.a[1]"


def test_a_default_without_end_is_too_deep(folder: Path, oracle: Path) -> None:
    for answer in (lambda value: Opaque(), lambda value: [Opaque()], lambda value: {"a": Opaque()}):
        options = {"default": answer}
        expected = by_json(oracle, Opaque(), options)
        assert type(expected) is RecursionError
        assert_refused(folder / "data.json", Opaque(), options, expected)


def growing_dict() -> tuple[Any, Callable[[Any], Any]]:
    data: dict[str, Any] = {"a": Opaque(), "b": 1}

    def default(value: Any) -> Any:
        data[f"more{len(data)}"] = 1
        return "grown"

    return data, default


def shrinking_dict() -> tuple[Any, Callable[[Any], Any]]:
    data: dict[str, Any] = {"a": Opaque(), "b": 1, "c": 2}

    def default(value: Any) -> Any:
        data.pop("c", None)
        return "shrunk"

    return data, default


def emptied_dict() -> tuple[Any, Callable[[Any], Any]]:
    data: dict[str, Any] = {"outer": {"a": Opaque()}, "b": 1}

    def default(value: Any) -> Any:
        data["outer"].clear()
        data["outer"] = None
        return ["kept"]

    return data, default


def growing_list() -> tuple[Any, Callable[[Any], Any]]:
    data: list[Any] = [Opaque(), 1]

    def default(value: Any) -> Any:
        if len(data) < 50:
            data.append(Opaque())
        return len(data)

    return data, default


def shrinking_list() -> tuple[Any, Callable[[Any], Any]]:
    data: list[Any] = [Opaque(), Opaque(), Opaque(), 4, 5]

    def default(value: Any) -> Any:
        data.pop()
        return "popped"

    return data, default


def emptied_list() -> tuple[Any, Callable[[Any], Any]]:
    data: list[Any] = [[1, 2], [Opaque(), "x", "y"], [3]]

    def default(value: Any) -> Any:
        for item in data:
            item.clear()
        data.clear()
        return None

    return data, default


def list_that_becomes_a_cycle() -> tuple[Any, Callable[[Any], Any]]:
    data: list[Any] = [Opaque()]

    def default(value: Any) -> Any:
        data.append(data)
        return {}

    return data, default


@pytest.mark.parametrize(
    "make",
    [
        growing_dict,
        shrinking_dict,
        emptied_dict,
        growing_list,
        shrinking_list,
        emptied_list,
        list_that_becomes_a_cycle,
    ],
)
@pytest.mark.parametrize("sort_keys", [False, True])
@pytest.mark.parametrize("indent", [None, 2])
def test_a_default_that_changes_what_is_being_written_does_so_for_json_too(
    folder: Path,
    oracle: Path,
    make: Callable[[], tuple[Any, Callable[[Any], Any]]],
    sort_keys: bool,
    indent: int | None,
) -> None:
    value, default = make()
    options: dict[str, Any] = {"sort_keys": sort_keys, "indent": indent}
    expected = by_json(oracle, value, options | {"default": default})
    path = folder / "data.json"
    path.write_bytes(OLD)
    value, default = make()
    if isinstance(expected, bytes):
        save_json_atomic(path, value, backup=False, default=default, **options)
        assert path.read_bytes() == expected
    else:
        assert_refused(path, value, options | {"default": default}, expected)


def test_finding_the_fault_ends_though_default_grows_the_list(folder: Path) -> None:
    data: list[Any] = [Opaque()]
    calls = 0

    def default(value: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise BoomError
        if calls > 1000:
            raise AbandonError("without end")
        data.append(Opaque())
        return 1

    with pytest.raises(UnserializableError) as caught:
        save_json_atomic(folder / "data.json", data, default=default)
    assert isinstance(caught.value.original_error, BoomError)


@pytest.mark.parametrize("same", [False, True], ids=["another file", "the same file"])
def test_default_may_save_and_load(folder: Path, oracle: Path, same: bool) -> None:
    path = folder / "data.json"
    inner = path if same else folder / "other.json"
    path.write_bytes(OLD)
    seen: list[Any] = []

    def default(value: Any) -> Any:
        seen.append(load_data_file(path, strict=True))
        save_json_atomic(inner, {"inner": len(seen)}, backup=False)
        seen.append(load_data_file(inner, strict=True))
        with pytest.raises(UnserializableError):
            save_json_atomic(inner, [FAULT])
        return seen[-1]

    data = {"a": Opaque(), "b": [Opaque()]}
    assert save_json_atomic(path, data, backup=False, default=default) is True
    old = {"old": True}
    last = {"inner": 1} if same else old
    assert seen == [old, {"inner": 1}, last, {"inner": 3}]
    assert load_data_file(path, strict=True) == {"a": {"inner": 1}, "b": [{"inner": 3}]}
    assert temporaries(folder) == []
    (folder / "other.json").unlink(missing_ok=True)


def test_default_is_not_called_for_what_json_writes_by_itself(folder: Path) -> None:
    def default(value: Any) -> Any:
        raise AbandonError(repr(value))

    for name, value in SPECIMENS.items():
        if isinstance(dumped(folder / "oracle", value, {}), bytes):
            (
                save_json_atomic(
                    folder / "data.json",
                    value,
                    ensure_ascii=True,
                    allow_nan=True,
                    default=default,
                    backup=False,
                ),
                name,
            )
    (folder / "oracle").unlink()


@pytest.mark.parametrize("default", [1, "x", [], {}, object()], ids=repr)
def test_a_default_that_cannot_be_called_fails_only_where_it_is_needed(
    folder: Path, oracle: Path, default: Any
) -> None:
    options = {"default": default}
    assert_saved_as_by_json(folder, oracle, [1, {}], options)
    assert_saved_as_by_json(folder, oracle, [Opaque()], options)
