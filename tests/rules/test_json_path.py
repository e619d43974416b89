"""JSONPath: the loops for simple paths find what the library finds, and at the same places."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonpath import JSONPathEnvironment

from oasis_data.rules.json_path import JSONPath, JSONPathError, reason_of
from tests.strategies import examples

NAMES = st.sampled_from(["a", "b", "~", "*", "a b", "ä", "0", "'", ""])
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)
LIBRARY = JSONPathEnvironment()


def quoted(name: str) -> str:
    return "['" + name.replace("'", "\\'") + "']"


STEPS = st.one_of(
    NAMES.map(quoted),
    st.lists(NAMES, min_size=2, max_size=3).map(
        lambda names: "[" + ",".join(quoted(name)[1:-1] for name in names) + "]"
    ),
    st.sampled_from(["[*]", ".*", "[~]", ".~", ".a", ".b"]),
    st.integers(-3, 3).map("[{}]".format),
)
PATHS = st.lists(STEPS, max_size=4).map(lambda steps: "$" + "".join(steps))


@examples(400)
@given(PATHS, DOCUMENTS)
def test_loops_find_what_the_library_finds(text: str, document: Any) -> None:
    path = JSONPath(text)
    assert path._steps is not None
    found = list(path._found_by_library(document))
    if text == "$":
        found = [((), document)]

    assert path.values(document) == [value for _, value in found]
    assert list(path.found(document)) == found


@examples(100)
@given(PATHS, DOCUMENTS)
def test_each_value_is_at_its_place(text: str, document: Any) -> None:
    for place, value in JSONPath(text).found(document):
        there = document
        for step in place[:-1]:
            there = there[step]
        assert not place or value in (there[place[-1]], place[-1])


@pytest.mark.parametrize(
    ("text", "selected"),
    [
        ("$", [{"a": [1, {"b": "x"}], "c": None}]),
        ("$.~", ["a", "c"]),
        ("$..b", ["x"]),
        ("$..~", ["a", "c", "b"]),
        ("$.a[-1].b", ["x"]),
        ("$.a[0,1]", [1, {"b": "x"}]),
        ("$.a[?@.b == 'x'].~", ["b"]),
        ("$['c', 'a'][0]", [1]),
        ("$[?@ != null][1:]", [{"b": "x"}]),
    ],
)
def test_a_path_selects(text: str, selected: list[Any]) -> None:
    document = {"a": [1, {"b": "x"}], "c": None}
    path = JSONPath(text)

    assert path.values(document) == selected
    assert [value for _, value in path.found(document)] == selected


def test_a_key_has_the_place_of_its_value() -> None:
    document = {"t": [{"~": 1, "x": 2}]}

    for text in ("$.t[*].~", "$..[?@.x].~"):
        assert list(JSONPath(text).found(document)) == [(("t", 0, "~"), "~"), (("t", 0, "x"), "x")]
    assert list(JSONPath("$.t[?@.x]['~']").found(document)) == [(("t", 0, "~"), 1)]


@pytest.mark.parametrize("document", ["text", 3, None, True])
def test_a_scalar_has_nothing_below_it(document: Any) -> None:
    assert JSONPath("$").values(document) == [document]
    for text in ("$.*", "$..*", "$[?@]", "$[0]"):
        assert JSONPath(text).values(document) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "$.",
        "$.a ",
        "$.a[",
        "$.a | $.b",
        "^[0]",
        "$.a =~ /b/",
        "$[?@.a =~ /b/]",
        "$.a~",
        "$[a]",
    ],
)
def test_what_is_no_path_of_the_standard_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises(JSONPathError) as raised:
        JSONPath(text)

    assert "\n" not in reason_of(raised.value)


def test_a_number_selects_no_name() -> None:
    # As the standard has it; the library by itself is laxer.
    assert LIBRARY.findall("$[0]", {"0": 1}) == [1]
    assert JSONPath("$[0]").values({"0": 1}) == []
    assert JSONPath("$[?@.x][0]").values({"a": {"x": 1, "0": 2}}) == []
