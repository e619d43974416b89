"""Which value is at fault: the place that an error tells."""

from __future__ import annotations

import collections
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oasis_data import CorruptFileError, UnserializableError, load_data_file, save_json_atomic
from tests.parity.comparison import assert_refused, by_json
from tests.parity.specimens import FAULT, UnprintableError
from tests.strategies import INDENTS, BackwardList, Berth, Opaque, RenamingDict, examples, nested

NAN = float("nan")
SHARED: list[Any] = [object()]
CYCLE_OF_BOTH: dict[str, Any] = {"vessels": [{"name": "A"}]}
CYCLE_OF_BOTH["vessels"][0]["fleet"] = CYCLE_OF_BOTH
CYCLE_OF_ONE: list[Any] = [1]
CYCLE_OF_ONE.append(CYCLE_OF_ONE)

PLACES: list[tuple[str, Any]] = [
    ("$", FAULT),
    ("$", NAN),
    ("$", "\ud800"),
    ("$", {1, 2}),
    ("$[0]", [FAULT]),
    ("$[2]", (1, 2, FAULT, FAULT)),
    ("$.vessels[3].cost", {"vessels": [{"cost": 1}, {}, [], {"name": "D", "cost": 2j}]}),
    ("$.vessels[3].cost", {"vessels": [0, 1, 2, {"a": 1, "cost": NAN, "z": 1}], "last": NAN}),
    ('$["odd key"][0]', {"fine": [1], "odd key": [b"x"]}),
    ('$["a.b"]["c[0]"][""].d', {"a.b": {"c[0]": {"": {"d": FAULT}}}}),
    ('$["1st"]._2nd', {"1st": {"_2nd": FAULT}}),
    ('$["quote\\"d"]', {'quote"d': FAULT}),
    ('$["two\\nlines"]', {"two\nlines": FAULT}),
    ("$.größe.漢", {"größe": {"漢": FAULT}}),
    ('$["1"]', {1: FAULT}),
    ('$["None"]', {None: FAULT}),
    ("$[key (1, 2)]", {(1, 2): 3}),
    ("$.tanks[1][key b'T2']", {"tanks": [{}, {"T1": 1, b"T2": 2}]}),
    ("$[key nan]", {NAN: 1}),
    (r"$[key '\ud800']", {"a": 1, "\ud800": 1}),
    ("$.a", {"a": "x\udfffy", "b": FAULT}),
    ("$[1][1]", Berth("B1", (2, NAN))),
    ("$.berths[1].x[0]", {"berths": (1, {"x": Berth(-NAN, 1)})}),
    ("$.a[1]", {"a": [1, float("-inf")]}),
    ("$[0].a[1].b", [{"a": (1, {"b": FAULT})}]),
    ("$.b", collections.OrderedDict([("a", 1), ("b", FAULT)])),
    ("$.b[0]", collections.defaultdict(list, {"a": [1], "b": [FAULT]})),
    ("$.a[0]", {"a": BackwardList([1, 2, FAULT])}),
    ('$["a!"]', RenamingDict({"a": FAULT})),
    ("$[1]", CYCLE_OF_ONE),
    ("$.a[1]", {"a": CYCLE_OF_ONE}),
    ("$.vessels[0].fleet", CYCLE_OF_BOTH),
    ("$.shared[0]", {"shared": SHARED, "again": SHARED}),
    ("$" + "[0]" * 40, nested(40, leaf=FAULT)),
    ("$" + ".a" * 70, nested(70, "dict", leaf=FAULT)),
]


@pytest.mark.parametrize(("place", "value"), PLACES, ids=[place for place, _ in PLACES])
@pytest.mark.parametrize("indent", [None, 2])
def test_the_error_names_the_value_at_fault(
    folder: Path, oracle: Path, place: str, value: Any, indent: int | None
) -> None:
    options = {"indent": indent}
    expected = by_json(oracle, value, options)
    assert isinstance(expected, Exception)
    path = folder / "data.json"
    error = assert_refused(path, value, options, expected)
    assert isinstance(error, UnserializableError)
    assert error.place == place
    if not isinstance(expected, UnicodeError):
        # The position in a UnicodeEncodeError is one in the whole text.
        assert str(expected) in str(error)


# Each with what follows the path to it.
FAULTS: list[tuple[Any, str]] = [
    *((value, "") for value in (FAULT, NAN, float("inf"), "\ud800", b"", {1}, 1j, Opaque)),
    ({"": 1, (): 1}, "[key ()]"),
    (CYCLE_OF_ONE, "[1]"),
    (CYCLE_OF_BOTH, ".vessels[0].fleet"),
    (Berth("B1", NAN), "[1]"),
]
IDENTIFIERS = ["cost", "vessels", "_x1", "Öl", "a1_"]
ODD_KEYS = ["odd key", "a.b", "", "1st", "[0]", "$", 'say "hi"', "back\\slash", "tab\there", "-"]


@st.composite
def planted(draw: st.DrawFn) -> tuple[Any, str]:
    """A document with faults in it, and the place of the first."""
    value, place = draw(st.sampled_from(FAULTS))
    for _ in range(draw(st.integers(0, 8))):
        after = draw(st.sampled_from([None, {"k": ()}, FAULT]))
        if draw(st.booleans()):
            before = draw(st.lists(st.sampled_from([0, "x", [1], {"k": ()}]), max_size=3))
            place = f"[{len(before)}]{place}"
            value = draw(st.sampled_from([list, tuple, LoudlyTrueList]))([*before, value, after])
        else:
            key = draw(st.sampled_from(IDENTIFIERS + ODD_KEYS))
            place = (f".{key}" if key in IDENTIFIERS else f"[{json.dumps(key)}]") + place
            kind = draw(st.sampled_from([dict, collections.OrderedDict]))
            value = kind([("!", [1]), (key, value), ("~", after)])
    return value, f"${place}"


class LoudlyTrueList(list[Any]):
    """A subclass, to leave the native encoder for `json`."""


@examples(150)
@given(
    planting=planted(),
    options=st.fixed_dictionaries(
        {"indent": st.sampled_from(INDENTS), "ensure_ascii": st.just(False)}
    ),
)
def test_a_fault_planted_anywhere_is_found(
    folder: Path, oracle: Path, planting: tuple[Any, str], options: dict[str, Any]
) -> None:
    value, place = planting
    expected = by_json(oracle, value, options)
    assert isinstance(expected, Exception)
    error = assert_refused(folder / "data.json", value, options, expected)
    assert isinstance(error, UnserializableError)
    assert error.place == place


@pytest.mark.parametrize("key", ["a", "odd key"])
def test_a_long_place_is_shown_by_its_ends(folder: Path, key: str) -> None:
    value: Any = {"last": FAULT}
    for _ in range(150):
        value = {key: value}
    with pytest.raises(UnserializableError) as caught:
        save_json_atomic(folder / "data.json", value)
    place = caught.value.place
    assert place.startswith("$.a.a" if key == "a" else '$["odd key"]["odd key"]')
    assert "…" in place
    assert place.endswith(".last")
    assert len(place) < 200
    assert f" {place}: " in str(caught.value)


def test_sort_keys_with_keys_that_do_not_compare_names_the_dictionary(
    folder: Path, oracle: Path
) -> None:
    options = {"sort_keys": True}
    for mixed in ({"a": 1, 1: 2}, {None: 1, "null": 2}, {1: 1, "1": 1}):
        for value, place in ((mixed, "$"), ({"a": [0, mixed], "b": FAULT}, "$.a[1]")):
            expected = by_json(oracle, value, options)
            assert type(expected) is TypeError
            error = assert_refused(folder / "data.json", value, options, expected)
            assert isinstance(error, UnserializableError)
            assert error.place == place


def test_a_fault_in_what_default_returned_is_at_the_value_that_default_was_given(
    folder: Path,
) -> None:
    data = {"vessels": [{"eta": 1}, {"eta": Opaque()}]}
    for answer in (NAN, [1, NAN], {(): 1}, "\ud800", {"deep": [b""]}):

        def default(value: Any, answer: Any = answer) -> Any:
            return answer if isinstance(value, Opaque) else 1 / 0

        with pytest.raises(UnserializableError) as caught:
            save_json_atomic(folder / "data.json", data, default=default)
        assert caught.value.place == "$.vessels[1].eta"


class KeyWithoutText:
    def __repr__(self) -> str:
        raise ZeroDivisionError

    __str__ = __repr__


class DictWithoutItems(dict[Any, Any]):
    def items(self) -> Any:
        raise UnprintableError


class ListWithoutItems(list[Any]):
    def __iter__(self) -> Iterator[Any]:
        raise LookupError


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"a": DictWithoutItems(x=1)}, "$.a"),
        ({"a": [1, ListWithoutItems([1])]}, "$.a[1]"),
        ([{KeyWithoutText(): 1}], "$[0]"),
        ([1, KeyWithoutText()], "$[1]"),
    ],
    ids=["items", "iterator", "key", "value"],
)
def test_values_that_raise_when_looked_at_are_named_without_looking_again(
    folder: Path, oracle: Path, value: Any, place: str
) -> None:
    expected = by_json(oracle, value, {})
    assert isinstance(expected, Exception)
    error = assert_refused(folder / "data.json", value, {}, expected)
    assert isinstance(error, UnserializableError)
    assert error.place.startswith(place)


def test_every_place_of_an_error_shows_only_the_files_name(tmp_path: Path) -> None:
    secret = tmp_path / "secret folder"
    secret.mkdir()
    path = secret / "tanks.json"
    with pytest.raises(UnserializableError) as unserializable:
        save_json_atomic(path, {"a": FAULT})
    path.write_bytes(b"[1,")
    with pytest.raises(CorruptFileError) as corrupt:
        load_data_file(path, strict=True)
    for error in (unserializable.value, corrupt.value):
        assert "tanks.json" in str(error)
        assert "secret" not in str(error)
        assert "/" not in str(error)
        assert "secret" not in repr(error)
        assert error.file_path == str(path)


class Proxy:
    """What web frameworks and wrapping libraries put before a value: it has its class."""

    def __init__(self, behind: Any) -> None:
        self.behind = behind

    __class__ = property(lambda self: type(self.behind))

    def __bool__(self) -> bool:
        return bool(self.behind)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.behind)

    def __len__(self) -> int:
        return len(self.behind)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.behind, name)


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"tanks": Proxy({"x": 1}), "vessels": [FAULT]}, "$.vessels[0]"),
        ([Proxy([1]), {"a": Proxy({"x": 1}), "b": FAULT}], "$[1].b"),
        ({"tanks": Proxy({"x": 1, "y": FAULT})}, "$.tanks.y"),
        ([Proxy((1, Proxy([2, FAULT])))], "$[0][1][1]"),
    ],
)
def test_a_fault_is_found_behind_a_proxy_and_in_it(folder: Path, value: Any, place: str) -> None:
    path = folder / "data.json"
    expected = by_json(folder / "oracle.json", value, {"indent": 2})
    if not (isinstance(expected, TypeError) and "Proxy" not in str(expected)):
        pytest.skip(f"this Python's json writes no proxy: {expected!r}")
    with pytest.raises(UnserializableError) as caught:
        save_json_atomic(path, value)
    assert caught.value.place == place
