"""A parsed Python source: positions, and the meaning of its names."""

from __future__ import annotations

import ast
import io
import json
import re
import tokenize
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
Comprehension: TypeAlias = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
Scope: TypeAlias = ast.Module | Function | ast.Lambda | ast.ClassDef | Comprehension

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
SCOPES = (ast.Module, *FUNCTIONS, ast.Lambda, ast.ClassDef, *COMPREHENSIONS)

UNKNOWN = "?"
"""The origin of a name that is not, or not only, bound by an import."""


@dataclass(frozen=True)
class Span:
    """A stretch of source as LibCST counts it: lines from 1, columns from 0, in characters."""

    line: int
    column: int
    end_line: int
    end_column: int

    def __contains__(self, position: tuple[int, int]) -> bool:
        """Whether the position is inside."""
        return (self.line, self.column) <= position < (self.end_line, self.end_column)


@dataclass(frozen=True)
class Binding:
    """One place that binds a name, and the dotted origin if it is an import."""

    node: ast.AST
    origin: str | None


class Source:
    """What was parsed, with the parent of each node and the bindings of each scope.

    Raises:
        SyntaxError: This is no Python.
        ValueError: It has null bytes, or cannot be decoded.
        RecursionError: It is nested too deeply.
    """

    def __init__(self, content: bytes) -> None:
        """Parses without executing anything."""
        with warnings.catch_warnings():
            # An odd escape in somebody else's string is not this package's business.
            warnings.simplefilter("ignore")
            self.tree = ast.parse(content)
        encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
        self.text = content.decode(encoding)
        self._lines = re.split(r"\r\n|\r|\n", self.text)
        self.parents: dict[ast.AST, ast.AST] = {}
        self.nodes: list[ast.AST] = []
        self._scopes: dict[ast.AST, Scope] = {}
        self._bindings: dict[Scope, dict[str, list[Binding]]] = {}
        self._outer: dict[Scope, dict[str, bool]] = {}
        self._enter(self.tree, self.tree)
        for node in list(self.nodes):
            self._bind(node)

    # Positions

    def span(self, node: ast.expr | ast.stmt) -> Span:
        """Where a node stands."""
        end_line, end_column = node.end_lineno, node.end_col_offset
        assert end_line is not None  # noqa: S101 -- the parser sets them always
        assert end_column is not None  # noqa: S101
        return Span(
            node.lineno,
            self._characters(node.lineno, node.col_offset),
            end_line,
            self._characters(end_line, end_column),
        )

    def text_of(self, node: ast.AST) -> str:
        """A node as one line of source, in the spelling of `ast.unparse`."""
        return ast.unparse(node)

    def text_at(self, span: Span) -> str:
        """The source of a span, on one line."""
        lines = self._lines[span.line - 1 : span.end_line]
        if lines:
            lines[-1] = lines[-1][: span.end_column]
            lines[0] = lines[0][span.column :]
        return " ".join(" ".join(lines).split())

    @cached_property
    def comments(self) -> list[tuple[int, int]]:
        """The positions of all comments."""
        tokens = tokenize.generate_tokens(io.StringIO(self.text, newline=None).readline)
        return [token.start for token in tokens if token.type == tokenize.COMMENT]

    def _characters(self, line: int, column: int) -> int:
        # The parser counts the bytes of UTF-8, whatever the file's encoding.
        return len(self._lines[line - 1].encode()[:column].decode())

    # Names

    def scope(self, node: ast.AST) -> Scope:
        """The scope that a node is evaluated in."""
        return self._scopes[node]

    def function(self, node: ast.AST) -> Function | ast.Lambda | ast.Module:
        """The function that a node is evaluated in, or the module."""
        scope = self.scope(node)
        while isinstance(scope, (ast.ClassDef, *COMPREHENSIONS)):
            scope = self.scope(scope)
        return scope

    def home(self, name: ast.Name) -> Scope | None:
        """The scope that binds a name; None for a builtin, or a name without a binding."""
        return self._home(name.id, self.scope(name))

    def bindings(self, name: ast.Name) -> list[Binding]:
        """All places that bind the name."""
        home = self.home(name)
        return self._bindings[home][name.id] if home else []

    def bound_in(self, scope: Scope, name: str) -> list[Binding]:
        """The places in just this scope that bind a name."""
        return self._bindings.get(scope, {}).get(name, [])

    def all_bindings(self, name: str) -> list[Binding]:
        """The places in any scope that bind a name."""
        return [each for names in self._bindings.values() for each in names.get(name, [])]

    def unbound(self) -> frozenset[str]:
        """The names that are used but not bound in this source, such as builtins."""
        names = (each for each in self.nodes if isinstance(each, ast.Name))
        return frozenset(each.id for each in names if self.home(each) is None)

    def imported(self, origins: frozenset[str]) -> Iterator[str]:
        """The module's own names for something that it imports by one of the origins."""
        for name, bindings in self._bindings[self.tree].items():
            if all(each.origin in origins for each in bindings) and any(
                self.parents[each.node] is self.tree for each in bindings
            ):
                yield name

    def origins(self, expression: ast.expr) -> frozenset[str]:
        """The dotted names that an expression may stand for, such as `json.dump`."""
        if isinstance(expression, ast.Name):
            bindings = self.bindings(expression)
            if not bindings:
                return frozenset({f"builtins.{expression.id}"})
            return frozenset(each.origin or UNKNOWN for each in bindings)
        if isinstance(expression, ast.Attribute):
            return frozenset(f"{each}.{expression.attr}" for each in self.origins(expression.value))
        return frozenset({UNKNOWN})

    def ancestors(self, node: ast.AST) -> Iterator[ast.AST]:
        """The nodes around a node, from the inside."""
        while (parent := self.parents.get(node)) is not None:
            yield parent
            node = parent

    def statement(self, node: ast.AST) -> ast.stmt:
        """The statement that an expression stands in."""
        while not isinstance(node, ast.stmt):
            node = self.parents[node]
        return node

    def _home(self, name: str, scope: Scope) -> Scope | None:
        first = True
        while True:
            outer = self._outer.get(scope, {}).get(name)
            if outer:
                return self.tree if name in self._bindings.get(self.tree, {}) else None
            # A class's names are not seen from its methods.
            visible = first or not isinstance(scope, ast.ClassDef)
            if visible and outer is None and name in self._bindings.get(scope, {}):
                return scope
            if scope is self.tree:
                return None
            first = False
            scope = self._scopes[scope]

    def _enter(self, node: ast.AST, scope: Scope) -> None:
        # A stack of our own: a long chain of operators is deeper than Python's.
        stack: list[tuple[ast.AST, Scope]] = [(node, scope)]
        while stack:
            node, scope = stack.pop()
            self.nodes.append(node)
            self._scopes[node] = scope
            inner: Scope = node if isinstance(node, SCOPES) else scope
            around = self._around(node, scope)
            outside = set(map(id, self._evaluated_outside(node)))
            for child in ast.iter_child_nodes(node):
                # Constants such as `ast.Load()` are shared by all nodes; they say nothing here.
                if not isinstance(child, (ast.expr_context, ast.operator, ast.boolop, ast.cmpop)):
                    self.parents[child] = node
                    stack.append((child, around if id(child) in outside else inner))
            if isinstance(node, (ast.Global, ast.Nonlocal)):
                declared = self._outer.setdefault(scope, {})
                declared |= dict.fromkeys(node.names, isinstance(node, ast.Global))

    def _around(self, node: ast.AST, scope: Scope) -> Scope:
        # A function's defaults, and a comprehension's first iterable, belong to what is around it.
        inside = isinstance(node, (ast.arguments, ast.comprehension))
        return self._scopes[self.parents[node]] if inside else scope

    def _evaluated_outside(self, node: ast.AST) -> Iterator[ast.AST]:
        if isinstance(node, FUNCTIONS):
            yield from node.decorator_list
            if node.returns:
                yield node.returns
        elif isinstance(node, ast.ClassDef):
            yield from (*node.decorator_list, *node.bases, *node.keywords)
        elif isinstance(node, ast.arguments):
            yield from (*node.defaults, *filter(None, node.kw_defaults))
        elif isinstance(node, ast.comprehension):
            whole = self.parents[node]
            if isinstance(whole, COMPREHENSIONS) and whole.generators[0] is node:
                yield node.iter

    def _bind(self, node: ast.AST) -> None:
        for name, origin in _bound_by(node):
            scope = self._scopes[node]
            if isinstance(self.parents.get(node), ast.NamedExpr):
                while isinstance(scope, COMPREHENSIONS):
                    scope = self._scopes[scope]
            declared = self._outer.get(scope, {}).get(name)
            if declared is not None:
                scope = self.tree if declared else self._scopes[scope]
            self._bindings.setdefault(scope, {}).setdefault(name, []).append(Binding(node, origin))


def _bound_by(node: ast.AST) -> Iterator[tuple[str, str | None]]:
    """The names that a node binds, each with its origin if it is an import."""
    if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
        yield node.id, None
    elif isinstance(node, ast.arg):
        yield node.arg, None
    elif isinstance(node, (*FUNCTIONS, ast.ClassDef)):
        yield node.name, None
    elif isinstance(node, ast.Import):
        for each in node.names:
            top = each.name.partition(".")[0]
            yield each.asname or top, each.name if each.asname else top
    elif isinstance(node, ast.ImportFrom):
        module = "." * node.level + (node.module or "")
        names = [(each.name, each.asname) for each in node.names]
        if module == "json" and names == [("*", None)]:
            names = [(each, None) for each in json.__all__]
        for name, alias in names:
            yield alias or name, f"{module}.{name}"
    elif isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)) and node.name:
        yield node.name, None
    elif isinstance(node, ast.MatchMapping) and node.rest:
        yield node.rest, None
