"""Finds JSON that is written into the live file."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, replace

from oasis_data.audit.finding import TORN_WRITE, Finding
from oasis_data.audit.handles import Handle, find_handle, is_parameter, use_reason
from oasis_data.audit.json_calls import (
    Dumped,
    argument,
    dumped,
    json_function,
    option_reason,
)
from oasis_data.audit.opening import IN_UTF8, PATHS, WRITE, Opened, is_path
from oasis_data.audit.replacing import (
    SAVE,
    call_reason,
    comment_reason,
    saving_edit,
    saving_text,
)
from oasis_data.audit.source import Source, Span
from oasis_data.audit.terms import Terms

MODES = {
    "a": "what is appended makes the file several documents, which is not JSON",
    "x": "the file must not exist yet, which if_version=MISSING asks for",
    "+": "the file is read and written through one handle",
    "r": "the file is open for reading",
}
# Names of files that hold a JSON text in each line, which is no JSON document.
LINES = (".jsonl", ".jsonlines", ".ndjson", ".ldjson", ".jsonl.gz", ".ndjson.gz")
# Calls that make the name of a temporary file unique to its writer.
UNIQUE = (
    "tempfile.",
    "uuid.",
    "secrets.",
    "random.",
    "time.",
    "datetime.",
    "os.getpid",
    "threading.",
)
SYNCS = frozenset({"os.fsync", "os.fdatasync"})
RENAMES = frozenset({"os.replace", "os.rename", "os.renames", "shutil.move"})
RENAMING_METHODS = {"replace", "rename"}
# They give the path that they are given.
SAME = frozenset({"builtins.str", "os.fspath", *PATHS})


@dataclass(frozen=True)
class Write:
    """A call that writes JSON text to a file; the statement is the `with` that opens it.

    Attributes:
        call: The call.
        path: What it writes to.
        place: Where that ends: another path, if the same function moves it there.
        mode: With which mode the file is open; None if that is not certain.
        data: What it writes.
        statement: The `with` that opens the file.
        finding: What is said of it.
    """

    call: ast.Call
    path: ast.expr
    place: ast.expr
    mode: str | None
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
    if not _are_lines(source, call, handle):
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
            yield Write(call, path, path, None, text.data, None, finding)
        return
    # safeguard: json-lines-left-alone
    if _are_lines(source, call, handle):
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
        f"JSON is written into {source.text_of(path)} itself"
        if moved is None
        else f"JSON is written into {source.text_of(path)}, and moved in line {moved.line}",
        replacement,
        reason,
        () if reason else (edit, *handle.unwraps(source)),
        "" if moved is None else _move_danger(source, call, path),
    )
    place = moved.place if moved else path
    return Write(call, path, place, handle.opened.mode, text.data, handle.statement, finding)


def _are_lines(source: Source, call: ast.Call, handle: Handle) -> bool:
    """Whether a JSON text is written in each line of a file, which is no JSON document then."""
    (*_, last) = Terms(source, "", {}).of(handle.opened.path) or ("",)
    if isinstance(last, str) and last.endswith(LINES):
        return True
    appended = "a" in (handle.opened.mode or "")
    repeated = any(
        isinstance(each, ast.For | ast.AsyncFor | ast.While)
        and each not in source.ancestors(handle.opened.call)
        for each in source.ancestors(call)
    )
    return (appended or repeated) and (
        source.origins(call.func) == {"builtins.print"}
        or _ends_line(call)
        or any(_ends_line(each) for each in _beside(source, call, handle))
    )


def _ends_line(call: ast.Call) -> bool:
    """Whether the last thing that a call is given is text with the end of a line."""
    text: ast.expr | None = call.args[-1] if call.args else None
    while isinstance(text, ast.BinOp | ast.JoinedStr):
        text = text.right if isinstance(text, ast.BinOp) else text.values[-1]
    value = text.value if isinstance(text, ast.Constant) else None
    return (isinstance(value, str) and value.endswith("\n")) or (
        isinstance(value, bytes) and value.endswith(b"\n")
    )


def _beside(source: Source, call: ast.Call, handle: Handle) -> Iterator[ast.Call]:
    """The other calls that write to the same open file."""
    file = call.func.value if isinstance(call.func, ast.Attribute) else None
    names = {each.id for each in (file, *call.args) if isinstance(each, ast.Name)}
    for node in source.nodes:
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "write"
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id in names
            and source.function(node) is source.function(call)
            and (handle.statement is None or handle.statement in source.ancestors(node))
        ):
            yield node


def _move_danger(source: Source, call: ast.Call, path: ast.expr) -> str:
    """What is missing where a file is written beside its place and moved there."""
    function = source.function(call)
    calls = [
        each
        for each in source.nodes
        if isinstance(each, ast.Call) and source.function(each) is function
    ]
    said = ["Readers meet whole files."]
    if not any(source.origins(each.func) & SYNCS for each in calls):
        said.append("But nothing is synced before the move: a power cut can leave an empty file.")
    if not _is_unique(source, path):
        name = source.text_of(path)
        said.append(f"But of two writers that both use {name}, one moves what the other has begun.")
    said.append("No lock is taken, no backup is kept, and the move itself is not made durable.")
    return " ".join(said)


def _is_unique(source: Source, path: ast.expr) -> bool:
    """Whether something in a path, or in the names in it, differs from writer to writer."""
    waiting, seen = [path], set()
    while waiting:
        for node in ast.walk(waiting.pop()):
            origins = source.origins(node) if isinstance(node, ast.Name | ast.Attribute) else ()
            if any(each.startswith(UNIQUE) for each in origins):
                return True
            if isinstance(node, ast.Name) and node.id not in seen:
                seen.add(node.id)
                statements = [source.parents.get(each.node) for each in source.bindings(node)]
                while statements:
                    each = statements.pop()
                    if isinstance(each, ast.Tuple):
                        statements.append(source.parents.get(each))
                    elif isinstance(each, ast.Assign):
                        waiting.append(each.value)
                    elif isinstance(each, ast.withitem):
                        waiting.append(each.context_expr)
    return False


def _mode_reason(handle: Handle) -> str | None:
    mode = handle.opened.mode
    if mode is None or handle.opened.direction == WRITE:
        return None
    return next((MODES[each] for each in "ax+r" if each in mode), f"the mode is {mode!r}")


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
    if "a" in mode or "r" in mode:
        return f"with edit_json({source.text_of(path)}) as document: change it in place"
    more = {"if_version": "MISSING"} if "x" in mode else {}
    return saving_text(source, path, text.data, text.call, **more)


def _move_reason(
    source: Source, path: ast.expr, moves: list[_Move], moved: _Move | None
) -> str | None:
    # safeguard: no-fix-of-moved-file
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
    """The parts of a path, without functions that leave the path the same."""
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
