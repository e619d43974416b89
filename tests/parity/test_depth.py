"""Documents as deep as the native encoder goes, and as deep as `json` goes."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from oasis_data import CorruptFileError, UnserializableError, load_data_file, save_json_atomic
from tests.conftest import temporaries
from tests.parity.comparison import OLD, assert_saved_as_by_json, by_json
from tests.strategies import Opaque, exact, nested


def raised(act: Callable[[], object]) -> Exception | None:
    """What the call raises."""
    try:
        act()
    except Exception as error:
        return error
    return None


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
if sys.version_info >= (3, 14):
    # The limit is the stack, of which a call takes as much as many levels of a text.
    OWN_CALLS = 300


def with_much_stack(act: Callable[[], None]) -> None:
    """Acts where the native encoder, in a debug build too, has stack for more than `json` does."""
    if sys.version_info >= (3, 14):
        act()  # there the limit of `json` is the stack
        return
    before = threading.stack_size(64 << 20)
    try:
        with ThreadPoolExecutor(1) as thread:
            thread.submit(act).result()
    finally:
        threading.stack_size(before)


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

    def compare() -> None:
        limit = deepest(json_writes, 4_000)
        assert package_writes(limit - OWN_CALLS)
        for depth in (limit - 1, limit, limit + 1):
            package_writes(depth)
        assert not package_writes(limit + OWN_CALLS + 1)

    with_much_stack(compare)


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

    limit = deepest(json_reads, 400_000)
    assert package_reads(limit - OWN_CALLS)
    for depth in (limit - 1, limit, limit + 1):
        package_reads(depth)
    assert not package_reads(limit + OWN_CALLS + 1)
