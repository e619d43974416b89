"""Finds lost updates: a load, a change and a save without one lock around all three."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from oasis_data.audit.finding import LOST_UPDATE, Finding
from oasis_data.audit.flows import Place
from oasis_data.audit.helpers import Access, Accesses, Scope
from oasis_data.audit.source import Source
from oasis_data.audit.terms import render

# Locks between processes: a lock between threads does not exclude other processes.
LOCKS = (
    *("filelock.", "portalocker.", "fasteners.InterProcess", "oslo_concurrency."),
    *("oasis_data.edit_json", "oasis_data.file_operations.edit_json"),
)
FUNCTION_LOCKS = frozenset({"fcntl.flock", "fcntl.lockf", "msvcrt.locking"})


def find_lost_updates(source: Source, found: Accesses) -> Iterator[Finding]:
    """Finds files that are loaded and then saved by one function, or kept in between."""
    through: set[str | None] = set()
    others: list[tuple[Scope, Access]] = []
    for function, accesses in found.by_function.items():
        if isinstance(function, ast.Module) or _locks_itself(source, function):
            continue
        loads = sorted((each for each in accesses if not each.is_save), key=_place)
        for save in (each for each in accesses if each.is_save):
            changed = found.flows.into(save.data).calls
            load = next(
                (
                    each
                    for each in loads
                    if each.path == save.path
                    and each.call is not save.call
                    and (each.call in changed or _is_reached(source, each, save))
                    and not _is_locked(source, each, save)
                ),
                None,
            )
            if load is None:
                others.append((function, save))
            else:
                through.add(save.through)
                yield _finding(source, load, save, "")
    kept = _kept(found)
    for function, save in others:
        # What is saved by a helper, and loaded right before its call, is told there.
        if getattr(function, "name", None) not in through:
            yield from _saved_later(source, found, kept, function, save)


def _saved_later(
    source: Source,
    found: Accesses,
    kept: dict[Place, list[Access]],
    function: Scope,
    save: Access,
) -> Iterator[Finding]:
    """Documents that one function loads and keeps in a module or an object, and another saves."""
    for place in sorted(found.flows.into(save.data).kept, key=lambda each: each[1]):
        for load in kept.get(place, []):
            if load.path == save.path and source.function(load.call) is not function:
                holder = "self." if isinstance(place[0], ast.ClassDef) else ""
                yield _finding(source, load, save, f"{holder}{place[1]}")
                return


def _place(access: Access) -> tuple[int, int]:
    return access.call.lineno, access.call.col_offset


def _finding(source: Source, load: Access, save: Access, kept: str) -> Finding:
    path = save.shown or load.shown or render(save.path)
    by, again = (f" by {each.through}()" if each.through else "" for each in (load, save))
    meanwhile = f", kept in {kept}" if kept else ""
    return Finding(
        LOST_UPDATE,
        source.span(save.call),
        f"{path} is loaded in line {load.call.lineno}{by}{meanwhile}, and saved here{again}",
        f"with edit_json({path}) as document: change it in place; it is saved when the block ends",
        "only a person can say which changes belong together",
    )


def _kept(found: Accesses) -> dict[Place, list[Access]]:
    """What was loaded where a module or an object keeps it."""
    kept: dict[Place, list[Access]] = {}
    for accesses in found.by_function.values():
        for load in accesses:
            if not load.is_save:
                for place in found.flows.keeping(load.call):
                    kept.setdefault(place, []).append(load)
    return kept


def _is_reached(source: Source, load: Access, save: Access) -> bool:
    """Whether a save can come after a load in one run of their function."""
    start = (save.call.lineno, save.call.col_offset)
    if (load.call.end_lineno or 0, load.call.end_col_offset or 0) > start:
        return False
    around_save = [save.call, *source.ancestors(save.call)]
    inner: ast.AST = load.call
    for around in source.ancestors(load.call):
        if isinstance(around, Scope):
            break
        if isinstance(inner, ast.stmt):
            block = next(
                (
                    value
                    for _, value in ast.iter_fields(around)
                    if isinstance(value, list) and inner in value
                ),
                [inner],
            )
            later = block[block.index(inner) :]
            if not any(each in around_save for each in later):
                # safeguard: save-after-return
                if any(isinstance(each, ast.Return | ast.Raise) for each in later):
                    return False
                if isinstance(around, ast.If | ast.Match) and around in around_save:
                    # The save is in a different branch.
                    return False
        if isinstance(around, ast.match_case) and around not in around_save:
            whole = source.parents[around]
            if whole in around_save:
                return False
        inner = around
    return True


def _is_locked(source: Source, load: Access, save: Access) -> bool:
    """Whether one lock between processes is held from the load to the save."""
    around_save = set(source.ancestors(save.call))
    return any(
        isinstance(around, ast.With | ast.AsyncWith)
        and around in around_save
        and any(_is_lock(source, item.context_expr) for item in around.items)
        for around in source.ancestors(load.call)
    )


def _is_lock(source: Source, manager: ast.expr) -> bool:
    seen: set[str] = set()
    while True:
        if isinstance(manager, ast.Call):
            manager = manager.func
        if isinstance(manager, ast.Attribute | ast.Name) and any(
            each.startswith(LOCKS) for each in source.origins(manager)
        ):
            return True
        if isinstance(manager, ast.Attribute):
            manager = manager.value
            continue
        if not isinstance(manager, ast.Name) or manager.id in seen:
            return False
        seen.add(manager.id)
        values = [source.parents.get(each.node) for each in source.bindings(manager)]
        bound = next((each for each in values if isinstance(each, ast.Assign)), None)
        if bound is None:
            return False
        manager = bound.value


def _locks_itself(source: Source, function: Scope) -> bool:
    return any(
        isinstance(node, ast.Call)
        and source.function(node) is function
        and source.origins(node.func) & FUNCTION_LOCKS
        for node in source.nodes
    )
