"""Which names of a module the other sources look up."""

from __future__ import annotations

import ast
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from oasis_data.audit.source import Source
from oasis_data.audit.terms import Term

ALL = "*"
"""The name that stands for all names of a module, as in `from module import *`."""


@dataclass(frozen=True)
class Helper:
    """A helper: a function that returns a document it loads, or saves a document it is given.

    Attributes:
        name: The name of the function.
        home: The home of its parameters.
        own: For a method, the home of its object; None for a plain function.
        parameters: The parameters that a call can give by place.
        others: The parameters that a call gives by name.
        defaults: The values of parameters that a call does not give.
        loads: The paths that the function loads, in terms of its parameters.
        saves: The paths that the function saves.
    """

    name: str
    home: str
    own: str | None
    parameters: tuple[str, ...]
    others: tuple[str, ...]
    defaults: tuple[tuple[str, Term], ...]
    loads: frozenset[Term]
    saves: frozenset[Term]


@dataclass(frozen=True)
class Shared:
    """The helpers and paths of modules, by `module.name`.

    Attributes:
        helpers: The helpers.
        constants: The paths.
    """

    helpers: Mapping[str, Helper] = field(default_factory=dict)
    constants: Mapping[str, Term] = field(default_factory=dict)


@dataclass(frozen=True)
class Foreign:
    """What one source knows of all others: the names that they look up, and their helpers.

    Attributes:
        module: The name of the source's module.
        counts: The number of sources that mention each name, including this source.
        own: The names that this source mentions.
        shared: The helpers and paths of all modules.
    """

    module: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    own: frozenset[str] = frozenset()
    shared: Shared = Shared()

    def uses(self, name: str) -> bool:
        """Whether a different source may use the module's object of that name."""
        return self._mentions(name) or self.looks_up(name)

    def looks_up(self, name: str) -> bool:
        """Whether a different source looks up the name in this module."""
        # `from . import name` may mean any package.
        modules = (self.module, "")
        return any(self._mentions(f"{module}.{each}") for module in modules for each in (name, ALL))

    def _mentions(self, name: str) -> bool:
        return self.counts.get(name, 0) > (name in self.own)


def mentioned(source: Source) -> frozenset[str]:
    """The names that a source looks up, and `module.name` where it is known in which module."""
    return frozenset(_mentioned(source))


def _mentioned(source: Source) -> Iterator[str]:
    for node in source.nodes:
        if isinstance(node, ast.Attribute):
            yield node.attr
            yield from _looked_up(source, node.value, node.attr)
        elif isinstance(node, ast.ImportFrom):
            module = (node.module or "").rpartition(".")[2]
            for each in node.names:
                yield from (each.name, f"{module}.{each.name}")
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            # As `mock.patch("module.name")` has it.
            if re.fullmatch(r"\w+(\.\w+)*", node.value):
                parts = node.value.split(".")
                yield from parts
                yield from map(".".join, pairwise(parts))
        elif isinstance(node, ast.Call) and len(node.args) > 1:
            # As `getattr(module, "name")` has it.
            name = node.args[1]
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield from _looked_up(source, node.args[0], name.value)


def _looked_up(source: Source, module: ast.expr, name: str) -> Iterator[str]:
    if isinstance(module, ast.Attribute):
        yield f"{module.attr}.{name}"
    elif isinstance(module, ast.Name):
        for origin in source.origins(module):
            yield f"{origin.rpartition('.')[2]}.{name}"


def foreign(
    mentions: Mapping[Path, frozenset[str]], shared: Shared
) -> Iterator[tuple[Path, Foreign]]:
    """For each source, the names that the other sources look up and define."""
    counts = Counter(name for each in mentions.values() for name in each)
    for path, own in mentions.items():
        yield path, Foreign(module_of(path), counts, own, shared)


def module_of(path: Path) -> str:
    """The name by which other sources import a source."""
    path = Path(os.path.realpath(path))
    return path.parent.name if path.stem == "__init__" else path.stem


def together(offers: Iterable[Shared]) -> Shared:
    """The helpers and paths of all modules, except for names that several modules share."""
    helpers: dict[str, list[Helper]] = {}
    constants: dict[str, list[Term]] = {}
    for each in offers:
        for name, helper in each.helpers.items():
            helpers.setdefault(name, []).append(helper)
        for name, constant in each.constants.items():
            constants.setdefault(name, []).append(constant)
    return Shared(
        {name: one for name, (one, *others) in helpers.items() if not others},
        {name: one for name, (one, *others) in constants.items() if not others},
    )
