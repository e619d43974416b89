"""Not UTF-8, not finite."""

from __future__ import annotations

from pathlib import Path

import pytest

from oasis_data import CorruptFileError, UnserializableError, load_data_file, save_json_atomic
from tests.bad_input.outcomes import assert_untouched
from tests.strategies import NOT_FINITE, exact


@pytest.mark.parametrize(
    ("data", "pos", "lineno", "colno"),
    [
        (b"\xff", 0, 1, 1),
        (b'{"name": "Caf\xe9"}', 13, 1, 14),
        (b'{"a": 1,\n "b": "\xc3("}', 16, 2, 8),
        ('{"漢": "'.encode() + b'\x80"}', 7, 1, 8),
        (b'["\xf0\x9f\x98"]', 2, 1, 3),
        # Counted as `json` counts, for which the mark is no part of the text.
        (b'\xef\xbb\xbf{"a": "\xff"}', 7, 1, 8),
        (b'\xef\xbb\xbf[1,\n "\xc3\xa9\xc3"]', 7, 2, 4),
    ],
)
def test_a_file_that_is_not_utf8_is_corrupt_at_its_first_such_byte(
    path: Path, data: bytes, pos: int, lineno: int, colno: int
) -> None:
    path.write_bytes(data)
    with pytest.raises(CorruptFileError) as caught:
        load_data_file(path, strict=True)
    error = caught.value
    assert isinstance(error.original_error, UnicodeDecodeError)
    assert (error.pos, error.lineno, error.colno) == (pos, lineno, colno)
    assert "utf-8" in str(error)
    assert load_data_file(path, default=["spare"]) == ["spare"]
    assert path.read_bytes() == data


@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["without mark", "with mark"])
@pytest.mark.parametrize(
    ("text", "pos", "lineno", "colno"),
    [
        ("[1 2]", 3, 1, 4),
        ('["é",\n é]', 7, 2, 2),
        ("é" + "[" * 2000, 0, 1, 1),
        ('{"é":\n ' + "[" * 500_000, 7 + 499_999, 2, 2 + 499_999),
        ('["é", 12,\n' + "7" * 50_000, 10, 2, 1),
    ],
    ids=["no comma", "letter", "letter before depth", "depth", "digits"],
)
def test_a_mark_before_the_text_is_not_counted(
    path: Path, mark: str, text: str, pos: int, lineno: int, colno: int
) -> None:
    path.write_text(mark + text, encoding="utf-8")
    with pytest.raises(CorruptFileError) as caught:
        load_data_file(path, strict=True)
    error = caught.value
    assert (error.pos, error.lineno, error.colno) == (pos, lineno, colno)


@pytest.mark.parametrize("number", NOT_FINITE, ids=str)
def test_what_is_not_finite_is_written_only_if_allowed(path: Path, number: float) -> None:
    value = {"cost": [1.5, number]}
    with pytest.raises(UnserializableError) as caught:
        save_json_atomic(path, value)
    assert caught.value.place == "$.cost[1]"
    assert_untouched(path)
    save_json_atomic(path, value, allow_nan=True)
    assert exact(load_data_file(path, strict=True)) == exact(value)
