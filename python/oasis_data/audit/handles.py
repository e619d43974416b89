"""Open files where they are used: how they were opened, and what else is done with them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from oasis_data.audit.finding import Argument, Unwrap
from oasis_data.audit.json_calls import argument_at, enclosing_function
from oasis_data.audit.opening import PATHS, READ, WRITE, Opened, opened
from oasis_data.audit.replacing import SAVE, origins_of
from oasis_data.audit.source import COMPREHENSIONS, Scope, Source

# Calls that have the same value again for the same arguments.
PURE = frozenset({"os.path.join", "os.fspath", "builtins.str", *PATHS})


@dataclass(frozen=True)
class Handle:
    """An open file where it is used.

    Attributes:
        opened: The call that opened the file.
        statement: The `with` that closes the file; None if the file is used where it is
            opened.
        item: The number of the file among the items of the statement.
        reason: Why the use of the file is not certain.
    """

    opened: Opened
    statement: ast.With | ast.AsyncWith | None
    item: int
    reason: str | None

    def path_argument(self, source: Source) -> Argument:
        """The path, for an edit."""
        return argument_at(source, self.opened.call, self.opened.path)

    def unwraps(self, source: Source) -> tuple[Unwrap, ...]:
        """The edits that remove the `with`."""
        return (Unwrap(source.span(self.statement), self.item),) if self.statement else ()


def find_handle(source: Source, expression: ast.expr) -> Handle | None:
    """The open file that an expression stands for; None if it is not known."""
    inline = opened(source, expression)
    if inline:
        return Handle(inline, None, 0, None)
    if not isinstance(expression, ast.Name):
        return None
    binder = _binder(source, expression)
    if binder:
        statement, item = binder
        found = opened(source, statement.items[item].context_expr)
        return Handle(found, statement, item, found.reason) if found else None
    for binding in source.bindings(expression):
        around = source.parents.get(binding.node)
        if isinstance(around, ast.Assign | ast.NamedExpr):
            value = around.value
            if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):
                # An `ExitStack` gives the file that it is to close.
                entered = value.func.attr == "enter_context" and value.args
                value = value.args[0] if entered else value
            found = opened(source, value)
            if found:
                reason = f"{expression.id} is not opened by a with statement around this"
                return Handle(found, None, 0, reason)
    return None


def is_parameter(source: Source, expression: ast.expr) -> bool:
    """Whether an expression is a parameter of the function around it."""
    return isinstance(expression, ast.Name) and any(
        isinstance(each.node, ast.arg) for each in source.bindings(expression)
    )


def _binder(source: Source, name: ast.Name) -> tuple[ast.With | ast.AsyncWith, int] | None:
    """The innermost `with` around a name that binds it, unless a loop does so further inside."""
    home = source.home(name)
    for around in source.ancestors(name):
        if isinstance(around, ast.With | ast.AsyncWith):
            for place, item in reversed(list(enumerate(around.items))):
                target = item.optional_vars
                if isinstance(target, ast.Name) and target.id == name.id:
                    return (around, place) if source.home(target) is home else None
        if isinstance(around, ast.For | ast.AsyncFor) and name.id in _names(around.target):
            return None
    return None


def _names(node: ast.AST) -> set[str]:
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}


def use_reason(source: Source, handle: Handle, use: ast.Name | None, call: ast.Call) -> str | None:
    """Why a call that uses the handle cannot take the place of the whole `with`.

    Args:
        source: The source of the call.
        handle: The open file.
        use: The name in the call that stands for the file.
        call: The call that is to be replaced.
    """
    statement = handle.statement
    if statement is None or use is None:
        return None
    if isinstance(statement, ast.AsyncWith):
        return "it is asynchronous"
    if enclosing_function(source, call) is not enclosing_function(source, statement):
        return "it is written in a function of its own inside the with statement"
    # safeguard: other-uses-of-handle
    if any(_is_use(source, each, use, statement) for each in source.nodes):
        return f"{use.id} is used for something else too"
    within = source.statement(call)
    if within not in statement.body:
        return "it is not always reached once the file is open"
    before = statement.body[: statement.body.index(within)]
    for each in before:
        if not isinstance(each, ast.Expr | ast.Assign | ast.AnnAssign | ast.AugAssign):
            return "it is not always reached once the file is open"
        if any(
            isinstance(inside, ast.Await | ast.Yield | ast.YieldFrom) for inside in ast.walk(each)
        ):
            return "it is not always reached once the file is open"
    items = [each.context_expr for each in statement.items[handle.item + 1 :]]
    later: list[ast.expr | ast.stmt] = [*before, *items]
    path = handle.opened.path
    # safeguard: path-may-change
    if later and not stable(source, path, later):
        return f"{source.text_of(path)} may be another path by then"
    moved = [each for each in later if not _is_unordered(source, handle, each)]
    for early in (*moved, *_evaluated_before(source, call)):
        return f"{source.text_of(early)} would come before the file is opened"
    return None


def _is_unordered(source: Source, handle: Handle, node: ast.expr | ast.stmt) -> bool:
    """Whether code has the same effect before the file is opened and after.

    A read moves to the place of the call, past code that may change the file or show that
    the file could be opened. A write may move past code whose effect stays in the
    function: nobody relies on a file that is empty for a moment.
    """
    if isinstance(node, ast.expr):
        found = opened(source, node)
        kinds = (READ,) if handle.opened.direction == READ else (READ, WRITE)
        return found is not None and found.reason is None and found.direction in kinds
    inside = list(ast.walk(node))
    stored = [each for each in inside if isinstance(getattr(each, "ctx", None), ast.Store)]
    home = source.function(node)
    # As where two files are opened together, of which the first is saved already.
    saves = origins_of(SAVE)
    return (
        handle.opened.direction == WRITE
        and not isinstance(node, ast.AugAssign)
        and all(source.origins(each.func) <= saves for each in inside if isinstance(each, ast.Call))
        and all(isinstance(each, ast.Name) and source.home(each) is home for each in stored)
        # Where the file cannot be opened, what follows would see it.
        and not any(hasattr(each, "handlers") for each in source.ancestors(node))
    )


def _evaluated_before(source: Source, call: ast.Call) -> Iterator[ast.Call]:
    """The calls in the same statement that run before a call and are no part of it."""
    whole: ast.AST = call
    for around in source.ancestors(call):
        if isinstance(around, ast.stmt):
            break
        whole = around
    start = (call.lineno, call.col_offset)
    for node in ast.walk(whole):
        if isinstance(node, ast.Call) and (node.end_lineno, node.end_col_offset) <= start:
            yield node


def _is_use(
    source: Source, node: ast.AST, use: ast.Name, statement: ast.With | ast.AsyncWith
) -> bool:
    if not isinstance(node, ast.Name) or node.id != use.id or node is use:
        return False
    if isinstance(node.ctx, ast.Store) or source.home(node) is not source.home(use):
        return False
    binder = _binder(source, node)
    if binder:
        return binder[0] is statement
    # In a loop that binds the same name for itself.
    return not any(
        isinstance(around, ast.For | ast.AsyncFor) and node.id in _names(around.target)
        for around in source.ancestors(node)
    )


def stable(source: Source, path: ast.expr, meanwhile: list[ast.expr | ast.stmt]) -> bool:
    """Whether a path is certainly the same after some statements or expressions."""
    changed = {
        each.id
        for node in meanwhile
        for each in ast.walk(node)
        if isinstance(each, ast.Name) and not isinstance(each.ctx, ast.Load)
    }
    return _stable(source, path, changed)


def _stable(source: Source, node: ast.expr, changed: set[str]) -> bool:
    if isinstance(node, ast.Constant):
        return True
    if isinstance(node, ast.Name):
        return node.id not in changed and _is_bound_once(source, node)
    if isinstance(node, ast.JoinedStr):
        return all(_stable(source, each, changed) for each in node.values)
    if isinstance(node, ast.FormattedValue):
        return node.format_spec is None and _stable(source, node.value, changed)
    if isinstance(node, ast.BinOp):
        return _stable(source, node.left, changed) and _stable(source, node.right, changed)
    if isinstance(node, ast.Call):
        pure = source.origins(node.func)
        values = [*node.args, *(each.value for each in node.keywords)]
        return pure <= PURE and all(_stable(source, each, changed) for each in values)
    return False


def _is_bound_once(source: Source, name: ast.Name) -> bool:
    """Whether no call can bind the name anew."""
    home: Scope | None = source.home(name)
    bindings = source.bindings(name)
    if home is source.tree:
        return len(bindings) == 1
    return home is not None and all(
        source.scope(each.node) is home or isinstance(source.scope(each.node), COMPREHENSIONS)
        for each in bindings
    )
