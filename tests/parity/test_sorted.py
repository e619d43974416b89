"""Dictionaries with `sort_keys`, in the order in which `json` writes them."""

from __future__ import annotations

import collections
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oasis_data import save_json_atomic, stats
from tests.parity.comparison import DEFAULTS, by_json
from tests.parity.test_subclasses import assert_same
from tests.strategies import Grade, LoudText, Name

WORDS = ["", "a", "ab", "abc", "b", "B", "tank", "tank1", "tank10", "tank2", '"', "\n", "~", " "]
LETTERS = ["é", "ÿ", "Ā", "ก", "漢字", "\uffff", "\U0001f600", "zé", "aก", "a\U0001f600"]


def shuffled(keys: list[Any]) -> dict[Any, Any]:
    """The keys in no order, each with a value that does not compare."""
    keys = random.Random(len(keys)).sample(keys, len(keys))
    return {key: {"b": index, "a": None} for index, key in enumerate(keys)}


class Backwards(str):
    """A text that comes before all that it comes after."""

    __slots__ = ()

    def __lt__(self, other: str) -> bool:
        return str.__gt__(self, other)


SORTED: dict[str, Callable[[], Any]] = {
    "ASCII": lambda: shuffled(WORDS),
    "other letters": lambda: shuffled(LETTERS),
    "all kinds of letters": lambda: shuffled(WORDS + LETTERS),
    "many keys": lambda: shuffled([f"{number:x}" for number in range(300)]),
    "halves of a pair": lambda: shuffled(["\ud800", "\udfff", "\U00010000", "\uffff", "a"]),
    "numbers": lambda: shuffled([10, 9, -1, 0, 2**70, 1.5]),
    "numbers and truth": lambda: shuffled([True, 0, 7]),
    "numbers and text": lambda: {"1": 1, 1: 2},
    "None alone": lambda: {None: 1},
    "None and text": lambda: {"a": 1, None: 2},
    "enumerations": lambda: shuffled([Name.ARAB_LIGHT, "m", "a"]),
    "enumerated numbers": lambda: shuffled([Grade.LIGHT, 0, 5]),
    "subclasses of str": lambda: shuffled([LoudText("b"), "a", "c"]),
    "a str with an order of its own": lambda: shuffled([Backwards(each) for each in "abc"]),
    "both kinds of str": lambda: shuffled([Backwards("b"), "a", "c"]),
    "tuples": lambda: {(2, 1): 1, (1, 2): 2},
    "OrderedDict": lambda: collections.OrderedDict(shuffled(WORDS)),
    "defaultdict": lambda: collections.defaultdict(list, shuffled(WORDS + LETTERS)),
    "Counter": lambda: collections.Counter("the quick brown fox"),
    "a Counter of numbers": lambda: collections.Counter([3, 1, 2, 1]),
}


@pytest.mark.parametrize("name", SORTED)
@pytest.mark.parametrize("ensure_ascii", [False, True])
def test_keys_are_in_the_order_of_json(
    folder: Path, oracle: Path, name: str, ensure_ascii: bool
) -> None:
    assert_same(folder, oracle, SORTED[name], sort_keys=True, ensure_ascii=ensure_ascii)


def test_keys_of_text_are_put_in_order_without_json(folder: Path) -> None:
    before = stats()["encode_fallbacks"]
    save_json_atomic(folder / "data.json", shuffled(WORDS + LETTERS), sort_keys=True)
    assert stats()["encode_fallbacks"] == before


@pytest.mark.parametrize("change", ["clear", "update", "popitem"])
def test_a_dictionary_may_change_once_its_keys_are_in_order(
    folder: Path, oracle: Path, change: str
) -> None:
    """`json` goes through a list of its own: what was in the dictionary is written."""

    def made() -> tuple[Any, dict[str, Any]]:
        document: dict[str, Any] = {"b": [object()], "a": object(), "c": [1.5]}

        def default(_: object) -> Any:
            if change == "update":
                document.update({f"more{number}": 1 for number in range(100)})
            elif document:
                getattr(document, change)()
            return [len(document)]

        return document, {"sort_keys": True, "default": default}

    document, options = made()
    expected = by_json(oracle, document, options)
    assert isinstance(expected, bytes)
    document, options = made()
    assert save_json_atomic(folder / "data.json", document, **{**DEFAULTS, **options})
    assert (folder / "data.json").read_bytes() == expected
