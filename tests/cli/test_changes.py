"""The structural difference of two documents."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oasis_data.cli.changes import changes, same
from tests.strategies import examples

SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.text(max_size=3)
DOCUMENTS: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.text(max_size=3) | st.just("a b"), inner, max_size=4)
    ),
    max_leaves=15,
)


def told(before: Any, after: Any) -> list[str]:
    return [
        f"{change.sign} {change.place} {json.dumps(change.before)} {json.dumps(change.after)}"
        for change in changes(before, after)
    ]


def at(document: Any, place: str) -> Any:
    """The value at a place."""
    for name, text, index in re.findall(r"\.([^.[]+)|\[(\"(?:[^\"\\]|\\.)*\")\]|\[(\d+)\]", place):
        step: Any = int(index) if index else json.loads(text) if text else name
        document = document[step]
    return document


def fleet(count: int) -> list[dict[str, Any]]:
    return [{"id": number, "cost": number * 10, "stops": [1, 2, 3]} for number in range(count)]


def test_tells_values_that_changed_came_and_went() -> None:
    before: dict[str, Any] = {
        "vessels": fleet(4),
        "odd key": 1,
        "gone": {"a": [1]},
        "same": [None, 1.5],
    }
    after = copy.deepcopy(before)
    after["vessels"][3]["cost"] = 99
    after["odd key"] = "1"
    del after["gone"]
    after["new"] = True
    assert told(before, after) == [
        "~ $.vessels[3].cost 30 99",
        '~ $["odd key"] 1 "1"',
        '- $.gone {"a": [1]} null',
        "+ $.new null true",
    ]


def test_an_element_put_in_front_changes_no_other() -> None:
    after = fleet(5)
    after.insert(0, {"id": 99})
    after[3]["stops"] = [1, 2, 3, 4]
    assert told(fleet(5), after) == [
        '+ $[0] null {"id": 99}',
        "+ $[3].stops[3] null 4",  # where it is in the second
    ]
    assert told(after, fleet(5))[0] == '- $[0] {"id": 99} null'


def test_an_element_taken_out_changes_no_other() -> None:
    assert told([1, 2, 3, 4, 5], [1, 2, 4, 5]) == ["- $[2] 3 null"]
    assert told([1, 2], []) == ["- $[0] 1 null", "- $[1] 2 null"]
    assert told([], [1]) == ["+ $[0] null 1"]


@pytest.mark.parametrize(
    ("one", "other"),
    [(1, 1.0), (1, True), (0, False), (0.0, -0.0), (1, "1"), ([], {}), (None, False), ("", None)],
)
def test_what_python_calls_equal_json_does_not(one: Any, other: Any) -> None:
    for before, after in ((one, other), ([one], [other]), ({"a": one}, {"a": other})):
        assert len(told(before, after)) == 1
        assert not same(before, after)


def test_nan_is_itself() -> None:
    assert told([float("nan")], [float("nan")]) == []


def test_long_lists_are_aligned() -> None:
    before = fleet(20_000)
    after = [{"id": "new"}, *before[:9_999], *before[10_000:]]
    assert told(before, after) == [
        '+ $[0] null {"id": "new"}',
        f"- $[9999] {json.dumps(before[9_999])} null",
    ]


def test_long_lists_of_few_different_values_are_compared_by_place() -> None:
    found = list(changes([0, 1] * 5_000, [1, 0] * 5_001))
    assert [change.sign for change in found] == ["~"] * 10_000 + ["+"] * 2


@given(DOCUMENTS, DOCUMENTS)
@examples(300)
def test_no_change_is_told_of_the_same_json_and_some_of_any_other(before: Any, after: Any) -> None:
    equal = json.dumps(before, sort_keys=True) == json.dumps(after, sort_keys=True)
    assert (list(changes(before, after)) == []) is equal is same(before, after)
    assert list(changes(before, copy.deepcopy(before))) == []


@given(DOCUMENTS, DOCUMENTS)
@example([False, []], [None, False, [None]])
@example({}, {"A\u00b7": None})
@examples(300)
def test_places_are_where_the_values_are(before: Any, after: Any) -> None:
    for change in changes(before, after):
        if change.sign == "+":
            assert same(at(after, change.place), change.after)
        else:
            assert same(at(before, change.place), change.before)
