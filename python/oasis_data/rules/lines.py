"""The line of a key in a TOML text. `tomllib` tells lines of syntax errors only."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["line_of", "tomllib"]


def line_of(text: str, keys: Sequence[str | int]) -> int:
    """The first line after which the text, whole as it is, has the value at these keys."""
    lines = text.splitlines(keepends=True)
    low, high = 0, len(lines)
    while low < high:
        middle = (low + high) // 2
        if _has(_beginning(lines, middle), keys):
            high = middle
        else:
            low = middle + 1
    return min(max(low, 1), max(len(lines), 1))


def _beginning(lines: list[str], count: int) -> Any:
    """What the first lines say. Lines that break off in a value count without that value."""
    for end in range(count, 0, -1):
        try:
            return tomllib.loads("".join(lines[:end]))
        except tomllib.TOMLDecodeError:
            continue
    return {}


def _has(value: Any, keys: Sequence[str | int]) -> bool:
    try:
        for key in keys:
            value = value[key]
    except (KeyError, IndexError, TypeError):
        return False
    return True
