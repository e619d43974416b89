"""The standard library's `json`, in a copy of the package's own.

Tracing agents, mocks and libraries replace functions and classes of `json`, before or
after this package is imported. Documents must be read and written as by the original
functions all the same: an exception of a wrapper looks like no corrupt file, and the
result of a mock is no document. So this module runs the standard library's files a second
time, and nobody else has these copies. `_json`, which is in C, is shared with `json`.

The current `JSONEncoder.default` of `json` is used when a document is written: programs
replace it to have more kinds of values written.
"""

from __future__ import annotations

import builtins
import importlib.util
import json
import os
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any


def _spec(name: str) -> ModuleSpec | None:
    # Searched where the interpreter's own modules lie: a module of the same name may come
    # earlier on `sys.path`, and a finder may call back code that waits for `json`.
    parent, _, _ = name.rpartition(".")
    folder = os.path.join(os.path.dirname(os.__file__), parent)
    # A bundled interpreter may have no such folder.
    return PathFinder.find_spec(name, [folder]) or importlib.util.find_spec(name)


def _copy(name: str) -> ModuleType:
    spec = _spec(name)
    if spec is None or spec.loader is None:
        raise ImportError(f"{name} of the standard library is not found", name=name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_package: Any = _copy("json")
_decoder: Any = _copy("json.decoder")
_encoder: Any = _copy("json.encoder")
_decoder.scanner = _copy("json.scanner")
# The class that callers catch, if it is still a class.
if isinstance(json.JSONDecodeError, type) and issubclass(json.JSONDecodeError, ValueError):
    _decoder.JSONDecodeError = json.JSONDecodeError
_package._default_decoder = _decoder.JSONDecoder()

loads = _package.loads
_default = _encoder.JSONEncoder.default


def encoder(**options: Any) -> Any:
    """A `json.JSONEncoder` with the `default` that a program may have set for all encoders."""
    classes = getattr(json.JSONEncoder, "__mro__", ())
    found = (vars(each)["default"] for each in classes if "default" in vars(each))
    _encoder.JSONEncoder.default = next(found, _default)
    return _encoder.JSONEncoder(**options)


# What the native encoder needs of Python and of this version of `json`.

CLASS, ITEMS = "__class__", "items"
MAPPINGS: Any = (dict, *filter(None, [getattr(builtins, "frozendict", None)]))


class _TrueList(list[Any]):
    def __bool__(self) -> bool:
        return True


class _TrueDict(dict[Any, Any]):
    """A dictionary with other items than its own: a key may be what no `dict` takes."""

    pairs: tuple[tuple[Any, Any], ...] = ()

    def __bool__(self) -> bool:
        return True

    def items(self) -> Any:
        return self.pairs


NO_ITEMS, NO_PAIRS = _TrueList(), _TrueDict()


def unpacked(pair: Any) -> tuple[Any, Any]:
    """The two things in what `items` yields."""
    key, value = pair
    return key, value


def key_text(encoder: Any, key: Any) -> str:
    """The text of a key, quotes included."""
    document = _TrueDict()
    document.pairs = ((key, None),)
    text = "".join(encoder.iterencode(document))
    return text.removeprefix("{").removesuffix(": null}")


def has_levels(levels: int) -> bool:
    """True; raises RecursionError where fewer levels of recursion are left."""
    return levels <= 0 or has_levels(levels - 1)


def pieces_below(levels: int, encoder: Any, value: Any) -> list[str]:
    """The pieces of a value's text, encoded that many levels of recursion further down."""
    if levels > 0:
        return pieces_below(levels - 1, encoder, value)
    return list(encoder.iterencode(value))
