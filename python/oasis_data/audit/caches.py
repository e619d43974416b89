"""Finds caches of JSON files, and whether they can be taken out whole.

A cache is a dictionary that what `json.load` read is put into. It can be taken out
where every statement that uses it has one of these forms, which do nothing but keep it:

    cache = {}                          # at the top of the module
    if key in cache: return cache[key]  # before the file is read
    cache[key] = document               # what was just read, or what was just saved
    cache.pop(key, None), cache.clear()
    if key in cache: del cache[key]
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, replace

from oasis_data.audit.finding import CACHE_WRITE, STALE_CACHE, Edit, Finding, Remove
from oasis_data.audit.frameworks import is_of_framework
from oasis_data.audit.helpers import Access
from oasis_data.audit.mentions import Foreign
from oasis_data.audit.reads import Read
from oasis_data.audit.replacing import LOAD, SAVE, named, origins_of, star_reason
from oasis_data.audit.source import FUNCTIONS, Source
from oasis_data.audit.suppressions import Suppressions

Load = Read | Access

MEMOIZERS = frozenset(
    {"functools.lru_cache", "functools.cache", "cachetools.cached", "cachetools.func.ttl_cache"}
)
# Syntax that does not change the values in it.
LOOKING = (ast.If, ast.UnaryOp, ast.Compare, ast.Return)
MAKERS = frozenset({"builtins.dict", "collections.OrderedDict"})


@dataclass(frozen=True)
class Saved:
    """A save of a file, by the library or by what `--fix` will turn into it."""

    statement: ast.stmt
    call: ast.Call
    path: str
    data: str


def find_caches(
    source: Source,
    reads: list[Load],
    saves: list[Saved],
    foreign: Foreign,
    comments: Suppressions,
) -> Iterator[Finding]:
    """Finds the caches that JSON files are read into.

    Args:
        source: Where to look.
        reads: The reads in it, those through the library and through helpers too.
        saves: The saves in it.
        foreign: What the other sources mention.
        comments: Those that accept findings.
    """
    yield from map(comments.apply, _memoized(source, reads))
    fills = {fill: read for read in reads for fill in _fills(source, read)}
    names: dict[str, tuple[ast.Name, ast.Assign]] = {}
    for fill in sorted(fills, key=lambda each: (each.lineno, each.col_offset)):
        for container in _containers(fill):
            # safeguard: session-is-no-cache
            if is_of_framework(source, container):
                continue
            if isinstance(container, ast.Name) and source.home(container) is source.tree:
                names.setdefault(container.id, (container, fill))
            if not isinstance(container, ast.Attribute):
                continue
            yield comments.apply(
                Finding(
                    STALE_CACHE,
                    source.span(fill),
                    f"{source.text_of(container)} keeps what was read from a file",
                    f"load with {named(source, LOAD)} each time; it has a cache of its own",
                    f"cannot tell who else uses {source.text_of(container)}",
                )
            )
    for name, first in names.values():
        found = [
            comments.apply(each)
            for each in _module_cache(source, name, first, fills, saves, foreign)
        ]
        # The lines of a cache go together or stay together.
        accepted = next((each for each in found if each.suppressed is not None), None)
        # safeguard: partly-accepted-cache
        reason = f"line {accepted.span.line} is ignored by a comment" if accepted else None
        for each in found:
            yield replace(each, reason=each.reason or reason, edits=()) if reason else each


def _memoized(source: Source, reads: list[Load]) -> Iterator[Finding]:
    told: set[ast.expr] = set()
    for read in reads:
        for around in source.ancestors(read.call):
            if not isinstance(around, FUNCTIONS):
                continue
            for decorator in around.decorator_list:
                called = decorator.func if isinstance(decorator, ast.Call) else decorator
                if source.origins(called) & MEMOIZERS and decorator not in told:
                    told.add(decorator)
                    yield Finding(
                        STALE_CACHE,
                        source.span(decorator),
                        f"{around.name} answers with what it read the first time",
                        f"load with {named(source, LOAD)}, without @{source.text_of(decorator)}",
                        "callers may need its cache_clear, or one and the same object",
                    )


def _fills(source: Source, read: Load) -> Iterator[ast.Assign]:
    """The assignments that put a loaded document into an object with keys."""
    statement = source.statement(read.call)
    if not isinstance(statement, ast.Assign) or statement.value is not read.call:
        return
    for target in statement.targets:
        if isinstance(target, ast.Subscript):
            yield statement
        elif isinstance(target, ast.Name):
            for node in source.nodes:
                if (
                    isinstance(node, ast.Assign)
                    and isinstance(node.value, ast.Name)
                    and node.value.id == target.id
                    and source.home(node.value) is source.home(target)
                    and any(isinstance(each, ast.Subscript) for each in node.targets)
                ):
                    yield node


def _fill_reason(source: Source, fill: ast.Assign, read: Load) -> str | None:
    """Why a load in each call may not do what the cache does."""
    if isinstance(read, Access):
        return f"line {read.call.lineno} reads through {read.through}()"
    if read.finding and not read.finding.fixable:
        return f"what line {read.call.lineno} reads would be parsed anew each time"
    document = fill.value
    assert isinstance(document, ast.Name)  # noqa: S101 -- as `_fills` found
    load = source.statement(read.call)
    assert isinstance(load, ast.Assign)  # noqa: S101 -- the same
    bound = [each.node for each in source.bindings(document) if each.node not in load.targets]
    between = [
        node
        for node in source.nodes
        if isinstance(node, ast.Name)
        and node.id == document.id
        and source.home(node) is source.home(document)
        and (load.lineno, load.col_offset) < (node.lineno, node.col_offset)
        and (node.lineno, node.col_offset) < (fill.lineno, fill.col_offset)
        and not isinstance(source.parents[node], LOOKING)
    ]
    if all(_is_bound_empty(source, each) for each in (*bound, *between)):
        return None
    return f"{document.id} may not be what was read any more when it is kept"


def _is_bound_empty(source: Source, name: ast.AST) -> bool:
    """Whether a name is bound to what stands for a missing file: a constant, `{}` or `[]`."""
    around = source.parents[name]
    value = around.value if isinstance(around, ast.Assign) else None
    return isinstance(value, ast.Constant) or (
        isinstance(value, ast.Dict | ast.List) and ast.unparse(value) in ("{}", "[]")
    )


def _containers(fill: ast.Assign) -> list[ast.expr]:
    return [each.value for each in fill.targets if isinstance(each, ast.Subscript)]


def _module_cache(
    source: Source,
    name: ast.Name,
    first: ast.Assign,
    fills: dict[ast.Assign, Load],
    saves: list[Saved],
    foreign: Foreign,
) -> Iterator[Finding]:
    removed: list[ast.stmt] = []
    reason = star_reason(source)
    # safeguard: cache-of-others
    if foreign.uses(name.id):
        reason = f"another module uses {name.id}"
    definition: ast.stmt | None = None
    hand_writes: list[tuple[ast.Assign, str | None]] = []
    uses = [
        node
        for node in source.nodes
        if isinstance(node, ast.Name) and node.id == name.id and source.home(node) is source.tree
    ]
    for use in sorted(uses, key=lambda each: (each.lineno, each.col_offset)):
        statement = source.statement(use)
        own = _keeping(source, statement, use)
        if _is_definition(source, statement, use):
            definition = definition or statement
            removed.append(statement)
        elif own is not None and _is_return(own):
            loads = any(source.function(each) is source.function(own) for each in fills)
            if loads:
                removed.append(own)
            else:
                reason = reason or f"line {use.lineno} reads {name.id} where nothing is loaded"
        elif isinstance(statement, ast.Assign) and _is_fill(statement, use):
            if statement not in fills:
                why = _hand_write_reason(source, statement, saves)
                hand_writes.append((statement, why))
                # safeguard: hand-write-into-cache
                reason = reason or why
            elif isinstance(statement.value, ast.Call):
                reason = reason or f"line {use.lineno} keeps what it reads nowhere but in {name.id}"
            else:
                reason = reason or _fill_reason(source, statement, fills[statement])
            removed.append(statement)
        elif own is not None:
            removed.append(own)
        else:
            reason = reason or f"line {use.lineno} uses {name.id} in another way"
    if definition is None:
        reason = reason or f"{name.id} is not made by one plain statement"
    exported = [
        each for each in source.nodes if isinstance(each, ast.Constant) and each.value == name.id
    ]
    if exported or _is_declared(source, name.id):
        reason = reason or f"{name.id} is exported, or bound anew by a function"
    unique = list(dict.fromkeys(removed))
    edits: tuple[Edit, ...] = tuple(Remove(source.span(each)) for each in unique)
    load = named(source, LOAD)
    yield Finding(
        STALE_CACHE,
        source.span(definition or first),
        f"{name.id} keeps what was read from files, and hands the same object to all",
        f"take {name.id} out: {load} keeps a cache that is never stale, and gives private copies",
        reason,
        () if reason else edits,
    )
    for write, why in hand_writes:
        yield Finding(
            CACHE_WRITE,
            source.span(write),
            f"{source.text_of(write.targets[0])} is set by hand",
            f"{named(source, SAVE)}(path, {source.text_of(write.value)}), and no cache is told",
            why or reason,
        )


def _is_definition(source: Source, statement: ast.stmt, use: ast.Name) -> bool:
    if source.parents[statement] is not source.tree:
        return False
    if isinstance(statement, ast.Assign):
        bound = statement.targets == [use]
    else:
        bound = isinstance(statement, ast.AnnAssign) and statement.target is use
    value = statement.value if isinstance(statement, ast.Assign | ast.AnnAssign) else None
    empty = isinstance(value, ast.Dict) and not value.keys
    made = isinstance(value, ast.Call) and not value.args and not value.keywords
    if isinstance(value, ast.Call):
        made = made and source.origins(value.func) <= MAKERS
    return bound and (empty or made)


def _keeping(source: Source, statement: ast.stmt, use: ast.Name) -> ast.stmt | None:
    """The statement to take out for a use that only keeps the cache."""
    if _is_invalidation(statement, use):
        around = source.parents[statement]
        if isinstance(around, ast.If) and _is_guard(source, around, use.id):
            return around
        return None if isinstance(statement, ast.Delete) else statement
    around = statement if isinstance(statement, ast.If) else source.parents[statement]
    if isinstance(around, ast.If) and _is_guard(source, around, use.id):
        return around
    return None


def _is_guard(source: Source, guard: ast.If, name: str) -> bool:
    """`if key in cache:` with one statement that only looks at that key, and no else."""
    above = source.parents[guard]
    if isinstance(above, ast.If) and guard in above.orelse:
        # An `elif` is a part of its statement, and cannot be taken out by itself.
        return False
    test = guard.test
    if not (
        isinstance(test, ast.Compare)
        and isinstance(test.ops[0], ast.In)
        and len(test.ops) == 1
        and _is_plain(test.left)
        and isinstance(test.comparators[0], ast.Name)
        and test.comparators[0].id == name
        and not guard.orelse
        and len(guard.body) == 1
    ):
        return False
    (only,) = guard.body
    item: ast.expr | None = None
    if isinstance(only, ast.Return):
        item = only.value
    elif isinstance(only, ast.Delete) and len(only.targets) == 1:
        item = only.targets[0]
    return (
        isinstance(item, ast.Subscript)
        and isinstance(item.value, ast.Name)
        and item.value.id == name
        and ast.dump(item.slice) == ast.dump(test.left)
    )


def _is_return(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.If) and isinstance(statement.body[0], ast.Return)


def _is_invalidation(statement: ast.stmt, use: ast.Name) -> bool:
    """`cache.pop(key, None)`, `cache.clear()` or `del cache[key]`."""
    if isinstance(statement, ast.Delete):
        (target, *others) = statement.targets
        return (
            not others
            and isinstance(target, ast.Subscript)
            and target.value is use
            and _is_plain(target.slice)
        )
    if not isinstance(statement, ast.Expr) or not isinstance(statement.value, ast.Call):
        return False
    call = statement.value
    if not isinstance(call.func, ast.Attribute) or call.func.value is not use or call.keywords:
        return False
    if call.func.attr == "clear":
        return not call.args
    return call.func.attr == "pop" and len(call.args) == 2 and all(map(_is_plain, call.args))


def _is_fill(statement: ast.Assign, use: ast.Name) -> bool:
    return (
        len(statement.targets) == 1
        and isinstance(statement.targets[0], ast.Subscript)
        and statement.targets[0].value is use
        and _is_plain(statement.targets[0].slice)
    )


def _hand_write_reason(source: Source, write: ast.Assign, saves: list[Saved]) -> str | None:
    """Why the value may be nowhere but in the cache: it was not saved just before or after."""
    target = write.targets[0]
    assert isinstance(target, ast.Subscript)  # noqa: S101 -- as `_is_fill` found
    key, value = ast.dump(target.slice), ast.dump(write.value)
    block = _block(source, write)
    place = block.index(write)
    beside = block[max(place - 1, 0) : place + 2]
    for save in saves:
        if save.statement in beside and (save.path, save.data) == (key, value):
            return None
    return "what is set may be in no file"


def _block(source: Source, statement: ast.stmt) -> list[ast.stmt]:
    around = source.parents[statement]
    for _, value in ast.iter_fields(around):
        if isinstance(value, list) and statement in value:
            return value
    return [statement]


def _is_declared(source: Source, name: str) -> bool:
    return any(isinstance(each, ast.Global) and name in each.names for each in source.nodes)


def _is_plain(expression: ast.expr) -> bool:
    """Whether nothing happens when the expression is evaluated."""
    plain = (ast.Name, ast.Constant, ast.Attribute, ast.Load, ast.JoinedStr, ast.FormattedValue)
    return all(isinstance(each, plain) for each in ast.walk(expression))


def library_calls(source: Source) -> Iterator[tuple[str, ast.Call]]:
    """The calls of the package's own saves and loads."""
    for node in source.nodes:
        if isinstance(node, ast.Call):
            for function in (SAVE, LOAD):
                if source.origins(node.func) <= origins_of(function):
                    yield function, node
