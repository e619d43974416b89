"""Nested too deep, or in itself."""

from __future__ import annotations

import collections
import json
from pathlib import Path
from typing import Any

import pytest

from oasis_data import CorruptFileError, UnserializableError, load_data_file, save_json_atomic
from tests.bad_input.outcomes import alone, assert_untouched
from tests.strategies import nested

# Too deep

BOMBS = {
    "lists": ("[", "]"),
    "lists unclosed": ("[", ""),
    "objects": ('{"a":', "}"),
    "objects unclosed": ('{"a":', ""),
    "both": ('[{"a":', "}]"),
    "both unclosed": ('[{"a":', ""),
    "lists with neighbours": ("[1,", ",2]"),
    "lists on lines of their own": ("[\n", ""),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_file_nested_five_million_deep_is_corrupt(path: Path, name: str) -> None:
    opening, closing = BOMBS[name]
    code = """
opening, closing, depth = sys.argv[2], sys.argv[3], 5_000_000
path.write_text(opening * depth + "0" + closing * depth)
print(outcome(lambda: load_data_file(path, strict=True)))
print(outcome(lambda: load_with_version(path)))
print(load_data_file(path), load_data_file(path, default=None))
save_json_atomic(path, {"mended": True}, backup=False)
print(load_data_file(path))
"""
    corrupt = "CorruptFileError from RecursionError"
    printed = alone(code, path.parent, opening, closing)
    assert printed == [corrupt, corrupt, "{} None", "{'mended': True}"]


def test_the_depth_of_a_bomb_is_told(path: Path) -> None:
    path.write_text('{"a": [[]],\n"b": ' + "[" * 100_000 + "1" + "]" * 100_000 + "}")
    with pytest.raises(CorruptFileError) as caught:
        load_data_file(path, strict=True)
    error = caught.value
    assert "100001" in str(error)
    assert error.lineno == 2
    assert error.colno == 5 + 100_000
    assert error.pos == 12 + 5 + 100_000 - 1
    assert len(str(error)) < 300


@pytest.mark.parametrize("kind", ["list", "dict", "tuple", "mixed"])
def test_a_document_nested_a_hundred_thousand_deep_is_refused(path: Path, kind: str) -> None:
    code = """
sys.path.insert(0, sys.argv[2])
from tests.strategies import nested
for leaf in (None, object()):
    value = nested(100_000, sys.argv[3], leaf)
    for options in ({}, {"indent": None}, {"sort_keys": True}, {"ensure_ascii": True},
                    {"default": str}, {"default": lambda value: [value]}):
        print(outcome(lambda: save_json_atomic(path, value, **options)))
        print(outcome(lambda: save_json_atomic(path, {"a": [1, value]}, **options)))
        assert_untouched()
print(outcome(lambda: save_json_atomic(path, [object(), value])))
assert_untouched()
"""
    root = Path(__file__).parents[2]
    printed = alone(code, path.parent, root, kind)
    assert printed[-1] == "UnserializableError from TypeError"
    assert printed[:-1] == ["UnserializableError from RecursionError"] * 24
    assert_untouched(path)


# Cycles


class Box(list[Any]):
    pass


def cycles() -> dict[str, Any]:
    of_list: list[Any] = [1]
    of_list.append(of_list)
    of_dict: dict[str, Any] = {"a": 1}
    of_dict["me"] = of_dict
    of_both: dict[str, Any] = {"a": [{"b": ()}]}
    of_both["a"][0]["c"] = of_both["a"]
    of_tuple: list[Any] = []
    of_tuple.append((1, (of_tuple,)))
    many: list[Any] = []
    many.extend([many] * 1000)
    one: list[Any] = []
    other: list[Any] = [one]
    one.append(other)
    of_subclass = Box()
    of_subclass.append(of_subclass)
    of_ordered: Any = collections.OrderedDict()
    of_ordered["me"] = [of_ordered]
    loop: list[Any] = []
    loop.append(nested(150, "mixed", loop))
    long_loop: list[Any] = []
    long_loop.append(nested(250, "mixed", long_loop))
    return {
        "a list in itself": of_list,
        "a dict in itself": of_dict,
        "a dict in a list in itself": of_both,
        "a list in a tuple in itself": of_tuple,
        "a list in itself a thousand times": many,
        "two lists in each other": one,
        "a list of its own in itself": of_subclass,
        "an ordered dict in itself": of_ordered,
        "a long loop": loop,
        "a loop longer than the native encoder's limit": long_loop,
        "deep down": nested(100, "list", of_dict),
        "deeper than the native encoder's limit": nested(250, "dict", many),
        "a dict of which every value is itself": {str(n): many for n in range(1000)},
    }


@pytest.mark.parametrize("options", [{}, {"indent": None, "sort_keys": True}, {"default": str}])
@pytest.mark.parametrize("name", cycles())
def test_a_cycle_is_refused_as_by_json(path: Path, name: str, options: dict[str, Any]) -> None:
    value = cycles()[name]
    with pytest.raises(ValueError, match="Circular reference"):
        json.dumps(value, **options)
    with pytest.raises(UnserializableError) as caught:
        save_json_atomic(path, value, **options)
    error = caught.value
    assert type(error.original_error) is ValueError
    assert error.place.startswith("$")
    assert len(str(error)) < 500
    assert_untouched(path)
