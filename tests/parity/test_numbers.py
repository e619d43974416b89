"""Floats of any bits and integers of any length, written and read as by `json`."""

from __future__ import annotations

import math
import random
import struct
import sys
from pathlib import Path

import pytest

from oasis_data import UnserializableError, load_data_file, save_json_atomic, stats
from tests.conftest import require
from tests.parity.comparison import assert_loaded_as_by_json, assert_saved_as_by_json
from tests.strategies import exact


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
