"""What sources say of each other: which names of a module the others look up."""

from __future__ import annotations

import ast
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from oasis_data.audit.source import Source

ALL = "*"
"""The name that stands for all names of a module, as in `from module import *`."""


@dataclass(frozen=True)
class Foreign:
    """What the sources beside one mention.

    Attributes:
        module: The name of that one.
        counts: In how many sources each name is mentioned, that one too.
        own: The names that it mentions itself.
    """

    module: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    own: frozenset[str] = frozenset()

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


def foreign(mentions: Mapping[Path, frozenset[str]]) -> Iterator[tuple[Path, Foreign]]:
    """For each source what the others mention."""
    counts = Counter(name for each in mentions.values() for name in each)
    for path, own in mentions.items():
        yield path, Foreign(_module(path), counts, own)


def _module(path: Path) -> str:
    path = Path(os.path.realpath(path))
    return path.parent.name if path.stem == "__init__" else path.stem
