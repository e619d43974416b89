"""Finds JSON that is written into the live file."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, replace

from oasis_data.audit.finding import TORN_WRITE, Finding
from oasis_data.audit.handles import (
    IN_UTF8,
    PATHS,
    WRITE,
    Handle,
    Opened,
    find_handle,
    is_parameter,
    is_path,
    use_reason,
)
from oasis_data.audit.json_calls import (
    Dumped,
    argument,
    dumped,
    json_function,
    option_reason,
)
from oasis_data.audit.replacing import (
    SAVE,
    call_reason,
    comment_reason,
    saving_edit,
    saving_text,
)
from oasis_data.audit.source import Source, Span

MODES = {
    "a": "what is appended makes the file several documents, which is not JSON",
    "x": "the file must not exist yet, which if_version=MISSING asks for",
    "+": "the file is read and written through one handle",
    "r": "the file is open for reading",
}
RENAMES = frozenset({"os.replace", "os.rename", "os.renames", "shutil.move"})
RENAMING_METHODS = {"replace", "rename"}
# They give the path that they are given.
SAME = frozenset({"builtins.str", "os.fspath", *PATHS})


@dataclass(frozen=True)
class Write:
    """A call that writes JSON text to a file; the statement is the `with` that opens it."""

    call: ast.Call
    path: ast.expr
    data: ast.expr
    statement: ast.stmt | None
    finding: Finding


@dataclass(frozen=True)
class _Move:
    path: ast.expr
    place: ast.expr
    line: int


def find_writes(source: Source) -> Iterator[Write]:
    """Finds every write of JSON text to a file."""
    for call in source.nodes:
        if isinstance(call, ast.Call):
            yield from _by_dump(source, call)
            yield from _by_method(source, call)
            yield from _by_print(source, call)


def _by_dump(source: Source, call: ast.Call) -> Iterator[Write]:
    """`json.dump(data, file)`."""
    found = json_function(source, call, "dump")
    data, file = argument(call, 0, "obj"), argument(call, 1, "fp")
    if found and data is not None and file is not None:
        reason = found[1] or option_reason(call, {"obj", "fp"}, 2)
        yield from _into(source, call, file, Dumped(call, data, False, reason))


def _by_method(source: Source, call: ast.Call) -> Iterator[Write]:
    """`file.write(json.dumps(data))` and `path.write_text(json.dumps(data))`."""
    if not isinstance(call.func, ast.Attribute) or not call.args:
        return
    method, receiver = call.func.attr, call.func.value
    if method not in ("write", "writelines", "write_text", "write_bytes"):
        return
    text = dumped(source, call.args[0])
    if text is None:
        return
    if method == "writelines":
        text = replace(text, reason="writelines is given text")
    if method in ("write", "writelines"):
        yield from _into(source, call, receiver, text)
        return
    reason = text.reason
    if not is_path(source, receiver):
        reason = reason or f"cannot tell that {source.text_of(receiver)} is a pathlib.Path"
    if text.encoded != (method == "write_bytes"):
        reason = reason or f"{method} is not given what it takes"
    given = ", ".join(ast.unparse(each) for each in (*call.args[1:], *call.keywords))
    if given not in IN_UTF8:
        reason = reason or f"{method} is given {given}"
    handle = Handle(Opened(call, receiver, "w", "utf-8", None), None, 0, None)
    yield _finding(source, call, handle, text, reason)


def _by_print(source: Source, call: ast.Call) -> Iterator[Write]:
    """`print(json.dumps(data), file=file)`."""
    file = next((each.value for each in call.keywords if each.arg == "file"), None)
    if file is None or source.origins(call.func) != {"builtins.print"}:
        return
    for text in call.args:
        found = dumped(source, text)
        if found:
            reason = "print writes more than the document"
            yield from _into(source, call, file, Dumped(found.call, found.data, False, reason))


def _into(source: Source, call: ast.Call, file: ast.expr, text: Dumped) -> Iterator[Write]:
    handle = find_handle(source, file)
    if handle is None:
        if text.call is call and is_parameter(source, file):
            elsewhere = f"{source.text_of(file)} is opened elsewhere"
            path = ast.Name("path", ast.Load())
            message = f"JSON is written to {source.text_of(file)}, which may be a live file"
            replacement = saving_text(source, path, text.data, text.call)
            finding = Finding(TORN_WRITE, source.span(call), message, replacement, elsewhere)
            yield Write(call, path, text.data, None, finding)
        return
    use = file if isinstance(file, ast.Name) else None
    reason = (
        _mode_reason(handle)
        or text.reason
        or handle.reason
        or handle.opened.reason
        or _encoding_reason(handle.opened, text)
        or use_reason(source, handle, use, call)
    )
    yield _finding(source, call, handle, text, reason)


def _finding(
    source: Source, call: ast.Call, handle: Handle, text: Dumped, reason: str | None
) -> Write:
    path = handle.opened.path
    moves = list(_moves(source, call))
    own = ast.dump(_unwrapped(source, path))
    moved = next(
        (each for each in moves if ast.dump(each.path) == own and each.line >= call.lineno), None
    )
    reason = reason or _move_reason(source, path, moves, moved)
    reason = (
        reason
        or _place_reason(source, call, handle, text)
        or call_reason(source, call, SAVE)
        or _comments_reason(source, call, handle, text)
    )
    replacement = _replacement(source, handle, text, moved.place if moved else path)
    edit = saving_edit(source, call, handle.path_argument(source), text.call, text.data)
    finding = Finding(
        TORN_WRITE,
        source.span(call),
        f"JSON is written into {source.text_of(path)} itself",
        replacement,
        reason,
        () if reason else (edit, *handle.unwraps(source)),
    )
    return Write(call, path, text.data, handle.statement, finding)


def _mode_reason(handle: Handle) -> str | None:
    mode = handle.opened.mode
    if mode is None or handle.opened.direction == WRITE:
        return None
    return next((MODES[each] for each in "+axr" if each in mode), f"the mode is {mode!r}")


def _encoding_reason(opened: Opened, text: Dumped) -> str | None:
    binary = "b" in (opened.mode or "")
    if binary != text.encoded:
        return "the file takes bytes" if binary else "the file takes text"
    if binary or opened.encoding == "utf-8":
        return None
    ascii_only = next(
        (ast.unparse(each.value) for each in text.call.keywords if each.arg == "ensure_ascii"),
        "True",
    )
    if opened.encoding == "ascii" and ascii_only == "True":
        return None
    return "the file is not encoded as UTF-8"


def _place_reason(source: Source, call: ast.Call, handle: Handle, text: Dumped) -> str | None:
    statement = source.parents[call]
    if not isinstance(statement, ast.Expr):
        return "its value is used"
    reordered = handle.statement is None and handle.opened.call is not call
    path = handle.opened.path
    data_at, path_at = source.span(text.data), source.span(path)
    before_path = (data_at.line, data_at.column) < (path_at.line, path_at.column)
    if reordered and before_path and not isinstance(text.data, ast.Name | ast.Constant):
        return "the path would be evaluated before the document"
    return None


def _replacement(source: Source, handle: Handle, text: Dumped, path: ast.expr) -> str:
    mode = handle.opened.mode or ""
    if "+" in mode or "a" in mode:
        return f"with edit_json({source.text_of(path)}) as document: change it in place"
    more = {"if_version": "MISSING"} if "x" in mode else {}
    return saving_text(source, path, text.data, text.call, **more)


def _move_reason(
    source: Source, path: ast.expr, moves: list[_Move], moved: _Move | None
) -> str | None:
    if moved:
        place = source.text_of(moved.place)
        return f"it is moved to {place} in line {moved.line}: save there at once"
    for each in moves:
        if not (isinstance(each.path, ast.Constant) and isinstance(path, ast.Constant)):
            return f"line {each.line} moves {source.text_of(each.path)}, which may be this file"
    return None


def _moves(source: Source, call: ast.Call) -> Iterator[_Move]:
    """The files that the same function moves."""
    function = source.function(call)
    for node in source.nodes:
        if not isinstance(node, ast.Call) or source.function(node) is not function:
            continue
        moved = argument(node, 0, "src") if source.origins(node.func) & RENAMES else None
        place = argument(node, 1, "dst")
        if (
            isinstance(node.func, ast.Attribute)
            and node.func.attr in RENAMING_METHODS
            and moved is None
            # A string's `replace` takes two.
            and len(node.args) == 1
        ):
            moved, place = node.func.value, node.args[0]
        if moved is not None and place is not None:
            yield _Move(_unwrapped(source, moved), place, node.lineno)


def _unwrapped(source: Source, path: ast.expr) -> ast.expr:
    """What a path is made of, without the functions that leave it what it is."""
    while isinstance(path, ast.Call) and len(path.args) == 1 and not path.keywords:
        if not source.origins(path.func) <= SAME:
            break
        (path,) = path.args
    return path


def _comments_reason(source: Source, call: ast.Call, handle: Handle, text: Dumped) -> str | None:
    kept = [handle.opened.path, text.data, *(each.value for each in text.call.keywords)]
    within = comment_reason(source, source.span(call), kept)
    if within or handle.statement is None:
        return within
    return header_reason(source, handle.statement, kept)


def header_reason(
    source: Source, statement: ast.With | ast.AsyncWith, kept: list[ast.expr]
) -> str | None:
    """Whether a comment between the items of a `with` would be lost."""
    last = max(
        source.span(each.optional_vars or each.context_expr).end_line for each in statement.items
    )
    header = Span(statement.lineno, 0, last, 0)
    return comment_reason(source, header, kept)
