"""What sources say of each other: which names of a module the others look up."""

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
    """A function that hands on what it loads, or saves what it is given.

    Attributes:
        name: What it is called.
        home: The home of its parameters.
        own: The home of the object whose method it is, if it is one.
        parameters: Those that can be given by place.
        others: Those that are given by name.
        defaults: What the parameters are that are not given.
        loads: The paths that it loads, in terms of its parameters.
        saves: The paths that it saves.
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
    """What modules offer to others, by `module.name`.

    Attributes:
        helpers: Their helpers.
        constants: Their paths.
    """

    helpers: Mapping[str, Helper] = field(default_factory=dict)
    constants: Mapping[str, Term] = field(default_factory=dict)


@dataclass(frozen=True)
class Foreign:
    """What the sources beside one mention.

    Attributes:
        module: The name of that one.
        counts: In how many sources each name is mentioned, that one too.
        own: The names that it mentions itself.
        shared: What all modules offer.
    """

    module: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    own: frozenset[str] = frozenset()
    shared: Shared = Shared()

    def uses(self, name: str) -> bool:
        """Whether another source may use the module's thing of that name."""
        return self._mentions(name) or self.looks_up(name)

    def looks_up(self, name: str) -> bool:
        """Whether another source looks up the name in this module."""
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
    """For each source what the others mention, and offer."""
    counts = Counter(name for each in mentions.values() for name in each)
    for path, own in mentions.items():
        yield path, Foreign(module_of(path), counts, own, shared)


def module_of(path: Path) -> str:
    """The name that others import a source by."""
    path = Path(os.path.realpath(path))
    return path.parent.name if path.stem == "__init__" else path.stem


def together(offers: Iterable[Shared]) -> Shared:
    """What all modules offer; not the names that several modules of one name have."""
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
