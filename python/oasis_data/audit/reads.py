"""Finds JSON files that are read past the library."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from oasis_data.audit.finding import PLAIN_READ, Finding
from oasis_data.audit.handles import Handle, find_handle, use_reason
from oasis_data.audit.json_calls import argument, json_function, loading_reason
from oasis_data.audit.opening import IN_UTF8, READ, Opened, is_path
from oasis_data.audit.replacing import (
    LOAD,
    call_reason,
    comment_reason,
    loading_edit,
    loading_text,
)
from oasis_data.audit.source import Source
from oasis_data.audit.writes import header_reason

# Nodes whose parts are all evaluated, once.
UNCONDITIONAL = (
    *(ast.Call, ast.Attribute, ast.Subscript, ast.keyword, ast.Starred),
    *(ast.Dict, ast.List, ast.Tuple, ast.Set, ast.BinOp, ast.UnaryOp),
)


@dataclass(frozen=True)
class Read:
    """A call that reads a JSON file, with the path; no finding if it is the package's."""

    call: ast.Call
    path: ast.expr
    finding: Finding | None


def find_reads(source: Source) -> Iterator[Read]:
    """Finds every read of a JSON file."""
    for call in source.nodes:
        if isinstance(call, ast.Call):
            found = json_function(source, call, "load", "loads")
            if found:
                name, reason = found
                text = argument(call, 0, "fp" if name == "load" else "s")
                if text is not None:
                    yield from _read(source, call, name, text, reason or loading_reason(call))


def _read(
    source: Source, call: ast.Call, name: str, text: ast.expr, reason: str | None
) -> Iterator[Read]:
    if name == "loads" and isinstance(text, ast.Name):
        kept = f"the text is kept in {text.id}, which may be used elsewhere"
        for binding in source.bindings(text):
            statement = source.parents.get(binding.node)
            if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Call):
                yield from _read(source, call, name, statement.value, reason or kept)
        return
    file: ast.expr | None = text if name == "load" else None
    if name == "loads" and isinstance(text, ast.Call) and isinstance(text.func, ast.Attribute):
        receiver, method = text.func.value, text.func.attr
        if method == "read" and not text.args:
            file = receiver
        elif method in ("read_text", "read_bytes"):
            given = ", ".join(ast.unparse(each) for each in (*text.args, *text.keywords))
            if given not in IN_UTF8:
                reason = reason or f"{method} is given {given}"
            if not is_path(source, receiver):
                reason = reason or f"cannot tell that {source.text_of(receiver)} is a pathlib.Path"
            handle = Handle(Opened(text, receiver, "r", "utf-8", None), None, 0, None)
            yield _found(source, call, handle, reason)
            return
    handle_of_file = find_handle(source, file) if file is not None else None
    if handle_of_file is None:
        return
    use = file if isinstance(file, ast.Name) else None
    reason = (
        _mode_reason(handle_of_file)
        or reason
        or handle_of_file.reason
        or handle_of_file.opened.reason
        or _encoding_reason(handle_of_file)
        or use_reason(source, handle_of_file, use, call)
        or _place_reason(source, call, handle_of_file)
    )
    yield _found(source, call, handle_of_file, reason)


def _found(source: Source, call: ast.Call, handle: Handle, reason: str | None) -> Read:
    path = handle.opened.path
    reason = reason or call_reason(source, call, LOAD) or _comments_reason(source, call, handle)
    edit = loading_edit(source, call, handle.path_argument(source))
    finding = Finding(
        PLAIN_READ,
        source.span(call),
        f"{source.text_of(path)} is read past the library",
        loading_text(source, path),
        reason,
        () if reason else (edit, *handle.unwraps(source)),
    )
    return Read(call, path, finding)


def _mode_reason(handle: Handle) -> str | None:
    mode = handle.opened.mode
    if mode is None or handle.opened.direction == READ:
        return None
    if "w" in mode:
        return f"the mode is {mode!r}, which empties the file"
    if "+" in mode:
        return "the file is read and written through one handle: use edit_json"
    return f"the mode is {mode!r}"


def _encoding_reason(handle: Handle) -> str | None:
    binary = "b" in (handle.opened.mode or "")
    if binary or handle.opened.encoding == "utf-8":
        return None
    return "the file is not decoded as UTF-8"


def _place_reason(source: Source, call: ast.Call, handle: Handle) -> str | None:
    """Whether the file would be missed in another case than before."""
    if handle.statement is None:
        return None
    inside: ast.AST = call
    for around in source.ancestors(call):
        if isinstance(around, ast.For) and inside is around.iter:
            return None
        if isinstance(around, ast.stmt):
            compound = not isinstance(
                around, ast.Expr | ast.Assign | ast.AnnAssign | ast.AugAssign | ast.Return
            )
            return "it is not always reached once the file is open" if compound else None
        if not isinstance(around, UNCONDITIONAL):
            return "it is not always reached once the file is open"
        inside = around
    return None


def _comments_reason(source: Source, call: ast.Call, handle: Handle) -> str | None:
    kept = [handle.opened.path]
    within = comment_reason(source, source.span(call), kept)
    if within or handle.statement is None:
        return within
    return header_reason(source, handle.statement, kept)
