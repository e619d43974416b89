"""Paths as terms: two spellings of a path are equal, also where one function passes it to another.

`os.path.join(D, "a.json")`, `f"{D}/a.json"` and `Path(D) / "a.json"` are one term. A name that
is bound once stands for what it is bound to; any other name is a symbol.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from oasis_data.audit.opening import PATHS
from oasis_data.audit.source import FUNCTIONS, UNKNOWN, Function, Source

JOINS = frozenset({"os.path.join", *PATHS})
# They give a path that leads to the same file.
SAME = frozenset(
    {
        *("builtins.str", "os.fspath", "os.path.abspath", "os.path.realpath", "os.path.normpath"),
        *("os.path.expanduser", "os.fsencode", "os.fsdecode"),
    }
)
SAME_METHODS = frozenset({"resolve", "absolute", "expanduser", "as_posix"})
DEEPEST = 50
"""More expressions inside each other are no path that a person wrote."""


@dataclass(frozen=True)
class Symbol:
    """A name; `home` tells names of different functions, classes and modules apart."""

    home: str
    name: str
    shown: str = field(compare=False)


@dataclass(frozen=True)
class Applied:
    """An attribute, a call or another expression over terms."""

    shape: str
    parts: tuple[Term, ...]
    shown: str = field(compare=False)


Atom: TypeAlias = str | Symbol | Applied
Term: TypeAlias = tuple[Atom, ...]


def parameter_home(module: str, function: ast.AST) -> str:
    """The home of a function's parameters and variables."""
    place = (getattr(function, "lineno", 0), getattr(function, "col_offset", 0))
    return f"{module}:{place[0]}:{place[1]}"


def class_home(module: str, name: str) -> str:
    """The home of the object that a class's methods are called on."""
    return f"{module}.{name}()"


def substitute(term: Term, values: Mapping[tuple[str, str], Term]) -> Term:
    """The term with some symbols replaced, each named by its home and name."""
    atoms: list[Atom] = []
    for atom in term:
        if isinstance(atom, Symbol):
            atoms += values.get((atom.home, atom.name), (atom,))
        elif isinstance(atom, Applied):
            parts = tuple(substitute(each, values) for each in atom.parts)
            atoms.append(Applied(atom.shape, parts, atom.shown))
        else:
            atoms.append(atom)
    return _merged(atoms)


def symbols(term: Term) -> Iterable[Symbol]:
    """All symbols in a term."""
    for atom in term:
        if isinstance(atom, Symbol):
            yield atom
        elif isinstance(atom, Applied):
            for part in atom.parts:
                yield from symbols(part)


def size(term: Term) -> int:
    """How many atoms a term has, all in all."""
    return sum(1 + sum(map(size, atom.parts)) if isinstance(atom, Applied) else 1 for atom in term)


def render(term: Term) -> str:
    """The term as Python."""
    if all(isinstance(atom, str) for atom in term):
        return repr("".join(map(str, term)))
    if len(term) == 1:
        return _render_atom(term[0])
    inner = "".join(
        atom.replace("{", "{{").replace("}", "}}")
        if isinstance(atom, str)
        else f"{{{_render_atom(atom)}}}"
        for atom in term
    )
    quote = '"' if '"' not in inner else "'"
    return f"f{quote}{inner}{quote}"


def _render_atom(atom: Atom) -> str:
    if isinstance(atom, str):
        return repr(atom)
    if isinstance(atom, Symbol):
        return atom.shown
    if atom.shape.startswith("."):
        return render(atom.parts[0]) + atom.shape
    if atom.shape.endswith("()"):
        return f"{atom.shape[:-1]}{', '.join(map(render, atom.parts))})"
    return atom.shown


def _merged(atoms: Iterable[Atom]) -> Term:
    """Joins adjacent texts, and drops the parts that change nothing in a path."""
    merged: list[Atom] = []
    for atom in atoms:
        if isinstance(atom, str) and merged and isinstance(merged[-1], str):
            merged[-1] += atom
        else:
            merged.append(atom)
    merged = [
        re.sub("/(?:[.]?/)+", "/", each) if isinstance(each, str) else each for each in merged
    ]
    if merged and isinstance(merged[0], str):
        merged[0] = re.sub("^(?:[.]/)+", "", merged[0])
    return tuple(each for each in merged if each != "")


class Terms:
    """Makes the terms of one source.

    Args:
        source: The source.
        module: Its name.
        constants: What other modules' names stand for, by `module.name`.
    """

    def __init__(self, source: Source, module: str, constants: Mapping[str, Term]) -> None:
        """Takes the names of one source."""
        self._source = source
        self._module = module
        self._constants = constants
        self._looking_up: set[tuple[int, str]] = set()
        self._known: dict[ast.expr, Term] = {}

    def of(self, expression: ast.expr, depth: int = 0) -> Term:
        """The term of an expression."""
        known = self._known.get(expression)
        if known is None:
            known = _merged(self._of(expression, depth))
            if not self._looking_up:
                self._known[expression] = known
        return known

    def _of(self, node: ast.expr, depth: int) -> Term:
        deeper = depth + 1
        if depth > DEEPEST:
            return (Symbol(f"{self._module}:{id(node)}", "", "…"),)
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
            value = node.value
            return (value.decode("utf-8", "replace") if isinstance(value, bytes) else value,)
        if isinstance(node, ast.JoinedStr):
            return tuple(atom for each in node.values for atom in self.of(each, deeper))
        if isinstance(node, ast.FormattedValue) and node.format_spec is None:
            return self.of(node.value, deeper)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Div):
            between = ("/",) if isinstance(node.op, ast.Div) else ()
            return (*self.of(node.left, deeper), *between, *self.of(node.right, deeper))
        if isinstance(node, ast.Name):
            return self._of_name(node, deeper)
        if isinstance(node, ast.Attribute):
            return self._of_attribute(node, deeper)
        if isinstance(node, ast.Call):
            return self._of_call(node, deeper)
        return (self._applied(node, deeper),)

    def _applied(self, node: ast.expr, depth: int) -> Applied:
        shape, parts = type(node).__name__, []
        for name, value in ast.iter_fields(node):
            for each in value if isinstance(value, list) else [value]:
                if isinstance(each, ast.expr):
                    parts.append(self.of(each, depth))
                elif not isinstance(each, ast.expr_context):
                    inner = ast.dump(each) if isinstance(each, ast.AST) else repr(each)
                    shape += f" {name}={inner}"
        return Applied(shape, tuple(parts), ast.unparse(node))

    def _of_attribute(self, node: ast.Attribute, depth: int) -> Term:
        origins = self._source.origins(node)
        if len(origins) == 1 and not any(
            each.startswith((UNKNOWN, "builtins.")) for each in origins
        ):
            return self._global(next(iter(origins)), ast.unparse(node))
        return (Applied(f".{node.attr}", (self.of(node.value, depth),), ast.unparse(node)),)

    def _of_call(self, node: ast.Call, depth: int) -> Term:
        origins = self._source.origins(node.func)
        plain = not node.keywords and not any(isinstance(each, ast.Starred) for each in node.args)
        if plain and node.args:
            if origins <= JOINS:
                return self._joined(node.args, depth)
            if origins <= SAME and len(node.args) == 1:
                return self.of(node.args[0], depth)
        if isinstance(node.func, ast.Attribute):
            if node.func.attr in SAME_METHODS and not node.args:
                return self.of(node.func.value, depth)
            if node.func.attr == "joinpath" and plain:
                return self._joined([node.func.value, *node.args], depth)
        if isinstance(node.func, ast.Name) and plain:
            parts = tuple(self.of(each, depth) for each in node.args)
            return (Applied(f"{node.func.id}()", parts, ast.unparse(node)),)
        return (self._applied(node, depth),)

    def _joined(self, parts: list[ast.expr], depth: int) -> Term:
        atoms: list[Atom] = []
        for part in parts:
            if atoms:
                atoms.append("/")
            atoms += self.of(part, depth)
        return tuple(atoms)

    def _global(self, origin: str, shown: str) -> Term:
        name = ".".join(origin.split(".")[-2:])
        return self._constants.get(name, (Symbol("", name, shown),))

    def _of_name(self, node: ast.Name, depth: int) -> Term:
        bindings = self._source.bindings(node)
        home = self._source.home(node)
        if home is None:
            return (Symbol("", node.id, node.id),)
        origins = {each.origin for each in bindings}
        if len(origins) == 1 and (origin := next(iter(origins))):
            return self._global(origin, node.id)
        if all(isinstance(each.node, ast.ClassDef) for each in bindings):
            return (Symbol(class_home(self._module, node.id), "self", node.id),)
        at_top = home is self._source.tree
        place = "" if at_top else parameter_home(self._module, home)
        name = f"{self._module}.{node.id}" if at_top else node.id
        symbol: Term = (Symbol(place, name, node.id),)
        looked_up = (id(home), node.id)
        if looked_up in self._looking_up:
            return symbol
        self._looking_up.add(looked_up)
        try:
            return self._bound(node, symbol, depth)
        finally:
            self._looking_up.discard(looked_up)

    def _bound(self, node: ast.Name, symbol: Term, depth: int) -> Term:
        """What a name stands for: its only value, its parameter, or just itself."""
        arguments: list[ast.arg] = []
        values: list[ast.expr] = []
        for binding in self._source.bindings(node):
            around = self._source.parents.get(binding.node)
            if isinstance(binding.node, ast.arg):
                arguments.append(binding.node)
                continue
            value: ast.expr | None = None
            if isinstance(around, ast.AnnAssign) or (
                isinstance(around, ast.Assign) and around.targets == [binding.node]
            ):
                value = around.value
            if value is None:
                return symbol
            values.append(value)
        if arguments:
            # As in `path = Path(path)`.
            if all(self.of(each, depth) == symbol for each in values):
                return self._self(arguments[0], node) or symbol
        elif len(values) == 1 and self._is_repeatable(values[0]):
            return self.of(values[0], depth)
        home = self._source.home(node)
        assert home is not None  # noqa: S101 -- or it would have no bindings
        # What a helper binds anew is no caller's.
        if not arguments:
            return symbol
        return (Symbol(f"{parameter_home(self._module, home)}:own", node.id, node.id),)

    def _self(self, argument: ast.arg, node: ast.Name) -> Term | None:
        """The object that a method is called on, the same for all methods of its class."""
        function = self._source.home(node)
        if not isinstance(function, FUNCTIONS) or not is_method(self._source, function):
            return None
        first = [*function.args.posonlyargs, *function.args.args][:1]
        if first != [argument]:
            return None
        around = self._source.parents[function]
        assert isinstance(around, ast.ClassDef)  # noqa: S101 -- as `is_method` found
        return (Symbol(class_home(self._module, around.name), "self", argument.arg),)

    def _is_repeatable(self, value: ast.expr) -> bool:
        """Whether the expression gives the same path whenever it is evaluated."""
        for node in ast.walk(value):
            if isinstance(node, ast.Await | ast.Yield | ast.YieldFrom | ast.NamedExpr | ast.Lambda):
                return False
            if isinstance(node, ast.Call) and not self._is_path_function(node.func):
                return False
        return True

    def _is_path_function(self, function: ast.expr) -> bool:
        if isinstance(function, ast.Attribute) and function.attr in {*SAME_METHODS, "joinpath"}:
            return True
        for origin in self._source.origins(function):
            if origin in JOINS or origin in SAME or origin.startswith("os.path."):
                continue
            if origin == UNKNOWN and isinstance(function, ast.Name):
                # A function of this source, which makes the path.
                bindings = self._source.bindings(function)
                if not all(isinstance(each.node, FUNCTIONS) for each in bindings):
                    return False
            elif origin.partition(".")[0] in {UNKNOWN, "builtins", *sys.stdlib_module_names}:
                return False
        return True


def is_method(source: Source, function: Function) -> bool:
    """Whether a function is called on an object or on its class, which is the first argument."""
    return isinstance(source.parents.get(function), ast.ClassDef) and not any(
        source.origins(each) == {"builtins.staticmethod"} for each in function.decorator_list
    )
