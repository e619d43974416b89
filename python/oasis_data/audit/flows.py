"""Where values come from and where they go, inside one function."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from oasis_data.audit.source import FUNCTIONS, Source

Place = tuple[object, str]
"""A name outside a function that keeps a value: a module's, or an attribute of an object."""


@dataclass
class Reach:
    """What goes into a value.

    Attributes:
        calls: The calls that it is made with.
        given: Whether a parameter, an attribute or a module's variable is in it.
        kept: Those attributes and variables.
        names: What binds the variables in it.
    """

    calls: set[ast.Call] = field(default_factory=set)
    given: bool = False
    kept: set[Place] = field(default_factory=set)
    names: set[ast.AST] = field(default_factory=set)


class Flows:
    """Follows values through the variables of one source."""

    def __init__(self, source: Source) -> None:
        """Collects the values that are put into existing variables."""
        self._source = source
        self._put: dict[tuple[object, str], list[ast.expr]] = {}
        for node in source.nodes:
            for name, value in _put_by(node):
                self._put.setdefault((source.home(name), name.id), []).append(value)

    def into(self, values: Iterable[ast.expr]) -> Reach:
        """What goes into some values, through all variables."""
        reach = Reach()
        waiting = list(values)
        seen: set[tuple[object, str]] = set()
        while waiting:
            for node in ast.walk(waiting.pop()):
                if isinstance(node, ast.Call):
                    reach.calls.add(node)
                elif isinstance(node, ast.Attribute):
                    reach.kept.update(self.places(node))
                elif isinstance(node, ast.Name):
                    home = self._source.home(node)
                    if (home, node.id) in seen:
                        continue
                    seen.add((home, node.id))
                    waiting += self._put.get((home, node.id), [])
                    waiting += self._from_bindings(node, reach)
        return reach

    def _from_bindings(self, name: ast.Name, reach: Reach) -> Iterator[ast.expr]:
        at_top = self._source.home(name) is self._source.tree
        for binding in self._source.bindings(name):
            reach.names.add(binding.node)
            if isinstance(binding.node, ast.arg):
                reach.given = True
            elif isinstance(binding.node, ast.Name):
                if at_top:
                    # What a module keeps comes from elsewhere, not from this function.
                    reach.given = True
                    reach.kept.update(self.places(name))
                if not at_top or self._source.function(binding.node) is self._source.function(name):
                    yield from self.bound_to(binding.node)

    def bound_to(self, name: ast.AST) -> Iterator[ast.expr]:
        """The value that a name is bound to where it stands."""
        for around in self._source.ancestors(name):
            if isinstance(around, ast.For | ast.AsyncFor | ast.comprehension):
                yield around.iter
            elif isinstance(around, ast.withitem):
                yield around.context_expr
            elif isinstance(around, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.NamedExpr):
                if around.value is not None:
                    yield around.value
            elif isinstance(around, ast.Match):
                yield around.subject
            elif not isinstance(around, ast.stmt):
                continue
            return

    def keeping(self, call: ast.Call) -> Iterator[Place]:
        """Where the result of a call is kept after the function of the call ends."""
        for function, calls, places in self._kept:
            if call in calls and function is self._source.function(call):
                yield from places

    @cached_property
    def _kept(self) -> list[tuple[ast.AST, set[ast.Call], list[Place]]]:
        kept: list[tuple[ast.AST, set[ast.Call], list[Place]]] = []
        for node in self._source.nodes:
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                places = [place for target in targets for place in self.places(target)]
                if places:
                    calls = self.into([node.value]).calls
                    kept.append((self._source.function(node), calls, places))
        return kept

    def places(self, target: ast.expr) -> Iterator[Place]:
        """Where an assignment keeps a value beyond its function: an attribute, a module's name."""
        if isinstance(target, ast.Subscript):
            yield from self.places(target.value)
        elif isinstance(target, ast.Tuple | ast.List):
            for each in target.elts:
                yield from self.places(each)
        elif isinstance(target, ast.Name) and self._source.home(target) is self._source.tree:
            yield (self._source.tree, target.id)
        elif isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
            for binding in self._source.bindings(target.value):
                function = self._source.scope(binding.node)
                around = self._source.parents.get(function)
                if (
                    isinstance(binding.node, ast.arg)
                    and isinstance(function, FUNCTIONS)
                    and isinstance(around, ast.ClassDef)
                    and function.args.args[:1] == [binding.node]
                ):
                    yield (around, target.attr)


def _put_by(node: ast.AST) -> Iterator[tuple[ast.Name, ast.expr]]:
    """What is put into a variable's object, as by `x.append(value)` and `x[key] = value`."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if isinstance(node.func.value, ast.Name):
            for value in (*node.args, *(each.value for each in node.keywords)):
                yield node.func.value, value
    elif isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign) and node.value is not None:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            inside: ast.expr = target
            while isinstance(inside, ast.Subscript | ast.Attribute):
                inside = inside.value
            if inside is not target and isinstance(inside, ast.Name):
                yield inside, node.value
