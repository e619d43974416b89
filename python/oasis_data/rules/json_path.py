"""JSONPath (RFC 9535) with `~` for keys: the values that a path selects, and their places."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

from jsonpath import JSONPath as LibraryPath
from jsonpath import JSONPathEnvironment, JSONPathError
from jsonpath.lex import Lexer
from jsonpath.segments import JSONPathChildSegment, JSONPathSegment
from jsonpath.selectors import IndexSelector, KeysSelector, NameSelector, WildcardSelector
from jsonpath.token import TOKEN_KEYS

__all__ = ["JSONPath", "JSONPathError", "reason_of"]

Place: TypeAlias = tuple[str | int, ...]


class _StrictWithKeys(Lexer):
    """The tokens of RFC 9535, and `~`; not the other extensions of the library."""

    def compile_strict_rules(self) -> re.Pattern[str]:
        """Puts the token of keys before all others."""
        rules = super().compile_strict_rules()
        return re.compile(f"(?P<{TOKEN_KEYS}>~)|{rules.pattern}", rules.flags)


class _Environment(JSONPathEnvironment):
    lexer_class = _StrictWithKeys


_ENVIRONMENT = _Environment(strict=True)
_NAME, _NAMES, _INDEX, _ALL, _KEYS = "name", "names", "index", "*", "~"

_Step: TypeAlias = tuple[str, Any]


class JSONPath:
    """A path, parsed once by the library.

    A path of names, `*`, `~` and single indices is then followed by loops of this class, which
    are many times faster; any other path is left to the library.
    """

    __slots__ = ("_parsed", "_steps", "text")

    def __init__(self, text: str) -> None:
        """Parses the path.

        Raises:
            JSONPathError: The text is no path; `reason_of` tells why.
        """
        self.text = text
        parsed = _ENVIRONMENT.compile(text)
        if not isinstance(parsed, LibraryPath):  # a strict environment makes no other
            raise TypeError(f"not one path: {text}")
        self._parsed = parsed
        self._steps = _steps_of(parsed.segments)

    def values(self, document: Any) -> list[Any]:
        """The values that the path selects, and the keys that it selects, in their order.

        Raises:
            JSONPathError: The document is nested deeper than the library goes.
        """
        if self._steps is None:
            return [value for _, value in self._found_by_library(document)]
        found = [document]
        for kind, step in self._steps:
            if kind == _NAME:
                found = [each[step] for each in found if type(each) is dict and step in each]
            elif kind == _NAMES:
                objects = [each for each in found if type(each) is dict]
                found = [each[name] for each in objects for name in step if name in each]
            elif kind == _INDEX:
                found = [
                    each[step]
                    for each in found
                    if type(each) is list and -len(each) <= step < len(each)
                ]
            else:
                below: list[Any] = []
                for each in found:
                    if type(each) is dict:
                        below += each if kind == _KEYS else each.values()
                    elif kind == _ALL and type(each) is list:
                        below += each
                found = below
        return found

    def found(self, document: Any) -> Iterator[tuple[Place, Any]]:
        """The same with their places. A key has the place of its value.

        Raises:
            JSONPathError: As for `values`.
        """
        if self._steps is None:
            return self._found_by_library(document)
        found: Iterator[tuple[Place, Any]] = iter([((), document)])
        for kind, step in self._steps:
            found = _below(found, kind, step)
        return found

    def _found_by_library(self, document: Any) -> Iterator[tuple[Place, Any]]:
        if not isinstance(document, dict | list):
            return  # the library would take a text for JSON to parse
        for match in self._parsed.finditer(document):
            place = match.parts
            if match.parent is not None and match.path.startswith(f"{match.parent.path}[~"):
                place = (*match.parent.parts, str(match.obj))
            yield place, match.obj


def reason_of(error: JSONPathError) -> str:
    """Why a path is none, on one line. The library's own text has several, or fails."""
    return str(error.args[0]) if error.args else type(error).__name__


def _steps_of(segments: Sequence[JSONPathSegment]) -> list[_Step] | None:
    """The steps of a simple path; None for any other path."""
    steps: list[_Step] = []
    for segment in segments:
        if not isinstance(segment, JSONPathChildSegment):
            return None
        names = [each.name for each in segment.selectors if isinstance(each, NameSelector)]
        selector = segment.selectors[0]
        if len(segment.selectors) > 1:
            if len(names) != len(segment.selectors):
                return None
            steps.append((_NAMES, names))
        elif isinstance(selector, NameSelector):
            steps.append((_NAME, selector.name))
        elif isinstance(selector, IndexSelector):
            steps.append((_INDEX, selector.index))
        elif isinstance(selector, WildcardSelector):
            steps.append((_ALL, None))
        elif isinstance(selector, KeysSelector):
            steps.append((_KEYS, None))
        else:
            return None
    return steps


def _below(found: Iterator[tuple[Place, Any]], kind: str, step: Any) -> Iterator[tuple[Place, Any]]:
    for place, value in found:
        if type(value) is dict:
            if kind == _KEYS:
                yield from (((*place, key), key) for key in value)
            elif kind == _ALL:
                yield from (((*place, key), each) for key, each in value.items())
            elif kind == _NAME and step in value:
                yield (*place, step), value[step]
            elif kind == _NAMES:
                yield from (((*place, name), value[name]) for name in step if name in value)
        elif type(value) is list:
            if kind == _ALL:
                yield from (((*place, index), each) for index, each in enumerate(value))
            elif kind == _INDEX and -len(value) <= step < len(value):
                yield (*place, step % len(value)), value[step]
