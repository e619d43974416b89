"""Texts in every spelling, damaged ones too, read or refused as by `json.loads`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oasis_data import UnserializableError, load_data_file, save_json_atomic
from tests.parity.comparison import assert_loaded_as_by_json
from tests.parity.specimens import SPECIMENS
from tests.strategies import (
    NOT_FINITE,
    described,
    exact,
    examples,
    plain_leaves,
    plain_trees,
    texts,
)

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
