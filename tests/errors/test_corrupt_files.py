"""Corrupt files: at fault where `json` says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from oasis_data import CorruptFileError, load_data_file
from tests.errors.classes import READ
from tests.errors.telling import LOADS, assert_told_well, raised

CORRUPT = [
    b"",
    b" ",
    b"\n\n",
    b"{",
    b"}",
    b"[",
    b"[1",
    b"[1,",
    b"[1,]",
    b'{"a"}',
    b'{"a":}',
    b'{"a" 1}',
    b'{"a": 1,}',
    b"{'a': 1}",
    b"{1: 2}",
    b'{"a": 1}}',
    b'{"a": 1} {"b": 2}',
    b'{"a": 1\n, "b": 2\n "c": 3}',
    b'[1,\r\n 2,\r\n x]',
    b"[\n\n\n1 2]",
    b'"abc',
    b'"a\nb"',
    b'"\\x"',
    b'"\\u12"',
    b"nul",
    b"True",
    b"01",
    b"1.",
    b"-",
    b"[1]\x00",
    "[\"ä€😀\", \"ä\n€\", 😀]".encode(),
    "\ufeff[1, 2".encode(),
    "[1,\n 2".encode("utf-16"),
    "[1,\n 2".encode("utf-32-be"),
    b'{"filler": "' + b"x" * 100_000 + b'", }',
]  # fmt: skip


@pytest.mark.parametrize("content", CORRUPT, ids=lambda content: repr(content[:30]))
@pytest.mark.parametrize("load", LOADS)
def test_corrupt_file_is_at_fault_where_json_says(
    path: Path, content: bytes, load: Callable[[Path], object]
) -> None:
    with pytest.raises(json.JSONDecodeError) as expected:
        json.loads(content)
    path.write_bytes(content)

    error = raised(lambda: load(path))

    assert_told_well(error, CorruptFileError, path, READ)
    assert isinstance(error, CorruptFileError)
    place = (expected.value.lineno, expected.value.colno, expected.value.pos)
    assert (error.lineno, error.colno, error.pos) == place
    assert error.msg == expected.value.msg
    assert "line {} column {} (char {})".format(*place) in str(error)
    assert isinstance(error.original_error, json.JSONDecodeError)
    # The document may be large, and may be secret.
    assert error.doc == ""
    assert len(str(error)) < 300
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b"\xff", (1, 1, 0)),
        (b'["a",\n "\xe4"]', (2, 3, 8)),
        ('["ä€😀", "'.encode() + b"\x80", (1, 10, 9)),
    ],
)
def test_text_in_another_encoding_is_corrupt_where_it_begins(
    path: Path, content: bytes, place: tuple[int, int, int]
) -> None:
    path.write_bytes(content)

    error = raised(lambda: load_data_file(path, strict=True))

    assert_told_well(error, CorruptFileError, path, READ)
    assert isinstance(error, CorruptFileError)
    assert (error.lineno, error.colno, error.pos) == place
    assert isinstance(error.original_error, UnicodeDecodeError)
