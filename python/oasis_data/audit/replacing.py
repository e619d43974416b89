"""The calls of the package that replace other calls, in words and as edits."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from itertools import pairwise

from oasis_data.audit.finding import Argument, Call
from oasis_data.audit.json_calls import argument_at, in_coroutine, saving_keywords
from oasis_data.audit.source import UNKNOWN, Source, Span

SAVE, LOAD = "save_json_atomic", "load_data_file"
# What they are called where a module has the name for something of its own.
OTHER_NAMES = {SAVE: "save_json_file", LOAD: "load_json_file"}
# Exceptions of `open` and `json` that the package raises as a different OSError or ValueError.
UNLIKE = frozenset(
    f"builtins.{name}"
    for name in (
        "IsADirectoryError",
        "NotADirectoryError",
        "RecursionError",
        "UnicodeDecodeError",
        "UnicodeEncodeError",
        "UnicodeError",
    )
)

# Modules of the standard library with an `open`, a `load` or a `dump` of their own for a star.
REBINDING = frozenset(
    {
        *("aifc", "ast", "bz2", "codecs", "dbm", "gzip", "lzma", "marshal", "os", "pathlib"),
        *("ossaudiodev", "pickle", "plistlib", "posix", "shelve", "sunau", "tarfile", "tomllib"),
        *("wave", "webbrowser", "zipfile"),
    }
)


def origins_of(function: str) -> frozenset[str]:
    """Where a function of the package can be imported from."""
    return frozenset({f"oasis_data.{function}", f"oasis_data.file_operations.{function}"})


def local_name(source: Source, function: str) -> tuple[str, bool] | None:
    """What a module calls a function of the package, and if that has to be imported.

    Returns:
        None if both names are taken.
    """
    for name in source.imported(origins_of(function)):
        if len(source.all_bindings(name)) == len(source.bound_in(source.tree, name)):
            return name, False
    for name in (function, OTHER_NAMES[function]):
        if not source.all_bindings(name):
            return name, True
    return None


def named(source: Source, function: str) -> str:
    """What the function is called in a replacement."""
    found = local_name(source, function)
    return found[0] if found else f"oasis_data.{function}"


def call_reason(source: Source, call: ast.Call, function: str) -> str | None:
    """Why the function cannot be called here."""
    if any(isinstance(each, ast.JoinedStr) for each in source.ancestors(call)):
        # Before Python 3.12 nothing in there has a place of its own.
        return "it is inside an f-string"
    star = star_reason(source)
    if star:
        return star
    # safeguard: no-fix-in-coroutine
    if in_coroutine(source, call):
        return (
            "it is inside async def, where waiting for another process would stop the event loop: "
            "call it through asyncio.to_thread"
        )
    for caught in _caught_around(source, call):
        if source.origins(caught) & UNLIKE:
            return f"{source.text_of(caught)} is caught here, which {function} does not raise"
        if not _is_known(source, caught):
            return f"{source.text_of(caught)} may hold an exception that {function} does not raise"
    found = local_name(source, function)
    if found is None:
        return f"{function} and {OTHER_NAMES[function]} are names of something else here"
    if found[1] and _is_opening_shared(source):
        return "the file's first line holds more, and leaves no place for the import"
    return None


def star_reason(source: Source) -> str | None:
    """Why no name is certain: a star import may bind `open`, `json` or the package's name."""
    for node in source.nodes:
        if isinstance(node, ast.ImportFrom) and any(each.name == "*" for each in node.names):
            module = "." * node.level + (node.module or "")
            top = module.partition(".")[0]
            if top not in sys.stdlib_module_names or top in REBINDING:
                return f"from {module} import * may bind names such as open and json"
    return None


def _is_known(source: Source, caught: ast.expr) -> bool:
    """Whether it is certainly one exception: a builtin, an import, or a class of this source."""
    bindings = source.bindings(caught) if isinstance(caught, ast.Name) else []
    if bindings and all(isinstance(each.node, ast.ClassDef) for each in bindings):
        return True
    return not any(each.startswith(UNKNOWN) for each in source.origins(caught))


def _is_opening_shared(source: Source) -> bool:
    """Whether something stands in one line with the docstring, or an import from `__future__`."""
    body = source.tree.body
    for statement, after in pairwise(body):
        is_docstring = statement is body[0] and ast.get_docstring(source.tree) is not None
        is_future = isinstance(statement, ast.ImportFrom) and statement.module == "__future__"
        if not is_docstring and not is_future:
            return False
        if statement.end_lineno == after.lineno:
            return True
    return False


def _caught_around(source: Source, call: ast.Call) -> Iterator[ast.expr]:
    """The exceptions that are caught where a call is made, by `except` and by `suppress`."""
    inner: ast.AST = call
    for node in source.ancestors(call):
        body = getattr(node, "body", None)
        if isinstance(body, list) and inner in body:
            for caught in _caught_by(source, node):
                yield from caught.elts if isinstance(caught, ast.Tuple) else [caught]
        inner = node


def _caught_by(source: Source, statement: ast.AST) -> Iterator[ast.expr]:
    # Only `try` has them, and `try` with `except*`, which Python 3.10 has no class for.
    handlers: list[ast.ExceptHandler] = getattr(statement, "handlers", [])
    yield from filter(None, (handler.type for handler in handlers))
    if isinstance(statement, ast.With):
        managers = [item.context_expr for item in statement.items]
        for manager in (each for each in managers if isinstance(each, ast.Call)):
            if "contextlib.suppress" in source.origins(manager.func):
                yield from manager.args


def saving_text(source: Source, path: ast.expr, data: ast.expr, call: ast.Call, **more: str) -> str:
    """The save that writes what a `json.dump` does."""
    given = {each.arg: each.value for each in call.keywords}
    options = [
        f"{name}={value if isinstance(value, str) else source.text_of(given[name])}"
        for name, value in saving_keywords(source, call)
    ]
    options += [f"{name}={value}" for name, value in more.items()]
    arguments = ", ".join([source.text_of(path), source.text_of(data), *options])
    return f"{named(source, SAVE)}({arguments}){_import_of(source, SAVE)}"


def saving_edit(
    source: Source, target: ast.Call, path: Argument, call: ast.Call, data: ast.expr
) -> Call:
    """Puts a save in the place of `target`; `call` makes the text."""
    return Call(
        target=source.span(target),
        function=SAVE,
        layout=source.span(call),
        arguments=(path, argument_at(source, call, data)),
        keywords=saving_keywords(source, call),
    )


def loading_text(source: Source, path: ast.expr) -> str:
    """The load that reads what a `json.load` does, and raises what it does."""
    return f"{named(source, LOAD)}({source.text_of(path)}, strict=True){_import_of(source, LOAD)}"


def _import_of(source: Source, function: str) -> str:
    """Says where the name is from, if it is not the package's own."""
    name = named(source, function)
    if name.endswith(function):
        return ""
    return f"  # from oasis_data import {function} as {name}"


def loading_edit(source: Source, target: ast.Call, path: Argument) -> Call:
    """Puts a load in the place of `target`."""
    span = source.span(target)
    return Call(span, LOAD, span, (path,), (("strict", "True"),))


def comment_reason(source: Source, gone: Span, kept: Iterable[ast.expr]) -> str | None:
    """Whether a comment would be lost with what is replaced."""
    spans = [source.span(each) for each in kept]
    for place in source.comments:
        if place in gone and not any(place in span for span in spans):
            return "a comment stands inside"
    return None
