"""The differences between two JSON documents, value by value.

No library does this well: deepdiff and others report every element of a list of objects
as changed when an element is put in front, and take seconds for a megabyte.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

# The most pairs of equal elements that two lists may have to be aligned: long lists of a
# few different values have too many.
_PAIRS = 4_000_000


@dataclass(frozen=True)
class Change:
    """One value that is different.

    Attributes:
        sign: `+` for a value that is only in the second document, `-` for a value that
            is only in the first, `~` for a value that differs.
        place: The place of the value, as `$.vessels[3].cost`: in the second document
            for a `+`, otherwise in the first.
        before: The value in the first document.
        after: The value in the second.
    """

    sign: str
    place: str
    before: Any = None
    after: Any = None


def changes(before: Any, after: Any, place: str = "$", there: str = "$") -> Iterator[Change]:
    """The changes from the first document to the second, in the order of the first.

    Args:
        before: The first document, or a value in it.
        after: The second document, or the value in it at the same place.
        place: The place of `before` in the first document.
        there: The place of `after` in the second document.

    Raises:
        RecursionError: The documents are nested too deeply.
    """
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _in_objects(before, after, place, there)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _in_lists(before, after, place, there)
    elif not same(before, after):
        yield Change("~", place, before, after)


def same(before: Any, after: Any) -> bool:
    """Whether two values have the same JSON: 1, 1.0 and true are three."""
    # safeguard: type-of-value-compared
    if type(before) is not type(after):
        return False
    if isinstance(before, dict):
        return before.keys() == after.keys() and all(
            same(value, after[key]) for key, value in before.items()
        )
    if isinstance(before, list):
        return len(before) == len(after) and all(map(same, before, after))
    if isinstance(before, float):
        return repr(before) == repr(after)  # NaN, and the sign of zero
    return bool(before == after)


def _in_objects(
    before: dict[str, Any], after: dict[str, Any], place: str, there: str
) -> Iterator[Change]:
    for key, value in before.items():
        step = _step(key)
        if key in after:
            yield from changes(value, after[key], place + step, there + step)
        else:
            yield Change("-", place + step, before=value)
    for key, value in after.items():
        if key not in before:
            yield Change("+", there + _step(key), after=value)


def _in_lists(before: list[Any], after: list[Any], place: str, there: str) -> Iterator[Change]:
    for start, end, other_start, other_end in _differing(before, after):
        # Those in one another's place are taken for the same thing, changed.
        paired = min(end - start, other_end - other_start)
        for step in range(paired):
            one, other = start + step, other_start + step
            yield from changes(before[one], after[other], f"{place}[{one}]", f"{there}[{other}]")
        for index in range(start + paired, end):
            yield Change("-", f"{place}[{index}]", before=before[index])
        for index in range(other_start + paired, other_end):
            yield Change("+", f"{there}[{index}]", after=after[index])


def _differing(before: list[Any], after: list[Any]) -> Iterator[tuple[int, int, int, int]]:
    """The runs of elements that are not in both lists."""
    shorter = min(len(before), len(after))
    head = 0
    while head < shorter and same(before[head], after[head]):
        head += 1
    tail = 0
    while tail < shorter - head and same(before[-1 - tail], after[-1 - tail]):
        tail += 1
    start, end, other_end = head, len(before) - tail, len(after) - tail
    texts = [_text(value) for value in before[start:end]]
    other_texts = [_text(value) for value in after[start:other_end]]
    counts = Counter(other_texts)
    if sum(counts[text] for text in texts) > _PAIRS:
        yield start, end, start, other_end
        return
    for kind, one, stop, other, other_stop in SequenceMatcher(
        None, texts, other_texts, autojunk=False
    ).get_opcodes():
        if kind != "equal":
            yield start + one, start + stop, start + other, start + other_stop


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _step(key: str) -> str:
    plain = key.isidentifier()
    return f".{key}" if plain else f"[{json.dumps(key, ensure_ascii=False)}]"
