"""One value of each kind that a program may hand to a save, and faults to plant among them."""

from __future__ import annotations

import collections
from typing import Any

from tests.strategies import (
    FLOATS,
    INTEGERS,
    LETTERS,
    LONE_SURROGATES,
    NOT_FINITE,
    BackwardList,
    Berth,
    EmptyLookingDict,
    EmptyLookingList,
    Grade,
    KeyHidingDict,
    LoudFloat,
    LoudInt,
    LoudText,
    LoudTuple,
    Name,
    Opaque,
    RenamingDict,
    Valves,
)

SPECIMENS: dict[str, Any] = {
    "null": None,
    "true": True,
    "empty list": [],
    "empty dict": {},
    "empty tuple": (),
    "empty text": "",
    "empty containers within containers": [[], {}, (), [[]], {"a": {}}, {"": []}],
    "integers": INTEGERS,
    "floats": FLOATS,
    "letters": ["".join(LETTERS), *LETTERS, *map("a{}b".format, LETTERS)],
    "letters as keys": {letter: letter for letter in LETTERS},
    "not finite": NOT_FINITE,
    "not finite alone": float("nan"),
    "not finite as key": {float("inf"): 1},
    "lone surrogates": LONE_SURROGATES,
    "lone surrogate alone": "a\ud800",
    "lone surrogate as key": {"a\udfff": 1},
    "two surrogates that pair": "\ud83d\ude00",
    "keys of every kind": {2: "a", 2.5: "b", True: "c", None: "d", "e": "f", 1e16: "g", -0.0: "h"},
    "numbers as keys": {3: 1, 20: 2, 100: 3, 1.5: 4, False: 5},
    "keys equal after conversion": {1: "a", "1": "b", 1.0e16: "c", "1e+16": "d"},
    "null as key twice": {None: 1, "null": 2},
    "true as key twice": {True: 1, "true": 2},
    "key that is no key": {"a": {(1, 2): 3}},
    "bytes as key": {b"a": 1},
    "keys in an order of code points": {"b": 1, "a": 2, "B": 3, "é": 4, "": 5, "\U0001f600": 6},
    "keys that UTF-16 orders otherwise": {"\U00010000": 1, "\uffff": 2, "\ue000": 3, "\ud7ff": 4},
    "ordered dict": collections.OrderedDict([("b", 1), ("a", [2])]),
    "default dict": collections.defaultdict(list, {"b": [1], "a": []}),
    "counter": collections.Counter("abracadabra"),
    "int enum": [Grade.LIGHT, Grade.HEAVY, {Grade.LIGHT: Grade.HEAVY}],
    "int flag": [Valves.INLET | Valves.OUTLET, Valves(0), {Valves.INLET: 1}],
    "text enum": [Name.ARAB_LIGHT, {Name.ARAB_LIGHT: 1}],
    "named tuple": Berth("B1", Berth((), None)),
    "tuples": ((1, 2), [(3,)], {"a": (4, (5,))}),
    "text of its own": [LoudText("é"), {LoudText("k"): LoudText("v")}],
    "integer of its own": [LoudInt(7), {LoudInt(8): LoudInt(2**70)}],
    "float of its own": [LoudFloat(7), {LoudFloat(8.5): LoudFloat("1e16")}],
    "list that iterates backward": BackwardList([1, [2], 3]),
    "list that looks empty": [EmptyLookingList([1])],
    "list that is not empty but yields nothing": BackwardList(),
    "tuple that iterates over something else": LoudTuple((1, 2)),
    "dict with other items": RenamingDict({"b": 1, "a": 2}),
    "dict that hides its keys": KeyHidingDict({"b": 1, "a": 2}),
    "dict that looks empty": {"a": EmptyLookingDict({"b": 1})},
    "bytes": b"bytes",
    "bytearray": [bytearray(b"x")],
    "set": {"a": {1}},
    "frozenset": [frozenset()],
    "complex": 1j,
    "range": range(3),
    "generator function": [len],
    "type": int,
    "object": {"a": [Opaque()]},
    "the same list twice": [[1], [1]] * 2,
    "shared but not circular": (lambda part: {"a": part, "b": [part, part]})({"c": [1]}),
}

FAULT = object()


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")
