"""Loads and saves of JSON files, also through functions that do nothing else.

A function that hands on what it loads, or saves what it is given, is a helper. A call of a
helper is a load or a save itself, of the path that the helper has for these arguments.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from oasis_data.audit.flows import Flows
from oasis_data.audit.mentions import Helper, Shared
from oasis_data.audit.source import FUNCTIONS, UNKNOWN, Function, Source
from oasis_data.audit.terms import (
    Term,
    Terms,
    class_home,
    is_method,
    parameter_home,
    size,
    substitute,
)

ROUNDS = 5
"""How many functions lie between a change and its file, at most."""
LARGEST = 40
"""Paths with more parts come from a function that calls itself."""

Scope = Function | ast.Lambda | ast.Module
Methods = dict[ast.ClassDef, dict[str, Function]]


@dataclass(frozen=True)
class Access:
    """A load or a save of a JSON file, where it is called.

    Attributes:
        call: The call.
        path: What it loads or saves.
        shown: The path as Python, where that is in the call.
        data: What a save is given; empty for a load.
        through: The helper that is called, if any.
    """

    call: ast.Call
    path: Term
    shown: str | None
    data: tuple[ast.expr, ...] = ()
    through: str | None = None

    @property
    def is_save(self) -> bool:
        """Whether it saves."""
        return bool(self.data)


@dataclass(frozen=True)
class _Target:
    """The helper that a call calls, with the object before the dot."""

    function: Scope | None
    helper: Helper | None
    receiver: ast.expr | None
    bound: bool


@dataclass
class Accesses:
    """All loads and saves of one source, by the function that they are in."""

    terms: Terms
    flows: Flows
    by_function: dict[Scope, list[Access]] = field(default_factory=dict)
    helpers: dict[Scope, Helper] = field(default_factory=dict)


def find_accesses(
    source: Source, module: str, direct: Iterable[Access], shared: Shared, terms: Terms
) -> Accesses:
    """Finds all loads and saves, including those through helpers.

    Args:
        source: Where to look.
        module: Its name.
        direct: The loads and saves that are no helper's.
        shared: The helpers of other modules.
        terms: Makes the paths.
    """
    direct = list(direct)
    found = Accesses(terms, Flows(source))
    if not direct and not shared.helpers:
        return found
    own: dict[Scope, list[Access]] = {}
    for access in direct:
        own.setdefault(source.function(access.call), []).append(access)
    found.by_function = {function: list(each) for function, each in own.items()}
    calls = [each for each in source.nodes if isinstance(each, ast.Call)]
    methods = _methods(source)
    # Which function each call calls is looked up once, and only where it may be a helper.
    targets: dict[ast.Call, _Target | None] = {}
    outs = _outs(source, found.flows)
    for turn in range(ROUNDS):
        helpers: dict[Scope, Helper] = {
            function: _helper(source, module, function, accesses, found, outs.get(function, []))
            for function, accesses in found.by_function.items()
            if not isinstance(function, ast.Module)
        }
        if turn and helpers == found.helpers:
            break
        found.helpers = helpers
        found.by_function = {function: list(each) for function, each in own.items()}
        known = {*helpers.values(), *shared.helpers.values()}
        names = {each.name for each in known if each.loads or each.saves}
        for call in calls:
            if isinstance(call.func, ast.Attribute) and call.func.attr not in names:
                continue
            if call not in targets:
                targets[call] = _target(source, call, methods, shared)
            target = targets[call]
            # safeguard: update-through-helpers
            accesses = [*_through(call, target, found)] if target else []
            if accesses:
                found.by_function.setdefault(source.function(call), []).extend(accesses)
    return found


def exported(source: Source, module: str, found: Accesses) -> Iterator[tuple[str, Helper]]:
    """The helpers that other modules can call, by `module.name`."""
    for function, helper in found.helpers.items():
        if (
            isinstance(function, FUNCTIONS)
            and source.parents.get(function) is source.tree
            and (helper.loads or helper.saves)
        ):
            yield f"{module}.{function.name}", helper


def _outs(source: Source, flows: Flows) -> dict[Scope, list[ast.expr]]:
    """What each function hands on: it returns or yields it, or keeps it in what outlives it."""
    outs: dict[Scope, list[ast.expr]] = {}
    for node in source.nodes:
        value: ast.expr | None = None
        if isinstance(node, ast.Return | ast.Yield | ast.YieldFrom):
            value = node.value
        elif isinstance(node, ast.Lambda):
            outs.setdefault(node, []).append(node.body)
        elif isinstance(node, ast.Assign) and any(
            place for target in node.targets for place in flows.places(target)
        ):
            value = node.value
        if value is not None:
            outs.setdefault(source.function(node), []).append(value)
    return outs


def _helper(
    source: Source,
    module: str,
    function: Function | ast.Lambda,
    accesses: list[Access],
    found: Accesses,
    outs: list[ast.expr],
) -> Helper:
    handed_on = found.flows.into(outs).calls
    loads = {each.path for each in accesses if not each.is_save and each.call in handed_on}
    saves: set[Term] = set()
    for each in accesses:
        if each.is_save:
            into = found.flows.into(each.data)
            changed = any(
                other.call in into.calls and other.path == each.path
                for other in accesses
                if not other.is_save
            )
            if into.given and not changed:
                saves.add(each.path)
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    places = len(positional) - len(arguments.defaults)
    defaults = {
        each.arg: found.terms.of(value)
        for each, value in (
            *zip(positional[places:], arguments.defaults, strict=True),
            *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
        )
        if value is not None
    }
    around = source.parents.get(function)
    method = isinstance(function, FUNCTIONS) and is_method(source, function)
    return Helper(
        name=function.name if isinstance(function, FUNCTIONS) else "a lambda",
        home=parameter_home(module, function),
        own=class_home(module, around.name)
        if method and isinstance(around, ast.ClassDef)
        else None,
        parameters=tuple(each.arg for each in positional),
        others=tuple(each.arg for each in arguments.kwonlyargs),
        defaults=tuple(defaults.items()),
        loads=frozenset(each for each in loads if size(each) <= LARGEST),
        saves=frozenset(each for each in saves if size(each) <= LARGEST),
    )


def _through(call: ast.Call, target: _Target, found: Accesses) -> Iterator[Access]:
    """What a call of a helper loads and saves."""
    helper = target.helper
    if target.function is not None:
        helper = found.helpers.get(target.function)
    if helper is None or not (helper.loads or helper.saves):
        return
    values = _values(call, target, helper, found.terms)
    if values is None:
        return
    given = [*call.args, *(each.value for each in call.keywords)]
    if target.receiver is not None:
        given.append(target.receiver)
    for path in helper.loads:
        yield Access(call, substitute(path, values), None, (), helper.name)
    for path in helper.saves:
        # A helper without arguments saves what its module keeps.
        data = tuple(given) or (call.func,)
        yield Access(call, substitute(path, values), None, data, helper.name)


def _values(
    call: ast.Call, target: _Target, helper: Helper, terms: Terms
) -> Mapping[tuple[str, str], Term] | None:
    """What the helper's parameters stand for in a call; None where that cannot be told."""
    if any(isinstance(each, ast.Starred) for each in call.args) or any(
        each.arg is None for each in call.keywords
    ):
        return None
    values = {(helper.home, name): term for name, term in helper.defaults}
    parameters = helper.parameters
    if helper.own is not None and target.bound:
        parameters = parameters[1:]
    if len(call.args) > len(parameters):
        return None
    for name, value in zip(parameters, call.args, strict=False):
        values[helper.home, name] = terms.of(value)
    for keyword in call.keywords:
        values[helper.home, keyword.arg or ""] = terms.of(keyword.value)
    if helper.own is not None and target.receiver is not None:
        values[helper.own, "self"] = terms.of(target.receiver)
    return values


# Which function is called


def _target(source: Source, call: ast.Call, methods: Methods, shared: Shared) -> _Target | None:
    """The function or method of this source, or the other module's helper, that is called."""
    function = call.func
    if isinstance(function, ast.Name):
        named = _named(source, function)
        if named is not None:
            return _Target(named, None, None, False)
    elif isinstance(function, ast.Attribute):
        found = _class_of(source, function.value, methods)
        if found is not None:
            owner, is_class = found
            method = _method(source, owner, function.attr, methods)
            if method is None:
                return None
            by_class = is_class and not _is_classmethod(source, method)
            return _Target(method, None, function.value, not by_class)
    for origin in source.origins(function):
        helper = shared.helpers.get(".".join(origin.split(".")[-2:]))
        if helper is not None and not origin.startswith(UNKNOWN):
            return _Target(None, helper, None, False)
    return None


def _named(source: Source, name: ast.Name) -> Scope | None:
    bindings = source.bindings(name)
    if len(bindings) != 1:
        return None
    (binding,) = bindings
    if isinstance(binding.node, FUNCTIONS):
        return binding.node
    around = source.parents.get(binding.node)
    if isinstance(around, ast.Assign) and isinstance(around.value, ast.Lambda):
        return around.value
    return None


def _methods(source: Source) -> Methods:
    classes = [each for each in source.nodes if isinstance(each, ast.ClassDef)]
    return {
        each: {inside.name: inside for inside in each.body if isinstance(inside, FUNCTIONS)}
        for each in classes
    }


def _method(source: Source, owner: ast.ClassDef, name: str, methods: Methods) -> Function | None:
    """The method of a class, or of the classes of this source that it is made from."""
    waiting, seen = [owner], set()
    while waiting:
        each = waiting.pop(0)
        if each in seen:
            continue
        seen.add(each)
        if name in methods[each]:
            return methods[each][name]
        for base in each.bases:
            found = _class_named(source, base)
            if found is not None:
                waiting.append(found)
    return None


def _class_named(source: Source, expression: ast.expr) -> ast.ClassDef | None:
    if not isinstance(expression, ast.Name):
        return None
    bindings = source.bindings(expression)
    node = bindings[0].node if len(bindings) == 1 else None
    return node if isinstance(node, ast.ClassDef) else None


def _class_of(
    source: Source, expression: ast.expr, methods: Methods, depth: int = 0
) -> tuple[ast.ClassDef, bool] | None:
    """The class whose methods an expression has, and whether it is the class itself."""
    if depth > ROUNDS:
        return None
    if isinstance(expression, ast.Call):
        if source.origins(expression.func) == {"builtins.super"}:
            classes = [
                each for each in source.ancestors(expression) if isinstance(each, ast.ClassDef)
            ]
            for base in classes[0].bases if classes else ():
                found = _class_named(source, base)
                if found is not None:
                    return found, False
            return None
        made = _class_named(source, expression.func)
        return (made, False) if made else None
    if isinstance(expression, ast.Name):
        named = _class_named(source, expression)
        if named is not None:
            return named, True
        for binding in source.bindings(expression):
            function, around = source.scope(binding.node), source.parents.get(binding.node)
            if isinstance(binding.node, ast.arg):
                if isinstance(function, FUNCTIONS) and is_method(source, function):
                    first = [*function.args.posonlyargs, *function.args.args][:1]
                    above = source.parents[function]
                    if first == [binding.node] and isinstance(above, ast.ClassDef):
                        return above, False
                note = binding.node.annotation
                noted = _class_named(source, note) if note is not None else None
                if noted is not None:
                    return noted, False
            elif isinstance(around, ast.Assign | ast.AnnAssign) and around.value is not None:
                bound = _class_of(source, around.value, methods, depth + 1)
                if bound is not None:
                    return bound
            elif isinstance(around, ast.withitem):
                return _class_of(source, around.context_expr, methods, depth + 1)
        return None
    if isinstance(expression, ast.Attribute) and isinstance(expression.value, ast.Name):
        # As `self.store = Store(path)` has it, in any method of the class.
        holder = _class_of(source, expression.value, methods, depth + 1)
        if holder is not None:
            for node in ast.walk(holder[0]):
                if (
                    isinstance(node, ast.Assign)
                    and any(
                        isinstance(each, ast.Attribute) and each.attr == expression.attr
                        for each in node.targets
                    )
                    and isinstance(node.value, ast.Call)
                ):
                    return _class_of(source, node.value, methods, depth + 1)
    return None


def _is_classmethod(source: Source, function: Function) -> bool:
    return any(source.origins(each) == {"builtins.classmethod"} for each in function.decorator_list)
