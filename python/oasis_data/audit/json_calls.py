"""Calls of the `json` module: their documents, files and options."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from oasis_data.audit.finding import Argument
from oasis_data.audit.source import FUNCTIONS, Source

# What each option is unless given: in `json.dump`, and in `save_json_atomic`.
KEPT = {
    "indent": ("None", "2"),
    # safeguard: json-defaults
    "ensure_ascii": ("True", "False"),
    "sort_keys": ("False", "False"),
    "allow_nan": ("True", "False"),
    "default": ("None", "None"),
}
# Options that `save_json_atomic` does not have; they may be given as they are anyway.
DROPPED = {"skipkeys": "False", "check_circular": "True", "cls": "None", "separators": "None"}
LOADING = {
    "cls",
    "object_hook",
    "parse_float",
    "parse_int",
    "parse_constant",
    "object_pairs_hook",
}


@dataclass(frozen=True)
class Dumped:
    """JSON text that is made: from what, with which options, and why it may not be replaced."""

    call: ast.Call
    data: ast.expr
    encoded: bool
    reason: str | None


def json_function(source: Source, call: ast.Call, *names: str) -> tuple[str, str | None] | None:
    """Which of the `json` functions is called, and why this is not certain."""
    origins = source.origins(call.func)
    for name in names:
        if origins == {f"json.{name}"}:
            return name, _replaced_reason(source, name)
    for origin in sorted(origins):
        module, _, name = origin.rpartition(".")
        if name in names and module.rpartition(".")[2].endswith("json"):
            if len(origins) > 1:
                return name, f"{source.text_of(call.func)} is not always that of json"
            if module == "builtins.json":
                return name, "json is not imported"
            return name, f"{module} is not json: its options and bytes are others"
    if (
        isinstance(call.func, ast.Attribute)
        and call.func.attr in names
        and isinstance(call.func.value, ast.Name)
        and call.func.value.id == "json"
        and source.bindings(call.func.value)
    ):
        return call.func.attr, "the name json stands for something else here"
    return None


def _replaced_reason(source: Source, name: str) -> str | None:
    """Why a function of `json` is not what it was when it was imported."""
    for node in source.nodes:
        if (
            isinstance(node, ast.Attribute)
            and not isinstance(node.ctx, ast.Load)
            and f"json.{name}" in source.origins(node)
        ):
            return f"json.{name} is set in line {node.lineno}"
    return None


def dumped(source: Source, text: ast.expr) -> Dumped | None:
    """What `json.dumps` an expression comes from, if it does."""
    if isinstance(text, ast.Call):
        found = json_function(source, text, "dumps")
        if found:
            data = argument(text, 0, "obj")
            if data is None:
                return None
            return Dumped(text, data, False, found[1] or option_reason(text, {"obj"}, 1))
        if isinstance(text.func, ast.Attribute) and text.func.attr == "encode":
            inner = dumped(source, text.func.value)
            if inner:
                plain = [
                    _constant(each) for each in (*text.args, *(k.value for k in text.keywords))
                ]
                reason = None
                if plain not in ([], ["utf-8"], ["utf8"], ["UTF-8"]):
                    reason = "the text is not encoded as UTF-8"
                return Dumped(inner.call, inner.data, True, inner.reason or reason)
        return None
    if isinstance(text, ast.Name):
        return _from_variable(source, text)
    for inside in ast.walk(text):
        if isinstance(text, (ast.BinOp, ast.JoinedStr)) and isinstance(inside, ast.Call):
            inner = dumped(source, inside)
            if inner:
                reason = "more is written than the document"
                return Dumped(inner.call, inner.data, inner.encoded, reason)
    return None


def _from_variable(source: Source, name: ast.Name) -> Dumped | None:
    for binding in source.bindings(name):
        statement = source.parents.get(binding.node)
        if isinstance(statement, ast.Assign):
            for inside in ast.walk(statement.value):
                if isinstance(inside, ast.Call) and json_function(source, inside, "dumps"):
                    data = argument(inside, 0, "obj")
                    reason = f"the text is kept in {name.id}, which may be used elsewhere"
                    return Dumped(inside, data, False, reason) if data is not None else None
    return None


def option_reason(call: ast.Call, own: set[str], positional: int) -> str | None:
    """Why the options of a `json.dump` cannot be passed on."""
    if len(call.args) > positional or any(isinstance(each, ast.Starred) for each in call.args):
        return "its arguments cannot be told apart"
    for keyword in call.keywords:
        name, value = keyword.arg, ast.unparse(keyword.value)
        if name is None:
            return f"its options are in **{value}"
        if name in own or name in KEPT or DROPPED.get(name) == value:
            continue
        if name == "separators" and value == _own_separators(call):
            continue
        return f"save_json_atomic has no {name}"
    return None


def _own_separators(call: ast.Call) -> str | None:
    """The separators that `json` takes by itself, where that is certain."""
    indent = next((each.value for each in call.keywords if each.arg == "indent"), None)
    if indent is None or _is(indent, "None"):
        return "(', ', ': ')"
    return "(',', ': ')" if isinstance(indent, ast.Constant) else None


def saving_keywords(source: Source, call: ast.Call) -> tuple[tuple[str, Argument | str], ...]:
    """The options with which `save_json_atomic` writes the bytes that the call does."""
    keywords: list[tuple[str, Argument | str]] = []
    given = {each.arg: each.value for each in call.keywords}
    for name, value in given.items():
        if name in KEPT and not _is(value, KEPT[name][1]):
            keywords.append((name, argument_at(source, call, value)))
    for name, (plain, other) in KEPT.items():
        if name not in given and plain != other:
            keywords.append((name, plain))
    return tuple(keywords)


def loading_reason(call: ast.Call) -> str | None:
    """Why the options of a `json.load` cannot be passed on."""
    if len(call.args) > 1 or any(isinstance(each, ast.Starred) for each in call.args):
        return "its arguments cannot be told apart"
    for keyword in call.keywords:
        if keyword.arg is None:
            return f"its options are in **{ast.unparse(keyword.value)}"
        if keyword.arg in LOADING and _is(keyword.value, "None"):
            continue
        if keyword.arg not in ("fp", "s"):
            return f"load_data_file has no {keyword.arg}"
    return None


def argument(call: ast.Call, place: int, name: str) -> ast.expr | None:
    """An argument that can be given by place or by name."""
    if len(call.args) > place:
        return call.args[place]
    return next((each.value for each in call.keywords if each.arg == name), None)


def argument_at(source: Source, call: ast.Call, value: ast.expr) -> Argument:
    """Names an argument of a call for an edit; or what stands before the dot."""
    values = [*call.args, *(each.value for each in call.keywords)]
    values.sort(key=lambda each: (each.lineno, each.col_offset))
    place = next((place for place, each in enumerate(values) if each is value), None)
    return Argument(source.span(call), place)


def in_coroutine(source: Source, node: ast.AST) -> bool:
    """Whether a node may be evaluated on an event loop, also by a function inside `async def`."""
    return any(isinstance(each, ast.AsyncFunctionDef) for each in source.ancestors(node))


def enclosing_function(source: Source, node: ast.AST) -> ast.AST:
    """The function definition around a node, or the module."""
    return next(
        (each for each in source.ancestors(node) if isinstance(each, FUNCTIONS)), source.tree
    )


def _constant(value: ast.expr) -> object:
    return value.value if isinstance(value, ast.Constant) else value


def _is(value: ast.expr, spelling: str) -> bool:
    return isinstance(value, ast.Constant) and ast.unparse(value) == spelling
