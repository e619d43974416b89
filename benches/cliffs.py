"""Plain documents with a part that few documents have, or made of such parts."""

from __future__ import annotations

import collections
import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import corpora
import numpy

from oasis_data._native import EncodeOptions

INDENTED = EncodeOptions(indent=2)
NAN = float("nan")


class Grade(enum.IntEnum):
    """A number with a name."""

    LIGHT = 1


class Name(str, enum.Enum):
    """A text with a name."""

    LIGHT = "light"


class Berth(NamedTuple):
    """A tuple with names."""

    number: int
    name: str


@dataclass
class Cliff:
    """A document, and the same data in plain types."""

    name: str
    document: Any
    plain: Any
    options: EncodeOptions = INDENTED


def nested(depth: int) -> Any:
    """A list in a list, and so on."""
    value: Any = []
    for _ in range(depth - 1):
        value = [value]
    return value


def mapped(change: Callable[[Any], Any], kind: type, value: Any) -> Any:
    """A document with every value of a type changed."""
    if isinstance(value, dict):
        value = {key: mapped(change, kind, each) for key, each in value.items()}
    elif isinstance(value, list):
        value = [mapped(change, kind, each) for each in value]
    return change(value) if type(value) is kind else value


def cliffs() -> Iterator[Cliff]:
    """Each part once in a schedule of 64 KB, and documents of nothing else."""
    schedule = corpora.schedule(64_000)
    any_float = EncodeOptions(indent=2, allow_nan=True)
    parts: dict[str, tuple[Any, Any]] = {
        "an OrderedDict": (collections.OrderedDict(a=1), {"a": 1}),
        "a defaultdict": (collections.defaultdict(list, a=1), {"a": 1}),
        "a Counter": (collections.Counter("aab"), {"a": 2, "b": 1}),
        "an IntEnum": (Grade.LIGHT, 1),
        "a str Enum": (Name.LIGHT, "light"),
        "a named tuple": (Berth(1, "B1"), [1, "B1"]),
        "a numpy.float64": (numpy.float64(1.5), 1.5),
        "a key that is a number": ({1: 2}, {"1": 2}),
        "a list 201 deep": (nested(201), nested(201)),
        "an object, refused": (object(), None),
        "NaN, refused": (NAN, None),
    }
    for name, (part, plain) in parts.items():
        yield Cliff(name, {**schedule, "part": part}, {**schedule, "part": plain})
    yield Cliff("NaN, allowed", {**schedule, "part": NAN}, {**schedule, "part": None}, any_float)
    answered = EncodeOptions(indent=2, default=lambda value: None)
    yield Cliff(
        "an object, for `default`",
        {**schedule, "part": object()},
        {**schedule, "part": None},
        answered,
    )
    whole: dict[str, tuple[Callable[[Any], Any], type]] = {
        "all OrderedDict": (collections.OrderedDict, dict),
        "all defaultdict": (lambda value: collections.defaultdict(list, value), dict),
        "all Counter": (collections.Counter, dict),
        "all numpy.float64": (numpy.float64, float),
    }
    for name, (change, kind) in whole.items():
        yield Cliff(name, mapped(change, kind, schedule), schedule)
    yield Cliff("all named tuples", [Berth(1, "B1")] * 2_500, [[1, "B1"]] * 2_500)
    yield Cliff("all IntEnum", [Grade.LIGHT] * 8_000, [1] * 8_000)
    yield Cliff("sort_keys", schedule, schedule, EncodeOptions(indent=2, sort_keys=True))
    yield Cliff("ensure_ascii", schedule, schedule, EncodeOptions(indent=2, ensure_ascii=True))
