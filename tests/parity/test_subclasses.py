"""Subclasses and claims: each is asked what `json` asks it, in the middle of a plain document."""

from __future__ import annotations

import collections
import enum
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from oasis_data import UnserializableError, save_json_atomic, stats
from tests.conftest import require
from tests.parity.comparison import by_json
from tests.parity.specimens import FAULT
from tests.strategies import (
    Berth,
    Grade,
    LoudInt,
    LoudText,
    Name,
    Opaque,
    Valves,
    described,
    nested,
)


def assert_same(folder: Path, oracle: Path, make: Callable[[], Any], **options: Any) -> None:
    """What `make` makes is written as by `json`, or refused with the same words and notes."""
    for around in (lambda value: value, lambda value: {"a": [0, value, "z"], "b": (value,)}):
        for indent in (None, 2):
            path = folder / "data.json"
            told = options | {"indent": indent}
            expected = by_json(oracle, around(make()), told)
            if isinstance(expected, bytes):
                assert save_json_atomic(path, around(make()), backup=False, **told) is True
                assert path.read_bytes() == expected
                continue
            with pytest.raises(UnserializableError) as caught:
                save_json_atomic(path, around(make()), **told)
            error = caught.value.original_error
            assert type(error) is type(expected)
            if not isinstance(expected, UnicodeError):
                assert str(error) == str(expected)
            # Of what is too deep, `json` notes each level, and the package has calls of its own.
            if not isinstance(expected, RecursionError):
                assert getattr(error, "__notes__", []) == getattr(expected, "__notes__", [])


def with_its_own(base: type, **members: Any) -> Any:
    """A subclass with these members."""
    return type("Own", (base,), members)


def instance_with(value: Any, **attributes: Any) -> Any:
    """An object with attributes of its own."""
    for name, attribute in attributes.items():
        setattr(value, name, attribute)
    return value


class Own(dict[Any, Any]):
    """A dictionary that takes attributes."""


class Moved(collections.OrderedDict[Any, Any]):
    """An ordered dictionary that is a class of its own."""


def moved(kind: type[collections.OrderedDict[Any, Any]]) -> Any:
    ordered = kind([("a", 1), ("b", [2]), ("c", {})])
    ordered.move_to_end("a")
    return ordered


def torn() -> Any:
    """An ordered dictionary whose order knows a key that the dictionary does not have."""
    ordered = collections.OrderedDict([("a", 1), ("b", 2)])
    dict.__delitem__(ordered, "a")
    return ordered


class Claiming:
    """Something that claims another class."""

    def __init__(self, claimed: type, items: Any = ()) -> None:
        self.claimed, self.content = claimed, items

    __class__ = property(lambda self: self.claimed)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.content)

    def items(self) -> Any:
        return self.content


class FlagList(list[Any]):
    """Of one type, and yet each answers for itself."""

    claimed: type = list

    __class__ = property(lambda self: self.claimed)


def raising(error: BaseException) -> Callable[..., Any]:
    def act(*_: object) -> Any:
        raise error

    return act


def endless() -> Any:
    """A list that yields itself in a new list, for ever."""
    return with_its_own(list, __iter__=lambda self: iter([endless()]))([1])


class Containing(list[Any]):
    """A list of another class."""


def within_itself() -> Any:
    own = Containing([1])
    own.append(own)
    return own


CASES: dict[str, Callable[[], Any]] = {
    "ordered": lambda: moved(collections.OrderedDict),
    "ordered subclass": lambda: moved(Moved),
    "ordered subclass with an order of its own": lambda: with_its_own(
        collections.OrderedDict, __iter__=lambda self: iter("b")
    )([("a", 1), ("b", 2)]),
    "torn ordered": torn,
    "ordered with items of its own": lambda: instance_with(
        moved(collections.OrderedDict), items=lambda: [("x", 1)]
    ),
    "default dictionary": lambda: collections.defaultdict(list, {"a": [1], 2: {}, None: ()}),
    "counter": lambda: collections.Counter("abca"),
    "chain map": lambda: collections.ChainMap({"a": 1}),
    "enumerations": lambda: [
        *Grade,
        Valves(3),
        Name.ARAB_LIGHT,
        {Grade.HEAVY: 1, Name.ARAB_LIGHT: 2},
    ],
    "plain enumeration": lambda: enum.Enum("Plain", ["A"]).A,  # type: ignore[attr-defined]
    "named tuples": lambda: [Berth(1, "x"), Berth([], Berth({}, None))],
    "named tuple that is empty": lambda: NamedTuple("Nothing", [])(),  # type: ignore[operator]
    "attribute items": lambda: instance_with(Own(a=1), items=lambda: {"b": 2}.items()),
    "attribute items of another": lambda: instance_with(Own(a=1), items={"b": [2]}.items),
    "attribute items of an ordered one": lambda: instance_with(
        Own(a=1), items=moved(collections.OrderedDict).items
    ),
    "attribute items of an empty one": lambda: instance_with(Own(a=1), items={}.items),
    "attribute items that is no method": lambda: instance_with(Own(a=1), items=3),
    "items as lists": lambda: with_its_own(dict, items=lambda self: [["a", 1], "bc"])(x=1),
    "items of three": lambda: with_its_own(dict, items=lambda self: [(1, 2, 3)])(x=1),
    "items of one": lambda: with_its_own(dict, items=lambda self: [("a", 1), (1,)])(x=1),
    "items that are no pairs": lambda: with_its_own(dict, items=lambda self: [5])(x=1),
    "items that are none": lambda: with_its_own(dict, items=lambda self: None)(x=1),
    "items with a key that is a list": lambda: with_its_own(dict, items=lambda self: [([], 1)])(
        x=1
    ),
    "items that fail": lambda: with_its_own(dict, items=raising(LookupError("no")))(x=1),
    "items that stop": lambda: with_its_own(dict, items=raising(StopIteration(1)))(x=1),
    "no items": lambda: with_its_own(dict, items=lambda self: [])(x=1),
    "true without pairs": lambda: with_its_own(dict, __bool__=lambda self: True)(),
    "false with pairs": lambda: with_its_own(dict, __bool__=lambda self: False)(x=1),
    "truth that fails": lambda: with_its_own(dict, __bool__=raising(LookupError("no")))(x=1),
    "dictionary with a length": lambda: with_its_own(dict, __len__=lambda self: 0)(x=1),
    "true without items": lambda: with_its_own(list, __bool__=lambda self: True)(),
    "list that yields nothing": lambda: with_its_own(list, __iter__=lambda self: iter(()))([1]),
    "list of other items": lambda: with_its_own(list, __iter__=lambda self: iter([[1], {"a": 2}]))(
        [1]
    ),
    "list with a generator": lambda: with_its_own(list, __iter__=lambda self: (i for i in "ab"))(
        [1]
    ),
    "list whose iterator is none": lambda: with_its_own(list, __iter__=lambda self: 3)([1]),
    "list that fails": lambda: with_its_own(list, __iter__=raising(LookupError("no")))([1]),
    "list with a length": lambda: with_its_own(list, __len__=lambda self: 0)([1]),
    "list with items of its own": lambda: with_its_own(list, __getitem__=lambda self, i: "x")(
        [1, [2]]
    ),
    "tuple of other items": lambda: with_its_own(tuple, __iter__=lambda self: iter("ab"))([1]),
    "tuple with a length": lambda: with_its_own(tuple, __len__=lambda self: 0)([1]),
    "text": lambda: with_its_own(str, __str__=lambda self: "no", __len__=lambda self: 0)('a"é'),
    "text with half a surrogate pair": lambda: LoudText("\ud800"),
    "integer": lambda: [LoudInt(5), LoudInt(2**80), {LoudInt(2**80): LoudInt(-1)}],
    "float that is another number": lambda: with_its_own(
        float, __float__=lambda self: 2.0, __repr__=lambda self: "x"
    )(1.5),
    "float that is unlike itself": lambda: with_its_own(float, __ne__=lambda self, other: True)(
        1.5
    ),
    "float that is infinite": lambda: with_its_own(float, __eq__=lambda self, other: True)(1.5),
    "float whose comparison fails": lambda: with_its_own(float, __ne__=raising(LookupError("no")))(
        1.5
    ),
    "float as key": lambda: {with_its_own(float)(1.5): 1, with_its_own(float)("nan"): 2},
    "not finite": lambda: [float("nan"), {float("inf"): -float("inf")}],
    "not finite subclass": lambda: with_its_own(float)("inf"),
    "claims to be text": lambda: Claiming(str),
    "claims to be an integer": lambda: Claiming(int),
    "claims to be a float": lambda: Claiming(float),
    "claims to be a list": lambda: Claiming(list, [1, {"a": 2}]),
    "claims to be a tuple": lambda: Claiming(tuple),
    "claims to be a dictionary": lambda: Claiming(dict, [("a", 1), (2, [3])]),
    "claims to be no class": lambda: Claiming(5),  # type: ignore[arg-type]
    "key that claims to be text": lambda: {Claiming(str): 1},
    "key that claims to be a float": lambda: {Claiming(float): 1},
    "integer that claims to be text": lambda: with_its_own(
        int, __class__=property(lambda self: str)
    )(1),
    "dictionary that claims to be a list": lambda: with_its_own(
        dict, __class__=property(lambda self: list)
    )(a=1),
    "lists that claim differently": lambda: [
        FlagList([1]),
        instance_with(FlagList([2]), claimed=str),
        FlagList([3]),
    ],
    "class that fails": lambda: with_its_own(int, __class__=property(raising(LookupError("no"))))(
        1
    ),
    "class that is missing": lambda: with_its_own(
        int, __class__=property(raising(AttributeError("no")))
    )(1),
    "every attribute read in Python": lambda: with_its_own(
        dict, __getattribute__=lambda self, name: object.__getattribute__(self, name)
    )(a=1),
    "attributes that are made up": lambda: with_its_own(
        Opaque, __getattr__=lambda self, name: "made up"
    )(),
    "list of its own that has itself": within_itself,
    "keys of all kinds": lambda: {"a": 1, 2: [], 2.5: {}, True: (), None: "x", 2**70: 1},
    "key that is refused": lambda: {"a": 1, (1, 2): 3},
    "key without text": lambda: {"\ud800": 1},
    "value without text": lambda: {"a": ["\ud800"], "b": 1},
    "fault": lambda: {"a": {1: [FAULT]}},
}
OPTIONS: dict[str, dict[str, Any]] = {
    "": {},
    "default": {"allow_nan": True, "default": described},
    "sorted": {"sort_keys": True},
    "escaped": {"ensure_ascii": True},
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_a_value_is_asked_what_json_asks_it(
    folder: Path, oracle: Path, name: str, options: dict[str, Any]
) -> None:
    assert_same(folder, oracle, CASES[name], **options)


def test_what_has_no_end_is_asked_as_often_as_json_asks(folder: Path, oracle: Path) -> None:
    assert_same(folder, oracle, endless)


if sys.version_info >= (3, 15):

    def test_a_frozen_dictionary_is_written(folder: Path, oracle: Path) -> None:
        frozen: Any = __builtins__["frozendict"]  # type: ignore[index]
        assert_same(folder, oracle, lambda: frozen(a=1, b=[frozen(), frozen({2: "x"})]))
        assert_same(folder, oracle, lambda: frozen(a=FAULT))


@pytest.mark.parametrize("allow_nan", [False, True])
def test_the_floats_of_numpy_are_written(folder: Path, oracle: Path, allow_nan: bool) -> None:
    require(importlib.util.find_spec("numpy"), "needs numpy")
    numpy = importlib.import_module("numpy")
    for number in (1.5, -0.0, 1e16, 5e-324, float("nan"), float("inf"), -float("inf")):
        for make in (
            lambda number=number: numpy.float64(number),
            lambda number=number: [{numpy.float64(number): numpy.float64(number)}],
        ):
            assert_same(folder, oracle, make, allow_nan=allow_nan)
    assert_same(folder, oracle, lambda: numpy.int64(1), default=int)
    assert_same(folder, oracle, lambda: numpy.float32(1.5))
    assert_same(folder, oracle, lambda: with_its_own(numpy.float64, __ne__=lambda *_: True)(1.5))


COMMON: dict[str, Any] = {
    "ordered": collections.OrderedDict(a=1),
    "default dictionary": collections.defaultdict(list, a=1),
    "counter": collections.Counter("aab"),
    "enumeration": [*Grade, Name.ARAB_LIGHT, Valves(3)],
    "named tuple": Berth(1, "x"),
    "not a number": float("nan"),
    "keys": {2: 1, None: 3, 1.5: 4, True: 5},
    "300 deep": nested(300),
    "made by default": Opaque(),
    "sorted": {"b": 1, "a": 2},
}


@pytest.mark.parametrize("name", COMMON)
def test_what_is_common_is_not_left_to_json(folder: Path, oracle: Path, name: str) -> None:
    options: dict[str, Any] = {"allow_nan": True, "default": repr, "sort_keys": name == "sorted"}
    before = stats()["encode_fallbacks"]
    assert_same(folder, oracle, lambda: COMMON[name], **options)
    assert stats()["encode_fallbacks"] == before


class Changing:
    """Values that change the containers around them while they are written."""

    def __init__(self, act: Callable[[Any], Any]) -> None:
        self.document: Any = None
        self.act = act

    def value(self, base: type, content: Any) -> Any:
        """A subclass that acts when it is iterated over."""

        def iterate(value: Any) -> Iterator[Any]:
            self.act(self.document)
            return iter(list.copy(value)) if base is list else iter(["x"])

        members: dict[str, Any] = {"__iter__": iterate}
        if base is dict:
            members = {"items": lambda value: (self.act(self.document), [("k", [1])])[1]}
        return with_its_own(base, **members)(content)


def emptied(document: Any) -> None:
    document["list"].clear()
    document["dict"].clear()


def replaced(document: Any) -> None:
    document["list"][:] = [[str(number)] for number in range(50)]
    document["dict"].update({str(number): [None] for number in range(50)})


def swapped(document: Any) -> None:
    for key in [*document["dict"]]:
        document["dict"][f"{key}+"] = [document["dict"].pop(key)]
    document["list"].reverse()


def cut_loose(document: Any) -> None:
    document["list"] = document["dict"] = None


@pytest.mark.parametrize("act", [emptied, replaced, swapped, cut_loose])
@pytest.mark.parametrize("base", [list, tuple, dict])
def test_a_document_may_change_while_it_is_written(
    folder: Path, oracle: Path, act: Callable[[Any], Any], base: type
) -> None:
    def make() -> Any:
        changing = Changing(act)
        value = changing.value(base, {"a": 1} if base is dict else [1])
        inner = {"one": ["a" * 50], "two": value, "three": {"b": "c" * 50}}
        changing.document = {"list": [["x" * 50], inner, value, ["y" * 50], 7], "dict": inner}
        return changing.document

    assert_same(folder, oracle, make)
    assert_same(folder, oracle, make, sort_keys=True)


def test_a_class_that_changes_is_asked_again(folder: Path, oracle: Path) -> None:
    def make() -> Any:
        def iterate(self: Any) -> Iterator[Any]:
            turning.__getattribute__ = lambda value, name: (
                str if name == "__class__" else object.__getattribute__(value, name)
            )
            return iter(["once"])

        turning = with_its_own(list, __iter__=iterate)
        return [turning([1]), turning([2])]

    assert_same(folder, oracle, make)


@pytest.mark.parametrize("depth", [150, 199, 200, 201, 390, 600])
def test_faults_and_answers_below_a_great_depth(folder: Path, oracle: Path, depth: int) -> None:
    for kind in ("list", "dict"):
        for leaf in (FAULT, Opaque(), float("nan"), (1, {2: 3})):
            make = partial(nested, depth, kind, leaf)
            assert_same(folder, oracle, make)
            assert_same(folder, oracle, make, default=described)


def test_a_default_that_answers_with_what_is_around_it_is_a_cycle(
    folder: Path, oracle: Path
) -> None:
    def make() -> Any:
        document: dict[str, Any] = {"a": [Opaque()]}
        answers.append(document)
        return document

    answers: list[Any] = []
    assert_same(folder, oracle, make, default=lambda value: answers[-1])
    assert_same(folder, oracle, make, default=lambda value: answers[-1]["a"])


def test_what_default_is_given_and_when(folder: Path, oracle: Path) -> None:
    document = {"a": [Opaque(), 1], 2: Opaque(), "c": {"d": Opaque()}}

    def calls(act: Callable[[Any], object]) -> list[int]:
        given: list[int] = []

        def default(value: Any) -> Any:
            given.append(id(value))
            return float("nan") if len(given) == 3 else [len(given)]

        act(default)
        return given

    def ours(default: Any) -> None:
        with pytest.raises(UnserializableError) as caught:
            save_json_atomic(folder / "data.json", document, default=default)
        assert caught.value.place == "$.c.d"

    assert calls(ours) == calls(lambda default: by_json(oracle, document, {"default": default}))
