"""What the tests of parity share: random documents, options, and exact comparison."""

from __future__ import annotations

import collections
import enum
import json
import os
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

Test = TypeVar("Test", bound=Callable[..., None])

# What a test is not about is one of these, so that a failure shows what it is.
Verdict: TypeAlias = bytes | Exception


def examples(count: int) -> Callable[[Test], Test]:
    """Runs a property on that many examples, or OASIS_EXAMPLES if that is more."""
    return settings(
        max_examples=max(count, int(os.environ.get("OASIS_EXAMPLES", "0"))),
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )


def exact(document: Any) -> list[tuple[object, ...]]:
    """Tokens that are equal for documents equal in types, bits and order.

    Without recursion: for documents however deep.
    """
    tokens: list[tuple[object, ...]] = []
    pending = [document]
    while pending:
        value = pending.pop()
        if type(value) is dict:
            tokens.append(("dict", len(value)))
            pending.extend(part for pair in reversed(list(value.items())) for part in pair[::-1])
        elif type(value) is list:
            tokens.append(("list", len(value)))
            pending.extend(reversed(value))
        elif type(value) is float:
            tokens.append(("float", struct.pack(">d", value)))
        else:
            tokens.append((type(value), value))
    return tokens


def dumped(path: Path, value: Any, options: dict[str, Any]) -> Verdict:
    """What a bare `json.dump` makes of the file, or raises."""
    try:
        with open(path, "w", encoding="utf-8") as file:
            json.dump(value, file, **options)
    except MemoryError:
        raise
    except Exception as error:
        return error
    return path.read_bytes()


def nested(depth: int, kind: str = "list", leaf: Any = None) -> Any:
    """A container within a container and so on; the outermost is level 1."""
    wraps: dict[str, list[Callable[[Any], Any]]] = {
        "list": [lambda inner: [inner]],
        "dict": [lambda inner: {"a": inner}],
        "tuple": [lambda inner: (inner,)],
        "mixed": [lambda inner: [inner], lambda inner: {"a": inner}, lambda inner: (0, inner)],
    }
    value = leaf
    for level in range(depth):
        value = wraps[kind][level % len(wraps[kind])](value)
    return value


class Opaque:
    """Something that only `default=` can write."""


class LoudText(str):
    """Text that says something else when asked nicely."""

    def __str__(self) -> str:
        return "loud"

    def __repr__(self) -> str:
        return "LOUD"


class LoudInt(int):
    """An integer whose text is no number."""

    def __str__(self) -> str:
        return "loud"

    def __repr__(self) -> str:
        return "LOUD"


class LoudFloat(float):
    """A float whose text is no number."""

    def __str__(self) -> str:
        return "loud"

    def __repr__(self) -> str:
        return "LOUD"


class BackwardList(list[Any]):
    """A list that iterates from the end."""

    def __iter__(self) -> Iterator[Any]:
        return iter(list(super().__iter__())[::-1])


class EmptyLookingList(list[Any]):
    """A list that denies having items."""

    def __bool__(self) -> bool:
        return False


class LoudTuple(tuple[Any, ...]):
    """A tuple that iterates over something else."""

    def __iter__(self) -> Iterator[Any]:
        return iter(["from", "__iter__"])


class RenamingDict(dict[Any, Any]):
    """A dictionary whose items are not what it holds."""

    def items(self) -> Any:
        return [(f"{key}!", value) for key, value in super().items()]


class KeyHidingDict(dict[Any, Any]):
    """A dictionary that iterates over other keys, by other lookups."""

    def __iter__(self) -> Iterator[Any]:
        return iter(["hidden"])

    def __getitem__(self, key: Any) -> Any:
        return "hidden"

    def keys(self) -> Any:
        return ["hidden"]


class EmptyLookingDict(dict[Any, Any]):
    """A dictionary that denies having items."""

    def __len__(self) -> int:
        return 0


class Grade(enum.IntEnum):
    LIGHT = 1
    HEAVY = 2**70


class Valves(enum.IntFlag):
    INLET = 1
    OUTLET = 2


class Name(str, enum.Enum):
    ARAB_LIGHT = "Arab Light"


class Berth(NamedTuple):
    name: Any
    depth: Any


# The edges of the types, of Python's own notation, and of 64 bits.
FLOATS = [
    *(0.0, -0.0, 1.0, -1.0, 0.1, 0.3, 1 / 3, 1e15, 1e16, 1e17, 1e22, 1e23, -1e100, 1e-4, 1e-5),
    *(9999999999999998.0, 123456789012345680.0, 5e-324, 2.2250738585072014e-308),
    *(2.225073858507201e-308, sys.float_info.max, 9007199254740993.0, 4.35, 2.5e-7, 1e-7),
]
INTEGERS = [
    *(0, 1, -1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**64, 10**30),
    *(-(10**30), 10**300),
]
LETTERS = [
    *map(chr, range(0x20)),
    *'"\\/\x7f\x80\x85\xa0\xad\u0301\u200b\u2028\u2029\ufeff\ufffd\ufffe\uffff',
    *"\U00010000\U0001f600\U0010ffff\ud7ff\ue000éß漢",
]
LONE_SURROGATES = ["\ud800", "\udbff", "\udc00", "\udfff", "\udc80"]
NOT_FINITE = [float("inf"), float("-inf"), float("nan")]

texts = st.text(
    st.one_of(st.sampled_from(LETTERS), st.characters(codec="utf-8")), max_size=12
) | st.sampled_from(["", "id", "name", "1", "1.0", "true", "null"])
integers = st.one_of(
    st.sampled_from(INTEGERS), st.integers(), st.integers(min_value=-(2**200), max_value=2**200)
)
finite_floats = st.sampled_from(FLOATS) | st.floats(allow_nan=False, allow_infinity=False)
plain_leaves = st.one_of(st.none(), st.booleans(), integers, finite_floats, texts)


def plain_trees(leaves: st.SearchStrategy[Any] = plain_leaves) -> st.SearchStrategy[Any]:
    """Documents of what a decoder makes."""
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=5) | st.dictionaries(texts, inner, max_size=5),
        max_leaves=20,
    )


# What sorts before what, and what `json` writes, is decided by the mixture.
keys = st.one_of(
    texts,
    st.one_of(
        st.booleans(),
        st.none(),
        integers,
        finite_floats,
        st.sampled_from([*NOT_FINITE, Grade.LIGHT, Valves.INLET | Valves.OUTLET, Name.ARAB_LIGHT]),
        st.builds(LoudText, texts),
        st.builds(LoudInt, integers),
        st.builds(LoudFloat, finite_floats),
    ),
)
_rare_keys = st.sampled_from([(1, 2), b"bytes", Opaque(), "\ud800", frozenset(), 1j])
_odd_leaves = st.one_of(
    st.sampled_from([*NOT_FINITE, *LONE_SURROGATES, *Grade, Valves(3), Name.ARAB_LIGHT]),
    st.builds(LoudText, texts),
    st.builds(LoudInt, integers),
    st.builds(LoudFloat, finite_floats),
)
_unwritable = st.sampled_from([Opaque(), b"bytes", {1, 2}, 1j, range(3), Opaque, ..., bytearray()])


def _containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    lists = st.lists(inner, max_size=5)
    dicts = st.dictionaries(st.one_of(keys, keys, keys, _rare_keys), inner, max_size=5)
    plain_dicts = st.dictionaries(texts, inner, max_size=5)
    return st.one_of(
        lists,
        plain_dicts,
        dicts,
        lists.map(tuple),
        lists.map(BackwardList),
        lists.map(EmptyLookingList),
        lists.map(LoudTuple),
        st.builds(Berth, inner, inner),
        dicts.map(collections.OrderedDict),
        dicts.map(lambda content: collections.defaultdict(list, content)),
        st.dictionaries(texts, st.integers(0, 9), max_size=5).map(collections.Counter),
        dicts.map(RenamingDict),
        dicts.map(KeyHidingDict),
        dicts.map(EmptyLookingDict),
    )


def trees() -> st.SearchStrategy[Any]:
    """Documents of whatever a program may hand to `json.dump`."""
    leaves = st.one_of(plain_leaves, plain_leaves, _odd_leaves, _unwritable)
    return st.recursive(leaves, _containers, max_leaves=15)


def described(value: Any) -> Any:
    """A `default=` whose answer depends on the value's type alone."""
    return {"type": type(value).__name__, "parts": [1, 2.5, None]}


def refusing(value: Any) -> Any:
    """A `default=` that writes some of what it is given."""
    if isinstance(value, Opaque):
        return ["opaque"]
    raise LookupError(type(value).__name__)


INDENTS: list[int | str | None] = [None, 0, 1, 2, 4, -1, True, False, "\t", "--", ""]


def dump_options() -> st.SearchStrategy[dict[str, Any]]:
    """Options of `json.dump`, some of them left out."""
    return st.fixed_dictionaries(
        {},
        optional={
            "indent": st.sampled_from(INDENTS),
            "ensure_ascii": st.booleans(),
            "sort_keys": st.booleans(),
            "allow_nan": st.booleans(),
            "default": st.sampled_from([None, described, refusing]),
        },
    )
