"""When two JSON values are the same: numbers by their value, and no boolean is a number."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

_PLAIN = {str, type(None)}


def key_of(value: Any) -> Hashable:
    """An object that is equal for values that are the same, and can be in a set.

    Raises:
        RecursionError: The value is nested too deep.
    """
    kind = type(value)
    if kind in _PLAIN:
        return value  # type: ignore[no-any-return]  # a text or None
    if kind is dict:
        return "object", frozenset((name, key_of(each)) for name, each in value.items())
    if kind is list:
        return "array", tuple(map(key_of, value))
    # To Python, True is 1.
    # safeguard: no-boolean-is-a-number
    return "boolean" if kind is bool else "number", value


def keys_of(values: list[Any]) -> set[Hashable]:
    """The keys of values, each once.

    Raises:
        RecursionError: As for `key_of`.
    """
    if set(map(type, values)) <= _PLAIN:
        return set(values)
    return set(map(key_of, values))
