"""The codec against `json`, on more inputs than a disk would take.

`OASIS_INPUTS` sets how many; 10000000 changed texts take ten minutes.
"""

from __future__ import annotations

import gc
import json
import math
import os
import random
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from oasis_data import (
    CorruptFileError,
    JSONReadError,
    JSONWriteError,
    _native,
    configure,
    edit_json,
    load_data_file,
    save_json_atomic,
    stats,
)
from oasis_data._native import decode
from tests.strategies import FLOATS, INTEGERS, LETTERS, exact, examples, plain_trees
from tests.test_json_vectors import ACCEPTED, LENIENT

INPUTS = int(os.environ.get("OASIS_INPUTS", "100000"))
SEED = 20_26_11

SAMPLES = Path(__file__).parent.parent / "examples" / "backend" / "sample_data"
PIECES = [
    *(b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b"\\u", b"\\ud83d\\ude00", b"\\ud800", b"e"),
    *(b"-", b".", b"0", b"1", b"99999999", b"1e308", b"1e-400", b"-0", b"-0.0", b"E+", b"\n", b" "),
    *(b"\t", b"\r", b"\0", b"\x7f", b"\x1f", b"\x80", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf"),
    *(b"true", b"false", b"null", b"NaN", b"Infinity", b"123456789012345678901234567890"),
    *(b'"a": 1', b'"a"', b"                 ", "é".encode(), "漢".encode(), "\U0001f600".encode()),
]


def encode(value: Any, indent: int | str | None, **options: Any) -> bytes:
    """What a save would write."""
    return bytes(_native.encode(value, _native.EncodeOptions(indent=indent, **options)))


def texts() -> list[bytes]:
    """Texts to start from: the vectors, and pieces of the example's documents."""
    short = [*ACCEPTED.values(), *LENIENT.values()]
    short.extend(json.dumps(each).encode() for each in (FLOATS, INTEGERS, LETTERS))
    for path in sorted(SAMPLES.rglob("*.json")):
        document = json.loads(path.read_bytes())
        parts = list(document.values()) if isinstance(document, dict) else document
        short.extend(json.dumps(part, indent=2).encode() for part in (document, *parts))
    return [text for text in short if 0 < len(text) <= 600]


KINDS = [b"0123456789", b"abcdefnrtuxyz", b" \n\t\r", b"+-", b"eE", b"{[", b"}]", b'"\\/']


def changed(text: bytes, source: random.Random) -> bytes:
    """The text after changes that keep some of it JSON, and the rest close to it."""
    if source.randrange(4):
        # A few characters, each for another of its kind.
        new = bytearray(text)
        for _ in range(source.randrange(1, 9)):
            place = source.randrange(len(new))
            kind = next((kind for kind in KINDS if new[place] in kind), b"")
            new[place : place + 1] = source.choices(kind or new[place : place + 1])
        return bytes(new)
    for _ in range(source.choice((1, 1, 1, 2, 3))):
        start = source.randrange(len(text) + 1)
        end = min(len(text), start + source.choice((0, 0, 1, 1, 2, 8)))
        way = source.randrange(4)
        if way == 0:
            piece = source.choice(PIECES)
        elif way == 1:
            piece = bytes([source.randrange(256)])
        elif way == 2:
            other = source.randrange(len(text) + 1)
            piece = text[other : other + source.choice((1, 4, 20))]
        else:
            piece = b""
        text = text[:start] + piece + text[end:]
    return text


def outcome(act: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """The text of what comes of it: of a value all types, bits and their order."""
    try:
        return repr(act(*arguments, **options))
    except CorruptFileError as error:
        return type(error.original_error), str(error.original_error)
    except (ValueError, RecursionError) as error:
        return type(error), str(error)


def test_changed_texts_are_read_and_written_as_by_json() -> None:
    source = random.Random(SEED)
    starts = texts()
    before = stats()["decode_fallbacks"]
    read = written = 0
    for number in range(INPUTS):
        data = changed(source.choice(starts), source)
        expected = outcome(json.loads, data)
        found = outcome(decode, data, copied=number % 2 == 0)
        assert found == expected, f"input {number} of seed {SEED}: {data!r}"
        if isinstance(expected, str):
            read += 1
            document = json.loads(data)
            indent = (None, 0, 1, 2, 4, "\t")[number % 6]
            try:
                text = json.dumps(document, indent=indent, ensure_ascii=False).encode()
            except UnicodeEncodeError:  # lone surrogates
                continue
            assert encode(document, indent=indent, allow_nan=True) == text, f"{data!r}"
            written += 1
    # Neither all of one kind, nor `json` compared with itself.
    assert INPUTS / 5 < written <= read < INPUTS * 4 / 5
    assert stats()["decode_fallbacks"] - before < (INPUTS - read) + read / 5


@examples(100)
@given(document=plain_trees())
def test_a_plain_document_is_read_natively(document: Any) -> None:
    before = stats()["decode_fallbacks"]
    for indent in (None, 1, 2):
        text = json.dumps(document, indent=indent, ensure_ascii=False).encode()
        assert exact(decode(text)) == exact(json.loads(text))
        assert exact(decode(text, copied=True)) == exact(json.loads(text))
    escaped = json.dumps(document).encode()
    assert exact(decode(escaped)) == exact(json.loads(escaped))
    assert stats()["decode_fallbacks"] == before


def numbers(count: int) -> Iterator[str]:
    """Numbers of every length, many of them close to halfway between two floats."""
    source = random.Random(SEED)
    for number in range(count):
        digits = str(source.getrandbits(source.randrange(1, 70)))
        match number % 4:
            case 0:
                point = source.randrange(len(digits))
                yield f"{digits[: point + 1].lstrip('0') or '0'}.{digits[point + 1 :] or '0'}"
            case 1:
                yield f"-0.{'0' * source.randrange(4)}{digits}"
            case 2:
                yield f"{digits}e{source.randrange(-340, 320)}"
            case _:
                # Halfway, and a little beside it: the digits of such a number
                # that have to be looked at are more than any float has.
                bits = struct.pack("<Q", source.getrandbits(63) % (2046 << 52))
                low = float(struct.unpack("<d", bits)[0])
                if not 1e-5 < low < 1e15:
                    low = abs(source.gauss(0, 1000))
                high = math.nextafter(low, math.inf)
                middle = (int(low * 2**70) + int(high * 2**70)) * 10**18 // 2**71
                yield f"{middle // 10**18}.{middle % 10**18:018}"


@pytest.mark.parametrize("odd", ['"', "\n", "\x1f", "é", "漢", "😀"])
def test_a_character_at_every_place_is_written_as_by_json(odd: str) -> None:
    texts = [
        "x" * place + odd + "y" * (length - place)
        for length in range(140)
        for place in range(length + 1)
    ]
    assert encode(texts, indent=None) == json.dumps(texts, ensure_ascii=False).encode()
    assert _native.decode(encode(texts, indent=None)) == texts


def test_every_character_is_written_as_by_json() -> None:
    points = (*range(0xD800), *range(0xE000, 0x110000))
    texts = ["".join(map(chr, points[at : at + 99])) for at in range(0, len(points), 99)]
    assert encode(texts, indent=None) == json.dumps(texts, ensure_ascii=False).encode()


@pytest.mark.parametrize("half", [0xD800, 0xDBFF, 0xDC00, 0xDFFF])
@pytest.mark.parametrize("text", ["漢", "😀"])
def test_half_of_a_surrogate_pair_is_not_written(half: int, text: str) -> None:
    with pytest.raises(JSONWriteError):
        encode([text + chr(half)], indent=None)


@pytest.mark.parametrize("indent", [0, 1, 2, 7, 40, "\t", " \t", "é"])
def test_every_depth_is_indented_as_by_json(indent: int | str) -> None:
    document: Any = []
    for depth in range(60):
        document = {"a": [depth], "b": document, "c": [[], [depth]]}
    text = json.dumps(document, indent=indent, ensure_ascii=False).encode()
    assert encode(document, indent=indent) == text


def test_a_million_numbers_are_read_as_by_json() -> None:
    before = stats()["decode_fallbacks"]
    found = list(numbers(max(1_000_000, INPUTS // 10)))
    text = "[" + ",".join(found) + "]"
    mine, theirs = decode(text.encode()), json.loads(text)
    assert stats()["decode_fallbacks"] == before
    assert [*map(repr, mine)] == [*map(repr, theirs)]


def doubles(count: int) -> Iterator[float]:
    """Doubles of random bits, and of few digits, as amounts have them."""
    source = random.Random(SEED)
    for number in range(count):
        match number % 4:
            case 0:
                yield struct.unpack("<d", struct.pack("<Q", source.getrandbits(64)))[0]
            case 1:
                yield source.randrange(-(10**6), 10**6) / 10 ** source.randrange(8)
            case 2:
                yield source.getrandbits(source.randrange(1, 64)) / 100
            case _:
                yield float(f"{source.getrandbits(60)}e{source.randrange(-30, 5)}")


def test_two_million_doubles_are_written_as_by_json() -> None:
    found = [each for each in doubles(max(2_000_000, INPUTS // 5)) if math.isfinite(each)]
    found.extend(sign * 10.0**power for power in range(-320, 308) for sign in (1, -1))
    found.extend(math.nextafter(10.0**power, 0) for power in range(-320, 308))
    before = stats()["encode_fallbacks"]
    assert encode(found, indent=None) == json.dumps(found).encode()
    assert stats()["encode_fallbacks"] == before


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("text", [b'{"a": [1, {}]}', b'{"a": [1, {}', b"[NaN]"])
def test_the_collector_is_left_as_it_was(enabled: bool, text: bytes) -> None:
    was_enabled = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        outcome(decode, text, copied=True)
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if was_enabled else gc.disable)()


def test_a_collection_at_every_moment_changes_nothing() -> None:
    document = [{f"key {n}": [n, {"a": [n / 3]}, "text"] for n in range(50)} for _ in range(20)]
    text = json.dumps(document, indent=2).encode()
    thresholds = gc.get_threshold()
    runs = [0]

    def count(phase: str, _: dict[str, int]) -> None:
        runs[0] += phase == "start"

    gc.callbacks.append(count)
    gc.set_threshold(1, 1, 1)
    try:
        for _ in range(10):
            # What is still held back at the end falls into the next of these.
            assert [decode(text)] == [document]
            assert [decode(text, copied=True)] == [document]
            assert [decode(b"[NaN, {}]")] != [document]
            assert [encode(document, indent=2)] == [text]
    finally:
        gc.set_threshold(*thresholds)
        gc.callbacks.remove(count)
    assert runs[0] > 5


def test_no_collection_falls_into_a_decoding() -> None:
    text = json.dumps([[n] for n in range(50_000)]).encode()
    starts: list[str] = []

    def note(phase: str, _: dict[str, int]) -> None:
        starts.append(phase)

    gc.collect()
    gc.callbacks.append(note)
    try:
        document = decode(text)
        during = len(starts)
    finally:
        gc.callbacks.remove(note)
    # The first container that is made afterwards may be one too many.
    assert during <= 2
    assert len(document) == 50_000


def test_values_are_held_as_often_as_they_are_there() -> None:
    name, text, number, inner = "a name of its own", "a text", 2**40 + 1.5, [1]
    document = {name: [text, number, inner], "again": [text, number, inner]}
    held = [name, text, number, inner, document]
    before = [sys.getrefcount(each) for each in held]
    for _ in range(1_000):
        encode(document, indent=2)
    assert [sys.getrefcount(each) for each in held] == before


def test_what_is_decoded_is_nobody_elses() -> None:
    text = b'{"one name": ["a text", 1099511627777, 1.5, [], {}], "another name": {"x": [[]]}}'
    for copied in (False, True):
        document = decode(text, copied=copied)
        parts: list[Any] = [document]
        for part in parts:
            parts.extend(part.values() if isinstance(part, dict) else part)
            parts[:] = [each for each in parts if isinstance(each, (dict, list))]
        for part in parts:
            # One each from the container, the list here, the loop and the call.
            assert sys.getrefcount(part) <= 4
            part.clear()
        assert decode(text, copied=copied) == json.loads(text)


class Vandal:
    """What no encoder knows; whoever asks for it has his document changed."""


@pytest.mark.parametrize("change", ["clear", "append", "replace"])
@pytest.mark.parametrize("kind", ["list", "dict"])
def test_a_default_that_changes_the_document_ends_nothing(kind: str, change: str) -> None:
    def document() -> Any:
        values = [[n] for n in range(100)]
        values[50:50] = [Vandal()]  # type: ignore[list-item]
        return values if kind == "list" else {str(n): value for n, value in enumerate(values)}

    def act(write: Callable[[Any, Callable[[Any], Any]], Any]) -> Any:
        value = document()

        def default(_: Any) -> Any:
            if change == "clear":
                value.clear()
            elif kind == "list":
                value[:] = [*value, "more"] if change == "append" else ["new"] * len(value)
            elif change == "append":
                value["more"] = 1
            else:
                value.update(dict.fromkeys(value, "new"))
            return "vandalised"

        try:
            return write(value, default)
        except RuntimeError as error:
            return type(error), str(error)
        except Exception as error:
            return type(error.__cause__ or error.original_error), str(error.original_error)  # type: ignore[attr-defined]

    mine = act(lambda value, default: encode(value, indent=2, default=default))
    theirs = act(
        lambda value, default: "".join(
            json.JSONEncoder(indent=2, ensure_ascii=False, default=default).iterencode(value)
        ).encode()
    )
    assert mine == theirs


class Changing(str):
    """A name whose text, when it is asked for, changes the document it is in."""

    document: dict[str, Any]

    def __str__(self) -> str:
        self.document.clear()
        return "changed"

    __repr__ = __str__


def test_a_name_that_changes_the_document_ends_nothing() -> None:
    name = Changing("name")
    name.document = {f"{n}": [n] for n in range(20)}
    name.document[name] = [name]
    expected = json.dumps(dict(name.document), ensure_ascii=False, indent=2).encode()
    assert encode(name.document, indent=2) == expected


def test_a_copy_of_what_was_lent_and_changed_ends_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('{"a": [[1], [2], [3]], "b": {"c": {}}}')
    lent = load_data_file(path, copy=False)
    load_data_file(path)
    # Against the rules: it is lent for reading.
    lent["a"].clear()
    del lent["b"]
    load_data_file(path)
    lent.clear()
    assert isinstance(load_data_file(path), dict)


def test_a_depth_of_any_size_is_copied(tmp_path: Path) -> None:
    for depth in (199, 200, 201, 900):
        text = b"[" * depth + b'{"a": [1]}' + b"]" * depth
        assert exact(decode(text, copied=True)) == exact(json.loads(text))
    with pytest.raises(JSONReadError):
        decode(b"[" * 100_000)


def test_names_that_differ_in_one_place_stay_apart() -> None:
    for length in range(1, 40):
        names = ["n" * place + "m" + "n" * (length - place - 1) for place in range(length)]
        names += ["n" * length, "n" * length + "é"]
        document = dict.fromkeys(names, 0)
        text = json.dumps(document, ensure_ascii=False).encode()
        for _ in range(2):
            assert list(decode(text)) == names
    # More than are kept, so that many come into the place of another one.
    for before, after in (
        ("", ""),
        ("n" * 8, ""),
        ("n" * 16, ""),
        ("", "n" * 16),
        ("n" * 8, "n" * 8),
    ):
        names = [f"{before}{number:08}{after}" for number in range(5_000)]
        assert list(decode(json.dumps(dict.fromkeys(names, 0)).encode())) == names


def test_what_copies_take_counts_towards_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    text = json.dumps([[n] for n in range(100)])
    path.write_text(text)
    os.utime(path, (1, 1))
    load_data_file(path)
    before = stats()["cache_bytes"]
    load_data_file(path)
    grown = stats()["cache_bytes"] - before
    # A pointer at least for each container, and once only.
    assert 8 * 100 < grown < 100 * 100
    load_data_file(path)
    assert stats()["cache_bytes"] - before == grown
    configure(cache_bytes=before + grown - 1)
    assert stats()["cache_entries"] == 0


def test_a_copy_is_made_from_what_is_kept_and_never_lent(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('{"a": [{"b": [1]}]}')
    os.utime(path, (1, 1))
    seen = [load_data_file(path) for _ in range(4)]
    lent = load_data_file(path, copy=False)
    seen.append(lent)
    seen.extend(load_data_file(path) for _ in range(2))
    inner = [id(part) for each in seen for part in (each, each["a"], each["a"][0]["b"])]
    assert len(set(inner)) == len(inner)
    assert load_data_file(path, copy=False) is lent


def test_no_string_of_the_callers_grows(tmp_path: Path) -> None:
    """Asked for its UTF-8, the interpreter keeps a copy in the string for good."""
    kinds = ["caf\xe9 " * 9, "\u6f22\u5b57 " * 9, "\U0001f600 " * 9, "ascii " * 9]
    texts = ["".join((text, "!")) for text in kinds]
    names = ["".join((text, "?")) for text in kinds]
    path = str(tmp_path / "".join(("\xe9", "\u6f22", ".json")))
    indent = "".join(("\xe9", "\u6f22"))
    held = [*texts, *names, path, indent]
    before = [sys.getsizeof(each) for each in held]
    document: Any = dict(zip(names, texts, strict=True))
    for options in ({}, {"indent": indent}, {"sort_keys": True}, {"allow_nan": True}):
        save_json_atomic(path, [document, 1.5], **options)
    with edit_json(path) as edited:
        edited.append(document)
    load_data_file(path)
    for name in names:
        with pytest.raises(JSONWriteError):
            save_json_atomic(path, {**document, name: object()})
        with pytest.raises(JSONWriteError):
            save_json_atomic(path, {(name,): 1})
    assert [sys.getsizeof(each) for each in held] == before
